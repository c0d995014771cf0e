"""MLM: masked language modelling (Devlin et al. 2019, section 3.1), Caduceus' pre-training (Schiff et al. 2024).

Of the letters a share is chosen; of these 80 % are hidden, 10 % replaced by a letter at random, 10 % left as they are,
and the network predicts what stood there. The loss is the mean cross-entropy at the chosen positions: not a likelihood,
nor a bound on one. Replacements are letters; in the published code they are any token, special ones too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal, NoReturn

import torch
from pydantic import Field
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.config import Settings
from dnadiff.diffusion.contracts import Likelihood, LossTerms, NoiseSchedule, TrainingObjective
from dnadiff.diffusion.estimators import Estimator
from dnadiff.diffusion.noise import Noise
from dnadiff.diffusion.objectives.base import ObjectiveSettings
from dnadiff.diffusion.objectives.masked import scored_positions
from dnadiff.diffusion.subs import SubsDenoiser
from dnadiff.errors import InputError
from dnadiff.network import BackboneSettings, Network
from dnadiff.vocab import Vocab

HIDDEN, REPLACED = 0.8, 0.1  # of the chosen letters; the rest stays


class MLM(ObjectiveSettings):
    """Masked language modelling; the schedule is not used."""

    n_uniforms: ClassVar[int] = 3  # whether a letter is chosen; what becomes of it; which token replaces it
    likelihood: ClassVar[Likelihood] = Likelihood.NONE
    scheduled: ClassVar[bool] = False

    kind: Literal["mlm"] = "mlm"
    chosen: float = Field(0.15, gt=0, le=1)
    """Share of the letters that are predicted."""
    any_token: bool = False
    """Let any token stand in for a letter, special ones too, as in Caduceus' published code."""

    def build(self, network: Network, vocab: Vocab) -> TrainingObjective:
        """Itself: nothing is learned beside the network."""
        return self

    def misfit(self, backbone: BackboneSettings, schedule: Settings) -> str | None:
        """There is no time to tell the network."""
        if backbone.time_conditioned:
            return "objective mlm knows no time; set model.conditioning=none"
        return super().misfit(backbone, schedule)

    def denoiser(self, network: Network, schedule: NoiseSchedule, vocab: Vocab) -> SubsDenoiser:
        """The network as a posterior over letters at masks, for pseudo-likelihoods and masked samplers."""
        return SubsDenoiser(network, vocab)

    def loss(self, network: Network, batch: Batch, noise: Noise, schedule: NoiseSchedule, vocab: Vocab) -> LossTerms:
        """Cross-entropy at the chosen positions; `valid` is True at these alone."""
        chosen = scored_positions(batch, vocab) & (noise.uniforms[:, 0] < self.chosen)
        seen = self.corrupted(batch, chosen, noise, vocab)
        return LossTerms(self.denoiser(network, schedule, vocab).nats(seen, chosen, batch.tokens), chosen)

    def corrupted(self, batch: Batch, chosen: Tensor, noise: Noise, vocab: Vocab) -> Batch:
        """What the network sees; `chosen` (batch, length) bool, all other positions as they are."""
        device = batch.tokens.device
        eligible = torch.arange(len(vocab.tokens), device=device) if self.any_token else vocab.on(device).letter_ids
        index = (noise.uniforms[:, 2] * len(eligible)).long().clamp(max=len(eligible) - 1)
        fate = noise.uniforms[:, 1]
        tokens = batch.tokens.masked_fill(chosen & (fate < HIDDEN), vocab.mask)
        replaced = chosen & (fate >= HIDDEN) & (fate < HIDDEN + REPLACED)
        return replace(batch, tokens=torch.where(replaced, eligible[index], tokens))

    def row_nats(
        self,
        network: Network,
        batch: Batch,
        noise: Noise,
        schedule: NoiseSchedule,
        vocab: Vocab,
        estimator: Estimator,
    ) -> NoReturn:
        """Refuses: there is no bound.

        Raises:
            InputError: always.
        """
        raise InputError("objective mlm gives no bound on the likelihood; ask for the pseudo-likelihood instead")
