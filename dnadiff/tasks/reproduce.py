"""`dnadiff reproduce`: train every row of a published table, and write it with the paper's figures beside ours."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import typer
from pydantic import Field

from dnadiff import config
from dnadiff.config import Settings
from dnadiff.errors import InputError, counted, nearest
from dnadiff.files import write_text
from dnadiff.run import RunFolder
from dnadiff.tasks import evaluate, train, zeroshot
from dnadiff.tasks.settings import TrainConfig, resolve
from dnadiff.training.metrics import read_metrics

log = logging.getLogger("dnadiff")
FOLDER = "tables"


class Row(Settings):
    """A model of a table."""

    name: str
    """Of its run folder, and in the table."""
    settings: Mapping[str, Any] = Field(default_factory=dict)
    """Dotted settings on top of the table's preset."""
    after: str | None = None
    """Row whose model it starts from; none: random weights."""
    of: str | None = None
    """Row whose model it measures again, by its own evaluate.* settings; none: it trains one."""
    passes: float = Field(1.0, gt=0)
    """Passes through the network for every window of a training step."""
    paper: str | None = None
    """The published figure, as printed; none: only trained for others to start from."""


class Table(Settings):
    """What a published table says, and how to repeat it."""

    title: str
    """What the figures are."""
    source: str
    """Paper and table."""
    preset: str
    """What every row is trained by."""
    settings: Mapping[str, Any] = Field(default_factory=dict)
    """Dotted settings of every row."""
    zeroshot: str | None = None
    """List of corpora that every trained row is also scored on, where their folder is given."""
    rows: tuple[Row, ...]
    """In the order in which they are trained and listed."""
    assumptions: tuple[str, ...] = ()
    """What is assumed beyond the preset's own assumptions."""


class Result(NamedTuple):
    """A finished row."""

    row: Row
    parameters: int
    tokens: int
    minutes: float
    numbers: Mapping[str, Any]  # of results.json
    zeroshot: Mapping[str, Mapping[str, Any]] = {}  # the same by corpus


def names() -> list[str]:
    """Tables that ship with the package."""
    return sorted(path.stem for path in (config.presets_folder() / FOLDER).glob("*.yaml"))


def read(name: str) -> Table:
    """A shipped table, or one from a YAML file.

    Raises:
        InputError: there is none of that name, or it makes no sense.
    """
    if name not in names() and not Path(name).is_file():
        raise InputError(f"no table {name!r}{nearest(name, names())}; there are: {', '.join(names())}")
    table = config.resolve(Table, f"{FOLDER}/{name}" if name in names() else name)
    known = [row.name for row in table.rows]
    trained = [row.name for row in table.rows if row.of is None]
    for number, row in enumerate(table.rows):
        if row.after is not None and row.after not in known[:number]:
            raise InputError(f"{name}: row {row.name!r} starts from {row.after!r}, which is no row above it")
        if row.of is not None and (row.of not in known[:number] or row.of not in trained):
            raise InputError(f"{name}: row {row.name!r} measures {row.of!r}, which is no trained row above it")
        if row.of is not None and not all(key.startswith("evaluate.") for key in row.settings):
            raise InputError(f"{name}: row {row.name!r} measures a trained model; it can only set evaluate.*")
    return table


def plan(table: Table, scale: float, words: Sequence[str], flags: Mapping[str, Any], out: Path) -> list[TrainConfig]:
    """The settings of every row; errors in any of them show before the first one trains.

    Args:
        scale: share of the preset's tokens; steps and batch shrink by its square root each.
    """
    planned = []
    own = {row.name: row.settings for row in table.rows}
    for row in table.rows:
        wanted = {**table.settings, **own.get(row.of or "", {}), **row.settings}
        given = [f"{key}={_word(value)}" for key, value in wanted.items()]
        settings = resolve(table.preset, [*given, *words], {**flags, "sample.n": 0})
        settings = _scaled(settings, scale)
        if row.after is not None:
            settings = settings.model_copy(update={"init": str((out / row.after).absolute())})
        planned.append(settings)
    return planned


def run(table: Table, planned: Sequence[TrainConfig], out: Path, *, scale: float, corpora: Path | None = None) -> None:
    """Train what is not finished, and write table.md and table.json after every row.

    Args:
        corpora: folder of the corpora that rows are scored on without having learnt from them.

    Raises:
        InputError: a corpus is asked for of a table without a list of them, or none is there.
    """
    listed = _listed(table, corpora)
    results: list[Result] = []
    for row, settings in zip(table.rows, planned, strict=True):
        folder = out / row.name
        if row.of is not None:
            evaluate.run(settings, out / row.of, str(folder / "results.json"))  # what was drawn before is kept
        elif (folder / "results.json").is_file():
            RunFolder(folder).claim(settings)  # refuses a row of other settings
        else:
            log.info("%s", row.name)
            train.run(settings, folder)
        result = _result(row, settings, out)
        if listed is not None and corpora is not None and row.of is None:
            result = result._replace(zeroshot=zeroshot.measure(listed, folder, corpora, [], folder / "zeroshot"))
        results.append(result)
        text = as_markdown(table, results, scale=scale, planned=planned)
        write_text(out / "table.md", text)
        write_text(out / "table.json", json.dumps([_as_json(result) for result in results], indent=2))
    typer.echo(text)


def _listed(table: Table, corpora: Path | None) -> zeroshot.ZeroShot | None:
    """The corpora of the table that are there, at least one."""
    if corpora is None:
        return None
    if table.zeroshot is None:
        raise InputError(f"--data {corpora}: this table has no list of corpora (zeroshot: NAME); leave --data out")
    listed = zeroshot.read(table.zeroshot)
    return listed.model_copy(update={"corpora": tuple(zeroshot.present(listed, corpora))})  # the others are told once


