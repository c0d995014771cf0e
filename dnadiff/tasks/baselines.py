"""What a model's bits per base are read against: uniform, Markov chains of rising order, the toy's own source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from dnadiff.data.genome import GenomeSplits
from dnadiff.data.markov import fit
from dnadiff.data.toy import toy_bounds
from dnadiff.data.window_set import WindowSet
from dnadiff.tasks.settings import TrainConfig

MAX_BASES = 200_000_000  # counting more moves no order that is offered by 0.001 bits, and takes minutes


class Baselines(NamedTuple):
    """Bits per base on the split that is scored.

    Attributes:
        markov: by order, counted on both strands of the training split, smoothing chosen on the validation split.
        chosen_order: the order with the lowest figure on the validation split.
        source: bounds of the entropy of the toy genome's source; None for a user's genome.
    """

    markov: tuple[float, ...]
    chosen_order: int
    source: tuple[float, float] | None

    def lines(self) -> dict[str, float]:
        """Named levels for a picture."""
        orders = {0, 2, self.chosen_order} & set(range(len(self.markov)))
        return {"uniform": 2.0, **{f"Markov order {order}": self.markov[order] for order in sorted(orders)}}


def measure(settings: TrainConfig, data: GenomeSplits) -> Baselines:
    """Count and score the baselines."""
    scored: WindowSet = getattr(data, settings.evaluate.split)
    model = fit(_pieces(data, data.train), settings.markov_order).tune(_pieces(data, data.valid))
    markov = tuple(score.bits_per_base for score in model.bits_by_order(_pieces(data, scored)))
    contigs = sorted({contig for contig, _, _ in scored.regions()})
    source = toy_bounds(contigs) if settings.data.ref is None else None
    assert model.best_order is not None
    return Baselines(markov, model.best_order, source)


def _pieces(data: GenomeSplits, windows: WindowSet) -> Iterator[np.ndarray]:
    """Tokens of the stretches that a split covers, up to `MAX_BASES`."""
    left = MAX_BASES
    for contig, start, end in windows.regions():
        if left <= 0:
            return
        yield data.genome.tokens(contig, start, min(end, start + left))
        left -= end - start
