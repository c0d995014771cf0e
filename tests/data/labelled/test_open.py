"""Sets in every form that users have them, and what is wrong with them in one line."""

import gzip
import logging
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from genomes import fasta_text, random_bases

from dnadiff import archives
from dnadiff.data.labelled import read
from dnadiff.data.labelled.open import Genomes, find_set, find_sets, open_set
from dnadiff.dna import decode, encode, reverse_complement
from dnadiff.errors import InputError

ROWS = {
    "train": [("ACGTACGT", "b"), ("GGGTTTAA", "a"), ("ACACACAC", "b"), ("TTTTGGGG", "a")],
    "test": [("CCCCAAAA", "a"), ("GATTACA", "b")],
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DNADIFF_CACHE", str(tmp_path / "cache"))


def contents(part) -> list[tuple[str, int]]:
    rows = [decode(part.sequences.read(row, row + 1)) for row in range(len(part))]
    return sorted(zip(rows, part.label.tolist(), strict=True))


def expected(part: str) -> list[tuple[str, int]]:
    return sorted((bases, "ab".index(label)) for bases, label in ROWS[part])


def as_csv(rows, *, header="sequence,label", delimiter=",", eol="\n", begin="", quote=""):
    lines = [header.replace(",", delimiter)]
    lines += [delimiter.join(f"{quote}{cell}{quote}" for cell in row) for row in rows]
    return begin + eol.join(lines) + eol


def write_csvs(folder: Path) -> Path:
    folder.mkdir()
    for part, rows in ROWS.items():
        (folder / f"{part}.csv").write_text(as_csv(rows))
    return folder


def write_texts(folder: Path) -> Path:
    for part, rows in ROWS.items():
        for number, (bases, label) in enumerate(rows):
            file = folder / part / label / f"{number}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(bases + "\n" * (number % 2))
    (folder / "metadata.yaml").write_text("version: 0\n")
    return folder


def write_zip(path: Path) -> Path:
    texts = write_texts(path.parent / "unzipped" / "tiny")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(texts.rglob("*.txt"), reverse=True):
            archive.write(file, f"tiny/{file.relative_to(texts)}")
    return path


def write_prefixed(folder: Path) -> Path:
    folder.mkdir()
    for part, rows in ROWS.items():
        with gzip.open(folder / f"tiny.{part}.csv.gz", "wt") as file:
            file.write(as_csv(rows))
    return folder / "tiny"


def write_fastas(folder: Path) -> Path:
    for part, rows in ROWS.items():
        for label in "ab":
            file = folder / part / f"{label}.fa"
            file.parent.mkdir(parents=True, exist_ok=True)
            records = {f"r{i}": bases for i, (bases, of) in enumerate(rows) if of == label}
            file.write_text(fasta_text(records, width=4))
    return folder


def write_labelled_fasta(folder: Path) -> Path:
    folder.mkdir()
    for part, rows in ROWS.items():
        text = "".join(f">r{i} label={label} x\n{bases}\n" for i, (bases, label) in enumerate(rows))
        (folder / f"{part}.fa").write_text(text)
    return folder


FORMS = {
    "csv": lambda path: write_csvs(path / "tiny"),
    "texts": lambda path: write_texts(path / "tiny"),
    "zip": lambda path: write_zip(path / "tiny_v0.zip"),
    "prefix": lambda path: write_prefixed(path / "folder"),
    "class fasta": lambda path: write_fastas(path / "tiny"),
    "fasta": lambda path: write_labelled_fasta(path / "tiny"),
}


@pytest.mark.case(41)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_set(form, tmp_path):
    found = open_set(FORMS[form](tmp_path))
    assert (found.name, found.classes, found.valid) == ("tiny", ("a", "b"), None)
    assert contents(found.train) == expected("train")
    assert contents(found.test) == expected("test")
    assert found.describe() == "tiny: 4 train, 2 test, 2 classes (a, b), 7 to 8 bases"


@pytest.mark.case(41)
@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"delimiter": ";"}, "x.csv"),
        ({"delimiter": "\t"}, "x.tsv"),
        ({"begin": "\ufeff"}, "x.csv"),
        ({"quote": '"'}, "x.csv"),
        ({"eol": "\r\n"}, "x.csv"),
        ({"header": "Seq,Class"}, "x.txt"),
    ],
)
def test_tables_of_every_dialect_are_one_table(given, name, tmp_path):
    (tmp_path / name).write_text(as_csv(ROWS["train"], **given), newline="")
    found = open_set(tmp_path / name)
    assert contents(found.train) == expected("train")
    assert (found.test, found.valid) == (None, None)


