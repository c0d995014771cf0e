"""`dnadiff evaluate --fasta`, `dnadiff score --fasta`: log p of each sequence of a file, or of regions of them given
their flanks; and what each base has of it. A place at a time is in memory.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
from pydantic import Field

from dnadiff import checkpoint, config, dna
from dnadiff.config import Settings
from dnadiff.data.genome import GenomeData, open_data
from dnadiff.data.markov import MarkovModel
from dnadiff.errors import InputError, counted
from dnadiff.files import sha256, unfinished
from dnadiff.hub.shipped import called
from dnadiff.inference.api import Model, load
from dnadiff.inference.draws import Shard, output_file
from dnadiff.inference.estimate import Meaning
from dnadiff.inference.evaluate import ALL
from dnadiff.inference.likelihood import Method, base_log_probs, log_prob
from dnadiff.inference.parts import Parts
from dnadiff.inference.progress import progress_bar
from dnadiff.inference.sample import warn_if_untried
from dnadiff.model import DiffusionModel
from dnadiff.run import config_of, find_checkpoint
from dnadiff.shown import cell
from dnadiff.tasks.baselines import markov_chain
from dnadiff.tasks.places import Places, open_places
from dnadiff.tasks.settings import TrainConfig
from dnadiff.tasks.tables import require_tabs
from dnadiff.vocab import DNA

log = logging.getLogger("dnadiff")
WINDOW = 1024  # where it is not known what a model was trained on
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
    window: int | None = Field(None, ge=1)
    """Bases that the model sees of a region of --bed and its flanks; null: as many as it was trained on, or 1,024."""
    draws: int = Field(64, ge=1)
    """Draws of masks for bound, of orders for chain_rule."""
    batch_size: int = Field(64, ge=1)
    """Rows through the network at a time."""
    seed: int = Field(0, ge=0)
    """Seed of the draws."""


def run(
    settings: LikelihoodSettings, path: Path, fasta: str, bed: str | None, out: str | None,
    per_base: str | None = None, shard: Shard = ALL,
) -> None:  # fmt: skip
    """Score and write a table, with what a Markov chain of the training data says beside it.

    Args:
        fasta: sequences, also as a table with a column `sequence`; `bed`: regions of a FASTA file, all of each sequence
            where there is none.
        out: TSV to write; `-` or None for standard output. What is scored is kept beside the file, so that the same
            command goes on where it was killed, and shards meet there.
        per_base: bedGraph, told by its name, or TSV to write, with what each base has of log p.
        shard: which places to score; whoever finds all of them scored writes the files.

    Raises:
        InputError: a file that cannot be used, or a place that has nothing to score.
    """
    file, folder = output_file(out, shard), find_checkpoint(path)
    require_tabs(file)
    require_tabs(Path(per_base) if per_base else None)
    if checkpoint.read_vocab(folder).digest() != DNA.digest():
        raise InputError(f"{folder}: is no model of DNA; --fasta is for those, data.path=FILE scores text")
    found = open_places(fasta, bed)
    _require_letters(found, fasta)
    model = load(path)
    how = settings.model_copy(update={"window": _window(settings, found, model)})
    scorer = _Scorer(model.network, chain_of(path), how, found, per_base)
    claim = {
        "model": sha256(folder / checkpoint.MANIFEST), "dnadiff": version("dnadiff"), "files": found.fingerprint,
        "settings": how.model_dump(mode="json"), "per_base": scorer.base_kind,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder_of_none:
        parts = Parts.beside(file or Path(folder_of_none) / "out", shard.n_shards, claim, len(found))
        with progress_bar("scoring", parts.share(shard)) as advance:
            parts.fill(shard, scorer.record, advance)
        if not parts.finish(lambda: _write(parts, f"# {called(folder)}", file, per_base)):
            log.info("shard %d of %d is scored; the last one writes %s", *shard, file)
            return
    if file is not None:
        log.info("%s: %s", out, found.says())


def dry_run(settings: LikelihoodSettings, path: Path, fasta: str, bed: str | None) -> str:
    """What `run` would score."""
    found = open_places(fasta, bed)
    return f"{called(find_checkpoint(path))}: {settings.method} of {found.says()}, {counted(found.n_bases, 'base')}"


class _Scorer(NamedTuple):
    """All that a place is scored by.

    Attributes:
        settings: with the window that is used.
        per_base: file that takes what each base has of log p, if one is to be written.
    """

    model: DiffusionModel
    chain: MarkovModel | None
    settings: LikelihoodSettings
    places: Places
    per_base: str | None

    @property
    def base_kind(self) -> str | None:
        """How bases are written."""
        if self.per_base is None:
            return None
        return "bedgraph" if self.per_base.lower().endswith(BEDGRAPH) else "table"

    def record(self, number: int) -> bytes:
        """What a place comes to: the meaning of its figure, its line of the table, and lines of its bases."""
        places, how = self.places, self.settings
        name, length = places.names[number], int(places.end[number] - places.start[number])
        assert how.window is not None
        tokens, first = places.window(number, how.window)
        region = (first, first + length)
        given: dict[str, Any] = how.model_dump(exclude={"window"}) | {"region": region, "where": f"{name}: "}
        values = np.empty(0)
        if self.base_kind is None:
            result = log_prob(self.model, tokens, **given)
        else:
            result, values = base_log_probs(self.model, tokens, **given)
        markov = "" if self.chain is None else f"{markov_nats(self.chain, tokens, region):.4f}"
        strand = "+" if places.strand[number] > 0 else "-"
        half = 1.96 * result.standard_error
        nats = (result.nats, result.standard_error, result.nats - half, result.nats + half)
        place = (cell(name), str(places.start[number]), str(places.end[number]), strand, str(result.n_scored))
        line = "\t".join([*place, *(f"{value:.4f}" for value in nats), markov])
        bases = "".join(self._base_lines(number, dna.decode(tokens[slice(*region)]), values[slice(*region)]))
        return json.dumps([result.meaning.name, line, bases]).encode()

    def _base_lines(self, number: int, letters: str, values: np.ndarray) -> Iterator[str]:
        """Scored bases of a place in the order of the file, on its strand."""
        places = self.places
        name, strand = places.names[number], int(places.strand[number])
        for i in np.flatnonzero(np.isfinite(values))[::strand].tolist():
            at = int(places.start[number]) + i if strand > 0 else int(places.end[number]) - 1 - i
            if self.base_kind == "bedgraph":
                yield f"{name}\t{at}\t{at + 1}\t{values[i]:.5f}\n"
            else:
                yield f"{cell(name)}\t{at}\t{'+' if strand > 0 else '-'}\t{letters[i]}\t{values[i]:.5f}\n"


def _window(settings: LikelihoodSettings, found: Places, model: Model) -> int:
    """Bases that are seen at a time: never less than a place, for which alone a model may have to go beyond itself."""
    trained = model.settings.data.length
    warn_if_untried(int((found.end - found.start).max()), trained)
    return (settings.window or trained or WINDOW) if found.of_bed else 1


def _write(parts: Parts, about: str, file: Path | None, per_base: str | None) -> None:
    """The table, and what bases have of it."""
    meanings = {Meaning[name].of_log_p for name, _, _ in map(json.loads, parts.records())}
    head = f"{about}: log_p_nats is {' or '.join(sorted(meanings))}\n" + "\t".join(COLUMNS) + "\n"
    with ExitStack() as stack:
        table = sys.stdout if file is None else _opened(stack, file)
        table.write(head)
        bases = None if per_base is None else _opened(stack, Path(per_base).expanduser())
        if bases is not None:
            is_graph = str(per_base).lower().endswith(BEDGRAPH)
            bases.write("track type=bedGraph\n" if is_graph else "\t".join(BASE_COLUMNS) + "\n")
        for _, line, of_bases in map(json.loads, parts.records()):
            table.write(f"{line}\n")
            if bases is not None:
                bases.write(of_bases)


def _opened(stack: ExitStack, file: Path) -> TextIO:
    """A file that takes its place when the stack ends well."""
    return stack.enter_context(stack.enter_context(unfinished(file)).open("w", encoding="utf-8"))


def _require_letters(found: Places, fasta: str) -> None:
    """Raises: InputError: a place has nothing to score, which would be found out after all those before it."""
    for number in range(len(found)):
        if not np.isin(found.tokens(number), DNA.letters).any():
            place = f"{found.names[number]}:{found.start[number]}-{found.end[number]}"
            raise InputError(f"{fasta}: {place} has no A, C, G or T to score; leave it out")


def chain_of(path: Path) -> MarkovModel | None:
    """The Markov chain of the data that a run was trained on; None where these are not to be had."""
    preset = config_of(path)
    if preset is None:
        log.warning("%s: is not inside a run folder, so there is no Markov chain of its training data", called(path))
        return None
    settings = config.read(TrainConfig, Path(preset))
    assert isinstance(settings.data, GenomeData)
    try:
        return markov_chain(settings, open_data(settings.data, seed=settings.train.seed))
    except InputError as error:
        log.warning("%s; no Markov chain stands beside the figures", error)
        return None


def markov_nats(chain: MarkovModel, tokens: np.ndarray, region: tuple[int, int]) -> float:
    """Log p of a region under a chain, given what precedes it; each base by the highest order that it can have."""
    assert chain.best_order is not None
    start, end = region
    nats = chain.log_probs(tokens[:end], 0)
    for order in range(1, min(chain.best_order, end - 1) + 1):
        higher = chain.log_probs(tokens[:end], order)
        nats = np.where(np.isnan(higher), nats, higher)
    return float(np.nansum(nats[start:]))
