"""What a model's figures are read against, in any domain, and how a domain calls what it counts."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from dnadiff.inference.estimate import Estimate, Interval


class Levels(Protocol):
    """Baselines of a split, in bits per letter."""

    letter: ClassVar[str]
    """Such as base."""
    rows: ClassVar[str]
    """Such as windows."""

    @property
    def source(self) -> tuple[float, float] | None:
        """Bounds of the entropy of what made the data, where it is known."""
        ...

    def lines(self) -> dict[str, float]:
        """Named levels for a picture."""
        ...

    def more(self, result: Estimate) -> dict[str, Interval]:
        """Figures that only this domain has, by name."""
        ...

    def verdict(self, result: Estimate) -> str:
        """How good a figure is, and whether it can be true; levels alone where it is no likelihood."""
        ...

    def of(self, part: str) -> Levels:
        """Those of a part of the split, such as a contig."""
        ...

    def as_numbers(self) -> dict[str, Any]:
        """All but those of parts, for JSON."""
        ...
