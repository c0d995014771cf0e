"""Verbs that train."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from dnadiff.cli.app import app
from dnadiff.cli.shared import (
    Bed,
    DryRun,
    Force,
    Init,
    KeepGoing,
    Out,
    PrintConfig,
    Ref,
    Words,
    do,
    presets_of,
    split_words,
    start_of,
)
from dnadiff.errors import InputError

log = logging.getLogger("dnadiff")


@app.command(rich_help_panel="Training")
def finetune(
    words: Words = None,
    ref: Ref = None,
    init: Init = None,
    bed: Bed = None,
    out: Out = None,
    keep_going: KeepGoing = False,
    force: Force = False,
    dry_run: DryRun = False,
    print_config: PrintConfig = False,
) -> None:
    """Train a diffusion model on windows of a genome, or on text, then evaluate it and sample from it.

    With --ref and no preset it starts from the model that ships, where one does; a preset starts as it says.

    Examples: dnadiff finetune | dnadiff finetune --ref hg38.fa | dnadiff finetune dna/hg38 --ref hg38.fa --bed rows.bed
    | dnadiff finetune text/small data.path=book.txt --init runs/owt
    """
    default = "dna/toy" if ref is None else "dna/tiny"
    if ref is not None and all("=" in word for word in words or []):
        init = start_of(init, words)
    flags = {"data.ref": ref, "data.windows": bed, "init": init, "train.keep_going": keep_going or None}
    _train("finetune", words, default, out, dry_run, print_config, flags, force=force)


@app.command(rich_help_panel="Training")
def train(
    words: Words = None,
    ref: Ref = None,
    bed: Bed = None,
    out: Out = None,
    keep_going: KeepGoing = False,
    force: Force = False,
    dry_run: DryRun = False,
    print_config: PrintConfig = False,
) -> None:
    """Train a preset from random weights, on a genome or on text.

    Examples: dnadiff train dna/hg38 --ref hg38.fa | dnadiff train text/small data.path=book.txt
    """
    flags = {"data.ref": ref, "data.windows": bed, "train.keep_going": keep_going or None}
    _train("train", words, "dna/toy", out, dry_run, print_config, flags, force=force)


@app.command(rich_help_panel="Training")
def reproduce(
    table: Annotated[str, typer.Argument(help="hg38-table, owt-table, ..., or a YAML file; see `dnadiff presets`.")],
    words: Annotated[
        list[str] | None, typer.Argument(help="Settings of every row (data.length=512).", metavar="[KEY=VALUE]...")
    ] = None,
    ref: Ref = None,
    bed: Bed = None,
    scale: Annotated[
        float, typer.Option("--scale", help="Share of the training; steps and batch shrink by its square root.")
    ] = 1.0,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of all rows. Default: runs/TABLE. The same command goes on."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of corpora: adds zero-shot figures to a table of text.")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Train every row of a published table and write it with the paper's figures beside ours.

    Examples: dnadiff reproduce hg38-table --ref hg38.fa --scale 0.01 |
    dnadiff reproduce text-objectives data.path=books --data data
    """
    from dnadiff.tasks import reproduce as task

    if not 0 < scale <= 1:
        raise typer.BadParameter(f"--scale {scale:g}: give a share above 0, at most 1")
    chosen, folder = task.read(table), out or Path("runs") / Path(table).stem
    planned = task.plan(chosen, scale, words or [], {"data.ref": ref, "data.windows": bed}, folder)
    if dry_run:
        log.info("timing a training step of every row")
        typer.echo(task.dry_run(chosen, planned))
    else:
        task.run(chosen, planned, folder, scale=scale, corpora=data)


