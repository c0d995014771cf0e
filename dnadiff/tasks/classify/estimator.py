"""A classifier of DNA, or of text, as a scikit-learn estimator: strings in, classes out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from dnadiff import checkpoint
from dnadiff.data.labelled.examples import Examples
from dnadiff.data.labelled.folds import VALID_SHARE, Fold, grouped_folds
from dnadiff.data.labelled.read import encoded
from dnadiff.data.labelled.sentences import sentence_rows
from dnadiff.data.text.tokenizer import KEPT, TextTokenizer, kept_tokenizer
from dnadiff.errors import InputError
from dnadiff.hub import shipped
from dnadiff.run import find_checkpoint
from dnadiff.tasks.classify.linear import fit_linear
from dnadiff.tasks.classify.network import build, features, fit, predict, save_classifier, set_head
from dnadiff.tasks.classify.opened import layout_of
from dnadiff.tasks.classify.settings import ClassifyConfig, resolve

Labels = NDArray[Any]


class Classifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Classes of sequences, by a network that is fine-tuned, or read as it is.

    Sequences are strings over A C G T N; where `init` is a model of text, sentences, or tuples of those that belong
    together.

    Args:
        init: run or checkpoint folder to start from; "none" for random weights; None for the model that ships, if
            one does and no `model` is given.
        model: settings of the network where it starts from random weights, as a preset's `model`.
        probe: fit logistic regression on the network's mean features, instead of training all of it.
        epochs, batch_size, lr: of the training.
        length: longest sequence, in bases or tokens; longer ones lose their end. None: as long as they are.
        random_state: seed of weights, order, strands, and the tenth of the sequences that chooses the best epoch.

    Attributes:
        classes_: (classes,) sorted.
        network_: the fitted `SequenceClassifier`, an `nn.Module`.
        tokenizer_: of text; None for DNA.

    Examples:
        >>> Classifier(init="runs/hg38").fit(sequences, labels).predict(others)  # doctest: +SKIP
    """

    def __init__(
        self,
        init: str | None = None,
        *,
        model: dict[str, Any] | None = None,
        probe: bool = False,
        epochs: int = 10,
        batch_size: int = 32,
        lr: float = 1e-3,
        length: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.init = init
        self.model = model
        self.probe = probe
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.length = length
        self.random_state = random_state

    def fit(self, X: Sequence[Any], y: Sequence[Any]) -> Self:
        """Learn the classes of sequences of any lengths.

        Raises:
            ValueError: X and y of different lengths, labels that are no classes, or a single class.
            InputError: a sequence that is none, or `init` without a model.
        """
        start = self._start()
        tokenizer = None if start == "none" else kept_tokenizer(find_checkpoint(Path(start).expanduser()))
        rows = _rows(X, tokenizer)
        labels = np.asarray(y)
        check_consistent_length(X, labels)
        check_classification_targets(labels)
        self.classes_, label = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y holds the single class '{self.classes_[0]}'; a classifier needs two or more")
        settings, examples = self._settings(start), _labelled(rows, label, tokenizer, self.length)
        fold = _split(label, self.random_state)
        layout = layout_of(settings.head, self.length)
        with torch.random.fork_rng():
            classes = tuple(map(str, self.classes_))
            network = build(settings, classes, self.length, self.random_state, examples.vocab)
            if self.probe:
                values = features(network.eval(), examples, layout, self.batch_size)
                fitted, _ = fit_linear(values[fold.train], label[fold.train], values[fold.valid], label[fold.valid])
                set_head(network, fitted)
            else:
                fit(
                    network, examples, fold, layout, settings, settings.optim, seed=self.random_state,
                    both_strands=tokenizer is None and not network.is_symmetric,
                )  # fmt: skip
        self.network_, self.tokenizer_ = network.eval(), tokenizer
        return self

    def predict_proba(self, X: Sequence[Any]) -> NDArray[np.float64]:
        """(sequences, classes), in the order of `classes_`."""
        check_is_fitted(self)
        rows, config = _rows(X, self.tokenizer_), self.network_.config
        examples = _labelled(rows, np.zeros(len(rows), np.int64), self.tokenizer_, config.length)
        layout = layout_of(config.head, config.length)
        return predict(self.network_, examples, np.arange(len(rows)), layout, self.batch_size)

    def predict(self, X: Sequence[Any]) -> Labels:
        """(sequences,) the most probable class of each."""
        probabilities = self.predict_proba(X)
        labels: Labels = self.classes_[probabilities.argmax(1)]
        return labels

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the fitted network, its classes in their order, to a folder that `Classifier.load` opens."""
        check_is_fitted(self)
        files = {} if self.tokenizer_ is None else {KEPT: self.tokenizer_.definition}
        save_classifier(Path(folder), self.network_, files)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Open what `save` or `dnadiff classify` wrote; classes are strings then.

        Raises:
            InputError: there is no intact classifier, or one that predicts a number.
        """
        path = Path(folder).expanduser()
        network = checkpoint.load_classifier(path)
        if not network.config.classes:
            raise InputError(
                f"{path}: predicts a number and no classes; open it with dnadiff.checkpoint.load_classifier"
            )
        found = cls(length=network.config.length)
        found.classes_, found.network_ = np.array(network.config.classes), network
        found.tokenizer_ = kept_tokenizer(path)
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array, tags.input_tags.string = False, True, True
        return tags

    def _start(self) -> str:
        if self.init is not None:
            return self.init
        ships = shipped.folder()
        return "none" if ships is None or self.model is not None else str(ships)

    def _settings(self, start: str) -> ClassifyConfig:
        words = [f"optim.lr={self.lr}", f"train.epochs={self.epochs}", f"train.batch_size={self.batch_size}"]
        flags = {"init": start, "model": self.model, "length": self.length}
        return resolve("classify/strict", words, flags)


def _rows(sequences: Sequence[Any], tokenizer: TextTokenizer | None) -> list[Any]:
    if isinstance(sequences, str):
        raise ValueError("X is one string; pass a list of sequences")
    rows = list(sequences)
    for row in rows:
        is_pair = tokenizer is not None and isinstance(row, tuple) and all(isinstance(part, str) for part in row)
        if not (isinstance(row, str) or is_pair):
            what = "strings over A C G T N" if tokenizer is None else "sentences, or tuples of them"
            raise ValueError(f"X holds {row!r}; pass {what}")
    return rows


def _labelled(
    rows: list[Any], label: NDArray[np.int64], tokenizer: TextTokenizer | None = None, length: int | None = None
) -> Examples:
    names, numbers = [f"sequence {number}" for number in range(len(rows))], label.astype(np.int64)
    if tokenizer is None:
        return Examples(encoded("X", zip(names, rows, strict=True)), numbers, np.array(names))
    together = [(row,) if isinstance(row, str) else row for row in rows]
    return Examples(sentence_rows(tokenizer, together, length), numbers, np.array(names), vocab=tokenizer.vocab)


def _split(label: NDArray[np.int64], seed: int) -> Fold:
    """A stratified tenth to choose by; all rows, where a class has one alone."""
    rows = np.arange(len(label))
    fewest = int(np.bincount(label).min())
    if fewest < 2:
        return Fold(rows, rows, rows[:0])
    is_valid = grouped_folds(label, rows, n_folds=min(round(1 / VALID_SHARE), fewest), seed=seed) == 0
    return Fold(rows[~is_valid], rows[is_valid], rows[:0])
