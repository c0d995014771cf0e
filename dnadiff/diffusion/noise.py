"""Noise is data: times and uniforms of a whole global batch, drawn from (seed, step) and handed to the objective.

Ranks and micro-batches take their rows, so neither their number nor a restart changes what is drawn.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Noise(NamedTuple):
    """What decides which positions are hidden.

    Attributes:
        times: (batch,) float32 in [0, 1), low-discrepancy over the batch.
        uniforms: (batch, length) float32 in [0, 1); a position is visible where its uniform is below alpha(time).
    """

    times: Tensor
    uniforms: Tensor

    def rows(self, start: int, stop: int) -> Noise:
        return Noise(self.times[start:stop], self.uniforms[start:stop])


def draw_noise(generator: np.random.Generator, batch: int, length: int) -> Noise:
    """Noise for a batch: one shared offset spreads the times evenly (Kingma et al. 2021, app. I.1), each is uniform."""
    times = (generator.random() + np.arange(batch) / batch) % 1.0
    return Noise(torch.from_numpy(times).float(), torch.from_numpy(generator.random((batch, length), dtype=np.float32)))
