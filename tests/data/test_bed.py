"""BED files: what is read, what is refused and how."""

import gzip
import re
from pathlib import Path

import pytest

from dnadiff.data.bed import Intervals, read_bed
from dnadiff.errors import InputError

CONTIGS = {"chr1": 1000, "chr2": 500, "chrM": 100}


def read(folder: Path, content: str | bytes, **options) -> Intervals:  # type: ignore[no-untyped-def]
    path = folder / "x.bed"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_bed(path, options.pop("contigs", CONTIGS), **options)


def rows(found: Intervals) -> list[tuple[int, int, int]]:
    return list(zip(found.contig.tolist(), found.start.tolist(), found.end.tolist(), strict=True))


@pytest.mark.case(37)
def test_columns_comments_and_line_ends(tmp_path: Path) -> None:
    content = (
        'browser position chr1\ntrack name="x"\n# comment\nchrom\tchromStart\tchromEnd\n'
        "chr1\t0\t1\r\nchr2\t499\t500\tname\n\nchr1 10 20\nchr1\t5\t6\tname\t0\t-\n"
        "chr1\t0\t1000\tn\t0\t+\t0\t1000\t0\t1\t1000\t0\nchr1\t7\t8\tn\t0\t.\n"
    )
    found = read(tmp_path, content)
    assert rows(found) == [(0, 0, 1), (1, 499, 500), (0, 10, 20), (0, 5, 6), (0, 0, 1000), (0, 7, 8)]
    assert found.strand.tolist() == [1, 1, 1, -1, 1, 1]
    assert found.line.tolist() == [5, 6, 8, 9, 10, 11]
    assert rows(read(tmp_path, gzip.compress(content.encode()))) == rows(found)


def test_a_fourth_column_may_name_the_split(tmp_path: Path) -> None:
    names = ["train", "valid", "val", "validation", "test", "other"]
    found = read(tmp_path, "".join(f"chr1\t{i}\t{i + 1}\t{name}\n" for i, name in enumerate(names)) + "chr1\t8\t9\n")
    assert found.split.tolist() == [0, 1, 1, 1, 2, -1, -1]


BAD = {
    "chr1\t-5\t10": "start -5 is negative; BED counts from 0",
    "chr1\t20\t10": "end 10 is not beyond start 20; BED is half-open",
    "chr1\t10\t10": "end 10 is not beyond start 10; BED is half-open",
    "chr2\t10\t501": "end 501 is beyond 'chr2', which has 500 bases (is the BED of another assembly?)",
    "chr3\t10\t20": "contig 'chr3' is not in the genome",
    "chr1\tx\t20": "start 'x' is not a whole number in plain digits",
    "chr1\t10\t1e20": "end '1e20' is not a whole number in plain digits",
    "chr1\t1,000\t2,000": "start '1,000' is not a whole number in plain digits",
    "chr1\t1_0\t20": "start '1_0' is not a whole number",
    "chr1\t1.0\t20": "start '1.0' is not a whole number",
    "chr1\t\u0661\t20": "start '\u0661' is not a whole number",
    "chr1\t0\t99999999999999999999": "end 99999999999999999999 is beyond 'chr1'",
    f"chr1\t0\t{'9' * 5000}": f"end '{'9' * 60}'... is not a whole number in plain digits",
    f"{'c' * 5000}\t0\t9": f"contig '{'c' * 60}'... is not in the genome",
    "chr1\t10": "2 columns where a row has contig, start and end",
    "chr1\t1\t2\tn\t0\tx": "strand 'x' is not one of + - .",
    "1\t1\t2": "contig '1' is not in the genome, which has 'chr1'; set data.rename_contigs=true",
    "MT\t1\t2": "contig 'MT' is not in the genome, which has 'chrM'; set data.rename_contigs=true",
}


@pytest.mark.case(35, 36)
@pytest.mark.parametrize("row", BAD)
def test_bad_rows_are_refused_or_skipped_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, row: str
) -> None:
    with pytest.raises(InputError, match=re.escape(f"x.bed: line 2: {BAD[row]}")) as caught:
        read(tmp_path, f"chr1\t0\t5\n{row}\n")
    assert "on_bad=skip" not in str(caught.value)  # not every verb has the setting
    with pytest.raises(InputError, match=r"mend them, or set data\.on_bad=skip to leave them out$"):
        read(tmp_path, f"chr1\t0\t5\n{row}\n", on_bad="error")
    assert rows(read(tmp_path, f"chr1\t0\t5\n{row}\n", on_bad="skip")) == [(0, 0, 5)]
    assert "1 bad rows skipped, the first at line 2" in caplog.text


@pytest.mark.case(35)
def test_the_first_five_bad_rows_are_spelt_out_and_all_are_counted(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, "chr1\t9\t1\n" * 7)
    assert re.findall(r"line (\d)", str(caught.value)) == list("12345")
    assert "7 bad rows in all" in str(caught.value)


@pytest.mark.case(37)
@pytest.mark.parametrize("content", ["", "# only\n", "chr1\t9\t1\n"])
def test_no_intervals_are_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match="no intervals; a row is contig, start and end, separated by tabs"):
        read(tmp_path, content, on_bad="skip")


@pytest.mark.case(37)
def test_a_genome_in_place_of_intervals_is_told_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 1: begins with '>', as FASTA does; a genome is given with --ref$"):
        read(tmp_path, ">chr1\nACGT\n" * 5)


@pytest.mark.case(36)
def test_a_well_known_genome_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"another assembly\? the genome looks like hg38"):
        read(tmp_path, "chr1\t0\t249250621\n", contigs={"chr1": 248956422})


@pytest.mark.case(36)
@pytest.mark.parametrize(
    ("genome", "bed"),
    [("chr1", "1"), ("1", "chr1"), ("chrM", "MT"), ("MT", "chrM"), ("M", "chrM"), ("chrMT", "M"), ("chrX", "X")],
)
def test_contigs_are_renamed_on_request(tmp_path: Path, genome: str, bed: str) -> None:
    found = read(tmp_path, f"{bed}\t1\t2\n{genome}\t2\t3\n", contigs={"x": 9, genome: 9}, rename_contigs=True)
    assert found.contig.tolist() == [1, 1]


@pytest.mark.case(36)
def test_a_name_that_two_contigs_claim_means_neither(tmp_path: Path) -> None:
    """UCSC's hg19 has chrM beside chrMT, two sequences."""
    contigs = {"chrM": 100, "chrMT": 100, "chr1": 100}
    for name in ("M", "MT"):
        with pytest.raises(InputError, match=f"line 1: contig '{name}' is not in the genome"):
            read(tmp_path, f"{name}\t1\t2\n", contigs=contigs, rename_contigs=True)
    assert read(tmp_path, "1\t1\t2\nchrMT\t1\t2\n", contigs=contigs, rename_contigs=True).contig.tolist() == [2, 1]


@pytest.mark.case(38)
def test_overlaps_and_repeats_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(tmp_path, "chr1\t0\t10\nchr2\t5\t8\nchr1\t9\t12\nchr1\t0\t10\nchr1\t12\t20\nchr1\t13\t14\n")
    assert "3 rows overlap an earlier one, 1 of them repeat one" in caplog.text
    caplog.clear()
    read(tmp_path, "chr1\t0\t10\nchr1\t10\t20\nchr2\t0\t10\n")
    assert not caplog.text
