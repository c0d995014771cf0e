"""`dnadiff infill`: gaps of a FASTA file, or regions of a genome, filled by a model under hard constraints."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from pydantic import Field

from dnadiff import checkpoint
from dnadiff.data.bed import read_bed
from dnadiff.data.fasta import Genome
from dnadiff.diffusion.samplers import Auto, Sampler
from dnadiff.errors import InputError, counted
from dnadiff.files import asked_for
from dnadiff.hub.shipped import called
from dnadiff.inference.design import COMPLEMENT, Constraints, Site
from dnadiff.inference.infill import fill_sites
from dnadiff.model import DiffusionModel
from dnadiff.run import find_checkpoint
from dnadiff.tasks.vcf import Substitution, vcf_text

log = logging.getLogger("dnadiff")
LINE_BASES = 60
LONGEST = 1 << 16  # bases of a record that is filled with all of it in sight


class InfillSettings(Constraints):
    """How gaps are filled, and what must hold of them."""

    n: int = Field(1, ge=1)
    """Fillings of each record or region."""
    candidates: int = Field(1, ge=1)
    """Drawn for each filling under constraints, one of which is kept: the more, the nearer to the sampler's own law
    given that the constraints hold."""
    flank: int = Field(512, ge=0)
    """Bases that the model sees on either side of a region of --bed."""
    sampler: Sampler = Auto()
    """How letters are drawn; under constraints ancestral, first_hitting or remdm."""
    seed: int = Field(0, ge=0)
    """Seed of the draws."""
    batch_size: int = Field(16, ge=1)
    """Sequences at a time."""


@dataclass(frozen=True)
class Piece:
    """A record, or a region of one with its flanks, on the strand that it is filled on.

    Attributes:
        record: its name.
        start: of the region in the record, 0-based, on the strand of the file.
        strand: 1 or -1.
        site: the text, and what of it is to be filled.
    """

    record: str
    start: int
    strand: int
    site: Site

    @property
    def end(self) -> int:
        """Of the region in the record, half-open."""
        return self.start + self.site.end - self.site.start

    def substitutions(self, fillings: Sequence[str]) -> Iterator[Substitution]:
        """Where fillings of the region differ from what was there, on the strand of the file."""
        columns = [self.site.text[self.site.start : self.site.end], *fillings]
        if self.strand < 0:
            columns = [_opposite(column) for column in columns]
        for offset, (old, *new) in enumerate(zip(*columns, strict=True)):
            if set(new) != {old}:
                yield Substitution(self.record, self.start + offset, old.upper(), tuple(base.upper() for base in new))


Filled = tuple[Piece, list[str]]  # and the fillings of its region


def run(settings: InfillSettings, path: Path, fasta: str, bed: str | None, out: str, vcf: str | None) -> None:
    """Fill and write.

    Args:
        fasta: whose gaps are filled; with `bed`, whose regions are.
        out: FASTA of whole records, or of regions on their strands; `-` for standard output.
        vcf: where to write what was changed, or None.
    """
    genome, folder = Genome.open(fasta, obeys_codes=bed is None), find_checkpoint(path)
    found = list(pieces(settings, genome, bed))
    sites = [piece.site for piece in found]
    settings.check(sites)
    if vcf is not None:
        check_apart(found)
    with written(out) as write_fasta, written(vcf) as write_vcf:
        model = checkpoint.load(folder)
        texts = fill_sites(
            model, sites, settings, settings.sampler,
            n=settings.n, candidates=settings.candidates, seed=settings.seed, batch_size=settings.batch_size,
        )  # fmt: skip
        filled = list(zip(found, texts, strict=True))
        about = description(settings, model, folder)
        changes = [change for piece, texts in filled for change in piece.substitutions(texts)]
        write_fasta(records_text(genome, filled, about) if bed is None else regions_text(filled, about))
        write_vcf(vcf_text(genome.contigs, changes, settings.n, about))
    if out != "-":
        places = counted(len(found), "record" if bed is None else "region")
        log.info("%s: %s of %s", out, counted(settings.n, "filling"), places)
    if vcf is not None:
        log.info("%s: %s", vcf, counted(len(changes), "changed base"))


def dry_run(settings: InfillSettings, path: Path, fasta: str, bed: str | None) -> str:
    """What `run` would fill, with every constraint checked."""
    found = list(pieces(settings, Genome.open(fasta, obeys_codes=bed is None), bed))
    settings.check([piece.site for piece in found])
    n_free = sum(int(piece.site.free.sum()) for piece in found)
    return (
        f"{called(find_checkpoint(path))}: {len(found):,} records or regions, {n_free:,} bases to fill, "
        f"{settings.n} of each; all constraints can be kept; {settings.sampler!r}"
    )


def source(named: Sequence[str], ref: str | None, bed: str | None) -> str:
    """The FASTA that is meant by words and `--ref`.

    Raises:
        InputError: none, several, or a genome without regions.
    """
    files = [*named, *([ref] if ref is not None else [])]
    if len(files) != 1:
        raise InputError(f"{len(files)} FASTA files are named; name one whose gaps are filled, or --ref and --bed")
    if ref is not None and bed is None:
        raise InputError(
            f"--ref {ref}: name the regions to fill by --bed, or give the file without --ref to fill its gaps"
        )
    return files[0]


def pieces(settings: InfillSettings, genome: Genome, bed: str | None) -> Iterator[Piece]:
    """What is to be filled: records that have gaps, or the rows of a BED file.

    Raises:
        InputError: there is nothing to fill, or a record with gaps is too long to be seen whole.
    """
    if bed is not None:
        flank = max(settings.flank, settings.reach)
        rows = read_bed(bed, genome.contigs)
        for number, start, end, strand in zip(rows.contig, rows.start, rows.end, rows.strand, strict=True):
            yield _region(genome, genome.index.names[number], int(start), int(end), int(strand), flank)
        return
    gapped = [name for name, length in genome.contigs.items() if length and _n_unknown(genome, name, length)]
    if not gapped:
        raise InputError(
            f"{genome.path}: nothing to fill; write N or another IUPAC code where a base is wanted, or give --bed"
        )
    for name in gapped:
        if (length := genome.contigs[name]) > LONGEST:
            raise InputError(
                f"{genome.path}: {name!r} has {length:,} bases, too many to be seen at once; name the regions by --bed"
            )
        yield Piece(name, 0, 1, Site.of_gaps(name, genome.text(name, 0, length)))


def check_apart(found: Sequence[Piece]) -> None:
    """Refuse regions that overlap, where a base would change twice.

    Raises:
        InputError: two of them do.
    """
    for one, other in pairwise(sorted(found, key=lambda piece: (piece.record, piece.start))):
        if one.record == other.record and other.start < one.end:
            raise InputError(f"{one.site.name} and {other.site.name} overlap; merge them, or leave --vcf out")


def description(settings: InfillSettings, model: DiffusionModel, folder: Path) -> str:
    """Where fillings come from, for headers."""
    used = model.config.objective.sampler(settings.sampler)
    knobs = used.model_dump(exclude={"kind"}, exclude_none=True)
    asked = settings.model_dump(include={"candidates", *Constraints.model_fields}, exclude_defaults=True)
    shown = {name: ",".join(map(str, value)) if isinstance(value, tuple) else value for name, value in asked.items()}
    about = {"model": folder.name, "sampler": used.kind, **knobs, "seed": settings.seed, **shown}
    return " ".join(f"{name}={value}" for name, value in about.items())


def records_text(genome: Genome, filled: Sequence[Filled], about: str) -> str:
    """Every record of the file, in its order; those without gaps as they are."""
    by_name = {piece.record: texts for piece, texts in filled}
    lines: list[str] = []
    for name, length in genome.contigs.items():
        if name in by_name:
            lines += _records(name, by_name[name], about)
        else:
            lines += _lines(name, genome.text(name, 0, length) if length else "")
    return "\n".join(lines) + "\n"


def regions_text(filled: Sequence[Filled], about: str) -> str:
    """The regions alone, each on its strand."""
    return "\n".join(line for piece, texts in filled for line in _records(piece.site.name, texts, about)) + "\n"


@contextmanager
def written(path: str | None) -> Iterator[Callable[[str], object]]:
    """A function that writes a text: to a file, whole or not at all; to standard output for `-`; nowhere for None.

    Raises:
        InputError: it is a folder.
        ResourceError: the file cannot be written; found out at the start.
    """
    if path is None:
        yield lambda text: None
    elif path == "-":
        yield sys.stdout.write
    else:
        with asked_for(Path(path).expanduser()) as temporary:
            yield temporary.write_text


def _region(genome: Genome, record: str, start: int, end: int, strand: int, flank: int) -> Piece:
    first, last = max(0, start - flank), min(genome.contigs[record], end + flank)
    text, at, name = genome.text(record, first, last), start - first, f"{record}:{start}-{end}"
    if strand < 0:
        text, at, name = _opposite(text), last - end, f"{name}(-)"
    inside = np.arange(len(text)) - at
    free = (inside >= 0) & (inside < end - start)
    return Piece(record, start, strand, Site(name, text, free, at, at + end - start, any_base=True))


def _opposite(text: str) -> str:
    """The other strand, with its case and codes."""
    return text.translate(COMPLEMENT)[::-1]


def _n_unknown(genome: Genome, record: str, length: int) -> int:
    return int(genome.index.count_unknown(np.array([genome.numbers[record]]), np.array([0]), length)[0])


def _records(name: str, texts: Sequence[str], about: str) -> Iterator[str]:
    for number, text in enumerate(texts, start=1):
        yield from _lines(f"{name}{f'_{number}' if len(texts) > 1 else ''} {about}", text)


def _lines(header: str, text: str) -> Iterator[str]:
    yield f">{header}"
    yield from (text[at : at + LINE_BASES] for at in range(0, len(text), LINE_BASES))
