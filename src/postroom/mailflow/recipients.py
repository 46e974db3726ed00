"""Whom an address stands for: a mailbox, or through groups many, each of them once."""

from collections.abc import Iterable
from dataclasses import dataclass

from postroom.directory import addresses, domains, entities, groups
from postroom.mailflow import srs
from postroom.model import errors
from postroom.model.addresses import domain_key
from postroom.model.entities import Kind
from postroom.storage.engine import Tx
from postroom.storage.queries import mailboxes


@dataclass(frozen=True, slots=True)
class Target:
    """An address of this organization and the ids of those whose mailboxes it leads to, with their primary addresses.

    `entity` is the id of whom it stands for.
    """

    address: str
    owners: tuple[str, ...]
    group: bool
    emails: tuple[str, ...]
    entity: str = ""


@dataclass(frozen=True, slots=True)
class Division:
    """The recipients of an envelope, sorted: ours, other people's, and ours that do not exist."""

    here: tuple[Target, ...]
    elsewhere: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def owners(self) -> dict[str, str]:
        """Everybody who gets a copy, once, in order, with the primary address."""
        return {owner: email for target in self.here for owner, email in zip(target.owners, target.emails, strict=True)}


def resolve(tx: Tx, address: str) -> Target | None:
    """Find whom an address stands for; None for an unknown one, and for a group in which nobody has a mailbox."""
    entity = addresses.resolve(tx, address)
    if entity is None:
        return None
    if entity.kind is Kind.GROUP:
        members = groups.expand(tx, entity.id)
        owners, emails = tuple(member.id for member in members), tuple(member.email or address for member in members)
        return Target(address, owners, group=True, emails=emails, entity=entity.id) if owners else None
    if not entity.has_mailbox:
        return None
    return Target(address, (entity.id,), group=False, emails=(entity.email or address,), entity=entity.id)


def admit(tx: Tx, address: str, size: int, bounce: bool = False) -> None:
    """Say, before a message is sent, whether it would be taken; `size` octets, 0 when not declared; a `bounce` has no return path.

    Raises `EntityNotFound`, or `OverQuota` when the one mailbox has no room; a group is never full.
    """
    target = resolve(tx, address)
    if target is None:
        if bounce and srs.reverse(tx, address):
            return
        raise errors.EntityNotFound("No such address here")
    if not target.group:
        found = mailboxes.find_by_owner(tx, target.owners[0])
        if found is None:
            raise errors.EntityNotFound("No such address here")
        _, quota_mb, used = found
        if used + max(size, 1) > quota_mb * mailboxes.MB:
            raise errors.OverQuota("The mailbox is full")


def divide(tx: Tx, envelope_recipients: Iterable[str], *, bounce: bool = False) -> Division:
    """Sort recipients by where they are; a `bounce` to a return path that we have rewritten goes on to where that came from."""
    here: list[Target] = []
    elsewhere: list[str] = []
    unknown: list[str] = []
    for address in envelope_recipients:
        target = resolve(tx, address)
        if target is not None:
            here.append(target)
        elif bounce and (origin := srs.reverse(tx, address)):
            elsewhere.append(origin)
        elif is_ours(tx, address.rpartition("@")[2]):
            unknown.append(address)
        else:
            elsewhere.append(address)
    return Division(tuple(here), tuple(elsewhere), tuple(unknown))


def addresses_of(tx: Tx, owners: Iterable[str]) -> list[str]:
    """List the primary addresses of entities that are registered."""
    found = (entities.get(tx, owner).email for owner in owners)
    return [email for email in found if email is not None]


def home(tx: Tx, envelope_recipients: Iterable[str]) -> str:
    """Give the mail domain of the first recipient that is in one of ours; '' when none is."""
    places = (address.rpartition("@")[2] for address in envelope_recipients)
    return next((domain_key(place) for place in places if is_ours(tx, place)), "")


def is_ours(tx: Tx, domain: str) -> bool:
    """Say whether this organization takes mail for a domain."""
    try:
        domains.require_verified(tx, domain)
    except (errors.DomainNotFound, errors.DomainState, errors.InvalidParameter):
        return False
    return True
