"""A labelled set from what the user names: a table, a folder, the package's own zip, or lists of places and genomes.

Classes are numbered in sorted order of their names, one order for all parts, whatever order the disk lists them in.
"""

from __future__ import annotations

import hashlib
import logging
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dnadiff.archives import open_zip
from dnadiff.data.bed import Intervals
from dnadiff.data.fasta import Genome
from dnadiff.data.labelled.examples import Examples, joined
from dnadiff.data.labelled.places import METADATA, OnBad, check_assembly
from dnadiff.data.labelled.read import Rows, read_class, read_table, read_texts, texts_of_folder, texts_of_zip
from dnadiff.errors import InputError, nearest

log = logging.getLogger("dnadiff")
PARTS = {"train": "train", "dev": "valid", "val": "valid", "valid": "valid", "validation": "valid", "test": "test"}
ARCHIVE = re.compile(r"(_v\d+)?\.zip$")
NO_ROWS = {".json", ".yaml", ".yml", ".md", ".md5"}  # records and descriptions beside the rows


class Genomes(NamedTuple):
    """Where lists of places lie.

    Attributes:
        ref: FASTA of all classes that `refs` does not name; None without.
        refs: FASTA by class.
        on_bad: whether places that a genome does not have are an error or are left out.
    """

    ref: str | None = None
    refs: Mapping[str, str] = {}
    on_bad: OnBad = "error"

    def of(self, class_name: str) -> Genome | None:
        """The genome of a class, opened once."""
        path = self.refs.get(class_name, self.ref)
        return None if path is None else _open_genome(path)


@dataclass(frozen=True)
class LabelledSet:
    """A set as it is published, its parts with one order of classes.

    Attributes:
        name: of the file or folder.
        classes: sorted names; none where a number is predicted.
        train: rows to learn from; all rows where the set has no parts.
        valid, test: None where the set has none.
        files: what a model needs beside its vocabulary, to read such rows: text by file name.
    """

    name: str
    classes: tuple[str, ...]
    train: Examples
    valid: Examples | None
    test: Examples | None
    files: Mapping[str, str] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """sha256 over rows, classes and parts."""
        parts = [part.fingerprint() if part else "" for part in (self.train, self.valid, self.test)]
        return hashlib.sha256("\n".join([*self.classes, *parts]).encode()).hexdigest()

    def describe(self) -> str:
        """Sizes, for a person."""
        named = {"train": self.train, "valid": self.valid, "test": self.test}
        sizes = ", ".join(f"{len(part):,} {name}" for name, part in named.items() if part)
        lengths = np.concatenate([part.lengths for part in named.values() if part])
        spread = f"{lengths.min():,}" if lengths.min() == lengths.max() else f"{lengths.min():,} to {lengths.max():,}"
        return f"{self.name}: {sizes}, {len(self.classes)} classes ({', '.join(self.classes[:6])}), {spread} bases"


