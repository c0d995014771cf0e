"""What objectives share that hide letters at random and score the hidden ones.

Such an objective is a loss per hidden position. Its weight in time comes from the schedule in training, -alpha' / (1 -
alpha), and from an estimator in evaluation, where a truncated schedule would leave part of the integral out.

Unusual: importance sampling of times weighs by f_1 - f_0, f = log(1 - alpha), where the authors' code has -f_0.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion.contracts import LossTerms, NoiseSchedule, PosteriorDenoiser, TrainingObjective
from dnadiff.diffusion.estimators import Estimator
from dnadiff.diffusion.noise import Noise
from dnadiff.diffusion.objectives.base import ObjectiveSettings
from dnadiff.network import Network
from dnadiff.vocab import Vocab


class Level(NamedTuple):
    """How much of each row training hides, and what that weighs in the bound.

    Attributes:
        alpha: (batch,) chance that a position stays visible.
        weight: (batch,) what the cost of a hidden position is multiplied by.
    """

    alpha: Tensor
    weight: Tensor


class Masked(ObjectiveSettings):
    """Continuous-time masked diffusion; a subclass says what a hidden position costs.

    As published, the loss is the mean over [first_time, 1), which leaves the length of that interval out; with
    `importance` it is the integral.
    """

    first_time: float = Field(1e-3, ge=0, lt=0.5)
    """Training times are drawn from [first_time, 1): bounds the weight 1/t of nearly clean rows."""
    importance: bool = False
    """Draw times in proportion to their weight: log(1 - alpha) is uniform, the weight constant under any schedule."""

    @model_validator(mode="after")
    def _check_importance(self) -> Self:
        if self.importance and not self.first_time:
            raise ValueError("importance takes logarithms of the hidden fraction, 0 at time 0; set first_time above 0")
        return self

    @property
    def estimated(self) -> bool:
        """See `TrainingObjective`."""
        return True

    def build(self, network: Network, vocab: Vocab) -> TrainingObjective:
        """Itself: nothing is learned beside the network."""
        return self

    @abstractmethod
    def denoiser(self, network: Network, schedule: NoiseSchedule, vocab: Vocab) -> PosteriorDenoiser:
        """The network as what a sampler takes, read exactly as training reads it."""

    @abstractmethod
    def position_nats(
        self, network: Network, noisy: Batch, hidden: Tensor, times: Tensor, tokens: Tensor, vocab: Vocab
    ) -> Tensor:
        """Cost of every hidden position, before the weight of its time.

        Args:
            noisy: rows whose hidden positions hold the mask.
            hidden: (batch, length) bool.
            times: (batch,) chance to be hidden, for networks that are conditioned on it.
            tokens: (batch, length) the letters that were there.

        Returns:
            (batch, length) float32 or better, zero elsewhere.
        """

    def loss(self, network: Network, batch: Batch, noise: Noise, schedule: NoiseSchedule, vocab: Vocab) -> LossTerms:
        """Weighted nats per position; their mean over `valid` is the bound per letter."""
        scored = scored_positions(batch, vocab)
        level = self.level(noise.times, schedule)
        hidden = scored & (noise.uniforms[:, 0] >= level.alpha[:, None])
        nats = self._position_nats(network, batch, hidden, (1.0 - level.alpha).float(), vocab)
        weight = level.weight.where(hidden.any(1), 0.0)  # it is endless where nothing can be hidden
        return LossTerms(nats * weight[:, None].to(nats.dtype), scored)

    def level(self, times: Tensor, schedule: NoiseSchedule) -> Level:
        """What training does with times (batch,) in [0, 1]."""
        if self.importance:
            ends = torch.tensor([self.first_time, 1.0], dtype=torch.float64)
            low, high = torch.log1p(-schedule.alpha(ends)).tolist()
            return Level(1.0 - torch.exp(low + (high - low) * times), torch.full_like(times, high - low))
        t = self.first_time + (1.0 - self.first_time) * times
        alpha = schedule.alpha(t)
        return Level(alpha, -schedule.dalpha(t) / (1.0 - alpha))

    @torch.no_grad()
    def row_nats(
        self,
        network: Network,
        batch: Batch,
        noise: Noise,
        schedule: NoiseSchedule,
        vocab: Vocab,
        estimator: Estimator,
    ) -> Tensor:
        """See `TrainingObjective`; rows where nothing is scored cost nothing."""
        draws = [
            self._position_nats(network, batch, hidden, times, vocab).double().sum(1) * weight
            for hidden, weight, times in estimator.masks(scored_positions(batch, vocab), noise)
        ]
        return torch.stack(draws).mean(0)

    def _position_nats(self, network: Network, batch: Batch, hidden: Tensor, times: Tensor, vocab: Vocab) -> Tensor:
        return self.position_nats(network, hide(batch, hidden, vocab), hidden, times, batch.tokens, vocab)


def scored_positions(batch: Batch, vocab: Vocab) -> Tensor:
    """(batch, length) bool: letters that are not padding."""
    return vocab.is_letter(batch.tokens) & batch.real


def hide(batch: Batch, hidden: Tensor, vocab: Vocab) -> Batch:
    """The batch with the mask at hidden positions (batch, length)."""
    return replace(batch, tokens=batch.tokens.masked_fill(hidden, vocab.mask))
