"""The verb that tries every substitution."""

from __future__ import annotations

from typing import Annotated

import typer

from dnadiff.cli.app import app
from dnadiff.cli.shared import AnyRun, DryRun, PrintConfig, do, model_and_words
from dnadiff.errors import InputError


@app.command(rich_help_panel="Using a model")
def mutate(
    run: AnyRun = None,
    words: Annotated[
        list[str] | None, typer.Argument(help="Settings (window=512 motif_p=1e-5).", metavar="[KEY=VALUE]...")
    ] = None,
    fasta: Annotated[str | None, typer.Option("--ref", "--fasta", help="Genome, or sequence, as FASTA.")] = None,
    region: Annotated[
        str | None,
        typer.Option("--region", help="chr1:101-300, from 1, both ends included; or a contig. Default: the only one."),
    ] = None,
    motifs: Annotated[
        str | None, typer.Option("--motifs", help="JASPAR or MEME file; its matches are drawn under the map.")
    ] = None,
    out: Annotated[str, typer.Option("--out", "-o", help=".tsv or .npz to write; - prints a table.")] = "-",
    plot: Annotated[str | None, typer.Option("--plot", help="Picture to write: .png, .svg or .pdf.")] = None,
    dry_run: DryRun = False,
    print_config: PrintConfig = False,
) -> None:
    """Score every substitution of a region, as a table and as a heat map.

    Example: dnadiff mutate RUN --ref g.fa --region chr1:101-300 --out map.tsv --plot map.png --motifs jaspar.txt
    """
    from dnadiff.config import resolve
    from dnadiff.tasks import mutate as task

    model, given = model_and_words(run, words)
    settings = resolve(task.MutateSettings, None, given)
    if not print_config and fasta is None:
        raise InputError("mutate: name the genome with --ref, or a sequence with --fasta")
    do(
        settings,
        print_config,
        dry_run and (lambda: task.dry_run(settings, model, str(fasta), region, motifs, out, plot)),
        lambda: task.run(settings, model, str(fasta), region, motifs, out, plot),
    )
