"""`dnadiff windows`: what would be trained on."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from dnadiff.data.domains import open_data
from dnadiff.data.genome import GenomeSplits
from dnadiff.data.text.open import TextSplits
from dnadiff.tasks.settings import TrainConfig
from dnadiff.tasks.tables import print_table


def run(settings: TrainConfig) -> None:
    """Print windows, bases, N and GC per split and contig, or documents, rows and tokens per split."""
    data = open_data(settings.data, seed=settings.train.seed)
    table = Table(title=escape(str(data.source)), title_justify="left", caption_justify="left")
    match data:
        case GenomeSplits():
            _genome(data, table)
        case TextSplits():
            _text(data, table)
    print_table(table)


def _genome(data: GenomeSplits, table: Table) -> None:
    _columns(table, "split", "contig", right=("windows", "bases", "N %", "GC %"))
    for row in data.counts():
        table.add_row(
            row.split,
            escape(row.contig),
            f"{row.windows:,}",
            f"{row.bases:,}",
            f"{100 * row.n_share:.2f}",
            f"{100 * row.gc:.1f}",
        )
    table.caption = f"left out: {data.left_out}" if data.left_out else None


def _text(data: TextSplits, table: Table) -> None:
    _columns(table, "split", right=("documents", "rows", "tokens"))
    for row in data.counts():
        table.add_row(row.split, *(f"{count:,}" for count in row[1:]))


def _columns(table: Table, *left: str, right: tuple[str, ...]) -> None:
    for name in left:
        table.add_column(name)
    for name in right:
        table.add_column(name, justify="right")