def test_dev_is_for_validation_and_numbers_are_in_their_own_order(tmp_path):
    labels = [str(n) for n in range(11)]
    for part in ("train", "dev", "test"):
        (tmp_path / f"{part}.csv").write_text(as_csv([("ACGT" * (i + 1), label) for i, label in enumerate(labels)]))
    found = open_set(tmp_path)
    assert found.classes == tuple(labels)  # not 0, 1, 10, 2
    assert len(found.valid) == 11


def test_a_set_without_train_learns_from_what_it_has(tmp_path, caplog):
    for part in ("dev", "test"):
        (tmp_path / f"{part}.csv").write_text(as_csv(ROWS["train"]))
    found = open_set(tmp_path)
    assert (len(found.train), found.valid, len(found.test)) == (4, None, 4)
    assert "has no train; its valid rows are learnt from" in caplog.text


@pytest.mark.case(42)
def test_classes_do_not_depend_on_the_order_of_the_disk(tmp_path, monkeypatch):
    first = open_set(write_texts(tmp_path / "tiny"))
    listed = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: sorted(listed(path), reverse=True))
    scanned = os.scandir

    class Reversed:
        def __init__(self, path):
            self.entries = sorted(scanned(path), key=lambda entry: entry.name, reverse=True)

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *_):
            pass

        def __iter__(self):
            return iter(self.entries)

    monkeypatch.setattr(os, "scandir", Reversed)
    again = open_set(tmp_path / "tiny")
    assert again.classes == first.classes
    assert again.fingerprint() == first.fingerprint()


@pytest.mark.case(41)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            as_csv([("ACGT", "a"), ("ACG", ""), ("AC", "nan"), ("A", "b")]),
            r"x\.csv:3 has no label; x\.csv:4 has no label",
        ),
        (as_csv([("ACGT", "a"), ("", "b")]), "line 3: no sequence"),
        (as_csv([("ACGT", "a"), ("AC-T", "b")]), r"line 3: '-' at position 2 \(0-based\) is not a base"),
        (as_csv([("ACGT", "a"), ("ACTT", "a")]), "all rows to learn from are of class 'a'; give rows of two classes"),
        (as_csv([]), "no rows below the header"),
        ("", "the file is empty"),
        ("ACGT,a\nACTT,b\n", "none of what is read"),
        ("sequence\nACGT\nACTT\n", r"has no columns sequence \(or seq\) and label \(or class\)"),
        ("chrom,start,end\n1,2,3\n", r"has no columns sequence \(or seq\) and label"),
        (as_csv([("ACGT", "a", "extra"), ("ACTT", "b")]), "line 2: 3 cells where the header has 2"),
        (">r1 label=a\nACGT\n>r2\nACTT\n", r"x\.csv:r2 has no label"),
        (">r1 label=a\nACGT\n>r2 label=b\nAC*T\n", r"x\.csv:r2: '\*' at position 2"),
    ],
)
def test_bad_tables_are_refused_with_their_lines(text, message, tmp_path):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(InputError, match=message) as raised:
        open_set(tmp_path / "x.csv")
    assert "\n" not in str(raised.value)


@pytest.mark.case(41)
def test_a_class_that_only_the_test_part_has_is_refused_and_one_that_it_lacks_is_told(tmp_path, caplog):
    (tmp_path / "train.csv").write_text(as_csv([("ACGT", "a"), ("ACTT", "b"), ("GGGG", "c")]))
    (tmp_path / "test.csv").write_text(as_csv([("ACCC", "a"), ("AGGG", "b")]))
    open_set(tmp_path)
    assert "test has no row of c" in caplog.text
    (tmp_path / "test.csv").write_text(as_csv([("ACCC", "a"), ("AGGG", "d")]))
    with pytest.raises(InputError, match="test has classes that train does not: d; add rows of them to train"):
        open_set(tmp_path)


