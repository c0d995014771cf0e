"""Labelled sequences of any lengths, of DNA or of text, and batches of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from dnadiff.batch import Batch
from dnadiff.data.bed import Intervals
from dnadiff.data.leakage.ranges import Ints, spread
from dnadiff.data.leakage.sequences import InMemory
from dnadiff.dna import reverse_complement
from dnadiff.vocab import DNA, Vocab


class Layout(NamedTuple):
    """How rows of several lengths share a batch.

    Attributes:
        length: longest row; longer ones lose their end. None: as long as they are.
        side: where shorter rows are padded.
        as_bases: padding is read like bases, and every row padded to `length`, which is then not None.
    """

    length: int | None = None
    side: Literal["left", "right"] = "right"
    as_bases: bool = False


@dataclass(frozen=True)
class Examples:
    """Rows with their classes.

    Attributes:
        sequences: tokens.
        label: (rows,) int64, position in the set's sorted classes; float64 where a number is predicted.
        names: (rows,) where each was read: file and line.
        intervals: where each lies on a genome; None where that is not known.
        vocab: what the tokens mean.
    """

    sequences: InMemory
    label: NDArray[Any]
    names: NDArray[np.str_]
    intervals: Intervals | None = None
    vocab: Vocab = DNA

    def __len__(self) -> int:
        return len(self.label)

    @property
    def lengths(self) -> Ints:
        """(rows,) int64."""
        return self.sequences.lengths

    def batch(self, rows: Ints, layout: Layout, is_reverse: NDArray[np.bool_] | None = None) -> Batch:
        """Some rows as tokens, (n, longest of them), those of `is_reverse` (n,) read on the opposite strand.

        A row is cut before its strand is chosen, so that both strands are of the same bases.
        """
        lengths = np.minimum(self.lengths[rows], layout.length or np.iinfo(np.int64).max)
        assert not layout.as_bases or layout.length is not None
        width = int(layout.length if layout.as_bases and layout.length else lengths.max(initial=1))
        tokens = np.full((len(rows), width), self.vocab.pad, self.sequences.tokens.dtype)
        valid = np.zeros(tokens.shape, bool)
        for at, (row, length) in enumerate(zip(rows.tolist(), lengths.tolist(), strict=True)):
            begin = int(self.sequences.ends[row])
            bases = self.sequences.tokens[begin : begin + length]
            place = slice(width - length, width) if layout.side == "left" else slice(0, length)
            tokens[at, place] = reverse_complement(bases) if is_reverse is not None and is_reverse[at] else bases
            valid[at, place] = True
        known = None if layout.as_bases or valid.all() else torch.from_numpy(valid)
        return Batch(torch.from_numpy(tokens.astype(np.int64)), known, label=torch.from_numpy(self.label[rows]))

    def take(self, rows: Ints) -> Examples:
        """Some of the rows."""
        lengths = self.lengths[rows]
        tokens = self.sequences.tokens[spread(self.sequences.ends[rows], lengths)]
        intervals = None if self.intervals is None else self.intervals.take(rows)
        return Examples(InMemory.cut(tokens, lengths), self.label[rows], self.names[rows], intervals, self.vocab)

    def fingerprint(self) -> str:
        """sha256 over bases and classes."""
        digest = hashlib.sha256()
        for array in (self.sequences.tokens, self.lengths, self.label):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def joined(parts: Sequence[Examples]) -> Examples:
    """The rows of all parts, of one vocabulary, one after the other; places are kept where every part has them."""
    placed = [part.intervals for part in parts if part.intervals is not None]
    columns = (
        {field.name: np.concatenate([getattr(some, field.name) for some in placed]) for field in fields(Intervals)}
        if placed
        else {}
    )
    return Examples(
        InMemory.cut(
            np.concatenate([part.sequences.tokens for part in parts]), np.concatenate([part.lengths for part in parts])
        ),
        np.concatenate([part.label for part in parts]),
        np.concatenate([part.names for part in parts]),
        Intervals(**columns) if len(placed) == len(parts) else None,
        parts[0].vocab,
    )
