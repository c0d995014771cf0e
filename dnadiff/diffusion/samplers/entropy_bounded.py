"""Entropy-bounded unmasking (Ben-Hamu et al. 2025): as many positions at a time as are nearly independent.

The surest positions are revealed together as long as their entropies, but for the largest, sum to no more than a bound:
that much, in nats, the joint distribution of a step can differ from the product that is drawn from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion.contracts import NoiseSchedule, PosteriorDenoiser, Uniforms
from dnadiff.diffusion.samplers.drawing import Sharpened, draw_letters, highest, put, spread
from dnadiff.diffusion.samplers.order import SURENESS, entropy
from dnadiff.vocab import Vocab


class EntropyBounded(Sharpened):
    """As many of the surest positions at a time as a bound on their entropy allows; exact as the bound goes to 0."""

    takes: ClassVar[type] = PosteriorDenoiser
    letters_alike: ClassVar[bool] = True

    kind: Literal["entropy_bounded"] = "entropy_bounded"
    bound: float = Field(0.1, ge=0)
    """Nats that a step may cost; at 0 one position at a time, or several that are certain."""
    order: Literal["confidence", "margin", "entropy"] = "entropy"
    """By the highest probability, its lead over the next, or the least entropy."""

    def n_steps(self, length: int) -> int:
        """At most one per position."""
        return length

    def sample(
        self, denoiser: PosteriorDenoiser, state: Batch, schedule: NoiseSchedule, vocab: Vocab, *, uniforms: Uniforms
    ) -> Iterator[Batch]:
        """Fill every mask of `state`, yielding the state after each step; visible positions never change."""

        def decision(log_probs: Tensor, which: Tensor) -> tuple[Tensor, ...]:
            drawn = draw_letters(log_probs, which, vocab)
            return drawn, SURENESS[self.order](log_probs, drawn), entropy(log_probs)

        n_masks = (state.tokens == vocab.mask).sum(1)
        while (hidden := state.tokens == vocab.mask).any():
            hide, which = hidden.sum(1).clamp(min=1) / n_masks.clamp(min=1), uniforms(hidden.shape[1])
            drawn, sure, unsure = self.decide(denoiser, state, hidden, hide, decision, which)
            sureness = spread(hidden, sure)
            order = sureness.sort(dim=1, descending=True, stable=True).indices
            nats = spread(hidden, unsure, torch.inf).gather(1, order)  # (batch, length), surest first
            cost = (nats.cumsum(1) - nats.cummax(1).values).nan_to_num(torch.inf)
            chosen = highest(sureness, (cost <= self.bound).sum(1))
            state = put(state, chosen, drawn[chosen[hidden]])
            yield state
