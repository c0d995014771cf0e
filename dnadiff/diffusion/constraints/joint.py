"""Letters of several positions drawn together: independent ones, given that a lattice accepts them.

Forward filtering, backward sampling with the directions swapped: from the end, the chance that what is still to come is
accepted; then from the start one letter after the other, each given all before it. In logarithms, so that a row which
only the unlikeliest letters can complete is completed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from dnadiff.diffusion.constraints.automata import DEAD
from dnadiff.diffusion.constraints.lattice import Lattice

RULED_OUT = -1e4
"""Log-weight of a letter of chance 0: it is drawn only where nothing else is accepted."""


class Lattices:
    """The lattices of the rows of a batch, side by side, so that one pass serves all; on the CPU.

    Attributes:
        positions: (batch, most) int64: the free positions of each row, then zeros.
        is_free: (batch, most) bool: False at those zeros.
    """

    def __init__(self, lattices: Sequence[Lattice], n_letters: int) -> None:
        most = max(len(lattice.layers) for lattice in lattices)
        self.positions = torch.zeros(len(lattices), most, dtype=torch.int64)
        self.is_free = torch.zeros(len(lattices), most, dtype=torch.bool)
        for row, lattice in enumerate(lattices):
            self.positions[row, : len(lattice.positions)] = torch.from_numpy(lattice.positions)
            self.is_free[row, : len(lattice.positions)] = True
        stay = np.full((1, n_letters), DEAD, dtype=np.int32)  # of rows whose free positions are all behind
        stay[0, 0] = 0
        columns = [[lattice.layers[at] if at < len(lattice.layers) else stay for lattice in lattices]
                   for at in range(most)]  # fmt: skip
        starts = [np.cumsum([0, *map(len, column)]) for column in columns]
        starts.append(np.arange(len(lattices) + 1))
        self._onward = [
            _side_by_side(column, after) for column, (_, after) in zip(columns, pairwise(starts), strict=True)
        ]
        self._row = [torch.from_numpy(np.repeat(np.arange(len(lattices)), np.diff(start))) for start in starts[:-1]]

    def log_chances(self, log_weights: Tensor) -> list[Tensor]:
        """For each layer, and for what comes after the last, (n_states + 1,): log of the chance that letters from there
        on are accepted; -inf at the end, for `DEAD`. The first layer has one state for each row.

        Args:
            log_weights: (batch, most, n_letters) of independent letters at the free positions.
        """
        log_chance = _with_dead(torch.zeros(len(self.positions), dtype=torch.float64))
        found = [log_chance]
        for at in reversed(range(len(self._onward))):
            after = log_chance[self._onward[at]] + log_weights[self._row[at], at]  # (n_states, n_letters)
            log_chance = _with_dead(after.logsumexp(1))
            found.append(log_chance)
        return found[::-1]

    def draw(self, log_weights: Tensor, log_chances: Sequence[Tensor], uniforms: Tensor) -> Tensor:
        """(batch, most) numbers of letters that are accepted, from the law of independent ones given that they are.

        Args:
            log_weights: (batch, most, n_letters), finite for every letter that may be drawn.
            log_chances: what `log_chances` says of them.
            uniforms: (batch, most) float64 in [0, 1).
        """
        state = torch.arange(len(self.positions))  # each row has one first state
        drawn = torch.empty_like(self.positions)
        for at, onward in enumerate(self._onward):
            after = onward[state]  # (batch, n_letters)
            chances = (log_weights[:, at] + log_chances[at + 1][after]).softmax(1).cumsum(1)
            chances = chances / chances[:, -1:]  # so that no letter of chance 0 takes what rounding leaves
            drawn[:, at] = (uniforms[:, at, None] >= chances[:, :-1]).sum(1)
            state = after.gather(1, drawn[:, at, None])[:, 0]
        return drawn


def _side_by_side(layers: Sequence[np.ndarray], starts: np.ndarray) -> Tensor:
    """(n_states, n_letters) int32: transitions of the rows' layers into the rows' next layers, `DEAD` as the last."""
    moved = [np.where(layer == DEAD, starts[-1], layer + start) for layer, start in zip(layers, starts, strict=False)]
    return torch.from_numpy(np.concatenate(moved).astype(np.int32))


def _with_dead(log_chance: Tensor) -> Tensor:
    return torch.cat([log_chance, log_chance.new_full((1,), -torch.inf)])
