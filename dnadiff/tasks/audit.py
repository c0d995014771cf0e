"""`dnadiff audit`: what a test set shares with a training set."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import typer
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table

from dnadiff.data.fasta import Genome
from dnadiff.data.leakage.audit import Audit, audit
from dnadiff.data.leakage.compare import Comparison
from dnadiff.data.leakage.readers import open_rows
from dnadiff.data.leakage.rows import Rows, cut_records
from dnadiff.errors import InputError, LeakError, counted
from dnadiff.files import asked_for
from dnadiff.inference.progress import progress_bar
from dnadiff.shown import cell, printable
from dnadiff.tasks.tables import print_table

log = logging.getLogger("dnadiff")
MOST_CLASSES = 6  # that fit beside each other
Mask = NDArray[np.bool_]
COLUMNS = ("relation", "share", "test", "test_place", "test_class", "train", "train_place", "train_class")


def open_sets(train: str, test: str, genome: str | None) -> tuple[Rows, Rows]:
    """Read both sets; a genome to look in is cut into pieces.

    Raises:
        InputError: as `open_rows`; a genome for sets of which neither lists places.
    """
    opened = Genome.open(genome) if genome else None
    one, other = open_rows(train, opened), open_rows(test, opened)
    if genome and not (one.is_listed or other.is_listed):
        raise InputError(f"--genome {genome}: neither {train} nor {test} lists places on a genome; leave it out")
    return one if other.sequences is None else cut_records(one, int(other.sequences.lengths.max())), other


def dry_run(train: str, test: str, genome: str | None) -> str:
    """What `run` would compare."""
    return "\n".join(rows.describe() for rows in open_sets(train, test, genome))


def run(settings: Comparison, train: str, test: str, genome: str | None, out: Path | None, *, fail: bool) -> None:
    """Compare, print a table, and write the pairs.

    Raises:
        LeakError: with `fail`, if a test row is in the training set.
        InputError: with `fail`, if no test row could be looked for but as a whole, so that nothing was ruled out.
    """
    with asked_for(out) if out else nullcontext() as temporary:
        log.info("reading %s and %s", train, test)
        one, other = open_sets(train, test, genome)
        n_bases = 0 if one.sequences is None else int(one.sequences.lengths.sum())
        with progress_bar("comparing", n_bases) as advance:
            found = audit(one, other, settings, advance)
        if temporary:
            temporary.write_text("".join("\t".join(cells) + "\n" for cells in pairs(found, one, other)), "utf-8")
            log.info("%s: %s", out, counted(sum(len(leak.test) for leak in found.leaks.values()), "pair"))
    report(found, one, other, settings)
    n_leaked = int(np.count_nonzero(found.is_leaked))
    if fail and n_leaked:
        raise LeakError(f"{test}: {n_leaked:,} of {len(other):,} rows are in {train} too; leave them out of one")
    if fail and found.n_incomparable == len(other) and "overlap" not in found.leaks:
        raise InputError(
            f"{test}: every row is too short or too plain to be similar to anything, so that --fail-on-leak would pass "
            "whatever leaks; lower k and w (k=11 w=3), or leave --fail-on-leak out"
        )


def pairs(found: Audit, train: Rows, test: Rows) -> Iterator[tuple[str, ...]]:
    """The header, then for every relation each test row with a training row."""
    yield COLUMNS
    for relation, leak in found.leaks.items():
        for row, other, share in zip(leak.test.tolist(), leak.train.tolist(), leak.share.tolist(), strict=True):
            yield (relation, f"{share:.4f}", *_cells(test, row), *_cells(train, other))


def _cells(rows: Rows, row: int) -> tuple[str, str, str]:
    return cell(rows.name(row)), cell(rows.place(row)), cell(rows.class_name(row))


def report(found: Audit, train: Rows, test: Rows, settings: Comparison) -> None:
    """Print what was compared, and the share of test rows for which each relation holds, of all and by class."""
    typer.echo(printable(f"train  {train.describe()}\ntest   {test.describe()}"))
    classes = test.classes if len(test.classes) <= MOST_CLASSES else ()
    groups = [np.ones(len(test), bool), *(test.label == number for number in range(len(classes)))]
    table = Table("to a training row", "test rows", "share", *map(escape, classes))
    for column in table.columns[1:]:
        column.justify = "right"
    for relation, leak in found.leaks.items():
        least = f" >= {getattr(settings, relation):g}" if relation in Comparison.model_fields else ""
        _add_row(table, f"{relation}{least}", np.isin(np.arange(len(test)), leak.test), groups)
    _add_row(table, "any", found.is_leaked, groups)
    print_table(table)
    if found.n_incomparable:
        few = f"{counted(found.n_incomparable, 'test row')} of {len(test):,}"
        typer.echo(f"{few} too short or too plain to be similar to anything: only the same sequence was looked for")


def _add_row(table: Table, name: str, holds: Mask, groups: list[Mask]) -> None:
    """How many test rows a relation holds for, and the share of all and of each class."""
    table.add_row(name, f"{np.count_nonzero(holds):,}", *(f"{100 * holds[group].mean():.2f} %" for group in groups))
