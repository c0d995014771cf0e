"""Random numbers of samplers: each row has a stream of its own, whatever rows it is drawn beside."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from dnadiff.rng import Stream, numpy_generator


class RowUniforms:
    """Uniforms of some rows, the next ones of each row's stream at every call; see `contracts.Uniforms`."""

    def __init__(
        self, seed: int, rows: Iterable[int], device: torch.device | str = "cpu", *, where: tuple[int, ...] = ()
    ) -> None:
        """`rows`: numbers of the rows among all that are drawn with the seed; `where`: the branches that led here."""
        self._seed, self._rows, self._device, self._where = seed, tuple(rows), device, where
        self._streams = [numpy_generator(seed, Stream.SAMPLE, row, *where) for row in self._rows]

    def __call__(self, *shape: int) -> Tensor:
        """(batch, *shape) float64 in [0, 1)."""
        drawn = np.empty((len(self._streams), *shape))
        for row, stream in enumerate(self._streams):
            drawn[row] = stream.random(shape)
        return torch.from_numpy(drawn).to(self._device)

    def branch(self, number: int) -> RowUniforms:
        """Other streams of the same rows, the same however far these have been read."""
        return RowUniforms(self._seed, self._rows, self._device, where=(*self._where, number))
