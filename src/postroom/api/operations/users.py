"""Users (WorkMail API: CreateUser to ResetPassword)."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from postroom.api import listing, paging
from postroom.api.operation import Answer, Call, operation
from postroom.directory import entities, identity_center, users
from postroom.model.entities import Kind
from postroom.policy import identity, passwords
from postroom.storage.queries import entities as entity_rows
from postroom.storage.queries import profiles

FILTERS = {
    "UsernamePrefix": "name_key",
    "DisplayNamePrefix": "display_key",
    "PrimaryEmailPrefix": "email_key",
    "State": "state",
    "IdentityProviderUserIdPrefix": "identity_user",
}
PROFILE = {
    "FirstName": "first_name",
    "LastName": "last_name",
    "Initials": "initials",
    "Telephone": "telephone",
    "Street": "street",
    "JobTitle": "job_title",
    "City": "city",
    "Company": "company",
    "ZipCode": "zip_code",
    "Department": "department",
    "Country": "country",
    "Office": "office",
}


def hashing(params: Mapping[str, Any]) -> Callable[[], str] | None:
    """Give the work of checking and hashing a new password, where there is one."""
    password = params.get("Password")
    return None if password is None else partial(_hashed, password)


def _hashed(password: str) -> str:
    passwords.check_rules(password)
    return passwords.hash(password)


@operation("CreateUser", prepare=hashing)
def create_user(call: Call) -> Answer:
    """Add a user."""
    params = call.params
    users.require_room(call.tx, call.facilities.most_users)
    user = users.create(
        call.tx,
        name=params["Name"],
        display_name=params["DisplayName"],
        password_hash=call.prior,
        role=params.get("Role", "USER"),
        hidden=params.get("HiddenFromGlobalAddressList", False),
        identity_user=params.get("IdentityProviderUserId"),
        profile=_profile(params),
    )
    return {"UserId": user.id}


@operation("DeleteUser")
def delete_user(call: Call) -> Answer:
    """Remove a disabled user."""
    users.delete(call.tx, call.params["UserId"])
    return {}


@operation("DescribeUser")
def describe_user(call: Call) -> Answer:
    """Show everything about a user."""
    user = entities.get(call.tx, call.params["UserId"], users.KINDS)
    fields = profiles.find(call.tx, user.id) or {}
    shown = listing.present(
        UserId=user.id,
        Name=user.name,
        Email=user.email,
        DisplayName=user.display_name,
        State=user.state,
        UserRole=user.role,
        EnabledDate=user.enabled_at,
        DisabledDate=user.disabled_at,
        MailboxProvisionedDate=user.provisioned_at,
        MailboxDeprovisionedDate=user.deprovisioned_at,
        HiddenFromGlobalAddressList=user.hidden,
        IdentityProviderUserId=user.identity_user,
    )
    _add_identity_stores(call, [shown])
    return shown | {member: fields[field] for member, field in PROFILE.items() if fields.get(field)}


@operation("ListUsers")
def list_users(call: Call) -> Answer:
    """List users, or those that one filter picks."""
    rows = entity_rows.page(
        call.tx, Kind.USER, where=listing.the_filter(call.params, FILTERS), after=call.page.after, limit=call.page.fetch
    )
    answer = paging.answer(call.page, "Users", rows, key=listing.key, render=_summary)
    _add_identity_stores(call, answer["Users"])
    return answer


@operation("UpdateUser")
def update_user(call: Call) -> Answer:
    """Change what is given about a user."""
    params = call.params
    users.update(
        call.tx,
        params["UserId"],
        display_name=params.get("DisplayName"),
        role=params.get("Role"),
        hidden=params.get("HiddenFromGlobalAddressList"),
        identity_user=params.get("IdentityProviderUserId"),
        profile=_profile(params),
    )
    return {}


@operation("ResetPassword", prepare=hashing)
def reset_password(call: Call) -> Answer:
    """Replace a user's password."""
    users.reset_password(call.tx, call.params["UserId"], call.prior)
    return {}


def _profile(params: Mapping[str, Any]) -> dict[str, str]:
    return {field: params[member] for member, field in PROFILE.items() if member in params}


def _summary(row: listing.Row) -> Answer:
    shown = listing.summary(row)
    shown["DisplayName"] = row[4]
    shown["UserRole"] = row[6]
    if row[9] is not None:
        shown["IdentityProviderUserId"] = row[9]
    return shown


def _add_identity_stores(call: Call, users_shown: Sequence[Answer]) -> None:
    """Add the identity stores of users, as far as their ids tell, where there is an identity provider."""
    linked = [shown for shown in users_shown if "IdentityProviderUserId" in shown]
    if linked and identity.find(call.tx) is not None:
        for shown in linked:
            shown |= listing.present(IdentityProviderIdentityStoreId=identity_center.store_of(shown["IdentityProviderUserId"]))
