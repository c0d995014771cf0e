"""Verbs that say how good a model is, or what it makes of sequences."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from dnadiff.cli.app import app
from dnadiff.cli.shared import AnyRun, Bed, DryRun, PrintConfig, Run, do, model_and_words, split_words
from dnadiff.errors import InputError
from dnadiff.world import world

log = logging.getLogger("dnadiff")


@app.command(rich_help_panel="Using a model")
def evaluate(
    run: AnyRun = None,
    words: Annotated[
        list[str] | None, typer.Argument(help="Settings (data.length=2048).", metavar="[KEY=VALUE]...")
    ] = None,
    ref: Annotated[
        str | None, typer.Option("--ref", help="Genome as FASTA, plain or gzipped. Default: that of the run.")
    ] = None,
    bed: Bed = None,
    fasta: Annotated[
        str | None,
        typer.Option(
            "--fasta",
            help="Score each sequence by itself, or the rows of --bed given their flanks; settings: method, draws.",
        ),
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="train, valid or test.")] = None,
    sweeps: Annotated[int | None, typer.Option("--sweeps", help="Independent choices of masks.")] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out", "-o", help="JSON to write (--fasta: TSV); the same command goes on where it was killed. -: print."
        ),
    ] = None,
    shard: Annotated[
        str, typer.Option("--shard", help="Draw a share, such as 2/8; all shards meet beside the same --out.")
    ] = "1/1",
    dry_run: DryRun = False,
    print_config: PrintConfig = False,
) -> None:
    """Likelihood of a genome or a corpus, or its bound: nats, bits per base or token, perplexity, with 95 % intervals.

    Examples: dnadiff evaluate runs/toy --split test | dnadiff evaluate runs/toy --fasta short.fa method=exact |
    dnadiff evaluate runs/owt data.path=book.txt data.valid_documents=null
    """
    from dnadiff.inference.draws import Shard
    from dnadiff.tasks import evaluate as task

    model, given = model_and_words(run, words)
    if fasta is not None:
        unused = {"--ref": ref, "--split": split, "--sweeps": sweeps}
        _evaluate_fasta(model, given, fasta, bed, out, shard, dry_run, print_config, unused)
        return
    flags = {"data.ref": ref, "data.windows": bed, "evaluate.split": split, "evaluate.sweeps": sweeps}
    settings = task.settings_of(model, given, flags)
    part = Shard.parse(shard)
    if not print_config:
        log.info("opening the data")
    do(
        settings,
        print_config,
        dry_run and (lambda: task.dry_run(settings, model)),
        lambda: task.run(settings, model, out, part),
    )


@app.command(rich_help_panel="Using a model")
def score(
    run: AnyRun = None,
    words: Annotated[
        list[str] | None,
        typer.Argument(help="Settings (scores=llr,bound window=2048).", metavar="[KEY=VALUE]..."),
    ] = None,
    vcf: Annotated[str | None, typer.Option("--vcf", help="Variants, plain or compressed.")] = None,
    ref: Annotated[str | None, typer.Option("--ref", help="Genome that they are about, as FASTA.")] = None,
    fasta: Annotated[
        str | None,
        typer.Option("--fasta", help="Sequences in place of variants, as FASTA or a table; settings: method, draws."),
    ] = None,
    bed: Annotated[str | None, typer.Option("--bed", help="BED whose rows are regions of --fasta.")] = None,
    per_base: Annotated[
        str | None, typer.Option("--per-base", help="bedGraph or TSV to write: what each base of --fasta has of it.")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            help="VCF (.vcf, .vcf.gz) or table to write; the same command goes on where it was killed. -: print.",
        ),
    ] = None,
    shard: Annotated[
        str, typer.Option("--shard", help="Score a share, such as 2/8; all shards meet beside the same --out.")
    ] = "1/1",
    dry_run: DryRun = False,
    print_config: PrintConfig = False,
) -> None:
    """Score variants by how much likelier the model finds one allele than the other; or sequences, by log p.

    Examples: dnadiff score RUN --vcf v.vcf.gz --ref g.fa --out scored.vcf.gz | dnadiff score RUN --fasta x.fa
    """
    from dnadiff.config import resolve
    from dnadiff.inference.draws import Shard
    from dnadiff.tasks import score as task

    model, given = model_and_words(run, words)
    if fasta is not None:
        unused = {"--vcf": vcf, "--ref": ref}
        _evaluate_fasta(model, given, fasta, bed, out, shard, dry_run, print_config, unused, per_base)
        return
    for flag, value in (("--bed", bed), ("--per-base", per_base)):
        if value is not None:
            raise InputError(f"{flag}: is for sequences; name them with --fasta")
    settings, part = resolve(task.ScoreSettings, None, given), Shard.parse(shard)
    if not print_config and (vcf is None or ref is None):
        raise InputError("score: name variants with --vcf and their genome with --ref, or sequences with --fasta")
    do(
        settings,
        print_config,
        dry_run and (lambda: task.dry_run(settings, model, str(vcf), str(ref), out, part)),
        lambda: task.run(settings, model, str(vcf), str(ref), out, part),
    )


@app.command(rich_help_panel="Using a model")
def embed(
    run: AnyRun = None,
    words: Annotated[
        list[str] | None, typer.Argument(help="Settings (pooling=none).", metavar="[KEY=VALUE]...")
    ] = None,
    fasta: Annotated[str | None, typer.Option("--fasta", help="Sequences, as FASTA or a table.")] = None,
    bed: Annotated[str | None, typer.Option("--bed", help="BED whose rows are regions of --fasta.")] = None,
    out: Annotated[
        str,
        typer.Option(
            "--out", "-o", help=".npz, .parquet or .tsv to write; the same command goes on where it was killed."
        ),
    ] = "features.npz",
    shard: Annotated[
        str, typer.Option("--shard", help="Embed a share, such as 2/8; all shards meet beside the same --out.")
    ] = "1/1",
    dry_run: DryRun = False,
    print_config: PrintConfig = False,
) -> None:
    """Write what the network knows of sequences: a row of features for each, or for each base.

    Example: dnadiff embed runs/hg38 --fasta promoters.fa --out promoters.npz
    """
    from dnadiff.config import resolve
    from dnadiff.inference.draws import Shard
    from dnadiff.tasks import embed as task

    model, given = model_and_words(run, words)
    settings, part = resolve(task.EmbedSettings, None, given), Shard.parse(shard)
    if not print_config and fasta is None:
        raise InputError("embed: name the sequences with --fasta")
    do(
        settings,
        print_config,
        dry_run and (lambda: task.dry_run(settings, model, str(fasta), bed, out)),
        lambda: task.run(settings, model, str(fasta), bed, out, part),
    )


@app.command(rich_help_panel="Using a model")
def zeroshot(
    run: Run,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="A list of corpora (mdlm, md4, or a YAML file) and settings (evaluate.max_windows=1000).",
            metavar="[LIST] [KEY=VALUE]...",
        ),
    ] = None,
    data: Annotated[Path, typer.Option("--data", help="Folder of the corpora; data_prep says where each is.")] = Path(
        "data"
    ),
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder. Default: zeroshot in the run.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Perplexity of a model of text on corpora that it was not trained on, beside published figures.

    Example: dnadiff zeroshot runs/owt mdlm --data data
    """
    from dnadiff.tasks import zeroshot as task

    (name,), settings = split_words(words, "mdlm")
    listed = task.read(name)
    if dry_run:
        typer.echo(task.dry_run(listed, run, data))
    else:
        task.run(listed, run, data, settings, out or run / "zeroshot")


