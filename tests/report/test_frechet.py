"""Frechet distances of Gaussians in closed form, and features that are the same for ever."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from dnadiff.dna import encode, reverse_complement
from dnadiff.report import frechet
from dnadiff.report.frechet import PINNED, frechet_distance, pinned_features
from dnadiff.report.null import shuffle_dinucleotides

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(200, 6)) @ RNG.normal(size=(6, 6))


def test_the_distance_to_itself_is_zero_and_to_a_shift_its_square():
    assert frechet_distance(FEATURES, FEATURES) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(FEATURES, FEATURES + 0.5) == pytest.approx(6 * 0.25)


def test_the_distance_of_scaled_features_is_that_of_their_deviations():
    assert frechet_distance(FEATURES - FEATURES.mean(0), 3 * (FEATURES - FEATURES.mean(0))) == pytest.approx(
        4 * np.trace(np.cov(FEATURES, rowvar=False))
    )


def test_the_root_of_the_product_is_that_of_scipy():
    other = RNG.normal(size=(150, 6)) @ RNG.normal(size=(6, 6))
    one, two = np.cov(FEATURES, rowvar=False), np.cov(other, rowvar=False)
    expected = ((FEATURES.mean(0) - other.mean(0)) ** 2).sum() + np.trace(one + two - 2 * sqrtm(one @ two).real)
    assert frechet_distance(FEATURES, other) == pytest.approx(expected)
    assert frechet_distance(other, FEATURES) == pytest.approx(expected)


def test_features_are_pinned_and_the_same_for_both_strands():
    rows = np.stack([encode("GATTACA" * 12), encode("ACGTNACGGC" * 8 + "TTTT")])
    found = pinned_features(rows)
    assert PINNED == "random-conv-1"
    assert found.shape == (2, 64)
    assert found[:, :4] == pytest.approx(np.array(RECORDED), abs=1e-5)
    assert pinned_features(reverse_complement(rows)) == pytest.approx(found, abs=1e-6)


def test_rows_at_once_are_so_many_bases_and_change_nothing(monkeypatch):
    rows = RNG.integers(7, 11, (5, 80)).astype(np.uint8)
    expected, seen, plain = pinned_features(rows), [], frechet._mean
    monkeypatch.setattr(frechet, "BASES_AT_ONCE", 200)
    monkeypatch.setattr(frechet, "_mean", lambda some, weights: seen.append(len(some)) or plain(some, weights))
    assert pinned_features(rows) == pytest.approx(expected, abs=1e-6)
    assert seen == [2, 2, 2, 2, 1, 1]


RECORDED = [[0.099258, 0.175251, 0.138502, 0.279384], [0.101985, 0.19569, 0.135358, 0.098337]]


def test_features_see_what_dinucleotides_do_not():
    genes = ["".join(RNG.choice(["GCA", "GAT", "CTG", "AAC"], 60)) for _ in range(60)]
    rows = np.stack([encode(gene) for gene in genes])
    shuffled = np.stack([shuffle_dinucleotides(row, RNG) for row in rows])
    features = [pinned_features(part) for part in (rows[:30], rows[30:], shuffled[30:])]
    scaled = [(each - features[0].mean(0)) / features[0].std(0).clip(1e-9) for each in features]
    assert frechet_distance(scaled[0], scaled[2]) > 2 * frechet_distance(scaled[0], scaled[1])
