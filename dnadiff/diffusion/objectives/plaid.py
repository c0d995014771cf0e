"""Plaid: Gaussian diffusion on learned embeddings, by its variational bound (Gulrajani & Hashimoto 2023).

-log p(x) <= KL(z at the most noise | N(0, 1)) + E_t [gamma'(t) e^-gamma |x - estimate(z)|^2 / 2] - log p(x | z at the
least noise): that of variational diffusion models (Kingma et al. 2021, eq. 11 and 16), where x is an embedding.

As in the authors' code (igul222/plaid): embeddings are unit vectors; a share of the training rows estimates the last
term and the others the second; a quarter of them are given a first estimate of x (self-conditioning), and on those
neither embeddings nor the ends of gamma learn, since the first pass has no gradient. Evaluation gives it to every row
and draws all terms for each. Unlike it: the share of rows for the last term is fixed, the output prior has no warm-up,
all but the network learns exactly ten times as fast as that, weight decay is the optimiser's, and the gradient of the
schedule's course is estimated without one of the network.
"""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from dnadiff.batch import Batch
from dnadiff.diffusion.contracts import Likelihood, LossTerms, NoiseSchedule, SequenceSampler
from dnadiff.diffusion.estimators import Estimator
from dnadiff.diffusion.gaussian import LearnedGamma, alpha, gaussians, prior_nats, sigma, variance_surrogate
from dnadiff.diffusion.noise import Noise
from dnadiff.diffusion.objectives.base import ObjectiveSettings
from dnadiff.diffusion.objectives.masked import hide, scored_positions
from dnadiff.diffusion.plaid import LetterEmbedding, NoisyInput, PlaidDenoiser
from dnadiff.diffusion.samplers.plaid import PlaidSampler
from dnadiff.network import Network, StrandSymmetric
from dnadiff.vocab import Vocab


class Plaid(ObjectiveSettings):
    """Gaussian diffusion on learned embeddings; the defaults are the authors'."""

    scheduled: ClassVar[bool] = False

    plain: ClassVar[type[SequenceSampler]] = PlaidSampler

    kind: Literal["plaid"] = "plaid"
    embedding_width: int = Field(16, ge=1)
    """Numbers of a letter's embedding."""
    gamma_start: float = -3.0
    """log(noise / signal) at t = 0, where letters are read off; learned from here."""
    gamma_stop: float = 6.0
    """log(noise / signal) at t = 1; learned from here."""
    reconstruction_share: float = Field(0.125, gt=0, lt=1)
    """Share of the training rows that estimate how well letters are read off at t = 0."""
    self_conditioning: float = Field(0.25, ge=0, lt=1)
    """Share of the training rows that are given a first estimate, as all are in use; 0: none, in use neither."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.gamma_start >= self.gamma_stop:
            raise ValueError(
                f"gamma_start ({self.gamma_start}) must be below gamma_stop ({self.gamma_stop}); noise rises with time"
            )
        return self

    def build(self, network: Network, vocab: Vocab) -> PlaidObjective:
        """Freshly initialised, from torch's global generator."""
        return PlaidObjective(self, network, vocab)


class Costs(NamedTuple):
    """Nats per position, (batch, length) each, wherever there is a letter."""

    reading: Tensor  # -log p(letter | z)
    diffusion: Tensor  # integrand over t


