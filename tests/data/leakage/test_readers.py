"""Every kind of file gives the rows that it holds; what cannot be meant is refused with file and line."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
from genomes import fasta_text, random_bases

from dnadiff.data.fasta import Genome
from dnadiff.data.leakage.readers import open_rows
from dnadiff.data.leakage.rows import LONGEST, Rows, cut_records, on_same_contigs
from dnadiff.dna import decode, encode, reverse_complement
from dnadiff.errors import InputError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DNADIFF_CACHE", str(tmp_path / "cache"))


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def texts(rows: Rows) -> list[str]:
    assert rows.sequences is not None
    return [decode(rows.sequences.read(row, row + 1)) for row in range(len(rows))]


def about(rows: Rows) -> list[tuple[str, str, str]]:
    return [(rows.name(row), rows.place(row), rows.class_name(row)) for row in range(len(rows))]


@pytest.mark.parametrize(
    "content",
    [
        "sequence,label\nACGT,b\nnnac,a\n",
        "\ufeffsequence,label\r\nACGT,b\r\nNNAC,a\r\n",
        'id;Seq;label;note\n1;acgu;b;"x; y"\n2;RYAC;a;\n',
        "label\tsequence\nb\tACGT\na\tNNAC\n",
        '"sequence","class"\n"ACGT","b"\n"NNAC","a"',
    ],
)
def test_tables(tmp_path: Path, content: str) -> None:
    for data in (content.encode(), gzip.compress(content.encode())):
        rows = open_rows(write(tmp_path / "x.csv", data))
        assert texts(rows) == ["ACGT", "NNAC"]
        assert about(rows) == [("x.csv:2", "", "b"), ("x.csv:3", "", "a")]
        assert rows.classes == ("a", "b")


def test_plain_text_and_tables_without_classes(tmp_path: Path) -> None:
    rows = open_rows(write(tmp_path / "x.txt", "\nACGT\n\nggg\n"))
    assert texts(rows) == ["ACGT", "GGG"]
    assert about(rows) == [("x.txt:2", "", ""), ("x.txt:4", "", "")]
    assert texts(open_rows(write(tmp_path / "y.csv", "seq\nA\n"))) == ["A"]


LIST = "id,region,start,end,strand\na,chr1,0,4,+\nb,chr2,2,5,-\nc,chr1,3,9,\n"
BED = "#comment\nchr1\t0\t4\nchr2\t2\t5\tname\t0\t-\nchr1\t3\t9\n"


@pytest.mark.parametrize(
    "content", [LIST, BED, BED.replace("\t", " "), "track x\n" + BED, BED.removeprefix("#comment\n")]
)
def test_lists_of_places_and_their_sequences(tmp_path: Path, content: str) -> None:
    source = write(tmp_path / "x.gz", gzip.compress(content.encode()))
    rows = open_rows(source)
    assert rows.sequences is None
    assert [place for _, place, _ in about(rows)] == ["chr1:0-4", "chr2:2-5", "chr1:3-9"]
    genome = Genome.open(write(tmp_path / "g.fa", ">2\nACGGT\n>chr1\nTTTTCCCCAA\n"))
    placed = open_rows(source, genome)
    assert texts(placed) == ["TTTT", decode(reverse_complement(encode("GGT"))), "TCCCCA"]
    assert [place for _, place, _ in about(placed)] == ["chr1:0-4", "2:2-5", "chr1:3-9"]


def test_entries_of_a_folder_are_classes(tmp_path: Path) -> None:
    for name, text in {"b/2.txt": "AC", "b/1.txt": "GG", "a/x/0.txt": "TT"}.items():
        write(tmp_path / "texts" / name, text)
    rows = open_rows(tmp_path / "texts")
    assert texts(rows) == ["TT", "GG", "AC"]
    assert about(rows) == [("a/x/0.txt:1", "", "a"), ("b/1.txt:1", "", "b"), ("b/2.txt:1", "", "b")]
    for name, contig in {"no.csv.gz": "chr2", "yes.csv.gz": "chr1"}.items():
        write(tmp_path / "lists" / name, gzip.compress(f"id,region,start,end,strand\n0,{contig},5,7,+\n".encode()))
    lists = open_rows(tmp_path / "lists")
    assert about(lists) == [("no.csv.gz:2", "chr2:5-7", "no"), ("yes.csv.gz:2", "chr1:5-7", "yes")]


def test_records_of_a_fasta_file(tmp_path: Path) -> None:
    rows = open_rows(write(tmp_path / "x.fa", ">one text\nACGT\nAC\n>empty\n>two\nGG\n"))
    assert texts(rows) == ["ACGTAC", "GG"]
    assert about(rows) == [("x.fa:1", "one:0-6", ""), ("x.fa:3", "two:0-2", "")]
    assert not rows.is_listed


BAD = {
    "x,y\n1,2\n": "line 1: 'x,y': none of what is read: FASTA",
    "": "the file is empty; what is read: FASTA",
    "sequence,label\n": "no rows below the header",
    "sequence,label\nACGT,1\nAC-T,1\n": "line 3: '-' at position 2 (0-based) is not a base or an IUPAC code; mend them",
    "sequence,label\nACGT,1\n,0\n": "line 3: no sequence",
    "sequence,label\nnan,1\n": "line 2: no sequence",
    "sequence,label\nACGT,1\nACGT\n": "line 3: 1 cells where the header has 2; mend the row",
    "sequence,label\n" + "?,1\n" * 7: "line 6: '?' at position 0 (0-based) is not a base or an IUPAC code; 7 bad rows",
    'sequence,label\n"ACGT"x,1\n': "line 2: ',' expected after '\"'; mend the row",
    "sequence\nAC\u00e9T\n": "line 2: '\u00e9' at position 2",
    "region,start,end\nchr1,5,4\n": "line 2: end 4 is not beyond start 5",
    "region,start,end\nchr1,5,9\nchr1,x,9\n": "line 3: start 'x' is not a whole number in plain digits; mend them",
    "region,start,end,strand\nchr1,5,9,*\n": "line 2: strand '*' is not one of + - .",
    "region,start,end\n": "no rows; a list has places below its header",
    "chr1\t5\t9\nchr1\t7\n": "line 2: 2 columns where a row has contig, start and end",
    "chr1\t-5\t9\n": "line 1: start -5 is negative",
}


@pytest.mark.parametrize("content", BAD)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match=re.escape(BAD[content])) as caught:
        open_rows(write(tmp_path / "x.csv", content))
    assert str(caught.value).startswith(str(tmp_path / "x.csv"))
    assert "\n" not in str(caught.value)


def test_places_that_the_genome_does_not_have_are_refused(tmp_path: Path) -> None:
    genome = Genome.open(write(tmp_path / "g.fa", ">chr1\nACGTACGT\n>chrX\nACGT\n"))
    with pytest.raises(
        InputError, match=r"x.bed: line 2: end 9 is beyond 'chr1', which has 8 bases \(is the BED of an"
    ):
        open_rows(write(tmp_path / "x.bed", "chr1\t0\t8\nchr1\t0\t9\n"), genome)
    with pytest.raises(InputError, match=r"x.bed: line 1: contig 'chr7' is not in the genome"):
        open_rows(write(tmp_path / "x.bed", "chr7\t0\t8\n"), genome)
    with pytest.raises(InputError, match=r"lists contigs 'chrX' and 'X', which in .*g.fa are one; give a genome"):
        open_rows(write(tmp_path / "x.bed", "chrX\t0\t4\nX\t0\t4\n"), genome)


def test_folders_that_are_no_set_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "set/train/a/1.txt", "A")
    write(tmp_path / "set/test/a/1.txt", "A")
    write(tmp_path / "mixed/a.csv", "seq\nA\n")
    write(tmp_path / "mixed/b.bed", "chr1\t0\t4\n")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InputError, match=r"set: holds train and test; compare .*train with .*test"):
        open_rows(tmp_path / "set")
    with pytest.raises(InputError, match=r"mixed: a.csv holds sequences, b.bed places; put them into folders of their"):
        open_rows(tmp_path / "mixed")
    with pytest.raises(InputError, match="nothing: the folder holds no file"):
        open_rows(tmp_path / "nothing")
    with pytest.raises(InputError, match="cannot be read"):
        open_rows(tmp_path / "absent")


@pytest.mark.parametrize("longest", [1, 7, 25, 60, 1000])
def test_every_stretch_of_a_long_record_is_in_one_piece(tmp_path: Path, longest: int) -> None:
    records = {"a": random_bases(100), "b": random_bases(3), "c": random_bases(241)}
    rows = open_rows(write(tmp_path / "x.fa", fasta_text(records)))
    pieces = cut_records(rows, longest)
    found = texts(pieces)
    for name, bases in records.items():
        for start in range(max(len(bases) - longest, 0) + 1):
            part = bases[start : start + longest]
            assert any(part in piece for row, piece in enumerate(found) if pieces.place(row).startswith(f"{name}:"))
    assert all(len(piece) <= LONGEST * longest for piece in found)
    for row, piece in enumerate(found):
        name, start, end = re.fullmatch(r"(\w+):(\d+)-(\d+)", pieces.place(row)).groups()  # type: ignore[union-attr]
        assert records[name][int(start) : int(end)] == piece
        assert pieces.line[row] == "abc".index(name) + 1
    assert sum(map(len, found)) <= 344 * LONGEST / (LONGEST - 1) + 3 * longest


def test_contigs_are_matched_by_either_name_unless_a_list_has_both(tmp_path: Path) -> None:
    def contigs(train: str, test: str) -> tuple[list[int], list[int]]:
        sets = [
            open_rows(write(tmp_path / f"{i}.bed", "".join(f"{name}\t0\t4\n" for name in names.split())))
            for i, names in enumerate((train, test))
        ]
        one, other = on_same_contigs(*sets)
        return one.contig.tolist(), other.contig.tolist()

    assert contigs("chr1 chr2", "2 1 chr2") == ([0, 1], [2, 0, 1])  # the test list tells 2 from chr2
    assert contigs("chr1 chrM", "MT 1 7") == ([0, 1], [1, 0, 4])
    assert contigs("1 MT", "chrM chr1") == ([0, 1], [1, 0])
    assert contigs("chrX X", "X chrX") == ([0, 1], [1, 0])
    assert contigs("chrX X", "X") == ([0, 1], [1])


def test_lists_without_a_common_contig_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sets = [open_rows(write(tmp_path / f"{name}.bed", f"{name}\t0\t4\n")) for name in ("chr1", "chr2")]
    on_same_contigs(*sets)
    assert "no contig is in both; are they of one genome?" in caplog.text


def test_labels_that_would_garble_a_table_are_spelt_out(tmp_path: Path) -> None:
    rows = open_rows(write(tmp_path / "x.csv", 'sequence,label\nACGT,"a\x1b[31m"\n'))
    assert rows.classes == ("'a\\x1b[31m'",)


def test_rows_of_mixed_lengths_and_strands_are_read_in_order(tmp_path: Path) -> None:
    text = random_bases(500)
    generator = np.random.default_rng(1)
    starts, lengths = generator.integers(0, 450, 60), generator.integers(1, 50, 60)
    signs = generator.choice(["+", "-"], 60)
    lines = [f"c\t{s}\t{s + n}\tx\t0\t{sign}\n" for s, n, sign in zip(starts, lengths, signs, strict=True)]
    genome = Genome.open(write(tmp_path / "g.fa", f">c\n{text}\n"))
    rows = open_rows(write(tmp_path / "x.bed", "".join(lines)), genome)
    parts = [text[s : s + n] for s, n in zip(starts, lengths, strict=True)]
    opposite = [decode(reverse_complement(encode(part))) for part in parts]
    expected = [other if sign == "-" else part for part, other, sign in zip(parts, opposite, signs, strict=True)]
    assert rows.sequences is not None
    assert decode(rows.sequences.read(0, 60)) == "".join(expected)
    assert decode(rows.sequences.read(7, 9)) == "".join(expected[7:9])
