"""How a network is trained as a classifier: steps, and the course of its rate."""

import numpy as np
import pytest

from dnadiff.data.labelled.examples import Examples, Layout
from dnadiff.data.labelled.folds import Fold
from dnadiff.data.leakage.sequences import InMemory
from dnadiff.tasks.classify import network
from dnadiff.tasks.classify.settings import resolve
from dnadiff.training.classify import Best


@pytest.mark.parametrize(
    ("sizes", "n_learnt_at_most"),
    [
        ((90, 10, 50), 90),
        ((9, 1, 50), 90),
        ((100, 20, 30), 100),
    ],  # a re-split, a tenth of its rows, a part to choose by
)
def test_the_papers_rate_falls_as_if_all_rows_were_learnt_from(sizes, n_learnt_at_most, monkeypatch):
    def record(model, steps, score, *, optim, train, rate_steps=None):
        courses.append((train.max_steps, rate_steps))
        return Best(1, 1.0)

    courses = []
    monkeypatch.setattr(network, "fit_classes", record)
    rows = np.arange(150)
    examples = Examples(InMemory.of([np.array([7, 8], np.uint8)] * 150), rows % 2, rows.astype(str))
    ends = np.cumsum(sizes)
    fold = Fold(rows[: ends[0]], rows[ends[0] : ends[1]], rows[-sizes[2] :])
    for preset in ("paper", "strict"):
        settings = resolve(f"classify/{preset}", ["train.batch_size=1", "train.epochs=10"], {})
        model = network.build(settings, ("a", "b"), 2, seed=0)
        network.fit(model, examples, fold, Layout(2), settings, settings.optim, seed=0, both_strands=False)
    n_steps = 10 * sizes[0]
    assert courses == [(n_steps, round(n_steps * 150 / n_learnt_at_most)), (n_steps, None)]
