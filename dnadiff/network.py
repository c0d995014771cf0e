"""What a backbone with its head must be able to do, so that diffusion and models need not know each other."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Network(Protocol):
    """A backbone with its head; an `nn.Module` in practice.

    The head is separate from the features, so that it runs only at the positions that are scored or drawn.
    """

    time_conditioned: bool

    def embed(self, tokens: Tensor) -> Tensor:
        """(batch, length) int64 -> (batch, length, width)."""
        ...

    def features(
        self,
        embedded: Tensor,
        t: Tensor | None = None,
        *,
        valid: Tensor | None = None,
        segments: Tensor | None = None,
        label: Tensor | None = None,
    ) -> Tensor:
        """(batch, length, width) -> (batch, length, features); arguments as in `dnadiff.batch.Batch`, t: (batch,)."""
        ...

    def logits(self, features: Tensor) -> Tensor:
        """(..., features) -> (..., vocab.size); callable on selected positions only."""
        ...
