"""The Frechet distance of two sets of sequences, in features that need no download and never change.

Every published network that could be used would have to be downloaded, and was trained on some genome that it would
favour. So the features are those of a convolutional network with fixed random weights, in the manner of random-feature
Frechet scores: they see words of seven bases, and how these stand to each other over 49.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import conv1d

from dnadiff.data.markov import LETTER_INDEX
from dnadiff.dna import reverse_complement

PINNED = "random-conv-1"  # the name of these weights; to change anything below is to change it
KEY, CHANNELS, WIDTH = 20261121, (4, 32, 64), 7
BASES_AT_ONCE = 1 << 17
Tokens = NDArray[np.uint8]
Floats = NDArray[np.float64]


def pinned_features(rows: Tokens) -> Floats:
    """(n, 64): mean over the bases of both strands of what the random network finds.

    Args:
        rows: (n, length) tokens, 49 bases or more.
    """
    weights, at_once = _weights(), max(1, BASES_AT_ONCE // rows.shape[1])
    batches = [rows[first : first + at_once] for first in range(0, len(rows), at_once)]
    return np.concatenate([(_mean(some, weights) + _mean(reverse_complement(some), weights)) / 2 for some in batches])


def frechet_distance(one: Floats, other: Floats) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) of the means and covariances of two sets, (n, width) each.

    Zero for equal means and covariances; in few rows it is above zero for rows of one law too.
    """
    means, spreads = [each.mean(0) for each in (one, other)], [np.cov(each, rowvar=False) for each in (one, other)]
    values, vectors = np.linalg.eigh(spreads[0])
    root = vectors * np.sqrt(values.clip(min=0)) @ vectors.T
    product = np.sqrt(np.linalg.eigvalsh(root @ spreads[1] @ root).clip(min=0)).sum()
    return float(((means[0] - means[1]) ** 2).sum() + np.trace(spreads[0]) + np.trace(spreads[1]) - 2 * product)


def _mean(rows: Tokens, weights: list[Tensor]) -> Floats:
    letters = LETTER_INDEX[rows]
    one_hot = np.vstack([np.eye(4) - 0.25, np.zeros(4)])[letters].swapaxes(1, 2)  # an N, -1, is all zeros
    found = torch.from_numpy(one_hot).float()
    for layer, weight in enumerate(weights):
        found = conv1d(found, weight, dilation=WIDTH**layer).relu()
    mean: Floats = found.double().mean(2).numpy()
    return mean


def _weights() -> list[Tensor]:
    """(out, in, width) of each layer, uniform with variance 1 / inputs, from Philox's raw stream, which numpy keeps."""
    shapes = [(CHANNELS[layer + 1], CHANNELS[layer], WIDTH) for layer in range(len(CHANNELS) - 1)]
    source = np.random.Philox(key=KEY)
    uniform = [source.random_raw(int(np.prod(shape))) / 2.0**64 - 0.5 for shape in shapes]
    return [
        torch.from_numpy((numbers * np.sqrt(12 / (shape[1] * WIDTH))).reshape(shape)).float()
        for numbers, shape in zip(uniform, shapes, strict=True)
    ]
