"""What MDLM and MD4 are both: a hidden position costs the cross-entropy of its letter given what is visible.

-log p(x) <= E_t [ -alpha'(t) / (1 - alpha(t)) * sum over hidden positions of -log p(x_i | visible) ],

and with T steps, from t = i / T back to s = (i - 1) / T, the weight is T (alpha_s - alpha_t) / (1 - alpha_t).

Unusual: only hidden positions have a part in the loss, and the integral's weight multiplies nothing where nothing is
hidden, so a batch without a single scored position has loss zero and gradient zero.
"""

from __future__ import annotations

from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion.contracts import NoiseSchedule
from dnadiff.diffusion.discrete import step_at
from dnadiff.diffusion.estimators import Estimator
from dnadiff.diffusion.noise import Noise
from dnadiff.diffusion.objectives.masked import Level, Masked
from dnadiff.diffusion.subs import SubsDenoiser
from dnadiff.network import Network
from dnadiff.vocab import Vocab


class CrossEntropy(Masked):
    """SUBS parameterisation, in continuous time or in T steps."""

    T: int | None = Field(None, ge=1)
    """Steps of the chain that is trained and evaluated, from nothing hidden to everything; null: continuous time."""

    @model_validator(mode="after")
    def _check_steps(self) -> Self:
        if self.T is not None and self.importance:
            raise ValueError("importance draws times from a continuum; leave T null, or importance false")
        if self.T is not None and self.first_time != type(self).model_fields["first_time"].default:
            raise ValueError("first_time has no part in a chain of T steps; leave it out, or T null")
        return self

    @property
    def estimated(self) -> bool:
        """With T steps masks come from the steps, and there is nothing to estimate better."""
        return self.T is None

    def in_steps(self, n_steps: int) -> Self:
        """See `ObjectiveSettings`."""
        return self.model_copy(update={"T": n_steps, "importance": False})

    def level(self, times: Tensor, schedule: NoiseSchedule) -> Level:
        """See `Masked`; in discrete time `first_time` has no part, since no weight is large."""
        if self.T is None:
            return super().level(times, schedule)
        step = step_at(times, self.T, schedule)
        return Level(step.alpha_t, self.T * step.reveal)

    def row_nats(
        self,
        network: Network,
        batch: Batch,
        noise: Noise,
        schedule: NoiseSchedule,
        vocab: Vocab,
        estimator: Estimator,
    ) -> Tensor:
        """See `TrainingObjective`."""
        if self.T is None:
            return super().row_nats(network, batch, noise, schedule, vocab, estimator)
        with torch.no_grad():
            return self.loss(network, batch, noise, schedule, vocab).nats.double().sum(1)

    def position_nats(
        self, network: Network, noisy: Batch, hidden: Tensor, times: Tensor, tokens: Tensor, vocab: Vocab
    ) -> Tensor:
        """-log p(letter | visible); see `Masked`."""
        return SubsDenoiser(network, vocab).nats(noisy, hidden, tokens, times if network.time_conditioned else None)

    def denoiser(self, network: Network, schedule: NoiseSchedule, vocab: Vocab) -> SubsDenoiser:
        """The network as a posterior over letters, read exactly as training reads it."""
        return SubsDenoiser(network, vocab)
