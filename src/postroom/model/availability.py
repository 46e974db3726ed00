"""Who knows when people of other domains are free (WorkMail API: AvailabilityConfiguration)."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class EwsProvider:
    """A server that speaks EWS, asked under a user name and a password."""

    endpoint: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LambdaProvider:
    """A function that is invoked by its ARN."""

    arn: str


Provider = EwsProvider | LambdaProvider


@dataclass(frozen=True, slots=True)
class Requester:
    """Who wants to know, as a provider is told."""

    email: str
    name: str
    id: str
    organization: str
    address: str


@dataclass(frozen=True, slots=True)
class Configuration:
    """The provider of a domain; times are epoch seconds."""

    domain: str
    provider: Provider
    created_at: float
    modified_at: float
