"""SEDD: denoising score entropy of absorbing diffusion, where hiding letters is the only noise (Lou et al. 2024).

The score of letter y at a hidden position is s_y = p_t(row with y) / p_t(row) = alpha / (1 - alpha) * p(y | visible)
(Ou et al. 2024, theorem 1). The network gives q_y for the last factor, positive and not normalised; the odds are exact.
Then the score entropy of a hidden position, weighted by the rate of hiding -alpha' / alpha, is

    -alpha' / (1 - alpha) * (-log q_x + sum_y q_y - 1),

the weight of every masked objective times a cost without the time. The authors subtract log(1 / alpha - 1) from the
network's output instead, which is infinite where a network without time conditioning is told that there is no noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion.answers import Answers
from dnadiff.diffusion.contracts import NoiseSchedule, SequenceSampler
from dnadiff.diffusion.heads import costs_at, logits_at
from dnadiff.diffusion.nats import letter_logits, letter_nats
from dnadiff.diffusion.objectives.masked import Masked
from dnadiff.diffusion.samplers.analytic import Analytic
from dnadiff.network import Network
from dnadiff.vocab import Vocab


class SEDD(Masked):
    """Score entropy, absorbing noise, continuous time."""

    plain: ClassVar[type[SequenceSampler]] = Analytic
    """The sampler of scores; samplers of a posterior serve as well."""

    kind: Literal["sedd"] = "sedd"

    def position_nats(
        self, network: Network, noisy: Batch, hidden: Tensor, times: Tensor, tokens: Tensor, vocab: Vocab
    ) -> Tensor:
        """-log q(letter) + sum of q - 1, at least -log of the normalised q; see `Masked`."""

        def cost(logits: Tensor, true: Tensor) -> tuple[Tensor, ...]:
            log_q = _log_q(logits, vocab)
            return (letter_nats(log_q, true, vocab) + log_q.exp().sum(-1) - 1.0,)

        t = times if network.time_conditioned else None
        (nats,) = costs_at(network, noisy, hidden, t, tokens, cost, vocab)
        return nats

    def denoiser(self, network: Network, schedule: NoiseSchedule, vocab: Vocab) -> SEDDDenoiser:
        """The network as scores, read exactly as training reads it."""
        return SEDDDenoiser(network, vocab)


@dataclass(frozen=True)
class SEDDDenoiser:
    """A network read as scores; as a posterior, q is normalised."""

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
        return self.log_q(batch, wanted, t).then(lambda log_q: log_q.log_softmax(-1))

    def log_q(self, batch: Batch, wanted: Tensor, t: Tensor | None) -> Answers:
        """Log-scores less the log-odds of t, at `wanted`: (n, n_letters); see `ScoreDenoiser`."""
        told = t if self.network.time_conditioned else None
        return logits_at(self.network, batch, wanted, told, self.vocab).then(lambda part: _log_q(part, self.vocab))


def _log_q(logits: Tensor, vocab: Vocab) -> Tensor:
    """(n, vocab) -> (n, n_letters); a head that gives zeros says that all letters are equally likely."""
    return letter_logits(logits, vocab) - math.log(vocab.n_letters)
