"""Which kernel computes a call: one that is there, can do what is asked, and agreed with the reference on this device.

The comparison is made when a kernel is first needed. Agreement is noted in the cache folder, for this device and these
versions; a kernel that was found wrong is tried again, and warned of, in every process.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import platform
import warnings
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dnadiff.cache import cache_folder
from dnadiff.errors import InputError, ResourceError, nearest
from dnadiff.files import write_text

log = logging.getLogger(__name__)

Function = Callable[..., Tensor]
Inputs = Mapping[str, Any]  # arguments by name; tensors of floats are differentiated

TOLERANCE = 1e-4  # of the largest value, on inputs of order 1: what float32 rounding leaves is a hundredth of it
TOLERANCE_BF16 = 2e-2  # where some of the inputs, and their gradients, are bf16, whose rounding is 4e-3


class Kernel(NamedTuple):
    """One fast way to compute an operation."""

    name: str  # as users ask for it
    title: str  # in messages
    device: str  # type of device that it is made for
    run: Function  # takes what the operation takes
    limits: Callable[..., str | None]  # given the same, why it cannot compute that
    missing: Callable[[], str | None]  # why it is not there at all
    mend: str  # how to get it
    build: Callable[[], str]  # which one of several, and its version
    fall_back: Callable[[], bool] = lambda: False  # from a wrong build to the next; False where there is none
    automatic: bool = True  # serves without being asked for


class Operation(NamedTuple):
    """What kernels compute."""

    name: str  # in messages
    definition: Function  # in torch; runs anywhere
    examples: Callable[[], Iterable[Inputs]]  # small inputs on the CPU that reach every branch of a kernel
    kernels: tuple[Kernel, ...]  # best first


OPERATIONS: dict[str, Operation] = {}  # by name


def choose(operation: Operation, implementation: str, inputs: Inputs) -> Function:
    """What computes this call.

    Args:
        implementation: "torch" is the definition; "auto" the first kernel made for the device of x that can, or else
            the definition; the name of a kernel insists on it.
        inputs: arguments of the operation, x among them.

    Raises:
        InputError: a name that does not exist, or a kernel that is asked for by name and cannot serve.
    """
    names = {kernel.name: kernel for kernel in operation.kernels}
    device = inputs["x"].device
    if implementation in names:
        trouble = _trouble(operation, names[implementation], device, inputs)
        if trouble is not None:
            raise InputError(f"{operation.name}: no implementation {implementation!r} here: {trouble}")
        return names[implementation].run
    if implementation not in ("auto", "torch"):
        known = ("auto", "torch", *names)
        found = f"{operation.name}: no implementation {implementation!r}{nearest(implementation, known)}"
        raise InputError(f"{found}; use one of {', '.join(known)}")
    for kernel in operation.kernels if implementation == "auto" else ():
        suits = kernel.automatic and kernel.device == device.type
        if suits and _trouble(operation, kernel, device, inputs) is None:
            return kernel.run
    return operation.definition


def _trouble(operation: Operation, kernel: Kernel, device: torch.device, inputs: Inputs) -> str | None:
    """Why a kernel cannot compute this call, with the mend."""
    if missing := _missing(operation.name, kernel.name):
        return f"{missing}; {kernel.mend}"
    if limit := kernel.limits(**inputs):
        return f"{kernel.title} {limit}; use implementation='auto'"
    if wrong := _wrong(operation.name, kernel.name, device):
        return f"{wrong}; use implementation='auto'"
    return None


# Constants to torch.compile, and so must be their arguments: names.
@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _missing(operation: str, kernel: str) -> str | None:
    return _find(operation, kernel).missing()


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _wrong(operation: str, kernel: str, device: torch.device) -> str | None:
    return find_trouble(operation, kernel, device)


def _find(operation: str, kernel: str) -> Kernel:
    return next(each for each in OPERATIONS[operation].kernels if each.name == kernel)


@functools.cache
def find_trouble(operation_name: str, kernel_name: str, device: torch.device) -> str | None:
    """Why a kernel that is there cannot be trusted on this device; if so it is warned of."""
    operation, kernel = OPERATIONS[operation_name], _find(operation_name, kernel_name)
    while True:
        note = _note_of(operation, kernel, device)
        if _is_noted(note):
            return None
        if device.type == "cuda":
            log.info(
                "%s of the %s is compiled and compared with torch on %s, once", kernel.title, operation.name, device
            )
        with ThreadPoolExecutor(1) as apart:  # where no mode of the caller reaches, such as the tracing of torch.export
            found = apart.submit(_compare, operation, kernel, device).result()
        if found is None:
            _keep(note)
            return None
        wrong = f"{kernel.title} of the {operation.name} ({kernel.build()}) {found}"
        warnings.warn(f"{wrong}; the next best serves instead, more slowly", RuntimeWarning, stacklevel=2)
        if not kernel.fall_back():
            return wrong


def _compare(operation: Operation, kernel: Kernel, device: torch.device) -> str | None:
    """What is wrong with a kernel on the examples that it can compute."""
    try:
        shares = [
            disagreement(kernel.run, operation.definition, inputs, device=device) / _tolerance(inputs)
            for inputs in operation.examples()
            if kernel.limits(**_moved(inputs, device)) is None
        ]
    except Exception as error:  # whatever a kernel, its compiler or its driver may raise: torch can still serve
        return f"fails on this machine ({type(error).__name__}: {str(error).strip().partition(chr(10))[0]})"
    worst = max(shares)
    return None if worst < 1 else f"is wrong on this machine ({worst:.1e} times the error of rounding)"


def _tolerance(inputs: Inputs) -> float:
    types = {value.dtype for value in inputs.values() if isinstance(value, Tensor)}
    return TOLERANCE_BF16 if torch.bfloat16 in types else TOLERANCE


def disagreement(found: Function, definition: Function, inputs: Inputs, *, device: torch.device) -> float:
    """Largest error of the output and of each gradient, over the largest value.

    Args:
        found: computes on the device.
        definition: computes in float64 on the CPU.
        inputs: of both, on the CPU.
    """
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
        torch.autocast(device.type, enabled=False),
    ):
        values = _values_and_gradients(found, _moved(inputs, device))
        exact = {name: value.double() if _is_floating(value) else value for name, value in inputs.items()}
        expected = _values_and_gradients(definition, exact)
    return max(_error(one.cpu(), other) for one, other in zip(values, expected, strict=True))


def _moved(inputs: Inputs, device: torch.device) -> dict[str, Any]:
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in inputs.items()}


def _is_floating(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _values_and_gradients(function: Function, inputs: Inputs) -> list[Tensor]:
    leaves = {n: v.detach().clone().requires_grad_() if _is_floating(v) else v for n, v in inputs.items()}
    y = function(**leaves)
    wanted = [value for value in leaves.values() if _is_floating(value)]
    weights = torch.linspace(-1, 2, y.numel(), dtype=torch.float64, device="cpu").view_as(y).to(y.device)
    return [y.detach(), *torch.autograd.grad((y.double() * weights).sum(), wanted)]


def _error(found: Tensor, expected: Tensor) -> float:
    error = float((found.double() - expected).abs().max() / expected.abs().max().clamp_min(1e-30))
    return error if error == error else float("inf")  # a NaN is as wrong as can be


class _Note(NamedTuple):
    """That a kernel agreed with the reference."""

    name: str  # of the file
    text: str  # all that it depends on


def _note_of(operation: Operation, kernel: Kernel, device: torch.device) -> _Note:
    depends_on = {
        "operation": operation.name,
        "kernel": kernel.name,
        "build": kernel.build(),
        "sources": _sources(),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
    }
    text = json.dumps(depends_on, indent=1) + "\n"
    return _Note(f"{operation.name}-{kernel.name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json", text)


def _is_noted(note: _Note) -> bool:
    with suppress(OSError, ResourceError, UnicodeDecodeError):  # what cannot be read says nothing
        return (_notes() / note.name).read_text(encoding="utf-8") == note.text
    return False


def _keep(note: _Note) -> None:
    with suppress(OSError, ResourceError):  # the next process compares again
        _notes().mkdir(exist_ok=True)
        write_text(_notes() / note.name, note.text)


def _notes() -> Path:
    return cache_folder() / "kernels"


@functools.cache
def _sources() -> str:
    """Of every operation and kernel."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*")):
        if path.suffix in (".c", ".h", ".py"):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def _processor() -> str:
    """The name of this processor, as far as the system tells."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
