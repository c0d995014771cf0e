"""P2: path planning with the model as its own planner (Peng et al. 2025, self-planning).

At every step all positions that were to be filled are judged, the revealed ones as well: the least likely of them, by
the model's own probability of what stands there, are hidden again until as many are left as the time says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion.contracts import NoiseSchedule, PosteriorDenoiser, Uniforms
from dnadiff.diffusion.samplers.drawing import OnGrid, draw_letters, highest, spread
from dnadiff.diffusion.samplers.order import drawn_log_prob
from dnadiff.vocab import Vocab


class PathPlanning(OnGrid):
    """Keep what the model finds likely, and draw the rest anew; biased towards likely sequences by design."""

    takes: ClassVar[type] = PosteriorDenoiser
    letters_alike: ClassVar[bool] = True

    kind: Literal["p2"] = "p2"
    eta: float = Field(1.0, ge=0)
    """Weight of the doubt in letters that are revealed; 0: they stay."""

    def sample(
        self, denoiser: PosteriorDenoiser, state: Batch, schedule: NoiseSchedule, vocab: Vocab, *, uniforms: Uniforms
    ) -> Iterator[Batch]:
        """Fill every mask of `state`, yielding the state after each step; visible positions never change."""

        def decision(log_probs: Tensor, which: Tensor, present: Tensor) -> tuple[Tensor, ...]:
            tokens = torch.where(present == vocab.mask, draw_letters(log_probs, which, vocab), present)
            return tokens, drawn_log_prob(log_probs, tokens, vocab).clamp(min=torch.finfo(torch.float64).min)

        own = state.tokens == vocab.mask
        n_own = own.sum(1)
        for before, after in pairwise(self.times().tolist()):
            hidden = state.tokens == vocab.mask
            which = uniforms(own.shape[1])
            tokens, score = self.decide(denoiser, state, own, before, decision, which, state.tokens)
            score = torch.where(hidden[own], score, self.eta * score)
            kept = highest(spread(own, score), n_own - (n_own * after).long())
            filled = state.tokens.masked_scatter(own, tokens)
            state = replace(state, tokens=torch.where(own & ~kept, vocab.mask, filled))
            yield state
