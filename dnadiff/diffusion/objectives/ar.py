"""AR: next-token prediction, -log p(x) = sum over i of -log p(x_i | x_1 ... x_(i-1)), which is exact.

Rows are shifted right behind a start token, so that the first letter is scored as well; every packed document has its
own. The mask is that token: every vocabulary has one, and nothing else of this objective reads it. Bases that are not
known are seen and not scored: the figure is the likelihood of the letters, given where none is known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.config import Settings
from dnadiff.diffusion.contracts import Likelihood, LossTerms, NoiseSchedule, SequenceSampler, TrainingObjective
from dnadiff.diffusion.estimators import Estimator
from dnadiff.diffusion.nats import letter_logits
from dnadiff.diffusion.noise import Noise
from dnadiff.diffusion.objectives.base import ObjectiveSettings
from dnadiff.diffusion.objectives.masked import scored_positions
from dnadiff.diffusion.samplers.ar import Autoregressive
from dnadiff.diffusion.subs import SubsDenoiser
from dnadiff.network import BackboneSettings, CausalNetwork, Network
from dnadiff.vocab import Vocab


class AR(ObjectiveSettings):
    """Next-token prediction; noise and schedule are not used."""

    n_uniforms: ClassVar[int] = 0
    likelihood: ClassVar[Likelihood] = Likelihood.EXACT
    scheduled: ClassVar[bool] = False

    plain: ClassVar[type[SequenceSampler]] = Autoregressive

    kind: Literal["ar"] = "ar"

    def build(self, network: Network, vocab: Vocab) -> TrainingObjective:
        """Itself: nothing is learned beside the network."""
        return self

    def misfit(self, backbone: BackboneSettings, schedule: Settings) -> str | None:
        """A network that looks ahead would read off what it must predict; and there is no time to tell it."""
        if not backbone.causal:
            return (
                "objective ar needs a causal network, since others see what they are to predict; "
                "set model.kind=mamba, or model.causal=true for a dit"
            )
        if backbone.time_conditioned:
            return "objective ar knows no time; set model.conditioning=none"
        if backbone.labels:
            return "objective ar is told no class; leave data.label and model.labels out"
        return super().misfit(backbone, schedule)

    def denoiser(self, network: Network, schedule: NoiseSchedule, vocab: Vocab) -> NextLetter:
        """The network as the distribution of the next letter, read exactly as training reads it."""
        return NextLetter(cast(CausalNetwork, network), vocab)  # `misfit` has seen to it

    def loss(self, network: Network, batch: Batch, noise: Noise, schedule: NoiseSchedule, vocab: Vocab) -> LossTerms:
        """-log p of every letter given those before it: exact, hence a bound as well."""
        scored = scored_positions(batch, vocab)
        return LossTerms(self.denoiser(network, schedule, vocab).nats(batch, scored), scored)

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
        """(batch,) float64: -log p of each row."""
        return self.loss(network, batch, noise, schedule, vocab).nats.double().sum(1)


@dataclass(frozen=True)
class NextLetter:
    """A causal network read as log p(letter | what comes before)."""

    network: CausalNetwork
    vocab: Vocab

    def __call__(self, batch: Batch, wanted: Tensor) -> Tensor:
        """Log-probabilities at `wanted`: (n, n_letters) float32 or better; see `contracts.NextToken`."""
        return SubsDenoiser(self.network, self.vocab)(shift_right(batch, self.vocab), wanted)

    def nats(self, batch: Batch, wanted: Tensor) -> Tensor:
        """-log p of the letters at `wanted`, zero elsewhere: (batch, length); what calling it says of them."""
        return SubsDenoiser(self.network, self.vocab).nats(shift_right(batch, self.vocab), wanted, batch.tokens)

    def step(self, tokens: Tensor, cache: Any = None) -> tuple[Tensor, Any]:
        """Log-probabilities at the next position: (batch, n_letters); see `contracts.NextToken`."""
        features, cache = self.network.step(self.network.embed(tokens[:, None]), cache)
        return letter_logits(self.network.logits(features[:, 0]), self.vocab).log_softmax(-1), cache


def shift_right(batch: Batch, vocab: Vocab) -> Batch:
    """Every position holds the token before it; the first of a row, of a document and after padding the start token."""
    first = torch.zeros_like(batch.tokens, dtype=torch.bool)
    first[:, :1] = True
    if batch.segments is not None:
        first[:, 1:] |= batch.segments[:, 1:] != batch.segments[:, :-1]
    if batch.valid is not None:
        first[:, 1:] |= ~batch.valid[:, :-1]
    return replace(batch, tokens=batch.tokens.roll(1, dims=1).masked_fill(first, vocab.mask))
