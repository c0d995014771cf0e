"""Tables on standard output, and what their files may be called."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from dnadiff.errors import InputError

OTHERS = {".csv", ".parquet", ".npz", ".json", ".xlsx", ".bcf", ".bz2", ".xz", ".zst", ".zip", ".wig", ".bw", ".bigwig"}


def require_tabs(file: Path | None) -> None:
    """Refuse a name that promises another format than columns separated by tabs, or VCF.

    Raises:
        InputError: it does.
    """
    if file is not None and file.suffix.lower() in OTHERS:
        raise InputError(f"{file}: no {file.suffix} is written; name a file that ends in .tsv, or what --help names")


def print_table(table: Table) -> None:
    """Whole, however narrow the terminal is, which wraps what does not fit; rich would leave out what does not."""
    console = Console()
    needed = console.measure(table, options=console.options.update(width=1000)).maximum
    console.width = max(needed, console.width)
    console.print(table)
