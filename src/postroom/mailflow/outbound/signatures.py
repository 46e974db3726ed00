"""How letters leave: those that our users and this server wrote signed under their domain, those that only pass through sealed (RFC 8617).

What is ours bears the mark of it since it was written, whatever a From line says. It leaves with a body of seven bits, so that no server on
the way has a reason to change what is signed (RFC 6376 §5.3). What others wrote stays as it is, as they may have signed it; only for a
server that takes no eight bits it is written anew, before it is sealed, and the seal tells of the signatures that it bore (RFC 6152 §3).
So it is with messages that letters of ours carry, in reports, in records of a journal or as attachments.

Keys are looked at anew when a mail domain has been changed, and every few seconds, so that a rotation is noticed by every process. A domain
that is so new that it has none gets its first one here: no letter of ours leaves unsigned.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from postroom.directory import dkim, domains
from postroom.formats import seven_bit
from postroom.mailflow import sealing, signing
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
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The keys of a domain, and when they were read."""

    keys: tuple[Key, ...]
    at: float


class Signatures:
    """Signs and seals letters on their way out."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._keys: OrderedDict[tuple[int, str], _Loaded] = OrderedDict()
        self._made: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self._stop_listening = store.notifier.on(domains.TOPIC, self._forget)

    def close(self) -> None:
        """Listen no more."""
        self._stop_listening()

    async def leaving(self, parcel: Parcel, raw: bytes, *, eight_bit: bool) -> bytes:
        """Give a letter as it leaves to a server, which takes bodies of eight bits or does not."""
        if parcel.assessment.ours and not parcel.sealer:
            return await self._sign(parcel, await self._seven(raw, carried=not eight_bit), eight_bit=eight_bit)
        if not eight_bit and not seven_bit.is_ascii(raw):
            raw = await self._seven(raw, carried=True)
        return await self._seal(parcel, raw) if parcel.sealer else raw

    async def _seven(self, raw: bytes, *, carried: bool) -> bytes:
        """Write a letter with a body of seven bits, if that can be, messages that it carries only where they must."""
        made = await self._run(raw, seven_bit.convert, raw, carried=carried)
        return raw if made is None else made

    async def _sign(self, parcel: Parcel, raw: bytes, *, eight_bit: bool) -> bytes:
        domain = signing.author_domain(raw)
        keys = await self._load(parcel.scope, domain) if domain else ()
        if not keys:
            return raw
        raw = signing.even(raw)
        mark = (parcel.scope, parcel.content, domain, eight_bit, *(key.mark for key in keys))
        return await self._before(mark, raw, signing.fields, raw, domain, keys, self._store.now()) + raw

    async def _seal(self, parcel: Parcel, raw: bytes) -> bytes:
        keys = [key for key in await self._load(parcel.scope, parcel.sealer) if key.algorithm in sealing.ALGORITHMS]
        if not keys:
            return raw
        raw, key = signing.even(raw), keys[0]
        mark = (parcel.scope, parcel.message, parcel.sealer, key.mark, len(raw))
        return await self._before(mark, raw, sealing.fields, raw, parcel.assessment, parcel.sealer, key, self._store.now()) + raw

    async def _before(self, mark: tuple[object, ...], raw: bytes, make: Callable[P, bytes], *args: P.args, **kwargs: P.kwargs) -> bytes:
        """Give the fields that are to stand before a letter, made once for all its recipients."""
        fields = self._made.get(mark)
        if fields is None:
            fields = self._made[mark] = await self._run(raw, make, *args, **kwargs)
            while len(self._made) > MAX_SIGNATURES:
                self._made.popitem(last=False)
        return fields

    async def _run(self, raw: bytes, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run what takes the longer the larger a letter is."""
        if len(raw) <= LARGE:
            return function(*args, **kwargs)
        return await self._store.run(function, *args, **kwargs)

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
