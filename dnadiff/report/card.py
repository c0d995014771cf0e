"""What a report of generated DNA holds: sets of sequences, figures of each, and pictures that draw themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray

from dnadiff.errors import InputError, nearest
from dnadiff.report.measured import Measured

Tokens = NDArray[np.uint8]
Drawing = Callable[[Axes], Axes]
SIZE = (5.2, 3.9)  # inches: two beside each other on a wide screen, one on a telephone
SAMPLES, REAL, SHUFFLED = "samples", "other real windows", "shuffled dinucleotides"


class Sets(NamedTuple):
    """Sequences of one length, as many in each set; all (n, length) tokens.

    Attributes:
        reference: real windows that every other set is compared with.
        groups: samples, other real windows (the floor), and what real DNA is told apart from; by name.
    """

    reference: Tokens
    groups: dict[str, Tokens]

    @property
    def n(self) -> int:
        return len(self.reference)

    @property
    def length(self) -> int:
        return int(self.reference.shape[1])


class Figure(NamedTuple):
    """One measure of every set.

    Attributes:
        measure, unit: what is measured.
        by_group: figures by name of the set; a set that it says nothing about is left out.
    """

    measure: str
    unit: str
    by_group: dict[str, Measured]

    @property
    def reading(self) -> str:
        """Samples against real windows; like them where the difference is within both intervals together."""
        if SAMPLES not in self.by_group or REAL not in self.by_group:
            return ""
        ours, real = self.by_group[SAMPLES], self.by_group[REAL]
        noise = np.hypot(ours.half_width, real.half_width)
        if np.isnan(noise) or np.isnan(ours.value - real.value):
            return ""
        if abs(ours.value - real.value) <= noise:
            return "like real"
        return "above real" if ours.value > real.value else "below real"


class Picture(NamedTuple):
    """One pair of axes.

    Attributes:
        name: of its files.
        alt: what it shows, for readers who do not see it.
        draw: on axes that are given.
    """

    name: str
    alt: str
    draw: Drawing


def alt_text(what: str, figures: Sequence[Figure]) -> str:
    """What is drawn, with its figures."""
    said = (
        f"{figure.measure}: " + ", ".join(f"{group} {each.value:.3g}" for group, each in figure.by_group.items())
        for figure in figures
    )
    return f"{what}. {'; '.join(said)}."


class Table(NamedTuple):
    """Rows behind a section, for a file; the first `n_shown` are on the page too."""

    name: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    n_shown: int = 0


class Section(NamedTuple):
    """Measures that belong together, and how to read them."""

    title: str
    text: str
    figures: list[Figure]
    pictures: list[Picture]
    tables: list[Table] = []  # noqa: RUF012


@dataclass(frozen=True)
class Card:
    """A report.

    Attributes:
        about: what was compared with what, by name.
        caption: the same in a line, for every figure.
        sections: in their order.
    """

    about: dict[str, str]
    caption: str
    sections: list[Section]

    def rows(self) -> Iterator[dict[str, Any]]:
        """A row for each measure and set: `pandas.DataFrame(card.rows())` is the table."""
        for section in self.sections:
            for figure in section.figures:
                for group, (value, low, high) in figure.by_group.items():
                    yield {"section": section.title, "measure": figure.measure, "unit": figure.unit, "set": group,
                           "value": value, "low": low, "high": high}  # fmt: skip

    def pictures(self) -> Mapping[str, Picture]:
        """All pictures by name."""
        return {picture.name: picture for section in self.sections for picture in section.pictures}

    def draw(self, name: str, axes: Axes | None = None) -> Axes:
        """One picture, on axes of yours or on new ones.

        Raises:
            InputError: there is no such picture.
        """
        known = self.pictures()
        if name not in known:
            raise InputError(f"{name!r}: no such picture{nearest(name, known)}; there are {', '.join(known)}")
        return known[name].draw(Canvas(figsize=SIZE, layout="constrained").add_subplot() if axes is None else axes)
