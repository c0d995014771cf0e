"""A network as a classifier: fine-tuned as a whole, or as it is, under logistic regression."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from dnadiff import checkpoint
from dnadiff.data.labelled.examples import Examples, Layout
from dnadiff.data.labelled.folds import Fold
from dnadiff.data.leakage.ranges import Ints
from dnadiff.errors import InputError
from dnadiff.inference.classify import over_rows, probabilities
from dnadiff.inference.device import best_device, borrowed
from dnadiff.inference.progress import progress_bar
from dnadiff.models.classifier import ClassifierConfig, SequenceClassifier
from dnadiff.run import find_checkpoint
from dnadiff.tasks.classify.linear import linear
from dnadiff.tasks.classify.opened import kept, layout_of
from dnadiff.tasks.classify.settings import ClassifyConfig
from dnadiff.tasks.classify.task import Outcome, Task
from dnadiff.training.classify import LabelledSteps, fit_classes
from dnadiff.training.settings import OptimSettings, TrainSettings
from dnadiff.vocab import DNA, Vocab


def build(
    settings: ClassifyConfig, classes: tuple[str, ...], length: int | None, seed: int, vocab: Vocab = DNA
) -> SequenceClassifier:
    """A classifier with weights from the seed, those of the network from `init` where there is one.

    Raises:
        InputError: `init` holds another network, or one of other tokens than the rows have.
    """
    torch.manual_seed(seed)
    config = ClassifierConfig(model=settings.model, head=settings.head, length=length, classes=classes)
    model = SequenceClassifier(config, vocab)
    if settings.init != "none":
        source = find_checkpoint(Path(settings.init))
        checkpoint.verify(source)
        if checkpoint.read_vocab(source).digest() != vocab.digest():
            mend = "DNA's; start from a model of DNA" if vocab == DNA else "data.tokenizer's; leave that out"
            raise InputError(f"{source}: has another vocabulary than {mend}, or --init none")
        tensors = checkpoint.read_tensors(source / checkpoint.WEIGHTS)
        own = {name.removeprefix("network."): t for name, t in tensors.items() if name.startswith("network.")}
        checkpoint.load_tensors(model.network, own, where=str(source))
    return model


def finetune(task: Task) -> Outcome:
    """Train the whole network."""
    settings, data = task.settings, task.data
    model = build(settings, data.classes, data.length, task.seed, data.vocab)
    optim = settings.optim.model_copy(update={"lr": settings.lr(data.name)})
    layout = layout_of(settings.head, data.length)
    facts = fit(
        model, data.examples, task.fold, layout, settings, optim, seed=task.seed,
        both_strands=settings.train.reverse_complement and not model.is_symmetric and data.vocab == DNA,
    )  # fmt: skip
    predicted = predict(model, data.examples, task.fold.test, layout, settings.train.batch_size)
    save = partial(save_classifier, model=model, files=data.files) if settings.save_models else None
    return Outcome(predicted, {**facts, "lr": optim.lr}, save)


def fit(
    model: nn.Module, examples: Examples, fold: Fold, layout: Layout, settings: ClassifyConfig, optim: OptimSettings,
    *, seed: int, both_strands: bool, batch_size: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Train any classifier of batches, keeping the weights that are best on the validation rows; facts of how it went.

    Best is the highest accuracy, or of numbers the lowest squared error.
    """
    how, size = settings.train, batch_size or settings.train.batch_size
    n_steps = max(1, math.ceil(how.epochs * len(fold.train) / size))
    train = TrainSettings(
        max_steps=n_steps, batch_size=size, micro_batch=None if how.micro_batch is None else min(how.micro_batch, size),
        seed=seed, validate_every=max(1, math.ceil(len(fold.train) / size)), patience=how.patience,
        precision=how.precision, workers=how.workers,
    )  # fmt: skip
    label = examples.label[fold.valid]

    def score() -> float:
        found = probabilities(model, examples, fold.valid, layout, batch_size=how.micro_batch or size)
        is_number = np.issubdtype(label.dtype, np.floating)
        return float(-np.square(found[:, 0] - label).mean() if is_number else (found.argmax(1) == label).mean())

    steps = LabelledSteps(examples, fold.train, layout, seed=seed, batch_size=size, both_strands=both_strands)
    rate_steps = round(n_steps * _stretch(fold, len(examples))) if how.rate_over == "set" else None
    best = fit_classes(model, steps, score, optim=optim, train=train, rate_steps=rate_steps)
    n = sum(parameter.numel() for parameter in model.parameters())
    return {"parameters": n, "steps": n_steps, "best_step": best.step, "valid_score": best.score}


def _stretch(fold: Fold, n_rows: int) -> float:
    """Rows of the set by those that are learnt from where all are used."""
    return n_rows / (n_rows - len(fold.test)) * (1 + len(fold.valid) / len(fold.train))


def predict(model: nn.Module, examples: Examples, rows: Ints, layout: Layout, batch_size: int) -> np.ndarray:
    """(n, classes) probabilities, computed where there is an accelerator."""
    with borrowed(model, best_device()):
        return probabilities(model, examples, rows, layout, batch_size=batch_size)


def probe(task: Task) -> Outcome:
    """A linear model of the mean features of the network as it is."""
    settings, data = task.settings, task.data
    source = None if settings.init == "none" else find_checkpoint(Path(settings.init))
    weights = "" if source is None else checkpoint.verify(source)["sha256"][checkpoint.WEIGHTS]
    how = settings.model_dump_json(include={"model", "head"})

    def make() -> np.ndarray:
        model = build(settings, data.classes, data.length, seed=0, vocab=data.vocab).eval()
        return features(model, data.examples, layout_of(settings.head, data.length), settings.train.batch_size)

    return linear(kept("features", f"{how}\n{weights}\n{data.length}\n{data.fingerprint}", make), task)


def features(model: SequenceClassifier, examples: Examples, layout: Layout, batch_size: int) -> np.ndarray:
    """(rows, width) float32: the mean features of every row."""
    device, rows = best_device(), np.arange(len(examples))
    with borrowed(model, device), progress_bar("reading features", len(rows)) as advance:
        return over_rows(
            model.pooled, examples, rows, layout, batch_size=batch_size, device=device, progress=advance
        ).numpy()


def set_head(model: SequenceClassifier, fitted: Any) -> None:
    """Make a classifier's head compute what a fitted pipeline of `fit_linear` does."""
    scaler, regression = fitted[0], fitted[-1]
    weight = regression.coef_ / scaler.scale_  # (classes, width), or (1, width) of two classes
    bias = regression.intercept_ - weight @ scaler.mean_
    if len(weight) == 1:
        weight, bias = np.concatenate([np.zeros_like(weight), weight]), np.append(0.0, bias)
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(weight))
        model.head.bias.copy_(torch.from_numpy(bias))


def save_classifier(folder: Path, model: SequenceClassifier, files: Mapping[str, str] = {}) -> None:
    """Write a classifier for use, its classes in their order, with files such as a tokenizer's."""
    checkpoint.write(folder, model.config, model.vocab, {checkpoint.WEIGHTS: model.state_dict()}, about={}, files=files)
