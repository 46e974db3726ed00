"""How the users of an organization prove who they are: by a password of the directory, by a personal access token, by either.

Without a configuration it is the password alone. IDENTITY_PROVIDER_ONLY closes the way of the password in every protocol; tokens are good
while they are ACTIVE. What changes binds those who have signed in already.

WorkMail API: PutIdentityProviderConfiguration
"""

from dataclasses import dataclass
from enum import StrEnum

from postroom.model import errors
from postroom.storage.engine import Tx
from postroom.storage.queries import identity as rows


class Mode(StrEnum):
    """Whether passwords go on counting (WorkMail API: IdentityProviderAuthenticationMode)."""

    IDENTITY_PROVIDER_ONLY = "IDENTITY_PROVIDER_ONLY"
    IDENTITY_PROVIDER_AND_DIRECTORY = "IDENTITY_PROVIDER_AND_DIRECTORY"


class TokenStatus(StrEnum):
    """Whether personal access tokens count (WorkMail API: PersonalAccessTokenConfigurationStatus)."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"


@dataclass(frozen=True, slots=True)
class Configuration:
    """An organization's configuration; `token_days` is the longest life of a new token, None where there is no end to it."""

    mode: Mode
    instance_arn: str
    application_arn: str
    tokens: TokenStatus
    token_days: int | None = None


def find(tx: Tx) -> Configuration | None:
    """Find the configuration of an organization."""
    row = rows.find(tx)
    return Configuration(Mode(row[0]), row[1], row[2], TokenStatus(row[3]), row[4]) if row else None


def get(tx: Tx) -> Configuration:
    """Get the configuration of an organization; raises `ResourceNotFound` (WorkMail API: DescribeIdentityProviderConfiguration)."""
    found = find(tx)
    if found is None:
        raise errors.ResourceNotFound("The organization has no identity provider configuration.")
    return found


def put(tx: Tx, configuration: Configuration) -> None:
    """Replace the configuration; whoever has signed in is asked again (WorkMail API: PutIdentityProviderConfiguration)."""
    rows.insert(
        tx,
        mode=configuration.mode.value,
        instance_arn=configuration.instance_arn,
        application_arn=configuration.application_arn,
        tokens=configuration.tokens.value,
        token_days=configuration.token_days,
    )
    tx.changes.doubt_all()


def delete(tx: Tx) -> None:
    """Return to passwords alone; tokens stay, and are good for nothing (WorkMail API: DeleteIdentityProviderConfiguration)."""
    if rows.delete(tx):
        tx.changes.doubt_all()


def passwords_count(configuration: Configuration | None) -> bool:
    """Say whether the directory's passwords open anything."""
    return configuration is None or configuration.mode is Mode.IDENTITY_PROVIDER_AND_DIRECTORY


def tokens_count(configuration: Configuration | None) -> bool:
    """Say whether personal access tokens open anything."""
    return configuration is not None and configuration.tokens is TokenStatus.ACTIVE
