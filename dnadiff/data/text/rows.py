"""Rows of equal length out of a token file: wrapped, padded, or cropped.

Unusual: wrapping runs through the whole corpus, where the authors of MDLM wrap every thousand documents apart and drop
the remainder of each; and the network is not told where padding is, as in their text models, whose loss alone knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dnadiff.config import Settings
from dnadiff.data.text.token_file import TokenFile
from dnadiff.data.text.tokenizer import TextTokenizer
from dnadiff.rng import Stream, numpy_generator

Ids = NDArray[np.int64]


class Wrapped(Settings):
    """The corpus as one stream, cut into rows; the remainder is left out."""

    kind: Literal["wrapped"] = "wrapped"
    separators: bool = True
    """The tokenizer's last token behind every document."""
    bounds: bool = True
    """Every row begins with the tokenizer's first token and ends with its last."""


class Padded(Settings):
    """A row for each document, between the tokenizer's first and last token, padded or cut."""

    kind: Literal["padded"] = "padded"


class Crop(Settings):
    """The corpus as one stream, cut into stretches of twice the length; training draws a row from each at random.

    Without separators or bounds; rows that are measured are not drawn but wrapped.
    """

    kind: Literal["crop"] = "crop"


RowsKind = Annotated[Wrapped | Padded | Crop, Field(discriminator="kind")]


@dataclass(frozen=True)
class TextRows:
    """Rows of one split; can be pickled and forked.

    Attributes:
        length: tokens of a row.
        seed: of what training draws.
    """

    file: TokenFile
    tokenizer: TextTokenizer
    how: Wrapped | Padded | Crop
    length: int
    seed: int

    @property
    def labels(self) -> None:
        """Text has no classes."""
        return None

    def __len__(self) -> int:
        return len(self.file.ends) if isinstance(self.how, Padded) else len(self.file.tokens) // self._stride

    def rows(self, indices: NDArray[Any], *, epoch: int | None) -> Ids:
        """Tokens of some rows, (n, length) int64.

        Args:
            indices: (n,) which rows.
            epoch: of training, which crops at random from (seed, epoch, index); None for the rows as they are.
        """
        if isinstance(self.how, Padded):
            return np.stack([self._padded(int(i)) for i in indices])
        starts = np.asarray(indices, np.int64) * self._stride
        if isinstance(self.how, Crop) and epoch is not None:
            shifts = numpy_generator(self.seed, Stream.AUGMENT, epoch).integers(self.length + 1, size=len(self))
            starts = starts + shifts[indices]
        body = self.file.tokens[starts[:, None] + np.arange(self._body)].astype(np.int64)
        return self._bounded(body) if self._body < self.length else body

    def place(self, index: int) -> str:
        """Where a row lies in the corpus."""
        if isinstance(self.how, Padded):
            return f"document {index + 1}"
        return f"token {index * self._stride + 1} on"

    def parts(self, indices: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """None: a row may hold many documents."""
        return {}

    @property
    def _body(self) -> int:
        """Tokens of a row that come from the corpus."""
        return self.length - 2 * (isinstance(self.how, Wrapped) and self.how.bounds)

    @property
    def _stride(self) -> int:
        return 2 * self.length if isinstance(self.how, Crop) else self._body

    def _bounded(self, body: Ids) -> Ids:
        return np.pad(body, ((0, 0), (1, 1)), constant_values=((0, 0), (self.tokenizer.first, self.tokenizer.last)))

    def _padded(self, index: int) -> Ids:
        start = int(self.file.ends[index - 1]) if index else 0
        body = self.file.tokens[start : min(int(self.file.ends[index]), start + self.length - 2)].astype(np.int64)
        row = self._bounded(body[None])[0]
        return np.pad(row, (0, self.length - len(row)), constant_values=self.tokenizer.vocab.pad)
