"""Ancestral sampling of masked diffusion (Sahoo et al. 2024, eq. 6), drawn in two stages.

First which positions are revealed in a step, by the schedule's law, then each letter given that it is revealed: in
float64 whatever the network runs in, since one-stage Gumbel draws in bfloat16 ruin a four-letter distribution. With a
schedule that depends on the letter, letter j is revealed with chance mu_j r_j (Shi et al. 2024, section 6), mu the
posterior and r_j = (alpha_sj - alpha_tj) / (1 - alpha_tj). The network runs for positions that the most hasty letter
would reveal, which are the revealed ones where all letters are alike, and not at all in a step without any.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar, Literal, NamedTuple

from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion.contracts import NoiseSchedule, PosteriorDenoiser, Uniforms
from dnadiff.diffusion.samplers.drawing import OnGrid, draw_letters, put
from dnadiff.vocab import Vocab


class Moment(NamedTuple):
    """One step of the grid.

    Attributes:
        hide_before, hide_after: chance that a position is hidden.
        reveal: (1,) or (n_letters,) float64, chance of a hidden letter to be revealed.
    """

    hide_before: float
    hide_after: float
    reveal: Tensor


class Ancestral(OnGrid):
    """Reverse the noising process on a grid of times; consistent as steps grow."""

    takes: ClassVar[type] = PosteriorDenoiser

    kind: Literal["ancestral"] = "ancestral"

    def sample(
        self, denoiser: PosteriorDenoiser, state: Batch, schedule: NoiseSchedule, vocab: Vocab, *, uniforms: Uniforms
    ) -> Iterator[Batch]:
        """Fill every mask of `state`, yielding the state after each step; visible positions never change."""
        for moment in self.moments(schedule):
            state = self.step(denoiser, state, moment, vocab, uniforms)
            yield state

    def moments(self, schedule: NoiseSchedule) -> Iterator[Moment]:
        """The steps of the grid."""
        alpha = schedule.alpha(self.times()).detach().view(self.steps + 1, -1)  # (steps + 1, 1), or n_letters columns
        alpha[-1] = 1.0  # a schedule that hides a little at t = 0 still ends with everything revealed
        for before, after in pairwise(alpha):
            reveal = ((after - before) / (1.0 - before)).nan_to_num(1.0)  # of letters that are no longer hidden at all
            yield Moment(float(1.0 - before.mean()), float(1.0 - after.mean()), reveal)

    def step(
        self, denoiser: PosteriorDenoiser, state: Batch, moment: Moment, vocab: Vocab, uniforms: Uniforms
    ) -> Batch:
        """The state after one step."""
        reveal = moment.reveal
        most, reveal = float(reveal.max()), reveal.to(state.tokens.device)
        late, which = uniforms(2, state.tokens.shape[1]).unbind(1)  # each (batch, length)
        asked = (state.tokens == vocab.mask) & (late < most)
        if not asked.any():
            return state

        def decision(log_probs: Tensor, late: Tensor, which: Tensor) -> tuple[Tensor, ...]:
            chance = most - (log_probs.exp() * (most - reveal)).sum(-1)  # `most` to the last bit if letters are alike
            return late < chance, draw_letters(log_probs + reveal.log(), which, vocab)

        revealed, drawn = self.decide(denoiser, state, asked, moment.hide_before, decision, late, which)
        return put(state, asked.masked_scatter(asked, revealed), drawn[revealed])
