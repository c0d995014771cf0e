"""Documents out of files, and files that are refused."""

from __future__ import annotations

import gzip
import sys

import pytest

from dnadiff.data.text.corpus import corpus_files, documents
from dnadiff.errors import InputError


def read(path, unit="line", field="text"):
    return list(documents(corpus_files(path), unit=unit, field=field))


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("line", ["a", "b", "c"]), ("paragraph", ["a\nb", "c"]), ("file", ["a\nb\n\n \nc"])],
)
def test_what_a_document_of_plain_text_is(tmp_path, unit, expected):
    (tmp_path / "x.txt").write_text("a\nb\n\n \nc\n")
    assert read(tmp_path / "x.txt", unit) == expected


def test_a_folder_is_read_in_the_order_of_names_through_compression(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "2.txt").write_text("two\r\n")
    (tmp_path / "c.jsonl").write_text('{"text": "three", "n": 1}\n\n{"text": ""}\n{"text": "vier \\u00e4"}')
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"one\n"))
    (tmp_path / "notes.md").write_text("not a document")
    assert read(tmp_path) == ["one", "two", "three", "vier ä"]


@pytest.mark.parametrize("line", ["{", "[1]", '{"other": "x"}', '{"text": 3}'])
def test_json_lines_without_text_are_named(tmp_path, line):
    path = tmp_path / "x.jsonl"
    path.write_text(f'{{"text": "a"}}\n{line}\n')
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(caught.value) == f"{path}: line 2: is no JSON object with text in 'text'; set data.field"


def test_what_is_not_text_is_refused(tmp_path):
    (tmp_path / "x.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        read(tmp_path / "x.txt")
    (tmp_path / "y.txt.gz").write_bytes(gzip.compress(b"one\n" * 1000)[:-9])
    with pytest.raises(InputError, match="damaged or incomplete"):
        read(tmp_path / "y.txt.gz")


def test_folders_without_a_corpus_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no \.txt, \.jsonl, \.parquet file; name a folder that does"):
        read(tmp_path)


def test_parquet_names_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"parquet needs an extra; pip install 'dnadiff\[text\]'"):
        read(tmp_path)


def test_parquet_is_read_and_refused(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    import pyarrow

    parquet.write_table(pyarrow.table({"text": ["a", None, "b"]}), tmp_path / "x.parquet")
    assert read(tmp_path) == ["a", "b"]
    with pytest.raises(InputError, match=r"has no column 'other', but \['text'\]; set data.field"):
        read(tmp_path, field="other")
    whole = (tmp_path / "x.parquet").read_bytes()
    for damaged in (whole[:-20], whole[:4] + bytes(40) + whole[44:], b"PAR1" + bytes(80) + b"PAR1", b""):
        (tmp_path / "x.parquet").write_bytes(damaged)
        with pytest.raises(InputError, match=r"x\.parquet: is no parquet file that can be read \(\w+\); get it anew"):
            read(tmp_path)


def test_a_column_of_parquet_that_holds_no_text_is_told(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    import pyarrow

    parquet.write_table(pyarrow.table({"text": [1, 2]}), tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"column 'text' holds '1', which is no text; set data\.field"):
        read(tmp_path)
    other = pyarrow.Array.from_buffers(
        pyarrow.string(), 1, [None, pyarrow.array([0, 2], pyarrow.int32()).buffers()[1], pyarrow.py_buffer(b"\xff\xfe")]
    )
    parquet.write_table(pyarrow.table({"text": other}), tmp_path / "x.parquet")
    with pytest.raises(InputError, match="no parquet file that can be read"):
        read(tmp_path)
