"""How the process asks for memory and gives it back.

glibc keeps what was once freed in large pieces, a letter's 40 MB for instance, and gives every thread an arena of its
own; a mail server would rather return both. Other C libraries are left as they are.
"""

import ctypes
import gc

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
LARGE_BYTES = 8 << 20
"""Above the 7 MiB of a password check: to ask the kernel for those again and again would double what a crowd signing in costs."""
ARENAS = 2


def economize() -> None:
    """Give freed memory of eight megabytes and more back at once; to be called before threads start."""
    tune = _glibc("mallopt")
    if tune:
        for parameter, value in ((M_MMAP_THRESHOLD, LARGE_BYTES), (M_TRIM_THRESHOLD, LARGE_BYTES), (M_ARENA_MAX, ARENAS)):
            tune(parameter, value)


def settle() -> None:
    """Set aside what start-up made: it stays for good, so the collector need not look at it again."""
    gc.collect()
    gc.freeze()
    trim = _glibc("malloc_trim")
    if trim:
        trim(0)


def _glibc(name: str) -> "ctypes._NamedFuncPointer | None":
    library = ctypes.CDLL(None)
    return getattr(library, name, None) if hasattr(library, "gnu_get_libc_version") else None
