"""DKIM keys: every mail domain has three pairs of its own, one under each of the selectors that its CNAMEs name.

A pair is an RSA key, which everybody can check, and an Ed25519 key under a selector beside it (RFC 8463). Making one takes a tenth of a
second, so they are made outside of transactions, soon after the domain is there (`missing`, `make`, `keep`). Their public halves stand in
the operator's own zone, where the CNAMEs lead (RFC 6376 §3.6.2). Private halves are kept sealed.

Of a pair the RSA key signs at once. The other signs beside it once DNS has shown its record under the domain: it needs a CNAME that
GetMailDomain does not list, so most domains have none (`unlooked`, `note_look`).
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from postroom.directory.domains import TOPIC, VERIFIED, Record, Targets, get
from postroom.model import errors
from postroom.model.entities import MailDomain
from postroom.storage.engine import Tx
from postroom.storage.queries import dkim_keys
from postroom.storage.queries import domains as domain_rows

BITS = 2048
"""What every verifier takes and one TXT record holds."""
EXPONENT = 65537
OVERLAP_DAYS = 7
"""Days for which a key that signs no more stays published: letters that it has signed are still on their way."""
PAIR = 2
"""Keys under each of a domain's tokens."""
BESIDE = "-ed25519"
"""What stands behind an RSA key's selector in that of the Ed25519 key beside it."""
UNSEEN_SECONDS, SEEN_SECONDS = 3600.0, 86_400.0
"""How long after a look for an Ed25519 key's record the next one comes, while it is not there and once it is."""
_SIGNING, _RETIRED = "signing", "retired"


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """A new key: `private` as PKCS#8 in DER, `public` as a DNS record has it."""

    selector: str
    private: bytes
    public: str


def selectors(domain: MailDomain) -> tuple[str, ...]:
    """List the selectors of a domain's keys: the RSA ones, then those beside them."""
    return (*domain.dkim_tokens, *(token + BESIDE for token in domain.dkim_tokens))


def make(wanted: Iterable[str]) -> list[Key]:
    """Make a key for each of these selectors; takes some tenths of a second, so not inside a transaction."""
    return [_make_edwards(selector) if selector.endswith(BESIDE) else _make_rsa(selector) for selector in wanted]


def missing(tx: Tx, *, limit: int) -> list[MailDomain]:
    """List domains that have not all of their keys yet."""
    return domain_rows.page_without_keys(tx, pairs=PAIR, limit=limit)


def keyless(tx: Tx, name: str) -> MailDomain | None:
    """Find a verified domain that has no key to sign with yet."""
    domain = domain_rows.find(tx, name)
    return domain if domain is not None and domain.ownership == VERIFIED and not signing(tx, domain) else None


def lacking(tx: Tx, domain: MailDomain) -> list[str]:
    """List the selectors of a domain under which there is no key yet."""
    there = dkim_keys.public(tx, domain.domain)
    return [selector for selector in selectors(domain) if selector not in there]


def keep(tx: Tx, domain: MailDomain, keys: list[Key]) -> None:
    """Keep keys of a domain, unless it has gone or has been registered anew meanwhile; one that is there stays."""
    found = domain_rows.find(tx, domain.domain)
    if found is None or found.dkim_tokens != domain.dkim_tokens:
        return
    for key in keys:
        sealed = tx.blobs.seal(key.private, _purpose(domain.domain, key.selector))
        dkim_keys.insert(tx, domain=domain.domain, selector=key.selector, private_key=sealed, public_key=key.public)


def private(tx: Tx, domain: str, selector: str) -> bytes:
    """Give a private key, PKCS#8 in DER; raises `ResourceNotFound` while there is none."""
    sealed = dkim_keys.find_private(tx, domain, selector)
    if sealed is None:
        raise errors.ResourceNotFound(f"{domain} has no key under the selector {selector}.")
    return tx.blobs.unseal(sealed, _purpose(domain, selector))


def signers(tx: Tx, name: str) -> list[tuple[str, bytes]]:
    """Give selector and private key of each key that signs for a domain; none unless it is a verified one of this organization."""
    domain = domain_rows.find(tx, name)
    if domain is None or domain.ownership != VERIFIED:
        return []
    selector = signing(tx, domain)
    beside = [selector + BESIDE] if selector and dkim_keys.is_seen(tx, name, selector + BESIDE) else []
    return [(one, private(tx, name, one)) for one in ([selector, *beside] if selector else [])]


def signing(tx: Tx, domain: MailDomain) -> str:
    """Give the selector whose key signs, '' while a domain has no keys."""
    there, states = dkim_keys.public(tx, domain.domain), dkim_keys.states(tx, domain.domain)
    ready = [selector for selector in domain.dkim_tokens if selector in there]
    return next((selector for selector in ready if states.get(selector) == _SIGNING), ready[0] if ready else "")


