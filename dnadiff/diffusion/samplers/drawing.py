"""What samplers share: how letters are drawn, at which times, and how the sure positions of a row are found."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.config import Settings
from dnadiff.diffusion.answers import Reduce, answers_of
from dnadiff.diffusion.contracts import PosteriorDenoiser, SequenceSampler
from dnadiff.vocab import Vocab


class Sharpness(Settings):
    """How much sharper than the model's law letters are drawn; by default not at all."""

    temperature: float = Field(1.0, gt=0)
    """Divides the log-probabilities of the letters; 1 leaves the model's law."""
    top_k: int | None = Field(None, ge=1)
    """Only this many of the likeliest letters are drawn; none: all."""
    top_p: float | None = Field(None, gt=0, le=1)
    """Only the likeliest letters that together have this probability are drawn; none: all."""

    def sharpen(self, log_probs: Tensor) -> Tensor:
        """(..., n_letters) -> the same, normalised, float64: temperature, then top-k, then top-p."""
        sharp = torch.log_softmax(log_probs.double() / self.temperature, -1)
        if self.top_k is None and self.top_p is None:
            return sharp
        falling, order = sharp.sort(dim=-1, descending=True, stable=True)
        before = falling.exp().cumsum(-1) - falling.exp()  # probability of those that are likelier
        rank = torch.arange(sharp.shape[-1], device=sharp.device)
        kept = (rank < (self.top_k or len(rank))) & (before < (self.top_p or math.inf))
        return sharp.masked_fill(~kept.scatter(-1, order, kept), -math.inf).log_softmax(-1)


class Sharpened(Sharpness, SequenceSampler):
    """A sampler of letters whose distributions may be made sharper."""

    @torch.no_grad()
    def decide(
        self,
        denoiser: PosteriorDenoiser,
        state: Batch,
        wanted: Tensor,
        hide: float | Tensor,
        decision: Reduce,
        *beside: Tensor,
    ) -> tuple[Tensor, ...]:
        """What is made of the distributions at wanted positions, which are never held all at once.

        Args:
            wanted: (batch, length) bool, n True.
            hide: chance that a position is hidden now, of all rows or (batch,).
            decision: normalised log-probabilities (m, n_letters) float64 of some of them, and what is beside them,
                (m,) each -> tensors (m,).
            beside: (batch, length) each, such as uniforms.

        Returns:
            (n,) each.
        """
        t = torch.as_tensor(hide, dtype=torch.get_default_dtype(), device=wanted.device).expand(len(wanted))
        answers = answers_of(denoiser, state, wanted, t if denoiser.time_conditioned else None)
        return answers.then(self.sharpen).map(decision, *(values[wanted] for values in beside))


def uniform_times(steps: int) -> Tensor:
    """(steps + 1,) float64 from 1 to 0, evenly."""
    return torch.linspace(1.0, 0.0, steps + 1, dtype=torch.float64)


def cosine_times(steps: int) -> Tensor:
    """(steps + 1,) float64 from 1 to 0, densest where most is hidden (Shi et al. 2024)."""
    times = torch.cos(math.pi / 2 * torch.linspace(0.0, 1.0, steps + 1, dtype=torch.float64))
    times[-1] = 0.0
    return times


GRIDS: dict[str, Callable[[int], Tensor]] = {"uniform": uniform_times, "cosine": cosine_times}


class Grid(Settings):
    """A grid of times."""

    steps: int = Field(128, ge=1)
    """Grid steps from t = 1 to t = 0."""
    grid: Literal["uniform", "cosine"] = "uniform"
    """Even steps, or small ones first and large ones at the end."""

    def times(self) -> Tensor:
        """(steps + 1,) float64, from 1 to 0."""
        return GRIDS[self.grid](self.steps)


class OnGrid(Grid, Sharpened):
    """A sampler that goes through a grid of times."""

    def n_steps(self, length: int) -> int:
        """Whatever the length."""
        return self.steps


def draw_letters(log_weights: Tensor, uniforms: Tensor, vocab: Vocab) -> Tensor:
    """One letter per distribution by inversion in float64.

    Args:
        log_weights: (..., n_letters), not necessarily normalised.
        uniforms: (...) float64 in [0, 1).

    Returns:
        (...) int64 token ids on the same device.
    """
    cumulative = torch.softmax(log_weights.double(), dim=-1).cumsum(-1)
    cumulative = cumulative / cumulative[..., -1:]  # so that no letter of chance 0 takes what rounding leaves
    index = (uniforms[..., None] >= cumulative[..., :-1]).sum(-1)
    return vocab.on(index.device).letter_ids[index]


def put(state: Batch, chosen: Tensor, tokens: Tensor) -> Batch:
    """The rows with tokens (n,) at the chosen positions, (batch, length) bool with n True."""
    return replace(state, tokens=state.tokens.masked_scatter(chosen, tokens))


def spread(chosen: Tensor, values: Tensor, fill: float = -math.inf) -> Tensor:
    """(batch, length): values (n,) at the chosen positions, `fill` elsewhere."""
    return torch.full(chosen.shape, fill, dtype=values.dtype, device=values.device).masked_scatter(chosen, values)


def highest(scores: Tensor, number: Tensor) -> Tensor:
    """(batch, length) bool: of each row as many positions as `number` (batch,) says, those with the highest scores."""
    order = scores.sort(dim=1, descending=True, stable=True).indices
    first = torch.arange(order.shape[1], device=order.device) < number[:, None]
    return torch.zeros_like(first).scatter(1, order, first)
