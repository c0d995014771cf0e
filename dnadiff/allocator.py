"""Let the C library keep the memory that training frees and asks for again.

By default glibc returns every large block to the system and takes it back page by page, zeroed, at the next step: 4 %
of a training step of Caduceus (470K parameters, 8 x 1,024 bases), and a quarter of one on windows of 32,768 bases. The
setting is of the whole process, so only the command line makes it on its own; in a notebook call `keep_memory()` once,
before the first model.
"""

from __future__ import annotations

import ctypes
import platform

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4  # malloc.h
_LARGEST_INT = 2**31 - 1
_LARGE = 32 << 20  # bytes; glibc takes no greater threshold

_keeps = False


def keep_memory() -> bool:
    """Stop glibc from returning freed memory to the system.

    Returns:
        True if it was told so; False on other C libraries.
    """
    global _keeps  # as the setting itself is the process's
    if platform.libc_ver()[0] == "glibc":
        _set(_TRIM_THRESHOLD, _LARGEST_INT)
        _set(_TOP_PAD, 64 << 20)
        _keeps = _set(_MMAP_MAX, 0)
    return _keeps


def return_large_blocks() -> None:
    """From now on blocks above 32 MB go back at once; nothing where `keep_memory` was not called.

    With activation checkpointing blocks of many sizes follow each other: kept, they leave gaps that others do not fit
    into, which doubled the memory of a step.
    """
    if _keeps:
        _set(_MMAP_THRESHOLD, _LARGE)
        _set(_MMAP_MAX, 1 << 16)  # glibc's default


def _set(parameter: int, value: int) -> bool:
    return bool(ctypes.CDLL(None).mallopt(parameter, value))
