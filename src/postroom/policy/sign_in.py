"""Sign-in: from what a client says to who acts, by one rule for every protocol.

`locate` asks the registry which organization hosts the domain of the user name, `look_up` the organization who it is, what
password is kept and whether the access rules let this user use this protocol from there. Nobody is told which of these
failed, and somebody who does not exist is looked up and checked like anybody else, against a password that nobody has.

A personal access token in place of the password needs no checking: who finds its digest has it. One that is good for nothing here is
checked as a password, and so takes as long as any wrong one. Where passwords count no more, they are checked all the same, for whoever
goes on giving the right one is no guesser.

A sign-in lasts as long as what it rests on: `reconsider` asks all of it again of somebody who has signed in. Protocols do so for living
sessions when they hear that something has changed (`storage.notifier`: `WHOLE`), submission for each letter, in its transaction.
"""

import hashlib
import math
from dataclasses import dataclass, replace

import structlog

from postroom.directory import domains, outside
from postroom.directory.organizations import DIRECTORY_TYPE
from postroom.model import addresses, errors
from postroom.model.actors import Actor, Client, Credentials, Protocol
from postroom.model.organizations import Organization, OrganizationStatus
from postroom.policy import access_rules, identity, passwords, permissions, tokens
from postroom.policy.access_rules import AccessRule, Situation
from postroom.policy.identity import Configuration
from postroom.policy.tokens import Token
from postroom.storage.engine import Tx
from postroom.storage.queries import credentials as stored_credentials
from postroom.storage.queries import entities, organizations

log = structlog.get_logger("postroom.policy")


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who would act if the password is right; `reason` and `rules` say why nobody would, for the log alone.

    `user_id` is whose password it is, whatever comes of it; `token` what was given in place of it, good or not.
    """

    stored: str
    actor: Actor | None
    reason: str = ""
    rules: tuple[str, ...] = ()
    user_id: str = ""
    token: Token | None = None
    scope: int = 0
    """The organization whose outside directory has to be asked; 0 where there is none."""

    @property
    def proven(self) -> bool:
        """Say that a token has opened, and there is no password to check."""
        return self.actor is not None and self.actor.token_id != ""

    @property
    def guessed(self) -> bool:
        """Say whether a wrong password is a guess; one that is a token of the user, good or not, is none."""
        return self.token is None or self.token.user_id != self.user_id


@dataclass(frozen=True, slots=True)
class Denial:
    """Why somebody may not come in, or go on, for the log alone; `token` is the id of the one that was shown."""

    reason: str
    rules: tuple[str, ...] = ()
    token: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms an organization lets its users in."""

    rules: tuple[AccessRule, ...]
    provider: Configuration | None


NOBODY = Candidate(passwords.NOBODYS, None, "unknown")


def key_of(username: str) -> str | None:
    """Give the key of the address in a user name; None for what is no address."""
    try:
        return addresses.parse(username.strip()).key
    except errors.InvalidParameter:
        return None


def unfold(credentials: Credentials) -> Credentials:
    """Read the user name `owner@domain*user@domain` as that of the user, who asks to act as the owner.

    Clients that can say nothing but a name and a password reach the mailbox of another so (RFC 4616 §2 has a place of its own for it).
    """
    name = credentials.username.strip()
    star = name.find("*", name.find("@") + 1)
    if credentials.authzid or star < 0 or "@" not in name[:star] or key_of(name) is not None:
        return credentials
    return Credentials(name[star + 1 :], credentials.password, name[:star])


def locate(tx: Tx, username: str) -> Organization | None:
    """Find the active organization that hosts the domain of a user name. Registry."""
    key = key_of(username)
    number = domains.route(tx, key.rpartition("@")[2]) if key else None
    found = organizations.find_by_number(tx, number) if number is not None else None
    return found if found is not None and found.state == OrganizationStatus.ACTIVE else None


def look_up(tx: Tx, organization: Organization, credentials: Credentials, client: Client) -> Candidate:
    """Find who would act, as far as the organization can say without the password.

    A user name is a full address, primary or alias. An authorization identity is one of the user's own addresses, or one of those whose
    mailbox is opened to the user or, at SMTP, under whose name the user may send (RFC 4616 §2).
    """
    terms = load(tx)
    token = tokens.recognize(tx, credentials.password)
    nobody = NOBODY if token else _nobody(organization)  # a token is nothing to show to an outside directory
    row = _find(tx, credentials.username)
    if row is None:
        return nobody
    user_id, email, stored, mailbox = row
    if stored == outside.CLOSED:
        return replace(nobody, reason="directory_disabled", user_id=user_id, token=token)
    refusal = token.refusal(terms.provider, user_id, client.protocol, tx.now) if token else _no_password(terms, stored)
    opening = token if not refusal else None
    kept = nobody.stored if token else stored or nobody.stored
    known = replace(nobody, stored=kept, reason=refusal, user_id=user_id, token=token)
    if opening is None and _no_password(terms, stored):
        return known
    owner_id = _owner(tx, user_id, credentials.authzid, client.protocol) if credentials.authzid else ""
    if owner_id is None:
        return replace(known, reason="authzid")
    decision = access_rules.decide(terms.rules, Situation(client.action, client.address, user_id=user_id))
    if not decision.allowed:
        return replace(known, reason="access_rule", rules=decision.rules)
    actor = Actor(tx.organization, organization.id, user_id, email, client, mailbox or 0, owner_id=owner_id)
    return replace(known, actor=_by_token(actor, opening) if opening else replace(actor, proof=_proof(known.stored)))


