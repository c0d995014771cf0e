"""The diffusion transformer (Peebles & Xie 2023, section 3.2) as SEDD and MDLM use it (Lou et al., Sahoo et al. 2024).

A pre-norm transformer with rotary positions whose norms are shifted, scaled and gated by a condition (adaLN-Zero).
Published networks without time conditioning keep all of that and condition on zero noise; published autoregressive
ones are causal and have plain norms.

Initialised as published, from torch's global generator: gates and head start at zero, so that every block begins as
the identity and every letter as likely as the others. Under autocast the norms and the rotation stay in float32; on
GPUs the published code rotates in bfloat16.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from dnadiff.models.conditioning import Conditioned, Labelled, Modulation, NoiseEmbedding, label_embedding, modulate
from dnadiff.models.kernels import KernelLayer
from dnadiff.models.sizes import Depth, Width
from dnadiff.ops.attention import attention
from dnadiff.ops.rotary import Rotation, rotate, rotation
from dnadiff.vocab import Vocab


class DiT(Labelled):
    """Diffusion transformer; the defaults are the smallest published one."""

    kind: Literal["dit"] = "dit"
    width: Width = 512
    """Channels of the stream between blocks."""
    n_blocks: Depth = 8
    """Number of blocks, each attention and a feed-forward layer."""
    n_heads: int = Field(8, gt=0)
    """Heads of the attention; each has width / n_heads channels."""
    mlp_ratio: Depth = 4
    """Inner channels of the feed-forward layers per channel of the stream."""
    conditioning: Literal["none", "constant", "time"] = "constant"
    """What norms adapt to. time: each row's noise; constant: no noise, as published without time; none: nothing."""
    conditioning_width: Width = 128
    """Channels of the condition."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of what a layer adds to the stream that is dropped in training."""
    causal: bool = False
    """Whether a position sees only those up to it."""
    tie_embeddings: bool = False
    """The head uses the embedding's rows; it has a bias of its own in any case."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.width % (2 * self.n_heads):
            raise ValueError(
                f"width ({self.width}) must be a multiple of 2 n_heads ({2 * self.n_heads}); change one of them"
            )
        return self

    @property
    def time_conditioned(self) -> bool:
        """Whether the network is told the time."""
        return self.conditioning == "time"

    def build(self, vocab: Vocab) -> DiffusionTransformer:
        """A freshly initialised network, from torch's global generator."""
        return DiffusionTransformer(self, vocab)


