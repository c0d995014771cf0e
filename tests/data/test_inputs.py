"""Paths that a user may name, and text behind them."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from children import peak_growth

from dnadiff.data.inputs import find_file, lines
from dnadiff.errors import InputError


@pytest.mark.case(33)
@pytest.mark.parametrize("name", ["with space.fa", "ünï.fa", "-x.fa", "$HOME.fa", "C:x.fa"])
def test_odd_names_are_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / name).write_text("x")
    monkeypatch.chdir(tmp_path)
    assert find_file(name).read_text() == "x"


@pytest.mark.case(33)
def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x.fa").write_text("x")
    assert find_file("~/x.fa") == tmp_path / "x.fa"


@pytest.mark.case(33)
@pytest.mark.parametrize("url", ["https://example.org/hg38.fa", "ftp://example.org/a", "s3://bucket/a", "file:///a"])
def test_urls_are_refused(url: str) -> None:
    with pytest.raises(InputError, match="is a URL; download the file first"):
        find_file(url)


@pytest.mark.case(21, 33)
def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, message in [
        (".", "is a folder; give the path of a file"),
        ("pipe", r"is not a regular file \(a pipe or device\); write it to a file first"),
        ("loop", r"cannot be read \(Too many levels of symbolic links\); check the path"),
        ("absent", r"cannot be read \(No such file or directory\); check the path"),
        ("a\0b", r"cannot be read \(embedded null byte\); check the path"),
        ("C:\\x\\y.fa", r"cannot be read \(No such file or directory\)"),
    ]:
        with pytest.raises(InputError, match=message):
            find_file(tmp_path / name)


@pytest.mark.case(37)
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize("block", [1, 2, 3, 1000])
def test_lines_lose_their_ends_of_any_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compress: Callable[[bytes], bytes], block: int
) -> None:
    monkeypatch.setattr("dnadiff.data.inputs.BLOCK_BYTES", block)
    path = tmp_path / "x"
    path.write_bytes(compress("\ufeffa\r\n\r\né\nlast".encode()))
    assert list(lines(path)) == ["a", "", "é", "last"]


@pytest.mark.case(37)
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_without_an_end_is_refused_in_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: bytes
) -> None:
    """As a few compressed bytes unpack to."""
    monkeypatch.setattr("dnadiff.data.inputs.LONGEST_LINE_BYTES", 10**7)
    path = tmp_path / "x.bed.gz"
    path.write_bytes(gzip.compress(bytes(5 * 10**7) + end, compresslevel=1))

    def read() -> None:
        with pytest.raises(InputError, match=r"x\.bed\.gz: a line of more than 10,000,000 bytes; break it up"):
            list(lines(path))

    assert peak_growth(read) < 3 * 10**7


@pytest.mark.case(37)
def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc\n\xff\xfe\n")
    with pytest.raises(InputError, match=r"x: is not UTF-8 text \(invalid start byte\); save it as plain text"):
        list(lines(tmp_path / "x"))