def dry_run(table: Table, planned: Sequence[TrainConfig]) -> str:
    """What `run` would train, and for how long, from a timed step of every row."""
    lines, total = [f"{table.title} ({table.source})"], 0.0
    for row, settings in zip(table.rows, planned, strict=True):
        if row.of is not None:
            lines.append(f"{row.name}: the model of {row.of}, {', '.join(f'{k}={v}' for k, v in row.settings.items())}")
            continue
        how = settings.train
        from_nothing = settings.model_copy(update={"init": "none"})  # what it starts from may not be trained yet
        seconds = train.dry_run(from_nothing)["seconds_per_step"] * how.max_steps
        total += seconds
        steps, tokens = counted(how.max_steps, "step"), how.max_steps * how.batch_size * settings.data.length
        lines.append(
            f"{row.name}: {settings.objective.kind} on {settings.model.kind}, {steps} of "
            f"{counted(how.batch_size, 'window')}, {counted(tokens, settings.data.letter)}, about {_time(seconds)}"
            + (f", after {row.after}" if row.after else "")
        )
    return "\n".join([*lines, f"training of all rows on this CPU: about {_time(total)}; evaluation not counted"])


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def as_markdown(table: Table, results: Sequence[Result], *, scale: float, planned: Sequence[TrainConfig]) -> str:
    """The table, its baselines, and everything that was assumed."""
    letter = planned[0].data.letter
    lines = [f"# {table.title}", "", f"{table.source}; scale {scale:g} of its training.", ""]
    lines += [f"| model | paper | bits per {letter} | perplexity | parameters | {letter}s | passes | minutes |"]
    lines += ["|---" * 8 + "|"]
    lines += [_as_row(result, letter) for result in results if result.row.paper is not None]
    numbers = results[0].numbers
    scored = f"{numbers['n_windows']:,} windows of {numbers['split']}, {counted(numbers['n_scored'], letter)}"
    lines += ["", f"{_baselines(numbers)}. Scored: {scored}.", ""]
    lines += ["Intervals are 95 %; passes are through the network, per window and training step.", ""]
    lines += _zeroshot_lines(results)
    assumed = dict.fromkeys([*table.assumptions, *(each for settings in planned for each in settings.assumptions)])
    return "\n".join([*lines, "Assumed:", "", *(f"- {text}" for text in assumed), ""])


def _zeroshot_lines(results: Sequence[Result]) -> list[str]:
    """Perplexity and bits per character of every row on every corpus; nothing where there are none."""
    scored = [result for result in results if result.zeroshot]
    if not scored:
        return []
    lines = ["Zero-shot: perplexity per token, and bits per character.", ""]
    lines += [f"| {' | '.join(['model', *scored[0].zeroshot])} |", "|---" * (1 + len(scored[0].zeroshot)) + "|"]
    for result in scored:
        cells = ["; ".join(zeroshot.figures(numbers)) for numbers in result.zeroshot.values()]
        lines.append(f"| {' | '.join([result.row.name, *cells])} |")
    return [*lines, ""]


def _baselines(numbers: Mapping[str, Any]) -> str:
    if "markov" not in numbers:
        return f"Unigrams on the same windows: {numbers['unigram']:.3f} bits per {numbers['letter']}"
    orders = ", ".join(f"{order}: {bits:.3f}" for order, bits in enumerate(numbers["markov"]))
    return f"Markov chains on the same windows, bits per base by order: {orders}"


def _scaled(settings: TrainConfig, scale: float) -> TrainConfig:
    """Fewer steps of fewer windows; what happens every so many steps happens as often over the run."""
    root = math.sqrt(scale)
    how = settings.train
    update = {name: max(1, round(getattr(how, name) * root)) for name in _COUNTED}
    if how.micro_batch is not None:
        update["micro_batch"] = min(how.micro_batch, update["batch_size"])
    return settings.model_copy(update={"train": how.model_copy(update=update)})


_COUNTED = ("max_steps", "batch_size", "validate_every", "checkpoint_every", "log_every")


def _result(row: Row, settings: TrainConfig, out: Path) -> Result:
    folder = out / (row.of or row.name)  # of what was trained
    manifest = json.loads((folder / "manifest.json").read_text())
    numbers = json.loads((out / row.name / "results.json").read_text())
    per_step = settings.train.batch_size * settings.data.length
    seconds, before = 0.0, 0
    for logged in read_metrics(folder / "metrics.csv"):
        if logged["tokens_per_second"]:
            seconds += (int(logged["step"]) - before) * per_step / float(logged["tokens_per_second"])
            before = int(logged["step"])
    return Result(row, manifest["parameters"], per_step * settings.train.max_steps, seconds / 60, numbers)


def _as_row(result: Result, letter: str) -> str:
    cells = [result.row.name, str(result.row.paper)]
    for name, digits in ((f"bits_per_{letter}", 4), ("perplexity", 3)):
        figure = result.numbers[name]
        cells.append(f"{figure['value']:.{digits}f} [{figure['low']:.{digits}f}, {figure['high']:.{digits}f}]")
    cells += [f"{result.parameters:,}", f"{result.tokens:,}", f"{result.row.passes:g}", f"{result.minutes:.1f}"]
    return f"| {' | '.join(cells)} |"


def _as_json(result: Result) -> dict[str, Any]:
    return {**result.row.model_dump(), **result._asdict(), "row": result.row.name}


def _word(value: Any) -> str:
    """A value as a word of the command line writes it."""
    return value if isinstance(value, str) else json.dumps(value)
