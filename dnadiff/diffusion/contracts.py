"""What objectives return and what samplers take."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor

from dnadiff.batch import Batch


class LossTerms(NamedTuple):
    """Loss of a batch before it is averaged.

    Attributes:
        nats: (batch, length) float32, already weighted by the schedule; zero where nothing is scored.
        valid: (batch, length) bool: positions that count.
        is_bound: True if the mean over `valid` estimates a bound on -log p(x) per position.
    """

    nats: Tensor
    valid: Tensor
    is_bound: bool


class PosteriorDenoiser(Protocol):
    """The distribution of the letters at hidden positions, given everything that is visible."""

    @property
    def time_conditioned(self) -> bool:
        """Whether `t` is used, so that the same batch at another time is another question."""
        ...

    def __call__(self, batch: Batch, wanted: Tensor, t: Tensor | None = None) -> Tensor:
        """Log-probabilities at the wanted positions.

        Args:
            batch: rows whose hidden positions hold the mask.
            wanted: (batch, length) bool, n True.
            t: (batch,) times, for networks that are conditioned on them.

        Returns:
            (n, n_letters) float32 or better, rows in the order of `wanted.nonzero()`.
        """
        ...
