"""Motifs from JASPAR and MEME files, and where they match on either strand.

The score of a place is the sum over its bases of log2(p(base | motif) / p(base | background)), in steps of 0.01 bits.
Its p-value is the chance that independent random bases score as much or more, exact for the scores as they are rounded:
the distribution of the sum is built column by column (Staden 1989, "Methods for calculating the probabilities of
finding patterns in sequences"). It is that of one place and one strand: nothing is corrected for how many are tried.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from Bio import motifs as biopython
from numpy.typing import NDArray

from dnadiff.data.inputs import find_file, lines
from dnadiff.data.markov import LETTER_INDEX
from dnadiff.errors import InputError

STEPS = 100  # of a score in one bit
USUAL_SITES = 20.0  # that a motif of MEME's counts, where the file does not say
PSEUDOCOUNT = 1.0  # added to each column, shared out as the background has it
_NEVER = -(1 << 40)  # score of a base that is not known
_KINDS = "a JASPAR file (>ID NAME, then rows A, C, G and T of counts) or MEME's (MEME version 4 ...)"
Scores = NDArray[np.int64]


@dataclass(frozen=True)
class Motif:
    """A position weight matrix.

    Attributes:
        name: as in the file, identifier and name.
        scores: (length, 4) steps of each of A C G T.
        chances: chances[s] is the chance that random bases score `lowest` + s steps or more.
    """

    name: str
    scores: Scores
    chances: NDArray[np.float64]

    @property
    def length(self) -> int:
        """Bases."""
        return len(self.scores)

    @property
    def lowest(self) -> int:
        """The least that letters can score, in steps."""
        return int(self.scores.min(1).sum())

    def threshold(self, p_value: float) -> int | None:
        """The least score, in steps, whose p-value is as small; None where not even the consensus is as unlikely."""
        enough = np.flatnonzero(self.chances <= p_value)
        return self.lowest + int(enough[0]) if len(enough) else None

    def chance(self, p_value: float) -> float:
        """What the matches found at `p_value` have in fact, per place and strand: scores have gaps, so it is less."""
        least = self.threshold(p_value)
        return 0.0 if least is None else float(self.chances[least - self.lowest])


class Match(NamedTuple):
    """A place where a motif matches.

    Attributes:
        motif: its name.
        start, end: 0-based, half-open, on the strand that was read.
        strand: 1, or -1 where the reverse complement matches.
        bits: the score.
        p_value: of the score, on one strand of one place.
    """

    motif: str
    start: int
    end: int
    strand: int
    bits: float
    p_value: float


def read_motifs(path: str | Path, *, gc: float = 0.5) -> list[Motif]:
    """Motifs of a JASPAR file (with or without letters before the rows, or four columns) or of MEME's text format.

    Args:
        gc: share of G and C in the random bases that matches are told from.

    Raises:
        InputError: a file that is neither, or a motif without counts.
    """
    source = find_file(path)
    text = [line for line in lines(source) if not line.startswith("#")]
    try:
        found = _meme(text) if _first(text).startswith("MEME version") else _jaspar(text)
    except Exception as error:  # Biopython raises many kinds, Exception itself among them
        raise InputError(f"{source}: cannot be read ({error}); what is read is {_KINDS}") from None
    if not found:
        raise InputError(f"{source}: holds no motif; what is read is {_KINDS}")
    background = np.array([1 - gc, gc, gc, 1 - gc]) / 2
    return [_motif(source, name, rows, background) for name, rows in found]


def matches(tokens: NDArray[np.uint8], motif: Motif, p_value: float) -> Iterator[Match]:
    """Where a motif matches, on either strand, by place; never over a base that is not known.

    Args:
        tokens: (length,).
        p_value: the largest that a match may have.
    """
    least, n_places = motif.threshold(p_value), len(tokens) - motif.length + 1
    if least is None or n_places < 1:
        return
    letters = LETTER_INDEX[tokens].astype(np.int64) % 5  # 4 where it is not known
    strands = ((1, motif.scores), (-1, motif.scores[::-1, ::-1]))  # A C G T backwards are their complements
    totals = np.stack([_totals(letters, scores, n_places) for _, scores in strands], 1)  # (places, 2)
    for start, number in np.argwhere(totals >= least).tolist():
        total = int(totals[start, number])
        p = float(motif.chances[total - motif.lowest])
        yield Match(motif.name, start, start + motif.length, strands[number][0], total / STEPS, p)


def _totals(letters: NDArray[np.int64], scores: Scores, n_places: int) -> Scores:
    """(places,) steps."""
    columns = np.column_stack([scores, np.full(len(scores), _NEVER)])
    totals = np.zeros(n_places, np.int64)
    for offset, column in enumerate(columns):
        totals += column.take(letters[offset : offset + n_places], mode="clip")  # which skips a check
    return totals


def _motif(source: Path, name: str, rows: Sequence[Sequence[float]], background: NDArray[np.float64]) -> Motif:
    """From counts, (length, 4)."""
    table = np.array(rows, float).reshape(-1, 4)
    if not len(table) or not np.isfinite(table).all() or (table < 0).any() or not table.sum(1).all():
        raise InputError(f"{source}: motif {name}: each position must have counts of A C G T, 0 or more; mend it")
    counted = table + PSEUDOCOUNT * background
    odds = np.log2(counted / counted.sum(1, keepdims=True) / background)
    scores: Scores = np.rint(odds * STEPS).astype(np.int64)
    return Motif(name, scores, _chances(scores, background))


def _chances(scores: Scores, background: NDArray[np.float64]) -> NDArray[np.float64]:
    """The chance of each score or more, from the lowest on."""
    density = np.ones(1)
    for column in scores - scores.min(1, keepdims=True):
        wider = np.zeros(len(density) + int(column.max()))
        for more, share in zip(column.tolist(), background.tolist(), strict=True):
            wider[more : more + len(density)] += share * density
        density = wider
    return density[::-1].cumsum()[::-1].clip(max=1.0)  # which rounding may be above


def _meme(text: Sequence[str]) -> list[tuple[str, list[list[float]]]]:
    """Names and counts; read here since Biopython wants parts that the format leaves to choice, and rounds."""
    found: list[tuple[str, list[list[float]]]] = []
    n_sites = None  # of the matrix that is being read
    for line in text:
        words = line.split()
        if line.startswith("ALPHABET") and words[1:] not in (["ACGT"], ["ACGU"]):
            raise ValueError("its alphabet is not ACGT")
        if line.startswith("MOTIF"):
            found.append((" ".join(words[1:3]), []))
            n_sites = None
        elif line.startswith("letter-probability matrix:"):
            told = re.search(r"nsites= *([\d.]+)", line)
            n_sites = float(told[1]) if told else USUAL_SITES
        elif n_sites is not None and found and len(words) == 4:
            found[-1][1].append([float(word) * n_sites for word in words])
        elif words:
            n_sites = None
    return found


def _jaspar(text: Sequence[str]) -> list[tuple[str, list[list[float]]]]:
    """Names and counts, of matrices with a row for each letter or for each position."""
    body = [line for line in text if line.strip()]
    by_position = len(body) > 1 and _is_number_row(body[1], 4) and not _has_four_rows(body)
    kind = "pfm-four-columns" if by_position else "jaspar"
    parsed = biopython.parse(io.StringIO("\n".join(body) + "\n"), kind)  # type: ignore[no-untyped-call]
    return [
        (_name(each), [*map(list, zip(*(each.counts[letter] for letter in "ACGT"), strict=True))]) for each in parsed
    ]


def _first(text: Sequence[str]) -> str:
    return next((line for line in text if line.strip()), "")


def _has_four_rows(body: Sequence[str]) -> bool:
    """Whether the first motif has four rows: of a motif of four bases this is what JASPAR's own format has."""
    return next((number for number, line in enumerate(body[1:]) if line.startswith(">")), len(body) - 1) == 4


def _is_number_row(line: str, n: int) -> bool:
    return re.fullmatch(rf"(\s*[-+.\deE]+){{{n}}}\s*", line) is not None


def _name(motif: biopython.Motif) -> str:
    known = (getattr(motif, "matrix_id", None), motif.name)
    return " ".join(dict.fromkeys(each for each in known if each))
