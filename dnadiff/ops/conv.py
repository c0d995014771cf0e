"""A short depthwise convolution that looks to one side only (Mamba's, Gu & Dao 2023, figure 3).

Written as one multiply-add per tap on the (batch, length, channels) layout: no transposes, and with its own gradient
half as much time as torch's grouped convolution on a CPU.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from dnadiff.ops.segments import segment_starts


def causal_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    valid: Tensor | None = None,
    segments: Tensor | None = None,
    reverse: bool = False,
    activation: Literal["silu", "none"] = "silu",
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

    Returns:
        (batch, length, channels) in the type of x.
    """
    dtype = torch.promote_types(torch.promote_types(x.dtype, weight.dtype), torch.float32)
    inputs = x.to(dtype) if valid is None else x.to(dtype) * valid.unsqueeze(-1)
    document = None if segments is None else segment_starts(segments).cumsum(1)
    taps, offset = weight.to(dtype), bias.to(dtype)
    y: Tensor = _Conv.apply(inputs, taps, offset, document, reverse)  # type: ignore[no-untyped-call]
    return (F.silu(y) if activation == "silu" else y).to(x.dtype)


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
