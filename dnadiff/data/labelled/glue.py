"""The tasks of GLUE (Wang et al. 2019) from the folders of TSV files that gluebenchmark.com publishes.

The files have no quoting: a quotation mark is text like any other, and a row ends where its line ends. CoLA's have no
header; MRPC's may begin with a byte order mark; a few rows of QQP lack columns, and are left out as in the authors'
loaders. The classes of the test rows are not public, so that the dev rows are what a model is tested on.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dnadiff.data.inputs import find_file, lines
from dnadiff.data.labelled.examples import Examples, joined
from dnadiff.data.labelled.open import LabelledSet, check_classes, in_order
from dnadiff.data.labelled.sentences import sentence_rows
from dnadiff.data.text.tokenizer import KEPT, TextTokenizer, open_tokenizer, train_tokenizer
from dnadiff.errors import InputError

log = logging.getLogger("dnadiff")
UNLABELLED = {"", "-"}  # the second where annotators did not agree


class GlueTask(NamedTuple):
    """Where a task has what.

    Attributes:
        sentences: columns of the sentences.
        label: column of the class, or of the number.
        dev: files that are tested on.
        header: columns of files that do not name them.
        is_number: whether a number is predicted, and no class.
    """

    sentences: tuple[str, ...]
    label: str
    dev: tuple[str, ...] = ("dev",)
    header: tuple[str, ...] = ()
    is_number: bool = False


TASKS: Mapping[str, GlueTask] = {
    "CoLA": GlueTask(("sentence",), "label", header=("source", "label", "mark", "sentence")),
    "SST-2": GlueTask(("sentence",), "label"),
    "MRPC": GlueTask(("#1 String", "#2 String"), "Quality"),
    "QQP": GlueTask(("question1", "question2"), "is_duplicate"),
    "STS-B": GlueTask(("sentence1", "sentence2"), "score", is_number=True),
    "MNLI": GlueTask(("sentence1", "sentence2"), "gold_label", dev=("dev_matched", "dev_mismatched")),
    "QNLI": GlueTask(("question", "sentence"), "label"),
    "RTE": GlueTask(("sentence1", "sentence2"), "label"),
}


class GlueRows(NamedTuple):
    """Rows of a file.

    Attributes:
        texts: sentences of each.
        labels: class of each, as text.
        names: where each was read.
    """

    texts: list[tuple[str, ...]]
    labels: list[str]
    names: list[str]


def find_tasks(folder: Path) -> dict[str, Path]:
    """The tasks that are in a folder, by name.

    Raises:
        InputError: no such folder, or none of them in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name that of GLUE's tasks with --data")
    found = {name: folder / name for name in TASKS if (folder / name).is_dir()}
    if not found:
        raise InputError(f"{folder}: holds no task of GLUE; its folders are {', '.join(TASKS)}")
    return found


def open_glue(path: Path, *, tokenizer: str | None, vocab_size: int, length: int | None) -> LabelledSet:
    """Read a task: its training rows, and as test rows those of its dev files.

    Args:
        path: folder of the task, which has its name.
        tokenizer: as for `open_tokenizer`; None: byte pairs are trained on the training rows.
        vocab_size: of a tokenizer that is trained.
        length: longest row in tokens; None: as long as they are.

    Raises:
        InputError: a file, column or class that is missing or cannot be used.
    """
    task = TASKS[path.name]
    train, *dev = (read_rows(path / f"{name}.tsv", task) for name in ("train", *task.dev))
    classes = () if task.is_number else in_order(train.labels)
    if classes:
        check_classes(path, classes, {"train": train.labels, "dev": [label for part in dev for label in part.labels]})
    if tokenizer is None:
        chosen = train_tokenizer((text for row in train.texts for text in row), size=vocab_size)
    else:
        chosen = open_tokenizer(tokenizer)
    made = [_examples(rows, classes, chosen, length) for rows in (train, *dev)]
    return LabelledSet(path.name, classes, made[0], None, joined(made[1:]), {KEPT: chosen.definition})


def read_rows(path: Path, task: GlueTask) -> GlueRows:
    """The rows of a file that have all columns and a class.

    Raises:
        InputError: it cannot be read, lacks a column, or has no such rows.
    """
    content = lines(find_file(path))
    header = list(task.header) or next(content, "").split("\t")
    if missing := [name for name in (*task.sentences, task.label) if name not in header]:
        raise InputError(f"{path}: line 1: has no column {missing[0]!r}; take the files as GLUE publishes them")
    *places, place = (header.index(name) for name in (*task.sentences, task.label))
    rows, n_left_out = GlueRows([], [], []), 0
    for number, line in enumerate(content, 1 if task.header else 2):
        cells = line.split("\t")
        if not line or max(*places, place) >= len(cells) or cells[place].strip() in UNLABELLED:
            n_left_out += bool(line)
            continue
        rows.texts.append(tuple(cells[at] for at in places))
        rows.labels.append(cells[place].strip())
        rows.names.append(f"{path.name}:{number}")
    if n_left_out:
        log.warning("%s: %s rows lack a column or a class, and are left out", path, f"{n_left_out:,}")
    if not rows.labels:
        raise InputError(f"{path}: holds no rows with a class; take the files as GLUE publishes them")
    return rows


def _examples(rows: GlueRows, classes: tuple[str, ...], tokenizer: TextTokenizer, length: int | None) -> Examples:
    numbers = {name: number for number, name in enumerate(classes)}
    label = np.array([numbers[each] for each in rows.labels]) if classes else _numbers(rows)
    return Examples(
        sentence_rows(tokenizer, rows.texts, length), label, np.array(rows.names, np.str_), vocab=tokenizer.vocab
    )


def _numbers(rows: GlueRows) -> np.ndarray:
    """(rows,) float64."""
    found = np.empty(len(rows.labels))
    for at, (text, name) in enumerate(zip(rows.labels, rows.names, strict=True)):
        try:
            found[at] = float(text)
        except ValueError:
            found[at] = math.nan
        if not math.isfinite(found[at]):
            raise InputError(f"{name}: {text!r} is no number; take the files as GLUE publishes them")
    return found
