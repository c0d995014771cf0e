"""Windows and splits as laws: inside their row, inside their split, none twice, none lost without a count."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnadiff.data.bed import Intervals
from dnadiff.data.splits import ByBlocks, ByChromosome, Runs, by_blocks, by_chromosome, by_column
from dnadiff.data.windows import Windows, check_disjoint, merge, tile, whole_genome
from dnadiff.errors import InputError, LeakError

CONTIGS = {"a": 300, "empty": 0, "b": 120, "c": 77}
NAMES = tuple(CONTIGS)


def intervals(rows: list[tuple[int, int, int]], *, split: int = -1) -> Intervals:
    contig, start, end = np.array(rows, np.int64).reshape(-1, 3).T
    n = len(rows)
    return Intervals(contig, start, end, np.ones(n, np.int8), np.full(n, split, np.int8), np.arange(n))


@st.composite
def row_lists(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    rows = []
    for contig in draw(st.lists(st.sampled_from([0, 2, 3]), min_size=1, max_size=8)):
        start = draw(st.integers(0, CONTIGS[NAMES[contig]] - 1))
        rows.append((contig, start, draw(st.integers(start + 1, CONTIGS[NAMES[contig]]))))
    return rows


def splits() -> st.SearchStrategy[Runs]:
    blocks = st.builds(
        ByBlocks, block_bp=st.integers(5, 90), valid=st.just(0.2), test=st.just(0.2), seed=st.integers(0, 9)
    )
    chromosomes = st.sampled_from([ByChromosome(valid=("a",)), ByChromosome(valid=("c",), test=("b",))])
    return blocks.map(lambda split: by_blocks(CONTIGS, split)) | chromosomes.map(
        lambda split: by_chromosome(CONTIGS, split)
    )


@pytest.mark.case(31)
@given(row_lists(), splits(), st.integers(1, 40), st.integers(1, 60), st.integers(0, 50))
def test_windows_stay_inside_and_splits_share_nothing(
    rows: list[tuple[int, int, int]], runs: Runs, length: int, stride: int, jitter: int
) -> None:
    starts = runs_of_contigs()
    windows, dropped = tile(intervals(rows), runs, starts, length=length, stride=stride)
    owner = owners(runs)
    for i in range(len(windows)):
        contig, start = int(windows.contig[i]), int(windows.start[i])
        assert any(c == contig and s <= start and start + length <= e and (start - s) % stride == 0 for c, s, e in rows)
        reach = starts[contig] + windows.low[i], starts[contig] + windows.high[i]
        assert windows.low[i] <= start
        assert start + length <= windows.high[i]
        assert set(owner[slice(*reach)]) == {windows.split[i]}
        assert any(c == contig and s <= windows.low[i] and windows.high[i] <= e for c, s, e in rows)
    places = list(zip(windows.contig.tolist(), windows.start.tolist(), strict=True))
    assert len(set(places)) == len(places)
    n_possible = sum(max(0, (e - s - length) // stride + 1) for _, s, e in rows)
    assert n_possible == len(windows) + sum(n for reason, n in dropped.items() if "rows" not in reason)
    assert dropped["rows shorter than a window"] == sum(e - s < length for _, s, e in rows)
    check_disjoint(windows, NAMES, length=length, jitter=jitter)


def runs_of_contigs() -> np.ndarray:
    return by_column(CONTIGS).start[:-1]


def owners(runs: Runs) -> np.ndarray:
    """The split of each base, contigs laid end to end."""
    assert runs.split is not None
    return np.repeat(runs.split, np.diff(runs.start))


@given(st.integers(1, 200), st.floats(0, 0.4), st.floats(0, 0.4), st.integers(0, 5))
def test_blocks_cover_the_genome_in_the_shares_asked_for(block_bp: int, valid: float, test: float, seed: int) -> None:
    n_blocks = sum(-(-bases // block_bp) for bases in CONTIGS.values())
    split = ByBlocks(block_bp=block_bp, valid=valid, test=test, seed=seed)
    wanted = [max(round(share * n_blocks), int(share > 0)) for share in (valid, test)]
    if sum(wanted) >= n_blocks:
        with pytest.raises(InputError, match="too few for train, valid and test; choose a smaller"):
            by_blocks(CONTIGS, split)
        return
    owner = owners(by_blocks(CONTIGS, split))
    assert len(owner) == sum(CONTIGS.values())
    begin, found = 0, []
    for bases in CONTIGS.values():
        blocks = [owner[begin + i : begin + min(i + block_bp, bases)] for i in range(0, bases, block_bp)]
        assert all(len(set(block)) == 1 for block in blocks)
        found += [block[0] for block in blocks]
        begin += bases
    assert [found.count(1), found.count(2)] == wanted


def test_a_seed_decides_the_blocks() -> None:
    def drawn(seed: int) -> bytes:
        return by_blocks({"a": 100_000}, ByBlocks(block_bp=100, seed=seed)).start.tobytes()

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)


def test_default_blocks_are_powers_of_two_of_about_a_hundredth() -> None:
    for total, block_bp in [(99, 8), (100_000, 4096), (4_600_000, 32_768), (3_000_000_000, 1 << 20)]:
        lengths = np.diff(by_blocks({"a": total}, ByBlocks()).start)[:-1]
        assert lengths.min() == block_bp
        assert not (lengths % block_bp).any()


def test_named_contigs_must_exist_and_only_once() -> None:
    with pytest.raises(
        InputError,
        match=r"data.split: contigs that the genome does not have: 'chr8'; name some of chr1, x; or set .*kind=blocks",
    ):
        by_chromosome({"chr1": 5, "x": 5}, ByChromosome(valid=("chr8",)))
    with pytest.raises(InputError, match=r"'chr21' \(it has '21'\); name some of 1, 2, 3, 4, 5, \.\.\.; or set"):
        by_chromosome({str(name): 5 for name in range(1, 23)}, ByChromosome(valid=("chr21",)))
    with pytest.raises(ValueError, match="contigs in more than one split: a; name each once"):
        ByChromosome(valid=("a",), test=("a",))
    with pytest.raises(ValueError, match="valid and test take 1 of the blocks; leave some for training"):
        ByBlocks(valid=0.5, test=0.5)


def test_contigs_named_for_no_split_are_counted() -> None:
    runs = by_chromosome(CONTIGS, ByChromosome(train=("a",), valid=("b",)))
    windows, dropped = tile(whole_genome(CONTIGS), runs, runs_of_contigs(), length=10, stride=10)
    assert {(NAMES[c], s) for c, s in zip(windows.contig, windows.split, strict=True)} == {("a", 0), ("b", 1)}
    assert dropped["windows of no split"] == 7


def test_a_split_in_the_rows_is_not_mixed_with_one_by_chromosome() -> None:
    runs = by_chromosome(CONTIGS, ByChromosome(train=("a",), valid=("b",)))
    windows, _ = tile(intervals([(3, 0, 70)], split=0), runs, runs_of_contigs(), length=10, stride=10)
    assert len(windows) == 0


def test_more_windows_than_can_be_held_are_refused() -> None:
    contigs = {"a": 3_000_000_000}
    with pytest.raises(InputError, match=r"data.stride: 1 gives 2,999,999,000 windows, more than .*; raise it"):
        tile(whole_genome(contigs), by_column(contigs), np.array([0]), length=1001, stride=1)


def windows_of(*places: tuple[int, int, int]) -> Windows:
    """Windows of (contig, start, split) that may be shifted within their contig."""
    contig, start, split = np.array(places, np.int64).T
    high = np.array(list(CONTIGS.values()))[contig]
    strand, low = np.ones(len(start), np.int8), np.zeros_like(start)
    return Windows(contig, start, strand, split.astype(np.int8), low, high, row=np.arange(len(start)))


@pytest.mark.case(47)
@given(
    st.lists(st.tuples(st.sampled_from([0, 2]), st.integers(0, 110), st.integers(0, 2)), min_size=1, max_size=12),
    st.integers(0, 6),
)
def test_a_shared_base_is_always_found(places: list[tuple[int, int, int]], jitter: int) -> None:
    length = 9
    seen: dict[tuple[int, int], set[int]] = {}
    for contig, start, split in places:
        shift = 0 if split else jitter
        for base in range(max(0, start - shift), min(start + length + shift, CONTIGS[NAMES[contig]])):
            seen.setdefault((contig, base), set()).add(split)
    if any(len(splits) > 1 for splits in seen.values()):
        with pytest.raises(LeakError, match=r"(a|b):\d+-\d+ is in both \w+ and \w+; give overlapping rows one split"):
            check_disjoint(windows_of(*places), NAMES, length=length, jitter=jitter)
    else:
        check_disjoint(windows_of(*places), NAMES, length=length, jitter=jitter)


@pytest.mark.case(47)
def test_one_shared_base_is_found_and_windows_that_touch_share_none() -> None:
    with pytest.raises(LeakError, match="a:28-29 is in both train and valid"):
        check_disjoint(windows_of((0, 20, 0), (0, 28, 1)), NAMES, length=9, jitter=0)
    with pytest.raises(LeakError, match="a:29-30 is in both train and valid"):
        check_disjoint(windows_of((0, 20, 0), (0, 29, 1)), NAMES, length=9, jitter=1)
    check_disjoint(windows_of((0, 20, 0), (0, 29, 1)), NAMES, length=9, jitter=0)


def test_the_first_shared_bases_are_named() -> None:
    windows = windows_of((0, 0, 0), (2, 50, 0), (2, 55, 2), (2, 80, 1))
    with pytest.raises(LeakError, match="b:55-60 is in both train and test"):
        check_disjoint(windows, NAMES, length=10, jitter=0)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60), st.integers(1, 20)), max_size=10))
def test_merged_intervals_cover_the_same_bases(rows: list[tuple[int, int, int]]) -> None:
    contig, start, length = np.array(rows, np.int64).reshape(-1, 3).T
    merged = merge(contig, start, start + length)
    covered = [
        (c, base) for c, s, e in zip(*(column.tolist() for column in merged), strict=True) for base in range(s, e)
    ]
    assert covered == sorted({(c, base) for c, s, n in rows for base in range(s, s + n)})
    touching = (merged.contig[1:] == merged.contig[:-1]) & (merged.start[1:] <= merged.end[:-1])
    assert not touching.any()
