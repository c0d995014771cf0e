"""A small genome, a small corpus, and a small run on each that the tests of the verbs share."""

import numpy as np
import pytest

from dnadiff.config import resolve
from dnadiff.tasks import train
from dnadiff.tasks.settings import TrainConfig
from dnadiff.tasks.settings import resolve as resolve_run

SMALL = [
    "model.width=8", "model.n_layers=1", "model.n_states=2", "data.length=64", "data.split.kind=chromosome",
    "data.split.valid=[chrB]", "data.split.test=[chrC]", "train.max_steps=4", "train.batch_size=2", "train.log_every=1",
    "train.validate_every=2", "train.checkpoint_every=2", "train.valid_windows=4", "evaluate.max_windows=8",
    "evaluate.sweeps=2", "sample.n=3", "sample.length=64", "sample.sampler.steps=4", "markov_order=2",
]  # fmt: skip

SMALL_TEXT = [
    "model.kind=dit", "model.width=16", "model.n_blocks=1", "model.n_heads=2", "model.conditioning=none",
    "data.length=16", "data.vocab_size=300",
    "data.valid_documents=40", "train.max_steps=4", "train.batch_size=4", "train.log_every=1", "train.validate_every=2",
    "train.checkpoint_every=2", "train.valid_windows=4", "evaluate.max_windows=12", "evaluate.sweeps=2", "sample.n=3",
    "sample.length=12", "sample.sampler.steps=4",
]  # fmt: skip


@pytest.fixture(scope="session")
def genome(tmp_path_factory):
    """Three contigs of AT-rich random bases."""
    generator = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("genome") / "small.fa"
    with path.open("w") as file:
        for name, length in [("chrA", 6000), ("chrB", 1500), ("chrC", 1500)]:
            bases = "".join(generator.choice(list("ACGT"), length, p=[0.35, 0.15, 0.15, 0.35]))
            file.write(f">{name}\n" + "\n".join(bases[i : i + 60] for i in range(0, length, 60)) + "\n")
    return path


@pytest.fixture(scope="session")
def settings(genome):
    return resolve(TrainConfig, "dna/tiny", SMALL, **{"data.ref": str(genome)})


@pytest.fixture(scope="session")
def run(settings, tmp_path_factory):
    """A finished run."""
    return train.run(settings, tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture(scope="session")
def small_words():
    """What makes a preset of DNA small."""
    return SMALL


@pytest.fixture(scope="session")
def text_words():
    """What makes text/demo small."""
    return SMALL_TEXT


@pytest.fixture(scope="session")
def text_corpus(tmp_path_factory):
    """A sentence on each of 140 lines."""
    path = tmp_path_factory.mktemp("text") / "corpus.txt"
    path.write_text("\n".join(f"the {i}th cat sat on mat {i % 7}" for i in range(140)))
    return path


@pytest.fixture(scope="session")
def text_settings(text_corpus):
    return resolve_run("text/demo", SMALL_TEXT, {"data.path": str(text_corpus)})


@pytest.fixture(scope="session")
def text_run(text_settings, tmp_path_factory):
    """A finished run on text."""
    return train.run(text_settings, tmp_path_factory.mktemp("runs") / "text")
