"""k-mer measures: closed forms, and where samples of a known kind must fall."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnadiff.dna import decode, encode
from dnadiff.errors import InputError
from dnadiff.report.kmers import excess_js, gc_content, js_distance, kmer_spectrum, shuffle_bases

distributions = st.lists(st.integers(0, 20), min_size=4, max_size=4).filter(any).map(lambda n: np.array(n) / sum(n))


def cg_poor(rng: np.random.Generator, n_windows: int) -> list[np.ndarray]:
    """Random windows of 300 bases in which no G follows a C."""
    texts = ["".join(rng.choice(list("ACGT"), 300)) for _ in range(n_windows)]
    return [encode(text.replace("CG", "CA")) for text in texts]


def test_the_spectrum_counts_every_window_without_an_n() -> None:
    spectrum = kmer_spectrum([encode("AACGNAA"), encode("T"), encode("tt")], 2)
    assert {code: share for code, share in enumerate(spectrum) if share} == {0: 2 / 5, 1: 1 / 5, 6: 1 / 5, 15: 1 / 5}


def test_the_spectrum_of_a_long_random_sequence_is_flat() -> None:
    tokens = np.random.default_rng(0).integers(7, 11, 200_000).astype(np.uint8)
    assert kmer_spectrum([tokens], 3) == pytest.approx(np.full(64, 1 / 64), rel=0.1)


def test_distances_of_known_distributions() -> None:
    one, other = np.array([1.0, 0.0]), np.array([0.5, 0.5])
    divergence = (np.log2(1 / 0.75) + 0.5 * np.log2(0.5 / 0.75) + 0.5 * np.log2(0.5 / 0.25)) / 2
    assert js_distance(one, other) == pytest.approx(np.sqrt(divergence))
    assert js_distance(one, 1 - one) == 1
    assert js_distance(other, other) == 0


@given(distributions, distributions, distributions)
def test_the_distance_is_a_metric(one: np.ndarray, other: np.ndarray, third: np.ndarray) -> None:
    assert 0 <= js_distance(one, other) <= 1 + 1e-9
    assert js_distance(one, other) == pytest.approx(js_distance(other, one))
    assert js_distance(one, other) <= js_distance(one, third) + js_distance(third, other) + 1e-7


def test_gc_content_leaves_n_out() -> None:
    sequences = [encode(text) for text in ("GCGC", "ATNN", "ACGN", "NN")]
    assert gc_content(sequences) == pytest.approx([1, 0, 2 / 3, np.nan], nan_ok=True)
    assert gc_content([]).shape == (0,)


def test_shuffling_keeps_the_bases_and_the_place_of_n() -> None:
    tokens = encode("ACGTN" * 40 + "A" * 50)
    shuffled = shuffle_bases(tokens, np.random.default_rng(1))
    assert sorted(decode(shuffled)) == sorted(decode(tokens))
    assert np.array_equal(shuffled == 11, tokens == 11)
    assert not np.array_equal(shuffled, tokens)
    assert decode(tokens).startswith("ACGTN")  # the argument is as it was


def test_real_samples_have_ratio_0_and_shuffled_ones_ratio_1() -> None:
    rng = np.random.default_rng(2)
    real = cg_poor(rng, 400)
    alike = excess_js(cg_poor(rng, 100), real, rng)
    unlike = excess_js([shuffle_bases(window, rng) for window in cg_poor(rng, 100)], real, rng)
    assert alike.ratio == pytest.approx(0, abs=0.05)
    assert unlike.ratio == pytest.approx(1, abs=0.05)
    assert alike.floor == pytest.approx(unlike.floor, rel=0.1)
    assert alike.shuffled > 4 * alike.floor
    assert alike.ratio == pytest.approx((alike.samples - alike.floor) / (alike.shuffled - alike.floor))


def test_the_floor_falls_as_the_root_of_the_number_of_windows() -> None:
    rng = np.random.default_rng(3)
    real = cg_poor(rng, 1000)
    few, many = (excess_js(real[:n], real, rng) for n in (10, 40))
    assert few.floor / many.floor == pytest.approx(2, rel=0.15)


def test_more_samples_than_real_windows_are_compared_at_equal_numbers() -> None:
    rng = np.random.default_rng(4)
    result = excess_js(cg_poor(rng, 300), cg_poor(rng, 80), rng)
    assert result.samples == pytest.approx(result.floor, rel=0.15)


def test_where_shuffling_changes_nothing_there_is_no_ratio() -> None:
    poly_a = [encode("A" * 20)] * 4
    assert excess_js(poly_a, poly_a, np.random.default_rng(5)).ratio is None


def test_the_draws_are_those_of_the_generator() -> None:
    real = cg_poor(np.random.default_rng(6), 20)
    once, again = (excess_js(real[:5], real, np.random.default_rng(7)) for _ in range(2))
    assert once == again


@pytest.mark.parametrize(("n_samples", "n_real"), [(0, 5), (5, 1)])
def test_too_few_windows_are_an_error(n_samples: int, n_real: int) -> None:
    window = encode("ACGTACGT")
    with pytest.raises(InputError, match=rf"{n_samples} samples and {n_real} real windows; give at least 1 and 2"):
        excess_js([window] * n_samples, [window] * n_real, np.random.default_rng(8))


def test_sequences_without_a_kmer_are_an_error() -> None:
    with pytest.raises(InputError, match="no 4-mer to count; give sequences with 4 or more letters"):
        kmer_spectrum([encode("ACGNACG")], 4)
