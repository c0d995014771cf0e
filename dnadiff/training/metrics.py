"""metrics.csv and the progress line of a training run.

Unusual: a resumed run drops the rows after the step that it resumes from, so the file reads like an uninterrupted one.
"""

from __future__ import annotations

import csv
import io
import logging
import math
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from dnadiff.diffusion.contracts import Likelihood
from dnadiff.files import unwritable, write_text

LINES = 20  # of progress over a run, besides validations
log = logging.getLogger("dnadiff")


class Unit(NamedTuple):
    """What a loss is printed in.

    Attributes:
        name: of the columns train_NAME and valid_NAME.
        text: beside a figure.
        nats: that one of it is.
    """

    name: str
    text: str
    nats: float


def unit_of(likelihood: Likelihood, letter: str = "base") -> Unit:
    """Bits per letter, where the loss is a likelihood or its bound: elsewhere bits would pass for one."""
    if likelihood is Likelihood.NONE:
        return Unit("loss", f"nats per predicted {letter}", 1.0)
    return Unit("bits", f"bits/{letter}", math.log(2))


BITS = unit_of(Likelihood.BOUND)


class Metrics:
    """Rows of metrics.csv, flushed as they come; a bar on a terminal, plain lines elsewhere and in the log's file."""

    def __init__(self, path: Path, *, max_steps: int, unit: Unit = BITS) -> None:
        self.unit, self._path, self._max_steps = unit, path, max_steps
        self._columns = ("step", f"train_{unit.name}", f"valid_{unit.name}", "lr", "grad_norm", "tokens_per_second")
        self._tokens, self._since = 0, time.monotonic()
        self._valid: float | None = None
        self._started_step, self._started = 0, time.monotonic()
        self._next_line = 0
        self._bar: tuple[Progress, TaskID] | None = None

    def start(self, step: int) -> None:
        """Begin at a step: keep the rows up to it, drop later ones."""
        rows = [row for row in read_metrics(self._path) if int(row["step"]) <= step]
        write_text(self._path, self._as_csv(rows, header=True))
        self._started_step, self._started, self._since = step, time.monotonic(), time.monotonic()
        if sys.stderr.isatty():
            progress = Progress(
                TextColumn("step {task.completed}/{task.total}"), BarColumn(), TextColumn("{task.description}"),
                TextColumn("ETA"), TimeRemainingColumn(), transient=True,
            )  # fmt: skip
            progress.start()
            self._bar = (progress, progress.add_task("", total=self._max_steps, completed=step))

    def count(self, tokens: int) -> None:
        """Note the tokens of one more step."""
        self._tokens += tokens
        if self._bar is not None:
            self._bar[0].advance(self._bar[1])

    def write(self, *, step: int, train: float, valid: float | None, lr: float, grad_norm: float) -> dict[str, float]:
        """Append a row and show it; floats are written with every digit, so that runs can be compared exactly.

        Args:
            train, valid: loss of the step, and of the validation after it, in the unit.

        Returns:
            What is known of the row, by column, without the step.

        Raises:
            ResourceError: the disk is full; what was written before stays whole.
        """
        rate = self._tokens / max(1e-9, time.monotonic() - self._since)
        self._tokens, self._since = 0, time.monotonic()
        values = (step, train, valid, lr, grad_norm, round(rate))
        row = {name: "" if value is None else repr(value) for name, value in zip(self._columns, values, strict=True)}
        self._append(self._as_csv([row], header=False))
        if valid is not None:
            self._valid = valid
        self._show(step, train, rate, validated=valid is not None)
        known = zip(self._columns[1:], values[1:], strict=True)
        return {name: value for name, value in known if value is not None}

    def stop(self) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar[0].stop()
            self._bar = None

    def _append(self, row: str) -> None:
        size = self._path.stat().st_size
        try:
            with self._path.open("a", newline="") as file:
                file.write(row)
        except OSError as error:
            os.truncate(self._path, size)  # the next row must not continue half of this one
            raise unwritable(error, self._path) from error

    def _show(self, step: int, train: float, rate: float, *, validated: bool) -> None:
        valid = "" if self._valid is None else f"  valid {self._valid:.4f}"
        text = f"train {train:.4f} (one step, noisy){valid} {self.unit.text}  {rate:,.0f} tokens/s"
        if self._bar is not None:
            self._bar[0].update(self._bar[1], description=text)
        if validated or step >= self._next_line:
            self._next_line = min(self._max_steps, step + self._max_steps // LINES)
            seconds = (time.monotonic() - self._started) / max(1, step - self._started_step) * (self._max_steps - step)
            level = logging.INFO if self._bar is None else logging.DEBUG  # beside a bar, for the file alone
            log.log(level, "step %d/%d  %s  ETA %d:%02d", step, self._max_steps, text, *divmod(round(seconds), 60))

    def _as_csv(self, rows: list[dict[str, str]], *, header: bool) -> str:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, self._columns, lineterminator="\n")
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return buffer.getvalue()


def read_metrics(path: Path) -> list[dict[str, str]]:
    """Rows of a metrics.csv, without a last line that a killed run left unfinished; none where there is no file."""
    if not path.is_file():
        return []
    text = path.read_text()
    rows = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]))
    return [row for row in rows if None not in row.values() and row["step"].isdigit()]


def curve(rows: list[dict[str, str]], column: str) -> list[tuple[int, float]]:
    """(step, value) of a column of metrics.csv, where it has a value."""
    return [(int(row["step"]), float(row[column])) for row in rows if row[column]]
