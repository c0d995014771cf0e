"""Vocabularies: which ids exist, which are letters of the data, which pair with which.

The DNA ids are those of the published Caduceus tokenizer, so that its weights fit; its embedding table is padded from
12 to 16 rows. Nothing assumes that the mask is the last id.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

NO_STRANDS = "this vocabulary has no complementary strand"


class Tables(NamedTuple):
    """What `Vocab` says of its ids, on one device.

    Attributes:
        letter_ids: (n_letters,) int64.
        letter_index: (size,) int64: the position of each id among the letters, -1 for all others.
        other_ids: int64, those that are no letters.
        complement_ids: (size,) int64; None where strands have no meaning.
    """

    letter_ids: Tensor
    letter_index: Tensor
    other_ids: Tensor
    complement_ids: Tensor | None


@dataclass(frozen=True)
class Vocab:
    """Token ids and their meaning.

    Attributes:
        tokens: printed form of each id.
        size: rows of an embedding table, `len(tokens)` or more.
        letters: ids that the data consist of; a softmax runs over these alone, and only these are scored.
        mask, pad, unknown: ids of the mask, of padding, and of a position whose letter is not known.
        complement: complement[i] pairs with id i on the other strand; None where strands have no meaning.
    """

    tokens: tuple[str, ...]
    size: int
    letters: tuple[int, ...]
    mask: int
    pad: int
    unknown: int
    complement: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        ids = (*self.letters, self.mask, self.pad, self.unknown, *(self.complement or ()))
        if not all(isinstance(each, int) and 0 <= each < self.size for each in ids):
            raise ValueError(f"ids must be 0 or more, and below the {self.size} rows of the table")

    @property
    def n_letters(self) -> int:
        """How many letters the data have; a uniform guess costs log2(n_letters) bits."""
        return len(self.letters)

    @cached_property
    def letter_ids(self) -> Tensor:
        """(n_letters,) int64."""
        return torch.tensor(self.letters, device="cpu")  # cached: not on whatever device is the default now

    @cached_property
    def letter_index(self) -> Tensor:
        """(size,) int64: the position of each id among the letters, -1 for all others."""
        index = torch.full((self.size,), -1, dtype=torch.int64, device="cpu")
        index[self.letter_ids] = torch.arange(self.n_letters, device="cpu")
        return index

    @cached_property
    def complement_ids(self) -> Tensor:
        """(size,) int64: `complement` as a tensor."""
        if self.complement is None:
            raise ValueError(NO_STRANDS)
        return torch.tensor(self.complement, device="cpu")

    def on(self, device: torch.device) -> Tables:
        """Its tables on a device; copied there once, since a copy at every step would make the host wait."""
        if device not in self._tables:
            others = sorted(set(range(self.size)) - set(self.letters))
            self._tables[device] = Tables(
                self.letter_ids.to(device),
                self.letter_index.to(device),
                torch.tensor(others, dtype=torch.int64, device="cpu").to(device),
                None if self.complement is None else self.complement_ids.to(device),
            )
        return self._tables[device]

    @cached_property
    def _tables(self) -> dict[torch.device, Tables]:
        return {}

    def is_letter(self, tokens: Tensor) -> Tensor:
        """Bool, same shape: True where a token is a letter of the data."""
        return self.on(tokens.device).letter_index[tokens] >= 0

    def complemented(self, tokens: Tensor) -> Tensor:
        """What pairs with each token, same shape.

        Raises:
            ValueError: strands have no meaning here.
        """
        ids = self.on(tokens.device).complement_ids
        if ids is None:
            raise ValueError(NO_STRANDS)
        return ids[tokens]

    def digest(self) -> str:
        """sha256 of everything that defines the ids; two models agree on tokens exactly when it agrees."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


DNA = Vocab(
    tokens=("[CLS]", "[SEP]", "[BOS]", "[MASK]", "[PAD]", "[RESERVED]", "[UNK]", "A", "C", "G", "T", "N"),
    size=16,
    letters=(7, 8, 9, 10),
    mask=3,
    pad=4,
    unknown=11,
    complement=(0, 1, 2, 3, 4, 5, 6, 10, 9, 8, 7, 11, 12, 13, 14, 15),
)
