"""Policies together: whatever they are, an explicit deny wins, and a session is allowed no more than its role."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from postroom.policy import iam
from postroom.policy.iam import Policy

ACTIONS = ["workmail:ListUsers", "workmail:List*", "iam:*", "*"]
RESOURCES = ["arn:aws:workmail:r:1:organization/m-1", "arn:aws:workmail:r:1:organization/*", "arn:aws:iam::1:user/ann", "*"]
CONDITIONS: list[dict[str, Any]] = [
    {},
    {"StringEquals": {"aws:username": "ann"}},
    {"StringNotEquals": {"aws:username": "ann"}},
    {"Null": {"aws:username": "true"}},
]
statements = st.builds(
    lambda effect, action, resource, condition: {"Effect": effect, "Action": action, "Resource": resource, "Condition": condition},
    st.sampled_from(["Allow", "Deny"]),
    st.sampled_from(ACTIONS),
    st.sampled_from(RESOURCES),
    st.sampled_from(CONDITIONS),
)
policies = st.lists(statements, min_size=1, max_size=3).map(lambda entries: iam.parse(json.dumps({"Statement": entries})))
requests = st.tuples(
    st.sampled_from(["workmail:ListUsers", "iam:GetUser"]),
    st.sampled_from(RESOURCES),
    st.sampled_from([{}, {"aws:username": ("ann",)}, {"aws:username": ("bob",)}]),
)


@given(st.lists(policies, max_size=4), st.none() | policies, requests)
def test_no_combination_allows_what_one_of_them_denies(held: list[Policy], session: Policy | None, request: Any) -> None:
    together = iam.union(held) if session is None else iam.narrowed(iam.union(held), session)
    decision = iam.decide(together, *request)
    each = [iam.decide(policy, *request) for policy in held]
    limit = iam.ALLOWED if session is None else iam.decide(session, *request)
    if limit.explicit or any(one.explicit for one in each):
        assert decision == iam.DENIED_EXPLICITLY
    else:
        assert decision.allowed is (limit.allowed and any(one.allowed for one in each))


def test_what_looks_at_circumstances_still_does_together() -> None:
    plain, looking = (
        iam.parse(json.dumps({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"} | more}))
        for more in ({}, {"Condition": CONDITIONS[1]})
    )
    assert not iam.union([plain, plain]).contextual
    assert iam.union([plain, looking]).looks_at("aws:username")
    assert iam.narrowed(plain, looking).looks_at("aws:username")
    assert iam.decide(iam.union([]), "iam:GetUser", "*", {}) == iam.DENIED
