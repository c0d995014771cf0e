"""Tables on standard output."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table


def print_table(table: Table) -> None:
    """Whole, however narrow the terminal is, which wraps what does not fit; rich would leave out what does not."""
    console = Console()
    needed = console.measure(table, options=console.options.update(width=1000)).maximum
    console.width = max(needed, console.width)
    console.print(table)
