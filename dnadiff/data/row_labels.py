"""Classes of intervals: a column of the same file, by its number or by its name in the header row."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnadiff.data.bed import Intervals, bed_header, bed_rows
from dnadiff.data.inputs import find_file, lines
from dnadiff.errors import InputError, nearest

MOST_CLASSES = 1000  # more, and the column holds something else


class RowLabels(NamedTuple):
    """Classes of rows.

    Attributes:
        names: of the classes, sorted.
        number: (rows,) int64, of each row's class among the names.
    """

    names: tuple[str, ...]
    number: NDArray[np.int64]


def read_labels(path: str | Path, column: str, rows: Intervals) -> RowLabels:
    """The class of every row that was read from a file of intervals.

    Args:
        column: its number, from 1, or its name.
        rows: of this file.

    Raises:
        InputError: there is no such column, a row has no class, or the column holds no classes.
    """
    source = find_file(path)
    place = _place(column, bed_header(lines(source)), source)
    wanted = set(rows.line.tolist())
    found = {number: _label(columns, place, f"{source}: line {number}")
             for number, columns in bed_rows(lines(source)) if number in wanted}  # fmt: skip
    names = tuple(sorted(set(found.values())))
    if len(names) > MOST_CLASSES:
        raise InputError(
            f"{source}: column {column} holds {len(names):,} different values, such as {names[0]!r}; name a column of "
            f"classes, at most {MOST_CLASSES:,}"
        )
    number = {name: i for i, name in enumerate(names)}
    return RowLabels(names, np.array([number[found[line]] for line in rows.line.tolist()], np.int64))


def _place(column: str, header: list[str], source: Path) -> int:
    """Of the column, from 0."""
    if column in header:
        return header.index(column)
    if re.fullmatch(r"0*[1-9][0-9]{0,8}", column):
        return int(column) - 1
    if not header:
        raise InputError(
            f"{source}: has no header row that could name column {column!r}; give its number, from 1, in data.label"
        )
    raise InputError(f"{source}: has no column {column!r}{nearest(column, header)}; there are {', '.join(header)}")


def _label(columns: list[str], place: int, where: str) -> str:
    if place >= len(columns) or not columns[place].strip():
        raise InputError(f"{where}: has no class in column {place + 1}; write one in every row")
    return columns[place].strip()
