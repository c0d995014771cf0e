"""Nats of true letters, from what a head says; the softmax runs over the letters of the data alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dnadiff.diffusion.answers import Answers
from dnadiff.vocab import Vocab


def letter_logits(logits: Tensor, vocab: Vocab) -> Tensor:
    """(..., vocab) -> (..., n_letters) of the letters alone, float32 or better."""
    letters = logits[..., vocab.on(logits.device).letter_ids]
    return letters.to(torch.promote_types(logits.dtype, torch.float32))


def letter_nats(log_probs: Tensor, tokens: Tensor, vocab: Vocab) -> Tensor:
    """Nats of the true letters.

    Args:
        log_probs: (n, n_letters), or more columns behind those of the letters.
        tokens: (n,) int64 ids of letters.

    Returns:
        (n,) -log p(token).
    """
    index = vocab.on(tokens.device).letter_index[tokens]
    return -log_probs.gather(-1, index[:, None]).squeeze(-1)


def nats_of(answers: Answers, tokens: Tensor, vocab: Vocab) -> Tensor:
    """The same of log-probabilities that come in parts: (n,) float64."""

    def reduce(log_probs: Tensor, true: Tensor) -> tuple[Tensor, ...]:
        return (letter_nats(log_probs, true, vocab).double(),)

    (nats,) = answers.map(reduce, tokens)
    return nats


def softmax_nats(logits: Tensor, tokens: Tensor, vocab: Vocab) -> Tensor:
    """The same from logits (n, vocab), in one pass each way: (n,), float32 or better."""
    found: Tensor = _Nats.apply(logits, tokens, vocab.on(logits.device).other_ids)  # type: ignore[no-untyped-call]
    return found


class _Nats(torch.autograd.Function):
    """Logits (n, vocab) to nats (n,) of the true tokens, over all ids but `others`."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, tokens: Tensor, others: Tensor) -> Tensor:
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32)).index_fill(1, others, -torch.inf)
        total = wide.logsumexp(1)
        ctx.save_for_backward(wide, total, tokens)
        ctx.dtype = logits.dtype
        return total - wide.gather(1, tokens[:, None]).squeeze(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        wide, total, tokens = ctx.saved_tensors
        change = (wide - total[:, None]).exp_()  # (n, vocab): probabilities, zero for the others
        change.scatter_add_(1, tokens[:, None], change.new_full((len(tokens), 1), -1.0))
        return change.mul_(grad[:, None]).to(ctx.dtype), None, None
