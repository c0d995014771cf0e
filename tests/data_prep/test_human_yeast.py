"""The slices of the program against plain cuts of small genomes."""

import gzip
import hashlib
from pathlib import Path

import human_yeast
import pytest

GENOMES = {
    "hg19": {"chr1": "acgtN" * 30, "chr10": "GATTACA" * 20},
    "hg38": {"chr1": "CCG" * 5},
    "saccer3": {"chrI": "TTGAC"},
}
SLICES = {
    "hg19": [("chr1", 3, 8), ("chr1", 0, 130), ("chr10", 7, 14)],
    "hg38": [("chr1", 1, 3)],
    "saccer3": [("chrI", 0, None)],
}
CUT = {
    "hg19_chr1_3_8": "TNACG",
    "hg19_chr1_0_130": "ACGTN" * 26,
    "hg19_chr10_7_14": "GATTACA",
    "hg38_chr1_1_3": "CG",
    "saccer3_chrI_0_5": "TTGAC",
}


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(human_yeast, "SLICES", SLICES)
    rows = "".join(f"{name}\t{bases}\n" for name, bases in CUT.items())
    monkeypatch.setattr(human_yeast, "SHA256", hashlib.sha256(rows.encode()).hexdigest())
    words = ["--out", str(tmp_path / "cut.fa.gz")]
    for assembly, contigs in GENOMES.items():
        text = "".join(f">{name} more\n{bases[:50]}\n{bases[50:]}\n" for name, bases in contigs.items())
        path = tmp_path / (f"{assembly}.fa.gz" if assembly == "hg19" else f"{assembly}.fa")
        path.write_bytes(gzip.compress(text.encode()) if assembly == "hg19" else text.encode())
        words += [f"--{assembly}", str(path)]
    return words


def test_each_slice_is_a_contig(words: list[str], tmp_path: Path) -> None:
    assert human_yeast.main(words) == 0
    records = gzip.decompress((tmp_path / "cut.fa.gz").read_bytes()).decode().split(">")[1:]
    assert {name: "".join(lines) for name, *lines in (record.split("\n") for record in records)} == CUT
    assert all(len(line) <= 60 for record in records for line in record.split("\n"))


def test_a_genome_that_is_too_short_is_named(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hg38.fa").write_text(">chr1\nCC\n")
    assert human_yeast.main(words) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}/hg38.fa: has no chr1:1-3; give hg38 as UCSC has it\n"


def test_other_bases_are_refused_and_nothing_is_written(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "saccer3.fa").write_text(">chrI\nTTGAA\n")
    assert human_yeast.main(words) == 2
    assert "are the genomes UCSC's?" in capsys.readouterr().err
    assert not list(tmp_path.glob("cut*"))
