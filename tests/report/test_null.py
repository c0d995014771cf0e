"""Shuffles and Markov chains: what they keep, by counting; their laws, by enumeration and by another path."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from dnadiff.data.markov import fit, kmer_codes
from dnadiff.dna import decode, encode
from dnadiff.report.null import draw_markov, probabilities, shuffle_dinucleotides


@given(st.text("ACGTN", max_size=60), st.integers(0, 5))
def test_a_shuffle_keeps_every_dinucleotide_and_both_ends(text, seed):
    tokens = encode(text)
    shuffled = decode(shuffle_dinucleotides(tokens, np.random.default_rng(seed)))
    assert Counter(pairwise(shuffled)) == Counter(pairwise(text))
    assert (shuffled[:1], shuffled[-1:]) == (text[:1], text[-1:])
    assert decode(tokens) == text


def test_every_order_of_the_dinucleotides_is_as_likely():
    rng = np.random.default_rng(0)
    found = Counter(decode(shuffle_dinucleotides(encode("ACAGATCGA"), rng)) for _ in range(4000))
    expected = {"".join(walk) for walk in _walks("A", Counter(pairwise("ACAGATCGA")))}
    assert set(found) == expected
    assert len(expected) > 4
    assert chisquare(list(found.values())).pvalue > 1e-3


def _walks(begun, left):
    """Every word that uses up the dinucleotides, each as often as it is left."""
    if not left.total():
        yield begun
    for (first, second), n in left.items():
        if n and first == begun[-1]:
            yield from _walks(begun + second, left - Counter([(first, second)]))


@pytest.fixture(scope="module")
def model():
    text = "".join(np.random.default_rng(1).choice(list("ACGT"), 3000, p=[0.4, 0.1, 0.2, 0.3])).replace("CG", "CA")
    return fit([encode(text)], 3)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_the_chain_s_probabilities_are_those_the_model_scores_with(model, order):
    tokens = np.random.default_rng(2).integers(7, 11, 500).astype(np.uint8)
    codes = kmer_codes(tokens, order + 1)
    chances = probabilities(model, order)[order].ravel()[codes]
    assert chances == pytest.approx(np.exp(model.log_probs(tokens, order)[order:]))


@pytest.mark.parametrize("order", [0, 2])
def test_bases_are_drawn_with_these_probabilities(model, order):
    rows = draw_markov(model, order, n=300, length=50, rng=np.random.default_rng(3))
    assert rows.shape == (300, 50)
    expected = probabilities(model, order)
    for known in range(order + 1):  # the first bases have fewer before them
        part = rows[:, : known + 1] if known < order else rows
        counts = sum(np.bincount(kmer_codes(row, known + 1), minlength=4 ** (known + 1)) for row in part).reshape(-1, 4)
        seen = counts.sum(1) > 20
        chances = chisquare(counts[seen], counts[seen].sum(1, keepdims=True) * expected[known][seen], axis=1).pvalue
        assert chances.min() > 1e-3 / len(chances)


def test_a_chain_that_knows_what_follows_repeats_it():
    model = fit([encode("ACGT" * 500)], 2)
    row = decode(draw_markov(model, 2, n=1, length=400, rng=np.random.default_rng(2))[0])
    assert "ACGTACGTACGT" in row
