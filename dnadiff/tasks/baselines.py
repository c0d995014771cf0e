"""What a model's bits per base are read against: uniform, Markov chains of rising order, the toy's own source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from dnadiff.data.genome import GenomeData, GenomeSplits
from dnadiff.data.markov import MarkovModel, by_order, fit
from dnadiff.data.toy import toy_bounds
from dnadiff.data.window_set import WindowSet
from dnadiff.inference.estimate import Estimate, Interval, Meaning
from dnadiff.tasks.settings import TrainConfig

MAX_BASES = 400_000_000  # counted, in stretches spread over the genome; all of a human genome would lower order 11 more
STRETCH_BP = 1_000_000

Region = tuple[str, int, int]  # contig, start, end


@dataclass(frozen=True)
class Baselines:
    """Bits per base on the split that is scored.

    Attributes:
        markov: by order, counted on both strands of the training split, smoothing chosen on the validation split.
        chosen_order: the order with the lowest figure on the validation split.
        source: bounds of the entropy of the toy genome's source; None for a user's genome.
        parts: `markov` of each contig that has bases for every order, by name.
    """

    markov: tuple[float, ...]
    chosen_order: int
    source: tuple[float, float] | None
    parts: Mapping[str, tuple[float, ...]]
    letter: ClassVar[str] = "base"
    rows: ClassVar[str] = "windows"

    def lines(self) -> dict[str, float]:
        """Named levels for a picture."""
        orders = {0, 2, self.chosen_order} & set(range(len(self.markov)))
        return {"uniform": 2.0, **{f"Markov order {order}": self.markov[order] for order in sorted(orders)}}

    def more(self, result: Estimate) -> dict[str, Interval]:
        """None."""
        return {}

    def of(self, part: str) -> Baselines:
        """Of one contig."""
        return replace(self, markov=self.parts.get(part, ()), parts={})

    def as_numbers(self) -> dict[str, Any]:
        """All but those of parts, for JSON."""
        return {"markov": self.markov, "chosen_order": self.chosen_order, "source": self.source}

    def verdict(self, result: Estimate) -> str:
        """How good a figure is, and whether it can be true; levels alone where it is no likelihood."""
        best = f"order {self.chosen_order}, chosen on validation: {self.markov[self.chosen_order]:.3f}"
        listed = f"Markov chains, bits per base by order: {' '.join(f'{level:.3f}' for level in self.markov)} ({best})"
        if result.meaning in (Meaning.PSEUDO, Meaning.LOSS):
            return f"{listed}; these are likelihoods, which this figure cannot be compared with"
        bits = result.bits_per_base
        groups = {
            "clearly below": [order for order, level in enumerate(self.markov) if bits.high < level],
            "not told apart from": [order for order, level in enumerate(self.markov) if bits.low <= level <= bits.high],
            "clearly above": [order for order, level in enumerate(self.markov) if level < bits.low],
        }
        against = "; ".join(f"{name} {_ranges(orders)}" for name, orders in groups.items() if orders)
        text = f"{listed}\n{bits.value:.3f} bits per base, against these orders: {against}"
        if self.source is None:
            return text
        lower, upper = self.source
        if bits.high < lower:
            return f"{text}; BELOW the entropy of the toy's source given its latents ({lower:.3f}): that is a leak"
        return f"{text}; the toy's source has between {lower:.3f} and {upper:.3f}"


def measure(settings: TrainConfig, data: GenomeSplits) -> Baselines:
    """Count and score the baselines of a genome."""
    assert isinstance(settings.data, GenomeData)
    scored: WindowSet = getattr(data, settings.evaluate.split)
    model = markov_chain(settings, data)
    chosen = settings.evaluate.chosen(len(scored))
    contigs, regions = scored.parts(chosen), scored.regions()

    def pieces(contig: str) -> Iterable[np.ndarray]:
        if len(chosen) < len(scored):
            return scored.rows(chosen[contigs[contig]], epoch=None)
        return _pieces(data, [region for region in regions if region[0] == contig])

    sums = {contig: model.bits_and_bases(pieces(contig)) for contig in contigs}
    source = toy_bounds(sorted(contigs)) if settings.data.ref is None else None
    parts = {contig: _markov(each) for contig, each in sums.items() if each[:, 1].all()}
    assert model.best_order is not None
    return Baselines(_markov(sum(sums.values(), start=np.zeros(()))), model.best_order, source, parts)


def markov_chain(settings: TrainConfig, data: GenomeSplits) -> MarkovModel:
    """Counted on the training split; its order and smoothing chosen on the validation split."""
    train, valid = (counted_pieces(data, windows) for windows in (data.train, data.valid))
    return fit(train, settings.markov_order).tune(valid)


def counted_pieces(data: GenomeSplits, windows: WindowSet) -> Iterator[np.ndarray]:
    """The tokens that windows cover; of a large genome, stretches spread evenly over it."""
    return _pieces(data, _sample(windows.regions()))


def _markov(sums: np.ndarray) -> tuple[float, ...]:
    """Bits per base by order."""
    return tuple(score.bits_per_base for score in by_order(sums))


def _ranges(orders: list[int]) -> str:
    """`0-5, 8`."""
    starts = [order for order in orders if order - 1 not in orders]
    ends = [order for order in orders if order + 1 not in orders]
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))


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
