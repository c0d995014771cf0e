"""The picture of a mutagenesis map: what is where in it, and that nothing overlaps."""

import itertools

import numpy as np
import pytest
from matplotlib.patches import PathPatch

from dnadiff.data.motifs import Match
from dnadiff.report import mutagenesis
from dnadiff.report.mutagenesis import LINE, TRACKS, map_figure

GENERATOR = np.random.default_rng(0)
SEQUENCE = "".join(GENERATOR.choice(list("ACGT"), 230))


def llr_of(sequence):
    found = GENERATOR.normal(-1, 1, (len(sequence), 4))
    for at, base in enumerate(sequence):
        found[at] = np.nan if base == "N" else found[at]
        found[at, "ACGT".find(base)] = np.nan if base == "N" else 0
    return found


def match(start, length=8, *, strand=1, p=1e-5, name="MA0001.1 AGL3"):
    return Match(name, start, start + length, strand, 9.0, p)


def test_lines_hold_every_base_once():
    figure = map_figure(llr_of(SEQUENCE), SEQUENCE, start=1000, contig="chr1")
    heat = [axes for axes in figure.axes if axes.images]
    assert len(heat) == -(-len(SEQUENCE) // LINE)
    shown = [axes.images[0].get_array().shape[1] for axes in heat]
    assert sum(shown) == len(SEQUENCE)
    assert len({axes.get_xlim()[1] - axes.get_xlim()[0] for axes in heat}) == 1  # letters are equally wide everywhere
    labels = [tick.get_text() for axes in figure.axes for tick in axes.get_xticklabels()]
    assert [label for label in labels if label] == [f"{at:,}" for at in range(1010, 1231, 10)]
    assert figure.axes[0].get_title() == "chr1:1,001-1,230"


def test_the_palette_is_centred_on_zero_and_dots_mark_the_bases_that_are_there():
    figure = map_figure(llr_of("ACGTN"), "ACGTN")
    heat = figure.axes[0]
    norm = heat.images[0].norm
    assert norm.vmin == -norm.vmax
    (dots,) = heat.lines
    assert dots.get_xydata().tolist() == [[0, 0], [1, 1], [2, 2], [3, 3]]
    assert heat.images[0].get_array().mask[:, 4].all()
    assert "Grey: not A, C, G or T." in figure.texts[0].get_text()
    assert "Grey" not in map_figure(llr_of("ACGT"), "ACGT").texts[0].get_text()


def test_letters_are_as_high_as_a_base_is_likelier_than_the_others():
    llr = np.array([[0, -1, -2, -3], [-1, 0, -1, -1], [2, 2, 0, 2.0]])
    (_, logo, *_) = map_figure(llr, "ACG").axes
    boxes = [patch.get_path().get_extents() for patch in logo.patches if isinstance(patch, PathPatch)]
    tops = {round(float(box.x0 + 0.45)): (box.y0, box.y1) for box in boxes}
    assert tops[0] == pytest.approx((0, 2))
    assert tops[1] == pytest.approx((0, 1))
    assert tops[2] == pytest.approx((-2, 0))


def test_bars_and_names_do_not_overlap_and_the_best_come_first():
    matches = [match(int(at), p=float(p)) for at, p in zip(range(0, 90, 2), GENERATOR.random(45), strict=True)]
    bars = mutagenesis._packed(mutagenesis._best_strands(matches), 0, 100)
    assert len(bars) < 45
    assert max(bar.row for bar in bars) == TRACKS - 1
    for one, other in itertools.combinations(bars, 2):
        assert one.row != other.row or one.match.end <= other.match.start or other.match.end <= one.match.start
    best = min(matches, key=lambda each: each.p_value)
    assert next(bar for bar in bars if bar.match == best).row == 0
    figure = map_figure(llr_of("A" * 100), "A" * 100, matches=matches, note="some")
    assert f"; {45 - len(bars)} have no room here" in figure.texts[0].get_text().replace("\n", " ")


def test_a_palindrome_is_drawn_once_and_a_match_over_a_break_on_both_lines():
    assert mutagenesis._best_strands([match(5, strand=1), match(5, strand=-1, p=1e-6)]) == [match(5, strand=-1, p=1e-6)]
    figure = map_figure(llr_of(SEQUENCE), SEQUENCE, matches=[match(75)])
    assert [axes.get_ylabel() for axes in figure.axes].count("motifs") == 2


def test_names_are_shown_as_they_are():
    figure = map_figure(llr_of("ACGT" * 10), "ACGT" * 10, contig="$x^2$", matches=[match(3, name="$a$")])
    figure.canvas.draw()
    shown = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert "$a$" in shown
