"""Tables of labels that are not as they should be, as text and as parquet: refused with their rows, or warned of."""

import csv
import io

import pytest
from oracle import silent_if_wrong

from dnadiff.data.labelled.open import open_set
from dnadiff.dna import decode
from dnadiff.errors import InputError

GOOD = [("ACGT", "b"), ("GGTTA", "a"), ("TTTT", "b"), ("CC", "a")]


def as_text(columns):
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


@pytest.fixture(params=["csv", "parquet"])
def write(request, tmp_path):
    """Write columns as a table, and name it."""
    if request.param == "parquet":
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")

    def write(folder="set", name="train", **columns):
        path = tmp_path / folder / f"{name}.{request.param}"
        path.parent.mkdir(exist_ok=True)
        if request.param == "csv":
            path.write_text(
                as_text({name: ["" if cell is None else cell for cell in cells] for name, cells in columns.items()})
            )
        else:
            parquet.write_table(pyarrow.table(columns), path)
        return path

    return write


def columns(rows, **others):
    return {"sequence": [row[0] for row in rows], "label": [row[1] for row in rows], **others}


def contents(part):
    rows = [decode(part.sequences.read(row, row + 1)) for row in range(len(part))]
    return list(zip(rows, part.label.tolist(), strict=True))


@pytest.mark.case(41)
def test_columns_beside_those_that_are_read_do_not_matter(write):
    found = open_set(write(name_of_row=["x,y", 'a"b', "", "1"], **columns(GOOD), split=["train"] * 4))
    assert found.classes == ("a", "b")
    with silent_if_wrong():
        assert contents(found.train) == [("ACGT", 1), ("GGTTA", 0), ("TTTT", 1), ("CC", 0)]


@pytest.mark.case(41)
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (columns([*GOOD, ("AC", None)]), "has no label; give each row a class"),
        (columns([*GOOD, ("AC", "NaN")]), "has no label; give each row a class"),
        (columns([*GOOD, ("AC", " ")]), "has no label; give each row a class"),
        ({"sequence": ["AC", "GT"], "label": [0.0, float("nan")]}, "has no label; give each row a class"),
        (columns([*GOOD, (None, "a")]), "no sequence"),
        (columns([*GOOD, ("AC\nGT", "a")]), r"'\\n' at position 2"),
        (columns([("AC", "a"), ("GT", "a\x1b[2Jb")]), r"the class 'a\\x1b\[2Jb' has control characters in its name"),
        (columns([("AC", "a"), ("GT", "a\nb")]), r"the class 'a\\nb' has control characters in its name"),
        (columns([("AC", "a"), ("GT", "a")]), "all rows to learn from are of class 'a'"),
        (columns(GOOD, seq=["A"] * 4), "columns 'sequence' and 'seq' mean the same; keep one of them"),
        (columns(GOOD, Class=["x"] * 4), "columns 'label' and 'class' mean the same; keep one of them"),
        ({"sequence": ["AC"], "kind": ["a"]}, "label"),
        ({"bases": ["AC"], "label": ["a"]}, "sequence"),
    ],
)
def test_what_cannot_be_meant_is_refused(write, given, message):
    with pytest.raises(InputError, match=message) as caught:
        open_set(write(**given))
    assert "\n" not in str(caught.value)


@pytest.mark.case(41)
def test_no_rows_are_refused(write):
    with pytest.raises(InputError, match=r"no rows|holds no sequences"):
        open_set(write(sequence=[], label=[]))


@pytest.mark.case(41)
def test_a_class_of_the_test_part_alone_is_refused(write):
    train = write(**columns(GOOD))
    write(name="test", **columns([*GOOD, ("AC", "zz")]))
    with pytest.raises(InputError, match="test has classes that train does not: zz"):
        open_set(train.parent)


@pytest.mark.case(41)
def test_repeats_are_counted(write, caplog):
    open_set(write(**columns([*GOOD, *GOOD[:2], ("ACGT", "a")])))
    assert "3 rows repeat another, 1 of them in another class" in caplog.text


@pytest.mark.case(41)
def test_sequences_longer_than_a_spreadsheet_s_cell_are_read(write):
    rows = [("ACGT" * 50_000, "b"), ("GG", "a")]
    with silent_if_wrong():
        assert contents(open_set(write(**columns(rows))).train) == [(rows[0][0], 1), ("GG", 0)]
    assert csv.field_size_limit() == 131_072


@pytest.mark.case(41)
@pytest.mark.parametrize("content", [b"PAR1", b"PAR1" + bytes(100), b"PAR1" + b"\xff" * 100 + b"PAR1"])
def test_a_damaged_parquet_file_is_refused(tmp_path, content):
    pytest.importorskip("pyarrow")
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(InputError, match="is no parquet file that can be read"):
        open_set(tmp_path / "x.parquet")


@pytest.mark.case(41)
def test_a_quoted_header_names_its_columns(tmp_path):
    """A delimiter in a column's name must not shift those behind it."""
    (tmp_path / "x.csv").write_text('"id, of row","sequence"," label"\n"1,2",ACGT,b\n3,GG,a\n')
    with silent_if_wrong():
        assert contents(open_set(tmp_path / "x.csv").train) == [("ACGT", 1), ("GG", 0)]


@pytest.mark.case(41)
def test_spaces_in_a_labelled_fasta_are_refused(tmp_path):
    (tmp_path / "x.fa").write_text(">r1 label=a\nAC GT\n>r2 label=b\nAC\n")
    with pytest.raises(InputError, match=r"x\.fa:r1: ' ' at position 2"):
        open_set(tmp_path / "x.fa")


@pytest.mark.case(42)
def test_classes_of_one_value_have_one_order(tmp_path):
    """Whatever order a set of them has, which differs from process to process."""
    labels = ["0" * n + "7" for n in range(9)]
    (tmp_path / "x.csv").write_text("sequence,label\n" + "".join(f"AC,{label}\n" for label in [*labels, "6", "10"]))
    with silent_if_wrong():
        assert open_set(tmp_path / "x.csv").classes == ("6", *reversed(labels), "10")
