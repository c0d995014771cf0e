"""GenMD4: masked diffusion whose schedule depends on the letter, and is learned (Shi et al. 2024, section 6).

With v_j = -alpha_j' / (1 - alpha_j) = w_j / t, a hidden position costs

    sum_j v_j mu_j - v_x - v_x log mu_x,   mu = p(letter | visible),

the divergence of revealing letter j at rate v_j mu_j from revealing x at rate v_x: at equal w, MD4's v (-log mu_x). To
it comes what was hidden before `first_time`, whose letters are guessed from that alone.

The masks depend on w as well, so its gradient has a second part, REINFORCE with two masks of each row, each the other's
baseline: (L_1 - L_2) / 2 * d(log q(mask_1) - log q(mask_2)) / dw. It is in `LossTerms.surrogate`.

Unusual: the cost is integrated over [first_time, 1], where the authors' mean over times drawn from there leaves the
length of the interval out; and evaluation needs neither eps nor first_time (see `dnadiff.diffusion.estimators`), where
the powers are the rates at which positions are revealed.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.config import Settings
from dnadiff.diffusion.contracts import LossTerms, NoiseSchedule, TrainingObjective
from dnadiff.diffusion.estimators import Estimator
from dnadiff.diffusion.heads import costs_at
from dnadiff.diffusion.learned_schedule import Learned, LearnedSchedule
from dnadiff.diffusion.nats import letter_logits, letter_nats
from dnadiff.diffusion.noise import Noise
from dnadiff.diffusion.objectives.base import ObjectiveSettings
from dnadiff.diffusion.objectives.masked import hide, scored_positions
from dnadiff.diffusion.subs import SubsDenoiser
from dnadiff.network import BackboneSettings, Network
from dnadiff.vocab import Vocab


class GenMD4(ObjectiveSettings):
    """State-dependent masked diffusion; two passes of the network for each loss."""

    n_uniforms: ClassVar[int] = 2
    letters_alike: ClassVar[bool] = False

    kind: Literal["genmd4"] = "genmd4"
    first_time: float = Field(1e-3, gt=0, lt=0.5)
    """Training times are drawn from [first_time, 1); what is hidden before is guessed in one step."""

    @property
    def estimated(self) -> bool:
        """See `TrainingObjective`."""
        return True

    def build(self, network: Network, vocab: Vocab) -> TrainingObjective:
        """Itself: what is learned beside the network is the schedule's."""
        return self

    def misfit(self, backbone: BackboneSettings, schedule: Settings) -> str | None:
        """Without powers of its own, each letter has the same schedule: that is MD4."""
        if isinstance(schedule, Learned):
            return None
        return "objective genmd4 learns its schedule; set schedule.kind=learned, or objective.kind=md4"

    def denoiser(self, network: Network, schedule: NoiseSchedule, vocab: Vocab) -> SubsDenoiser:
        """The network as a posterior over letters, read exactly as training reads it."""
        return SubsDenoiser(network, vocab)

    def loss(self, network: Network, batch: Batch, noise: Noise, schedule: NoiseSchedule, vocab: Vocab) -> LossTerms:
        """Weighted nats per position, the mean of two masks; their mean over `valid` is the bound per letter."""
        assert isinstance(schedule, LearnedSchedule)
        scored, letters = scored_positions(batch, vocab), _letters(batch.tokens, vocab)
        t = self.first_time + (1.0 - self.first_time) * noise.times  # (batch,)
        level = schedule.log_hidden(t)  # (batch, n_letters)
        log_hidden = level.gather(1, letters)  # (batch, length)
        visible = -torch.expm1(log_hidden)
        masks = [scored & (uniforms >= visible) for uniforms in noise.uniforms.unbind(1)]
        weight = ((1.0 - self.first_time) / t)[:, None]
        first, second = (
            weight * _position_nats(network, batch, hidden, level.exp(), schedule, vocab) for hidden in masks
        )  # (batch, length) each
        nats = (first + second) / 2 + self._guess_nats(schedule)[letters] * scored
        advantage = (first - second).detach().sum(1, keepdim=True) / 2
        log_ratio = (masks[0].to(visible.dtype) - masks[1].to(visible.dtype)) * (log_hidden - visible.log())
        return LossTerms(nats.detach(), scored, surrogate=nats + advantage * log_ratio)

    def _guess_nats(self, schedule: LearnedSchedule) -> Tensor:
        """(n_letters,) chance to be hidden at `first_time`, times nats of a letter given that it is hidden then."""
        log_hidden = schedule.log_hidden(schedule.log_power.new_full((), self.first_time))
        return -log_hidden.exp() * log_hidden.log_softmax(-1)

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
        assert isinstance(schedule, LearnedSchedule)
        powers = schedule.powers()
        masks = estimator.masks(scored_positions(batch, vocab), noise, powers[_letters(batch.tokens, vocab)])
        draws = []
        for hidden, weight, times in masks:
            nats = _position_nats(network, batch, hidden, times[:, None] ** powers, schedule, vocab)
            draws.append(nats.double().sum(1) * weight)
        return torch.stack(draws).mean(0)


def _position_nats(
    network: Network, batch: Batch, hidden: Tensor, level: Tensor, schedule: LearnedSchedule, vocab: Vocab
) -> Tensor:
    """(batch, length) cost of hidden positions in units of v = w / t, at t = 1; zero elsewhere.

    Args:
        hidden: (batch, length) bool.
        level: (batch, n_letters) chance of each letter to be hidden, whose mean the network is told.
    """
    powers = schedule.powers()

    def cost(logits: Tensor, true: Tensor) -> tuple[Tensor, ...]:
        log_probs = letter_logits(logits, vocab).log_softmax(-1)
        own = powers[_letters(true, vocab)]
        return ((log_probs.exp() * powers).sum(-1) + own * (letter_nats(log_probs, true, vocab) - 1.0),)

    t = level.mean(1) if network.time_conditioned else None
    (nats,) = costs_at(network, hide(batch, hidden, vocab), hidden, t, batch.tokens, cost, vocab)
    return nats


def _letters(tokens: Tensor, vocab: Vocab) -> Tensor:
    """The number of each token among the letters, same shape; the first where it is none."""
    return vocab.on(tokens.device).letter_index[tokens].clamp(min=0)
