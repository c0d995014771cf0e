"""Classes of intervals: from a column of their file to the windows cut from them."""

from pathlib import Path

import numpy as np
import pytest
from genomes import fasta_text, random_bases

from dnadiff.config import decode
from dnadiff.data import toy
from dnadiff.data.genome import GenomeData, GenomeSplits, open_data
from dnadiff.errors import InputError

CONTIGS = {name: random_bases(n, seed=n) for name, n in [("chr1", 4000), ("chr2", 1000), ("chr3", 1000)]}
SPLIT = {"kind": "chromosome", "valid": ["chr2"], "test": ["chr3"]}
ROWS = [
    ("chr1", 0, 250, "promoter"), ("chr1", 300, 500, "enhancer"), ("chr1", 950, 1000, "short"),
    ("chr1", 1000, 1400, "enhancer"), ("chr2", 0, 300, "promoter"), ("chr3", 100, 300, "enhancer"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DNADIFF_CACHE", str(tmp_path / "cache"))


def opened(folder: Path, text: str, *, label: object = 4, **values: object) -> GenomeSplits:
    (folder / "genome.fa").write_text(fasta_text(CONTIGS))
    (folder / "rows.bed").write_text(text)
    files = {"ref": str(folder / "genome.fa"), "regions": str(folder / "rows.bed")}
    given = {**files, "length": 100, "split": SPLIT, "label": label, **values}
    return open_data(decode(GenomeData, given, where="test"), seed=0)


def table(separator: str, *, header: str = "") -> str:
    return header + "".join(separator.join(map(str, row)) + "\n" for row in ROWS)


@pytest.mark.parametrize(
    ("separator", "header", "label"),
    [
        ("\t", "", 4),
        (" ", "", "4"),
        (",", "chrom,start,end,kind\n", "kind"),
        (",", "chrom,start,end,kind\n", 4),
        ("\t", "#chrom\tstart\tend\tkind\n", "kind"),
        ("\t", "track name=x\nchrom\tchromStart\tend\tkind\n", "kind"),
    ],
)
def test_every_window_has_the_class_of_its_row(tmp_path: Path, separator: str, header: str, label: object) -> None:
    data = opened(tmp_path, table(separator, header=header), label=label)
    assert data.labels == ("enhancer", "promoter", "short")
    assert data.train.windows.start.tolist() == [0, 100, 300, 400, 1000, 1100, 1200, 1300]
    assert [data.labels[i] for i in data.train.labels] == ["promoter"] * 2 + ["enhancer"] * 6
    assert data.valid.labels.tolist() == [1, 1, 1]
    assert data.test.labels.tolist() == [0, 0]
    assert data.describe()["classes"] == "enhancer, promoter, short"


def test_windows_that_are_left_out_take_their_classes_with_them(tmp_path: Path) -> None:
    data = opened(tmp_path, table("\t"), exclude=["chr3"], split={"kind": "chromosome", "valid": ["chr2"]})
    assert len(data.train) == len(data.train.labels) == 8
    assert len(data.test) == len(data.test.labels) == 0


def test_classes_are_part_of_what_a_run_was_trained_on(tmp_path: Path) -> None:
    other = table("\t").replace("promoter", "silencer")
    asked = [(table("\t"), 4), (table("\t"), 4), (other, 4), (other, None)]
    prints = [opened(tmp_path, text, label=label).fingerprint for text, label in asked]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def test_without_a_column_there_are_no_classes(tmp_path: Path) -> None:
    data = opened(tmp_path, table("\t"), label=None)
    assert data.labels == ()
    assert data.train.labels is None
    assert "classes" not in data.describe()


def test_the_toy_genome_has_classes_whose_composition_differs_as_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toy, "NAMES", toy.NAMES[:1])
    rows = [line.split("\t") for line in toy.write_toy_isochores(tmp_path).read_text().splitlines()]
    assert rows.pop(0) == ["chrom", "start", "end", "isochore"]
    letters = toy.toy_chromosome("toy1").letters
    assert [row[1] for row in rows] == ["0", *(row[2] for row in rows[:-1])]
    assert int(rows[-1][2]) == len(letters)
    of_class: dict[str, list[np.ndarray]] = {}
    for _, start, end, name in rows:
        of_class.setdefault(name, []).append(letters[int(start) : int(end)])
    gc = {name: float(np.isin(np.concatenate(parts), [1, 2]).mean()) for name, parts in sorted(of_class.items())}
    assert set(gc) <= {"gc24", "gc32", "gc40", "gc52"}
    assert list(gc.values()) == sorted(gc.values())
    assert max(gc.values()) - min(gc.values()) > 0.05


def test_a_damaged_list_of_classes_is_written_again(tmp_path: Path) -> None:
    path = toy.write_toy_isochores(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"gc24", b"gc52"))
    assert toy.write_toy_isochores(tmp_path).read_bytes() == whole
    before = path.stat().st_mtime_ns
    assert toy.write_toy_isochores(tmp_path).stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("text", "label", "message"),
    [
        (table("\t"), "kind", r"rows.bed: has no header row that could name column 'kind'; give its number, from 1"),
        (table("\t", header="chrom\tstart\tend\tkind\n"), "kid", r"has no column 'kid' \(did you mean 'kind'"),
        (table("\t"), 5, r"rows.bed: line 1: has no class in column 5; write one in every row"),
        (table("\t").replace("short", " "), 4, r"line 3: has no class in column 4"),
        (table("\t"), 0, r"has no header row that could name column '0'"),
    ],
)
def test_columns_that_hold_no_class_are_refused(tmp_path: Path, text: str, label: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        opened(tmp_path, text, label=label)


def test_a_column_of_measurements_is_refused(tmp_path: Path) -> None:
    rows = "".join(f"chr{1 + i % 3}\t{i % 900}\t{i % 900 + 100}\t{i / 7}\n" for i in range(1100))
    with pytest.raises(InputError, match=r"column 4 holds 1,100 different values, such as '0.0'; name a column of"):
        opened(tmp_path, rows)


def test_a_genome_of_your_own_needs_a_file_that_has_the_column() -> None:
    with pytest.raises(InputError, match=r"data.label names a column of a BED file; give one in data.windows"):
        decode(GenomeData, {"ref": "genome.fa", "label": "kind"}, where="test")
