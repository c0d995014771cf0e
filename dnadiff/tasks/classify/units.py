"""The units that a table is made of: one method on one fold with one seed, a folder each, written whole or not at all.

A unit whose folder is there is finished and never done again. Processes that share the folder, on one machine or
several, take what nobody holds.
"""

from __future__ import annotations

import csv
import fcntl
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnadiff.errors import InputError
from dnadiff.files import TEMPORARY, unfinished
from dnadiff.inference.scores import Predictions
from dnadiff.shown import cell
from dnadiff.tasks.classify.settings import ClassifyConfig, Paper

RESULT, PREDICTIONS, MODEL = "result.json", "predictions.tsv", "model"
DIGITS = 6  # of a probability


class Unit(NamedTuple):
    """What is run.

    Attributes:
        set_name: of the labelled set.
        method: finetune, probe, or a baseline's name.
        fold, seed: from 1.
    """

    set_name: str
    method: str
    fold: int
    seed: int

    def folder(self, out: Path) -> Path:
        """Where its result is."""
        return out / self.set_name / self.method / f"fold-{self.fold}.seed-{self.seed}"

    def __str__(self) -> str:
        return f"{self.set_name} {self.method}, fold {self.fold}, seed {self.seed}"


def planned(settings: ClassifyConfig, set_name: str) -> list[Unit]:
    """All units of a set, the method's first; the control takes one fold, with a permutation for each seed."""
    n_folds = 1 if isinstance(settings.protocol, Paper) else settings.protocol.folds
    found = []
    for method in (settings.method, *settings.baselines):
        seeds, folds = (settings.permutations, 1) if method == "permuted" else (settings.seeds, n_folds)
        found += [Unit(set_name, method, fold, seed) for seed in range(1, seeds + 1) for fold in range(1, folds + 1)]
    return found


@dataclass(frozen=True)
class Result:
    """A finished unit.

    Attributes:
        unit: what was run.
        facts: of result.json.
        names: (rows,) of the test rows.
        is_related: (rows,) whether a test row is identical or similar to one learnt from, or overlaps it.
        predictions: of the test rows.
    """

    unit: Unit
    facts: dict[str, Any]
    names: list[str]
    is_related: NDArray[np.bool_]
    predictions: Predictions


def write(out: Path, result: Result, save_model: Callable[[Path], None] | None) -> None:
    """Write a unit's folder, all or nothing, with its model where there is one to save."""
    with unfinished(result.unit.folder(out)) as folder:
        folder.mkdir(parents=True)
        (folder / RESULT).write_text(json.dumps(result.facts, indent=2))
        _write_predictions(folder / PREDICTIONS, result)
        if save_model is not None:
            save_model(folder / MODEL)


def read_facts(out: Path, unit: Unit, fingerprint: str | None = None) -> dict[str, Any] | None:
    """What result.json says of a unit; None if it is not finished.

    Raises:
        InputError: it is damaged, or of other rows than have the fingerprint.
    """
    folder = unit.folder(out)
    if not (folder / RESULT).is_file():
        return None
    try:
        facts: dict[str, Any] = json.loads((folder / RESULT).read_text())
        data = str(facts["data"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"{folder}: damaged; remove it, and it is run again") from None
    if fingerprint not in (None, data):
        raise InputError(f"{folder}: is of other rows than are given now; restore them, or choose another --out")
    return facts


def read(out: Path, unit: Unit) -> Result | None:
    """A unit's result; None if it is not finished.

    Raises:
        InputError: it is damaged.
    """
    facts, path = read_facts(out, unit), unit.folder(out) / PREDICTIONS
    if facts is None:
        return None
    try:
        return _read_predictions(path, unit, facts)
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        raise InputError(f"{path.parent}: damaged; remove it, and it is run again") from None


@contextmanager
def held(out: Path, unit: Unit) -> Iterator[bool]:
    """Whether this process may run the unit now: it is not finished, and no other process is at it."""
    folder = unit.folder(out)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("a") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        for orphan in folder.parent.glob(f"{TEMPORARY}*-{folder.name}"):  # of a killed process that held the unit
            shutil.rmtree(orphan, ignore_errors=True)
        yield not (folder / RESULT).is_file()


def rounded(probabilities: np.ndarray) -> np.ndarray:
    """As they are written, so that figures before and after are the same."""
    return probabilities.round(DIGITS)


def _write_predictions(path: Path, result: Result) -> None:
    table, classes = result.predictions, result.facts["classes"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        columns = ["class", "predicted", *(cell(f"p({name})") for name in classes)]
        writer.writerow(["row", "group", "related", *(columns if classes else ["number", "predicted"])])
        best = table.probabilities.argmax(1)
        for at, name in enumerate(result.names):
            shown = [f"{value:.{DIGITS}f}" for value in table.probabilities[at]]
            if classes:
                shown = [*(cell(classes[number]) for number in (table.label[at], best[at])), *shown]
            else:
                shown = [repr(float(table.label[at])), *shown]
            writer.writerow([cell(name), int(table.group[at]), int(result.is_related[at]), *shown])


def _read_predictions(path: Path, unit: Unit, facts: dict[str, Any]) -> Result:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter="\t"))[1:]
    number = {cell(name): at for at, name in enumerate(facts["classes"])}
    first = 5 if number else 4  # column of what is predicted
    predictions = Predictions(
        unit.seed,
        group=np.array([int(row[1]) for row in rows], np.int64),
        label=np.array([number[row[3]] if number else float(row[3]) for row in rows]),
        probabilities=np.array([[float(text) for text in row[first:]] for row in rows]),
    )
    return Result(unit, facts, [row[0] for row in rows], np.array([row[2] == "1" for row in rows]), predictions)
