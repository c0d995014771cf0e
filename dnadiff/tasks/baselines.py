"""What a model's bits per base are read against: uniform, Markov chains of rising order, the toy's own source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from dnadiff.data.genome import GenomeSplits
from dnadiff.data.markov import MarkovModel, fit
from dnadiff.data.toy import toy_bounds
from dnadiff.data.window_set import WindowSet
from dnadiff.tasks.settings import TrainConfig

MAX_BASES = 400_000_000  # counted, in stretches spread over the genome; all of a human genome would lower order 11 more
STRETCH_BP = 1_000_000

Region = tuple[str, int, int]  # contig, start, end


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
    model = markov_chain(settings, data)
    chosen = settings.evaluate.chosen(len(scored))
    pieces = _pieces(data, scored.regions()) if len(chosen) == len(scored) else scored.rows(chosen, epoch=None)
    markov = tuple(score.bits_per_base for score in model.bits_by_order(pieces))
    contigs = sorted({contig for contig, _, _ in scored.regions()})
    source = toy_bounds(contigs) if settings.data.ref is None else None
    assert model.best_order is not None
    return Baselines(markov, model.best_order, source)


def markov_chain(settings: TrainConfig, data: GenomeSplits) -> MarkovModel:
    """Counted on the training split; its order and smoothing chosen on the validation split."""
    train, valid = (_pieces(data, _sample(windows.regions())) for windows in (data.train, data.valid))
    return fit(train, settings.markov_order).tune(valid)


def _sample(regions: Sequence[Region]) -> Sequence[Region]:
    """The regions; of more than `MAX_BASES`, stretches spread evenly over them."""
    n_bases = sum(end - start for _, start, end in regions)
    if n_bases <= MAX_BASES:
        return regions
    cut = [(c, i, min(i + STRETCH_BP, end)) for c, start, end in regions for i in range(start, end, STRETCH_BP)]
    return [cut[i] for i in np.linspace(0, len(cut) - 1, len(cut) * MAX_BASES // n_bases).astype(int)]


def _pieces(data: GenomeSplits, regions: Sequence[Region]) -> Iterator[np.ndarray]:
    """Their tokens."""
    for contig, start, end in regions:
        yield data.genome.tokens(contig, start, end)
