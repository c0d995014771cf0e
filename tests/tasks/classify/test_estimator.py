"""The estimator: scikit-learn's contract for strings, and that it learns, repeats itself and survives a file."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks as checks

import dnadiff
from dnadiff.dna import decode, encode, reverse_complement
from dnadiff.errors import InputError
from dnadiff.tasks.classify.linear import fit_linear
from dnadiff.tasks.classify.network import features
from dnadiff.tasks.classify.opened import layout_of

SMALL = {
    "model": {"kind": "caduceus", "width": 8, "n_layers": 1, "n_states": 2},
    "epochs": 2,
    "batch_size": 8,
    "lr": 0.02,
}
PROBE = {**SMALL, "probe": True}


@pytest.fixture(scope="module")
def data():
    """Rows of 20 to 24 letters; class G has more G and C."""
    generator = np.random.default_rng(0)
    labels = np.array(["G", "A"] * 20)
    shares = [[0.1, 0.4, 0.4, 0.1] if label == "G" else [0.4, 0.1, 0.1, 0.4] for label in labels]
    return ["".join(generator.choice(list("ACGT"), 20 + i % 5, p=p)) for i, p in enumerate(shares)], labels


@pytest.fixture(scope="module")
def fitted(data):
    return dnadiff.Classifier(**SMALL).fit(*data)


@pytest.mark.parametrize(
    "check",
    [
        checks.check_estimator_cloneable,
        checks.check_estimator_repr,
        checks.check_estimator_tags_renamed,
        checks.check_valid_tag_types,
        checks.check_no_attributes_set_in_init,
        checks.check_parameters_default_constructible,
        checks.check_get_params_invariance,
        checks.check_set_params,
        checks.check_do_not_raise_errors_in_init_or_set_params,
        checks.check_mixin_order,
    ],
)
def test_scikit_learns_checks_that_need_no_matrix(check):
    check("Classifier", dnadiff.Classifier())


@pytest.mark.case(41)
def test_it_learns_and_gives_classes_and_probabilities(fitted, data):
    rows, labels = data
    assert fitted.classes_.tolist() == ["A", "G"]  # sorted, whatever the order of the rows
    assert fitted.score(rows, labels) > 0.9
    odds = fitted.predict_proba(rows)
    assert odds.shape == (40, 2)
    assert np.allclose(odds.sum(1), 1)
    assert (fitted.predict(rows) == fitted.classes_[odds.argmax(1)]).all()


def test_fitting_leaves_parameters_inputs_and_the_global_generator_alone(data):
    rows, labels = data
    model = dnadiff.Classifier(**PROBE)
    before, state = model.get_params(), torch.random.get_rng_state()
    rows_before, labels_before = list(rows), labels.copy()
    assert model.fit(rows, labels) is model
    assert model.get_params() == before
    assert torch.equal(torch.random.get_rng_state(), state)
    assert (rows, labels.tolist()) == (rows_before, labels_before.tolist())
    attributes = set(vars(model))
    model.predict(rows)
    assert set(vars(model)) == attributes


def test_the_same_seed_fits_the_same_and_another_does_not(fitted, data):
    again = dnadiff.Classifier(**SMALL).fit(*data)
    other = dnadiff.Classifier(**SMALL, random_state=1).fit(*data)
    assert np.array_equal(again.predict_proba(data[0]), fitted.predict_proba(data[0]))
    assert not np.array_equal(other.predict_proba(data[0]), fitted.predict_proba(data[0]))


def test_what_is_predicted_depends_neither_on_order_nor_on_company(fitted, data):
    rows = data[0]
    together = fitted.predict_proba(rows)
    assert np.allclose(fitted.predict_proba(rows[::-1]), together[::-1], atol=1e-6)
    assert np.allclose(fitted.predict_proba(rows[3:4]), together[3:4], atol=1e-6)


def test_both_strands_are_one_sequence(fitted, data):
    opposite = [decode(reverse_complement(encode(row))) for row in data[0]]
    assert np.allclose(fitted.predict_proba(opposite), fitted.predict_proba(data[0]), atol=1e-5)


@pytest.mark.parametrize("labels", [np.arange(40) % 2 * 5, np.arange(40) % 2 == 1, np.arange(40) % 3])
def test_classes_keep_their_type(labels, data):
    found = dnadiff.Classifier(**PROBE).fit(data[0], labels).predict(data[0])
    assert found.dtype == labels.dtype
    assert set(found) <= set(labels)


def test_arrays_and_tuples_are_lists_of_strings_too(fitted, data):
    rows = data[0]
    expected = fitted.predict_proba(rows)
    for given in (np.array(rows), np.array(rows, object), tuple(rows)):
        assert np.array_equal(fitted.predict_proba(given), expected)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_probe_is_its_logistic_regression(n_classes, data):
    rows, labels = data[0], np.arange(40) % n_classes
    model = dnadiff.Classifier(**PROBE, random_state=3).fit(rows, labels)
    from dnadiff.tasks.classify.estimator import _labelled, _split

    examples = _labelled(rows, labels)
    values = features(model.network_, examples, layout_of(model.network_.config.head, None), 8)
    fold = _split(labels, 3)
    pipeline, _ = fit_linear(values[fold.train], labels[fold.train], values[fold.valid], labels[fold.valid])
    assert np.allclose(model.predict_proba(rows), pipeline.predict_proba(values), atol=1e-5)


@pytest.mark.case(41)
def test_it_is_saved_pickled_and_cloned(fitted, data, tmp_path):
    rows = data[0]
    expected = fitted.predict_proba(rows)
    fitted.save(tmp_path / "model")
    loaded = dnadiff.Classifier.load(tmp_path / "model")
    assert np.allclose(loaded.predict_proba(rows), expected, atol=1e-6)
    assert loaded.predict(rows).tolist() == fitted.predict(rows).tolist()
    assert np.array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(rows), expected)
    with pytest.raises(NotFittedError):
        clone(fitted).predict(rows)


def test_it_is_cross_validated_piped_and_searched(data):
    rows, labels = data
    assert cross_val_score(dnadiff.Classifier(**PROBE), rows, labels, cv=2).shape == (2,)
    upper = FunctionTransformer(lambda rows: [row.upper() for row in rows])
    lower = [row.lower() for row in rows]
    piped = make_pipeline(upper, dnadiff.Classifier(**PROBE)).fit(lower, labels)
    assert piped.score(lower, labels) > 0.5
    search = GridSearchCV(dnadiff.Classifier(**PROBE), {"length": [10, None]}, cv=2).fit(rows, labels)
    assert search.best_params_["length"] in (10, None)


@pytest.mark.parametrize(
    ("rows", "labels", "kind", "message"),
    [
        ("ACGT", ["a"], ValueError, "X is one string; pass a list of sequences"),
        (["ACGT", 3], ["a", "b"], ValueError, "X holds 3; pass strings over A C G T N"),
        (["ACGT", "AC"], ["a"], ValueError, "inconsistent numbers of samples"),
        (["ACGT", "AC"], ["a", "a"], ValueError, "y holds the single class 'a'; a classifier needs two or more"),
        (["ACGT", "AC"], [0.5, 1.7], ValueError, "Unknown label type"),
        (["ACGT", "A!"], ["a", "b"], InputError, "X: sequence 1: '!' at position 1"),
        (["ACGT", ""], ["a", "b"], InputError, "sequence 1: no sequence"),
    ],
)
def test_bad_input_is_refused_as_scikit_learn_does(rows, labels, kind, message):
    with pytest.raises(kind, match=message):
        dnadiff.Classifier(**PROBE).fit(rows, labels)


def test_a_class_of_one_row_is_learnt_from_all_rows(data):
    rows = data[0][:5]
    model = dnadiff.Classifier(**PROBE).fit(rows, ["a", "a", "a", "a", "b"])
    assert model.classes_.tolist() == ["a", "b"]


def test_it_starts_from_a_run_that_was_trained(run, data):
    model = dnadiff.Classifier(init=str(run), probe=True, epochs=1).fit(*data)
    trained = dnadiff.load(run).network.network
    for name, tensor in trained.state_dict().items():
        assert torch.equal(model.network_.network.state_dict()[name], tensor)


def test_sentences_and_pairs_are_classified_from_a_run_on_text(text_run, tmp_path):
    rows = [(f"the {'cat' if i % 2 else 'mat'} sat {i}", "on it") for i in range(24)]
    labels = np.array(["mat", "cat"] * 12)
    model = dnadiff.Classifier(init=str(text_run), epochs=8, batch_size=4, lr=0.02).fit(rows, labels)
    assert model.score(rows, labels) > 0.9
    assert model.tokenizer_.vocab == model.network_.vocab
    model.save(tmp_path / "model")
    loaded = dnadiff.Classifier.load(tmp_path / "model")
    assert np.allclose(loaded.predict_proba(rows), model.predict_proba(rows), atol=1e-6)
    one = "the cat sat 1"
    assert np.array_equal(loaded.predict_proba([one]), loaded.predict_proba([(one,)]))
    with pytest.raises(ValueError, match=r"X holds 3; pass sentences, or tuples of them"):
        loaded.predict([3])
    with pytest.raises(ValueError, match=r"X holds \('A', 'C'\); pass strings over A C G T N"):
        dnadiff.Classifier(**PROBE).fit([("A", "C"), "A"], ["a", "b"])
