"""A set that is ready to be split: all rows together, what belongs together among them, and how they are laid out."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from dnadiff.cache import cache_folder, locked, writable_folder
from dnadiff.data.labelled.examples import Examples, Layout, joined
from dnadiff.data.labelled.folds import Fold, fewer, resplit, strict_fold
from dnadiff.data.labelled.glue import open_glue
from dnadiff.data.labelled.open import Genomes, LabelledSet, open_set
from dnadiff.data.labelled.sentences import identical
from dnadiff.data.leakage.compare import Comparison
from dnadiff.data.leakage.groups import groups
from dnadiff.data.leakage.ranges import Ints
from dnadiff.errors import InputError
from dnadiff.files import unfinished
from dnadiff.models.classifier import Head
from dnadiff.tasks.classify.settings import ClassifyConfig, GlueData, LabelledData, Paper, Strict
from dnadiff.vocab import DNA, Vocab

log = logging.getLogger("dnadiff")
HIDDEN = -1  # in place of a class


@dataclass(frozen=True)
class OpenedSet:
    """A set and what a unit needs of it.

    Attributes:
        name: of the set.
        classes: sorted names; none where a number is predicted.
        examples: the rows of all parts, train first, then valid, then test.
        n_train, n_valid, n_test: rows of each part.
        group: (rows,) int64: rows that are identical, or of DNA that overlap or are similar, share a number.
        length: longest row that is read; longer ones are cut.
        fingerprint: of rows, classes and parts.
        files: what a model needs beside its vocabulary, to read such rows: text by file name.
    """

    name: str
    classes: tuple[str, ...]
    examples: Examples
    n_train: int
    n_valid: int
    n_test: int
    group: Ints
    length: int
    fingerprint: str
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def vocab(self) -> Vocab:
        """Of the rows."""
        return self.examples.vocab

    def fold(self, settings: ClassifyConfig, number: int, seed: int) -> Fold:
        """The rows of one unit; `number` counts folds from 1.

        Raises:
            InputError: the protocol asks for what the set does not have.
        """
        label = self.examples.label
        match settings.protocol:
            case Paper():
                return self._paper_fold(settings, seed)
            case Strict(folds=n_folds):
                most = _most(settings.scale, round(len(label) * (1 - 1 / n_folds)))
                return strict_fold(label, self.group, n_folds=n_folds, fold=number - 1, seed=seed, most=most)

    def hiding(self, rows: Ints) -> OpenedSet:
        """The same set without the classes of some rows, so that nothing can be learnt or chosen by them."""
        label = self.examples.label.copy()
        label[rows] = HIDDEN if self.classes else np.nan
        return replace(self, examples=replace(self.examples, label=label))

    def _paper_fold(self, settings: ClassifyConfig, seed: int) -> Fold:
        if not self.n_test:
            raise InputError(f"{self.name}: has no test part, which the paper's protocol needs; use --protocol strict")
        until = np.cumsum([self.n_train, self.n_valid, self.n_test])
        pool = fewer(np.arange(until[0]), self.examples.label, _most(settings.scale, self.n_train), seed=seed)
        test = np.arange(until[1], until[2])
        if self.n_valid:
            return Fold(pool, np.arange(until[0], until[1]), test)
        return Fold(*resplit(pool, seed), test)


def layout_of(head: Head, length: int | None) -> Layout:
    """How rows share a batch, as a head reads them."""
    return Layout(length, head.padding, as_bases=head.pooling == "all")


def open_for(settings: ClassifyConfig, path: Path) -> OpenedSet:
    """Read a set, and find its groups once.

    Raises:
        InputError: as `open_set`.
    """
    found = _open(settings, path)
    examples = joined([part for part in (found.train, found.valid, found.test) if part is not None])
    fingerprint = found.fingerprint()
    return OpenedSet(
        name=found.name, classes=found.classes, examples=examples, n_train=len(found.train),
        n_valid=len(found.valid or ()), n_test=len(found.test or ()),
        group=_groups(examples, fingerprint) if examples.vocab == DNA else identical(examples.sequences),
        length=settings.length_of(found.name) or int(examples.lengths.max()), fingerprint=fingerprint,
        files=found.files,
    )  # fmt: skip


def _open(settings: ClassifyConfig, path: Path) -> LabelledSet:
    match settings.data:
        case LabelledData(ref=ref, refs=refs, on_bad=on_bad):
            return open_set(path, Genomes(ref, refs, on_bad))
        case GlueData(tokenizer=tokenizer, vocab_size=size):
            return open_glue(path, tokenizer=tokenizer, vocab_size=size, length=settings.length_of(path.name))


def kept(what: str, key: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """An array that is made once and then read from the cache; processes that want it at the same time wait.

    Args:
        what: it is, for the file's name.
        key: all that it depends on, besides this version of the package.
    """
    digest = hashlib.sha256(f"{version('dnadiff')}\n{key}".encode()).hexdigest()[:24]
    path = writable_folder(cache_folder() / "labelled") / f"{what}-{digest}.npy"
    with locked(path):
        if path.is_file():
            with suppress(ValueError, EOFError, OSError):  # damaged: made again
                array: np.ndarray = np.load(path, allow_pickle=False)
                return array
        array = make()
        with unfinished(path) as temporary, temporary.open("wb") as file:
            np.save(file, array)
    return array


def _groups(examples: Examples, fingerprint: str) -> Ints:
    """A group for every row."""
    settings, places = Comparison(), examples.intervals

    def make() -> np.ndarray:
        log.info("%s rows: looking for identical, overlapping and similar ones", f"{len(examples):,}")
        return groups(examples.sequences, places, settings)

    key = [fingerprint, settings.model_dump_json(), *([] if places is None else map(_digest, vars(places).values()))]
    return kept("groups", "\n".join(key), make)


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _most(scale: float, n_rows: int) -> int | None:
    """How many rows to learn from; None: all."""
    return None if scale == 1 else round(scale if scale > 1 else max(2, scale * n_rows))
