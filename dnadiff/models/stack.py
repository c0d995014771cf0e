"""A stack of residual layers between an embedding and a head: one strand, read as it stands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dnadiff.models.conditioning import Conditioned, LabelSizes, Modulation, NoiseEmbedding, label_embedding, modulate
from dnadiff.ops.norm import rms_norm
from dnadiff.vocab import Vocab

EMBEDDING_STD = 0.02


class Sizes(LabelSizes, Protocol):
    """The settings of a stack."""

    @property
    def width(self) -> int: ...
    @property
    def norm_eps(self) -> float: ...
    @property
    def residual_in_fp32(self) -> bool: ...
    @property
    def tie_embeddings(self) -> bool: ...
    @property
    def conditioning(self) -> str: ...
    @property
    def time_conditioned(self) -> bool: ...
    @property
    def dropout(self) -> float: ...


class RMSNorm(nn.Module):
    """`rms_norm` with its weight, which also gives the type of the result."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.weight, eps=self.eps).to(self.weight.dtype)


class Block(nn.Module):
    """stream + mixer(norm(stream)); with a condition, stream + gate * mixer(norm(stream) * (1 + scale) + shift)."""

    modulation: Modulation | None

    def __init__(self, sizes: Sizes, mixer: nn.Module) -> None:
        super().__init__()
        self.norm = RMSNorm(sizes.width, sizes.norm_eps)
        self.mixer = mixer
        self.modulation = _modulation(sizes, start=(0.0, 0.0, 1.0))  # an open gate: at first as if told nothing
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(
        self, stream: Tensor, condition: Tensor | None = None, *, valid: Tensor | None, segments: Tensor | None
    ) -> Tensor:
        """(batch, length, width) -> (batch, length, width); condition: (batch, conditioning_width)."""
        hidden, gate = self.adapted(stream, condition)
        return self.added(stream, self.mixer(hidden, valid=valid, segments=segments), gate)

    def adapted(self, stream: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """What the mixer reads, and the gate of what it adds; None where it is open."""
        hidden: Tensor = self.norm(stream)
        if self.modulation is None:
            return hidden, None
        shift, scale, gate = self.modulation(condition)
        return modulate(hidden, shift, scale), gate

    def added(self, stream: Tensor, mixed: Tensor, gate: Tensor | None) -> Tensor:
        """The stream with what the mixer gives."""
        mixed = self.dropout(mixed)
        return stream + (mixed if gate is None else gate * mixed)


class SingleStrand(Conditioned):
    """Embedding, blocks, norm and head; a `dnadiff.network.Network`."""

    head: nn.Parameter | None
    modulation: Modulation | None

    def __init__(self, vocab: Vocab, blocks: Iterable[Block], sizes: Sizes) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(vocab.size, sizes.width) * EMBEDDING_STD)
        self.blocks = nn.ModuleList(blocks)
        self.norm = RMSNorm(sizes.width, sizes.norm_eps)
        head = None if sizes.tie_embeddings else nn.Parameter(nn.Linear(sizes.width, vocab.size, bias=False).weight)
        self.register_parameter("head", head)  # None where the embedding serves, so that no tensor is saved twice
        self.residual_in_fp32 = sizes.residual_in_fp32
        self.time_conditioned = sizes.time_conditioned
        self.noise = None if sizes.conditioning == "none" else NoiseEmbedding(sizes.conditioning_width)
        self.labels = label_embedding(sizes)
        self.modulation = _modulation(sizes, start=(0.0, 0.0))

    def embed(self, tokens: Tensor) -> Tensor:
        """(batch, length) int64 -> (batch, length, width), linear in the rows of the embedding."""
        return F.embedding(tokens, self._table(self.embedding))

    def features(
        self,
        embedded: Tensor,
        t: Tensor | None = None,
        *,
        valid: Tensor | None = None,
        segments: Tensor | None = None,
        label: Tensor | None = None,
    ) -> Tensor:
        """(batch, length, width) -> the same shape; arguments as in `Network`."""
        stream, condition = self._stream(embedded), self.condition(t, label, embedded.shape[0])
        for block in self.blocks:
            stream = block(stream, condition, valid=valid, segments=segments)
        return self._finish(stream, condition)

    def logits(self, features: Tensor) -> Tensor:
        """(..., width) -> (..., vocab.size)."""
        return F.linear(features, self._table(self.embedding if self.head is None else self.head))

    def forward(
        self,
        tokens: Tensor,
        t: Tensor | None = None,
        *,
        valid: Tensor | None = None,
        segments: Tensor | None = None,
    ) -> Tensor:
        """Logits at every position: (batch, length) int64 -> (batch, length, vocab.size)."""
        return self.logits(self.features(self.embed(tokens), t, valid=valid, segments=segments))

    def _table(self, rows: Tensor) -> Tensor:
        """(vocab.size, width): what embedding and head read."""
        return rows

    def _stream(self, embedded: Tensor) -> Tensor:
        wide = torch.promote_types(embedded.dtype, torch.float32)
        return embedded.to(wide) if self.residual_in_fp32 else embedded

    def _finish(self, stream: Tensor, condition: Tensor | None) -> Tensor:
        """The last norm."""
        features: Tensor = self.norm(stream)
        return features if self.modulation is None else modulate(features, *self.modulation(condition))


def _modulation(sizes: Sizes, start: Sequence[float]) -> Modulation | None:
    told = sizes.conditioning != "none" or sizes.labels
    return Modulation(sizes.width, sizes.conditioning_width, start) if told else None