def find_sets(folder: Path) -> dict[str, Path]:
    """The sets in a folder of several, by name: folders with a train or test part, and the package's zips.

    Raises:
        InputError: no such folder, or nothing of that kind in it.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; get the sets with `python data_prep/genomic_benchmarks.py --out {folder}`, or "
            "name theirs with --data"
        )
    found = {ARCHIVE.sub("", path.name): path for path in sorted(folder.glob("*.zip"))}
    found |= {path.name: path for path in sorted(folder.iterdir()) if path.is_dir() and _parts(path).keys() != {""}}
    if not found:
        raise InputError(f"{folder}: holds no set; a set is NAME_v0.zip, or a folder with train and test")
    return found


def find_set(folder: Path, name: str, sets: Callable[[Path], dict[str, Path]] = find_sets) -> Path:
    """One of the sets of a folder, which are found by `sets`.

    Raises:
        InputError: it is not there.
    """
    found = sets(folder)
    if name not in found:
        raise InputError(f"{folder}: has no set {name!r}{nearest(name, found)}; there are {', '.join(found)}")
    return found[name]


def open_set(path: Path, genomes: Genomes | None = None) -> LabelledSet:
    """Read a set.

    Args:
        path: a table; a folder or zip with `{train,dev,test}/CLASS/*.txt`, `{train,dev,test}/CLASS.csv.gz` or
            `{train,dev,test}.csv`; a folder of classes without parts; or the beginning of `NAME.train.csv`,
            `NAME.test.csv` and so on.
        genomes: on which lists of places lie.

    Raises:
        InputError: rows, labels or places that cannot be used, with file and line; a single class; a class that is
            not in the training part.
    """
    genomes = genomes or Genomes()
    read = {part: list(rows()) for part, rows in _readers(path, genomes).items()}
    if "train" not in read:
        first = min(read, key=["valid", "test"].index)
        log.warning("%s: has no train; its %s rows are learnt from", path, first)
        read["train"] = read.pop(first)
    labels = {part: [label for rows in some for label in rows.labels] for part, some in read.items()}
    classes = in_order(labels["train"])
    check_classes(path, classes, labels)
    offsets = _offsets(rows.genome for parts in read.values() for rows in parts)
    made = {part: joined([_numbered(rows, classes, offsets) for rows in parts]) for part, parts in read.items()}
    name = ARCHIVE.sub("", path.name) if path.suffix == ".zip" else path.name.split(".")[0]
    found = LabelledSet(name, classes, made["train"], made.get("valid"), made.get("test"))
    _warn_of_twins(path, list(made.values()))
    return found


def _readers(path: Path, genomes: Genomes) -> dict[str, Callable[[], Iterator[Rows]]]:
    if path.suffix == ".zip" and path.is_file():
        return _zip_readers(path)
    parts = {part or "train": source for part, source in _parts(path).items()}
    return {part: partial(_read, source, genomes) for part, source in parts.items()}


def _parts(path: Path) -> dict[str, Path]:
    """Folder or file of each part; a single part without a name where the path itself holds the rows."""
    if path.is_dir():
        entries = [(entry.name.split(".")[0], entry) for entry in sorted(path.iterdir())]
    elif path.exists() or not path.parent.is_dir():
        return {"": path}
    else:
        begin = f"{path.name}."
        entries = [
            (entry.name.removeprefix(begin).split(".")[0], entry)
            for entry in sorted(path.parent.iterdir())
            if entry.name.startswith(begin)
        ]
    found: dict[str, Path] = {}
    for name, entry in entries:
        if name not in PARTS or entry.suffix in NO_ROWS:
            continue
        if PARTS[name] in found:
            raise InputError(f"{path}: both {found[PARTS[name]].name} and {entry.name} are its {name}; keep one")
        found[PARTS[name]] = entry
    return found or {"": path}


def _read(source: Path, genomes: Genomes) -> Iterator[Rows]:
    """The rows of a part: of a table, or of each class of a folder."""
    if not source.is_dir():
        yield read_table(source)
        return
    entries = [path for path in sorted(source.iterdir()) if path.suffix not in NO_ROWS and path.name[0] != "."]
    if not entries:
        raise InputError(f"{source}: the folder is empty; it needs a folder or file for each class")
    for entry in entries:
        if entry.is_dir():
            yield read_texts(str(entry), texts_of_folder(entry), entry.name)
            continue
        class_name = entry.name.split(".")[0]
        genome = genomes.of(class_name)
        if genome is not None:
            folder = source if (source / METADATA).is_file() else source.parent
            check_assembly(folder, class_name, genome, on_bad=genomes.on_bad)
        yield read_class(entry, class_name, genome, genomes.on_bad)


def _zip_readers(path: Path) -> dict[str, Callable[[], Iterator[Rows]]]:
    """Readers of `[NAME/]PART/CLASS/FILE` in an archive."""
    try:
        archive = open_zip(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{path}: not a readable zip ({error}); download it again") from None
    members: dict[str, list[tuple[str, zipfile.ZipInfo]]] = {}
    for member in archive.infolist():
        pieces = member.filename.split("/")
        if not member.is_dir() and len(pieces) >= 3 and pieces[-3] in PARTS and pieces[-1][0] != ".":
            members.setdefault(PARTS[pieces[-3]], []).append((pieces[-2], member))
    if not members:
        raise InputError(f"{path}: holds no train/CLASS/*.txt; a set's zip is laid out like that")

    return {part: partial(_read_members, archive, rows) for part, rows in members.items()}


def _read_members(archive: zipfile.ZipFile, rows: list[tuple[str, zipfile.ZipInfo]]) -> Iterator[Rows]:
    """The rows of a part, each member with its class."""
    rows = sorted(rows, key=lambda row: (row[0], row[1].filename))
    for class_name, group in groupby(rows, key=lambda row: row[0]):
        yield read_texts(str(archive.filename), texts_of_zip(archive, (member for _, member in group)), class_name)


def in_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Each once, sorted: by value where all are whole numbers, else as text."""
    names = sorted(set(labels))  # so that 1 and 01, of one value, have an order too
    return tuple(sorted(names, key=int) if all(re.fullmatch(r"[0-9]{1,18}", name) for name in names) else names)


