"""Fine-tuning a classifier: the order of rows, the weights that are kept, and how it ends."""

import os
import signal

import numpy as np
import pytest
import torch

from dnadiff.data.labelled.examples import Examples, Layout
from dnadiff.data.leakage.sequences import InMemory
from dnadiff.dna import reverse_complement
from dnadiff.errors import DivergedError, InterruptedRun
from dnadiff.models import Caduceus
from dnadiff.models.classifier import ClassifierConfig, SequenceClassifier
from dnadiff.training.classify import LabelledSteps, fit_classes
from dnadiff.training.settings import ConstantRate, CosineRate, OptimSettings, TrainSettings
from dnadiff.vocab import DNA

N_ROWS = 24
SETTINGS = TrainSettings(max_steps=12, batch_size=8, validate_every=3, seed=1)


def examples(n: int = N_ROWS) -> Examples:
    """Rows of 8 to 12 letters; those of class 1 hold no A."""
    generator = np.random.default_rng(0)
    rows = [generator.integers(7 + (number % 2), 11, 8 + number % 5).astype(np.uint8) for number in range(n)]
    return Examples(InMemory.of(rows), np.arange(n) % 2, np.array([str(number) for number in range(n)]))


def model() -> SequenceClassifier:
    torch.manual_seed(0)
    return SequenceClassifier(ClassifierConfig(model=Caduceus(width=8, n_layers=1), classes=("a", "b")), DNA)


def steps(rows: np.ndarray | None = None, *, both_strands: bool = False) -> LabelledSteps:
    rows = np.arange(N_ROWS) if rows is None else rows
    return LabelledSteps(examples(), rows, Layout(), seed=1, batch_size=8, both_strands=both_strands)


def fit(classifier: SequenceClassifier, score, *, lr: float = 1e-2, ema: float | None = None, **changed):
    optim = OptimSettings(lr=lr, rate=ConstantRate(), ema=ema)
    settings = SETTINGS.model_copy(update=changed)
    return fit_classes(classifier, steps(), score, optim=optim, train=settings)


def weights(classifier: SequenceClassifier) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in classifier.state_dict().items()}


def test_every_row_is_visited_once_an_epoch_whatever_the_batch():
    rows = np.array([3, 5, 7, 11, 13])
    seen = torch.cat([steps(rows)[step].indices for step in range(5)])  # 40 places, eight epochs
    assert all(sorted(epoch.tolist()) == rows.tolist() for epoch in seen.reshape(8, 5))
    assert seen[:5].tolist() != seen[5:10].tolist()
    assert torch.equal(steps(rows)[3].batch.tokens, steps(rows)[3].batch.tokens)


def test_strands_are_drawn_only_where_asked_for():
    data = examples()

    def is_reverse(step) -> list[bool]:
        return [
            not np.array_equal(tokens[: len(bases)].numpy().astype(np.uint8), bases)
            for tokens, bases in (
                (tokens, data.sequences.read(row, row + 1))
                for tokens, row in zip(step.batch.tokens, step.indices.tolist(), strict=True)
            )
        ]

    assert not any(is_reverse(steps()[0]))
    drawn = steps(both_strands=True)[0]
    assert 0 < sum(is_reverse(drawn)) < 8
    for tokens, row, reverse in zip(drawn.batch.tokens, drawn.indices.tolist(), is_reverse(drawn), strict=True):
        bases = data.sequences.read(row, row + 1)
        expected = reverse_complement(bases) if reverse else bases
        assert np.array_equal(tokens[: len(bases)].numpy().astype(np.uint8), expected)


@pytest.mark.parametrize("ema", [None, 0.5])
def test_the_weights_of_the_best_validation_are_kept_and_the_first_among_equals(ema):
    classifier, seen = model(), []
    scores = iter([0.5, 0.9, 0.7, 0.9])

    def score() -> float:
        assert not classifier.training
        seen.append(weights(classifier))
        return next(scores)

    best = fit(classifier, score, ema=ema)
    assert best == (6, 0.9)
    assert len(seen) == 4
    assert all(torch.equal(tensor, seen[1][name]) for name, tensor in weights(classifier).items())
    assert any(not torch.equal(tensor, seen[3][name]) for name, tensor in weights(classifier).items())
    assert not classifier.training


def test_a_run_without_improvement_stops():
    scores = iter([0.5, 0.4, 0.5, 0.9])
    assert fit(model(), lambda: next(scores), patience=2) == (3, 0.5)
    assert next(scores) == 0.9


def test_it_learns_what_can_be_learnt():
    classifier, data = model(), examples()
    batch = data.batch(np.arange(N_ROWS), Layout())

    def score() -> float:
        with torch.no_grad():
            return float((classifier(batch).argmax(1) == batch.label).float().mean())

    assert fit(classifier, score, lr=3e-2, max_steps=24, validate_every=8).score > 0.9


def test_the_rate_can_take_its_course_over_more_steps_than_are_run():
    def after_four(**changed) -> dict[str, torch.Tensor]:
        classifier, scores = model(), iter([1.0, 0.0])
        settings = SETTINGS.model_copy(update={"validate_every": 4, "max_steps": changed.pop("max_steps", 4)})
        optim = OptimSettings(lr=1e-2, rate=CosineRate())
        fit_classes(classifier, steps(), lambda: next(scores), optim=optim, train=settings, **changed)
        return weights(classifier)

    longer, stretched, short = after_four(max_steps=8), after_four(rate_steps=8), after_four()
    assert all(torch.equal(tensor, longer[name]) for name, tensor in stretched.items())
    assert any(not torch.equal(tensor, longer[name]) for name, tensor in short.items())


def test_the_last_step_is_validated():
    seen = []
    assert fit(model(), lambda: float(len(seen.append(None) or seen)), max_steps=4).step == 4


def test_a_diverging_loss_is_named():
    with pytest.raises(DivergedError, match=r"step 3: the loss is nan; lower optim\.lr or optim\.clip"):
        fit(model(), lambda: 0.0, lr=1e30)


def test_ctrl_c_ends_the_unit_between_steps():
    def score() -> float:
        os.kill(os.getpid(), signal.SIGINT)
        return 0.0

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(InterruptedRun, match="the same command goes on with what is not finished"):
        fit(model(), score)
    assert signal.getsignal(signal.SIGINT) is before
