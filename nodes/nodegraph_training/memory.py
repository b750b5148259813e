"""Keep freed memory in the process: every training step allocates the same blocks again."""

import ctypes
import sys

# Source: glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8


def keep_freed_memory() -> bool:
    """Tell glibc to reuse large blocks instead of handing them back; return whether it listened.

    Each block that goes back to the system comes anew as zeroed pages, one fault for 4 KiB,
    a large cost beside the convolutions of a CPU. One arena, for the others cannot hold blocks of
    more than 32 MiB.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    wanted = {
        _MMAP_THRESHOLD: 1 << 30,
        _TRIM_THRESHOLD: (1 << 31) - 1,
        _TOP_PAD: 64 << 20,
        _ARENA_MAX: 1,
    }
    return all(mallopt(name, value) == 1 for name, value in wanted.items())
