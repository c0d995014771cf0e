"""ReMDM: masked diffusion whose revealed letters may be hidden again (Wang et al. 2025).

In a step from t to s a revealed letter is hidden with chance sigma, and a hidden one is revealed with chance
(alpha_s - (1 - sigma) alpha_t) / (1 - alpha_t), so that the visible fraction stays that of the schedule. No sigma above
(1 - alpha_s) / alpha_t is possible.

Consistent as steps grow, but slowly: letters that are hidden again are drawn together again, and on small languages
the bias falls with about 1/sqrt(steps), where that of ancestral sampling falls with 1/steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion.contracts import NoiseSchedule, PosteriorDenoiser, Uniforms
from dnadiff.diffusion.samplers.drawing import OnGrid, draw_letters, put, spread
from dnadiff.diffusion.samplers.order import drawn_log_prob
from dnadiff.vocab import Vocab


def _cap(eta: float, most: float, confidence: Tensor) -> Tensor:
    return torch.full_like(confidence, min(eta, most))


def _rescale(eta: float, most: float, confidence: Tensor) -> Tensor:
    return torch.full_like(confidence, eta * most)


def _conf(eta: float, most: float, confidence: Tensor) -> Tensor:
    return eta * most * (-confidence).softmax(1).nan_to_num(0.0)  # a row that is all hidden has no share


SIGMAS: dict[str, Callable[[float, float, Tensor], Tensor]] = {"cap": _cap, "rescale": _rescale, "conf": _conf}


class ReMDM(OnGrid):
    """Reverse the noising process and take back some of it; corrects what was revealed too early."""

    takes: ClassVar[type] = PosteriorDenoiser
    letters_alike: ClassVar[bool] = True

    kind: Literal["remdm"] = "remdm"
    remask: Literal["cap", "rescale", "conf"] = "rescale"
    """What eta is: the highest sigma; a share of the possible sigma; or that, dealt out to the least sure letters."""
    eta: float = Field(0.05, ge=0, le=1)
    """How much is hidden again; 0 is ancestral sampling."""

    def sample(
        self, denoiser: PosteriorDenoiser, state: Batch, schedule: NoiseSchedule, vocab: Vocab, *, uniforms: Uniforms
    ) -> Iterator[Batch]:
        """Fill every mask of `state`, yielding the state after each step; visible positions never change."""

        def decision(log_probs: Tensor, which: Tensor) -> tuple[Tensor, ...]:
            drawn = draw_letters(log_probs, which, vocab)
            return drawn, drawn_log_prob(log_probs, drawn, vocab).exp()

        alpha = schedule.alpha(self.times()).detach()
        alpha[-1] = 1.0  # a schedule that hides a little at t = 0 still ends with everything revealed
        own = state.tokens == vocab.mask
        confidence = torch.full(own.shape, torch.inf, dtype=torch.float64, device=own.device)  # of what was drawn
        for before, after in pairwise(alpha.tolist()):
            hidden = state.tokens == vocab.mask
            most = min(1.0, (1.0 - after) / before) if before > 0.0 else 1.0
            sigma = SIGMAS[self.remask](self.eta, most, confidence)
            late, which, again = uniforms(3, own.shape[1]).unbind(1)  # each (batch, length)
            revealed = hidden & (late < (after - (1.0 - sigma) * before) / (1.0 - before))
            taken_back = own & ~hidden & (again < sigma)
            if revealed.any():
                drawn, sure = self.decide(denoiser, state, revealed, 1.0 - before, decision, which)
                state = put(state, revealed, drawn)
                confidence = torch.where(revealed, spread(revealed, sure), confidence)
            state = put(state, taken_back, torch.full_like(state.tokens, vocab.mask)[taken_back])
            confidence = confidence.masked_fill(taken_back, torch.inf)
            yield state