@pytest.mark.case(41)
def test_repeated_rows_are_counted_and_contradictions_among_them(tmp_path, caplog):
    (tmp_path / "x.csv").write_text(as_csv([("ACGT", "a"), ("ACTT", "b"), ("ACGT", "a"), ("ACTT", "a")]))
    open_set(tmp_path / "x.csv")
    assert "2 rows repeat another, 1 of them in another class" in caplog.text


def test_parquet_is_read_where_pyarrow_is_installed_and_named_where_not(tmp_path):
    path = tmp_path / "x.parquet"
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        path.write_bytes(b"PAR1 and more")
        with pytest.raises(InputError, match="is parquet; pip install pyarrow, or save it as CSV"):
            open_set(path)
        return
    bases, labels = zip(*ROWS["train"], strict=True)
    parquet.write_table(pyarrow.table({"label": labels, "sequence": bases}), path)
    assert contents(open_set(path).train) == expected("train")


@pytest.mark.case(52)
@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"readme.txt": "hello"}, r"holds no train/CLASS/\*\.txt"),
        ({"s/train/a/1.txt": "ACGT", "s/train/b/1.txt": "AC!T"}, r"s/train/b/1\.txt: '!' at position 2"),
    ],
)
def test_bad_zips_are_refused_and_nothing_is_unpacked(members, message, tmp_path):
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        for name, text in {**members, "../../escaped.txt": "ACGT"}.items():
            archive.writestr(name, text)
    with pytest.raises(InputError, match=message):
        open_set(tmp_path / "s.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["s.zip"]


@pytest.mark.case(52)
def test_a_damaged_zip_and_a_bomb_are_refused(tmp_path, monkeypatch):
    (tmp_path / "s.zip").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(InputError, match=r"s\.zip: not a readable zip .*; download it again"):
        open_set(tmp_path / "s.zip")
    monkeypatch.setattr(read, "MOST_BYTES", 1 << 16)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("s/train/a/1.txt", b"A" * (1 << 17))
    with pytest.raises(InputError, match=r"s/train/a/1\.txt has more than .* bytes; a member is one sequence"):
        open_set(tmp_path / "bomb.zip")


@pytest.mark.case(52)
@pytest.mark.parametrize(("limit", "message"), [("MOST_LIST_BYTES", "its list of members"), ("MOST_GROWTH", "unpack")])
def test_an_archive_that_lists_or_unpacks_to_too_much_is_refused(limit, message, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "HARMLESS_BYTES", 0)
    archive = write_zip(tmp_path / "tiny_v0.zip")
    assert len(open_set(archive).train) == 4
    monkeypatch.setattr(archives, limit, 0)
    with pytest.raises(InputError, match=rf"tiny_v0\.zip: not a readable zip \(.*{message}.*; download it again"):
        open_set(archive)


def test_two_files_for_one_part_are_refused(tmp_path):
    for name in ("dev.csv", "valid.csv", "train.csv"):
        (tmp_path / name).write_text(as_csv(ROWS["train"]))
    with pytest.raises(InputError, match=r"both dev\.csv and valid\.csv are its valid; keep one"):
        open_set(tmp_path)


def test_the_sets_of_a_folder_are_found_by_name(tmp_path):
    write_texts(tmp_path / "sets" / "two")
    write_zip(tmp_path / "sets" / "one_v0.zip")
    (tmp_path / "sets" / "unzipped").rename(tmp_path / "elsewhere")
    assert list(find_sets(tmp_path / "sets")) == ["one", "two"]
    with pytest.raises(InputError, match=r"has no set 'onne' \(did you mean 'one'\?\); there are one, two"):
        find_set(tmp_path / "sets", "onne")
    with pytest.raises(InputError, match=r"no such folder; get the sets with `python data_prep/genomic_benchmarks\.py"):
        find_sets(tmp_path / "nowhere")


class TestPlaces:
    """Interval lists on a genome."""

    bases = random_bases(400, seed=1)

    def write(self, folder: Path, *, names=("chr1", "chr2"), lists=None) -> tuple[Path, Genomes]:
        genome = folder / "genome.fa"
        genome.write_text(fasta_text({names[0]: self.bases, names[1]: self.bases[::-1] + "N" * 50}))
        default = {"a": ["0,chr1,0,30,+", "1,chr2,5,45,-"], "b": ["0,chr1,370,400,-", "1,chr2,0,10,"]}
        for part in ("train", "test"):
            for label, rows in (lists or default).items():
                file = folder / "tiny" / part / f"{label}.csv.gz"
                file.parent.mkdir(parents=True, exist_ok=True)
                with gzip.open(file, "wt") as out:
                    out.write("id,region,start,end,strand\n" + "\n".join(rows) + "\n")
        return folder / "tiny", Genomes(str(genome))

    @pytest.mark.case(34, 38)
    @pytest.mark.parametrize("names", [("chr1", "chr2"), ("1", "2"), ("chr1.7", "chr2.1")])
    def test_half_open_and_reverse_complement_by_any_name_of_the_contig(self, names, tmp_path):
        found = open_set(*self.write(tmp_path, names=names))
        second = self.bases[::-1]
        other = decode(reverse_complement(encode(second[5:45])))
        last = decode(reverse_complement(encode(self.bases[370:])))
        assert contents(found.train) == sorted([(self.bases[:30], 0), (other, 0), (last, 1), (second[:10], 1)])
        assert found.train.intervals.start.tolist() == [0, 5, 370, 0]
        assert found.train.names.tolist() == ["a.csv.gz:2", "a.csv.gz:3", "b.csv.gz:2", "b.csv.gz:3"]

    def test_a_genome_for_each_class_keeps_contigs_apart(self, tmp_path):
        path, genomes = self.write(tmp_path)
        worm = tmp_path / "worm.fa"
        worm.write_text(fasta_text({"1": self.bases[::-1], "2": self.bases}))
        found = open_set(path, Genomes(genomes.ref, {"b": str(worm)}))
        assert found.train.intervals.contig.tolist() == [0, 1, 2, 3]
        assert contents(found.train)[0][0] in {self.bases[:30], self.bases[:10]}

    def test_places_without_their_genome_are_refused(self, tmp_path):
        path, _ = self.write(tmp_path)
        with pytest.raises(
            InputError, match=r"lists places; give their genome with --ref, or for this class alone data"
        ):
            open_set(path)

    @pytest.mark.case(35, 36)
    @pytest.mark.parametrize("row", ["7,chr1,390,410,+", "7,chr3,0,10,+", "7,chr2,410,440,-"])
    def test_places_that_the_genome_does_not_have_are_refused_or_left_out(self, row, tmp_path, caplog):
        path, genomes = self.write(tmp_path, lists={"a": ["0,chr1,0,30,+", row], "b": ["0,chr1,50,80,+"]})
        region = row.split(",")
        with pytest.raises(
            InputError, match=rf"1 of 2 places are .*line 3: {region[1]}:{region[2]}-{region[3]}\); give"
        ):
            open_set(path, genomes)
        found = open_set(path, genomes._replace(on_bad="skip"))
        assert contents(found.train) == sorted([(self.bases[:30], 0), (self.bases[50:80], 1)])
        assert "1 of 2 places are" in caplog.text

    @pytest.mark.case(36)
    def test_another_assembly_of_the_same_names_is_found_out_by_a_length(self, tmp_path):
        path, genomes = self.write(tmp_path)
        url = "ftp://ftp.ensembl.org/pub/release-100/fasta/mus_musculus/dna/Mus_musculus.GRCm38.dna.toplevel.fa.gz"
        (path / "metadata.yaml").write_text(f"classes:\n  a:\n    url: {url}\n")
        message = "its chr1 has 400 bases, that of GRCm38, on which tiny places 'a', 195,471,971; give that genome with"
        with pytest.raises(InputError, match=message):
            open_set(path, genomes)


def test_lowercase_and_iupac_follow_the_package(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    (tmp_path / "x.csv").write_text(as_csv([("acgtR", "a"), ("ACUT", "b")]))
    found = open_set(tmp_path / "x.csv")
    assert contents(found.train) == [("ACGTN", 0), ("ACTT", 1)]
    assert np.array_equal(found.train.lengths, [5, 4])
