"""metrics.csv and the progress line of a training run.

Unusual: a resumed run drops the rows after the step that it resumes from, so the file reads like an uninterrupted one.
"""

from __future__ import annotations

import csv
import io
import logging
import sys
import time
from pathlib import Path

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from dnadiff.files import write_text

COLUMNS = ("step", "train_bits", "valid_bits", "lr", "grad_norm", "tokens_per_second")
LINES = 20  # of progress over a run, besides validations
log = logging.getLogger("dnadiff")


class Metrics:
    """Rows of metrics.csv, flushed as they come; a bar on a terminal, plain lines elsewhere."""

    def __init__(self, path: Path, *, max_steps: int) -> None:
        self._path, self._max_steps = path, max_steps
        self._tokens, self._since = 0, time.monotonic()
        self._valid_bits: float | None = None
        self._started_step, self._started = 0, time.monotonic()
        self._next_line = 0
        self._bar: tuple[Progress, TaskID] | None = None

    def start(self, step: int) -> None:
        """Begin at a step: keep the rows up to it, drop later ones."""
        rows = [row for row in read_metrics(self._path) if int(row["step"]) <= step]
        write_text(self._path, _as_csv(rows, header=True))
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

    def write(self, *, step: int, train_bits: float, valid_bits: float | None, lr: float, grad_norm: float) -> None:
        """Append a row and show it; floats are written with every digit, so that runs can be compared exactly."""
        rate = self._tokens / max(1e-9, time.monotonic() - self._since)
        self._tokens, self._since = 0, time.monotonic()
        values = (step, train_bits, valid_bits, lr, grad_norm, round(rate))
        row = {name: "" if value is None else repr(value) for name, value in zip(COLUMNS, values, strict=True)}
        with self._path.open("a", newline="") as file:
            file.write(_as_csv([row], header=False))
        if valid_bits is not None:
            self._valid_bits = valid_bits
        self._show(step, train_bits, valid_bits, rate)

    def stop(self) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar[0].stop()
            self._bar = None

    def _show(self, step: int, train_bits: float, valid_bits: float | None, rate: float) -> None:
        valid = "" if self._valid_bits is None else f"  valid {self._valid_bits:.4f}"
        text = f"train {train_bits:.4f}{valid} bits/base  {rate:,.0f} tokens/s"
        if self._bar is not None:
            self._bar[0].update(self._bar[1], description=text)
        elif valid_bits is not None or step >= self._next_line:
            self._next_line = min(self._max_steps, step + self._max_steps // LINES)
            seconds = (time.monotonic() - self._started) / max(1, step - self._started_step) * (self._max_steps - step)
            log.info("step %d/%d  %s  ETA %d:%02d", step, self._max_steps, text, *divmod(round(seconds), 60))


def read_metrics(path: Path) -> list[dict[str, str]]:
    """Rows of a metrics.csv, without a last line that a killed run left unfinished; none where there is no file."""
    if not path.is_file():
        return []
    text = path.read_text()
    rows = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]))
    return [row for row in rows if None not in row.values() and row["step"].isdigit()]


def _as_csv(rows: list[dict[str, str]], *, header: bool) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
