"""A picture of every substitution of a region: a heat map, the sequence as a logo under it, and motifs that match."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch, Polygon
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath

from dnadiff.data.motifs import Match
from dnadiff.report.plots import BLUE, GREEN, ORANGE, PURPLE

BASES = "ACGT"
LINE = 100  # bases beside each other, at most
TRACKS = 8  # rows of motifs under a line; the matches with the largest p-values have no room
COLOURS = {"A": GREEN, "C": BLUE, "G": "#E69F00", "T": ORANGE}
STRANDS = {1: "#56B4E9", -1: PURPLE}
PALETTE = "RdBu_r"  # blue where a change makes the sequence less likely, red where more
HEAT, LOGO, TRACK = 0.8, 0.75, 0.19  # inches
ABOVE, BESIDE, BELOW, BETWEEN = 0.4, 1.0, 0.75, 0.45
LETTER = 0.075  # inches that a letter of a motif's name is wide
LONGEST_NAME = 22


class _Bar(NamedTuple):
    match: Match
    name: str
    is_after: bool  # where the name stands
    row: int


class _Line(NamedTuple):
    first: int
    last: int
    bars: list[_Bar]

    @property
    def height(self) -> float:
        """Inches."""
        return HEAT + LOGO + TRACK * _n_rows(self.bars)


def map_figure(
    llr: np.ndarray,
    sequence: str,
    *,
    start: int = 0,
    contig: str = "sequence",
    matches: Sequence[Match] = (),
    note: str = "",
) -> Figure:
    """A heat map of a region in lines of up to 100 bases, and letters as high as a base is likelier than the others.

    Args:
        llr: (length, 4) log p(base) - log p(the base that is there) in nats for A, C, G, T; nan where it is not known.
        sequence: the bases that are there.
        start: of the region on its contig, 0-based; axes count from 1.
        matches: of motifs, placed in the sequence; drawn as arrows along their strand.
        note: said at the foot.

    Returns:
        Its axes are, line by line, heat map, logo, and motifs where some match; the colour bar's come last.
    """
    lines, n_left_out = _lines(_best_strands(matches), len(sequence))
    across = _across(lines[0].last - lines[0].first)
    heights = [line.height for line in lines]
    size = (across + 2 * BESIDE, ABOVE + sum(heights) + BETWEEN * (len(lines) - 1) + BELOW)
    figure = Figure(figsize=size)

    def add(top: float, height: float, left: float = BESIDE, wide: float = across) -> Axes:
        """Axes, in inches from the left and the top."""
        box = (left / size[0], 1 - (top + height) / size[1], wide / size[0], height / size[1])
        return figure.add_axes(box)

    is_there = np.array([[base == each for each in BASES] for base in sequence])
    others = np.where(is_there, np.nan, llr)
    known = np.append(0.0, np.abs(others[np.isfinite(others)]))
    norm = Normalize(-(most := max(1e-9, float(np.quantile(known, 0.99)))), most)
    tall = np.array([-row[np.isfinite(row)].mean() if np.isfinite(row).any() else 0.0 for row in others])
    top = ABOVE
    for line in lines:
        heat, logo = add(top, HEAT), add(top + HEAT, LOGO)
        _draw_heat(heat, llr, is_there, line, norm)
        _draw_logo(logo, tall, sequence, line)
        last = add(top + HEAT + LOGO, TRACK * _n_rows(line.bars)) if line.bars else logo
        if line.bars:
            _draw_bars(last, line.bars)
        for axes in (heat, logo, last):
            _count_from_one(axes, line, start, is_last=axes is last)
        top += line.height + BETWEEN
    last.set_xlabel(f"position on {contig} (counted from 1)", parse_math=False)
    figure.axes[0].set_title(f"{contig}:{start + 1:,}-{start + len(sequence):,}", fontsize=10, parse_math=False)
    colours = add(ABOVE, min(2.2, heights[0]), BESIDE + across + 0.15, 0.15)
    figure.colorbar(ScalarMappable(norm, PALETTE), colours, extend="both" if known.max() > most else "neither")
    colours.set_ylabel("log p(base) - log p(base there), nats", fontsize=8)
    colours.tick_params(labelsize=8)
    foot = textwrap.fill(_foot(note, n_left_out, has_unknown=bool(np.isnan(llr).all(1).any())), int(15 * size[0]))
    figure.text(0.02, 0.06 / size[1], foot, fontsize=7.5, parse_math=False)
    return figure


def _across(n_bases: int) -> float:
    """Inches of a line."""
    return min(10.0, max(3.0, 0.25 * n_bases))


def _lines(matches: Sequence[Match], n_bases: int) -> tuple[list[_Line], int]:
    """Lines of equal width, and how many matches have no room."""
    width = math.ceil(n_bases / math.ceil(n_bases / LINE))
    spans = [(first, first + width) for first in range(0, n_bases, width)]
    lines = [_Line(first, last, _packed(matches, first, last)) for first, last in spans]
    drawn = {bar.match for line in lines for bar in line.bars}
    return lines, len(set(matches) - drawn)


def _foot(note: str, n_left_out: int, *, has_unknown: bool) -> str:
    arrows = f" Arrows, blue on this strand, purple on the other: {note}" if note else ""
    grey = " Grey: not A, C, G or T." if has_unknown else ""
    return (
        f"Dots mark the base that is there.{grey}{arrows}{f'; {n_left_out:,} have no room here' if n_left_out else ''}"
    )


def _draw_heat(axes: Axes, llr: np.ndarray, is_there: np.ndarray, line: _Line, norm: Normalize) -> None:
    """Rows A, C, G, T from above; dots where the base itself is."""
    some = np.ma.masked_invalid(llr[line.first : line.last].T)  # (4, n)
    axes.set_facecolor("0.85")
    extent = (line.first - 0.5, line.first + some.shape[1] - 0.5, 3.5, -0.5)
    axes.imshow(some, norm=norm, cmap=PALETTE, aspect="auto", interpolation="nearest", extent=extent)
    at, base = is_there[line.first : line.last].nonzero()
    axes.plot(at + line.first, base, ".", color="black", markersize=3)
    axes.set_yticks(range(4), list(BASES))


def _draw_logo(axes: Axes, tall: np.ndarray, sequence: str, line: _Line) -> None:
    """Letters from 0 up, or down where the other bases are likelier."""
    for base in BASES:
        outlines = [
            _moved(_letter(base), at, tall[at])
            for at in range(line.first, min(line.last, len(sequence)))
            if sequence[at] == base
        ]
        if outlines:
            axes.add_patch(PathPatch(Outline.make_compound_path(*outlines), color=COLOURS[base], linewidth=0))
    axes.axhline(0, color="black", linewidth=0.6)
    low, high = min(0.0, tall.min()), max(0.0, tall.max())
    axes.set_ylim(low - 0.04 * (high - low), high + 0.04 * (high - low) + 1e-9)
    axes.set_ylabel("likelier than\nthe others\n(mean, nats)", fontsize=8)


def _draw_bars(axes: Axes, bars: Sequence[_Bar]) -> None:
    """An arrow along its strand for each match, and its name beside it."""
    for match, name, is_after, row in bars:
        tail, head = (match.start, match.end) if match.strand > 0 else (match.end, match.start)
        neck = head - match.strand * min(2.0, (match.end - match.start) / 2)
        corners = [(tail, 0.2), (neck, 0.2), (head, 0.5), (neck, 0.8), (tail, 0.8)]
        outline = [(x - 0.5, row + y) for x, y in corners]
        axes.add_patch(Polygon(outline, facecolor=STRANDS[match.strand], edgecolor="black", linewidth=0.4))
        beside = match.end if is_after else match.start - 1
        axes.text(
            beside,
            row + 0.5,
            name,
            fontsize=7,
            ha="left" if is_after else "right",
            va="center",
            clip_on=True,
            parse_math=False,
        )
    axes.set_ylim(_n_rows(bars), 0)
    axes.set_yticks([])
    axes.set_ylabel("motifs", fontsize=8, rotation=0, ha="right", va="center")


def _count_from_one(axes: Axes, line: _Line, start: int, *, is_last: bool) -> None:
    """Numbers of bases under the last axes of a line."""
    first, last, _ = line
    axes.set_xlim(first - 0.5, last - 0.5)
    step = 10 if last - first > 40 else 5
    ticks = [at for at in range(first, last) if (start + at + 1) % step == 0]
    axes.set_xticks(ticks, [f"{start + at + 1:,}" for at in ticks] if is_last else [])
    axes.tick_params(labelsize=8)


def _best_strands(matches: Sequence[Match]) -> list[Match]:
    """Of the two strands of one place the better one, best matches first; palindromes match on both."""
    found: dict[tuple[str, int], Match] = {}
    for match in sorted(matches, key=lambda each: each.p_value):
        found.setdefault((match.motif, match.start), match)
    return list(found.values())


def _packed(matches: Sequence[Match], first: int, last: int) -> list[_Bar]:
    """Rows for matches, in their order, such that neither arrows nor names overlap; those without room are left out."""
    ends: list[list[tuple[float, float]]] = [[] for _ in range(TRACKS)]
    bars = []
    for match in (each for each in matches if each.start < last and each.end > first):
        is_long = len(match.motif) > LONGEST_NAME  # the factor's name is the end
        name = f"…{match.motif[1 - LONGEST_NAME :]}" if is_long else match.motif
        wide = LETTER * len(name) * (last - first) / _across(last - first)
        is_after = match.end + wide < last
        low, high = (match.start, match.end + wide) if is_after else (match.start - wide, match.end)
        low, high = low - 1, high + 1
        row = next((row for row, taken in enumerate(ends) if all(high <= a or b <= low for a, b in taken)), None)
        if row is not None:
            ends[row].append((low, high))
            bars.append(_Bar(match, name, is_after, row))
    return bars


def _n_rows(bars: Sequence[_Bar]) -> int:
    return max((bar.row + 1 for bar in bars), default=0)


@cache
def _letter(base: str) -> Outline:
    """A letter that fills the square from (0, 0) to (1, 1)."""
    outline = TextPath((0, 0), base, size=1, prop=FontProperties(family="DejaVu Sans", weight="bold"))
    box = outline.get_extents()
    low, high = np.asarray(box.min), np.asarray(box.max)
    return Outline((np.asarray(outline.vertices) - low) / (high - low), outline.codes)


def _moved(letter: Outline, at: int, height: float) -> Outline:
    """A letter over a base, from 0 to its height; upright below 0 as well."""
    vertices = np.asarray(letter.vertices) * (0.9, abs(height)) + (at - 0.45, min(0.0, height))
    return Outline(vertices, letter.codes)
