"""In-silico saturation mutagenesis: every substitution of a region, and how much likelier a model finds it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from dnadiff.errors import InputError
from dnadiff.inference.features import Strands, Tokens
from dnadiff.inference.progress import progress_bar
from dnadiff.inference.variants import Floats, Pair, llr
from dnadiff.model import DiffusionModel
from dnadiff.vocab import DNA

BATCHES = 8  # of positions that are in memory with their windows at a time


class MutationMap(NamedTuple):
    """Every substitution of a region.

    Attributes:
        contig: where it lies.
        start: of the region, 0-based.
        sequence: its bases, in capitals.
        llr: (length, 4) log p(base) - log p(the base that is there) in nats, for A, C, G, T, each given all other bases
            of its window: 0 for the base that is there; nan where that is none of the four.
    """

    contig: str
    start: int
    sequence: str
    llr: Floats

    def frame(self) -> Any:
        """The map as a pandas data frame: `chrom`, `pos` (1-based, as in VCF files), `ref`, and `A`, `C`, `G`, `T`.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            pandas: Any = import_module("pandas")
        except ImportError:
            raise InputError("frame() needs pandas; pip install pandas, or use .llr and .sequence") from None
        positions = np.arange(self.start, self.start + len(self.sequence)) + 1
        columns = {"chrom": self.contig, "pos": positions, "ref": list(self.sequence)}
        return pandas.DataFrame(columns | dict(zip("ACGT", self.llr.T, strict=True)))


def mutate(
    model: DiffusionModel,
    tokens: Tokens,
    region: tuple[int, int],
    *,
    window: int,
    strands: Strands = "both",
    batch_size: int = 64,
) -> Floats:
    """Log-likelihood ratios of all substitutions in nats, (end - start, 4) for A, C, G, T.

    A position is hidden once, in the middle of its window, for all that may stand there: `variants.llr` of these pairs.

    Args:
        tokens: (length,) of the sequence that the region lies in.
        region: start and end, 0-based, half-open.
        window: bases that the model sees around each position, fewer where the sequence ends.
        batch_size: rows through the network at a time; does not change the figures beyond rounding.

    Returns:
        0 for the base that is there, nan where that is no letter.

    Raises:
        InputError: the model knows no hidden letters given all others.
    """
    start, end = region
    there = tokens[start:end, None] == np.array(DNA.letters, np.uint8)  # (n, 4)
    found = np.where(there, 0.0, np.nan)
    known = np.flatnonzero(there.any(1))
    source = (pair for at in known for pair in _changes(tokens, start + int(at), window))
    others = np.argwhere(~there & there.any(1, keepdims=True))  # by position, then by letter, as the pairs come
    done = 0
    with progress_bar("mutating", len(known)) as advance:
        while pairs := list(islice(source, 3 * BATCHES * batch_size)):
            row, letter = others[done : done + len(pairs)].T
            found[row, letter] = llr(model, pairs, strands=strands, batch_size=batch_size)
            done += len(pairs)
            advance(len(pairs) // 3)
    return found


def _changes(tokens: Tokens, at: int, window: int) -> Iterator[Pair]:
    """The three substitutions of a base, with the flanks that `variants.pairs_of` gives them."""
    flank = (window - 1) // 2
    left, ref, right = tokens[max(0, at - flank) : at], tokens[at : at + 1], tokens[at + 1 : at + 1 + flank]
    for letter in DNA.letters:
        if letter != ref[0]:
            yield Pair(left, ref, np.array([letter], np.uint8), right)