class Seen:
    """Keys and values of the positions so far, in memory with room for more."""

    def __init__(self) -> None:
        self.length = 0
        self._keys: Tensor | None = None
        self._values: Tensor | None = None

    def add(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Keep those of the next positions, (batch, n, heads, head_dim) each; gives all so far, which it holds."""
        start, self.length = self.length, self.length + key.shape[1]
        self._keys = _put(key, self._keys, start)
        self._values = _put(value, self._values, start)
        return self._keys[:, : self.length], self._values[:, : self.length]


def _put(part: Tensor, room: Tensor | None, start: int) -> Tensor:
    """The room (batch, capacity, ...) with a part from `start` on; twice as large as needed where it was too small."""
    stop = start + part.shape[1]
    if room is None or room.shape[1] < stop:
        larger = part.new_empty(len(part), 2 * stop, *part.shape[2:])
        if room is not None:
            larger[:, :start] = room[:, :start]
        room = larger
    room[:, start:stop] = part
    return room


class DiffusionTransformer(Conditioned):
    """Embedding, blocks, norm and head; a `dnadiff.network.Network`."""

    head: nn.Parameter | None

    def __init__(self, settings: DiT, vocab: Vocab) -> None:
        super().__init__()
        width = settings.width
        self.embedding = nn.Parameter(torch.empty(vocab.size, width).uniform_(-(width**-0.5), width**-0.5))
        self.noise = None if settings.conditioning == "none" else NoiseEmbedding(settings.conditioning_width)
        self.blocks = nn.ModuleList(Block(settings) for _ in range(settings.n_blocks))
        self.norm = nn.LayerNorm(width, bias=False)
        self.modulation = _modulation(settings, n=2)
        self.register_parameter(
            "head", None if settings.tie_embeddings else nn.Parameter(torch.zeros(vocab.size, width))
        )
        self.head_bias = nn.Parameter(torch.zeros(vocab.size))
        self.labels = label_embedding(settings)
        self.time_conditioned = settings.time_conditioned
        self.causal = settings.causal
        self.head_dim = width // settings.n_heads

    def embed(self, tokens: Tensor) -> Tensor:
        """(batch, length) int64 -> (batch, length, width)."""
        return F.embedding(tokens, self.embedding)

    def features(
        self,
        embedded: Tensor,
        t: Tensor | None = None,
        *,
        valid: Tensor | None = None,
        segments: Tensor | None = None,
        label: Tensor | None = None,
    ) -> Tensor:
        """(batch, length, width) -> the same shape.

        Args:
            t: (batch,) in [0, 1], the chance that a position is hidden; needed where the network is told the time.
            valid, segments, label: as in `dnadiff.batch.Batch`.
        """
        condition = self.condition(t, label, embedded.shape[0])
        turn = rotation(embedded.shape[1], self.head_dim, like=embedded)
        stream = embedded
        for block in self.blocks:
            stream = block(stream, condition, turn, valid=valid, segments=segments)
        return self._finish(stream, condition)

    def step(self, embedded: Tensor, cache: Sequence[Seen] | None = None) -> tuple[Tensor, Sequence[Seen]]:
        """What `features` gives at the next position of a causal network; see `dnadiff.network.CausalNetwork`.

        The cache that is given is the one that is returned, with the position added.
        """
        assert self.causal, "only a causal network reads step by step"
        past = cache or [Seen() for _ in self.blocks]
        turn = rotation(1, self.head_dim, start=past[0].length, like=embedded)
        condition, stream = self.condition(None, None, len(embedded)), embedded
        for block, seen in zip(self.blocks, past, strict=True):
            stream = block(stream, condition, turn, past=seen)
        return self._finish(stream, condition), past

    def logits(self, features: Tensor) -> Tensor:
        """(..., width) -> (..., vocab.size)."""
        return F.linear(features, self.embedding if self.head is None else self.head, self.head_bias)

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

    def _finish(self, stream: Tensor, condition: Tensor | None) -> Tensor:
        shift, scale = self.modulation(condition)
        return modulate(self.norm(stream), shift, scale)


class Block(nn.Module):
    """stream + gate * layer(norm(stream) * (1 + scale) + shift), with attention, then with a feed-forward layer."""

    def __init__(self, settings: DiT) -> None:
        super().__init__()
        width, inner = settings.width, settings.mlp_ratio * settings.width
        self.attention_norm = nn.LayerNorm(width, bias=False)
        self.attention = SelfAttention(width, settings.n_heads, causal=settings.causal)
        self.mlp_norm = nn.LayerNorm(width, bias=False)
        self.mlp = nn.Sequential(nn.Linear(width, inner), nn.GELU(approximate="tanh"), nn.Linear(inner, width))
        self.modulation = _modulation(settings, n=6)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(
        self,
        stream: Tensor,
        condition: Tensor | None,
        turn: Rotation,
        *,
        past: Seen | None = None,
        valid: Tensor | None = None,
        segments: Tensor | None = None,
    ) -> Tensor:
        """(batch, length, width) -> (batch, length, width); adds what later positions see of it to the past."""
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = self.modulation(condition)
        hidden = modulate(self.attention_norm(stream), shift, scale)
        mixed = self.attention(hidden, turn, past=past, valid=valid, segments=segments)
        stream = stream + gate * self.dropout(mixed)
        hidden = modulate(self.mlp_norm(stream), mlp_shift, mlp_scale)
        added: Tensor = mlp_gate * self.dropout(self.mlp(hidden))
        return stream + added


class SelfAttention(KernelLayer):
    """Attention of all heads between two projections without biases."""

    operations: ClassVar[tuple[str, ...]] = ("attention",)

    def __init__(self, width: int, n_heads: int, *, causal: bool) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.n_heads, self.causal = n_heads, causal

    def forward(
        self, hidden: Tensor, turn: Rotation, *, past: Seen | None, valid: Tensor | None, segments: Tensor | None
    ) -> Tensor:
        """(batch, length, width) -> (batch, length, width); length is 1 where there is a past, which it is added to."""
        query, key, value = self.qkv(hidden).unflatten(-1, (3, self.n_heads, -1)).unbind(2)
        key = rotate(key, turn)
        if past is not None:
            key, value = past.add(key, value)
        causal = self.causal and past is None
        y = attention(
            rotate(query, turn), key, value,
            valid=valid, segments=segments, causal=causal, implementation=self.kernels.attention,
        )  # fmt: skip
        mixed: Tensor = self.out(y.flatten(2))
        return mixed


class Unmodulated(nn.Module):
    """No shift, no scale, open gates."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.changes = (0.0, 0.0, 1.0, 0.0, 0.0, 1.0)[:n]

    def forward(self, condition: None) -> Sequence[float]:
        return self.changes


def _modulation(settings: DiT, *, n: int) -> nn.Module:
    if settings.conditioning == "none" and not settings.labels:
        return Unmodulated(n)
    return Modulation(settings.width, settings.conditioning_width, start=[0.0] * n)
