"""How the process asks for memory and gives it back.

glibc keeps what was once freed in large pieces, a letter's 40 MB for instance, and gives every thread an arena of its
own; a mail server would rather return both. Other C libraries are left as they are.

Password checks come in crowds, of 7 MiB each, and to ask the kernel for those pages again and again would add a quarter to what they
cost. So their two threads are started first, which gives each an arena of its own: there the pages stay for the next check, and no
connection's buffers settle among them. Every ten seconds all that is free is given back.
"""

import asyncio
import ctypes
import gc
import time

import structlog

from postroom.policy import passwords

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
LARGE_BYTES = 8 << 20
"""Above the 7 MiB of a password check."""
ARENAS = 1 + passwords.LANES
"""One for the event loop and one for each hashing thread; the storage threads share them."""
TRIM_SECONDS = 10.0

log = structlog.get_logger("postroom.server")


def economize() -> None:
    """Give freed memory of eight megabytes and more back at once; to be called before threads start."""
    tune = _glibc("mallopt")
    if tune:
        for parameter, value in ((M_MMAP_THRESHOLD, LARGE_BYTES), (M_TRIM_THRESHOLD, LARGE_BYTES), (M_ARENA_MAX, ARENAS)):
            tune(parameter, value)
    passwords.start()


def settle() -> None:
    """Set aside what start-up made: it stays for good, so the collector need not look at it again."""
    gc.collect()
    gc.freeze()
    trim = _glibc("malloc_trim")
    if trim:
        trim(0)


async def keep_small() -> None:
    """Give free memory back every ten seconds, for ever; takes less than a millisecond."""
    trim = _glibc("malloc_trim")
    while trim:
        await asyncio.sleep(TRIM_SECONDS)
        started = time.perf_counter()
        trim(0)
        log.debug("memory_trimmed", seconds=round(time.perf_counter() - started, 4))


def _glibc(name: str) -> "ctypes._NamedFuncPointer | None":
    library = ctypes.CDLL(None)
    return getattr(library, name, None) if hasattr(library, "gnu_get_libc_version") else None