class PlaidObjective(nn.Module):
    """Embeddings, noise schedule and input projections, beside the network."""

    likelihood = Likelihood.BOUND
    estimated = False

    def __init__(self, settings: Plaid, network: Network, vocab: Vocab) -> None:
        super().__init__()
        self.settings = settings
        mirrored = isinstance(network, StrandSymmetric)
        width, into = settings.embedding_width, network.embed(torch.zeros(1, 1, dtype=torch.int64)).shape[-1]
        self.embedding = LetterEmbedding(vocab, width, mirrored=mirrored)
        self.gamma = LearnedGamma(settings.gamma_start, settings.gamma_stop)
        self.entrance = NoisyInput(width, into, mirrored=mirrored)

    @property
    def n_uniforms(self) -> int:
        """One for each number of an embedding; of the last, the first position chooses rows for self-conditioning."""
        return self.settings.embedding_width + 1

    def loss(self, network: Network, batch: Batch, noise: Noise, schedule: NoiseSchedule, vocab: Vocab) -> LossTerms:
        """The bound's nats per position, each row drawing one of two terms; `schedule` is not used.

        The surrogate adds what trains the course of gamma towards the least variance.
        """
        share = self.settings.reconstruction_share
        reads = noise.times < share  # (batch,): those rows have t = 0
        course = self.gamma.course(((noise.times - share) / (1 - share)).clamp(min=0))
        guessed = noise.uniforms[:, -1, 0] < self.settings.self_conditioning
        costs = self._costs(network, batch, course.share.detach(), course.speed.detach(), noise, guessed, vocab)
        scored = scored_positions(batch, vocab)
        diffusion, reading = costs.diffusion.where(scored, 0), costs.reading.where(scored, 0)
        prior = prior_nats(self.gamma.stop, self.settings.embedding_width)
        priors = torch.where(guessed, prior.detach(), prior).to(reading.dtype)[:, None] * scored
        nats = torch.where(reads[:, None], reading / share, diffusion / (1 - share)) + priors
        row_means = diffusion.detach().double().sum(1) / scored.sum(1).clamp(min=1)
        steering = variance_surrogate(course, row_means.masked_fill(reads, 0.0))
        return LossTerms(nats, scored, surrogate=nats + steering[:, None] * scored)

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
        """See `TrainingObjective`; all three terms for every row. `schedule` and `estimator` are not used."""
        guessed = torch.full_like(noise.times, self.settings.self_conditioning > 0, dtype=torch.bool)
        course = self.gamma.course(noise.times)
        diffusion = self._costs(network, batch, course.share, course.speed, noise, guessed, vocab).diffusion
        start = torch.zeros_like(course.share)
        reading = self._costs(network, batch, start, course.speed, noise, guessed, vocab).reading
        prior = prior_nats(self.gamma.stop, self.settings.embedding_width)
        scored = scored_positions(batch, vocab)
        return (diffusion.double() + reading.double() + prior).where(scored, 0).sum(1)

    def denoiser(self, network: Network, schedule: NoiseSchedule, vocab: Vocab) -> PlaidDenoiser:
        """The network as a distribution over letters given noisy embeddings."""
        return self._reader(network, vocab, self.embedding()[None])

    def _reader(self, network: Network, vocab: Vocab, embeddings: Tensor) -> PlaidDenoiser:
        return PlaidDenoiser(network, vocab, self.gamma, self.entrance, embeddings)

    def _costs(
        self,
        network: Network,
        batch: Batch,
        share: Tensor,
        speed: Tensor,
        noise: Noise,
        guessed: Tensor,
        vocab: Vocab,
    ) -> Costs:
        """Costs under given noise.

        Args:
            share, speed: (batch,) of the way of gamma, and its derivative by time.
            guessed: (batch,) bool: rows that are given a first estimate.
        """
        embeddings = self.embedding()
        rows = torch.where(guessed[:, None, None], embeddings.detach(), embeddings)  # (batch, n_letters, width)
        gamma, slope = self.gamma.at(share), (self.gamma.stop - self.gamma.start) * speed
        gamma, slope = (torch.where(guessed, value.detach(), value) for value in (gamma, slope))
        letters = vocab.on(batch.tokens.device).letter_index[batch.tokens].clamp(min=0)[..., None]
        x = rows.gather(1, letters.expand(-1, -1, rows.shape[-1]))  # (batch, length, width)
        normal = gaussians(noise.uniforms[:, :-1].to(x.dtype)).mT
        left, spread = (value.to(x.dtype)[:, None, None] for value in (alpha(gamma), sigma(gamma)))
        z = left * x + spread * normal
        noisy = hide(batch, scored_positions(batch, vocab), vocab)
        denoiser = self._reader(network, vocab, rows)

        def cost(log_probs: Tensor, true: Tensor, clean: Tensor) -> tuple[Tensor, ...]:
            missed = (clean - denoiser.expected(log_probs)).square().sum(-1)
            return -log_probs.gather(-1, true).squeeze(-1), missed

        answers = denoiser.answers(noisy, z, gamma, denoiser.first_estimate(noisy, z, gamma, guessed))
        reading, missed = answers.map(cost, letters, x)
        weight = (0.5 * slope * (-gamma).exp()).to(x.dtype)[:, None]
        return Costs(reading, diffusion=weight * missed)
