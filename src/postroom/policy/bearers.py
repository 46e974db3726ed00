"""The one place where a waiting client shows a bearer token: which organization, whose token, as whom it may act.

A token of an impersonation role needs the address of a target user beside it. There is nothing to slow down: nobody guesses 256 bits.
"""

import structlog

from postroom.model import errors
from postroom.model.actors import Actor, Client
from postroom.policy import impersonation_tokens
from postroom.policy.authenticator import LONGEST_NAME, SIGN_INS
from postroom.storage.engine import REGISTRY, Store

log = structlog.get_logger("postroom.policy")


async def admit(store: Store, token: str, target: str, client: Client) -> Actor:
    """Say who acts for the bearer of a token, who asks to act as the user with an address.

    Raises `SignInFailed` for a token that is worth nothing and `NotPermitted` for a target it is not good for.
    """
    try:
        organization = await store.look(REGISTRY, impersonation_tokens.locate, token)
        if organization is None:
            raise errors.SignInFailed()
        actor = await store.look(organization.number, impersonation_tokens.redeem, organization, token, target, client)
    except (errors.SignInFailed, errors.NotPermitted) as error:
        SIGN_INS.labels(client.protocol.value, "failed").inc()
        reason = "token" if isinstance(error, errors.SignInFailed) else "target"
        log.info("sign_in_failed", protocol=client.protocol.value, client=client.address, user=target[:LONGEST_NAME], reason=reason)
        raise
    SIGN_INS.labels(client.protocol.value, "succeeded").inc()
    return actor
