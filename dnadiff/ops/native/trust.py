"""Whether a kernel may serve: it must be there, and agree with the reference once per process."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from dnadiff.errors import InputError
from dnadiff.ops.native.library import MEND, Library, load

Function = Callable[..., Tensor]
Inputs = Mapping[str, Any]  # arguments by name; tensors of floats are differentiated

TOLERANCE = 1e-4  # of the largest value, on inputs of order 1: what float32 rounding leaves is a hundredth of it


def serves(name: str, implementation: Literal["auto", "native"], trouble: str | None, *tensors: Tensor | None) -> bool:
    """Whether the C kernel computes this call.

    Args:
        name: of the operation, for the message.
        implementation: "native" insists.
        trouble: why the kernel cannot serve at all, as `trouble` says.
        tensors: arguments; a kernel takes CPU tensors and computes in float32.

    Raises:
        InputError: the kernel is asked for by name and cannot serve.
    """
    given = [tensor for tensor in tensors if tensor is not None]
    if any(tensor.device.type != "cpu" or tensor.dtype == torch.float64 for tensor in given):
        trouble = f"the C kernel takes CPU tensors of float32 or bfloat16, found {given[0].dtype} on {given[0].device}"
    if trouble is not None and implementation == "native":
        mend = "use implementation='auto'" if isinstance(load(), Library) else MEND
        raise InputError(f"{name}: no implementation 'native' here: {trouble}; {mend}")
    return trouble is None


@functools.cache
def find_trouble(
    name: str, native: Function, reference: Function, examples: Callable[[], Iterable[Inputs]]
) -> str | None:
    """Why the kernel cannot serve, or None; one that computes something else than the reference is warned of."""
    library = load()
    if not isinstance(library, Library):
        return library
    error = max(disagreement(native, reference, inputs) for inputs in examples())
    if error < TOLERANCE:
        return None
    found = f"the C kernel of the {name} ({library.levels[0]}) is wrong on this machine (relative error {error:.1e})"
    warnings.warn(f"{found}; the reference in torch serves instead, more slowly", RuntimeWarning, stacklevel=2)
    return found


def disagreement(native: Function, reference: Function, inputs: Inputs) -> float:
    """Largest error of the output and of each gradient, over the largest value; the reference runs in float64."""
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast("cpu", enabled=False):
        found = _values_and_gradients(native, inputs, torch.float32)
        expected = _values_and_gradients(reference, inputs, torch.float64)
    return max(_error(*pair) for pair in zip(found, expected, strict=True))


def _values_and_gradients(function: Function, inputs: Inputs, dtype: torch.dtype) -> list[Tensor]:
    cast = dict(inputs)
    for name, value in inputs.items():
        if isinstance(value, Tensor) and value.is_floating_point():
            cast[name] = value.detach().to(dtype, copy=True).requires_grad_()
    y = function(**cast)
    wanted = [value for value in cast.values() if isinstance(value, Tensor) and value.requires_grad]
    weights = torch.linspace(-1, 2, y.numel(), dtype=dtype, device="cpu").view_as(y)
    return [y.detach(), *torch.autograd.grad((y * weights).sum(), wanted)]


def _error(found: Tensor, expected: Tensor) -> float:
    error = float((found.double() - expected).abs().max() / expected.abs().max().clamp_min(1e-30))
    return error if error == error else float("inf")  # a NaN is as wrong as can be
