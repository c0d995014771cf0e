"""Folds: every row once, classes spread, groups whole, seeds repeated; a memoriser of twins gains nothing."""

import numpy as np
import pytest
from small_rows import intervals

from dnadiff.data.labelled.folds import fewer, grouped_folds, resplit, strict_fold
from dnadiff.data.leakage.groups import groups
from dnadiff.data.leakage.sequences import InMemory
from dnadiff.dna import encode, reverse_complement
from dnadiff.errors import InputError


def grouped(seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Random classes and groups, with enough groups of every class."""
    generator = np.random.default_rng(seed)
    n_folds, n_classes = generator.integers(2, 6), generator.integers(1, 4)
    sizes = np.concatenate([generator.integers(1, 7, 20), np.ones(n_folds * n_classes, np.int64)])
    group = np.repeat(np.arange(len(sizes)), sizes)
    label = generator.integers(0, n_classes, len(group))
    label[-n_folds * n_classes :] = np.repeat(np.arange(n_classes), n_folds)
    order = generator.permutation(len(group))
    return label[order], group[order], int(n_folds)


@pytest.mark.case(43, 44)
@pytest.mark.parametrize("hundred", range(10))
def test_groups_never_cross_folds_and_every_row_is_in_one(hundred):
    for seed in range(100 * hundred, 100 * hundred + 100):
        label, group, n_folds = grouped(seed)
        fold = grouped_folds(label, group, n_folds=n_folds, seed=seed)
        assert set(fold) == set(range(n_folds))
        pairs = np.unique(np.stack([group, fold]), axis=1)
        assert len(pairs[0]) == len(set(pairs[0]))


@pytest.mark.case(43)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1), (0.6, 0.3, 0.1)])
def test_classes_are_spread_to_within_a_row_where_no_rows_are_related(seed, shares):
    label = np.random.default_rng(seed).choice(len(shares), 203, p=shares)
    fold = grouped_folds(label, np.arange(203), n_folds=5, seed=seed)
    counts = np.array([[np.count_nonzero((fold == f) & (label == c)) for c in range(len(shares))] for f in range(5)])
    assert (np.ptp(counts, axis=0) <= 1).all()
    if len(shares) == 2:  # 19, 3 and 3 rows, say, have no such two folds
        assert np.ptp(counts / counts.sum(1, keepdims=True), axis=0).max() <= 1 / counts.sum(1).min() + 1e-12
    assert np.ptp(counts.sum(1)) <= len(shares) - 1


@pytest.mark.case(43)
def test_a_seed_repeats_its_folds_and_another_draws_others():
    label, group = np.arange(100) % 2, np.arange(100)
    first, again, other = (grouped_folds(label, group, n_folds=4, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.case(43)
def test_too_few_rows_or_groups_are_refused():
    with pytest.raises(InputError, match="3 rows are fewer than 4 folds; use fewer folds, or add rows"):
        grouped_folds(np.array([0, 1, 0]), np.arange(3), n_folds=4, seed=0)
    label, group = np.repeat([0, 1], 10), np.concatenate([np.arange(10), np.repeat([20, 21], 5)])
    with pytest.raises(InputError, match="a class has 2 unrelated rows or groups of related ones, fewer than 3 folds"):
        grouped_folds(label, group, n_folds=3, seed=0)


@pytest.mark.case(43, 44)
def test_strict_folds_test_every_row_once_and_share_no_group():
    generator = np.random.default_rng(0)
    label, group = generator.integers(0, 2, 300), generator.integers(0, 120, 300)
    folds = [strict_fold(label, group, n_folds=4, fold=fold, seed=3) for fold in range(4)]
    assert np.array_equal(np.sort(np.concatenate([fold.test for fold in folds])), np.arange(300))
    for fold in folds:
        parts = [set(group[rows]) for rows in fold]
        assert len(set.union(*parts)) == sum(map(len, parts))
        assert len(fold.train) + len(fold.valid) + len(fold.test) == 300
        assert len(fold.valid) == pytest.approx(22, abs=6)
    small = strict_fold(label, group, n_folds=4, fold=0, seed=3, most=60)
    assert len(small.train) + len(small.valid) == 60
    assert np.array_equal(small.test, folds[0].test)


def related(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether rows are the same on some strand."""
    return one.tobytes() in (other.tobytes(), reverse_complement(other).tobytes())


@pytest.mark.case(44)
def test_copies_twins_and_neighbours_on_the_genome_never_cross_folds(trials):
    """Random rows from few sequences on either strand, with places, of which some share bases."""
    n_tried = 0
    for seed in range(trials(1000)):
        generator = np.random.default_rng(seed)
        pool = [encode("".join(generator.choice(list("ACGT"), generator.integers(3, 9)))) for _ in range(30)]
        chosen = generator.integers(0, len(pool), 40)
        rows = [pool[i] if generator.random() < 0.5 else reverse_complement(pool[i]) for i in chosen]
        places = [tuple(place) for place in generator.integers((0, 0, 1), (3, 900, 9), (40, 3)).tolist()]
        group, n_folds = groups(InMemory.of(rows), intervals(places)), int(generator.integers(2, 4))
        label = generator.integers(0, 2, 40)
        try:
            fold = grouped_folds(label, group, n_folds=n_folds, seed=seed)
        except InputError:
            continue  # too few groups of a class
        n_tried += 1
        for i, j in np.argwhere(fold[:, None] != fold).tolist():
            (contig, start, length), (contig_2, start_2, length_2) = places[i], places[j]
            assert not related(rows[i], rows[j])
            assert contig != contig_2 or start >= start_2 + length_2 or start_2 >= start + length
    assert n_tried > trials(1000) // 2


def test_resplits_hold_out_a_tenth_of_the_rows_they_are_given():
    rows = np.arange(50, 250)
    train, valid = resplit(rows, seed=1)
    assert (len(train), len(valid)) == (180, 20)
    assert np.array_equal(np.sort(np.concatenate([train, valid])), rows)
    assert not np.array_equal(resplit(rows, seed=2)[1], valid)


def test_fewer_rows_keep_the_shares_of_the_classes():
    label = np.repeat([0, 1, 2], [600, 300, 100])
    kept = fewer(np.arange(1000), label, 50, seed=0)
    assert np.bincount(label[kept]).tolist() == [30, 15, 5]
    assert np.array_equal(fewer(np.arange(1000), label, 5000, seed=0), np.arange(1000))


def memoriser(rows: list[np.ndarray], label: np.ndarray, fold: np.ndarray) -> float:
    """Accuracy of a look-up of canonical sequences, guessing the commonest class where it has seen none."""
    keys = [min(row.tobytes(), reverse_complement(row).tobytes()) for row in rows]
    n_right = 0
    for held in np.unique(fold):
        seen = {keys[i]: label[i] for i in np.flatnonzero(fold != held)}
        guess = np.bincount(label[fold != held]).argmax()
        n_right += sum(seen.get(keys[i], guess) == label[i] for i in np.flatnonzero(fold == held))
    return n_right / len(label)


@pytest.mark.case(45)
def test_a_memoriser_of_random_labels_cheats_under_naive_folds_and_is_at_chance_under_strict_ones():
    generator = np.random.default_rng(0)
    originals = [encode("".join(generator.choice(list("ACGT"), 80))) for _ in range(400)]
    twins = [*originals, *(reverse_complement(row) for row in originals)]
    label = np.tile(generator.integers(0, 2, 400), 2)  # of no meaning: a row and its opposite strand share it
    naive = grouped_folds(label, np.arange(800), n_folds=5, seed=0)
    strict = grouped_folds(label, groups(InMemory.of(twins)), n_folds=5, seed=0)
    assert memoriser(twins, label, naive) > 0.85
    assert memoriser(twins, label, strict) == pytest.approx(0.5, abs=0.05)
