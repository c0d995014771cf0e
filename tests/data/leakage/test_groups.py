"""Groups are the closure of the relations: nothing linked is apart, nothing unlinked together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components
from small_rows import PATIENT, Place, bases, intervals

from dnadiff.data.leakage import join
from dnadiff.data.leakage.compare import FEWEST, Comparison
from dnadiff.data.leakage.groups import groups
from dnadiff.data.leakage.minimizers import of_set
from dnadiff.data.leakage.sequences import InMemory
from dnadiff.dna import encode, reverse_complement

HOW = Comparison(k=8, w=4)


PIECES = [bases(15, 1), bases(20, 2), bases(12, 3), encode("N" * 30), bases(3, 4), bases(25, 5)]
ROW = st.lists(
    st.sampled_from([*PIECES, *map(reverse_complement, PIECES)]), min_size=1, max_size=3
).map(np.concatenate)  # fmt: skip
PLACE = st.tuples(st.integers(0, 1), st.integers(0, 200), st.integers(1, 20))


@pytest.mark.case(44)
@PATIENT
@given(st.lists(st.tuples(ROW, PLACE), min_size=1, max_size=12), st.booleans())
def test_the_closure_of_all_pairs(rows: list[tuple[np.ndarray, Place]], placed: bool) -> None:
    sequences, places = [row for row, _ in rows], [place for _, place in rows]
    found = groups(InMemory.of(sequences), intervals(places) if placed else None, HOW)
    table = of_set(InMemory.of(sequences), HOW)
    kept = [set(table.hash[table.row == row].tolist()) for row in range(len(rows))]

    def linked(i: int, j: int) -> bool:
        one, other = sequences[i], sequences[j]
        is_lettered = bool(np.isin(one, [7, 8, 9, 10]).any())
        identical = one.tobytes() in (other.tobytes(), reverse_complement(other).tobytes())
        similar = len(kept[i]) >= FEWEST and len(kept[i] & kept[j]) >= len(kept[i]) / 2
        (contig, start, length), (contig_2, start_2, length_2) = places[i], places[j]
        overlap = contig == contig_2 and start < start_2 + length_2 and start_2 < start + length
        return (identical and is_lettered) or similar or (placed and overlap)

    pairs = np.array([[linked(i, j) for j in range(len(rows))] for i in range(len(rows))])
    n, labels = connected_components(pairs, directed=False)
    together = labels[:, None] == labels
    assert ((found[:, None] == found) == together).all()
    assert set(found.tolist()) == set(range(n))


@pytest.mark.case(44)
def test_no_copy_of_a_row_is_in_another_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies with a mutation each, more of them than are kept for one minimizer."""
    monkeypatch.setattr(join, "MOST_ROWS", 5)
    families = [bases(300, seed) for seed in range(20)]
    random = np.random.default_rng(0)
    rows = []
    for family in np.repeat(np.arange(20), 15):
        row = families[family].copy()
        row[random.integers(300)] = 7
        rows.append(reverse_complement(row) if random.random() < 0.5 else row)
    order = random.permutation(len(rows))
    found = groups(InMemory.of(rows[i] for i in order))
    of_family = [set(found[np.flatnonzero(order // 15 == family)].tolist()) for family in range(20)]
    assert all(len(group) == 1 for group in of_family)
    assert len(set.union(*of_family)) == 20


def test_rows_too_short_for_minimizers_are_grouped_by_both_strands() -> None:
    assert groups(InMemory.of(map(encode, ["ACG", "ACC", "CGT", "ACG", "N", "N"]))).tolist() == [0, 1, 0, 0, 2, 3]


def test_what_a_repeat_and_more_join_is_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A repeat is two fifths of every row, and in more rows than are kept; the last two share another quarter."""
    monkeypatch.setattr(join, "MOST_ROWS", 3)
    repeat, quarter = bases(160, 0), bases(100, 1)
    rows = [np.concatenate([repeat, bases(240, seed)]) for seed in range(2, 10)]
    rows += [np.concatenate([repeat, quarter, bases(140, seed)]) for seed in (10, 11)]
    found = groups(InMemory.of(rows))
    assert found[-1] == found[-2]
    assert len(set(found.tolist())) == 9
