"""Figures of single sequences: naive loops over strings, and sequences whose figures are known."""

import tracemalloc
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnadiff.dna import encode, reverse_complement
from dnadiff.report import letters

texts = st.integers(64, 90).flatmap(
    lambda n: st.lists(st.text("ACGTN", min_size=n, max_size=n), min_size=1, max_size=3)
)


def rows_of(*sequences):
    return np.stack([encode(text) for text in sequences])


def naive_frame(text):
    longest = 0
    for strand in (text, "".join("TGCAN"["ACGTN".index(base)] for base in reversed(text))):
        for frame in range(3):
            open_codons = 0
            for at in range(frame, len(strand) - 2, 3):
                codon = strand[at : at + 3]
                open_codons = 0 if codon in {"TAA", "TAG", "TGA"} or "N" in codon else open_codons + 1
                longest = max(longest, open_codons)
    return longest


def naive_dust(text):
    windows = [text[at : at + 64] for at in range(0, len(text) - 63, 32)]
    scores = []
    for window in windows:
        triplets = [window[at : at + 3] for at in range(62) if "N" not in window[at : at + 3]]
        pairs = sum(n * (n - 1) / 2 for n in map(triplets.count, set(triplets)))
        scores.append(pairs / max(len(triplets) - 1, 1))
    return np.mean(np.array(scores) > 2)


@given(texts)
def test_figures_are_those_of_naive_loops(sequences):
    rows = rows_of(*sequences)
    assert letters.longest_frame(rows).tolist() == [naive_frame(text) for text in sequences]
    assert letters.low_complexity(rows) == pytest.approx([naive_dust(text) for text in sequences])
    runs = [[(base, len(list(run))) for base, run in groupby(text) if base != "N"] for text in sequences]
    assert letters.longest_homopolymer(rows).tolist() == [max((n for _, n in each), default=0) for each in runs]
    counts = letters.homopolymer_counts(rows)
    assert [int(n) for n in counts] == [
        sum(n == length for each in runs for _, n in each) for length in range(len(counts))
    ]
    for text, ratio in zip(sequences, letters.cpg_ratio(rows), strict=True):
        both = text.count("C") * text.count("G")
        n_letters = len(text) - text.count("N")
        assert ratio == pytest.approx(text.count("CG") * n_letters / both if both else np.nan, nan_ok=True)


def test_frames_are_those_of_either_strand():
    rows = np.random.default_rng(0).integers(7, 11, (20, 200)).astype(np.uint8)
    assert np.array_equal(letters.longest_frame(rows), letters.longest_frame(reverse_complement(rows)))
    open_everywhere, shut = "GCC" * 40, "GCC" * 20 + "TTAATTAATTAA" + "GCC" * 16  # TAA in each of the six frames
    assert letters.longest_frame(rows_of(open_everywhere, shut)).tolist() == [40, naive_frame(shut)]
    assert 20 <= naive_frame(shut) < 24


def test_low_complexity_is_that_of_repeats():
    rows = rows_of("A" * 64, "CA" * 32, "".join(np.random.default_rng(1).permutation(list("ACGT" * 16))))
    assert letters.low_complexity(rows).tolist() == [1, 1, 0]


def test_low_complexity_takes_memory_for_a_row_at_a_time():
    rows = np.random.default_rng(3).integers(7, 11, (20, 4096)).astype(np.uint8)
    tracemalloc.start()
    letters.low_complexity(rows)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 30 * rows.size


def test_cpg_of_random_bases_is_one():
    rows = np.random.default_rng(2).integers(7, 11, (200, 500)).astype(np.uint8)
    assert letters.cpg_ratio(rows).mean() == pytest.approx(1, abs=0.03)
