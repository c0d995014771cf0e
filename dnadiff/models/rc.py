"""Strand symmetry by construction (Caduceus-PS, Schiff et al. 2024, section 4): both strands through the same layers.

The features of a position are 2 width numbers: those of the given strand, then those of the opposite strand with their
channels reversed. In this layout the features of the reverse complement are the features flipped along positions and
channels, and embedding and head read one table that holds a token's row beside its complement's reversed row.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from dnadiff.models.stack import Block, SingleStrand, Sizes
from dnadiff.vocab import Vocab


class BothStrands(SingleStrand):
    """A network whose logits for the opposite strand are the complement's logits, read backwards.

    Each strand is a chain of its own; the two run as 2 batch rows. With `mirror_blocks` the rows are flipped along
    positions and channels before every block: what the published fused layers compute by exchanging the halves.
    """

    complement: Tensor

    def __init__(self, vocab: Vocab, blocks: Iterable[Block], sizes: Sizes, *, mirror_blocks: bool) -> None:
        super().__init__(vocab, blocks, sizes)
        self.register_buffer("complement", vocab.complement_ids, persistent=False)
        self.mirror_blocks = mirror_blocks

    def features(
        self,
        embedded: Tensor,
        t: Tensor | None = None,
        *,
        valid: Tensor | None = None,
        segments: Tensor | None = None,
        label: Tensor | None = None,
    ) -> Tensor:
        """(batch, length, 2 width) -> the same shape; arguments as in `Network`."""
        condition = self.condition(t, label, embedded.shape[0])
        if condition is not None and len(condition) > 1:
            condition = condition.repeat(2, 1)  # both strands are told the same
        given, opposite = self._stream(embedded).chunk(2, dim=-1)
        stream = torch.cat([given, opposite.flip(1, 2)])  # (2 batch, length, width), each strand 5' to 3'
        valid, segments = (None if mask is None else torch.cat([mask, mask.flip(1)]) for mask in (valid, segments))
        for block in self.blocks:
            if self.mirror_blocks:
                stream = stream.flip(1, 2)
                valid, segments = (None if mask is None else mask.flip(1) for mask in (valid, segments))
            stream = block(stream, condition, valid=valid, segments=segments)
        first, second = self._finish(stream, condition).chunk(2)
        if self.mirror_blocks and len(self.blocks) % 2:  # an odd number of exchanges
            first, second = second, first
        return torch.cat([first, second.flip(1, 2)], dim=-1)

    def strands(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(..., 2 width) -> (..., width) twice: given and opposite strand, position by position, channel by channel."""
        given, opposite = features.chunk(2, dim=-1)
        return given, opposite.flip(-1)

    def _table(self, rows: Tensor) -> Tensor:
        """(vocab.size, 2 width)."""
        return torch.cat([rows, rows[self.complement].flip(-1)], dim=-1)
