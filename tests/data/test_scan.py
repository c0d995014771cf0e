"""What is refused in a FASTA file, and how it is said."""

import re
from pathlib import Path

import pytest
from genomes import open_fasta

from dnadiff.errors import InputError

BAD: dict[str, tuple[str | bytes, str]] = {
    "mixed widths": (">a\nACGT\nAC\nACGT\n", "line 4: 'a' has lines of 4 and of 2 bases; rewrap"),
    "a longer line": (">b\nA\n>a\nACGT\nACGTA\n", "line 5: 'a' has lines of 4 and of 5 bases; rewrap"),
    "blank line inside": (">a\nACGT\n\nACGT\n", "line 4: 'a' goes on after a blank line; rewrap"),
    "blank line first": (">a\n\nACGT\n", "line 3: 'a' goes on after a blank line"),
    "mixed line ends": (">a\nACGT\r\nACGT\nACGT\n", "line 4: 'a' mixes line ends"),
    "carriage returns": (">a\rACGT\rACGT\r", "line 1: a carriage return that ends no line; write newlines: `tr"),
    "a stray carriage return": (">a\nAC\rGT\n", "line 2: a carriage return"),
    "NUL": (">a\nACGT\nAC\0T\n", r"line 3: '\x00' at position 6 (0-based) of 'a' is not a base"),
    "spaces": (
        ">b\nAC\n>a\nACGT\nAC GT\n",
        "line 5: ' ' at position 6 (0-based) of 'a' is not a base or an IUPAC code",
    ),
    "a gap": (">a\nAC-T\n", "'-' at position 2"),
    "a stop": (">a\nAC*T\n", "'*' at position 2"),
    "an X": (">a\nACXT\n", "'X' at position 2"),
    "a digit": (">a\n1 ACGT\n", "'1' at position 0"),
    "byte-order mark": (b"\xef\xbb\xbf>a\nACGT\n", "line 1: not FASTA but a UTF-8 byte-order mark; save"),
    "UTF-16": (">a\nACGT\n".encode("utf-16"), "line 1: not FASTA but UTF-16 text; save"),
    "HTML": ("<!DOCTYPE html>404", "line 1: not FASTA but HTML or XML, perhaps an error page; download"),
    "FASTQ": ("@r\nACGT\n+\nIIII\n", "line 1: not FASTA but FASTQ; convert"),
    "zip": (b"PK\x03\x04", "a zip archive; unpack"),
    "binary": (bytes(range(128, 256)), "begins with b'\\x80"),
    "binary after a header": (b">a\n\x80\x81\n", "line 2: '\\x80' at position 0"),
    "no header": ("ACGT\n", "line 1: begins with b'ACGT\\n', but a FASTA file begins with '>'"),
    "places": ("chr1\t0\t9\ttrain\n", "line 1: not FASTA but rows of places, as in BED; these are given with --bed"),
    "empty file": ("", "the file is empty; a FASTA file begins with '>'"),
    "no bases": (">a\n>b\n", "2 records, but not one base"),
    "twice the same name": (">a\nAC\n>b\nAC\n>a x\nAC\n", "line 5: the name 'a' is taken by line 1; make names unique"),
    "no name": (">a\nAC\n>\nAC\n", "line 3: a record without a name; write one after '>'"),
    "a blank name": (">a\nAC\n> \t\nAC\n", "line 3: a record without a name"),
    "a name with an escape sequence": (
        ">a\nAC\n>\x1b[31mb\nAC\n",
        r"the name '\x1b[31mb' holds control characters",
    ),
    "an endless header": (">" + "a" * 200_000 + "\nAC\n", "line 1: a header of more than 65,536 bytes; shorten it"),
}


@pytest.mark.parametrize("block", [20, 1 << 21])
@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_without_guessing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, block: int
) -> None:
    content, message = BAD[case]
    monkeypatch.setattr("dnadiff.data.scan.BLOCK_BYTES", block)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        open_fasta(tmp_path, content)
    assert str(caught.value).startswith(str(tmp_path / "genome.fa"))
    assert "\n" not in str(caught.value)
    left = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert left <= {".fa", ".lock"}
