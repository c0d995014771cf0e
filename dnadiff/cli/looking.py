"""Verbs that look around."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from dnadiff.cli.app import app
from dnadiff.cli.shared import OF_OTHER_VERBS, Bed, DryRun, PrintConfig, Ref, Words, do, presets_of

log = logging.getLogger("dnadiff")


@app.command(rich_help_panel="Looking around")
def windows(
    words: Words = None,
    ref: Ref = None,
    bed: Bed = None,
    dry_run: DryRun = False,
    print_config: PrintConfig = False,
) -> None:
    """Count what would be trained on: windows per split and contig, share of N, GC; of text documents, rows and tokens.

    Examples: dnadiff windows --ref hg38.fa data.length=1024 | dnadiff windows text/small data.path=book.txt
    """
    presets, overrides = presets_of(words, "dna/toy" if ref is None else "dna/tiny")
    from dnadiff.tasks import windows as task
    from dnadiff.tasks.settings import resolve

    del dry_run  # this verb never writes; the flag is accepted as in the other verbs
    settings = resolve(presets, overrides, {"data.ref": ref, "data.windows": bed})
    if not print_config:
        log.info("counting windows")
    do(settings.data, print_config, None, lambda: task.run(settings))


@app.command(rich_help_panel="Looking around")
def audit(
    train: Annotated[str, typer.Argument(help="FASTA, table with a column sequence, BED or other list, folder.")],
    test: Annotated[str, typer.Argument(help="The same kinds; its rows are looked for in TRAIN.")],
    words: Annotated[
        list[str] | None, typer.Argument(help="Settings (overlap=0.5 similar=0.5).", metavar="[KEY=VALUE]...")
    ] = None,
    genome: Annotated[
        str | None, typer.Option("--genome", help="FASTA that lists of places are places on; adds their sequences.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="TSV to write: every leaking pair of rows.")] = None,
    fail_on_leak: Annotated[bool, typer.Option("--fail-on-leak", help="Exit with code 5 if a test row leaks.")] = False,
    dry_run: DryRun = False,
    print_config: PrintConfig = False,
) -> None:
    """Count the test rows that are in a training set: identical, on the other strand, overlapping, or similar.

    Examples: dnadiff audit train.csv test.csv | dnadiff audit train.bed test.bed | dnadiff audit hg38.fa samples.fa
    """
    from dnadiff.config import resolve
    from dnadiff.data.leakage.compare import Comparison
    from dnadiff.tasks import audit as task

    settings = resolve(Comparison, None, words or [])
    do(
        settings,
        print_config,
        dry_run and (lambda: task.dry_run(train, test, genome)),
        lambda: task.run(settings, train, test, genome, out, fail=fail_on_leak),
    )


@app.command(rich_help_panel="Looking around")
def bench(
    words: Annotated[
        list[str] | None, typer.Argument(help="Settings (width=256 length=4096).", metavar="[KEY=VALUE]...")
    ] = None,
    out: Annotated[str | None, typer.Option("--out", "-o", help="JSON to write; - prints it.")] = None,
    print_config: PrintConfig = False,
) -> None:
    """Time kernels, a training step and sampling on this machine, beside the reference in torch.

    Example: dnadiff bench --out bench.json
    """
    from dnadiff.config import resolve
    from dnadiff.tasks import bench as task

    settings = resolve(task.BenchSettings, None, words or [])
    do(settings, print_config, None, lambda: task.run(settings, out))


@app.command(rich_help_panel="Looking around")
def doctor() -> None:
    """Versions, devices, kernels, and which dnadiff comes first on the PATH."""
    log.info("looking at this machine, and trying every kernel")
    from dnadiff.tasks import doctor as task

    task.run()


@app.command(rich_help_panel="Looking around")
def presets() -> None:
    """List the presets that ship with the package, and what each is for."""
    from dnadiff.config import shipped

    others = {folder: f"{command} NAME" for folder, command in OF_OTHER_VERBS.items()}
    headings = {"model": "a network on top of one of those: dnadiff train dna/tiny NAME", **others}
    groups: dict[str, list[str]] = {"dnadiff train NAME, dnadiff finetune NAME": []}
    groups |= {heading: [] for heading in headings.values()}
    for name, says in shipped().items():
        folder, _, rest = name.partition("/")
        shown = rest if folder in others else name
        groups[headings.get(folder, next(iter(groups)))].append(f"  {shown:24} {says}")
    typer.echo("\n\n".join("\n".join([heading, *lines]) for heading, lines in groups.items()))
