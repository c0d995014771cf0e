"""What a unit can run: a network, fine-tuned or as it is, and the baselines beside it.

Each takes rows to learn from and to choose by, and gives probabilities for rows that it has not seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from dnadiff.data.labelled.examples import Layout
from dnadiff.models.cnn import SHORTEST, SmallCNN
from dnadiff.rng import Stream, numpy_generator
from dnadiff.tasks.classify.linear import kmers
from dnadiff.tasks.classify.network import finetune, fit, predict, probe
from dnadiff.tasks.classify.task import Outcome, Task
from dnadiff.training.settings import ConstantRate, OptimSettings

CNN_LR, CNN_BATCH = 1e-3, 64  # as published


def run(method: str, task: Task) -> Outcome:
    """Run a method by its name."""
    return _METHODS[method](task)


def majority(task: Task) -> Outcome:
    """The shares of the classes, or the mean number, whatever the row."""
    label = task.data.examples.label[task.fold.train]
    shares = np.bincount(label, minlength=task.n_outputs) / len(label) if task.data.classes else [label.mean()]
    return Outcome(np.tile(shares, (len(task.fold.test), 1)))


def cnn(task: Task) -> Outcome:
    """The published small convolutional network, by its published rate and batch; otherwise trained like the method."""
    settings, examples = task.settings, task.data.examples
    length = max(SHORTEST, task.data.length)
    layout = Layout(length, settings.head.padding, as_bases=True)
    torch.manual_seed(task.seed)
    model = SmallCNN(examples.vocab, task.n_outputs, length)
    optim = OptimSettings(lr=CNN_LR, weight_decay=0.0, betas=(0.9, 0.999), clip=None, rate=ConstantRate())
    facts = fit(
        model, examples, task.fold, layout, settings, optim, seed=task.seed, both_strands=False, batch_size=CNN_BATCH
    )
    return Outcome(predict(model, examples, task.fold.test, layout, CNN_BATCH), facts)


def permuted(task: Task) -> Outcome:
    """The method itself, learning from and chosen by shuffled classes: at chance, or something leaks."""
    label = task.data.examples.label.copy()
    rows = np.concatenate([task.fold.train, task.fold.valid])
    label[rows] = numpy_generator(task.seed, Stream.SPLIT, 0, 1).permutation(label[rows])
    data = replace(task.data, examples=replace(task.data.examples, label=label))
    outcome = run(task.settings.method, task._replace(data=data))
    return replace(outcome, save=None)


_METHODS: dict[str, Callable[[Task], Outcome]] = {
    "finetune": finetune, "probe": probe, "majority": majority, "kmers": kmers, "cnn": cnn, "permuted": permuted,
}  # fmt: skip
