"""Verbs that draw sequences."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from dnadiff.cli.app import app
from dnadiff.cli.shared import AnyRun, DryRun, PrintConfig, do, model_and_words

log = logging.getLogger("dnadiff")


@app.command(rich_help_panel="Using a model")
def sample(
    run: AnyRun = None,
    words: Annotated[
        list[str] | None, typer.Argument(help="Settings (sampler.temperature=0.9).", metavar="[KEY=VALUE]...")
    ] = None,
    n: Annotated[int | None, typer.Option("-n", help="Sequences.")] = None,
    length: Annotated[int | None, typer.Option("--length", help="Bases or tokens of each.")] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Steps of the sampler, if it has steps.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the draws.")] = None,
    label: Annotated[str | None, typer.Option("--label", help="Class, for a model that was trained with some.")] = None,
    guidance: Annotated[
        float | None, typer.Option("--guidance", help="How strongly the class is meant; 1: as it was learned.")
    ] = None,
    stats: Annotated[
        bool, typer.Option("--stats", help="Say how often the network ran, and how varied the letters are.")
    ] = False,
    out: Annotated[
        str, typer.Option("--out", "-o", help="FASTA to write, of text JSON lines; - for standard output.")
    ] = "-",
    dry_run: DryRun = False,
    print_config: PrintConfig = False,
) -> None:
    """Draw sequences and write them: DNA as FASTA, text as JSON lines.

    Examples: dnadiff sample runs/toy -n 100 --length 1024 --out samples.fa | dnadiff sample runs/cells --label enhancer
    | dnadiff sample runs/owt -n 8 --out samples.jsonl
    """
    from dnadiff.tasks import sample as task

    model, own = model_and_words(run, words)
    own += [] if steps is None else [f"sampler.steps={steps}"]  # after sampler.kind, if it is there
    flags = {"n": n, "length": length, "seed": seed, "label": label, "guidance": guidance}
    settings = task.settings_of(model, own, flags)
    do(
        settings,
        print_config,
        dry_run and (lambda: task.dry_run(settings, model)),
        lambda: task.run(settings, model, out, stats=stats),
    )


@app.command(rich_help_panel="Using a model")
def infill(
    run: AnyRun = None,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="FASTA whose N and other IUPAC codes are to be filled, and settings (avoid=GAATTC gc=[0.4,0.6]).",
            metavar="[FASTA] [KEY=VALUE]...",
        ),
    ] = None,
    ref: Annotated[
        str | None, typer.Option("--ref", help="Genome whose regions are filled in place, in place of a FASTA.")
    ] = None,
    bed: Annotated[str | None, typer.Option("--bed", help="BED whose rows are the regions.")] = None,
    n: Annotated[int | None, typer.Option("-n", help="Fillings of each.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the draws.")] = None,
    out: Annotated[str, typer.Option("--out", "-o", help="FASTA to write; - for standard output.")] = "-",
    vcf: Annotated[str | None, typer.Option("--vcf", help="VCF to write: what was changed.")] = None,
    dry_run: DryRun = False,
    print_config: PrintConfig = False,
) -> None:
    """Fill gaps, or regions of a genome, under constraints that always hold.

    Examples: dnadiff infill RUN in.fa | dnadiff infill RUN --ref g.fa --bed regions.bed --vcf edits.vcf avoid=GAATTC
    """
    from dnadiff.config import resolve
    from dnadiff.tasks import infill as task

    model, given = model_and_words(run, words, n_others=int(ref is None and not print_config))
    named = [word for word in given if "=" not in word]
    settings = resolve(task.InfillSettings, None, [word for word in given if "=" in word], n=n, seed=seed)
    fasta = task.source(named, ref, bed) if not print_config else ""
    do(
        settings,
        print_config,
        dry_run and (lambda: task.dry_run(settings, model, fasta, bed)),
        lambda: task.run(settings, model, fasta, bed, out, vcf),
    )
