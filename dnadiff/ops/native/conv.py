"""The causal convolution in C as a torch operator, with a shape function and a gradient (another operator)."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from dnadiff.ops.native.library import Rows, as_mask, as_rows, call_kernel


def native_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    valid: Tensor | None,
    restart: Tensor | None,
    reverse: bool,
    silu: bool,
) -> Tensor:
    """The convolution in float32; arguments as in `dnadiff.ops.conv.causal_conv`.

    Args:
        restart: (batch, length) bool, True where nothing before is seen.
        silu: apply it to the result.
    """
    channels, rows = x.shape[2:], x.shape[:2]  # a kernel trusts these shapes: expand refuses others
    taps, offset = weight.float().expand(*channels, -1), bias.float().expand(channels)
    masks = [as_mask(mask, rows) for mask in (valid, restart)]
    y: Tensor = _forward(as_rows(x, x.shape), taps, offset, *masks, reverse, silu)
    return y.to(x.dtype)


class _Conv(ctypes.Structure):
    """Mirrors `Conv` in kernels.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("batch", "length", "channels", "taps", "reverse", "silu")),
        *((name, Rows) for name in ("x", "y")),
        *((name, ctypes.c_void_p) for name in ("weight", "bias", "valid", "restart")),
        *((name, Rows) for name in ("dy", "dx")),
        *((name, ctypes.c_void_p) for name in ("d_weight", "d_bias")),
    ]


@torch.library.custom_op("dnadiff::causal_conv", mutates_args=(), device_types="cpu")
def _forward(
    x: Tensor, weight: Tensor, bias: Tensor, valid: Tensor | None, restart: Tensor | None, reverse: bool, silu: bool
) -> Tensor:
    """Output (batch, length, channels) in the type of x."""
    y = x.new_empty(x.shape)
    inputs = {"x": x, "weight": weight, "bias": bias, "valid": valid, "restart": restart}
    call_kernel("conv", _Conv(*x.shape, weight.shape[1], reverse, silu), backward=False, y=y, **inputs)
    return y


@_forward.register_fake
def _(
    x: Tensor, weight: Tensor, bias: Tensor, valid: Tensor | None, restart: Tensor | None, reverse: bool, silu: bool
) -> Tensor:
    return x.new_empty(x.shape)


@torch.library.custom_op("dnadiff::causal_conv_backward", mutates_args=(), device_types="cpu")
def _backward(
    dy: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    valid: Tensor | None,
    restart: Tensor | None,
    reverse: bool,
    silu: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, weight and bias."""
    dx, d_weight = x.new_empty(x.shape), weight.new_empty(len(x), *weight.shape)
    d_bias = bias.new_empty(len(x), len(bias))
    inputs = {"x": x, "weight": weight, "bias": bias, "valid": valid, "restart": restart, "dy": dy}
    outputs = {"dx": dx, "d_weight": d_weight, "d_bias": d_bias}
    call_kernel("conv", _Conv(*x.shape, weight.shape[1], reverse, silu), backward=True, **inputs, **outputs)
    return dx, d_weight.sum(0), d_bias.sum(0)


@_backward.register_fake
def _(
    dy: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    valid: Tensor | None,
    restart: Tensor | None,
    reverse: bool,
    silu: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    return x.new_empty(x.shape), weight.new_empty(weight.shape), bias.new_empty(bias.shape)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.reverse, ctx.silu = inputs
    ctx.save_for_backward(*tensors)


def _gradient(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    grads = _backward(dy, *ctx.saved_tensors, ctx.reverse, ctx.silu)
    return (*grads, None, None, None, None)


_forward.register_autograd(_gradient, setup_context=_setup_context)
