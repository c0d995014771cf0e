"""What travels from data to a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Rows of tokens.

    Attributes:
        tokens: (batch, length) int64.
        valid: (batch, length) bool, False at padding; None when nothing is padded.
        segments: (batch, length) int64, numbers of packed documents, which do not see each other; None for one each.
        label: (batch,) int64 class, for conditional models; None without.
    """

    tokens: Tensor
    valid: Tensor | None = None
    segments: Tensor | None = None
    label: Tensor | None = None

    @property
    def real(self) -> Tensor:
        """(batch, length) bool: True where a position is not padding."""
        return torch.ones_like(self.tokens, dtype=torch.bool) if self.valid is None else self.valid

    def rows(self, start: int, stop: int) -> Batch:
        """Rows start to stop, as a view."""
        return self._map(lambda tensor: tensor[start:stop])

    def where(self, chosen: Tensor) -> Batch:
        """The rows that are chosen, (batch,) bool, or those with some numbers, (n,) int64."""
        return self._map(lambda tensor: tensor[chosen])

    def to(self, device: torch.device | str) -> Batch:
        """The same rows on a device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The same rows in memory that a GPU reads by itself."""
        return self._map(lambda tensor: tensor.pin_memory())

    def _map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        changed: dict[str, Any] = {name: None if value is None else change(value) for name, value in values.items()}
        return Batch(**changed)
