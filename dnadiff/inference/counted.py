"""A network that counts how often it is run."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Counted:
    """What a network is, and how often it was run; a `dnadiff.network.Network` around another.

    Attributes:
        n_calls: runs so far.
        n_rows: rows that they were on, all together.
        dtype: of the features; None before the first run.
    """

    def __init__(self, network: Any) -> None:
        self.n_calls = self.n_rows = 0
        self.dtype: torch.dtype | None = None
        self._network = network

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def features(self, embedded: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """See `Network.features`."""
        return self._count(self._network.features(embedded, *args, **kwargs))

    def step(self, embedded: Tensor, cache: Any = None) -> tuple[Tensor, Any]:
        """See `CausalNetwork.step`."""
        features, cache = self._network.step(embedded, cache)
        return self._count(features), cache

    def _count(self, features: Tensor) -> Tensor:
        self.n_calls, self.n_rows, self.dtype = self.n_calls + 1, self.n_rows + len(features), features.dtype
        return features
