"""A genome as training data, from settings to rows."""

import multiprocessing
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
from genomes import fasta_text, random_bases

from dnadiff import dna
from dnadiff.config import decode
from dnadiff.data.genome import GenomeData, open_data
from dnadiff.data.window_set import WindowSet
from dnadiff.errors import InputError, LeakError

CONTIGS = {name: random_bases(n, seed=n) for name, n in [("chr1", 4000), ("chr2", 2100), ("chr3", 1000), ("chrX", 90)]}
CONTIGS["chr2"] = CONTIGS["chr2"][:500] + "N" * 300 + CONTIGS["chr2"][800:]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DNADIFF_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def ref(tmp_path: Path) -> str:
    path = tmp_path / "genome.fa"
    path.write_text(fasta_text(CONTIGS))
    return str(path)


def settings(ref: str, **values: object) -> GenomeData:
    return decode(GenomeData, {"ref": ref, "length": 100, **values}, where="test")


def bed(folder: Path, *rows: tuple[object, ...]) -> str:
    path = folder / "rows.bed"
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    return str(path)


CHROMOSOMES = {"kind": "chromosome", "valid": ["chr2"], "test": ["chr3"]}


def text_of(windows: WindowSet, *, epoch: int | None = None) -> list[str]:
    return [dna.decode(row) for row in windows.rows(np.arange(len(windows)), epoch=epoch)]


@pytest.mark.case(31, 34)
def test_rows_are_the_bases_at_their_coordinates(ref: str) -> None:
    data = open_data(settings(ref, split=CHROMOSOMES, max_n=1.0, stride=70), seed=0)
    assert {name: len(windows) for name, windows in data.sets().items()} == {"train": 56, "valid": 29, "test": 13}
    for windows in data.sets().values():
        for i, row in enumerate(text_of(windows)):
            contig, start, end, strand = windows.coordinates(i)
            assert (row, strand, end - start) == (CONTIGS[contig][start:end], 1, 100)
    assert data.dropped["rows shorter than a window"] == 1
    assert data.test.regions() == [("chr3", 0, 940)]


@pytest.mark.case(31)
def test_windows_with_too_many_unknown_bases_are_left_out_and_counted(ref: str) -> None:
    data = open_data(settings(ref, split=CHROMOSOMES, max_n=0.5, stride=30), seed=0)
    every = open_data(settings(ref, split=CHROMOSOMES, max_n=1.0, stride=30), seed=0)
    n_rich = sum(row.count("N") > 50 for row in text_of(every.valid))
    assert max(row.count("N") for row in text_of(data.valid)) == 50
    assert len(every.valid) - len(data.valid) == n_rich == data.dropped["windows with too many unknown bases"]
    assert f"{n_rich} windows with too many unknown bases" in data.left_out
    assert "unknown" not in every.left_out


@pytest.mark.case(22, 23)
def test_empty_records_give_no_window_and_symbols_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "genome.fa"
    path.write_text(">empty\n" + fasta_text({"a": "ACGTuRNnacgt" * 50}) + ">last\n")
    data = open_data(settings(str(path), length=12, max_n=1.0), seed=0)
    assert data.describe()["contigs"] == "3"
    assert {windows.coordinates(i)[0] for windows in data.sets().values() for i in range(len(windows))} == {"a"}
    counts = {"U read as T": "50", "IUPAC codes read as N": "50", "N": "100", "lower case": "300"}
    assert counts.items() <= data.describe().items()