def rotate(tx: Tx, name: str) -> str:
    """Let the next key of a domain sign, and give its selector; the one before stays published, and is replaced after `OVERLAP`.

    Raises `DomainNotFound`, and `DomainState` when there is no key that has not signed before.
    """
    domain = get(tx, name)
    current, states = signing(tx, domain), dkim_keys.states(tx, domain.domain)
    there, tokens = dkim_keys.public(tx, domain.domain), domain.dkim_tokens
    at = tokens.index(current) if current else 0
    fresh = [one for one in (*tokens[at + 1 :], *tokens[:at]) if one in there and states.get(one) != _RETIRED]
    if not current or not fresh:
        raise errors.DomainState(f"{domain.domain} has no other key yet; keys that have signed are replaced after {OVERLAP_DAYS} days.")
    dkim_keys.set_state(tx, domain.domain, current, _RETIRED)
    dkim_keys.set_state(tx, domain.domain, fresh[0], _SIGNING)
    tx.changes.wake(TOPIC)
    return fresh[0]


def outworn(tx: Tx, *, limit: int) -> list[tuple[str, str]]:
    """List domain and selector of keys that have signed and have been published long enough since."""
    return dkim_keys.in_state(tx, _RETIRED, until=tx.now - OVERLAP_DAYS * 86_400, limit=limit)


def replace(tx: Tx, name: str, keys: list[Key]) -> None:
    """Put a new pair in the place of one that is outworn, unless that has gone meanwhile."""
    if dkim_keys.clear_state(tx, name, keys[0].selector, _RETIRED):
        for key in keys:
            sealed = tx.blobs.seal(key.private, _purpose(name, key.selector))
            dkim_keys.replace(tx, domain=name, selector=key.selector, private_key=sealed, public_key=key.public)


def pair(selector: str) -> tuple[str, str]:
    """Give an RSA key's selector and that of the key beside it."""
    return selector, selector + BESIDE


def unlooked(tx: Tx, *, limit: int) -> list[tuple[str, str, str]]:
    """List Ed25519 keys of verified domains whose records are to be looked for again: domain, selector, and what stands behind p=."""
    return dkim_keys.unlooked(tx, ending=BESIDE, unseen_before=tx.now - UNSEEN_SECONDS, seen_before=tx.now - SEEN_SECONDS, limit=limit)


def beside(tx: Tx, name: str) -> list[tuple[str, str, str]]:
    """List the Ed25519 keys of a domain in the same way, whether their time has come or not."""
    return [(name, selector, public) for selector, public in dkim_keys.public(tx, name).items() if selector.endswith(BESIDE)]


def note_look(tx: Tx, name: str, selector: str, public: str, *, seen: bool) -> None:
    """Note whether DNS shows the record of a key, unless there is another by now."""
    dkim_keys.note_look(tx, domain=name, selector=selector, public_key=public, seen=seen)


def texts(tx: Tx, domain: MailDomain) -> dict[str, str]:
    """Give the text of each selector's TXT record, in their order; those without a key are left out."""
    found = dkim_keys.public(tx, domain.domain)
    return {selector: text(selector, found[selector]) for selector in selectors(domain) if selector in found}


def text(selector: str, public: str) -> str:
    """Write a key record (RFC 6376 §3.6.1, RFC 8463 §4)."""
    return f"v=DKIM1; k={'ed25519' if selector.endswith(BESIDE) else 'rsa'}; p={public}"


def records(tx: Tx, domain: MailDomain, targets: Targets) -> list[Record]:
    """List the records that the operator publishes for a domain, where its CNAMEs lead."""
    return [Record("TXT", f"{selector}.{targets.dkim_domain}", text) for selector, text in texts(tx, domain).items()]


def records_beside(domain: MailDomain, targets: Targets) -> list[Record]:
    """List the CNAMEs for Ed25519 keys, which the owner of a domain may publish beside what GetMailDomain lists."""
    beside = (token + BESIDE for token in domain.dkim_tokens)
    return [Record("CNAME", f"{selector}._domainkey.{domain.domain}", f"{selector}.{targets.dkim_domain}") for selector in beside]


def _make_rsa(selector: str) -> Key:
    made = rsa.generate_private_key(EXPONENT, BITS)
    public = made.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Key(selector, made.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()), base64.b64encode(public).decode())


def _make_edwards(selector: str) -> Key:
    made = ed25519.Ed25519PrivateKey.generate()
    public = made.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return Key(selector, made.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()), base64.b64encode(public).decode())


def _purpose(domain: str, selector: str) -> str:
    return f"dkim {selector}.{domain}"
