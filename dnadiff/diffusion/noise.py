"""Noise is data: times and uniforms of a whole global batch, drawn from (seed, step) and handed to the objective.

Ranks and micro-batches take their rows, so neither their number nor a restart changes what is drawn.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from dnadiff.config import Settings


class Noise(NamedTuple):
    """All the randomness of one draw of a loss.

    Attributes:
        times: (batch,) float32 in [0, 1], each uniform, spread evenly over the batch or independent.
        uniforms: (batch, n_uniforms, length) float32 in [0, 1); the first decides which positions are hidden.
    """

    times: Tensor
    uniforms: Tensor

    def rows(self, start: int, stop: int) -> Noise:
        return Noise(self.times[start:stop], self.uniforms[start:stop])

    def to(self, device: torch.device | str) -> Noise:
        return Noise(self.times.to(device, non_blocking=True), self.uniforms.to(device, non_blocking=True))

    def pin_memory(self) -> Noise:
        """The same in memory that a GPU reads by itself."""
        return Noise(self.times.pin_memory(), self.uniforms.pin_memory())


class LowDiscrepancy(Settings):
    """One shared offset spreads the times evenly (Kingma et al. 2021, app. I.1); MD4's antithetic sampling."""

    kind: Literal["low_discrepancy"] = "low_discrepancy"

    def draw(self, generator: np.random.Generator, batch: int) -> np.ndarray:
        """(batch,) in [0, 1)."""
        return (generator.random() + np.arange(batch) / batch) % 1.0


class Stratified(Settings):
    """One time in each of `batch` equal strata, drawn there on its own; MDLM's antithetic sampling."""

    kind: Literal["stratified"] = "stratified"

    def draw(self, generator: np.random.Generator, batch: int) -> np.ndarray:
        """(batch,) in [0, 1), ascending."""
        return (np.arange(batch) + generator.random(batch)) / batch


class Independent(Settings):
    """Every time on its own."""

    kind: Literal["independent"] = "independent"

    def draw(self, generator: np.random.Generator, batch: int) -> np.ndarray:
        """(batch,) in [0, 1)."""
        return generator.random(batch)


Times = Annotated[LowDiscrepancy | Stratified | Independent, Field(discriminator="kind")]
DEFAULT_TIMES = LowDiscrepancy()


def draw_noise(
    generator: np.random.Generator, batch: int, length: int, *, n_uniforms: int = 1, times: Times = DEFAULT_TIMES
) -> Noise:
    """Noise for a batch."""
    drawn = times.draw(generator, batch)
    uniforms = generator.random((batch, n_uniforms, length), dtype=np.float32)
    return Noise(torch.from_numpy(drawn).float(), torch.from_numpy(uniforms))


def spread_times(generator: np.random.Generator, n_rows: int) -> np.ndarray:
    """(n_rows,) in [0, 1): one time in each of `n_rows` equal strata, in random order."""
    return np.asarray((generator.permutation(n_rows) + generator.random(n_rows)) / n_rows)