@app.command(rich_help_panel="Using a model")
def classify(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="genomic_benchmarks, glue, one set of them (glue/CoLA), or a table or folder; and settings "
            "(train.epochs=2).",
            metavar="[SET] [KEY=VALUE]...",
        ),
    ] = None,
    ref: Annotated[
        str | None, typer.Option("--ref", help="Genome of sets that are lists of places; more with data.refs.CLASS=.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", help="Folder of genomic_benchmarks, or of glue. Default: the one of that name in data."),
    ] = None,
    init: Init = None,
    protocol: Annotated[
        str | None, typer.Option("--protocol", help="strict (default) or paper; glue for GLUE; or a YAML file.")
    ] = None,
    folds: Annotated[int | None, typer.Option("--folds", help="Folds of the strict protocol.")] = None,
    seeds: Annotated[int | None, typer.Option("--seeds", help="Runs of each fold.")] = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Logistic regression on the network's features, in place of fine-tuning.")
    ] = False,
    scale: Annotated[
        float | None, typer.Option("--scale", help="Rows to learn from: a share up to 1, or a number above.")
    ] = None,
    shard: Annotated[
        str, typer.Option("--shard", help="Run a share, such as 2/8; all meet in the same --out.")
    ] = "1/1",
    jobs: Annotated[int, typer.Option("--jobs", help="Processes that share the work.", min=1)] = 1,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder. Default: runs/classify-.... The same command goes on where it stopped."
        ),
    ] = None,
    dry_run: DryRun = False,
    print_config: PrintConfig = False,
) -> None:
    """Classify labelled sequences, or sentences, by the papers' protocol or a sound one, beside baselines.

    Examples: dnadiff classify genomic_benchmarks --init runs/hg38 --protocol paper | dnadiff classify my.csv --probe |
    dnadiff classify glue --data GLUE --init runs/owt
    """
    from dnadiff.tasks.classify.settings import resolve

    (what, *networks), overrides = split_words(words, "genomic_benchmarks")
    protocols = ["glue"] if what.partition("/")[0] == "glue" else ["strict", "paper"]
    chosen = (protocol or protocols[0]).removeprefix("classify/")
    named = chosen in protocols
    if named and not networks and chosen != "glue":
        init = start_of(init, words)
    flags = {
        "data.ref": ref, "init": init, "protocol.folds": folds, "seeds": seeds, "scale": scale,
        "method": "probe" if probe else None,
    }  # fmt: skip
    if not (named or chosen.endswith((".yaml", ".yml"))):
        raise InputError(f"--protocol {protocol}: is not {', '.join(protocols)}, or a YAML file")
    preset = f"classify/{chosen}" if named else chosen
    settings = resolve([preset, *networks], overrides, flags)
    if print_config:
        do(settings, True, None, None)
        return
    _say_start(settings.init)
    from dnadiff.inference.draws import Shard
    from dnadiff.tasks.classify import run as task

    sets, whole_folder = task.find(what, data, settings)
    plan = task.Plan(settings, sets, whole_folder, out or task.default_out(settings), Shard.parse(shard))
    do(settings, False, dry_run and (lambda: task.dry_run(plan)), lambda: task.run(plan, jobs=jobs))


def _train(
    verb: str, words: list[str] | None, default: str, out: Path | None, dry_run: bool, print_config: bool,
    flags: dict[str, Any], *, force: bool,
) -> None:  # fmt: skip
    presets, overrides = presets_of(words, default)
    from dnadiff.tasks.settings import resolve  # loads torch, for which a mistake in a name need not wait

    settings = resolve(presets, overrides, flags)
    folder = out or Path("runs") / (settings.data.name or Path(presets[0]).stem)
    if print_config:
        do(settings, True, None, None)
        return
    _say_start(settings.init)
    log.info("timing a training step; nothing is written" if dry_run else "opening the data")
    from dnadiff.tasks import train as task  # loads Lightning, for which no mistake need wait

    do(
        settings,
        False,
        dry_run and (lambda: task.describe(task.dry_run(settings))),
        lambda: task.run(settings, folder, force=force),
    )


def _say_start(init: str) -> None:
    if init != "none":
        log.info("starting from %s; --init none starts from random weights", init)
