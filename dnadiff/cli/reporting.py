"""The verb that reports on generated sequences."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dnadiff.cli.app import app
from dnadiff.cli.shared import DryRun, PrintConfig, do


@app.command(rich_help_panel="Using a model")
def report(
    source: Annotated[
        Path, typer.Argument(help="Run or checkpoint, or a file of samples (FASTA or a table).", show_default=False)
    ],
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="Settings (n=1000 markov_order=6), also of the data (data.exclude=[chrM]).", metavar="[KEY=VALUE]..."
        ),
    ] = None,
    samples: Annotated[
        str | None, typer.Option("--samples", help="Sequences in place of the run's own samples.")
    ] = None,
    real: Annotated[
        str | None, typer.Option("--real", help="Genome as FASTA to compare with. Default: that of the run.")
    ] = None,
    bed: Annotated[
        str | None,
        typer.Option("--bed", help="BED whose rows are its windows, the 4th column the split if it has one."),
    ] = None,
    motifs: Annotated[
        str | None, typer.Option("--motifs", help="JASPAR or MEME file of motifs whose matches are counted.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder. Default: report in the run, or beside the file.")
    ] = None,
    dry_run: DryRun = False,
    print_config: PrintConfig = False,
) -> None:
    """Compare generated sequences with real ones, each measure beside its floor: an HTML page, tables and pictures.

    Examples: dnadiff report runs/toy | dnadiff report samples.fa --real hg38.fa --motifs JASPAR.meme n=1000
    """
    from dnadiff.config import resolve
    from dnadiff.tasks import report as task
    from dnadiff.tasks.report_sets import ReportSettings

    of_data = [word for word in words or [] if word.startswith("data.")]
    settings = resolve(ReportSettings, None, [word for word in words or [] if word not in of_data])
    if print_config:
        do(settings, True, None, None)
        return
    asked = task.asked_of(source, samples, real, bed, of_data)
    do(
        settings,
        False,
        dry_run and (lambda: task.dry_run(settings, asked, motifs)),
        lambda: task.run(settings, asked, out, motifs),
    )
