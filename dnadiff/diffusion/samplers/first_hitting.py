"""First-hitting sampling of masked diffusion (Zheng et al. 2024): exact, without a grid of times.

With n positions hidden, the time at which the next one is revealed is drawn from its law, a position is drawn among
those n, and its letter at that time; so nothing is ever revealed together. In terms of the chance to be hidden it is
the same for every schedule: the largest of n uniforms below the present one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion.contracts import NoiseSchedule, PosteriorDenoiser, Uniforms
from dnadiff.diffusion.samplers.drawing import Sharpened, draw_letters, put
from dnadiff.vocab import Vocab


class FirstHitting(Sharpened):
    """One position after the other, in a random order, at the times of the process itself; exact."""

    takes: ClassVar[type] = PosteriorDenoiser
    letters_alike: ClassVar[bool] = True

    kind: Literal["first_hitting"] = "first_hitting"

    def n_steps(self, length: int) -> int:
        """One per position."""
        return length

    def sample(
        self, denoiser: PosteriorDenoiser, state: Batch, schedule: NoiseSchedule, vocab: Vocab, *, uniforms: Uniforms
    ) -> Iterator[Batch]:
        """Fill every mask of `state`, yielding the state after each position; visible positions never change."""

        def decision(log_probs: Tensor, which: Tensor) -> tuple[Tensor, ...]:
            return (draw_letters(log_probs, which, vocab),)

        hidden = state.tokens == vocab.mask
        hide = torch.ones(len(hidden), dtype=torch.float64, device=hidden.device)
        for _ in range(int(hidden.sum(1).max())):
            n_hidden = hidden.sum(1)
            when, where, which = uniforms(3).unbind(1)  # each (batch,)
            hide = hide * when ** (1.0 / n_hidden.clamp(min=1))
            chosen = hidden & (hidden.cumsum(1) == (where * n_hidden).long()[:, None] + 1)
            (drawn,) = self.decide(denoiser, state, chosen, hide, decision, which[:, None].expand_as(chosen))
            state = put(state, chosen, drawn)
            hidden = hidden & ~chosen
            yield state
