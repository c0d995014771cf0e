"""Markov baselines: counts by a naive loop, smoothing by its formula, and laws of what is scored."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnadiff.data import markov
from dnadiff.data.markov import MarkovModel, fit, kmer_codes
from dnadiff.dna import encode, reverse_complement
from dnadiff.errors import InputError

sequences = st.lists(st.text("ACGTN", min_size=0, max_size=40), min_size=1, max_size=4)


def letter_code(kmer: str) -> int:
    return sum("ACGT".index(letter) * 4**place for place, letter in enumerate(reversed(kmer)))


def naive_counts(texts: list[str], k: int) -> Counter[str]:
    windows = (text[start : start + k] for text in texts for start in range(len(text) - k + 1))
    return Counter(window for window in windows if "N" not in window)


def random_tokens(rng: np.random.Generator, n_bases: int, **weights: float) -> np.ndarray:
    letters = list(weights or "ACGT")
    share = np.array([weights.get(letter, 1.0) for letter in letters])
    return encode("".join(rng.choice(letters, n_bases, p=share / share.sum())))


@given(sequences)
def test_counts_are_those_of_a_naive_loop_over_both_strands(texts: list[str]) -> None:
    model = fit([encode(text) for text in texts], max_order=3)
    opposite = [text.translate(str.maketrans("ACGT", "TGCA"))[::-1] for text in texts]
    for order, table in enumerate(model.counts):
        naive = naive_counts(texts + opposite, order + 1)
        assert table.sum() == naive.total()
        assert all(table.ravel()[letter_code(kmer)] == n for kmer, n in naive.items())


def test_cutting_long_pieces_loses_only_the_bases_at_the_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = random_tokens(np.random.default_rng(0), 1000)
    monkeypatch.setattr(markov, "CHUNK_BASES", 100)
    assert [table.sum() for table in fit([tokens], max_order=2).counts] == [
        2 * (1000 - 10 * order) for order in range(3)
    ]


def test_tuning_looks_beyond_a_short_first_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markov, "TUNE_BASES", 1000)
    rng = np.random.default_rng(9)
    model, pieces = fit([random_tokens(rng, 500)], max_order=3), [random_tokens(rng, 10), random_tokens(rng, 990)]
    assert model.tune([*pieces, random_tokens(rng, 500)]).prior_weights == model.tune(pieces).prior_weights
    assert [len(chunk) for chunk in markov._chunks(pieces, 400)] == [402, 401, 201]


def test_log_probs_follow_the_smoothing_formula() -> None:
    model = MarkovModel((np.array([[4, 2, 2, 4]]), np.arange(16).reshape(4, 4)), prior_weights=(8.0, 2.0))
    p_lower = (2 + 8 * 0.25) / (12 + 8)  # of C
    p_after_g = (9 + 2 * p_lower) / (8 + 9 + 10 + 11 + 2)
    assert model.log_probs(encode("GCNC"), order=0)[[1, 3]] == pytest.approx(np.log(p_lower))
    assert model.log_probs(encode("GCNC"), order=1) == pytest.approx(
        [np.nan, np.log(p_after_g), np.nan, np.nan], nan_ok=True
    )


@pytest.mark.parametrize("order", [0, 1, 3])
def test_probabilities_of_the_four_letters_sum_to_one(order: int) -> None:
    model = fit([random_tokens(np.random.default_rng(1), 300)], max_order=3)
    context = "ACG"
    last = [model.log_probs(encode(context + letter), order)[-1] for letter in "ACGT"]
    assert np.exp(last).sum() == pytest.approx(1)


def test_training_on_a_strand_or_on_the_other_is_the_same() -> None:
    tokens = random_tokens(np.random.default_rng(2), 500, A=3, C=1, G=1, T=1)
    for one, other in zip(fit([tokens], 4).counts, fit([reverse_complement(tokens)], 4).counts, strict=True):
        assert np.array_equal(one, other)


def test_a_known_composition_costs_its_entropy() -> None:
    rng = np.random.default_rng(3)
    train, valid, test = (random_tokens(rng, 40_000, A=0.4, C=0.1, G=0.1, T=0.4) for _ in range(3))
    model = fit([train], max_order=4).tune([valid])
    entropy = -np.log2([0.4, 0.1]) @ [0.8, 0.2]
    assert [score.bits_per_base for score in model.bits_by_order([test])] == pytest.approx([entropy] * 5, abs=0.01)


def test_tuning_finds_the_order_and_never_costs_bits_where_it_looked() -> None:
    rng = np.random.default_rng(4)
    train, valid = random_tokens(rng, 3_000, A=4, C=1, G=1, T=4), random_tokens(rng, 3_000, A=4, C=1, G=1, T=4)
    plain = fit([train], max_order=6)
    tuned = plain.tune([valid])
    repeated = fit([encode("AAAAAAAC" * 50)], max_order=6).tune([encode("AAAAAAAC" * 20)])
    assert tuned.best_order == min(tuned.bits_by_order([valid]), key=lambda score: score.bits_per_base).order
    assert repeated.best_order == 6
    for before, after in zip(plain.bits_by_order([valid]), tuned.bits_by_order([valid]), strict=True):
        assert after.bits_per_base <= before.bits_per_base + 1e-9


def test_bits_are_the_mean_of_log_probs_over_pieces() -> None:
    rng = np.random.default_rng(5)
    model = fit([random_tokens(rng, 500)], max_order=3)
    pieces = [random_tokens(rng, 50), encode("ACNGTTGANNAC"), encode("")]
    nats = np.concatenate([model.log_probs(piece, 2) for piece in pieces])
    score = model.bits_per_base(pieces, 2)
    assert score.n_scored == np.count_nonzero(~np.isnan(nats)) == 48 + 3
    assert score.bits_per_base == pytest.approx(-np.nanmean(nats) / np.log(2))


def test_without_counts_every_base_costs_two_bits() -> None:
    assert fit([], max_order=2).bits_per_base([encode("ACGTAC")], 2).bits_per_base == pytest.approx(2)


def test_kmer_codes_mark_windows_with_an_n() -> None:
    assert kmer_codes(encode("ACGNTT"), 2).tolist() == [1, 6, -1, -1, 15]
    assert kmer_codes(encode("AC"), 3).size == 0


@pytest.mark.parametrize("order", [-1, 4])
def test_an_order_that_was_not_counted_is_an_error(order: int) -> None:
    model = fit([encode("ACGT")], max_order=3)
    with pytest.raises(InputError, match=rf"order {order}: orders 0 to 3 were counted"):
        model.log_probs(encode("ACGT"), order)
    with pytest.raises(InputError, match=rf"order {order}: orders 0 to 3 were counted"):
        model.bits_by_order([encode("ACGT")], order)


def test_too_high_an_order_is_an_error() -> None:
    with pytest.raises(InputError, match="max_order 12: must be 0 to 11"):
        fit([encode("ACGT")], max_order=12)


@pytest.mark.parametrize("pieces", [[], [encode("NNNN")], [encode("A")]])
def test_nothing_to_score_is_an_error(pieces: list[np.ndarray]) -> None:
    model = fit([encode("ACGTACGT")], max_order=2)
    with pytest.raises(InputError, match="no base to score"):
        model.bits_per_base(pieces, 2)
    with pytest.raises(InputError, match="no base to score"):
        model.tune(pieces)
