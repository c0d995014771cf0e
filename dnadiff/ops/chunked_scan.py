"""The recurrence h_t = exp(delta_t A) h_(t-1) + delta_t B_t x_t, y_t = C_t . h_t, in plain torch, with its gradient.

A loop under autograd stores every state, and one that indexes its inputs costs O(length^2) to train. Here time is cut
into chunks whose buffers stay in cache. All but the recurrence itself is done for a whole chunk at once; only states at
chunk borders are kept, and the backward pass recomputes the others.

Legend: t steps of a chunk, b batch, n states, c channels. Buffers are (t, b, n, c): channels innermost, so that each
operation runs along them, and a step is one contiguous slice.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

STEP_ELEMENTS = 1 << 16  # states of the rows that run together: enough for torch to use several threads
CHUNK_ELEMENTS = 1 << 19  # states of a chunk: a few such buffers fit into the last level of cache
LEAST_STEPS = 16  # of a chunk: its border state is kept, so memory falls with the number of steps
LOG2_E = 1.0 / math.log(2.0)


def chunked_scan(
    x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, *, restart: Tensor | None, reverse: bool
) -> Tensor:
    """Run the recurrence over all rows.

    Args:
        x, delta: (batch, length, channels); delta is not negative.
        A: (channels, states), negative.
        B, C: (batch, length, states).
        restart: (batch, length) bool, True where h_(t-1) is replaced by zero.
        reverse: run from the last position to the first.

    Returns:
        (batch, length, channels).
    """
    y: Tensor = _Scan.apply(x, delta, A.t().contiguous(), B, C, restart, reverse, torch.is_grad_enabled())  # type: ignore[no-untyped-call]
    return y


class _Inputs(NamedTuple):
    """Inputs of the steps of a chunk, in the order of the scan."""

    x: Tensor  # (t, b, c)
    delta: Tensor  # (t, b, c)
    B: Tensor  # (t, b, n)
    C: Tensor  # (t, b, n)
    restart: Tensor | None  # (t, b) bool


class _Scan(torch.autograd.Function):
    """The recurrence and its gradient; arguments as in `chunked_scan`, but A is (n, c); `keep` for a backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        delta: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        restart: Tensor | None,
        reverse: bool,
        keep: bool,
    ) -> Tensor:
        y = torch.empty_like(x)
        plan = _plan(x, A, reverse=reverse)
        decay, h = _buffers(x, A, plan, 2)
        kept: list[Tensor] = []
        for rows, spans in plan:
            state = x.new_zeros(len(x[rows]), *A.shape)
            for span in spans:
                kept += [state] if keep else []
                part = _take_inputs(x, delta, B, C, restart=restart, at=(rows, span), reverse=reverse)
                _, states = _run(part, A, state, decay, h)
                _put(y, _weigh(part.C, states), at=(rows, span), reverse=reverse)
                state = states[-1].clone()
        ctx.save_for_backward(x, delta, A, B, C, restart, *kept)
        ctx.reverse = reverse
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, delta, A, B, C, restart, *kept = ctx.saved_tensors
        reverse: bool = ctx.reverse
        wholes = dx, ddelta, dB, dC = [torch.empty_like(tensor) for tensor in (x, delta, B, C)]
        dA = torch.zeros_like(A)
        plan = _plan(x, A, reverse=reverse)
        buffers = _buffers(x, A, plan, 3)
        for rows, spans in reversed(plan):
            carry = x.new_zeros(len(x[rows]), *A.shape)
            for span in reversed(spans):
                part = _take_inputs(x, delta, B, C, restart=restart, at=(rows, span), reverse=reverse)
                dy_part = _take(dy, at=(rows, span), reverse=reverse)
                *grads, carry = _run_backward(part, A, kept.pop(), dy_part, carry, dA, buffers)
                for whole, grad in zip(wholes, grads, strict=True):
                    _put(whole, grad, at=(rows, span), reverse=reverse)
        return dx, ddelta, dA, dB, dC, None, None, None


