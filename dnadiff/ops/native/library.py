"""The compiled library: found, checked against its sources, and called through ctypes, which releases the GIL."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor

from dnadiff.ops.native import build

MEND = "install a C compiler (gcc or clang), then run `python -m dnadiff.ops.native.build`"

TYPES = (torch.float32, torch.bfloat16)  # that kernels read and write; they compute in float32


class Library(NamedTuple):
    """The compiled kernels."""

    functions: ctypes.CDLL
    levels: tuple[str, ...]  # of the instruction set, those that this processor has, best first


@functools.cache
def load() -> Library | str:
    """The library; where there is none, why."""
    if not build.LIBRARY.exists():
        return "the C kernels were not built"
    try:
        functions = ctypes.CDLL(str(build.LIBRARY))
        functions.dnadiff_sources.restype = ctypes.c_char_p
        built_from = functions.dnadiff_sources().decode()
    except (OSError, AttributeError) as error:
        return f"the C kernels do not load ({error})"
    if built_from != build.sources_hash():
        return "the C kernels were built from other sources"
    return Library(functions, tuple(name for name in build.levels() if functions.dnadiff_has_level(name.encode())))


def missing() -> str | None:
    """Why the kernels are not there."""
    library = load()
    return None if isinstance(library, Library) else library


def limits(x: Tensor, *others: Tensor) -> str | None:
    """Why the kernels cannot take these, apart from their shape."""
    if x.device.type != "cpu" or torch.float64 in (x.dtype, *(other.dtype for other in others)):
        return f"takes CPU tensors of float32 or bfloat16, found {x.dtype} on {x.device}"
    return None


_wrong: set[tuple[str, str]] = set()  # kernels and levels, as found on this machine


def level(name: str) -> str:
    """The best level of this processor at which the kernel `name` was not found wrong; or else the last."""
    library = load()
    assert isinstance(library, Library), library
    return next((each for each in library.levels if (name, each) not in _wrong), library.levels[-1])


def fall_back(name: str) -> bool:
    """Leave the level of a kernel, which is wrong; False where no other is left."""
    _wrong.add((name, level(name)))
    return (name, level(name)) not in _wrong


def _kernel(name: str) -> Callable[..., int]:
    """The C function `name`; only where `load` finds a library."""
    library = load()
    assert isinstance(library, Library), library
    function: Callable[..., int] = getattr(library.functions, f"dnadiff_{name}_{level(name)}")
    return function


def run_threads(work: Callable[[], int]) -> None:
    """Call `work` in as many threads at once as torch uses, this one among them.

    Raises:
        MemoryError: a call returned something else than 0.
    """
    others = [_executor(os.getpid()).submit(work) for _ in range(torch.get_num_threads() - 1)]
    try:
        failures = [work()]
    finally:  # even when interrupted: they write into tensors that the caller is about to free
        failed_others = [other.result() for other in others if not other.cancel()]  # too late to be of help
    if any(failures + failed_others):
        raise MemoryError("the C kernels found no memory for their scratch space")


@functools.cache
def _executor(pid: int) -> ThreadPoolExecutor:
    """Threads of this process (`pid`): a forked child has none of its parent's. They start when first needed."""
    return ThreadPoolExecutor(max_workers=max(64, os.cpu_count() or 1), thread_name_prefix="dnadiff-kernel")


class Rows(ctypes.Structure):
    """A tensor (batch, length, channels) with neighbouring channels, float32 or bf16; absent by default."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("row_step", ctypes.c_int64),
        ("time_step", ctypes.c_int64),
        ("is_bf16", ctypes.c_int64),
    ]

    @classmethod
    def of(cls, tensor: Tensor) -> Rows:
        """A view; the caller keeps the tensor."""
        return cls(tensor.data_ptr(), tensor.stride(0), tensor.stride(1), tensor.dtype == torch.bfloat16)


def call_kernel(name: str, arguments: ctypes.Structure, *, backward: bool, **tensors: Tensor | None) -> None:
    """Fill in the tensors and run the kernel.

    Args:
        name: of the C function.
        arguments: its structure; numbers are set.
        backward: compute the gradient.
        tensors: by field, or None. Those that are `Rows` are read and written where they are if their channels are
            neighbours; the others are copied unless contiguous. Outputs must be contiguous.

    Raises:
        MemoryError: no room for the kernel's scratch space.
    """
    held = []  # copies must outlive the call
    for field in arguments._fields_:
        tensor, is_rows = tensors.get(field[0]), field[1] is Rows
        if tensor is not None:
            held.append(tensor if is_rows and tensor.stride(-1) == 1 else tensor.contiguous())
            setattr(arguments, field[0], Rows.of(held[-1]) if is_rows else held[-1].data_ptr())
    next_block = ctypes.c_int64(0)
    function = _kernel(name)
    run_threads(lambda: function(ctypes.byref(arguments), ctypes.byref(next_block), int(backward)))
