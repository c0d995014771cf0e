"""The windows of one split, read as rows of tokens, in training with a random strand and shift.

What is drawn depends on (seed, epoch, index) only, so the number of workers, ranks or resumptions cannot matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnadiff import dna
from dnadiff.data.fasta import Genome, Tokens
from dnadiff.data.windows import Ints, Windows, merge
from dnadiff.rng import Stream, numpy_generator
from dnadiff.vocab import DNA

COUNTED_AT_ONCE_BP = 1 << 22
_C, _G = DNA.letters[1:3]


class CountRow(NamedTuple):
    """One line of the table of counts: `n_share` of all bases are unknown, `gc` of the known ones are G or C."""

    split: str
    contig: str
    windows: int
    bases: int
    n_share: float
    gc: float


class WindowSet:
    """The windows of one split, as rows of tokens. Can be pickled and forked."""

    def __init__(
        self,
        genome: Genome,
        windows: Windows,
        *,
        length: int,
        reverse_complement: bool,
        jitter: int,
        seed: int,
        labels: Ints | None = None,
    ) -> None:
        """A set.

        Args:
            reverse_complement, jitter: what training draws, as in `GenomeData`.
            seed: of these draws.
            labels: (windows,) class of each; None without.
        """
        self.genome = genome
        self.windows = windows
        self.length = length
        self.labels = labels
        self._draws_strand = reverse_complement
        self._jitter = jitter
        self._seed = seed

    def __len__(self) -> int:
        return len(self.windows)

    def rows(self, indices: Ints, *, epoch: int | None) -> Tokens:
        """Tokens of some windows, (n, length) uint8.

        Args:
            indices: (n,) which windows.
            epoch: None for the windows as they are; else their strand and shift are drawn from (seed, epoch, index).
        """
        chosen = self.windows.take(indices)
        start, is_reverse = chosen.start, chosen.strand < 0
        if epoch is not None:
            uniform = _draws(self._seed, epoch, len(self))[indices]  # (n, 2)
            start = start + self._shifts(chosen, uniform[:, 0])
            is_reverse = is_reverse ^ (self._draws_strand & (uniform[:, 1] < 0.5))
        tokens = self.genome.read(chosen.contig, start, self.length)
        tokens[is_reverse] = dna.reverse_complement(tokens[is_reverse])
        return tokens

    def coordinates(self, index: int) -> tuple[str, int, int, int]:
        """Contig, start, end and strand of a window as it is."""
        contig, start = self.genome.index.names[self.windows.contig[index]], int(self.windows.start[index])
        return contig, start, start + self.length, int(self.windows.strand[index])

    def place(self, index: int) -> str:
        """Region of a window, 0-based and half-open."""
        contig, start, end, _ = self.coordinates(index)
        return f"{contig}:{start}-{end}"

    def parts(self, indices: Ints) -> dict[str, Ints]:
        """For each contig's name, which of some windows lie on it."""
        contig = self.windows.contig[indices]
        return {self.genome.index.names[i]: np.flatnonzero(contig == i) for i in np.unique(contig).tolist()}

    def regions(self) -> list[tuple[str, int, int]]:
        """Contig, start and end of the disjoint intervals that the windows cover."""
        merged = merge(self.windows.contig, self.windows.start, self.windows.start + self.length)
        names = self.genome.index.names
        rows = zip(merged.contig.tolist(), merged.start.tolist(), merged.end.tolist(), strict=True)
        return [(names[contig], start, end) for contig, start, end in rows]

    def counts(self, split: str) -> Iterator[CountRow]:
        """A row for each contig; reads every window once."""
        n_contigs, contig = len(self.genome.contigs), self.windows.contig
        n_windows = np.bincount(contig, minlength=n_contigs)
        known, gc = np.zeros(n_contigs), np.zeros(n_contigs)
        at_once = max(1, COUNTED_AT_ONCE_BP // self.length)
        for begin in range(0, len(self), at_once):
            part = np.arange(begin, min(begin + at_once, len(self)))
            tokens = self.rows(part, epoch=None)
            is_gc = (tokens == _C) | (tokens == _G)
            known += np.bincount(contig[part], np.count_nonzero(tokens != DNA.unknown, axis=1), n_contigs)
            gc += np.bincount(contig[part], np.count_nonzero(is_gc, axis=1), n_contigs)
        for i in np.flatnonzero(n_windows).tolist():
            bases = int(n_windows[i]) * self.length
            share = gc[i] / known[i] if known[i] else float("nan")
            name = self.genome.index.names[i]
            yield CountRow(split, name, int(n_windows[i]), bases, float(1 - known[i] / bases), float(share))

    def _shifts(self, chosen: Windows, uniform: NDArray[np.float32]) -> Ints:
        """(n,) int64, uniform over what the jitter and the window's bounds allow."""
        least = np.maximum(-self._jitter, chosen.low - chosen.start)
        most = np.minimum(self._jitter, chosen.high - self.length - chosen.start)
        shifts: Ints = least + np.floor(uniform.astype(np.float64) * (most - least + 1)).astype(np.int64)
        return shifts


@lru_cache(maxsize=2)
def _draws(seed: int, epoch: int, n_windows: int) -> NDArray[np.float32]:
    """(windows, 2) in [0, 1): drawn for a whole epoch at once, as a generator for each window costs 25 microseconds."""
    return numpy_generator(seed, Stream.AUGMENT, epoch).random((n_windows, 2), dtype=np.float32)
