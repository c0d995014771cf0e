"""Strings to rows of tokens and back, for DNA and for text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from torch import Tensor

from dnadiff import dna
from dnadiff.data.text.tokenizer import TextTokenizer
from dnadiff.errors import InputError
from dnadiff.vocab import DNA

Strings = str | Sequence[str] | np.ndarray | Tensor


def as_rows(sequences: Strings, tokenizer: TextTokenizer | None) -> list[np.ndarray]:
    """Tokens of each sequence, (length,) integers.

    Args:
        sequences: strings, or (n, length) or (length,) tokens.
        tokenizer: of text; None for DNA, whose strings are over A C G T N.

    Raises:
        InputError: there is none, or something else is among them.
    """
    if isinstance(sequences, str):
        sequences = [sequences]
    if isinstance(sequences, Tensor):
        sequences = sequences.detach().cpu().numpy()
    if isinstance(sequences, np.ndarray) and sequences.dtype.kind != "U":
        return _checked_tokens(sequences, tokenizer)
    given = list(sequences) if isinstance(sequences, Iterable) else [sequences]
    strange = [item for item in given if not isinstance(item, str)]
    if strange:
        letters = " over A C G T N" if tokenizer is None else ""
        raise InputError(f"sequences hold {strange[0]!r}; pass strings{letters}, or an integer array of tokens")
    if tokenizer is None:
        rows = [dna.encode(sequence, where=f"sequence {number}") for number, sequence in enumerate(given)]
    else:
        rows = [np.array(ids, np.int64) for ids in tokenizer.encode(given)]
    if not any(len(row) for row in rows):
        raise InputError("no sequences were given; pass at least one that is not empty")
    return rows


def as_string(row: np.ndarray, tokenizer: TextTokenizer | None) -> str:
    """What the tokens of a row, (length,), say."""
    return dna.decode(row) if tokenizer is None else tokenizer.text(row.tolist())


def padded(rows: Sequence[np.ndarray], pad: int) -> np.ndarray:
    """(n, longest) int64."""
    result = np.full((len(rows), max(len(row) for row in rows)), pad, np.int64)
    for row, into in zip(rows, result, strict=True):
        into[: len(row)] = row
    return result


def _checked_tokens(tokens: np.ndarray, tokenizer: TextTokenizer | None) -> list[np.ndarray]:
    vocab = DNA if tokenizer is None else tokenizer.vocab
    known = np.isin(tokens, [*vocab.letters, vocab.unknown, vocab.pad])
    if tokens.dtype.kind not in "iu" or tokens.ndim not in (1, 2) or not tokens.size or not known.all():
        letters = f"{DNA.letters} for A C G T, {DNA.unknown} for N" if tokenizer is None else "ids of the tokenizer"
        raise InputError(
            f"tokens of type {tokens.dtype} and shape {tokens.shape}: pass (n, length) integers, "
            f"{letters}, {vocab.pad} for padding"
        )
    return list(np.atleast_2d(tokens).astype(np.int64))
