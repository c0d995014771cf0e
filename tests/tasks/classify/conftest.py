"""A small set that can be learnt, and settings that learn it in a second."""

import numpy as np
import pytest

from dnadiff.inference import scores
from dnadiff.inference.draws import Shard
from dnadiff.tasks.classify import table
from dnadiff.tasks.classify.run import Plan
from dnadiff.tasks.classify.settings import resolve

SMALL = [
    "model.width=8", "model.n_layers=1", "model.n_states=2", "train.epochs=1", "train.batch_size=8", "optim.lr=0.02",
    "permutations=1", "kmer=2",
]  # fmt: skip
ALL = Shard(1, 1)
QUICK = {"method": "probe", "baselines": ("majority", "kmers"), "kmer": 1}


def sequences(n: int, *, seed: int) -> list[tuple[str, str]]:
    """Rows of 60 to 69 letters, those of class `rich` with more G and C."""
    generator = np.random.default_rng(seed)
    rows = []
    for number in range(n):
        share = 0.4 if number % 2 else 0.1
        letters = generator.choice(list("ACGT"), 60 + number % 10, p=[0.5 - share, share, share, 0.5 - share])
        rows.append(("".join(letters), ("poor", "rich")[number % 2]))
    return rows


def write_csv(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("sequence,label\n" + "".join(f"{bases},{label}\n" for bases, label in rows))


@pytest.fixture(autouse=True)
def _quick_tables(monkeypatch):
    """Few draws of the bootstrap, and no pictures; fixtures of a module are made without this."""
    monkeypatch.setattr(scores, "N_BOOTSTRAP", 10)
    monkeypatch.setattr(table, "draw", lambda *_: None)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A set with train and test parts."""
    folder = tmp_path_factory.mktemp("sets") / "tiny"
    write_csv(folder / "train.csv", sequences(60, seed=0))
    write_csv(folder / "test.csv", sequences(20, seed=1))
    return folder


@pytest.fixture(scope="session")
def strict():
    return resolve("classify/strict", [*SMALL, "protocol.folds=2"], {})


@pytest.fixture(scope="session")
def paper():
    return resolve("classify/paper", [*SMALL, "seeds=2"], {})


@pytest.fixture(scope="session")
def quick(strict):
    """No training: six units in a moment."""
    return strict.model_copy(update=QUICK)


@pytest.fixture(scope="session")
def quick_paper(paper):
    return paper.model_copy(update=QUICK)


@pytest.fixture(scope="session")
def plan():
    """What a command on one set asks for."""

    def make(settings, path, out, *, shard=ALL, **changed):
        return Plan(settings.model_copy(update=changed), {path.name.split(".")[0]: path}, False, out, shard)

    return make