@pytest.mark.case(23)
@pytest.mark.parametrize("strand", ["+", "-"])
def test_soft_masked_bases_are_kept_or_dropped(tmp_path: Path, strand: str) -> None:
    bases = "".join(base.lower() if i % 7 < i // 60 else base for i, base in enumerate(random_bases(360)))
    (tmp_path / "genome.fa").write_text(fasta_text({"a": bases}))
    rows = bed(tmp_path, *(("a", start, start + 60, "train", 0, strand) for start in range(0, 360, 60)))
    found = {}
    for how in ("bases", "unknown"):
        given = settings(str(tmp_path / "genome.fa"), windows=rows, length=60, max_n=0.5, soft_masked=how)
        found[how] = open_data(given, seed=0)
    hard = "".join("N" if base.islower() else base for base in bases)
    kept = [start for start in range(0, 360, 60) if hard[start : start + 60].count("N") <= 30]
    expected = {
        "bases": [bases[start : start + 60].upper() for start in range(0, 360, 60)],
        "unknown": [hard[start : start + 60] for start in kept],
    }
    assert 0 < len(kept) < 6
    for how, data in found.items():
        tokens = [dna.encode(row) for row in expected[how]]
        assert text_of(data.train) == [
            dna.decode(row if strand == "+" else dna.reverse_complement(row)) for row in tokens
        ]
        assert data.dropped["windows with too many unknown bases"] == 6 - len(expected[how])
    assert found["bases"].fingerprint != found["unknown"].fingerprint


@pytest.mark.case(38)
def test_a_minus_strand_reads_the_opposite_strand(ref: str, tmp_path: Path) -> None:
    rows = bed(tmp_path, ("chr1", 50, 150, "train", 0, "-"), ("chr1", 200, 300, "valid", 0, "+"))
    data = open_data(settings(ref, windows=rows), seed=0)
    pairs = str.maketrans("ACGT", "TGCA")
    assert text_of(data.train) == [CONTIGS["chr1"][50:150][::-1].translate(pairs)]
    assert data.train.coordinates(0) == ("chr1", 50, 150, -1)
    assert text_of(data.valid) == [CONTIGS["chr1"][200:300]]


@pytest.mark.case(31)
def test_rows_as_windows_and_as_regions(ref: str, tmp_path: Path) -> None:
    rows = bed(tmp_path, ("chr1", 0, 100, "train"), ("chr1", 100, 350, "train"), ("chr1", 400, 499, "test"))
    for field in ("windows", "regions"):
        with pytest.raises(InputError, match=r"no window of 100 bases for test \(left out: 1 rows shorter than a"):
            open_data(settings(ref, **{field: rows}), seed=0)
    rows = bed(tmp_path, ("chr1", 0, 100, "train"), ("chr1", 100, 350, "train"), ("chr2", 0, 100, "test"))
    for field in ("windows", "regions"):
        data = open_data(settings(ref, **{field: rows}), seed=0)
        assert [data.train.coordinates(i)[1] for i in range(len(data.train))] == [0, 100, 200]
        assert (len(data.valid), len(data.test)) == (0, 1)


def test_auto_takes_the_column_else_blocks(ref: str, tmp_path: Path) -> None:
    named = bed(tmp_path, ("chr1", 0, 200, "train"), ("chr1", 200, 400, "val"))
    assert open_data(settings(ref, regions=named), seed=0).split.kind == "column"
    data = open_data(settings(ref, length=50), seed=0)
    assert data.split.kind == "blocks"
    assert "ByBlocks" in data.describe()["split"]
    assert all(len(windows) for windows in data.sets().values())


def test_auto_takes_the_toys_chromosomes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = tmp_path / "toy.fa"
    toy.write_text(fasta_text({f"toy{i}": random_bases(300, seed=i) for i in range(1, 9)}))
    monkeypatch.setattr("dnadiff.data.toy.write_toy_genome", lambda folder: toy)
    data = open_data(GenomeData(length=100), seed=0)
    assert {name for name, _, _ in data.valid.regions()} == {"toy7"}
    assert {name for name, _, _ in data.test.regions()} == {"toy8"}
    assert len(data.train) == 18


@pytest.mark.parametrize("source", ["genome", "regions", "windows"])
@pytest.mark.parametrize("split", [CHROMOSOMES, {"kind": "blocks", "block_bp": 500, "valid": 0.2, "test": 0.2}])
def test_each_split_works_with_each_source(ref: str, tmp_path: Path, source: str, split: dict[str, object]) -> None:
    rows = bed(tmp_path, ("chr1", 5, 3905), ("chr2", 900, 2100), ("chr3", 0, 1000))
    given = {} if source == "genome" else {source: rows}
    data = open_data(settings(ref, split=split, jitter=40, **given), seed=0)
    seen: dict[str, set[tuple[str, int, int]]] = {name: set() for name in data.sets()}
    for epoch in [None, 0, 1]:
        for name, windows in data.sets().items():
            seen[name] |= {covered(windows, i, epoch if name == "train" else None) for i in range(len(windows))}
    bases = {name: {(c, b) for c, s, e in places for b in range(s, e)} for name, places in seen.items()}
    assert not bases["train"] & bases["valid"]
    assert not bases["train"] & bases["test"]
    assert not bases["valid"] & bases["test"]


def covered(windows: WindowSet, index: int, epoch: int | None) -> tuple[str, int, int]:
    """Where a row's bases are, found by searching for them on both strands."""
    row = windows.rows(np.array([index]), epoch=epoch)[0]
    for text in (dna.decode(row), dna.decode(dna.reverse_complement(row))):
        for name, bases in CONTIGS.items():
            if "N" not in text and text in bases:
                return name, bases.index(text), bases.index(text) + len(text)
    contig, start, end, _ = windows.coordinates(index)
    return contig, start, end


def test_strand_and_shift_are_a_pure_function_of_epoch_and_index(ref: str) -> None:
    train, again, other_seed = (
        open_data(settings(ref, split=CHROMOSOMES, jitter=20), seed=seed).train for seed in (3, 3, 4)
    )
    once = train.rows(np.arange(40), epoch=5)
    order = np.random.default_rng(0).permutation(40)
    for same in (train, again, pickle.loads(pickle.dumps(train))):
        assert np.array_equal(same.rows(order, epoch=5), once[order])
    assert not np.array_equal(train.rows(np.arange(40), epoch=6), once)
    assert not np.array_equal(other_seed.rows(np.arange(40), epoch=5), once)


def test_shifts_reach_the_whole_jitter_and_no_further(ref: str) -> None:
    train = open_data(settings(ref, split=CHROMOSOMES, jitter=2), seed=0).train
    shifts = [covered(train, 5, epoch)[1] - train.coordinates(5)[1] for epoch in range(200)]
    assert sorted(set(shifts)) == [-2, -1, 0, 1, 2]
    assert min(np.bincount(np.array(shifts) + 2)) > 20


def test_both_strands_come_about_equally_often(ref: str) -> None:
    train = open_data(settings(ref, split=CHROMOSOMES), seed=0).train
    is_forward = np.array(text_of(train, epoch=1)) == np.array(text_of(train, epoch=None))
    assert 8 < is_forward.sum() < 32


def test_without_augmentation_an_epoch_changes_nothing(ref: str) -> None:
    data = open_data(settings(ref, split=CHROMOSOMES, reverse_complement=False), seed=0)
    assert text_of(data.train, epoch=3) == text_of(data.train)


def digest(windows: WindowSet) -> list[bytes]:
    return [windows.rows(np.array([i % len(windows), 0]), epoch=i // 500).tobytes() for i in range(3000)]


def send_digest(windows: WindowSet, queue: "multiprocessing.Queue[list[bytes]]") -> None:
    queue.put(digest(windows))


@pytest.mark.case(28)
def test_workers_of_any_kind_read_the_same_rows(ref: str) -> None:
    windows = open_data(settings(ref, split=CHROMOSOMES, jitter=20), seed=0).train
    expected = digest(windows)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=send_digest, args=(windows, queue)) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = [queue.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    threads = [threading.Thread(target=lambda: found.append(digest(windows))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [rows == expected for rows in found] == [True] * 6


def test_overlapping_rows_of_two_splits_are_a_leak(ref: str, tmp_path: Path) -> None:
    rows = bed(tmp_path, ("chr1", 0, 200, "train"), ("chr1", 150, 350, "test"))
    with pytest.raises(LeakError, match="chr1:150-200 is in both train and test"):
        open_data(settings(ref, regions=rows), seed=0)


def test_what_the_fingerprint_depends_on(ref: str) -> None:
    def fingerprint(**values: object) -> str:
        return open_data(settings(ref, **{"split": CHROMOSOMES, **values}), seed=0).fingerprint

    blocks = {"kind": "blocks", "block_bp": 300}
    changes: list[dict[str, object]] = [
        {"length": 50},
        {"stride": 30},
        {"jitter": 3},
        {"reverse_complement": False},
        {"split": blocks},
    ]
    assert fingerprint() == fingerprint() == fingerprint(on_bad="skip")
    assert len({fingerprint(), *(fingerprint(**change) for change in changes)}) == 6


def test_counts_per_split_and_contig(ref: str) -> None:
    data = open_data(settings(ref, split=CHROMOSOMES, max_n=1.0), seed=0)
    rows = {(row.split, row.contig): row for row in data.counts()}
    assert sorted(rows) == [("test", "chr3"), ("train", "chr1"), ("valid", "chr2")]
    valid, bases = rows["valid", "chr2"], CONTIGS["chr2"]
    assert (valid.windows, valid.bases) == (21, 2100)
    assert valid.n_share == pytest.approx(300 / 2100)
    assert valid.gc == pytest.approx((bases.count("G") + bases.count("C")) / 1800)


def test_settings_that_cannot_work_are_refused(ref: str, tmp_path: Path) -> None:
    rows = bed(tmp_path, ("chr1", 0, 200, "train"), ("chr1", 300, 400, "x"))
    cases: list[tuple[dict[str, object], str]] = [
        ({"windows": rows, "regions": rows}, "data.windows and data.regions are both given; give one"),
        ({"split": {"kind": "column"}}, "kind=column needs a BED file in data.windows or data.regions"),
        ({"regions": rows}, r"line 2: the fourth column is not train, valid or test \(1 rows are so\); write it"),
        ({"exclude": ["chr9"]}, r"data.exclude: contigs that the genome does not have: 'chr9'; name some of chr1"),
        ({"regions": rows, "exclude": ["chr1"]}, r"rows.bed: data.exclude leaves no row; exclude fewer contigs"),
        ({"length": 3000, "split": CHROMOSOMES}, r"no window of 3000 bases for valid and test .*smaller data.length"),
    ]
    for values, message in cases:
        with pytest.raises(InputError, match=message):
            open_data(settings(ref, **values), seed=0)


@pytest.mark.case(36)
def test_contigs_of_another_tradition_are_renamed(ref: str, tmp_path: Path) -> None:
    rows = bed(tmp_path, ("1", 0, 200, "train"), ("2", 0, 200, "valid"))
    with pytest.raises(InputError, match=r"set data.rename_contigs=true"):
        open_data(settings(ref, regions=rows), seed=0)
    assert len(open_data(settings(ref, regions=rows, rename_contigs=True), seed=0).train) == 2
