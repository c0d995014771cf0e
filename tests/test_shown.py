"""What terminals and spreadsheets would obey is spelt out; all else stays as it is."""

import io
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnadiff import cli
from dnadiff.errors import InputError
from dnadiff.shown import Printable, cell, printable


@pytest.mark.case(58)
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("chr1_κείμενο-漢字 |:", "chr1_κείμενο-漢字 |:"),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("a\rb\x9bc\x7f", r"a\rb\x9bc\x7f"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("two\nlines\tapart", "two\nlines\tapart"),
    ],
)
def test_what_a_terminal_obeys_is_spelt_out(text, shown):
    assert printable(text) == shown


@pytest.mark.case(58)
@given(st.text())
def test_nothing_that_is_shown_is_obeyed_and_showing_again_changes_nothing(text):
    shown = printable(text)
    assert all(each.isprintable() or each in "\n\t" for each in shown)
    assert printable(shown) == shown
    assert text.isprintable() <= (shown == text)


@pytest.mark.case(58)
@pytest.mark.parametrize(
    ("text", "shown"),
    [("=cmd()", "'=cmd()"), ("@x", "'@x"), ("+1+1", "'+1+1"), ("-2", "'-2"), ("-", "-"), ("+", "+"), ("a=b", "a=b"),
     ("", ""), ("=\x1b", r"'=\x1b")],
)  # fmt: skip
def test_what_a_spreadsheet_calculates_is_text(text, shown):
    assert cell(text) == shown


@pytest.mark.case(58)
def test_lines_of_a_log_are_shown_so():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Printable("%(message)s"))
    handler.emit(logging.makeLogRecord({"msg": "%s: read", "args": ("a\x1b[2K.fa",)}))
    assert stream.getvalue() == "a\\x1b[2K.fa: read\n"


@pytest.mark.case(58)
def test_an_error_is_one_printable_line_whatever_file_it_names(monkeypatch, capsys):
    def fail():
        raise InputError("a\x1b[1A\nb.fa: cannot be read")

    monkeypatch.setattr("dnadiff.config.shipped", fail)
    monkeypatch.setattr(sys, "argv", ["dnadiff", "presets"])
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err == "dnadiff: a\\x1b[1A b.fa: cannot be read\n"
