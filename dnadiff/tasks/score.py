"""`dnadiff score`: variants of a VCF file, each by how much likelier a model finds one allele than the other."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import BeforeValidator, Field

from dnadiff import checkpoint
from dnadiff.config import Settings
from dnadiff.data.fasta import Genome
from dnadiff.data.vcf import MISMATCH, REASONS, Variant, VcfFile
from dnadiff.errors import InputError
from dnadiff.files import sha256
from dnadiff.hub.shipped import called
from dnadiff.inference.api import Model, load
from dnadiff.inference.device import best_device, borrowed
from dnadiff.inference.draws import Draws, Shard, fill_together, output_file
from dnadiff.inference.evaluate import ALL
from dnadiff.inference.features import Strands
from dnadiff.inference.progress import progress_bar
from dnadiff.inference.sample import warn_if_untried
from dnadiff.inference.variants import Score, bound, distance, llr, pairs_of
from dnadiff.run import find_checkpoint
from dnadiff.tasks.annotate import Column, Scored, table_lines, write
from dnadiff.tasks.tables import require_tabs
from dnadiff.vocab import DNA

log = logging.getLogger("dnadiff")
WINDOW = 1024  # where it is not known what a model was trained on
BATCHES = 8  # of rows, that are scored between two times when what is done can be kept
ROOM = 2  # bases beside an allele, at the least
COLUMNS: dict[Score, tuple[Column, ...]] = {
    "llr": (Column("llr", "log p(ALT) - log p(REF) in nats, the site hidden"),),
    "bound": (
        Column("bound", "Bound on log p with ALT less that with REF, in nats, under the same masks"),
        Column("bound_se", "Standard error of DNADIFF_BOUND from its draws"),
    ),
    "distance": (Column("distance", "Euclidean distance of the mean features with ALT and with REF"),),
}
Floats = np.ndarray[Any, np.dtype[np.float64]]


class ScoreSettings(Settings):
    """How variants are scored."""

    scores: Annotated[
        tuple[Score, ...],
        Field(min_length=1),
        BeforeValidator(lambda given: tuple(dict.fromkeys(given.split(",") if isinstance(given, str) else given))),
    ] = ("llr",)
    """llr: the site is hidden and its letters are compared; bound: of the site with its context, under common random
    masks; distance: of mean features. One or several."""
    window: int | None = Field(None, ge=ROOM + 1)
    """Bases that the model sees, the site in the middle; null: as many as it was trained on, or 1,024."""
    context: int | None = Field(None, ge=0)
    """Bases on either side that are scored with the site; null: none for llr, the whole window for the others."""
    strands: Strands = "both"
    """both: the mean of both strands, which strand-symmetric networks give at once; given: that of the genome alone."""
    draws: int = Field(32, ge=1)
    """Of masks for each variant, for bound."""
    mismatched: float = Field(0.01, ge=0, le=1)
    """Largest share of alternatives whose REF is not what the genome has; above it the genome must be another."""
    rename_contigs: bool = False
    """Read `chr1` in the VCF as `1`, `chrM` as `MT`, and the other way round."""
    batch_size: int = Field(64, ge=1)
    """Rows through the network at a time."""
    seed: int = Field(0, ge=0)
    """Seed of the draws."""

    @property
    def columns(self) -> list[Column]:
        """What is written."""
        return [column for score in self.scores for column in COLUMNS[score]]

    @property
    def variants_at_once(self) -> int:
        """How many are scored between two times when what is done can be kept."""
        rows = 2 * self.draws if "bound" in self.scores else 1
        return max(1, BATCHES * self.batch_size // rows)


class Opened(NamedTuple):
    """Everything that is scored, and by what.

    Attributes:
        settings: with the window that is used.
        n: alternatives that are scored.
        left_out: how many are not, by reason.
    """

    settings: ScoreSettings
    folder: Path
    model: Model
    genome: Genome
    variants: VcfFile
    n: int
    left_out: Counter[str]

    @property
    def says(self) -> str:
        """What is scored, what is left out and why."""
        reasons = "".join(f"; {count:,} are not: {REASONS[reason]}" for reason, count in self.left_out.most_common())
        return f"{self.variants.path}: {self.n:,} alternatives in windows of {self.settings.window:,} bases{reasons}"

    @property
    def about(self) -> str:
        """Where scores come from, for headers."""
        how = self.settings
        shown = how.model_dump(
            mode="json", include={"window", "context", "strands", "draws", "seed"}, exclude_none=True
        )
        about = {"model": self.folder.name, "genome": self.genome.path.name, "scores": "+".join(how.scores), **shown}
        return ",".join(f"{name}={value}" for name, value in about.items())


def run(settings: ScoreSettings, path: Path, vcf: str, ref: str, out: str | None = None, shard: Shard = ALL) -> None:
    """Score and write.

    Args:
        vcf: variants; `ref`: FASTA of the genome that they are about.
        out: VCF or table to write; `-` or None for a table on standard output. What is scored is kept beside the file,
            so that the same command goes on where it was killed, and shards meet there.
        shard: which variants to score; whoever finds all of them scored writes the file.

    Raises:
        InputError: a file that cannot be used, or another genome.
    """
    file = _file(out, shard)
    opened = open_all(settings, path, vcf, ref)
    log.info("%s", opened.says)
    how = opened.settings
    draws = Draws.empty(len(how.columns), opened.n, how.variants_at_once)

    def fill_part(part: Shard, save: Callable[[], None]) -> None:
        for _ in fill(draws, opened, part):
            save()

    if not fill_together(draws, shard, file, lambda: _claim(opened), fill_part):
        return
    if not draws.done.all():
        log.info("shard %d of %d is scored; the last one writes %s", *shard, file)
    elif file is None:
        sys.stdout.writelines(f"{line}\n" for line in table_lines(scored(opened, draws), how.columns))
    else:
        write(file, opened.variants.header, scored(opened, draws), how.columns, opened.about)


def dry_run(settings: ScoreSettings, path: Path, vcf: str, ref: str, out: str | None = None, shard: Shard = ALL) -> str:
    """What `run` would score."""
    _file(out, shard)
    opened = open_all(settings, path, vcf, ref)
    return f"{called(opened.folder)}: {', '.join(opened.settings.scores)} of {opened.says}"


def _file(out: str | None, shard: Shard) -> Path | None:
    file = output_file(out, shard)
    require_tabs(file)
    return file


def open_all(settings: ScoreSettings, path: Path, vcf: str, ref: str) -> Opened:
    """Open everything and read every row once, so that no mistake is found late.

    Raises:
        InputError: a file that cannot be used, another genome, or nothing to score.
    """
    folder, genome = find_checkpoint(path), Genome.open(ref)
    model = load(path)
    if model.network.vocab.digest() != DNA.digest():
        raise InputError(f"{folder}: is no model of DNA, whose variants could be scored")
    trained = model.settings.data.length
    window = settings.window or trained or WINDOW
    warn_if_untried(window, trained)
    variants = VcfFile(vcf, genome, longest=window - ROOM, rename_contigs=settings.rename_contigs)
    counts = Counter(each if isinstance(each, str) else "" for record in variants.records() for each in record.variants)
    n = counts.pop("", 0)
    opened = Opened(settings.model_copy(update={"window": window}), folder, model, genome, variants, n, counts)
    _check(opened)
    return opened


def fill(draws: Draws, opened: Opened, shard: Shard = ALL) -> Iterator[None]:
    """Score what is missing of a shard, with a progress bar on a terminal; yields whenever that can be kept."""
    how, missing = opened.settings, set(draws.missing(shard, 0))
    assert how.window is not None
    found = (each for record in opened.variants.records() for each in record.variants if isinstance(each, Variant))
    n_columns = len(how.columns)
    with (
        progress_bar("scoring", draws.n_rows(shard) // n_columns) as advance,
        borrowed(opened.model.network, best_device()),
    ):
        advance(draws.n_done(shard) // n_columns)
        for number in range(max(missing, default=-1) + 1):
            some = list(islice(found, draws.batch_size))
            if number in missing:
                values = score(opened.model, opened.genome, some, how)
                n_letters = np.array([max(len(each.ref), len(each.alt)) for each in some])
                for column, nats in enumerate(values):
                    draws.put(column, number, nats, n_letters)
                advance(len(some))
                yield


def score(model: Model, genome: Genome, some: Sequence[Variant], how: ScoreSettings) -> list[Floats]:
    """Every score of variants, (n,) each, in the order of the columns.

    Raises:
        InputError: the model cannot give a score.
    """
    assert how.window is not None
    pairs = pairs_of(genome, some, how.window)
    found: list[Floats] = []
    for name in how.scores:
        match name:
            case "llr":
                found.append(
                    llr(model.network, pairs, context=how.context or 0, strands=how.strands, batch_size=how.batch_size)
                )
            case "bound":
                found += bound(
                    model.network, pairs, draws=how.draws, context=how.context, strands=how.strands,
                    seed=how.seed, batch_size=how.batch_size,
                )  # fmt: skip
            case "distance":
                found.append(
                    distance(model.network, pairs, context=how.context, strands=how.strands, batch_size=how.batch_size)
                )
    return found


def scored(opened: Opened, draws: Draws) -> Iterator[Scored]:
    """Every row of the file with the scores of its alternatives."""
    scores = iter(draws.nats.T.tolist())
    for record in opened.variants.records():
        yield record, [each if isinstance(each, str) else next(scores) for each in record.variants]


def _check(opened: Opened) -> None:
    wrong, compared = opened.left_out[MISMATCH], opened.n + opened.left_out[MISMATCH]
    most = opened.settings.mismatched
    if wrong > most * compared:
        raise InputError(
            f"{opened.variants.path}: REF of {wrong:,} of {compared:,} alternatives is not what {opened.genome.path} "
            f"has there (the first: {_first_mismatch(opened)}), more than {most:.0%}: another assembly? Give its "
            "genome with --ref, or set mismatched=1 to leave such alternatives out"
        )
    if not opened.n:
        raise InputError(f"{opened.says}; there is nothing to score")


def _first_mismatch(opened: Opened) -> str:
    """Where REF is not what the genome has, and what stands there."""
    record = next(record for record in opened.variants.records() if MISMATCH in record.variants)
    return "{0}:{1} {3}".format(*record.columns)


def _claim(opened: Opened) -> dict[str, Any]:
    """All that a score depends on."""
    return {
        "model": sha256(opened.folder / checkpoint.MANIFEST), "dnadiff": version("dnadiff"),
        "genome": opened.genome.fingerprint(), "vcf": sha256(opened.variants.path),
        "settings": opened.settings.model_dump(mode="json"),
    }  # fmt: skip
