"""`dnadiff embed`: what a network knows of sequences, as numbers for other programs; a batch at a time is in memory."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dnadiff import checkpoint
from dnadiff.config import Settings
from dnadiff.errors import InputError, counted
from dnadiff.files import sha256, unfinished
from dnadiff.hub.shipped import called
from dnadiff.inference.api import Model, load
from dnadiff.inference.draws import Shard
from dnadiff.inference.evaluate import ALL
from dnadiff.inference.features import Pooling, Strands, embed
from dnadiff.inference.parts import Parts
from dnadiff.inference.progress import progress_bar
from dnadiff.inference.sample import warn_if_untried
from dnadiff.run import find_checkpoint
from dnadiff.shown import cell
from dnadiff.tasks.places import Places, open_places
from dnadiff.vocab import DNA

log = logging.getLogger("dnadiff")
ROW_GROUP = 1 << 14  # rows of a parquet file that are in memory together
Values = NDArray[np.float32]


class EmbedSettings(Settings):
    """What is written of each sequence."""

    pooling: Pooling = "mean"
    """mean: over its bases; none: every base."""
    strands: Strands = "both"
    """both: the same for a sequence and its reverse complement; given: as it is read. Strand-symmetric networks always
    give the first."""
    batch_size: int = Field(32, ge=1)
    """Sequences through the network at a time."""


def run(settings: EmbedSettings, path: Path, fasta: str, bed: str | None, out: str, shard: Shard = ALL) -> None:
    """Embed and write; the file's name tells its format: .npz, .parquet, .tsv.

    Args:
        fasta: sequences, also as a table with a column `sequence`; `bed`: regions of a FASTA file.
        out: what is done is kept beside it, so that the same command goes on where it was killed; shards meet there.
        shard: which batches to embed; whoever finds all of them done writes the file.

    Raises:
        InputError: sequences that cannot be read, a format that is not known or needs a package.
        ResourceError: the file cannot be written.
    """
    file = Path(out).expanduser()
    writer = _writer(file)
    places, model = _open(path, fasta, bed)
    claim = {
        "model": sha256(find_checkpoint(path) / checkpoint.MANIFEST), "dnadiff": version("dnadiff"),
        "files": places.fingerprint, "settings": settings.model_dump(mode="json"),
    }  # fmt: skip
    n_batches = -(-len(places) // settings.batch_size)
    parts = Parts.beside(file, shard.n_shards, claim, n_batches)

    def record(number: int) -> bytes:
        """Features of a batch, laid end to end."""
        some = (places.tokens(each) for each in _batch(places, settings, number))
        found = embed(model.network, some, **settings.model_dump())
        return b"".join(np.ascontiguousarray(values, "<f4").tobytes() for values in found)

    with progress_bar("embedding", parts.share(shard)) as advance:
        parts.fill(shard, record, advance)

    def write() -> None:
        with unfinished(file) as temporary:
            writer(temporary, places, _features(parts, places, settings), settings.pooling)

    if not parts.finish(write):
        log.info("shard %d of %d is embedded; the last one writes %s", *shard, file)
        return
    log.info("%s: %s", file, counted(len(places), "sequence"))


def dry_run(settings: EmbedSettings, path: Path, fasta: str, bed: str | None, out: str) -> str:
    """What `run` would embed."""
    _writer(Path(out))
    places, _ = _open(path, fasta, bed)
    n_bases, n_rows = places.n_bases, len(places)
    written = n_rows if settings.pooling == "mean" else n_bases
    read = f"{counted(n_rows, 'sequence')}, {n_bases:,} bases"
    return f"{called(find_checkpoint(path))}: {read}; {written:,} rows of features"


def _open(path: Path, fasta: str, bed: str | None) -> tuple[Places, Model]:
    places, model = open_places(fasta, bed), load(path)
    if model.network.vocab.digest() != DNA.digest():
        raise InputError(f"{path}: is no model of DNA, whose sequences could be embedded")
    warn_if_untried(int((places.end - places.start).max()), model.settings.data.length)
    return places, model


def _batch(places: Places, settings: EmbedSettings, number: int) -> range:
    first = number * settings.batch_size
    return range(first, min(first + settings.batch_size, len(places)))


def _features(parts: Parts, places: Places, settings: EmbedSettings) -> Iterator[Values]:
    """Of each sequence, (width,) or (length, width)."""
    lengths = places.end - places.start
    for number, record in enumerate(parts.records()):
        batch = _batch(places, settings, number)
        rows = np.ones(len(batch), np.int64) if settings.pooling == "mean" else lengths[batch.start : batch.stop]
        values = np.frombuffer(record, "<f4").reshape(int(rows.sum()), -1)
        each = np.split(values, np.cumsum(rows)[:-1])
        yield from (one[0] for one in each) if settings.pooling == "mean" else each


def _writer(file: Path) -> Callable[[Path, Places, Iterator[Values], Pooling], None]:
    writers = {".npz": _write_npz, ".parquet": _write_parquet, ".tsv": _write_tsv}
    if file.is_dir() or file.suffix not in writers:
        raise InputError(f"{file}: name a file that ends in {', '.join(writers)}")
    if file.suffix == ".parquet":
        _parquet()
    return writers[file.suffix]


def _write_npz(path: Path, places: Places, found: Iterator[Values], pooling: Pooling) -> None:
    """`names`, `features` (rows, width), and for bases `offsets` (n + 1,), where each sequence begins and ends."""
    first = next(found)
    n_rows = len(places) if pooling == "mean" else places.n_bases
    with zipfile.ZipFile(path, "w") as archive:
        names = np.array([places.label(number) for number in range(len(places))])
        arrays = {"names": names, "offsets": np.concatenate([[0], np.cumsum(places.end - places.start)])}
        for name, array in arrays.items():
            if name == "names" or pooling == "none":
                with archive.open(_member(name), "w") as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
        with archive.open(_member("features"), "w", force_zip64=True) as member:
            header = {"descr": "<f4", "fortran_order": False, "shape": (n_rows, first.shape[-1])}
            np.lib.format.write_array_header_1_0(member, header)
            for values in chain([first], found):
                member.write(values.tobytes())


def _member(name: str) -> zipfile.ZipInfo:
    """A member whose bytes do not depend on the time."""
    return zipfile.ZipInfo(f"{name}.npy")


def _write_tsv(path: Path, places: Places, found: Iterator[Values], pooling: Pooling) -> None:
    """`name`, for bases `position` (0-based, on the strand that was read), and the features `f0`, `f1`, ..."""
    first = next(found)
    with path.open("w", encoding="utf-8") as file:
        file.write("\t".join([*_labels(pooling), *_names(first)]) + "\n")
        for number, values in enumerate(chain([first], found)):
            name = cell(places.label(number))
            for position, row in enumerate(np.atleast_2d(values)):
                label = [name, str(position)][: len(_labels(pooling))]
                file.write("\t".join([*label, *(f"{value:.6g}" for value in row)]) + "\n")


def _write_parquet(path: Path, places: Places, found: Iterator[Values], pooling: Pooling) -> None:
    """The columns of the TSV, features as float32."""
    pyarrow, parquet = _parquet()
    first = next(found)
    types = [pyarrow.string(), pyarrow.int64()]
    labels = list(zip(_labels(pooling), types, strict=False))
    schema = pyarrow.schema([*labels, *((name, pyarrow.float32()) for name in _names(first))])
    with parquet.ParquetWriter(path, schema) as writer:
        for names, positions, values in _groups(map(places.label, range(len(places))), chain([first], found)):
            labelled = [names, positions][: len(labels)]
            writer.write_table(pyarrow.table([*map(pyarrow.array, (*labelled, *values.T))], schema))


def _groups(names: Iterable[str], found: Iterable[Values]) -> Iterator[tuple[Any, Any, Values]]:
    """Names, positions and features of so many rows as share a group, or of one sequence that has more."""
    labels: list[str] = []
    rows: list[Values] = []
    for name, values in zip(names, found, strict=True):
        labels.append(name)
        rows.append(np.atleast_2d(values))
        if sum(map(len, rows)) >= ROW_GROUP:
            yield _group(labels, rows)
            labels, rows = [], []
    if rows:
        yield _group(labels, rows)


def _group(names: Sequence[str], rows: Sequence[Values]) -> tuple[Any, Any, Values]:
    positions = np.concatenate([np.arange(len(each)) for each in rows])
    return np.repeat(names, [len(each) for each in rows]), positions, np.concatenate(rows)


def _labels(pooling: Pooling) -> list[str]:
    return ["name"] if pooling == "mean" else ["name", "position"]


def _names(values: Values) -> list[str]:
    return [f"f{number}" for number in range(values.shape[-1])]


def _parquet() -> tuple[Any, Any]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise InputError("--out: parquet needs pyarrow; pip install pyarrow, or choose .npz or .tsv") from None
