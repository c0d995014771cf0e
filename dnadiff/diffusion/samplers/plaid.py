"""Ancestral sampling of Gaussian diffusion on embeddings (Kingma et al. 2021, app. A.4; Gulrajani & Hashimoto 2023).

From noise to embeddings in steps of the reverse process, each towards the mean embedding under the letters' current
distribution, which is also the estimate that the next step is given (self-conditioning). Then every letter is drawn at
the least noise. The process runs in float64, as in the authors' code, which takes the likeliest letters instead.
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
from dnadiff.diffusion.answers import Answers, answers_of
from dnadiff.diffusion.contracts import ContinuousDenoiser, NoiseSchedule, Uniforms
from dnadiff.diffusion.gaussian import gaussians, reverse_step
from dnadiff.diffusion.samplers.drawing import Sharpened, draw_letters
from dnadiff.errors import InputError
from dnadiff.vocab import Vocab


class PlaidSampler(Sharpened):
    """Reverse the Gaussian process on a uniform grid of times; consistent as steps grow."""

    takes: ClassVar[type] = ContinuousDenoiser

    kind: Literal["plaid"] = "plaid"
    steps: int = Field(128, ge=1)
    """Grid steps from t = 1 to t = 0; the network runs once more to read the letters."""

    def n_steps(self, length: int) -> int:
        """Whatever the length."""
        return self.steps

    @torch.no_grad()
    def sample(
        self, denoiser: ContinuousDenoiser, state: Batch, schedule: NoiseSchedule, vocab: Vocab, *, uniforms: Uniforms
    ) -> Iterator[Batch]:
        """Fill every mask of `state`, all in the last of the states that are yielded; `schedule` is not used.

        Raises:
            InputError: `state` holds letters, which this process has no exact way to start from.
        """
        if vocab.is_letter(state.tokens).any():
            raise InputError("sampler plaid draws whole sequences and cannot fill gaps; use a masked objective")
        hidden = state.tokens == vocab.mask
        gamma = denoiser.gamma(torch.linspace(1.0, 0.0, self.steps + 1, device=hidden.device))

        def normal() -> Tensor:
            return gaussians(uniforms(hidden.shape[1], denoiser.width))

        def answers(z: Tensor, level: Tensor, estimate: Tensor) -> Answers:
            return answers_of(denoiser, state, z, level.expand(len(hidden)), estimate, dim=1).then(self.sharpen)

        def drawn(log_probs: Tensor, which: Tensor) -> tuple[Tensor, ...]:
            return (draw_letters(log_probs, which, vocab),)

        z = normal()
        estimate = torch.zeros_like(z)
        for step, (level, following) in enumerate(pairwise(gamma), start=1):
            (estimate,) = answers(z, level, estimate).map(lambda log_probs: (denoiser.expected(log_probs),))
            z = reverse_step(z, estimate, level, following, normal())
            if step == self.steps:
                (letters,) = answers(z, following, estimate).map(drawn, uniforms(hidden.shape[1]))
                state = replace(state, tokens=letters.where(hidden, state.tokens))
            yield state
