"""`dnadiff windows`: what would be trained on."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from dnadiff.data.genome import open_data
from dnadiff.tasks.settings import TrainConfig


def run(settings: TrainConfig) -> None:
    """Print windows, bases, N and GC per split and contig, and what was left out."""
    data = open_data(settings.data, seed=settings.train.seed)
    table = Table(
        "split", "contig", "windows", "bases", "N %", "GC %", title=str(data.genome.path), title_justify="left"
    )
    for column in table.columns[2:]:
        column.justify = "right"
    for row in data.counts():
        table.add_row(
            row.split,
            row.contig,
            f"{row.windows:,}",
            f"{row.bases:,}",
            f"{100 * row.n_share:.2f}",
            f"{100 * row.gc:.1f}",
        )
    Console().print(table)
