"""`dnadiff mutate`: every substitution of a region, as a table or arrays, and as a picture with motifs underneath."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import Field

from dnadiff import dna
from dnadiff.config import Settings
from dnadiff.data.fasta import Genome
from dnadiff.data.motifs import Match, Motif, matches, read_motifs
from dnadiff.errors import InputError, counted, nearest
from dnadiff.files import asked_for
from dnadiff.hub.shipped import called
from dnadiff.inference.api import Model, load
from dnadiff.inference.features import Strands
from dnadiff.inference.mutagenesis import MutationMap, mutate
from dnadiff.inference.sample import warn_if_untried
from dnadiff.run import find_checkpoint
from dnadiff.shown import cell
from dnadiff.tasks.score import WINDOW
from dnadiff.vocab import DNA

log = logging.getLogger("dnadiff")
COLUMNS = ("chrom", "pos", "ref", "A", "C", "G", "T")
PICTURES = (".png", ".svg", ".pdf")
MOST_DRAWN = 2000  # bases, which take twenty lines


class MutateSettings(Settings):
    """How substitutions are scored, and what a match of a motif is."""

    window: int | None = Field(None, ge=3)
    """Bases that the model sees, the one in question in the middle; null: as many as it was trained on, or 1,024."""
    strands: Strands = "both"
    """both: the mean of both strands, which strand-symmetric networks give at once; given: that of the file alone."""
    batch_size: int = Field(64, ge=1)
    """Positions through the network at a time."""
    motif_p: float = Field(1e-4, gt=0, le=1)
    """Largest p-value of a match of a motif, on one strand of one place; uncorrected for how many are tried."""
    motif_gc: float = Field(0.5, gt=0, lt=1)
    """Share of G and C in the random bases that these p-values are about."""


class Opened(NamedTuple):
    """A region, and what is asked about it.

    Attributes:
        settings: with the window that is used.
        first: 0-based, where `tokens` begin on the contig.
        tokens: of the region with its flanks.
        region: 0-based, half-open, in the contig.
    """

    settings: MutateSettings
    model: Model
    contig: str
    first: int
    tokens: np.ndarray
    region: tuple[int, int]
    motifs: list[Motif]

    @property
    def inside(self) -> tuple[int, int]:
        """The region in `tokens`."""
        start, end = self.region
        return start - self.first, end - self.first

    @property
    def bases(self) -> np.ndarray:
        """Tokens of the region alone."""
        return self.tokens[slice(*self.inside)]


def run(
    settings: MutateSettings,
    path: Path,
    fasta: str,
    region: str | None = None,
    motifs: str | None = None,
    out: str | None = None,
    plot: str | None = None,
) -> None:
    """Score every substitution, write them, and draw them.

    Args:
        fasta: genome, or a sequence.
        region: `chr1:101-300` (1-based, both ends included), or a contig; None for the only sequence of the file.
        motifs: JASPAR or MEME file whose motifs are looked for in the region.
        out: TSV or .npz to write; `-` or None for a table on standard output.
        plot: PNG, SVG or PDF to write.

    Raises:
        InputError: a file or region that cannot be used.
        ResourceError: a file cannot be written; found out at the start.
    """
    opened = open_all(settings, path, fasta, region, motifs, out, plot)
    how = opened.settings
    assert how.window is not None
    with _asked_for(out) as table, _asked_for(plot) as picture:
        llr = mutate(
            opened.model.network, opened.tokens, opened.inside,
            window=how.window, strands=how.strands, batch_size=how.batch_size,
        )  # fmt: skip
        found = MutationMap(opened.contig, opened.region[0], dna.decode(opened.bases), llr)
        if table is None:
            sys.stdout.writelines(_lines(found))
        else:
            _write(table, found)
            log.info("%s: %s", out, counted(len(found.sequence), "base"))
        if picture is not None:
            _draw(picture, found, opened)
            log.info("%s: drawn", plot)


def dry_run(
    settings: MutateSettings,
    path: Path,
    fasta: str,
    region: str | None = None,
    motifs: str | None = None,
    out: str | None = None,
    plot: str | None = None,
) -> str:
    """What `run` would score."""
    opened = open_all(settings, path, fasta, region, motifs, out, plot)
    start, end = opened.region
    of_motifs = f", {counted(len(opened.motifs), 'motif')}" if motifs else ""
    return (
        f"{called(find_checkpoint(path))}: {opened.contig}:{start + 1}-{end}, {counted(end - start, 'base')} "
        f"in windows of {opened.settings.window:,}{of_motifs}"
    )


def open_all(
    settings: MutateSettings,
    path: Path,
    fasta: str,
    region: str | None,
    motifs: str | None,
    out: str | None,
    plot: str | None,
) -> Opened:
    """Open everything, so that no mistake is found late.

    Raises:
        InputError: a file or region that cannot be used, or one that is too long for a picture.
    """
    _check_names(out, plot, motifs)
    genome = Genome.open(fasta)
    contig, start, end = find_region(genome, region)
    if plot is not None and end - start > MOST_DRAWN:
        raise InputError(
            f"--plot: {end - start:,} bases; a picture has room for {MOST_DRAWN:,}; choose a shorter --region"
        )
    found = read_motifs(motifs, gc=settings.motif_gc) if motifs is not None else []
    model = load(path)
    if model.network.vocab.digest() != DNA.digest():
        raise InputError(f"{called(find_checkpoint(path))}: is no model of DNA, whose bases could be exchanged")
    trained = model.settings.data.length
    window = settings.window or trained or WINDOW
    warn_if_untried(window, trained)
    first, last = max(0, start - window // 2), min(genome.contigs[contig], end + window // 2)
    tokens = genome.tokens(contig, first, last)
    if not np.isin(tokens[start - first : end - first], DNA.letters).any():
        raise InputError(f"{fasta}: {contig}:{start + 1}-{end} has no A, C, G or T; choose another --region")
    used = settings.model_copy(update={"window": window})
    return Opened(used, model, contig, first, tokens, (start, end), found)


def find_region(genome: Genome, text: str | None) -> tuple[str, int, int]:
    """Contig, start and end, 0-based and half-open, of what a genome browser writes: `chr1:1,001-1,200`, or `chr1`.

    Raises:
        InputError: no such contig, or a region that is none.
    """
    contigs = genome.contigs
    if text is None:
        if len(contigs) != 1:
            raise InputError(f"{genome.path}: holds {len(contigs):,} sequences; name one, or a part, with --region")
        text = next(iter(contigs))
    if text in contigs:
        return text, 0, contigs[text]
    name, _, place = text.rpartition(":")
    numbers = re.fullmatch(r"(\d[\d,]*)-(\d[\d,]*)", place, re.ASCII)
    if numbers and name not in contigs:
        raise InputError(
            f"--region {text}: {genome.path} has no contig {name!r}{nearest(name, contigs)}; name one of its own"
        )
    if not numbers:
        raise InputError(
            f"--region {text}: is no CONTIG:FIRST-LAST, such as {next(iter(contigs))}:101-300, "
            f"nor a contig of {genome.path}{nearest(name or text, contigs)}"
        )
    first, last = (int(number.replace(",", "")) for number in numbers.groups())
    if not 1 <= first <= last <= contigs[name]:
        raise InputError(
            f"--region {text}: {name} has bases 1 to {contigs[name]:,}; write FIRST-LAST, both included, counted from 1"
        )
    return name, first - 1, last


def _check_names(out: str | None, plot: str | None, motifs: str | None) -> None:
    if out not in (None, "-") and Path(str(out)).suffix not in (".tsv", ".npz"):
        raise InputError(f"--out {out}: name a file that ends in .tsv or .npz")
    if plot is not None and Path(plot).suffix not in PICTURES:
        raise InputError(f"--plot {plot}: name a file that ends in {', '.join(PICTURES)}")
    if motifs is not None and plot is None:
        raise InputError("--motifs: they are drawn; name a picture with --plot")


def _asked_for(path: str | None) -> AbstractContextManager[Path | None]:
    return nullcontext() if path in (None, "-") else asked_for(Path(str(path)).expanduser())


def _write(file: Path, found: MutationMap) -> None:
    if file.suffix == ".tsv":
        file.write_text("".join(_lines(found)), encoding="utf-8")
    else:
        np.savez(file, contig=found.contig, start=found.start, sequence=found.sequence, llr=found.llr)


def _lines(found: MutationMap) -> Iterator[str]:
    yield "\t".join(COLUMNS) + "\n"
    contig = cell(found.contig)
    for at, (base, row) in enumerate(zip(found.sequence, found.llr.tolist(), strict=True), start=found.start + 1):
        values = ("" if value != value else f"{value:.6g}" for value in row)
        yield "\t".join([contig, str(at), base, *values]) + "\n"


def _draw(path: Path, found: MutationMap, opened: Opened) -> None:
    from dnadiff.report.mutagenesis import map_figure
    from dnadiff.report.plots import save_figure

    matched = [match for motif in opened.motifs for match in matches(opened.bases, motif, opened.settings.motif_p)]
    if opened.motifs:
        log.info("%s", _says(matched, opened))
    note = _says(matched, opened) if opened.motifs else ""
    figure = map_figure(found.llr, found.sequence, contig=found.contig, start=found.start, matches=matched, note=note)
    save_figure(figure, path)


def _says(matched: list[Match], opened: Opened) -> str:
    """How many matches there are, and how many chance would give."""
    how, n_bases = opened.settings, len(opened.bases)
    places = (2 * max(0, n_bases - motif.length + 1) * motif.chance(how.motif_p) for motif in opened.motifs)
    return (
        f"{counted(len(opened.motifs), 'motif')}: {len(matched):,} matches with p <= {how.motif_p:g} (of one place on "
        f"one strand); random bases, {how.motif_gc:.0%} of them G or C, would have {sum(places):.1f}"
    )
