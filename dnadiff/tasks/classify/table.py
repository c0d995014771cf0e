"""The table of a classification: what is finished so far, beside the papers' figures, with all that is assumed."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dnadiff.errors import InputError
from dnadiff.files import write_text
from dnadiff.inference.scores import Figure, Predictions, Scores, figures
from dnadiff.rng import Stream, numpy_generator
from dnadiff.tasks.classify.pictures import NAMES, draw
from dnadiff.tasks.classify.settings import ClassifyConfig
from dnadiff.tasks.classify.units import Result, planned, read

UNRELATED = "on unrelated test rows"


class Row(NamedTuple):
    """One line: a method on one set.

    Attributes:
        set_name, model: what is scored.
        figures: by name of the score.
        n_done, n_planned: units.
        n_test: rows that are tested on, those of all folds together.
        learnt: how much of what there is to learn from was used, in words.
        minutes: of all its units.
    """

    set_name: str
    model: str
    figures: Mapping[str, Figure]
    n_done: int
    n_planned: int
    n_test: int
    learnt: str
    minutes: float


def write_table(settings: ClassifyConfig, out: Path, set_names: Sequence[str], *, pictures: bool) -> str:
    """Write table.md and table.tsv of all that is finished, and on request pictures of each set; returns the text.

    Raises:
        InputError: a unit is damaged, or units of a set are of different data.
    """
    rows: list[Row] = []
    for name in sorted({*set_names, *_finished(out)}):
        results = _results(settings, out, name)
        rows += [row for method, some in results.items() for row in _rows(settings, name, method, some)]
        if results and pictures:
            draw(out / name / "plots", name, settings.method, results)
    text = as_markdown(settings, rows)
    write_text(out / "table.md", text)
    write_text(out / "table.tsv", as_tsv(rows))
    return text


def as_markdown(settings: ClassifyConfig, rows: Sequence[Row]) -> str:
    """The table for a person."""
    lines = ["| set | model | accuracy | max - min | MCC | AUROC | AUPRC | units | rows | learnt from | minutes |"]
    lines.append("|---" * 11 + "|")
    for name in dict.fromkeys(row.set_name for row in rows):
        lines += [_line(row) for row in rows if row.set_name == name]
        for model, figure in settings.of_set(name).papers.items():
            mean, _, spread = figure.partition("±")
            lines.append(f"| {_cell(name)} | paper: {_cell(model)} | {mean.strip()} | {spread.strip()} |{' |' * 7}")
    notes = [
        "",
        f"Protocol: {settings.protocol.kind}. Intervals are 95 %, over groups of related test rows and, where there is "
        "more than one, over seeds; max - min is over units, and for papers what they print after ±.",
    ]
    for row in rows:
        value, low, high = row.figures["mcc"].mean
        if row.model == NAMES["permuted"] and row.n_done > 1 and not low <= 0 <= high:  # one may be anything
            notes += [
                "",
                f"{_cell(row.set_name)}: the MCC of the control, {value:.3f}, is not at chance, as happens to one "
                "in twenty without a cause. If other seeds agree, scores of this set are not of classes alone.",
            ]
    if settings.assumptions:
        notes += ["", "Assumed:", "", *(f"- {text}" for text in settings.assumptions)]
    return "\n".join([*lines, *notes, ""])


def as_tsv(rows: Sequence[Row]) -> str:
    """The table for a program."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter="\t", lineterminator="\n")
    columns = [f"{name}{part}" for name in Scores._fields for part in ("", "_low", "_high", "_spread")]
    writer.writerow(["set", "model", *columns, "units", "planned", "test_rows", "learnt_from", "minutes"])
    for row in rows:
        values = [f"{x:.6f}" for figure in row.figures.values() for x in (*figure.mean, figure.spread)]
        tail = [row.n_done, row.n_planned, row.n_test, row.learnt, f"{row.minutes:.2f}"]
        writer.writerow([row.set_name, row.model, *values, *tail])
    return buffer.getvalue()


def _finished(out: Path) -> list[str]:
    """Sets of which the folder holds a unit."""
    return sorted({path.parents[2].name for path in out.glob("*/*/fold-*/result.json")})


def _results(settings: ClassifyConfig, out: Path, name: str) -> dict[str, list[Result]]:
    """Finished units by method, in the order of the plan."""
    found: dict[str, list[Result]] = {}
    for unit in planned(settings, name):
        if result := read(out, unit):
            found.setdefault(unit.method, []).append(result)
    if len({result.facts["data"] for some in found.values() for result in some}) > 1:
        raise InputError(f"{out / name}: holds units of different data; remove those that are old")
    return found


def _rows(settings: ClassifyConfig, name: str, method: str, results: Sequence[Result]) -> list[Row]:
    """The line of a method, and for the method itself a second one where some test rows are related to learnt ones."""
    n_planned = sum(unit.method == method for unit in planned(settings, name))
    facts = results[0].facts
    learnt = f"{facts['n_learnt']:,} of {facts['n_available']:,} rows"
    if "steps" in facts:
        learnt += f", epochs: {facts['epochs']}"
    model = NAMES[method]
    if method == settings.method:
        model = f"{type(settings.model).__name__}{_size(facts)}, {_how(settings)}"
    minutes = sum(result.facts["minutes"] for result in results)
    predicted = [result.predictions for result in results]
    n_test = len({name for result in results for name in result.names})
    rows = [Row(name, model, _figures(predicted), len(results), n_planned, n_test, learnt, minutes)]
    unrelated = [_take(result.predictions, ~result.is_related) for result in results]
    n_unrelated = max(len(each.label) for each in unrelated)
    if method == settings.method and any(result.is_related.any() for result in results) and n_unrelated:
        rows.append(Row(name, UNRELATED, _figures(unrelated), len(results), n_planned, n_unrelated, learnt, 0.0))
    return rows


def _size(facts: Mapping[str, object]) -> str:
    return f" of {facts['parameters']:,}" if "parameters" in facts else ""


def _how(settings: ClassifyConfig) -> str:
    if settings.method == "probe":
        return f"{NAMES['probe']} of {settings.origin}"
    return f"trained from {settings.origin}" if settings.init == "none" else f"fine-tuned from {settings.origin}"


def _take(predicted: Predictions, chosen: np.ndarray) -> Predictions:
    return Predictions(
        predicted.seed, predicted.group[chosen], predicted.label[chosen], predicted.probabilities[chosen]
    )


def _figures(predicted: Sequence[Predictions]) -> dict[str, Figure]:
    return figures([each for each in predicted if len(each.label)], numpy_generator(0, Stream.BOOTSTRAP))


def _line(row: Row) -> str:
    accuracy = row.figures["accuracy"]
    cells = [row.set_name, row.model, _interval(accuracy), f"{accuracy.spread:.3f}"]
    cells += [_interval(row.figures[name]) for name in ("mcc", "auroc", "auprc")]
    cells += [f"{row.n_done} of {row.n_planned}", f"{row.n_test:,}", row.learnt, f"{row.minutes:.1f}"]
    return f"| {' | '.join(map(_cell, cells))} |"


def _interval(figure: Figure) -> str:
    value, low, high = figure.mean
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")
