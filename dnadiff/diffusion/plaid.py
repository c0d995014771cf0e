"""How Plaid reads a network (Gulrajani & Hashimoto 2023): noisy embeddings in, a distribution over letters out.

Categorical reparameterisation: the estimate of the clean embedding is the mean of the letters' embeddings under that
distribution. Output prior: the network's logits are added to the log-likelihood of each letter given its own noisy
embedding, so that the network only has to learn from context. Both as in the authors' code (igul222/plaid).

Unusual: hidden positions carry noisy embeddings, all others the network's embedding of their token, without noise.
For a strand-symmetric network the opposite strand of a vector is the vector reversed. Letters and their complements are
embedded so, and both strands enter through the same weights, hence p(x) = p(rc(x)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dnadiff.batch import Batch
from dnadiff.diffusion.answers import Answers
from dnadiff.diffusion.gaussian import RATE, LearnedGamma, alpha, quick
from dnadiff.diffusion.nats import letter_logits
from dnadiff.network import Network
from dnadiff.vocab import Vocab

N_FREQUENCIES = 32
LOG_FREQUENCIES = (-5.0, 5.0)  # of the noise level's sines and cosines


class LetterEmbedding(nn.Module):
    """A learned unit vector for every letter."""

    complement: Tensor | None

    def __init__(self, vocab: Vocab, width: int, *, mirrored: bool) -> None:
        super().__init__()
        self.raw_rows = nn.Parameter(torch.randn(vocab.n_letters, width) / RATE)
        complement = vocab.letter_index[vocab.complement_ids[vocab.letter_ids]] if mirrored else None
        self.register_buffer("complement", complement, persistent=False)

    def forward(self) -> Tensor:
        """(n_letters, width); a complement's vector is the letter's reversed, where strands are mirrored."""
        rows = quick(self.raw_rows)
        return F.normalize(rows if self.complement is None else rows + rows[self.complement].flip(-1), dim=-1)


class NoisyInput(nn.Module):
    """Projects noisy embeddings, an earlier estimate of the clean ones and the noise level onto a network's input."""

    def __init__(self, width: int, into: int, *, mirrored: bool) -> None:
        """`into`: width of the network's input, both strands together where they are mirrored."""
        super().__init__()
        one_strand = into // 2 if mirrored else into
        self.noisy = nn.Linear(width, one_strand, bias=False)
        self.estimate = nn.Linear(width, one_strand, bias=False)
        self.level = nn.Linear(2 * N_FREQUENCIES, one_strand, bias=False)
        nn.init.zeros_(self.estimate.weight)
        nn.init.zeros_(self.level.weight)
        self.mirrored = mirrored

    def forward(self, z: Tensor, estimate: Tensor, gamma: Tensor) -> Tensor:
        """(batch, length, into) of z and estimate (batch, length, width), gamma (batch,)."""
        given = self._one_strand(z, estimate, gamma)
        if not self.mirrored:
            return given
        opposite = self._one_strand(z.flip(-1), estimate.flip(-1), gamma)
        return torch.cat([given, opposite.flip(-1)], dim=-1)

    def _one_strand(self, z: Tensor, estimate: Tensor, gamma: Tensor) -> Tensor:
        width, dtype = z.shape[-1], self.noisy.weight.dtype
        spread = (torch.sigmoid(-gamma) / width + torch.sigmoid(gamma)).sqrt()[:, None, None]  # of each number of z
        frequencies = torch.linspace(*LOG_FREQUENCIES, N_FREQUENCIES, dtype=gamma.dtype, device=gamma.device).exp()
        angles = gamma[:, None] * frequencies
        level: Tensor = self.level(torch.cat([angles.sin(), angles.cos()], dim=-1).to(dtype))
        projected: Tensor = self.noisy((z / spread).to(dtype)) + self.estimate((estimate * math.sqrt(width)).to(dtype))
        return projected + level[:, None]


@dataclass(frozen=True)
class PlaidDenoiser:
    """A network read as log p(letter | noisy embeddings); see `ContinuousDenoiser`.

    Attributes:
        embeddings: (batch or 1, n_letters, width); of each row, since training rows differ in what they teach.
    """

    network: Network
    vocab: Vocab
    schedule: LearnedGamma
    entrance: NoisyInput
    embeddings: Tensor

    @property
    def width(self) -> int:
        return self.embeddings.shape[-1]

    def gamma(self, t: Tensor) -> Tensor:
        """Noise level at times t (n,): (n,) float64."""
        gamma: Tensor = self.schedule(t)
        return gamma

    def __call__(self, batch: Batch, z: Tensor, gamma: Tensor, estimate: Tensor) -> Tensor:
        """Log-probabilities of the letters: (batch, length, n_letters), float32 or better."""
        return self.answers(batch, z, gamma, estimate).all()

    def answers(self, batch: Batch, z: Tensor, gamma: Tensor, estimate: Tensor) -> Answers:
        """The same in parts, of some positions of all rows."""
        device = z.device.type
        with torch.autocast(device, enabled=False):
            entering, hidden = self.entrance(z, estimate, gamma), (batch.tokens == self.vocab.mask)[..., None]
            embedded = torch.where(hidden, entering, self.network.embed(batch.tokens))
        t = torch.sigmoid(gamma).to(embedded.dtype) if self.network.time_conditioned else None
        features = self.network.features(embedded, t, valid=batch.valid, segments=batch.segments, label=batch.label)
        scale = (alpha(gamma) / torch.sigmoid(gamma)).to(z.dtype)[:, None, None]

        def read(features: Tensor, z: Tensor) -> Tensor:
            logits = letter_logits(self.network.logits(features), self.vocab)
            with torch.autocast(device, enabled=False):
                prior = z @ self.embeddings.to(z.dtype).mT * scale
                return torch.log_softmax(logits.to(z.dtype) + prior, dim=-1)

        return Answers((features, z), read, columns=len(z) * self.vocab.size, dim=1)

    def expected(self, log_probs: Tensor) -> Tensor:
        """The mean embedding: (batch, length, n_letters) -> (batch, length, width)."""
        with torch.autocast(log_probs.device.type, enabled=False):
            return log_probs.exp() @ self.embeddings.to(log_probs.dtype)

    @torch.no_grad()
    def first_estimate(self, batch: Batch, z: Tensor, gamma: Tensor, chosen: Tensor) -> Tensor:
        """What the chosen rows (batch,) are given for self-conditioning; zero in the others: (batch, length, width)."""
        estimate, rows = torch.zeros_like(z), chosen.nonzero()[:, 0]
        if not len(rows):
            return estimate
        reader = replace(self, embeddings=self.embeddings[rows])
        answers = reader.answers(batch.where(rows), z[rows], gamma[rows], estimate[rows])
        (expected,) = answers.map(lambda log_probs: (reader.expected(log_probs),))
        return estimate.index_copy(0, rows, expected)
