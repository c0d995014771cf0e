"""D3PM with an absorbing mask (Austin et al. 2021), as MDLM's ablations have it (Sahoo et al. 2024).

The bound in T steps of a head that knows nothing of masking: it predicts x_0 among the letters and the mask, at every
position. Per scored position that is, with t = i / T one of the steps,

    T KL(q(x_s | x_t, x_0) || p(x_s | x_t)) if it is hidden at t,  and  -log p(x_0 = x | x) read from the clean row.

The last term is the reconstruction: without carry-over a visible letter must be copied by the head, not by definition.

Unusual: the softmax leaves out special tokens and padded rows, which can be neither x_0 nor x_t.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion.contracts import LossTerms, NoiseSchedule, TrainingObjective
from dnadiff.diffusion.discrete import Step, step_at, step_nats
from dnadiff.diffusion.estimators import Estimator
from dnadiff.diffusion.heads import costs_at
from dnadiff.diffusion.nats import letter_logits, letter_nats
from dnadiff.diffusion.noise import Noise
from dnadiff.diffusion.objectives.base import ObjectiveSettings
from dnadiff.diffusion.objectives.masked import hide, scored_positions
from dnadiff.diffusion.subs import SubsDenoiser
from dnadiff.network import Network
from dnadiff.vocab import Vocab


class D3PM(ObjectiveSettings):
    """Absorbing diffusion in discrete time, without carry-over; two passes of the network for each loss."""

    remark: ClassVar[str] = (
        "d3pm begins near 4 bits, not 2: its network has to learn to copy the letters that it sees, and what is no mask"
    )

    kind: Literal["d3pm"] = "d3pm"
    T: int = Field(1000, ge=1)
    """Steps of the chain, from nothing hidden to everything."""
    zero_masking: bool = False
    """Leave the mask out of the head's softmax."""

    def in_steps(self, n_steps: int) -> Self:
        """See `ObjectiveSettings`."""
        return self.model_copy(update={"T": n_steps})

    def build(self, network: Network, vocab: Vocab) -> TrainingObjective:
        """Itself: nothing is learned beside the network."""
        return self

    def loss(self, network: Network, batch: Batch, noise: Noise, schedule: NoiseSchedule, vocab: Vocab) -> LossTerms:
        """Nats per position, one step of each row standing for all T; their mean over `valid` is the bound."""
        scored = scored_positions(batch, vocab)
        step = step_at(noise.times, self.T, schedule)
        hidden = scored & (noise.uniforms[:, 0] >= step.alpha_t[:, None])
        time = (1.0 - step.alpha_t).float()
        nats, mask_prob = self._nats(network, batch, hide(batch, hidden, vocab), hidden, time, vocab)
        some = hidden.any(1)  # elsewhere alpha_t may be 1, and the step without a limit
        of_rows = Step(step.alpha_s.where(some, 1.0)[:, None], step.alpha_t.where(some, 0.0)[:, None])
        kl = step_nats(nats, mask_prob, of_rows)
        reconstruction, _ = self._nats(network, batch, batch, scored, torch.zeros_like(time), vocab)
        return LossTerms(self.T * kl.to(nats.dtype) + reconstruction, scored)

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
        """See `TrainingObjective`; masks come from the steps, and there is nothing to estimate better."""
        return self.loss(network, batch, noise, schedule, vocab).nats.double().sum(1)

    def denoiser(self, network: Network, schedule: NoiseSchedule, vocab: Vocab) -> SubsDenoiser:
        """The posterior over letters, given that the head does not say mask: revealing is left to the schedule.

        Its bound is at most that in `loss`: each KL divergence there is that of revealing, zero here, plus that of the
        letter given that it is revealed, the same here; and visible letters stay.
        """
        return SubsDenoiser(network, vocab)

    def _nats(
        self, network: Network, batch: Batch, seen: Batch, wanted: Tensor, time: Tensor, vocab: Vocab
    ) -> tuple[Tensor, ...]:
        """(batch, length) -log p(x_0 = letter) at `wanted`, and p(x_0 = mask); zero elsewhere."""

        def cost(logits: Tensor, true: Tensor) -> tuple[Tensor, ...]:
            letters = letter_logits(logits, vocab)
            masks = logits[:, vocab.mask, None].to(letters.dtype)[:, : 0 if self.zero_masking else 1]
            log_probs = torch.cat([letters, masks], 1).log_softmax(-1)
            return letter_nats(log_probs, true, vocab), log_probs[:, vocab.n_letters :].exp().sum(-1)

        t = time if network.time_conditioned else None
        return costs_at(network, seen, wanted, t, batch.tokens, cost, vocab)