@app.command(rich_help_panel="Using a model")
def judge(
    run: Run,
    words: Annotated[
        list[str] | None, typer.Argument(help="Settings (sampler.steps=1000).", metavar="[KEY=VALUE]...")
    ] = None,
    by: Annotated[
        str, typer.Option("--by", help="A run of objective ar, or a causal model of the Hugging Face hub.")
    ] = "gpt2-large",
    n: Annotated[int | None, typer.Option("-n", help="Samples.")] = None,
    length: Annotated[int | None, typer.Option("--length", help="Tokens of each.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the draws.")] = None,
    out: Annotated[str | None, typer.Option("--out", "-o", help="JSON to write; - prints it.")] = None,
    dry_run: DryRun = False,
    print_config: PrintConfig = False,
) -> None:
    """Generative perplexity: that of samples of text under another model, with the sampler and their entropy.

    Example: dnadiff judge runs/owt --by gpt2-large -n 256 sampler.steps=1000
    """
    from dnadiff.tasks import judge as task
    from dnadiff.tasks.sample import settings_of

    settings = settings_of(run, words or [], {"n": n, "length": length, "seed": seed})
    do(
        settings,
        print_config,
        dry_run and (lambda: task.dry_run(settings, run, by)),
        lambda: task.run(settings, run, by, out),
    )


def _evaluate_fasta(
    run: Path, words: list[str], fasta: str, bed: str | None, out: str | None, shard: str, dry_run: bool,
    print_config: bool, unused: dict[str, Any], per_base: str | None = None,
) -> None:  # fmt: skip
    from dnadiff.config import resolve
    from dnadiff.inference.draws import Shard
    from dnadiff.tasks import likelihood as task

    if world().size > 1:
        raise InputError("--fasta: is scored by one process; run it without torchrun")
    given = [flag for flag, value in unused.items() if value is not None]
    if given:
        raise InputError(f"{given[0]}: has no part where --fasta names sequences; leave one of them out")
    settings, part = resolve(task.LikelihoodSettings, None, words), Shard.parse(shard)
    do(
        settings,
        print_config,
        dry_run and (lambda: task.dry_run(settings, run, fasta, bed)),
        lambda: task.run(settings, run, fasta, bed, out, per_base, part),
    )
