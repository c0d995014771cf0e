"""Randomness as a pure function of where one is.

An item's augmentation depends on (seed, epoch, index), a step's noise on (seed, step), an epoch's order on (seed,
epoch): never on which worker or rank drew it, so that a resumed run needs to remember one integer. Streams keep the
uses apart: two draws with equal numbers but different streams are independent.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Any, cast

import numpy as np


class Stream(IntEnum):
    """What the numbers are drawn for."""

    ORDER = 1
    AUGMENT = 2
    NOISE = 3
    EVALUATE = 4
    SAMPLE = 5
    BOOTSTRAP = 6
    TOY = 7
    SPLIT = 8
    CONSTRAINED = 9


def numpy_generator(seed: int, stream: Stream, *where: int) -> np.random.Generator:
    """A generator for one place; `where` are non-negative integers such as (epoch, index).

    The place is a spawn key: in a plain list, trailing zeros count for nothing, and (seed,) would equal (seed, 0).
    """
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(int(stream), *where))))


def row_uniforms(seed: int, stream: Stream, *where: int, rows: Iterable[int], n: int) -> np.ndarray:
    """(rows, n) in [0, 1): of each row the first n of its own numbers, whatever rows it is drawn beside.

    They lie in one sequence, 2**128 blocks of Philox from row to row, which goes to any place at once (Salmon et al.
    2011): a generator of its own for each row would take longer to seed than to draw from.
    """
    generator, chosen = numpy_generator(seed, stream, *where), list(rows)
    state = cast(dict[str, Any], generator.bit_generator.state)
    drawn = np.empty((len(chosen), n))
    for row, numbers in zip(chosen, drawn, strict=True):
        state["state"]["counter"][2] = row
        generator.bit_generator.state = state
        generator.random(out=numbers)
    return drawn


def epoch_order(seed: int, epoch: int, n_items: int) -> np.ndarray:
    """(n_items,) int64: the order in which epoch `epoch` visits the items, each exactly once."""
    return numpy_generator(seed, Stream.ORDER, epoch).permutation(n_items)
