"""SUBS parameterisation (MDLM, section 3.2.3): hidden positions get a distribution over letters, visible ones stay.

Zero masking probability: the softmax runs over the letters of the data, not over the mask, special tokens or padded
rows of the embedding table. Carry-over: only hidden positions are ever asked, so no others have a part in anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion.answers import Answers
from dnadiff.diffusion.heads import costs_at, logits_at
from dnadiff.diffusion.nats import letter_logits, softmax_nats
from dnadiff.network import Network
from dnadiff.vocab import Vocab


@dataclass(frozen=True)
class SubsDenoiser:
    """A network read as log p(letter | visible positions)."""

    network: Network
    vocab: Vocab

    @property
    def time_conditioned(self) -> bool:
        return self.network.time_conditioned

    def __call__(self, batch: Batch, wanted: Tensor, t: Tensor | None = None) -> Tensor:
        """Log-probabilities at `wanted`: (n, n_letters) float32 or better; see `PosteriorDenoiser`."""
        return self.answers(batch, wanted, t).all()

    def answers(self, batch: Batch, wanted: Tensor, t: Tensor | None = None) -> Answers:
        """The same in parts."""
        logits = logits_at(self.network, batch, wanted, t, self.vocab)
        return logits.then(lambda part: letter_logits(part, self.vocab).log_softmax(-1))

    def nats(self, batch: Batch, wanted: Tensor, tokens: Tensor, t: Tensor | None = None) -> Tensor:
        """-log p of the true letters at `wanted`, zero elsewhere: tokens (batch, length) -> (batch, length)."""

        def cost(logits: Tensor, true: Tensor) -> tuple[Tensor, ...]:
            return (softmax_nats(logits, true, self.vocab),)

        (nats,) = costs_at(self.network, batch, wanted, t, tokens, cost, self.vocab)
        return nats
