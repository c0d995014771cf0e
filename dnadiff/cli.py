"""The command line. Torch and everything heavy load inside the verbs, so that --help answers at once."""

from __future__ import annotations

import logging
import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Annotated, Any

import typer

from dnadiff.allocator import keep_memory
from dnadiff.errors import InputError
from dnadiff.explain import explain

app = typer.Typer(
    name="dnadiff", no_args_is_help=True, add_completion=True, rich_markup_mode="rich",
    pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]},
    help="Masked discrete diffusion language models for DNA. Add --debug to any command for tracebacks.",
)  # fmt: skip

log = logging.getLogger("dnadiff")
OF_OTHER_VERBS = {  # by folder of presets
    "classify": "dnadiff classify --protocol",
    "tables": "dnadiff reproduce",
    "zeroshot": "dnadiff zeroshot RUN",
}

Words = Annotated[
    list[str] | None,
    typer.Argument(
        help="A preset (such as dna/tiny, or a YAML file), a network on top of it (model/dit-tiny), and settings "
        "(train.max_steps=200); `dnadiff presets` lists them.",
        metavar="[PRESET] [KEY=VALUE]...",
    ),
]
Ref = Annotated[
    str | None,
    typer.Option("--ref", help="Genome as FASTA, plain or gzipped. Default: a toy genome that the package makes."),
]
Bed = Annotated[
    str | None, typer.Option("--bed", help="BED whose rows are windows, its 4th column the split if it has one.")
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", help="Run folder. Default: runs/NAME. The same command again goes on where it stopped."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
PrintConfig = Annotated[bool, typer.Option("--print-config", help="Print all settings as YAML, and do nothing.")]
Run = Annotated[Path, typer.Argument(help="Run, checkpoint, published weights, or hf:owner/name.", show_default=False)]


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"dnadiff {version_of('dnadiff')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """What can be said before a verb; typer calls it first."""


@app.command(rich_help_panel="Training")
def finetune(
    words: Words = None,
    ref: Ref = None,
    init: Annotated[
        str | None,
        typer.Option("--init", help="Run, published weights, or hf:owner/name to start from; none: random weights."),
    ] = None,
    bed: Bed = None,
    out: Out = None,
    dry_run: DryRun = False,
    print_config: PrintConfig = False,
) -> None:
    """Train a diffusion model on windows of a genome, then evaluate it and sample from it.

    Examples: dnadiff finetune | dnadiff finetune --ref hg38.fa | dnadiff finetune dna/hg38 --ref hg38.fa --bed rows.bed
    """
    default = "dna/toy" if ref is None else "dna/tiny"
    _train("finetune", words, default, out, dry_run, print_config, {"data.ref": ref, "data.windows": bed, "init": init})


@app.command(rich_help_panel="Training")
def train(
    words: Words = None,
    ref: Ref = None,
    bed: Bed = None,
    out: Out = None,
    dry_run: DryRun = False,
    print_config: PrintConfig = False,
) -> None:
    """Train a preset from random weights.

    Example: dnadiff train dna/hg38 --ref hg38.fa
    """
    _train("train", words, "dna/toy", out, dry_run, print_config, {"data.ref": ref, "data.windows": bed})


@app.command(rich_help_panel="Training")
def reproduce(
    table: Annotated[str, typer.Argument(help="hg38-table, dna-objectives, or a YAML file.")],
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
    dry_run: DryRun = False,
) -> None:
    """Train every row of a published table and write it with the paper's figures beside ours.

    Example: dnadiff reproduce hg38-table --ref hg38.fa --scale 0.01
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
        task.run(chosen, planned, folder, scale=scale)


@app.command(rich_help_panel="Using a model")
def evaluate(
    run: Run,
    words: Annotated[
        list[str] | None, typer.Argument(help="Settings (data.length=2048).", metavar="[KEY=VALUE]...")
    ] = None,
    ref: Ref = None,
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
    """Likelihood of a genome, or its bound: nats, bits per base, perplexity, each with a 95 % interval.

    Examples: dnadiff evaluate runs/toy --split test | dnadiff evaluate runs/toy --fasta short.fa method=exact
    """
    from dnadiff.inference.draws import Shard
    from dnadiff.tasks import evaluate as task

    if fasta is not None:
        unused = {"--ref": ref, "--split": split, "--sweeps": sweeps, "--shard": None if shard == "1/1" else shard}
        _evaluate_fasta(run, words or [], fasta, bed, out, dry_run, print_config, unused)
        return
    flags = {"data.ref": ref, "data.windows": bed, "evaluate.split": split, "evaluate.sweeps": sweeps}
    settings = task.settings_of(run, words or [], flags)
    part = Shard.parse(shard)
    if not print_config:
        log.info("opening the data")
    _do(
        settings,
        print_config,
        dry_run and (lambda: task.dry_run(settings, run)),
        lambda: task.run(settings, run, out, part),
    )


@app.command(rich_help_panel="Using a model")
def sample(
    run: Run,
    words: Annotated[
        list[str] | None, typer.Argument(help="Settings (sampler.temperature=0.9).", metavar="[KEY=VALUE]...")
    ] = None,
    n: Annotated[int | None, typer.Option("-n", help="Sequences.")] = None,
    length: Annotated[int | None, typer.Option("--length", help="Bases of each.")] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Steps of the sampler, if it has steps.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the draws.")] = None,
    label: Annotated[str | None, typer.Option("--label", help="Class, for a model that was trained with some.")] = None,
    guidance: Annotated[
        float | None, typer.Option("--guidance", help="How strongly the class is meant; 1: as it was learned.")
    ] = None,
    stats: Annotated[
        bool, typer.Option("--stats", help="Say how often the network ran, and how varied the letters are.")
    ] = False,
    out: Annotated[str, typer.Option("--out", "-o", help="FASTA to write; - for standard output.")] = "-",
    dry_run: DryRun = False,
    print_config: PrintConfig = False,
) -> None:
    """Draw sequences and write them as FASTA.

    Examples: dnadiff sample runs/toy -n 100 --length 1024 --out samples.fa | dnadiff sample runs/cells --label enhancer
    """
    from dnadiff.tasks import sample as task

    own = [*(words or []), *([] if steps is None else [f"sampler.steps={steps}"])]  # after sampler.kind, if it is there
    flags = {"n": n, "length": length, "seed": seed, "label": label, "guidance": guidance}
    settings = task.settings_of(run, own, flags)
    _do(
        settings,
        print_config,
        dry_run and (lambda: task.dry_run(settings, run)),
        lambda: task.run(settings, run, out, stats=stats),
    )


@app.command(rich_help_panel="Using a model")
def infill(
    run: Run,
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

    named = [word for word in words or [] if "=" not in word]
    settings = resolve(task.InfillSettings, None, [word for word in words or [] if "=" in word], n=n, seed=seed)
    fasta = task.source(named, ref, bed) if not print_config else ""
    _do(
        settings,
        print_config,
        dry_run and (lambda: task.dry_run(settings, run, fasta, bed)),
        lambda: task.run(settings, run, fasta, bed, out, vcf),
    )


@app.command(rich_help_panel="Using a model")
def score(
    run: Run,
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

    if fasta is not None:
        unused = {"--vcf": vcf, "--ref": ref, "--shard": None if shard == "1/1" else shard}
        _evaluate_fasta(run, words or [], fasta, bed, out, dry_run, print_config, unused, per_base)
        return
    for flag, value in (("--bed", bed), ("--per-base", per_base)):
        if value is not None:
            raise InputError(f"{flag}: is for sequences; name them with --fasta")
    settings, part = resolve(task.ScoreSettings, None, words or []), Shard.parse(shard)
    if not print_config and (vcf is None or ref is None):
        raise InputError("score: name variants with --vcf and their genome with --ref, or sequences with --fasta")
    _do(
        settings,
        print_config,
        dry_run and (lambda: task.dry_run(settings, run, str(vcf), str(ref))),
        lambda: task.run(settings, run, str(vcf), str(ref), out, part),
    )


@app.command(rich_help_panel="Using a model")
def embed(
    run: Run,
    words: Annotated[
        list[str] | None, typer.Argument(help="Settings (pooling=none).", metavar="[KEY=VALUE]...")
    ] = None,
    fasta: Annotated[str | None, typer.Option("--fasta", help="Sequences, as FASTA or a table.")] = None,
    bed: Annotated[str | None, typer.Option("--bed", help="BED whose rows are regions of --fasta.")] = None,
    out: Annotated[str, typer.Option("--out", "-o", help=".npz, .parquet or .tsv to write.")] = "features.npz",
    dry_run: DryRun = False,
    print_config: PrintConfig = False,
) -> None:
    """Write what the network knows of sequences: a row of features for each, or for each base.

    Example: dnadiff embed runs/hg38 --fasta promoters.fa --out promoters.npz
    """
    from dnadiff.config import resolve
    from dnadiff.tasks import embed as task

    settings = resolve(task.EmbedSettings, None, words or [])
    if not print_config and fasta is None:
        raise InputError("embed: name the sequences with --fasta")
    _do(
        settings,
        print_config,
        dry_run and (lambda: task.dry_run(settings, run, str(fasta), bed, out)),
        lambda: task.run(settings, run, str(fasta), bed, out),
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

    (name,), settings = _split(words, "mdlm")
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
    _do(
        settings,
        print_config,
        dry_run and (lambda: task.dry_run(settings, run, by)),
        lambda: task.run(settings, run, by, out),
    )


@app.command(rich_help_panel="Using a model")
def classify(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="genomic_benchmarks, genomic_benchmarks/SET, or a table or folder; and settings (train.epochs=2).",
            metavar="[SET] [KEY=VALUE]...",
        ),
    ] = None,
    ref: Annotated[
        str | None, typer.Option("--ref", help="Genome of sets that are lists of places; more with data.refs.CLASS=.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", help="Folder of genomic_benchmarks. Default: data/genomic_benchmarks (see data_prep)."),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option("--init", help="Run, published weights, or hf:owner/name to start from; none: random weights."),
    ] = None,
    protocol: Annotated[str, typer.Option("--protocol", help="strict or paper, or a YAML file.")] = "strict",
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
    """Classify labelled sequences by the papers' protocol or a sound one, beside baselines.

    Examples: dnadiff classify genomic_benchmarks --init runs/hg38 --protocol paper | dnadiff classify my.csv --probe
    """
    from dnadiff.tasks.classify.settings import resolve

    flags = {
        "data.ref": ref, "init": init, "protocol.folds": folds, "seeds": seeds, "scale": scale,
        "method": "probe" if probe else None,
    }  # fmt: skip
    (what, *networks), overrides = _split(words, "genomic_benchmarks")
    named = protocol.removeprefix("classify/") in {"strict", "paper"}
    if not (named or protocol.endswith((".yaml", ".yml"))):
        raise InputError(f"--protocol {protocol}: is not strict, paper, or a YAML file")
    preset = f"classify/{protocol.removeprefix('classify/')}" if named else protocol
    settings = resolve([preset, *networks], overrides, flags)
    if print_config:
        _do(settings, True, None, None)
        return
    from dnadiff.inference.draws import Shard
    from dnadiff.tasks.classify import run as task

    sets, whole_folder = task.find(what, data, settings)
    plan = task.Plan(settings, sets, whole_folder, out or task.default_out(settings), Shard.parse(shard))
    _do(settings, False, dry_run and (lambda: task.dry_run(plan)), lambda: task.run(plan, jobs=jobs))


@app.command(rich_help_panel="Looking around")
def windows(
    words: Words = None,
    ref: Ref = None,
    bed: Bed = None,
    dry_run: DryRun = False,
    print_config: PrintConfig = False,
) -> None:
    """Count what would be trained on: windows per split and contig, share of N, GC. Writes nothing.

    Example: dnadiff windows --ref hg38.fa data.length=1024
    """
    presets, overrides = _presets(words, "dna/toy" if ref is None else "dna/tiny")
    from dnadiff.tasks import windows as task
    from dnadiff.tasks.settings import resolve

    del dry_run  # this verb never writes; the flag is accepted as in the other verbs
    settings = resolve(presets, overrides, {"data.ref": ref, "data.windows": bed})
    if not print_config:
        log.info("counting windows")
    _do(settings.data, print_config, None, lambda: task.run(settings))


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
    _do(
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
    _do(settings, print_config, None, lambda: task.run(settings, out))


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


def _evaluate_fasta(
    run: Path, words: list[str], fasta: str, bed: str | None, out: str | None, dry_run: bool, print_config: bool,
    unused: dict[str, Any], per_base: str | None = None,
) -> None:  # fmt: skip
    from dnadiff.config import resolve
    from dnadiff.tasks import likelihood as task

    given = [flag for flag, value in unused.items() if value is not None]
    if given:
        raise InputError(f"{given[0]}: has no part where --fasta names sequences; leave one of them out")
    settings = resolve(task.LikelihoodSettings, None, words)
    _do(
        settings,
        print_config,
        dry_run and (lambda: task.dry_run(settings, run, fasta, bed)),
        lambda: task.run(settings, run, fasta, bed, out, per_base),
    )


def _train(
    verb: str, words: list[str] | None, default: str, out: Path | None, dry_run: bool, print_config: bool,
    flags: dict[str, Any],
) -> None:  # fmt: skip
    presets, overrides = _presets(words, default)
    from dnadiff.tasks.settings import resolve  # loads torch, for which a mistake in a name need not wait

    settings = resolve(presets, overrides, flags)
    folder = out or Path("runs") / (settings.data.name or Path(presets[0]).stem)
    if print_config:
        _do(settings, True, None, None)
        return
    log.info("timing a training step; nothing is written" if dry_run else "opening the data")
    from dnadiff.tasks import train as task  # loads Lightning, for which no mistake need wait

    _do(
        settings,
        False,
        dry_run and (lambda: task.describe(task.dry_run(settings))),
        lambda: task.run(settings, folder),
    )


def _presets(words: list[str] | None, default: str) -> tuple[list[str], list[str]]:
    """The presets of a run, and the settings.

    Raises:
        InputError: there is no such preset, or it is for another verb.
    """
    from dnadiff.config import find_preset, shipped

    names, overrides = _split(words, default)
    for name in names:
        find_preset(name)
        folder, _, rest = name.partition("/")
        if folder in OF_OTHER_VERBS and name in shipped():
            raise InputError(f"{name}: is for `{OF_OTHER_VERBS[folder]} {rest}`; `dnadiff presets` lists all")
    return names, overrides


def _split(words: list[str] | None, default: str) -> tuple[list[str], list[str]]:
    """What is named, which is a word without `=`, and a network on top of it, if one is; and the settings."""
    named = [word for word in words or [] if "=" not in word]
    networks = [name for name in named if name.startswith("model/")]
    runs = [name for name in named if name not in networks]
    for group in (runs, networks):
        if len(group) > 1:
            raise typer.BadParameter(
                f"two presets were named ({', '.join(group)}); name one, and write settings as key=value"
            )
    return [*(runs or [default]), *networks], [word for word in words or [] if "=" in word]


def _do(settings: Any, print_config: bool, dry_run: Any, work: Any) -> None:
    """Print the settings, or the plan, or do the work."""
    from dnadiff.config import to_yaml

    if print_config:
        typer.echo(to_yaml(settings), nl=False)
    elif dry_run:
        typer.echo(dry_run())
    else:
        work()


def main() -> None:
    """Entry point: one line per error, with a stable exit code; a traceback only with --debug."""
    debug = "--debug" in sys.argv
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    console = logging.StreamHandler()
    console.setLevel(logging.INFO)
    logging.basicConfig(format="%(message)s", handlers=[console])
    log.setLevel(logging.INFO)
    keep_memory()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads cost tenfold where other programs compete
    try:
        sys.exit(app(args=arguments, prog_name="dnadiff", standalone_mode=False) or 0)
    except typer.Abort:
        sys.exit(130)
    except Exception as error:
        if debug:
            raise
        sys.exit(explain(error))
