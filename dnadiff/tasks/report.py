"""`dnadiff report`: generated DNA beside real DNA, and beside what real DNA is told apart from, on one page.

Two sets of real windows are drawn, of as many bases and sequences as there are samples: one is the reference, the other
the floor, which says what each measure is where nothing is wrong.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnadiff import checkpoint, config
from dnadiff.data.markov import fit
from dnadiff.data.motifs import read_motifs
from dnadiff.errors import InputError, counted
from dnadiff.files import unfinished
from dnadiff.hub.download import is_reference
from dnadiff.hub.importing import is_published
from dnadiff.inference.features import embed
from dnadiff.inference.progress import progress_bar
from dnadiff.model import DiffusionModel
from dnadiff.report import comparisons, sections
from dnadiff.report.card import REAL, SAMPLES, SHUFFLED, Card, Section, Sets
from dnadiff.report.frechet import PINNED, pinned_features
from dnadiff.report.kmers import gc_content
from dnadiff.report.nearest import Nearest, nearest
from dnadiff.report.null import draw_markov, shuffle_dinucleotides
from dnadiff.report.page import PAGE, write
from dnadiff.rng import Stream, numpy_generator
from dnadiff.run import find_checkpoint
from dnadiff.tasks.baselines import counted_pieces
from dnadiff.tasks.report_sets import Asked, Given, Real, ReportSettings, Samples, open_real, open_samples

log = logging.getLogger("dnadiff")
Tokens = NDArray[np.uint8]
PINNED_TEXT = (
    f"Features ({PINNED}) of a convolutional network with fixed random weights, which need no download, favour no "
    "genome and never change: words of seven bases, and how these stand to each other over 49."
)
OWN_TEXT = "The last features of the model itself, the mean over the bases of both strands: what it has learned to see."


def report_card(
    run: str | Path | None = None,
    *,
    samples: Given | None = None,
    real: str | Path | None = None,
    bed: str | Path | None = None,
    motifs: str | Path | None = None,
    words: Sequence[str] = (),
    **settings: Any,
) -> Card:
    """Compare generated sequences with real ones.

    Args:
        run: that they were drawn from; its data are the real DNA, and its features are one more measure.
        samples: sequences, or a file of them; None: the run's own samples.
        real: genome, where there is no run, or in place of the run's.
        bed: its windows, the fourth column the split if it has one.
        motifs: JASPAR or MEME file.
        words: settings of the data, such as `data.exclude=[chrM]`.
        settings: as in `ReportSettings`.

    Returns:
        A `Card`: `pandas.DataFrame(card.rows())` is the table, `card.draw("kmers", axes)` a picture.

    Raises:
        InputError: nothing to compare, too few sequences, or files that cannot be read.
    """
    chosen = config.decode(ReportSettings, settings, where="report_card")
    asked = Asked(
        None if run is None else Path(run).expanduser(), samples, None if real is None else str(real),
        None if bed is None else str(bed), words,
    )  # fmt: skip
    return compare(chosen, asked, None if motifs is None else str(motifs))


def asked_of(
    source: Path, samples: str | None, real: str | None, bed: str | None, words: Sequence[str]
) -> Asked:  # what the command line names
    """What a command asks for; its source is a run, or a file of samples.

    Raises:
        InputError: there is no such thing, or samples are named twice.
    """
    if not source.is_file() or is_published(source):
        if not (source.exists() or is_reference(source)):
            raise InputError(f"{source}: no such file or folder; name a run, or a file of samples")
        return Asked(source, samples, real, bed, words)
    if samples is not None:
        raise InputError(f"--samples {samples}: {source} is a file of samples already; name one of them")
    return Asked(None, source, real, bed, words)


def run(settings: ReportSettings, asked: Asked, out: Path | None, motifs: str | None) -> None:
    """Compare, and write a folder with the page, tables and pictures.

    Args:
        out: None: `report` in the run, or beside the file of samples.

    Raises:
        InputError: as `report_card`; or the folder holds something else.
    """
    folder = (out or _default_out(asked)).expanduser()
    if folder.exists() and not (folder.is_dir() and ((folder / PAGE).is_file() or not any(folder.iterdir()))):
        raise InputError(f"{folder}: is there and is no report; choose another --out")
    with unfinished(folder) as temporary:
        temporary.mkdir()  # before the long work
        card = compare(settings, asked, motifs)
        write(card, temporary)
    readings = [figure.reading for section in card.sections for figure in section.figures if figure.reading]
    log.info(
        "%d of %d measures of the samples are like those of real windows", readings.count("like real"), len(readings)
    )
    log.info("%s: the page; tables and pictures beside it", folder / PAGE)


def dry_run(settings: ReportSettings, asked: Asked, motifs: str | None) -> str:
    """What `run` would compare."""
    samples = open_samples(settings, asked)
    real = open_real(settings, asked, samples.length)
    n_motifs = f"; {counted(len(read_motifs(motifs)), 'motif')}" if motifs else ""
    return f"{_n(settings, samples, real):,} of {len(samples.names):,} samples; {real.about}; {real.training}{n_motifs}"


def compare(settings: ReportSettings, asked: Asked, motifs: str | None) -> Card:
    """As `report_card` says."""
    log.info("opening the data")
    if motifs is not None:
        read_motifs(motifs)  # again below, for the GC content of the reference: a mistake is told before the long work
    samples = open_samples(settings, asked)
    real = open_real(settings, asked, samples.length)
    model = None if asked.run is None else checkpoint.load(find_checkpoint(asked.run))
    log.info("drawing real windows, and a Markov chain of order %d", settings.markov_order)
    sets, names = _draw(settings, samples, real)
    log.info("comparing %s of %d bases in each set", counted(sets.n, "sequence"), sets.length)
    parts = [
        sections.kmers(sets), sections.composition(sets), sections.repeats(sets), sections.frames(sets),
        *([] if motifs is None else [_motifs(sets, motifs, settings)]),
        comparisons.classifier(sets, folds=settings.folds, seed=settings.seed),
        comparisons.frechet(sets, pinned_features, name=PINNED, title="Frechet distance", text=PINNED_TEXT),
        *_own_features(sets, model, settings),
        comparisons.novelty(sets, _nearest(sets, real), names, training=real.training),
    ]  # fmt: skip
    compared = f"{sets.n:,} sequences in each set, {sets.length:,} bases of each; seed {settings.seed}"
    about = {**samples.about, "real DNA": real.about, "training DNA": real.training, "compared": compared}
    caption = f"{sets.n:,} sequences of {sets.length:,} bases in each set. Reference: {real.about}."
    return Card(about, caption, parts)


def _draw(settings: ReportSettings, samples: Samples, real: Real) -> tuple[Sets, list[str]]:
    """All sets, and the names of the samples among them."""
    n, order = _n(settings, samples, real), settings.markov_order
    generator = numpy_generator(settings.seed, Stream.BOOTSTRAP, 4)
    chosen = generator.permutation(len(samples.names))[:n].tolist()
    windows = real.windows.rows(generator.permutation(len(real.windows))[: 2 * n], epoch=None)
    chain = fit(counted_pieces(real.data, real.train), order)
    groups = {
        SAMPLES: np.stack([samples.read(number) for number in chosen]),
        REAL: windows[n:],
        f"Markov chain, order {order}": draw_markov(chain, order, n=n, length=windows.shape[1], rng=generator),
        SHUFFLED: np.stack([shuffle_dinucleotides(row, generator) for row in windows[n:]]),
    }
    return Sets(windows[:n], groups), [samples.names[number] for number in chosen]


def _n(settings: ReportSettings, samples: Samples, real: Real) -> int:
    return min(settings.n, len(samples.names), len(real.windows) // 2)


def _motifs(sets: Sets, path: str, settings: ReportSettings) -> Section:
    gc = float(np.nanmean(gc_content(sets.reference)))
    found = read_motifs(path, gc=min(max(gc, 0.01), 0.99))
    return sections.motifs(sets, found, source=Path(path).name, p_value=settings.motif_p)


def _own_features(sets: Sets, model: DiffusionModel | None, settings: ReportSettings) -> Iterator[Section]:
    """The Frechet distance in the model's own features; none where it has no features of rows."""
    if model is None:
        return
    n_rows = sets.n * (len(sets.groups) + 1)
    try:
        with progress_bar("embedding", n_rows) as advance:

            def features(rows: Tokens) -> NDArray[np.float64]:
                found = []
                for values in embed(model, rows, batch_size=settings.batch_size):
                    found.append(values)
                    advance(1)
                return np.stack(found).astype(np.float64)

            yield comparisons.frechet(
                sets, features, name="own features", title="Frechet distance in the model's own features", text=OWN_TEXT
            )
    except InputError as error:
        log.info("no distance in the model's own features: %s", error)


def _nearest(sets: Sets, real: Real) -> dict[str, Nearest]:
    """Of every set, but windows that are training DNA themselves."""
    groups = {name: rows for name, rows in sets.groups.items() if real.is_held_out or name != REAL}
    bar = partial(progress_bar, "looking for copies")
    found = nearest(np.concatenate(list(groups.values())), real.data.genome, real.train.regions(), bar)
    parts = (slice(at, at + sets.n) for at in range(0, len(found.share), sets.n))
    return {
        name: Nearest(found.share[part], found.place[part], found.is_copy[part])
        for name, part in zip(groups, parts, strict=True)
    }


def _default_out(asked: Asked) -> Path:
    if asked.run is not None and asked.run.is_dir():
        return asked.run / "report"
    return Path(str(asked.samples)).with_suffix(".report") if asked.run is None else Path("report")
