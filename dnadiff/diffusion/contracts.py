"""What the pieces of a diffusion model promise each other: schedules, objectives, and what samplers take."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from enum import Enum, auto
from typing import Any, ClassVar, NamedTuple, Protocol

from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.config import Settings
from dnadiff.diffusion.answers import Answers
from dnadiff.diffusion.estimators import Estimator
from dnadiff.diffusion.noise import Noise
from dnadiff.network import Network
from dnadiff.vocab import Vocab


class LossTerms(NamedTuple):
    """Loss of a batch before it is averaged.

    Attributes:
        nats: (batch, length) float32, already weighted by the schedule; zero where nothing is scored.
        valid: (batch, length) bool: positions that count.
        surrogate: (batch, length), what is differentiated where that differs from `nats`.
    """

    nats: Tensor
    valid: Tensor
    surrogate: Tensor | None = None


class Likelihood(Enum):
    """What `TrainingObjective.row_nats` is to -log p of a row."""

    EXACT = auto()
    """It is -log p: without Monte Carlo error, so that one sweep is all there is."""
    BOUND = auto()
    """Its mean over noise is an upper bound."""
    NONE = auto()
    """There is none: the loss is no likelihood, and is never printed as bits per base."""


class NoiseSchedule(Protocol):
    """How fast letters are hidden; settings, or a module where it is learned."""

    def alpha(self, t: Tensor) -> Tensor:
        """Chance that a position is still visible at time t: (...) -> (...), or (..., n_letters) if letters differ."""
        ...

    def dalpha(self, t: Tensor) -> Tensor:
        """Derivative of `alpha`, in the same shape."""
        ...


class TrainingObjective(Protocol):
    """What is minimised, and how the head is read, in training and sampling alike; settings, or a module."""

    @property
    def n_uniforms(self) -> int:
        """Uniforms that a position needs in one draw of the loss, and of `row_nats`."""
        ...

    @property
    def likelihood(self) -> Likelihood:
        """What `row_nats` is to -log p."""
        ...

    @property
    def estimated(self) -> bool:
        """Whether the masks of `row_nats` are drawn by the estimator that it is given."""
        ...

    def loss(self, network: Network, batch: Batch, noise: Noise, schedule: NoiseSchedule, vocab: Vocab) -> LossTerms:
        """Weighted nats per position under given noise."""
        ...

    def denoiser(self, network: Network, schedule: NoiseSchedule, vocab: Vocab) -> Denoiser:
        """The network as what a sampler takes."""
        ...

    def row_nats(
        self,
        network: Network,
        batch: Batch,
        noise: Noise,
        schedule: NoiseSchedule,
        vocab: Vocab,
        estimator: Estimator,
    ) -> Tensor:
        """(batch,) float64: one draw of the bound on -log p of each row, over the whole of time; without gradient.

        Args:
            noise: times spread over [0, 1), one stratum per row; uniforms as for `loss`.
            estimator: how masks are drawn, where `estimated`.

        Raises:
            InputError: `likelihood` is NONE.
        """
        ...


class PosteriorDenoiser(Protocol):
    """The distribution of the letters at hidden positions, given everything that is visible.

    One that may be of many letters has `answers` as well (see `InParts`), so that not all need be held at once.
    """

    @property
    def time_conditioned(self) -> bool:
        """Whether `t` is used, so that the same batch at another time is another question."""
        ...

    def __call__(self, batch: Batch, wanted: Tensor, t: Tensor | None = None) -> Tensor:
        """Log-probabilities at the wanted positions.

        Args:
            batch: rows whose hidden positions hold the mask.
            wanted: (batch, length) bool, n True.
            t: (batch,) chance that a position is hidden, 1 - alpha, for networks that are conditioned on it.

        Returns:
            (n, n_letters) float32 or better, rows in the order of `wanted.nonzero()`.
        """
        ...


class ScoreDenoiser(PosteriorDenoiser, Protocol):
    """How much likelier a noisy row becomes with a letter in the place of a mask; in proportion to the posterior."""

    def log_q(self, batch: Batch, wanted: Tensor, t: Tensor) -> Answers:
        """log p_t(row with the letter) - log p_t(row) - log((1 - t) / t) at the wanted positions.

        Args:
            batch: rows whose hidden positions hold the mask.
            wanted: (batch, length) bool, n True.
            t: (batch,) chance that a position is hidden, for networks that are conditioned on it.

        Returns:
            (n, n_letters) float32 or better, rows in the order of `wanted.nonzero()`.
        """
        ...


class NextToken(Protocol):
    """The distribution of the next letter, given everything before it."""

    def __call__(self, batch: Batch, wanted: Tensor) -> Tensor:
        """Log-probabilities of the letters at the wanted positions, in one pass over rows that are known.

        Args:
            batch: rows; what stands at a position and after it changes nothing there.
            wanted: (batch, length) bool, n True.

        Returns:
            (n, n_letters) float32 or better, rows in the order of `wanted.nonzero()`.
        """
        ...

    def step(self, tokens: Tensor, cache: Any = None) -> tuple[Tensor, Any]:
        """Log-probabilities at the next position of rows that are being written.

        Args:
            tokens: (batch,) what was written last; the mask before anything is.
            cache: what the previous step returned; None at the first.

        Returns:
            (batch, n_letters) float32 or better, and the cache of the next step.
        """
        ...


class ContinuousDenoiser(Protocol):
    """The letters at hidden positions that carry noisy embeddings (see `dnadiff.diffusion.gaussian`)."""

    @property
    def width(self) -> int:
        """Numbers of an embedding."""
        ...

    def gamma(self, t: Tensor) -> Tensor:
        """log(noise / signal) at times t (n,), rising: (n,) float64."""
        ...

    def __call__(self, batch: Batch, z: Tensor, gamma: Tensor, estimate: Tensor) -> Tensor:
        """Log-probabilities of the letters at every position.

        Args:
            batch: rows whose hidden positions hold the mask.
            z: (batch, length, width) noisy embeddings, read where a position is hidden.
            gamma: (batch,) float64, how noisy.
            estimate: (batch, length, width) of the clean embeddings, from before; zero where there is none.

        Returns:
            (batch, length, n_letters), of the type of z.
        """
        ...

    def expected(self, log_probs: Tensor) -> Tensor:
        """The mean embedding: (batch, length, n_letters) -> (batch, length, width)."""
        ...


Denoiser = PosteriorDenoiser | ScoreDenoiser | NextToken | ContinuousDenoiser


class Uniforms(Protocol):
    """Random numbers as data: a stream for each row, so that what a row becomes does not depend on its neighbours.

    A sampler asks for the same shapes in the same order whatever the rows hold, up to when they are full.
    """

    def __call__(self, *shape: int) -> Tensor:
        """(batch, *shape) float64 in [0, 1), on the device of the rows, new at every call."""
        ...

    def branch(self, number: int) -> Uniforms:
        """Other streams of the same rows, the same however far these have been read."""
        ...


class SequenceSampler(Settings):
    """How a sequence is drawn from a denoiser."""

    kind: str
    takes: ClassVar[type]
    """The type of denoiser, one of `Denoiser`; another is a configuration error."""
    letters_alike: ClassVar[bool] = False
    """Whether it is for letters that are all hidden at the same rate; other schedules are a configuration error."""

    @abstractmethod
    def n_steps(self, length: int) -> int:
        """At most how many states `sample` yields for rows of `length` masks."""

    @abstractmethod
    def sample(
        self, denoiser: Any, state: Batch, schedule: NoiseSchedule, vocab: Vocab, *, uniforms: Uniforms
    ) -> Iterator[Batch]:
        """Fill every mask of `state`, yielding the state after each step; visible positions never change.

        A state holds until the next one is asked for, which may take its memory.
        """


class Fills(Protocol):
    """What fills masks: a sampler, or something around one; see `SequenceSampler` for both."""

    def n_steps(self, length: int) -> int: ...

    def sample(
        self, denoiser: Any, state: Batch, schedule: NoiseSchedule, vocab: Vocab, *, uniforms: Uniforms
    ) -> Iterator[Batch]: ...
