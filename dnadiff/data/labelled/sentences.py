"""Sentences, alone or several beside each other, as rows of tokens.

As published with BERT (Devlin et al. 2019): the tokenizer's first token, a sentence, its last token, and so on for each
sentence. A row that is too long loses tokens of its longest sentence, of equals of the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from dnadiff.data.leakage.ranges import Ints
from dnadiff.data.leakage.sequences import InMemory
from dnadiff.data.text.tokenizer import TextTokenizer

TOGETHER = 10_000  # rows that are tokenised at once, on all cores


def sentence_rows(tokenizer: TextTokenizer, rows: Sequence[tuple[str, ...]], length: int | None) -> InMemory:
    """Tokens of rows of sentences.

    Args:
        rows: of each its sentences, which may be empty.
        length: longest row; None: as long as they are.
    """
    dtype = np.min_scalar_type(tokenizer.vocab.size)
    made = [
        np.array(_joined(parts, tokenizer, length), dtype)
        for start in range(0, len(rows), TOGETHER)
        for parts in _encoded(tokenizer, rows[start : start + TOGETHER])
    ]
    lengths = np.array([len(row) for row in made], np.int64)
    return InMemory.cut(np.concatenate([np.empty(0, dtype), *made]), lengths)


def identical(sequences: InMemory) -> Ints:
    """(rows,) int64: rows with the same tokens share a number."""
    text, ends = sequences.tokens.tobytes(), (sequences.ends * sequences.tokens.itemsize).tolist()
    numbers: dict[bytes, int] = {}
    found = [numbers.setdefault(text[ends[i] : ends[i + 1]], len(numbers)) for i in range(len(sequences.lengths))]
    return np.array(found, np.int64)


def _encoded(tokenizer: TextTokenizer, rows: Sequence[tuple[str, ...]]) -> Iterator[list[list[int]]]:
    """Ids of each sentence of each row."""
    ids = iter(tokenizer.encode([sentence for row in rows for sentence in row]))
    return (list(islice(ids, len(row))) for row in rows)


def _joined(parts: Sequence[Sequence[int]], tokenizer: TextTokenizer, length: int | None) -> list[int]:
    row = [tokenizer.first]
    for part, kept in zip(parts, _kept([len(part) for part in parts], length), strict=True):
        row += [*part[:kept], tokenizer.last]
    return row


def _kept(lengths: list[int], length: int | None) -> list[int]:
    """How many tokens of each sentence stay, so that with those around them they fill no more than a row."""
    kept = list(lengths)
    while length is not None and sum(kept) > max(0, length - 1 - len(kept)):
        longest = max(reversed(range(len(kept))), key=kept.__getitem__)
        kept[longest] -= 1
    return kept
