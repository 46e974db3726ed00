"""Sign-in: from what a client says to who acts, by one rule for every protocol.

`locate` asks the registry which organization hosts the domain of the user name, `look_up` the organization who it is, what
password is kept and whether the access rules let this user use this protocol from there. Nobody is told which of these
failed, and somebody who does not exist is looked up and checked like anybody else, against a password that nobody has.
"""

from dataclasses import dataclass

from postroom.directory import domains
from postroom.model import addresses, errors
from postroom.model.actors import Actor, Client, Credentials
from postroom.model.organizations import Organization, OrganizationStatus
from postroom.policy import access_rules, passwords
from postroom.policy.access_rules import Situation
from postroom.storage.engine import Tx
from postroom.storage.queries import credentials as stored_credentials
from postroom.storage.queries import organizations


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who would act if the password is right; `reason` says why nobody would, for the log alone."""

    stored: str
    actor: Actor | None
    reason: str = ""


NOBODY = Candidate(passwords.NOBODYS, None, "unknown")


def key_of(username: str) -> str | None:
    """Give the key of the address in a user name; None for what is no address."""
    try:
        return addresses.parse(username.strip()).key
    except errors.InvalidParameter:
        return None


def locate(tx: Tx, username: str) -> Organization | None:
    """Find the active organization that hosts the domain of a user name. Registry."""
    key = key_of(username)
    number = domains.route(tx, key.rpartition("@")[2]) if key else None
    found = organizations.find_by_number(tx, number) if number is not None else None
    return found if found is not None and found.state == OrganizationStatus.ACTIVE else None


def look_up(tx: Tx, organization: Organization, credentials: Credentials, client: Client) -> Candidate:
    """Find who would act, as far as the organization can say without the password.

    A user name is a full address, primary or alias. Acting as another is for those who open another's mailbox, not here: an
    authorization identity must be one of the user's own addresses (RFC 4616 §2).
    """
    rules = access_rules.load(tx)
    row = _find(tx, credentials.username)
    if row is None:
        return NOBODY
    user_id, email, stored = row
    if stored is None:
        return Candidate(passwords.NOBODYS, None, "no_password")
    if credentials.authzid:
        other = _find(tx, credentials.authzid)
        if other is None or other[0] != user_id:
            return Candidate(stored, None, "authzid")
    decision = access_rules.decide(rules, Situation(client.protocol, client.address, user_id=user_id))
    if not decision.allowed:
        return Candidate(stored, None, "access_rule")
    return Candidate(stored, Actor(tx.organization, organization.id, user_id, email, client))


def sign_in(tx: Tx, organization: Organization, credentials: Credentials, client: Client) -> Actor:
    """Say who acts, or raise `SignInFailed`; takes as long as a password takes to verify, so not in a waiting loop."""
    candidate = look_up(tx, organization, credentials, client)
    if not passwords.verify(candidate.stored, credentials.password) or candidate.actor is None:
        raise errors.SignInFailed()
    return candidate.actor


def _find(tx: Tx, username: str) -> tuple[str, str, str | None] | None:
    key = key_of(username)
    return stored_credentials.find_by_address(tx, key) if key else None
