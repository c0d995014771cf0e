"""Letters that are never drawn: a denoiser that gives them no chance, and the others theirs in proportion.

Each position is drawn from its distribution given that it holds no banned letter. That is the law of the sampler given
that none occurs where positions are independent, and for autoregressive ones of short memory nearly so; elsewhere what
is drawn early does not know that a banned letter would have been likely later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dnadiff.diffusion.answers import Answers, answers_of

LEAST = -1e4  # of a log-probability, so that some letter is left where the denoiser is certain of a banned one


@dataclass(frozen=True)
class Without:
    """Any denoiser, without some letters; see `dnadiff.diffusion.contracts` for what each kind gives.

    Attributes:
        banned: (n_letters,) bool, not all True.
    """

    denoiser: Any
    banned: Tensor

    def __call__(self, *question: Any) -> Tensor:
        """Log-probabilities (..., n_letters), as the denoiser inside gives them."""
        return self._without(self.denoiser(*question))

    def answers(self, *question: Any) -> Answers:
        """The same in parts."""
        return answers_of(self.denoiser, *question).then(self._without)

    def log_q(self, *question: Any) -> Answers:
        """See `ScoreDenoiser`; the score of being revealed at all stays what it is."""
        answers: Answers = self.denoiser.log_q(*question).then(self._without)
        return answers

    def step(self, tokens: Tensor, cache: Any = None) -> tuple[Tensor, Any]:
        """See `NextToken`."""
        log_probs, cache = self.denoiser.step(tokens, cache)
        return self._without(log_probs), cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self.denoiser, name)

    def _without(self, log_weights: Tensor) -> Tensor:
        """(..., n_letters) float64, of the same sum as before."""
        wide = log_weights.double().clamp(min=LEAST)
        kept = wide.masked_fill(self.banned.to(wide.device), -torch.inf)
        return kept + (wide.logsumexp(-1, keepdim=True) - kept.logsumexp(-1, keepdim=True))
