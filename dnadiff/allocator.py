"""Let the C library keep the memory that training frees and asks for again.

By default glibc returns every large block to the system and takes it back page by page at the next step. A training
step of Caduceus (470K parameters, 8 x 1,024 bases, C kernels, two cores) took 0.92 s with this and 0.96 s without. Very
large blocks, those of long windows, still go back at once: kept too, they leave gaps that others do not fit into, which
doubled the memory of a step with activation checkpointing. The setting is of the whole process, so only the command
line makes it on its own; in a notebook call `keep_memory()` once, before the first model.
"""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h
_LARGEST_INT = 2**31 - 1
_KEPT = 32 << 20  # bytes; glibc takes no more


def keep_memory() -> bool:
    """Stop glibc from returning freed memory to the system, but for very large blocks.

    Returns:
        True if it was told so; False on other C libraries.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_M_TRIM_THRESHOLD, _LARGEST_INT)
    mallopt(_M_TOP_PAD, 64 << 20)
    return bool(mallopt(_M_MMAP_THRESHOLD, _KEPT))
