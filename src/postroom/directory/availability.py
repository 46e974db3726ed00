"""Availability configurations: for each domain of others, whom to ask when its people are free.

A configuration belongs to a domain that is not the organization's own. The password of an EWS provider is kept sealed and given to
nobody but the provider.
"""

from urllib.parse import urlsplit

from postroom.directory.domains import host_name
from postroom.model import errors
from postroom.model.availability import Configuration, EwsProvider, LambdaProvider, Provider
from postroom.storage.engine import Tx
from postroom.storage.queries import availability, domains
from postroom.storage.queries.availability import EWS, LAMBDA, Row

MAX_CONFIGURATIONS = 1000


def create(tx: Tx, name: str, provider: Provider) -> None:
    """Set the provider of a domain; raises `NameTaken` for one that has a provider or is the organization's own.

    Raises `LimitExceeded` beyond a thousand (WorkMail API: CreateAvailabilityConfiguration).
    """
    domain = host_name(name)
    if availability.find(tx, domain) is not None:
        raise errors.NameTaken(f"The domain {domain} has an availability configuration.")
    if domains.find(tx, domain) is not None:
        raise errors.NameTaken(f"The domain {domain} is the organization's own.")
    if availability.count(tx) >= MAX_CONFIGURATIONS:
        raise errors.LimitExceeded(f"An organization may have {MAX_CONFIGURATIONS} availability configurations.")
    availability.insert(tx, _sealed(tx, Configuration(domain, provider, tx.now, tx.now)))


def update(tx: Tx, name: str, provider: Provider) -> None:
    """Replace the provider of a domain; raises `ResourceNotFound` (WorkMail API: UpdateAvailabilityConfiguration)."""
    old = get(tx, name)
    availability.insert(tx, _sealed(tx, Configuration(old.domain, provider, old.created_at, tx.now)))


def delete(tx: Tx, name: str) -> None:
    """Remove the provider of a domain, which need not have one (WorkMail API: DeleteAvailabilityConfiguration)."""
    availability.delete(tx, name.rstrip(".").lower())


def get(tx: Tx, name: str) -> Configuration:
    """Get the configuration of a domain, with the password; raises `ResourceNotFound`."""
    found = availability.find(tx, name.rstrip(".").lower())
    if found is None:
        raise errors.ResourceNotFound(f"There is no availability configuration for {name}.")
    return _opened(tx, found)


def require_usable(provider: Provider) -> Provider:
    """Give the provider back; raises `InvalidParameter` for an endpoint or a user name that can never be asked with."""
    if isinstance(provider, EwsProvider):
        url = urlsplit(provider.endpoint)
        if url.scheme != "https":
            raise errors.InvalidParameter("The endpoint must begin with https, since the password goes there.")
        if not provider.endpoint.isascii() or not provider.endpoint.isprintable() or " " in provider.endpoint:
            raise errors.InvalidParameter("The endpoint is not a URL.")
        try:
            port = url.port
        except ValueError:
            port = 0
        if port == 0:
            raise errors.InvalidParameter("The endpoint has no such port.")
        if ":" in provider.username:
            raise errors.InvalidParameter("A user name cannot contain a colon.")
    return provider


def _sealed(tx: Tx, new: Configuration) -> Row:
    provider = require_usable(new.provider)
    if isinstance(provider, LambdaProvider):
        return Row(new.domain, LAMBDA, provider.arn, "", b"", new.created_at, new.modified_at)
    password = tx.blobs.seal(provider.password.encode(), _purpose(new.domain))
    return Row(new.domain, EWS, provider.endpoint, provider.username, password, new.created_at, new.modified_at)


def _opened(tx: Tx, row: Row) -> Configuration:
    provider: Provider
    if row.provider == LAMBDA:
        provider = LambdaProvider(row.target)
    else:
        provider = EwsProvider(row.target, row.username, tx.blobs.unseal(row.password, _purpose(row.domain)).decode())
    return Configuration(row.domain, provider, row.created_at, row.modified_at)


def _purpose(domain: str) -> str:
    return f"availability {domain}"
