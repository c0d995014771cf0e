"""Text of others as it may be shown: terminals and spreadsheets obey some of what they read.

A terminal obeys control characters, which can hide lines or write the clipboard; a spreadsheet takes for a formula what
begins like one.
"""

from __future__ import annotations

import logging

FORMULA = ("=", "+", "-", "@")


def printable(text: str) -> str:
    r"""The text with what a terminal would not print spelt out (`\x1b`); line ends and tabs stay."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in "\n\t" else ascii(each)[1:-1] for each in text)


def cell(text: str) -> str:
    """The text as a cell of a table: `=1+1` becomes `'=1+1`; a lone sign, which is a strand, stays."""
    return printable(f"'{text}" if len(text) > 1 and text.startswith(FORMULA) else text)


class Printable(logging.Formatter):
    """Lines of a log as they may be shown."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def speak() -> None:
    """Say on standard error what the package logs."""
    console = logging.StreamHandler()
    console.setLevel(logging.INFO)
    console.setFormatter(Printable("%(message)s"))
    logging.basicConfig(handlers=[console])
    logging.getLogger("dnadiff").setLevel(logging.INFO)
