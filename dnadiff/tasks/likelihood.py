"""`dnadiff evaluate --fasta`, `dnadiff score --fasta`: log p of each sequence of a file, or of regions of them given
their flanks; and what each base has of it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from dnadiff import checkpoint, config, dna
from dnadiff.config import Settings
from dnadiff.data.bed import read_bed
from dnadiff.data.fasta import Genome
from dnadiff.data.genome import GenomeData, open_data
from dnadiff.data.inputs import find_file, lines
from dnadiff.data.leakage.files import Table, first_line, read_rows
from dnadiff.data.leakage.sequences import row_tokens
from dnadiff.data.markov import MarkovModel
from dnadiff.errors import InputError, counted
from dnadiff.files import write_text
from dnadiff.inference.likelihood import LogProb, Method, base_log_probs, log_prob
from dnadiff.inference.progress import progress_bar
from dnadiff.model import DiffusionModel
from dnadiff.run import config_of, find_checkpoint
from dnadiff.tasks.baselines import markov_chain
from dnadiff.tasks.settings import TrainConfig
from dnadiff.vocab import DNA

log = logging.getLogger("dnadiff")
COLUMNS = (
    "sequence", "start", "end", "strand", "letters", "log_p_nats", "standard_error", "low_nats", "high_nats",
    "markov_nats",
)  # fmt: skip
BASE_COLUMNS = ("sequence", "position", "strand", "base", "log_p_nats")
BEDGRAPH = (".bedgraph", ".bdg", ".bg")


class LikelihoodSettings(Settings):
    """How the likelihood of a sequence is found."""

    method: Method = "bound"
    """bound, exact (up to 14 positions), chain_rule, or pseudo (each base given all others: no bound)."""
    draws: int = Field(64, ge=1)
    """Draws of masks for bound, of orders for chain_rule."""
    batch_size: int = Field(64, ge=1)
    """Rows through the network at a time."""
    seed: int = Field(0, ge=0)
    """Seed of the draws."""


class Place(NamedTuple):
    """A sequence on the strand that is scored, and the region of it that is in question, 0-based, half-open."""

    name: str
    tokens: np.ndarray
    region: tuple[int, int]
    strand: int

    def columns(self) -> tuple[str, ...]:
        """Name, start, end and strand as in the file."""
        start, end = self.region if self.strand > 0 else (len(self.tokens) - i for i in reversed(self.region))
        return self.name, str(start), str(end), "+" if self.strand > 0 else "-"


def run(
    settings: LikelihoodSettings, path: Path, fasta: str, bed: str | None, out: str | None, per_base: str | None = None
) -> None:
    """Score and write a table, with what a Markov chain of the training data says beside it.

    Args:
        fasta: sequences, also as a table with a column `sequence`; `bed`: regions of a FASTA file, all of each sequence
            where there is none.
        out: TSV to write; `-` or None for standard output.
        per_base: bedGraph, told by its name, or TSV to write, with what each base has of log p.
    """
    folder = find_checkpoint(path)
    if checkpoint.read_vocab(folder).digest() != DNA.digest():
        raise InputError(f"{folder}: is no model of DNA; --fasta is for those, data.path=FILE scores text")
    found = list(places(fasta, bed))
    _require_letters(found, fasta)
    model, chain = checkpoint.load(folder), _chain_of(path)
    rows: list[str] = []
    bases: list[str] = []
    with progress_bar("scoring", len(found)) as advance:
        for place in found:
            result, values = _score(model, place, settings, each=per_base is not None)
            rows.append(_line(place, result, chain))
            bases += [] if per_base is None else _base_lines(place, values, per_base)
            advance(1)
    text = "\n".join([f"# {folder}: log_p_nats is {result.meaning.of_log_p}", "\t".join(COLUMNS), *rows]) + "\n"
    if per_base is not None:
        head = "track type=bedGraph" if _is_bedgraph(per_base) else "\t".join(BASE_COLUMNS)
        write_text(Path(per_base).expanduser(), "\n".join([head, *bases]) + "\n")
    if out in (None, "-"):
        sys.stdout.write(text)
    else:
        write_text(Path(str(out)).expanduser(), text)
        log.info("%s: %s", out, counted(len(found), "sequence" if bed is None else "region"))


def dry_run(settings: LikelihoodSettings, path: Path, fasta: str, bed: str | None) -> str:
    """What `run` would score."""
    found = list(places(fasta, bed))
    n_bases = sum(end - start for _, _, (start, end), _ in found)
    n_places = counted(len(found), "sequence" if bed is None else "region")
    return f"{find_checkpoint(path)}: {settings.method} of {n_places}, {counted(n_bases, 'base')}"


def places(fasta: str, bed: str | None) -> Iterator[Place]:
    """What is scored: the rows of a BED file, or whole sequences."""
    source = find_file(fasta)
    if bed is None and not first_line(lines(source)).startswith(">"):
        yield from _rows(source)
        return
    genome = Genome.open(fasta)
    if bed is None:
        for name, length in genome.contigs.items():
            if not length:
                raise InputError(f"{fasta}: {name!r} has no bases; leave it out")
            yield Place(name, genome.tokens(name, 0, length), (0, length), 1)
        return
    rows = read_bed(bed, genome.contigs)
    for number, start, end, strand in zip(rows.contig, rows.start, rows.end, rows.strand, strict=True):
        name = genome.index.names[number]
        tokens = genome.tokens(name, 0, genome.contigs[name])
        if strand < 0:
            tokens, (start, end) = dna.reverse_complement(tokens), (len(tokens) - end, len(tokens) - start)
        yield Place(name, tokens, (int(start), int(end)), int(strand))


def _rows(source: Path) -> Iterator[Place]:
    """Rows of a table, named by their lines."""
    table = read_rows(source, None)
    if not isinstance(table, Table):
        raise InputError(f"{source}: lists places; give the genome with --fasta and the places with --bed")
    for number, line in enumerate(table.line.tolist()):
        tokens = row_tokens(table.sequences, number)
        yield Place(f"{source.name}:{line}", tokens, (0, len(tokens)), 1)


def _score(
    model: DiffusionModel, place: Place, settings: LikelihoodSettings, *, each: bool
) -> tuple[LogProb, np.ndarray]:
    """Log p, and what each base has of it if that is asked for."""
    how: dict[str, Any] = settings.model_dump() | {"region": place.region, "where": f"{place.name}: "}
    return base_log_probs(model, place.tokens, **how) if each else (log_prob(model, place.tokens, **how), np.empty(0))


def _base_lines(place: Place, values: np.ndarray, path: str) -> Iterator[str]:
    """Scored bases in the order of the file, on its strand."""
    letters = dna.decode(place.tokens)
    name, _, _, strand = place.columns()
    for i in np.flatnonzero(np.isfinite(values))[:: place.strand].tolist():
        at = i if place.strand > 0 else len(values) - 1 - i
        if _is_bedgraph(path):
            yield f"{name}\t{at}\t{at + 1}\t{values[i]:.5f}"
        else:
            yield f"{name}\t{at}\t{strand}\t{letters[i]}\t{values[i]:.5f}"


def _is_bedgraph(path: str) -> bool:
    return path.lower().endswith(BEDGRAPH)


def _require_letters(found: Sequence[Place], fasta: str) -> None:
    """Raises: InputError: a place has nothing to score, which would be found out after all those before it."""
    for place in found:
        if not np.isin(place.tokens[slice(*place.region)], DNA.letters).any():
            name, start, end, _ = place.columns()
            raise InputError(f"{fasta}: {name}:{start}-{end} has no A, C, G or T to score; leave it out")


def _chain_of(path: Path) -> MarkovModel | None:
    """The Markov chain of the data that a run was trained on; None where these are not to be had."""
    preset = config_of(path)
    if preset is None:
        log.warning("%s: is not inside a run folder, so there is no Markov chain of its training data", path)
        return None
    settings = config.read(TrainConfig, Path(preset))
    assert isinstance(settings.data, GenomeData)
    try:
        return markov_chain(settings, open_data(settings.data, seed=settings.train.seed))
    except InputError as error:
        log.warning("%s; no Markov chain stands beside the figures", error)
        return None


def _line(place: Place, result: LogProb, chain: MarkovModel | None) -> str:
    markov = "" if chain is None else f"{_markov_nats(chain, place):.4f}"
    half = 1.96 * result.standard_error
    nats = (result.nats, result.standard_error, result.nats - half, result.nats + half)
    return "\t".join((*place.columns(), str(result.n_scored), *(f"{number:.4f}" for number in nats), markov))


def _markov_nats(chain: MarkovModel, place: Place) -> float:
    """Log p of the region under the chain, given what precedes it; each base by the highest order that it can have."""
    assert chain.best_order is not None
    end = place.region[1]
    nats = chain.log_probs(place.tokens[:end], 0)
    for order in range(1, min(chain.best_order, end - 1) + 1):
        higher = chain.log_probs(place.tokens[:end], order)
        nats = np.where(np.isnan(higher), nats, higher)
    return float(np.nansum(nats[place.region[0] :]))
