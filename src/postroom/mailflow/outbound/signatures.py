"""Which letters leave with a signature of ours, and by which keys: those that our users and this server wrote under a domain of ours.

They bear the mark of it since they were written; what only passes through has none, whatever its From line says. Keys are looked at anew
when a mail domain has been changed, and every few seconds, so that a rotation is noticed by every process. A domain that is so new that it
has none gets its first one here: no letter of ours leaves unsigned.
"""

from collections import OrderedDict
from dataclasses import dataclass

from postroom.directory import dkim, domains
from postroom.mailflow import signing
from postroom.mailflow.queue import Parcel
from postroom.mailflow.signing import Key
from postroom.storage.engine import Store, Tx

FRESH = 5.0
"""Seconds for which keys are taken to be those of the domain still."""
MAX_DOMAINS = 256
"""Domains whose keys are kept loaded."""
MAX_SIGNATURES = 1024
"""Letters whose signatures are kept for their other recipients."""
LARGE = 128 * 1024
"""Octets above which a letter is signed on a storage thread."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The keys of a domain, and when they were read."""

    keys: tuple[Key, ...]
    at: float


class Signatures:
    """Signs letters on their way out."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._keys: OrderedDict[tuple[int, str], _Loaded] = OrderedDict()
        self._made: OrderedDict[tuple[int, int, str, tuple[bytes, ...]], bytes] = OrderedDict()
        self._stop_listening = store.notifier.on(domains.TOPIC, self._forget)

    def close(self) -> None:
        """Listen no more."""
        self._stop_listening()

    async def sign(self, parcel: Parcel, raw: bytes) -> bytes:
        """Give a letter as it leaves: signed, if it is ours and so is its domain."""
        domain = signing.author_domain(raw) if parcel.assessment.ours else ""
        keys = await self._load(parcel.scope, domain) if domain else ()
        if not keys:
            return raw
        raw = signing.even(raw)
        mark = (parcel.scope, parcel.content, domain, tuple(key.mark for key in keys))
        fields = self._made.get(mark)
        if fields is None:
            fields = await self._fields(raw, domain, keys)
            self._made[mark] = fields
            while len(self._made) > MAX_SIGNATURES:
                self._made.popitem(last=False)
        return fields + raw

    async def _fields(self, raw: bytes, domain: str, keys: tuple[Key, ...]) -> bytes:
        now = self._store.now()
        if len(raw) <= LARGE:
            return signing.fields(raw, domain, keys, now)
        return await self._store.run(signing.fields, raw, domain, keys, now)

    async def _load(self, scope: int, domain: str) -> tuple[Key, ...]:
        known, now = self._keys.get((scope, domain)), self._store.now()
        if known is not None and 0 <= now - known.at < FRESH:
            return known.keys
        keys = await self._store.look(scope, keys_of, domain)
        if not keys and (new := await self._store.look(scope, dkim.keyless, domain)):
            made = await self._store.run(dkim.make, new.dkim_tokens[:1])
            await self._store.transact(scope, dkim.keep, new, made)
            keys = await self._store.look(scope, keys_of, domain)
        if keys:
            self._keys[scope, domain] = _Loaded(keys, now)
        while len(self._keys) > MAX_DOMAINS:
            self._keys.popitem(last=False)
        return keys

    def _forget(self, scope: int) -> None:
        for mark in [mark for mark in self._keys if mark[0] == scope]:
            del self._keys[mark]


def keys_of(tx: Tx, domain: str) -> tuple[Key, ...]:
    """Load the keys that sign for a domain: none unless it is a verified one of the organization."""
    return tuple(signing.load(selector, private) for selector, private in dkim.signers(tx, domain))
