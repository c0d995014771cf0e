"""The classifier: at chance where nothing differs, right where something does, and blind to twins."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from dnadiff.dna import encode, reverse_complement
from dnadiff.errors import InputError
from dnadiff.report.discriminator import _area, auroc

RNG = np.random.default_rng(0)


def rows(n, **shares):
    letters = list(shares or "ACGT")
    return np.stack([encode("".join(RNG.choice(letters, 120, p=list(shares.values()) or None))) for _ in range(n)])


def test_the_area_is_scikit_learn_s_and_its_variance_delong_s():
    positive, negative = RNG.normal(0.5, 1, 40).round(1), RNG.normal(0, 1, 60).round(1)
    area, variance = _area(positive, negative)
    assert area == pytest.approx(roc_auc_score([1] * 40 + [0] * 60, [*positive, *negative]))
    drawn = [_area(RNG.normal(0.5, 1, 40), RNG.normal(0, 1, 60))[0] for _ in range(500)]
    assert variance == pytest.approx(np.var(drawn), rel=0.4)


def test_sets_of_one_law_are_not_told_apart_and_others_are():
    one, other = rows(60), rows(60)
    same = auroc(one, other, folds=5, seed=0)
    assert same.low < 0.5 < same.high
    rich = auroc(rows(60, A=0.2, C=0.3, G=0.3, T=0.2), other, folds=5, seed=0)
    assert rich.value > 0.85
    assert rich.low > 0.5


def test_copies_and_their_other_strands_are_in_one_fold():
    one = rows(40)
    assert auroc(one, one, folds=4, seed=0).value == 0.5
    twins = np.concatenate([one[:20], reverse_complement(one[:20])])
    again = auroc(twins, rows(40), folds=4, seed=0)
    assert 0.2 < again.value < 0.8


def test_the_interval_ends_where_areas_do():
    """Nearly all pairs are in order, so that the plain interval would be beyond 1."""
    odd = np.concatenate([rows(29, A=0.5, T=0.5), rows(1)])
    found = auroc(odd, rows(30), folds=2, seed=0)
    assert found.value < 1
    assert found.high == 1
    assert found.half_width == found.value - found.low
    assert found.half_width > 1 - found.value


def test_of_single_sequences_in_each_fold_no_interval_is_known():
    found = auroc(rows(3), rows(3), folds=3, seed=0)
    assert 0 <= found.value <= 1
    assert np.isnan([found.low, found.high, found.half_width]).all()


def test_folds_that_hold_one_set_alone_are_an_error():
    """Copies of each other in numbers such that five folds cannot share both sets out."""
    numbers = [(6, 7), (3, 5), (2, 2), (4, 0), (1, 0), (1, 1), (0, 2)]
    kinds = rows(len(numbers))
    one, other = (np.repeat(kinds, each, 0) for each in zip(*numbers, strict=True))
    with pytest.raises(InputError, match="leave one of 5 folds without one of the sets; use fewer folds"):
        auroc(one, other, folds=5, seed=0)
    assert auroc(one, other, folds=2, seed=0).value == pytest.approx(0.5, abs=0.5)


def test_too_few_unrelated_sequences_are_an_error():
    with pytest.raises(InputError, match=r"fewer than 5 folds"):
        auroc(np.repeat(rows(2), 10, 0), rows(20), folds=5, seed=0)
