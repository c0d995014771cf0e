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
from dnadiff.inference.scores import TITLES, Figure, Predictions, figures
from dnadiff.rng import Stream, numpy_generator
from dnadiff.shown import cell, printable
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
    names = list(dict.fromkeys(row.set_name for row in rows))
    wanted = {name: settings.of_set(name).figures for name in names}
    columns = [title for title in TITLES if any(title in some for some in wanted.values())]
    first, *others = [TITLES[name] for name in columns] or ["figures"]
    lines = [_joined(["set", "model", first, "max - min", *others, "units", "rows", "learnt from", "minutes"])]
    lines.append("|---" * lines[0].count(" | ") + "|---|")
    for name in names:
        figure = wanted[name][0]
        lines += [_line(row, columns, wanted[name]) for row in rows if row.set_name == name]
        for model, text in settings.of_set(name).papers.items():
            mean, _, spread = (part.strip() for part in text.partition("±"))
            lines.append(_joined([name, f"paper: {model}", *_spread_out({figure: mean}, spread, columns), *[""] * 4]))
    notes = [
        "",
        f"Protocol: {settings.protocol.kind}. Intervals are 95 %, over groups of related test rows and, where there is "
        "more than one, over seeds; max - min is over units, of the figure that papers print with theirs behind a ±.",
    ]
    for row in rows:
        known = "mcc" if "mcc" in row.figures else "pearson"  # of which chance is 0
        value, low, high = row.figures[known].mean
        if row.model == NAMES["permuted"] and row.n_done > 1 and not low <= 0 <= high:  # one may be anything
            notes += [
                "",
                f"{_cell(row.set_name)}: the {TITLES[known]} of the control, {value:.3f}, is not at chance, as happens "
                "to one in twenty without a cause. If other seeds agree, scores of this set are not of classes alone.",
            ]
    if settings.assumptions:
        notes += ["", "Assumed:", "", *(f"- {text}" for text in settings.assumptions)]
    return "\n".join([*lines, *notes, ""])


def as_tsv(rows: Sequence[Row]) -> str:
    """The table for a program."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter="\t", lineterminator="\n")
    names = [name for name in TITLES if any(name in row.figures for row in rows)]
    columns = [f"{name}{part}" for name in names for part in ("", "_low", "_high", "_spread")]
    writer.writerow(["set", "model", *columns, "units", "planned", "test_rows", "learnt_from", "minutes"])
    for row in rows:
        values: list[str] = []
        for name in names:
            figure = row.figures.get(name)
            values += [""] * 4 if figure is None else [f"{x:.6f}" for x in (*figure.mean, figure.spread)]
        tail = [row.n_done, row.n_planned, row.n_test, row.learnt, f"{row.minutes:.2f}"]
        writer.writerow([cell(row.set_name), cell(row.model), *values, *tail])
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
    """The line of a method; of the method itself also parts of the test rows, and those unrelated to learnt ones."""
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
    if method != settings.method:
        return rows
    chosen = {f"on {part}": [_of_part(result, part) for result in results] for part in settings.of_set(name).parts}
    if any(result.is_related.any() for result in results):
        chosen[UNRELATED] = [~result.is_related for result in results]
    for title, masks in chosen.items():
        some = [_take(result.predictions, mask) for result, mask in zip(results, masks, strict=True)]
        if n_test := max(len(each.label) for each in some):
            rows.append(Row(name, title, _figures(some), len(results), n_planned, n_test, learnt, 0.0))
    return rows


def _of_part(result: Result, part: str) -> np.ndarray:
    """(rows,) bool: whether a test row is of the file of that name."""
    return np.array([name.startswith(f"{part}.") for name in result.names])


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


def _line(row: Row, columns: Sequence[str], wanted: Sequence[str]) -> str:
    texts = {name: _interval(row.figures[name]) for name in wanted}
    cells = [row.set_name, row.model, *_spread_out(texts, f"{row.figures[wanted[0]].spread:.3f}", columns)]
    return _joined([*cells, f"{row.n_done} of {row.n_planned}", f"{row.n_test:,}", row.learnt, f"{row.minutes:.1f}"])


def _spread_out(texts: Mapping[str, str], spread: str, columns: Sequence[str]) -> list[str]:
    """Cells of the figures, and behind the first column that of how far a set's first figure varies."""
    first, *others = (texts.get(name, "") for name in columns)
    return [first, spread, *others]


def _joined(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _interval(figure: Figure) -> str:
    value, low, high = figure.mean
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _cell(text: str) -> str:
    return printable(text.replace("|", r"\|").replace("\n", " "))
