"""Random numbers of samplers: each row has a stream of its own, whatever rows it is drawn beside."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from dnadiff.rng import Stream, numpy_generator

AHEAD = 4096  # numbers of a row that are drawn at a time, and sent to the device


class RowUniforms:
    """Uniforms of some rows, the next ones of each row's stream at every call; see `contracts.Uniforms`."""

    def __init__(
        self, seed: int, rows: Iterable[int], device: torch.device | str = "cpu", *, where: tuple[int, ...] = ()
    ) -> None:
        """`rows`: numbers of the rows among all that are drawn with the seed; `where`: the branches that led here."""
        self._seed, self._rows, self._device, self._where = seed, tuple(rows), device, where
        self._streams = [numpy_generator(seed, Stream.SAMPLE, row, *where) for row in self._rows]
        self._ahead = torch.empty(len(self._rows), 0, dtype=torch.float64, device=device)

    def __call__(self, *shape: int) -> Tensor:
        """(batch, *shape) float64 in [0, 1)."""
        n = math.prod(shape)
        if self._ahead.shape[1] < n:
            self._ahead = torch.cat([self._ahead, self._next(max(n, AHEAD))], 1)
        drawn, self._ahead = self._ahead.tensor_split([n], 1)
        return drawn.reshape(len(drawn), *shape)

    def _next(self, n: int) -> Tensor:
        """(batch, n) of every stream."""
        drawn = np.empty((len(self._streams), n))
        for row, stream in zip(drawn, self._streams, strict=True):
            stream.random(out=row)
        return torch.from_numpy(drawn).to(self._device)

    def branch(self, number: int) -> RowUniforms:
        """Other streams of the same rows, the same however far these have been read."""
        return RowUniforms(self._seed, self._rows, self._device, where=(*self._where, number))
