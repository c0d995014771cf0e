"""What a report compares: samples, real windows and training DNA, from a run or from files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dnadiff.config import Settings
from dnadiff.data.genome import GenomeData, GenomeSplits, open_data
from dnadiff.data.inputs import find_file, lines
from dnadiff.data.leakage.files import first_line
from dnadiff.data.splits import Auto, ByBlocks
from dnadiff.data.window_set import WindowSet
from dnadiff.errors import InputError
from dnadiff.inference.strings import as_rows
from dnadiff.run import config_of
from dnadiff.tasks import evaluate
from dnadiff.tasks.places import open_places
from dnadiff.tasks.settings import TrainConfig, resolve

SHORTEST, FEWEST = 64, 10
Tokens = NDArray[np.uint8]
Given = str | Path | Sequence[str]


class ReportSettings(Settings):
    """How sequences are compared."""

    n: int = Field(500, ge=FEWEST)
    """Sequences of each set; fewer where there are fewer samples, or fewer than twice as many real windows."""
    length: int | None = Field(None, ge=SHORTEST)
    """Bases of each that are compared, from its first; shorter samples are left out. null: those of the shortest."""
    split: Literal["train", "valid", "test"] = "test"
    """Which windows are real DNA, where there is a split."""
    markov_order: int = Field(5, ge=0, le=11)
    """Order of the Markov chain beside."""
    motif_p: float = Field(1e-4, gt=0, lt=1)
    """P-value from which on a word matches a motif."""
    folds: int = Field(5, ge=2)
    """Folds of the classifier."""
    seed: int = Field(0, ge=0)
    """Of all draws."""
    batch_size: int = Field(32, ge=1)
    """Sequences through the network at a time."""


class Asked(NamedTuple):
    """What a report is asked to compare.

    Attributes:
        run: that samples are from; None where there is none.
        samples: a file, or sequences; None: those of the run.
        real: genome; None: that of the run.
        bed: its windows.
        words: settings of the data.
    """

    run: Path | None
    samples: Given | None
    real: str | None
    bed: str | None
    words: Sequence[str]


class Samples(NamedTuple):
    """Generated sequences of one length, read as they are asked for.

    Attributes:
        names: one for each.
        length: bases.
        about: where they are from, and what their file says of them, by name.
        read: number of a sample -> its tokens, (length,).
    """

    names: list[str]
    length: int
    about: dict[str, str]
    read: Callable[[int], Tokens]


class Real(NamedTuple):
    """Real DNA.

    Attributes:
        windows: those that are compared with, of the samples' length.
        data: the genome that was trained on.
        train: windows of it that were trained on, as they were; all windows where nothing is known.
        about, training: what the windows and the training DNA are.
        is_held_out: whether no window is training DNA.
    """

    windows: WindowSet
    data: GenomeSplits
    train: WindowSet
    about: str
    training: str
    is_held_out: bool


def open_samples(settings: ReportSettings, asked: Asked) -> Samples:
    """Read samples, and cut them to one length.

    Raises:
        InputError: there are none, too few, or too short ones.
    """
    given = asked.samples if asked.samples is not None else _of_run(asked.run)
    about = {} if asked.run is None else {"run": str(asked.run)}
    if isinstance(given, str | Path):
        places = open_places(str(given), None)
        names, lengths, tokens = places.names, places.end - places.start, places.tokens
        header = first_line(lines(find_file(given)))
        told = header.partition(" ")[2].strip() if header.startswith(">") else ""
        about |= {"samples": f"{given}, {len(names):,} sequences", **({"first header": told} if told else {})}
    else:
        rows = [row.astype(np.uint8) for row in as_rows(given, None)]
        names = [f"sample {number}" for number in range(1, len(rows) + 1)]
        lengths, tokens = np.array([len(row) for row in rows]), lambda number: rows[number]
        about |= {"samples": f"{len(rows):,} sequences"}
    length = settings.length or int(lengths.min())
    kept = np.flatnonzero(lengths >= length).tolist()
    where = given if isinstance(given, str | Path) else "samples"
    if length < SHORTEST:
        raise InputError(
            f"{where}: the shortest sequence has {length} bases; length={SHORTEST} or more leaves shorter ones out"
        )
    if len(kept) < FEWEST:
        raise InputError(f"{where}: {len(kept)} sequences of {length} bases or more; give {FEWEST} or more")
    if len(kept) < len(names):
        about["left out"] = f"{len(names) - len(kept):,} samples of fewer than {length} bases"
    return Samples([names[number] for number in kept], length, about, lambda number: tokens(kept[number])[:length])


def open_real(settings: ReportSettings, asked: Asked, length: int) -> Real:
    """Open real DNA as windows without unknown bases, of the samples' length, and what the run was trained on.

    Raises:
        InputError: none is named, it is no genome, or it has too few windows.
    """
    config = _config(asked)
    own = config.data
    if not isinstance(own, GenomeData):
        raise InputError(f"{asked.run}: is no model of DNA; a report is about DNA")
    changed = {"length": length, "stride": None, "max_n": 0.0, "jitter": 0, "label": None}
    is_of_run = asked.run is not None and config_of(asked.run) is not None
    data = open_data(own.model_copy(update=changed), seed=settings.seed)
    is_told = is_of_run and asked.bed is None  # how the run was split
    if isinstance(own.split, Auto) and isinstance(data.split, ByBlocks) and not is_told:
        whole = {**changed, "split": ByBlocks(valid=0, test=0)}  # nothing was held out that one knows of
        data = open_data(own.model_copy(update=whole), seed=settings.seed)
    is_split = bool(len(data.test) or len(data.valid))
    split = settings.split if is_split else "train"
    windows = data.sets()[split]
    if len(windows) < 2 * FEWEST:
        raise InputError(
            f"{data.source}: {len(windows)} windows of {length} known bases in the {split} split; a report needs "
            f"{2 * FEWEST}: choose another split, or compare fewer bases of each (length={SHORTEST})"
        )
    chosen = f"{split} split" if is_split else "all windows"
    about = f"windows of {length:,} bases, {chosen} of {data.source.name} ({len(windows):,} windows)"
    learnt = _learnt(asked, settings.seed) if is_of_run else data
    part = "train split" if is_of_run or is_split else "no split is known; all windows"
    training = f"{part} of {learnt.source.name}, {len(learnt.train) * learnt.train.length:,} bases"
    return Real(windows, learnt, learnt.train, about, training, is_split and split != "train")


def _learnt(asked: Asked, seed: int) -> GenomeSplits:
    """What a run was trained on, whatever it is compared with."""
    data = _config(asked._replace(real=None, bed=None)).data
    assert isinstance(data, GenomeData)
    return open_data(data, seed=seed)


def _config(asked: Asked) -> TrainConfig:
    flags = {"data.ref": asked.real, "data.windows": asked.bed}
    if asked.run is not None:
        return evaluate.settings_of(asked.run, asked.words, flags)
    if asked.real is None:
        raise InputError("report: name real DNA with --real genome.fa, or a run, whose data are known")
    return resolve("dna/tiny", asked.words, flags)


def _of_run(run: Path | None) -> Path:
    if run is None:
        raise InputError("report: name a run, or samples")
    settings = config_of(run)
    found = None if settings is None else Path(settings).parent / "samples.fa"
    if found is None or not found.is_file():
        raise InputError(
            f"{run}: has no samples.fa; name samples with --samples (`dnadiff sample {run} -n 500 --out samples.fa`)"
        )
    return found