def load(tx: Tx) -> Terms:
    """Read the terms of an organization."""
    return Terms(tuple(access_rules.load(tx)), identity.find(tx))


def reconsider(tx: Tx, actor: Actor, terms: Terms | None = None) -> Denial | None:
    """Say why somebody who has signed in would not get in again, None if all is as it was; `terms` saves reading them.

    The password counts as long as it is the one that was right, so a new one ends the sessions that the old one opened; a token
    as long as it is there and good for the protocol.
    """
    row = stored_credentials.find_of_user(tx, actor.user_id)
    if row is None:
        return Denial("unknown", token=actor.token_id)
    if row[0] == outside.CLOSED:
        return Denial("directory_disabled", token=actor.token_id)
    terms = terms or load(tx)
    reason = _token_lost(tx, actor, terms) if actor.token_id else _password_lost(actor, row[0], terms)
    if reason:
        return Denial(reason, token=actor.token_id)
    decision = access_rules.decide(terms.rules, _situation(actor))
    return None if decision.allowed else Denial("access_rule", decision.rules, actor.token_id)


def require_admitted(tx: Tx, actor: Actor) -> None:
    """Raise `NotPermitted` for somebody who has signed in and would not get in again."""
    denial = reconsider(tx, actor)
    if denial is not None:
        note_end(actor, denial)
        raise errors.NotPermitted("You may not do this any more; sign in again")


def note_end(actor: Actor, denial: Denial) -> None:
    """Write into the log that somebody who had signed in may not go on, and why."""
    client = actor.client
    log.info(
        "session_denied",
        protocol=client.protocol.value,
        client=client.address,
        user=actor.email,
        reason=denial.reason,
        rules=list(denial.rules),
        **token_of(denial),
    )


def token_of(denial: Denial) -> dict[str, str]:
    """Give what the log says of a token: its id, never the token."""
    return {"token": denial.token} if denial.token else {}


def _nobody(organization: Organization) -> Candidate:
    """Give whom to check a password of nobody against, who takes as long as anybody of the organization."""
    if organization.directory_type == DIRECTORY_TYPE:
        return NOBODY
    return replace(NOBODY, stored=outside.NOBODYS, scope=organization.number)


def _no_password(terms: Terms, stored: str | None) -> str:
    """Say why no password opens; empty if one does."""
    if stored is None:
        return "no_password"
    return "" if identity.passwords_count(terms.provider) else "identity_provider"


def _by_token(actor: Actor, token: Token) -> Actor:
    return replace(actor, token_id=token.id, until=math.inf if token.expires_at is None else token.expires_at)


def _token_lost(tx: Tx, actor: Actor, terms: Terms) -> str:
    """Say why the token that was shown is good no more; empty if it is."""
    token = tokens.find(tx, actor.token_id)
    return "token_deleted" if token is None else token.refusal(terms.provider, actor.user_id, actor.client.protocol, tx.now)


def _password_lost(actor: Actor, stored: str | None, terms: Terms) -> str:
    """Say why the password that was right would not be so again; empty if it would, and for who came in by other means."""
    if not actor.proof:
        return ""
    if stored is None or _proof(stored) != actor.proof:
        return "password"
    return _no_password(terms, stored)


def _situation(actor: Actor) -> Situation:
    """Give what access rules judge: the role where a program acts as the user, or else the user."""
    action, address = actor.client.action, actor.client.address
    if actor.impersonation_role_id:
        return Situation(action, address, impersonation_role_id=actor.impersonation_role_id)
    return Situation(action, address, user_id=actor.user_id)


def _proof(stored: str) -> str:
    """Give what stands for a stored password; each has its own salt, so no two are alike."""
    return hashlib.blake2b(stored.encode(), digest_size=16).hexdigest()


def _owner(tx: Tx, user_id: str, authzid: str, protocol: Protocol) -> str | None:
    """Find as whom a user asks to act: '' for the user, None for whoever does not exist or has not permitted it."""
    key = key_of(authzid)
    owner = entities.find_by_address(tx, key) if key else None
    if owner is None or owner.id == user_id:
        return None if owner is None else ""
    if protocol is Protocol.SMTP:
        permitted = not permissions.SENDING.isdisjoint(permissions.held(tx, user_id, owner.id))
    else:
        permitted = permissions.opens(tx, user_id, owner.id)
    return owner.id if permitted else None


def _find(tx: Tx, username: str) -> tuple[str, str, str | None, int | None] | None:
    key = key_of(username)
    return stored_credentials.find_by_address(tx, key) if key else None
