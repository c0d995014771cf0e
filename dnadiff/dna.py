"""DNA text and tokens: encoding by table look-up, decoding, the opposite strand.

Policy for what a sequence file may hold: A C G T in either case are letters; U reads as T; N and the other IUPAC codes
become N, a token that is seen but never scored; anything else is an error that says where.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from dnadiff.errors import InputError
from dnadiff.vocab import DNA

IUPAC = "RYSWKMBDHVN"
INVALID = 255


def _encoding_table() -> np.ndarray:
    table = np.full(256, INVALID, dtype=np.uint8)
    for name, id_ in [("A", 7), ("C", 8), ("G", 9), ("T", 10), ("U", 10), *((code, DNA.unknown) for code in IUPAC)]:
        table[ord(name)] = table[ord(name.lower())] = id_
    return table


ENCODE = _encoding_table()  # (256,) uint8: token of each ASCII byte; INVALID where no policy applies
DECODE = np.frombuffer("".join(t if len(t) == 1 else "?" for t in DNA.tokens).ljust(DNA.size, "?").encode(), np.uint8)
COMPLEMENT = np.array(DNA.complement, dtype=np.uint8)


def encode(sequence: str | bytes, *, where: str = "sequence") -> np.ndarray:
    """Tokens of a sequence, (length,) uint8.

    Raises:
        InputError: a character that is neither a base nor an IUPAC code, with its 0-based position.
    """
    data = np.frombuffer(sequence.encode("ascii", "replace") if isinstance(sequence, str) else sequence, np.uint8)
    tokens = ENCODE[data]
    bad = np.flatnonzero(tokens == INVALID)
    if bad.size:
        position = int(bad[0])
        found = sequence[position] if isinstance(sequence, str) else chr(sequence[position])
        raise InputError(
            f"{where}: {found!r} at position {position} (0-based) is not one of A C G T U N or an IUPAC code; "
            "remove gaps and other symbols, or replace them by N"
        )
    return tokens


def decode(tokens: Tensor | np.ndarray) -> str:
    """Letters of a row of tokens, (length,); special tokens print as '?'."""
    array = tokens.detach().cpu().numpy() if isinstance(tokens, Tensor) else tokens
    return str(DECODE[array].tobytes(), "ascii")


def reverse_complement(tokens: np.ndarray) -> np.ndarray:
    """The opposite strand read 5' to 3'; (..., length) uint8 in and out."""
    return COMPLEMENT.take(tokens[..., ::-1])