def _run(part: _Inputs, A: Tensor, state: Tensor, decay: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """Decays and states, both (t, b, n, c), of a chunk that starts from `state` (b, n, c); fills the two buffers."""
    shape = (*part.x.shape[:2], *A.shape)
    decay, h = (buffer[: math.prod(shape)].view(shape) for buffer in (decay, h))
    torch.mul(part.delta.unsqueeze(2), A * LOG2_E, out=decay).exp2_()  # up to three times as fast as exp
    if part.restart is not None:
        decay[part.restart] = 0.0
    torch.mul((part.delta * part.x).unsqueeze(2), part.B.unsqueeze(3), out=h)
    for h_t, decay_t in zip(h.unbind(0), decay.unbind(0), strict=True):
        state = h_t.addcmul_(decay_t, state)
    return decay, h


def _run_backward(
    part: _Inputs, A: Tensor, state: Tensor, dy: Tensor, carry: Tensor, dA: Tensor, buffers: list[Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of x, delta, B, C, and of the state that the chunk started from; adds to dA (n, c).

    Args:
        dy: (t, b, c).
        carry: (b, n, c), gradient of the chunk's last state through later chunks.
    """
    decay, h = _run(part, A, state, *buffers[:2])
    g = buffers[2][: h.numel()].view_as(h)
    torch.mul(dy.unsqueeze(2), part.C.unsqueeze(3), out=g)
    # g becomes the gradient of h
    gs, decays = g.unbind(0), decay.unbind(0)
    gs[-1].add_(carry)
    for t in range(len(gs) - 1, 0, -1):
        gs[t - 1].addcmul_(decays[t], gs[t])
    dC = _project(dy, h)
    dB = _project(part.delta * part.x, g)
    dxd = _weigh(part.B, g)
    decay.mul_(g)  # gradient of h_(t-1)
    carry = decay[0].clone()
    decay[0].mul_(state)
    decay[1:].mul_(h[:-1])  # gradient of delta_t A
    dA += torch.mul(decay, part.delta.unsqueeze(2), out=h).sum((0, 1))
    ddelta = decay.mul_(A).sum(2)
    return dxd * part.delta, ddelta.addcmul_(dxd, part.x), dB, dC, carry


def _weigh(weights: Tensor, states: Tensor) -> Tensor:
    """(t, b, n), (t, b, n, c) -> (t, b, c): sum over n."""
    t, b, n, c = states.shape
    return torch.bmm(weights.reshape(t * b, 1, n), states.view(t * b, n, c)).view(t, b, c)


def _project(vectors: Tensor, states: Tensor) -> Tensor:
    """(t, b, c), (t, b, n, c) -> (t, b, n): sum over c."""
    t, b, n, c = states.shape
    return torch.bmm(vectors.reshape(t * b, 1, c), states.view(t * b, n, c).transpose(1, 2)).view(t, b, n)


def _plan(x: Tensor, A: Tensor, *, reverse: bool) -> list[tuple[slice, list[slice]]]:
    """Rows that run together, and for each the chunks of time in the order of the scan."""
    batch, length = x.shape[:2]
    n_rows = max(1, STEP_ELEMENTS // max(1, A.numel()))
    n_steps = max(LEAST_STEPS, CHUNK_ELEMENTS // max(1, A.numel() * min(n_rows, batch)))
    spans = [slice(start, min(start + n_steps, length)) for start in range(0, length, n_steps)]
    groups = [slice(start, min(start + n_rows, batch)) for start in range(0, batch, n_rows)]
    return [(rows, spans[::-1] if reverse else spans) for rows in groups]


def _buffers(x: Tensor, A: Tensor, plan: list[tuple[slice, list[slice]]], count: int) -> list[Tensor]:
    """Room for the largest chunk of a plan, (t * b * n * c,) each: allocated once, so that its pages stay mapped."""
    sizes = [(rows.stop - rows.start) * (span.stop - span.start) for rows, spans in plan for span in spans]
    return [x.new_empty(max(sizes, default=0) * A.numel()) for _ in range(count)]


def _take_inputs(*inputs: Tensor, restart: Tensor | None, at: tuple[slice, slice], reverse: bool) -> _Inputs:
    x, delta, B, C = (_take(tensor, at=at, reverse=reverse) for tensor in inputs)
    return _Inputs(x, delta, B, C, None if restart is None else _take(restart, at=at, reverse=reverse))


def _take(tensor: Tensor, *, at: tuple[slice, slice], reverse: bool) -> Tensor:
    """(batch, length, ...) -> (t, b, ...), contiguous and in the order of the scan."""
    part = tensor[at].transpose(0, 1)
    return part.flip(0) if reverse else part.contiguous()


def _put(whole: Tensor, part: Tensor, *, at: tuple[slice, slice], reverse: bool) -> None:
    """Write a chunk in the order of the scan, (t, b, ...), to its place in (batch, length, ...)."""
    whole[at] = (part.flip(0) if reverse else part).transpose(0, 1)
