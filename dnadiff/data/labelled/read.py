"""Labelled rows of one file or one folder of a class, before classes are numbered."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dnadiff import dna
from dnadiff.data.bed import N_SHOWN, Intervals, spelt_out
from dnadiff.data.fasta import Genome
from dnadiff.data.inputs import find_file, lines
from dnadiff.data.labelled.places import OnBad, read_places
from dnadiff.data.leakage.files import LABEL, SEQUENCE, Places, column, first_line, read_rows
from dnadiff.data.leakage.sequences import InMemory
from dnadiff.errors import InputError

PARQUET = b"PAR1"
MOST_BYTES = 1 << 26  # of a file that holds one sequence
NO_LABEL = {"", "nan", "none", "null", "na", "<na>"}


class Rows(NamedTuple):
    """Rows and the classes they name.

    Attributes:
        sequences: tokens.
        labels: class of each.
        names: where each was read.
        intervals: where each lies on `genome`; None for sequences.
    """

    sequences: InMemory
    labels: list[str]
    names: list[str]
    intervals: Intervals | None = None
    genome: Genome | None = None


def read_table(path: Path) -> Rows:
    """A file whose rows name their own class: CSV, TSV, parquet, or FASTA with `label=CLASS` in its headers.

    Raises:
        InputError: no labels, or rows without one; sequences that cannot be read.
    """
    source = find_file(path)
    if _begins_with(source, PARQUET):
        names, labels, texts = _parquet(source)
    elif first_line(lines(source)).startswith(">"):
        names, labels, texts = _fasta(source)
    else:
        return _csv(source)
    _check_labels(path, zip(names, labels, strict=True))
    return Rows(encoded(str(path), zip(names, texts, strict=True)), labels, names)


def read_class(path: Path, class_name: str, genome: Genome | None, on_bad: OnBad) -> Rows:
    """A file whose rows are all of one class: a list of places, FASTA, or a sequence in each line.

    Raises:
        InputError: places without their genome, or that it does not have; sequences that cannot be read.
    """
    source = find_file(path)
    if first_line(lines(source)).startswith(">"):
        names, _, texts = _fasta(source)
        return Rows(encoded(str(path), zip(names, texts, strict=True)), [class_name] * len(texts), names)
    read = read_rows(source, None)
    if not isinstance(read, Places):
        names = [f"{path.name}:{line}" for line in read.line.tolist()]
        return Rows(read.sequences, [class_name] * len(names), names)
    if genome is None:
        raise InputError(
            f"{path}: lists places; give their genome with --ref, or for this class alone data.refs.{class_name}=FASTA"
        )
    placed = read_places(read, genome, where=str(path), on_bad=on_bad)
    names = [f"{path.name}:{line}" for line in placed.intervals.line.tolist()]
    return Rows(placed.sequences, [class_name] * len(names), names, placed.intervals, genome)


def read_texts(where: str, entries: Iterable[tuple[str, bytes]], class_name: str) -> Rows:
    """Files that hold one sequence each, by name.

    Raises:
        InputError: sequences that cannot be read.
    """
    found = [(name, content.decode("ascii", "replace").strip()) for name, content in entries]
    return Rows(encoded(where, found), [class_name] * len(found), [name for name, _ in found])


def texts_of_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file of a folder, in the order of their names."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            if path.stat().st_size > MOST_BYTES:
                raise InputError(
                    f"{path}: has more than {MOST_BYTES:,} bytes; a file of a class's folder is one sequence"
                )
            yield f"{folder.name}/{path.name}", path.read_bytes()


def texts_of_zip(archive: zipfile.ZipFile, members: Iterable[zipfile.ZipInfo]) -> Iterator[tuple[str, bytes]]:
    """Name and content of members of an archive; nothing is unpacked to the disk."""
    for member in members:
        if member.file_size > MOST_BYTES:
            raise InputError(
                f"{archive.filename}: {member.filename} has more than {MOST_BYTES:,} bytes; a member is one sequence"
            )
        try:
            yield member.filename, archive.read(member)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            raise InputError(f"{archive.filename}: {error}; download it again") from None


def encoded(where: str, rows: Iterable[tuple[str, str]]) -> InMemory:
    """Tokens of named sequences.

    Raises:
        InputError: empty sequences or unknown symbols, the first of them spelt out; no rows.
    """
    bad: list[str] = []
    arrays: list[np.ndarray] = []
    n_bad = 0
    for name, text in rows:
        try:
            arrays.append(dna.encode(text, where=name))
            problem = "" if text else f"{name}: no sequence"
        except InputError as error:
            problem = str(error).partition(";")[0]
        if problem:
            n_bad += 1
            bad += [problem] * (n_bad <= N_SHOWN)
    if n_bad:
        raise InputError(f"{where}: {spelt_out(bad, n_bad)}; mend them, or leave them out")
    if not arrays:
        raise InputError(f"{where}: holds no sequences")
    return InMemory.of(arrays)


def _csv(source: Path) -> Rows:
    table = read_rows(source, None)
    if isinstance(table, Places) or table.labels is None:
        raise InputError(f"{source}: has no columns sequence (or seq) and label (or class); name them in line 1")
    names = [f"{source.name}:{line}" for line in table.line.tolist()]
    _check_labels(source, zip(names, table.labels, strict=True))
    return Rows(table.sequences, table.labels, names)


def _check_labels(path: Path, rows: Iterable[tuple[str, str]]) -> None:
    missing = [name for name, label in rows if label.lower() in NO_LABEL]
    if missing:
        shown = [f"{name} has no label" for name in missing[:N_SHOWN]]
        raise InputError(f"{path}: {spelt_out(shown, len(missing))}; give each row a class, or leave it out")


def _fasta(source: Path) -> tuple[list[str], list[str], list[str]]:
    """Names, classes (empty where a header names none) and bases of the records."""
    names: list[str] = []
    labels, texts = [], []
    for title, bases in _records(lines(source)):
        label = re.search(r"(?:^|\s)(?:label|class)=(\S+)", title)
        names.append(f"{source.name}:{title.split(None, 1)[0] if title.strip() else len(names) + 1}")
        labels.append(label[1] if label else "")
        texts.append(bases)
    return names, labels, texts


def _records(text: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Titles and bases of FASTA, as they are: Biopython's parser would drop spaces."""
    title, bases = "", list[str]()
    for line in text:
        if not line.startswith(">"):
            bases.append(line)
            continue
        if title:
            yield title[1:], "".join(bases)
        title, bases = line, []
    yield title[1:], "".join(bases)


def _parquet(source: Path) -> tuple[list[str], list[str], list[str]]:
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError:
        raise InputError(f"{source}: is parquet; pip install pyarrow, or save it as CSV") from None
    try:
        table: Any = parquet.read_table(source)
    except (ValueError, OSError) as error:  # those of pyarrow are among them
        raise InputError(
            f"{source}: is no parquet file that can be read ({type(error).__name__}); get it anew"
        ) from None
    header = [name.lower() for name in table.column_names]
    chosen = [column(source, header, names) for names in (SEQUENCE, LABEL)]
    if -1 in chosen:
        raise InputError(f"{source}: has columns {', '.join(table.column_names)}; name them sequence and label")
    texts, labels = (
        ["" if cell is None else str(cell).strip() for cell in table.column(at).to_pylist()] for at in chosen
    )
    return [f"{source.name}:{number}" for number in range(1, len(texts) + 1)], labels, texts


def _begins_with(path: Path, mark: bytes) -> bool:
    with path.open("rb") as handle:
        return handle.read(len(mark)) == mark
