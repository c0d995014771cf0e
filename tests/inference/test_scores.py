"""Scores against scikit-learn's, and intervals against what they claim."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from dnadiff.inference.scores import Predictions, _weighable, figures, score


def predictions(n: int, n_classes: int, *, seed: int, ties: bool = False, strength: float = 1.0):
    generator = np.random.default_rng(seed)
    label = generator.integers(0, n_classes, n)
    logits = generator.normal(size=(n, n_classes)) + strength * np.eye(n_classes)[label]
    if ties:
        logits = logits.round()
    odds = np.exp(logits)
    return label, odds / odds.sum(1, keepdims=True)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_scores_are_those_of_scikit_learn(n_classes, ties):
    label, proba = predictions(300, n_classes, seed=n_classes, ties=ties)
    found = score(label, proba)
    assert found.accuracy == pytest.approx(metrics.accuracy_score(label, proba.argmax(1)))
    assert found.mcc == pytest.approx(metrics.matthews_corrcoef(label, proba.argmax(1)))
    one_hot = np.eye(n_classes)[label]
    chosen = [1] if n_classes == 2 else range(n_classes)
    assert found.auroc == pytest.approx(np.mean([metrics.roc_auc_score(one_hot[:, c], proba[:, c]) for c in chosen]))
    precision = [metrics.average_precision_score(one_hot[:, c], proba[:, c]) for c in chosen]
    assert found.auprc == pytest.approx(np.mean(precision))
    how = "binary" if n_classes == 2 else "macro"
    assert found.f1 == pytest.approx(metrics.f1_score(label, proba.argmax(1), average=how))


def test_a_constant_guess_is_at_chance():
    label = np.repeat([0, 1], [70, 30])
    found = score(label, np.tile([0.7, 0.3], (100, 1)))
    assert found == (0.7, 0.0, 0.5, pytest.approx(0.3), 0.0)


def test_a_class_without_rows_leaves_the_others_areas():
    label, proba = predictions(60, 3, seed=0)
    label[label == 2] = 1
    assert np.isfinite(score(label, proba)).all()
    assert np.isnan(score(np.ones(5, np.int64), np.tile([0.5, 0.5], (5, 1))).auroc)


@pytest.mark.parametrize("ties", [False, True])
def test_correlations_are_those_of_scipy_also_of_rows_drawn_again(ties):
    generator = np.random.default_rng(5)
    label = generator.normal(size=60)
    predicted = label + generator.normal(size=60)
    if ties:
        label, predicted = label.round(), predicted.round()
    found = score(label, predicted[:, None])
    assert found.pearson == pytest.approx(stats.pearsonr(label, predicted).statistic)
    assert found.spearman == pytest.approx(stats.spearmanr(label, predicted).statistic)
    drawn = generator.integers(0, 60, 60)
    again = _weighable(label, predicted[:, None]).scores(np.bincount(drawn, minlength=60).astype(float))
    assert again.pearson == pytest.approx(stats.pearsonr(label[drawn], predicted[drawn]).statistic)
    assert again.spearman == pytest.approx(stats.spearmanr(label[drawn], predicted[drawn]).statistic)


def test_one_number_for_all_rows_is_no_correlation():
    label = np.linspace(0, 5, 9)
    assert score(label, np.full((9, 1), 0.1)) == (0.0, 0.0)
    found = figures([Predictions(0, np.arange(9), label, label[:, None] ** 3)], np.random.default_rng(0))
    assert found["spearman"].mean.value == pytest.approx(1.0)
    assert found["pearson"].mean.low < found["pearson"].mean.value < 1.0


def test_the_interval_of_the_accuracy_is_the_binomial_one_for_unrelated_rows():
    label, proba = predictions(1000, 2, seed=1)
    found = figures([Predictions(0, np.arange(1000), label, proba)], np.random.default_rng(0))["accuracy"]
    right = found.mean.value
    half = 1.96 * np.sqrt(right * (1 - right) / 1000)
    assert found.mean.high - right == pytest.approx(half, rel=0.15)
    assert found.spread == 0.0


def test_rows_that_are_copies_of_each_other_do_not_narrow_the_interval():
    label, proba = predictions(250, 2, seed=2)
    one = figures([Predictions(0, np.arange(250), label, proba)], np.random.default_rng(0))
    four = Predictions(0, np.tile(np.arange(250), 4), np.tile(label, 4), np.tile(proba, (4, 1)))
    copied = figures([four], np.random.default_rng(0))
    for name in one:
        assert np.allclose(copied[name].mean, one[name].mean, atol=1e-12)


def test_seeds_that_differ_widen_it_and_their_spread_is_largest_less_smallest():
    label, proba = predictions(400, 2, seed=3, strength=4.0)
    group = np.arange(400)
    models = []
    for seed, n_wrong in enumerate([0, 40, 80]):
        worse = proba.copy()
        worse[:n_wrong] = worse[:n_wrong, ::-1]
        models.append(Predictions(seed, group, label, worse))
    found = figures(models, np.random.default_rng(0))["accuracy"]
    each = [score(label, model.probabilities).accuracy for model in models]
    assert found.mean.value == pytest.approx(np.mean(each))
    assert found.spread == pytest.approx(max(each) - min(each))
    from_seeds = 4.303 * np.std(each, ddof=1) / np.sqrt(3)  # Student's t with two degrees of freedom
    assert found.mean.value - found.mean.low > from_seeds
    same = figures([model._replace(seed=0) for model in models], np.random.default_rng(0))["accuracy"]
    assert same.mean.value - same.mean.low < from_seeds / 2


def test_folds_of_one_seed_are_one_measurement():
    label, proba = predictions(400, 2, seed=4)
    group = np.arange(400)
    halves = [Predictions(0, group[part], label[part], proba[part]) for part in (slice(0, 200), slice(200, 400))]
    whole = figures([Predictions(0, group, label, proba)], np.random.default_rng(1))["accuracy"]
    found = figures(halves, np.random.default_rng(1))["accuracy"]
    assert found.mean.value == pytest.approx(whole.mean.value)
    assert found.mean.high - found.mean.low == pytest.approx(whole.mean.high - whole.mean.low, rel=0.1)
