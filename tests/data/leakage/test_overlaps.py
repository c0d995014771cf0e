"""Sweeps over intervals agree with looking at every pair."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from small_rows import PATIENT, Place, intervals

from dnadiff.data.leakage import overlaps

PLACES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(1, 15)), min_size=1, max_size=25)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlaps, "PAIRS_AT_ONCE", 3)


def shared(one: Place, other: Place) -> int:
    first, last = max(one[1], other[1]), min(one[1] + one[2], other[1] + other[2])
    return max(last - first, 0) if one[0] == other[0] else 0


@pytest.mark.case(46)
@PATIENT
@given(PLACES, PLACES)
def test_the_closest_row_shares_as_much_as_any(train: list[Place], test: list[Place]) -> None:
    found = overlaps.best_overlaps(intervals(train), intervals(test))
    assert found.shared.tolist() == [max(shared(row, other) for other in train) for row in test]
    for row, other, bases in zip(test, found.train.tolist(), found.shared.tolist(), strict=True):
        assert (other == -1) == (bases == 0)
        assert other == -1 or shared(row, train[other]) == bases


@PATIENT
@given(PLACES, PLACES)
def test_the_same_place_is_the_first_with_all_three_numbers(train: list[Place], test: list[Place]) -> None:
    found = overlaps.same_places(intervals(train), intervals(test))
    assert found.tolist() == [train.index(row) if row in train else -1 for row in test]


@PATIENT
@given(PLACES)
def test_links_join_what_shares_bases_and_nothing_else(places: list[Place]) -> None:
    one, other = overlaps.links(intervals(places))
    assert all(shared(places[i], places[j]) for i, j in zip(one.tolist(), other.tolist(), strict=True))
    n = len(places)
    links = coo_array((np.ones(len(one)), (one, other)), shape=(n, n))
    pairs = np.array([[shared(row, other) for other in places] for row in places])
    assert connected_components(links, directed=False)[0] == connected_components(pairs, directed=False)[0]


def test_the_end_of_one_contig_does_not_meet_the_beginning_of_the_next() -> None:
    found = overlaps.best_overlaps(intervals([(0, 0, 100)]), intervals([(1, 0, 100), (0, 99, 5)]))
    assert found.shared.tolist() == [0, 1]
