"""Analytic sampling of absorbing diffusion from scores: Tweedie tau-leaping (Lou et al. 2024, section 4.2).

When the chance to be hidden falls from t to s, and the total noise sigma = -log(1 - t) with it, a hidden position takes
letter y with chance

    exp(sigma_t - sigma_s) s_y * (1 - exp(sigma_s - sigma_t)) = (t - s) / (1 - t) * s_y,

the staggered score times the transition from y to the mask, and stays hidden with what is left of 1. Scores that sum to
(1 - t) / t make that the ancestral step; learned ones do not quite, and where the chances sum to more than 1 the
position is revealed, as it is in the last step.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion.contracts import NoiseSchedule, ScoreDenoiser, Uniforms
from dnadiff.diffusion.samplers.drawing import OnGrid, draw_letters, put
from dnadiff.vocab import Vocab

LEAST_VISIBLE = 1e-300  # for alpha = 0, whose logarithm cancels


class Analytic(OnGrid):
    """Follow the scores on a grid of times, sharpened for letters only; consistent as steps grow."""

    takes: ClassVar[type] = ScoreDenoiser

    kind: Literal["analytic"] = "analytic"

    def sample(
        self, denoiser: ScoreDenoiser, state: Batch, schedule: NoiseSchedule, vocab: Vocab, *, uniforms: Uniforms
    ) -> Iterator[Batch]:
        """Fill every mask of `state`, yielding the state after each step; visible positions never change."""
        hide = 1.0 - schedule.alpha(self.times())
        hide[-1] = 0.0  # a schedule that hides a little at the end still reveals everything
        for t, s in pairwise(hide):
            hidden = state.tokens == vocab.mask
            late, which = uniforms(2, hidden.shape[1]).unbind(1)  # each (batch, length)
            if hidden.any():
                times = torch.full((len(hidden),), float(t), device=hidden.device)
                decision = partial(self._decision, t, s, vocab)
                with torch.no_grad():
                    revealed, drawn = denoiser.log_q(state, hidden, times).map(decision, late[hidden], which[hidden])
                state = put(state, hidden.masked_scatter(hidden, revealed), drawn[revealed])
            yield state

    def _decision(
        self, t: Tensor, s: Tensor, vocab: Vocab, log_q: Tensor, late: Tensor, which: Tensor
    ) -> tuple[Tensor, ...]:
        """Whether each hidden position is revealed, and its letter if so: (n,) both."""
        log_scores = log_q.double() + log_odds(t)
        revealed = (late < letter_chances(log_scores, t, s).sum(-1)) | (float(s) == 0.0)
        return revealed, draw_letters(self.sharpen(log_scores), which, vocab)


def log_odds(t: Tensor) -> Tensor:
    """log((1 - t) / t), t the chance to be hidden: the log-score of a letter that is certain; finite also at t = 1."""
    return (1.0 - t).clamp(min=LEAST_VISIBLE).log() - t.log()


def letter_chances(log_scores: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """Chances that hidden positions take each letter.

    Args:
        log_scores: (n, n_letters) float64.
        t, s: float64, () or (n, 1), chance to be hidden before and after.

    Returns:
        (n, n_letters); of a learned score, a row may sum to more than 1.
    """
    return (log_scores + (t - s).log() - (1.0 - t).clamp(min=LEAST_VISIBLE).log()).exp()