def check_classes(path: Path, classes: tuple[str, ...], labels: Mapping[str, Iterable[str]]) -> None:
    """Every part has classes of `classes` alone, which are two or more.

    Args:
        path: of the set.
        classes: of the rows to learn from.
        labels: of the rows of each part.

    Raises:
        InputError: that is not so; a warning where a part lacks some.
    """
    if len(classes) < 2:
        raise InputError(
            f"{path}: all rows to learn from are of class {classes[0]!r}; give rows of two classes or more"
        )
    if odd := [name for name in classes if not name.isprintable()]:
        raise InputError(f"{path}: the class {odd[0]!r} has control characters in its name; rename it")
    for part, some in labels.items():
        found = set(some)
        if unknown := sorted(found - set(classes)):
            more = " ..." * (len(unknown) > 5)
            raise InputError(
                f"{path}: {part} has classes that train does not: {', '.join(unknown[:5])}{more}; add rows of them to "
                "train, or leave them out"
            )
        if absent := [name for name in classes if name not in found]:
            log.warning("%s: %s has no row of %s", path, part, ", ".join(absent[:5]))


def _offsets(genomes: Iterator[Genome | None]) -> dict[Path, int]:
    """What is added to the contigs' numbers of each genome, so that no two genomes share a number."""
    offsets: dict[Path, int] = {}
    total = 0
    for genome in genomes:
        if genome is not None and genome.path not in offsets:
            offsets[genome.path] = total
            total += len(genome.contigs)
    return offsets


def _numbered(rows: Rows, classes: tuple[str, ...], offsets: Mapping[Path, int]) -> Examples:
    numbers = {name: number for number, name in enumerate(classes)}
    label = np.array([numbers[name] for name in rows.labels], np.int64)
    intervals = rows.intervals
    if intervals is not None and rows.genome is not None:
        columns = {**vars(intervals), "contig": intervals.contig + offsets[rows.genome.path]}
        intervals = Intervals(**columns)
    return Examples(rows.sequences, label, np.array(rows.names, np.str_), intervals)


def _warn_of_twins(path: Path, parts: list[Examples]) -> None:
    """Count rows whose bases another row has, and those of another class."""
    first: dict[bytes, int] = {}
    n_twins = n_contrary = 0
    for part in parts:
        text, ends = part.sequences.tokens.tobytes(), part.sequences.ends.tolist()
        for row, label in enumerate(part.label.tolist()):
            known = first.setdefault(text[ends[row] : ends[row + 1]], label)
            n_contrary += known != label
            n_twins += 1
    n_twins -= len(first)
    if n_twins:
        log.warning("%s: %s rows repeat another, %s of them in another class", path, f"{n_twins:,}", f"{n_contrary:,}")


@cache
def _open_genome(path: str) -> Genome:
    return Genome.open(path)
