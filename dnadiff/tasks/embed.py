"""`dnadiff embed`: what a network knows of sequences, as numbers for other programs; a batch at a time is in memory."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dnadiff import dna
from dnadiff.config import Settings
from dnadiff.data.bed import read_bed
from dnadiff.data.fasta import Genome
from dnadiff.data.inputs import find_file, lines
from dnadiff.data.leakage.files import Table, first_line, read_rows
from dnadiff.data.leakage.sequences import row_tokens
from dnadiff.errors import InputError, counted
from dnadiff.files import unfinished
from dnadiff.inference.api import Model, load
from dnadiff.inference.features import Pooling, Strands, embed
from dnadiff.inference.progress import progress_bar
from dnadiff.inference.sample import warn_if_untried
from dnadiff.run import find_checkpoint
from dnadiff.vocab import DNA

log = logging.getLogger("dnadiff")
ROW_GROUP = 256  # sequences of a group of rows of a parquet file
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


class Listed(NamedTuple):
    """Sequences that are read when they are needed.

    Attributes:
        names: one for each.
        lengths: (n,) bases.
        read: number -> tokens.
    """

    names: list[str]
    lengths: NDArray[np.int64]
    read: Callable[[int], NDArray[np.uint8]]


def run(settings: EmbedSettings, path: Path, fasta: str, bed: str | None, out: str) -> None:
    """Embed and write; the file's name tells its format: .npz, .parquet, .tsv.

    Args:
        fasta: sequences, also as a table with a column `sequence`; `bed`: regions of a FASTA file.

    Raises:
        InputError: sequences that cannot be read, a format that is not known or needs a package.
        ResourceError: the file cannot be written.
    """
    file = Path(out).expanduser()
    writer = _writer(file)
    listed, model = _open(path, fasta, bed)
    rows = (listed.read(number) for number in range(len(listed.names)))
    found = embed(
        model.network, rows, pooling=settings.pooling, strands=settings.strands, batch_size=settings.batch_size
    )
    with unfinished(file) as temporary, progress_bar("embedding", len(listed.names)) as advance:
        writer(temporary, listed, _watched(found, advance), settings.pooling)
    log.info("%s: %s", file, counted(len(listed.names), "sequence"))


def dry_run(settings: EmbedSettings, path: Path, fasta: str, bed: str | None, out: str) -> str:
    """What `run` would embed."""
    _writer(Path(out))
    listed, _ = _open(path, fasta, bed)
    n_bases, n_rows = int(listed.lengths.sum()), len(listed.names)
    written = n_rows if settings.pooling == "mean" else n_bases
    return f"{find_checkpoint(path)}: {counted(n_rows, 'sequence')}, {n_bases:,} bases; {written:,} rows of features"


def sequences(fasta: str, bed: str | None) -> Listed:
    """Rows of a BED file, records of a FASTA file, or rows of a table.

    Raises:
        InputError: files that cannot be used, or a record without bases.
    """
    source = find_file(fasta)
    if bed is None and not first_line(lines(source)).startswith(">"):
        table = read_rows(source, None)
        if not isinstance(table, Table):
            raise InputError(f"{source}: lists places; give the genome with --fasta and the places with --bed")
        names = [f"{source.name}:{line}" for line in table.line.tolist()]
        return Listed(names, table.sequences.lengths, lambda number: row_tokens(table.sequences, number))
    genome = Genome.open(fasta)
    if bed is None:
        for name, length in genome.contigs.items():
            if not length:
                raise InputError(f"{fasta}: {name!r} has no bases; leave it out")
        names = list(genome.contigs)
        return Listed(names, genome.index.lengths, lambda n: genome.tokens(names[n], 0, genome.contigs[names[n]]))
    rows = read_bed(bed, genome.contigs)
    contigs = [genome.index.names[number] for number in rows.contig]

    def read(number: int) -> NDArray[np.uint8]:
        tokens = genome.tokens(contigs[number], int(rows.start[number]), int(rows.end[number]))
        return dna.reverse_complement(tokens) if rows.strand[number] < 0 else tokens

    places = zip(contigs, rows.start, rows.end, rows.strand, strict=True)
    names = [f"{name}:{start}-{end}{'(-)' if strand < 0 else ''}" for name, start, end, strand in places]
    return Listed(names, rows.end - rows.start, read)


def _open(path: Path, fasta: str, bed: str | None) -> tuple[Listed, Model]:
    listed, model = sequences(fasta, bed), load(path)
    if model.network.vocab.digest() != DNA.digest():
        raise InputError(f"{path}: is no model of DNA, whose sequences could be embedded")
    warn_if_untried(int(listed.lengths.max()), model.settings.data.length)
    return listed, model


def _watched(found: Iterator[Values], advance: Callable[[int], None]) -> Iterator[Values]:
    for values in found:
        yield values
        advance(1)


def _writer(file: Path) -> Callable[[Path, Listed, Iterator[Values], Pooling], None]:
    writers = {".npz": _write_npz, ".parquet": _write_parquet, ".tsv": _write_tsv}
    if file.is_dir() or file.suffix not in writers:
        raise InputError(f"{file}: name a file that ends in {', '.join(writers)}")
    if file.suffix == ".parquet":
        _parquet()
    return writers[file.suffix]


def _write_npz(path: Path, listed: Listed, found: Iterator[Values], pooling: Pooling) -> None:
    """`names`, `features` (rows, width), and for bases `offsets` (n + 1,), where each sequence begins and ends."""
    first = next(found)
    n_rows = len(listed.names) if pooling == "mean" else int(listed.lengths.sum())
    with zipfile.ZipFile(path, "w") as archive:
        arrays = {"names": np.array(listed.names), "offsets": np.concatenate([[0], np.cumsum(listed.lengths)])}
        for name, array in arrays.items():
            if name == "names" or pooling == "none":
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
        with archive.open("features.npy", "w", force_zip64=True) as member:
            header = {"descr": "<f4", "fortran_order": False, "shape": (n_rows, first.shape[-1])}
            np.lib.format.write_array_header_1_0(member, header)
            for values in chain([first], found):
                member.write(np.ascontiguousarray(values, "<f4").tobytes())


def _write_tsv(path: Path, listed: Listed, found: Iterator[Values], pooling: Pooling) -> None:
    """`name`, for bases `position` (0-based, on the strand that was read), and the features `f0`, `f1`, ..."""
    first = next(found)
    with path.open("w", encoding="utf-8") as file:
        file.write("\t".join([*_labels(pooling), *_names(first)]) + "\n")
        for name, values in zip(listed.names, chain([first], found), strict=True):
            for position, row in enumerate(np.atleast_2d(values)):
                label = [name, str(position)][: len(_labels(pooling))]
                file.write("\t".join([*label, *(f"{value:.6g}" for value in row)]) + "\n")


def _write_parquet(path: Path, listed: Listed, found: Iterator[Values], pooling: Pooling) -> None:
    """The columns of the TSV, features as float32."""
    pyarrow, parquet = _parquet()
    first = next(found)
    types = [pyarrow.string(), pyarrow.int64()]
    labels = list(zip(_labels(pooling), types, strict=False))
    schema = pyarrow.schema([*labels, *((name, pyarrow.float32()) for name in _names(first))])
    rows = zip(listed.names, chain([first], found), strict=True)
    with parquet.ParquetWriter(path, schema) as writer:
        while some := list(islice(rows, ROW_GROUP)):
            values = [np.atleast_2d(each) for _, each in some]
            names = np.repeat([name for name, _ in some], [len(each) for each in values])
            positions = np.concatenate([np.arange(len(each)) for each in values])
            labelled = [names, positions][: len(labels)]
            writer.write_table(pyarrow.table([*map(pyarrow.array, (*labelled, *np.concatenate(values).T))], schema))


def _labels(pooling: Pooling) -> list[str]:
    return ["name"] if pooling == "mean" else ["name", "position"]


def _names(values: Values) -> list[str]:
    return [f"f{number}" for number in range(values.shape[-1])]


def _parquet() -> tuple[Any, Any]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise InputError("--out: parquet needs pyarrow; pip install pyarrow, or choose .npz or .tsv") from None
