"""A short depthwise convolution that looks to one side only (Mamba's, Gu & Dao 2023, figure 3).

Written as one multiply-add per tap on the (batch, length, channels) layout: no transposes, and with its own gradient
half as much time as torch's grouped convolution on a CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from dnadiff.ops import published
from dnadiff.ops.native import library as native
from dnadiff.ops.native.build import CONV_TAPS
from dnadiff.ops.native.conv import native_conv
from dnadiff.ops.own import native_kernel, restarts, triton_kernel
from dnadiff.ops.segments import segment_starts
from dnadiff.ops.triton import library as triton
from dnadiff.ops.trust import OPERATIONS, Operation, choose

Implementation = Literal["auto", "torch", "native", "triton", "causal_conv1d"]
Activation = Literal["silu", "none"]


def causal_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    valid: Tensor | None = None,
    segments: Tensor | None = None,
    reverse: bool = False,
    activation: Activation = "silu",
    implementation: Implementation = "auto",
) -> Tensor:
    """y_t = bias + sum over k of weight[:, kernel - 1 - k] x_(t-k), each channel by itself, then the activation.

    Computed in float32 or better.

    Args:
        x: (batch, length, channels).
        weight: (channels, kernel); the last tap sees the position itself.
        bias: (channels,).
        valid: (batch, length) bool; x counts as 0 where it is False.
        segments: (batch, length) integers; nothing is seen across a change of the number.
        reverse: look at t + k instead of t - k.
        activation: what follows.
        implementation: "torch" is the reference, "native" the C kernel for CPUs, "triton" the kernel for GPUs,
            "causal_conv1d" that of the authors; "auto" the first of native and triton that can, or else torch.

    Returns:
        (batch, length, channels) in the type of x.

    Raises:
        InputError: an implementation that does not exist, or not here.
    """
    inputs: dict[str, Any] = {"x": x, "weight": weight, "bias": bias, "valid": valid, "segments": segments}
    inputs |= {"reverse": reverse, "activation": activation}
    return choose(CONV, implementation, inputs)(**inputs)


def _by_definition(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    valid: Tensor | None,
    segments: Tensor | None,
    reverse: bool,
    activation: Activation,
) -> Tensor:
    """`causal_conv` in plain torch: what every kernel must agree with."""
    dtype = torch.promote_types(torch.promote_types(x.dtype, weight.dtype), torch.float32)
    inputs = x.to(dtype) if valid is None else x.to(dtype) * valid.unsqueeze(-1)
    document = None if segments is None else segment_starts(segments).cumsum(1)
    taps, offset = weight.to(dtype), bias.to(dtype)
    y: Tensor = _Conv.apply(inputs, taps, offset, document, reverse)  # type: ignore[no-untyped-call]
    return (F.silu(y) if activation == "silu" else y).to(x.dtype)


def _native(*, segments: Tensor | None, activation: Activation, reverse: bool, **inputs: Any) -> Tensor:
    restart = restarts(segments, reverse=reverse)
    return native_conv(**inputs, restart=restart, reverse=reverse, silu=activation == "silu")


def _triton(*, segments: Tensor | None, activation: Activation, reverse: bool, **inputs: Any) -> Tensor:
    from dnadiff.ops.triton.conv import triton_conv

    restart = restarts(segments, reverse=reverse)
    return triton_conv(**inputs, restart=restart, reverse=reverse, silu=activation == "silu")


def _many_taps(weight: Tensor) -> str | None:
    taps = weight.shape[1]
    return f"takes up to {CONV_TAPS} taps, found {taps}" if taps > CONV_TAPS else None


def _examples() -> Iterator[dict[str, Any]]:
    """Small inputs that reach every branch of a kernel: directions, whole and partial blocks, masks, types."""
    generator = torch.Generator().manual_seed(0)
    position = torch.arange(37, device="cpu").expand(2, 37)
    busy = {"valid": position % 7 != 3, "segments": position // 11, "reverse": True, "activation": "silu"}
    plain = {"valid": None, "segments": None, "reverse": False, "activation": "none"}
    mirrored = {"valid": None, "segments": None, "reverse": True, "activation": "silu"}
    for taps, options in ((4, busy), (4, plain), (4, mirrored), (3, busy)):
        shapes = {"x": (2, 37, 83), "weight": (83, taps), "bias": (83,)}
        drawn = {name: torch.randn(shape, generator=generator, dtype=torch.float32) for name, shape in shapes.items()}
        yield {**drawn, **options}
    yield {**drawn, **mirrored, "x": drawn["x"].bfloat16()}


CONV = OPERATIONS["conv"] = Operation(
    "conv",
    _by_definition,
    _examples,
    (
        native_kernel("conv", _native, lambda x, weight, **_: native.limits(x, weight) or _many_taps(weight)),
        triton_kernel(_triton, lambda x, weight, **_: triton.limits(x, weight) or _many_taps(weight)),
        published.MAMBA_CONV,
    ),
)


class _Conv(torch.autograd.Function):
    """The sum over taps; `document` (batch, length) numbers the segments without repeats."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, document: Tensor | None, reverse: bool) -> Tensor:
        ctx.save_for_backward(x, weight, document)
        ctx.reverse = reverse
        y = torch.addcmul(bias, x, weight[:, -1])
        for lag in range(1, min(weight.shape[1], x.shape[1])):
            here, there = _pair(lag, reverse=reverse)
            y[:, here].addcmul_(_same(x[:, there], document, lag), weight[:, -1 - lag])
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, document = ctx.saved_tensors
        dx = dy * weight[:, -1]
        dweight = torch.zeros_like(weight)
        dweight[:, -1] = (dy * x).sum((0, 1))
        for lag in range(1, min(weight.shape[1], x.shape[1])):
            here, there = _pair(lag, reverse=ctx.reverse)
            seen = _same(dy[:, here], document, lag)
            dx[:, there].addcmul_(seen, weight[:, -1 - lag])
            dweight[:, -1 - lag] = (seen * x[:, there]).sum((0, 1))
        return dx, dweight, dy.sum((0, 1)), None, None


def _pair(lag: int, *, reverse: bool) -> tuple[slice, slice]:
    """Positions that look, and the positions `lag` before (after, for `reverse`) that they look at."""
    late, early = slice(lag, None), slice(None, -lag)
    return (early, late) if reverse else (late, early)


def _same(values: Tensor, document: Tensor | None, lag: int) -> Tensor:
    """(batch, length - lag, channels), zero where the two positions of a pair lie in different documents."""
    return values if document is None else values * (document[:, lag:] == document[:, :-lag]).unsqueeze(-1)
