"""The selective scan in C as a torch operator, with a shape function and a gradient (another operator)."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from dnadiff.ops.native.build import BLOCK, STEPS
from dnadiff.ops.native.library import Rows, as_mask, as_rows, call_kernel

Grads = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def native_scan(
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    *,
    D: Tensor | None,
    gate: Tensor | None,
    delta_bias: Tensor | None,
    valid: Tensor | None,
    restart: Tensor | None,
    reverse: bool,
) -> Tensor:
    """The scan with a float32 state; arguments as in `dnadiff.ops.scan.selective_scan`.

    Args:
        restart: (batch, length) bool, True where h_(t-1) is replaced by zero.
    """
    maps, channels = (*x.shape[:2], A.shape[1]), x.shape[2:]  # a kernel trusts these shapes: expand refuses others
    inputs = [
        as_rows(x, x.shape),
        as_rows(delta, x.shape),
        A.float().expand(*channels, -1),
        B.float().expand(maps),
        C.float().expand(maps),
        None if D is None else D.float().expand(channels),
        None if gate is None else as_rows(gate, x.shape),
        None if delta_bias is None else delta_bias.float().expand(channels),
    ]
    masks = [as_mask(mask, x.shape[:2]) for mask in (valid, restart)]
    keep = torch.is_grad_enabled() and any(value is not None and value.requires_grad for value in inputs)
    y, _ = _forward(*inputs, *masks, reverse, keep)
    result: Tensor = y.to(x.dtype)
    return result


class _Scan(ctypes.Structure):
    """Mirrors `Scan` in kernels.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("batch", "length", "channels", "states", "reverse")),
        *((name, Rows) for name in ("x", "delta", "gate", "y")),
        *((name, ctypes.c_void_p) for name in ("A", "B", "C", "D", "delta_bias", "valid", "restart", "kept")),
        *((name, Rows) for name in ("dy", "dx", "d_delta", "d_gate")),
        *((name, ctypes.c_void_p) for name in ("dA", "dB", "dC", "d_D", "d_bias")),
    ]


def _kept_shape(x: Tensor, A: Tensor, *, keep: bool) -> tuple[int, ...]:
    """(batch, blocks, chunks, states, BLOCK), or nothing."""
    batch, length, channels = x.shape
    return (batch, -(-channels // BLOCK), -(-length // STEPS), A.shape[1], BLOCK) if keep else (0,)


@torch.library.custom_op("dnadiff::selective_scan", mutates_args=(), device_types="cpu")
def _forward(
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    gate: Tensor | None,
    delta_bias: Tensor | None,
    valid: Tensor | None,
    restart: Tensor | None,
    reverse: bool,
    keep: bool,
) -> tuple[Tensor, Tensor]:
    """Output (batch, length, channels) in the type of x, and the states that the gradient starts from."""
    y = x.new_empty(x.shape)
    kept = A.new_empty(_kept_shape(x, A, keep=keep))
    inputs = {"x": x, "delta": delta, "A": A, "B": B, "C": C, "D": D, "gate": gate, "delta_bias": delta_bias}
    inputs |= {"valid": valid, "restart": restart, "kept": kept if keep else None}
    call_kernel("scan", _Scan(*x.shape, A.shape[1], reverse), backward=False, y=y, **inputs)
    return y, kept


@_forward.register_fake
def _(
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    gate: Tensor | None,
    delta_bias: Tensor | None,
    valid: Tensor | None,
    restart: Tensor | None,
    reverse: bool,
    keep: bool,
) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), A.new_empty(_kept_shape(x, A, keep=keep))


@torch.library.custom_op("dnadiff::selective_scan_backward", mutates_args=(), device_types="cpu")
def _backward(
    dy: Tensor,
    kept: Tensor,
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    gate: Tensor | None,
    delta_bias: Tensor | None,
    valid: Tensor | None,
    restart: Tensor | None,
    reverse: bool,
) -> Grads:
    """Gradients of x, delta, A, B, C, D, gate and delta_bias; the gate's is empty where there is no gate."""
    rows, blocks = kept.shape[:2]
    dx, d_delta = x.new_empty(x.shape), delta.new_empty(x.shape)
    d_gate = None if gate is None else gate.new_empty(x.shape)
    dA, dB, dC = A.new_empty(rows, *A.shape), B.new_empty(blocks, *B.shape), C.new_empty(blocks, *C.shape)
    d_D, d_bias = A.new_empty(rows, len(A)), A.new_empty(rows, len(A))
    inputs = {"x": x, "delta": delta, "A": A, "B": B, "C": C, "D": D, "gate": gate, "delta_bias": delta_bias}
    outputs = {
        "dx": dx,
        "d_delta": d_delta,
        "d_gate": d_gate,
        "dA": dA,
        "dB": dB,
        "dC": dC,
        "d_D": d_D,
        "d_bias": d_bias,
    }
    inputs |= {"valid": valid, "restart": restart, "kept": kept, "dy": dy}
    call_kernel("scan", _Scan(*x.shape, A.shape[1], reverse), backward=True, **inputs, **outputs)
    d_gate = A.new_empty(0) if d_gate is None else d_gate
    return dx, d_delta, dA.sum(0), dB.sum(0), dC.sum(0), d_D.sum(0), d_gate, d_bias.sum(0)


@_backward.register_fake
def _(
    dy: Tensor,
    kept: Tensor,
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    gate: Tensor | None,
    delta_bias: Tensor | None,
    valid: Tensor | None,
    restart: Tensor | None,
    reverse: bool,
) -> Grads:
    d_gate = A.new_empty(0) if gate is None else gate.new_empty(x.shape)
    per_channel = A.new_empty(x.shape[2])
    dA, dB, dC = A.new_empty(A.shape), B.new_empty(B.shape), C.new_empty(C.shape)
    return x.new_empty(x.shape), delta.new_empty(x.shape), dA, dB, dC, per_channel, d_gate, per_channel.clone()


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.reverse, _ = inputs
    ctx.save_for_backward(output[1], *tensors)
    ctx.set_materialize_grads(False)


def _gradient(ctx: Any, dy: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, ...]:
    kept, *tensors = ctx.saved_tensors
    if dy is None:
        return (None,) * 12
    grads = _backward(dy, kept, *tensors, ctx.reverse)
    present = [grad if tensor is not None else None for grad, tensor in zip(grads, tensors, strict=False)]
    return (*present, None, None, None, None)


_forward.register_autograd(_gradient, setup_context=_setup_context)
