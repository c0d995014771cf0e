"""The selective scan of Mamba (Gu & Dao 2023, section 3): a recurrence whose step and maps depend on the input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from dnadiff.ops import published
from dnadiff.ops.chunked_scan import chunked_scan
from dnadiff.ops.native import library as native
from dnadiff.ops.native.scan import native_scan
from dnadiff.ops.own import native_kernel, restarts, triton_kernel
from dnadiff.ops.segments import segment_starts
from dnadiff.ops.triton import library as triton
from dnadiff.ops.trust import OPERATIONS, Operation, choose

Implementation = Literal["auto", "torch", "native", "triton", "mamba_ssm"]


def selective_scan(
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    *,
    D: Tensor | None = None,
    gate: Tensor | None = None,
    plus: Tensor | None = None,
    delta_bias: Tensor | None = None,
    valid: Tensor | None = None,
    segments: Tensor | None = None,
    reverse: bool = False,
    implementation: Implementation = "auto",
) -> Tensor:
    """h_t = exp(d_t A) h_(t-1) + d_t B_t x_t and y_t = C_t . h_t + D x_t + plus_t, times silu(gate_t).

    The step is d_t = softplus(delta_t + delta_bias). Everything is float32, or float64 where x or A is, whatever the
    autocast.

    Args:
        x, delta, gate, plus: (batch, length, channels); delta is raw, before bias and softplus.
        A: (channels, states), negative.
        B, C: (batch, length, states).
        D, delta_bias: (channels,).
        valid: (batch, length) bool; where it is False, d_t is 0 and the state passes unchanged.
        segments: (batch, length) integers; the state starts anew where the number changes.
        reverse: run from the last position to the first; outputs stay at their positions.
        implementation: "torch" is the reference, "native" the C kernel for CPUs, "triton" the kernel for GPUs,
            "mamba_ssm" that of the authors; "auto" the first of native and triton that can, or else torch.

    Returns:
        (batch, length, channels) in the type of x.

    Raises:
        InputError: an implementation that does not exist, or not here.
    """
    inputs: dict[str, Any] = {"x": x, "delta": delta, "A": A, "B": B, "C": C, "D": D, "gate": gate}
    inputs |= {"plus": plus, "delta_bias": delta_bias, "valid": valid, "segments": segments, "reverse": reverse}
    return choose(SCAN, implementation, inputs)(**inputs)


def _by_definition(
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    *,
    D: Tensor | None,
    gate: Tensor | None,
    plus: Tensor | None,
    delta_bias: Tensor | None,
    valid: Tensor | None,
    segments: Tensor | None,
    reverse: bool,
) -> Tensor:
    """`selective_scan` in plain torch: what every kernel must agree with."""
    dtype = torch.promote_types(torch.promote_types(x.dtype, A.dtype), torch.float32)
    with torch.autocast(x.device.type, enabled=False):
        inputs = x.to(dtype)
        raw = delta.to(dtype) if delta_bias is None else delta.to(dtype) + delta_bias.to(dtype)
        steps = F.softplus(raw) if valid is None else F.softplus(raw) * valid.unsqueeze(-1)
        restart = None if segments is None else segment_starts(segments, reverse=reverse)
        y = chunked_scan(inputs, steps, A.to(dtype), B.to(dtype), C.to(dtype), restart=restart, reverse=reverse)
        if D is not None:
            y = torch.addcmul(y, inputs, D.to(dtype))
        if plus is not None:
            y = y + plus.to(dtype)
        if gate is not None:
            y = y * F.silu(gate.to(dtype))
    return y.to(x.dtype)


def _native(*, segments: Tensor | None, reverse: bool, **inputs: Any) -> Tensor:
    return native_scan(**inputs, restart=restarts(segments, reverse=reverse), reverse=reverse)


def _triton(*, segments: Tensor | None, reverse: bool, **inputs: Any) -> Tensor:
    from dnadiff.ops.triton.scan import triton_scan

    return triton_scan(**inputs, restart=restarts(segments, reverse=reverse), reverse=reverse)


def _examples() -> Iterator[dict[str, Any]]:
    """Small inputs that reach every branch of a kernel: directions, partial blocks, masks, one chunk or more, types."""
    drawn, position = _drawn(70), torch.arange(70, device="cpu").expand(2, 70)
    yield {**drawn, "valid": position % 7 != 3, "segments": position // 11, "reverse": True}
    yield {**drawn, "valid": None, "segments": None, "reverse": True}
    plain = dict.fromkeys(("D", "gate", "plus", "delta_bias", "valid", "segments")) | {"reverse": False}
    yield {**drawn, **plain}
    short = {name: value.bfloat16() if value.dim() == 3 else value for name, value in _drawn(9).items()}
    yield {**short, "valid": None, "segments": None, "reverse": False}


def _drawn(length: int) -> dict[str, Tensor]:
    """Two rows of 83 channels and 5 states, float32."""
    generator = torch.Generator().manual_seed(0)
    rows, maps, channels = (2, length, 83), (2, length, 5), (83,)
    shapes = {"x": rows, "delta": rows, "A": (83, 5), "B": maps, "C": maps, "D": channels, "gate": rows}
    shapes |= {"plus": rows, "delta_bias": channels}
    drawn = {name: torch.randn(s, generator=generator, dtype=torch.float32, device="cpu") for name, s in shapes.items()}
    return {**drawn, "A": -drawn["A"].exp()}


SCAN = OPERATIONS["scan"] = Operation(
    "scan",
    _by_definition,
    _examples,
    (
        native_kernel("scan", _native, lambda x, A, **_: native.limits(x, A)),
        triton_kernel(_triton, lambda x, A, **_: triton.limits(x, A)),
        published.MAMBA_SCAN,
    ),
)
