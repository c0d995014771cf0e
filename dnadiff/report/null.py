"""What real DNA is told apart from: the same dinucleotides in another order, and a Markov chain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dnadiff.data.markov import MarkovModel
from dnadiff.vocab import DNA

Tokens = NDArray[np.uint8]


def shuffle_dinucleotides(tokens: Tokens, rng: np.random.Generator) -> Tokens:
    """(length,): the same dinucleotides in a random order, every such order alike (Altschul and Erickson 1985).

    The sequence is a walk over its letters. Of each letter one exit is drawn to be the last that is taken, until these
    lead from every letter to the end of the walk; the other exits are taken in any order.
    """
    if len(tokens) < 3:
        return tokens.copy()
    end = int(tokens[-1])
    exits = {letter: tokens[1:][tokens[:-1] == letter] for letter in np.unique(tokens[:-1]).tolist()}
    last = _last_exits(exits, end, rng)
    orders = {}
    for letter, following in exits.items():
        order = rng.permutation(len(following))
        if letter != end:
            order = np.append(order[order != last[letter]], last[letter])
        orders[letter] = iter(following[order].tolist())
    walk = [int(tokens[0])]
    for _ in range(len(tokens) - 1):
        walk.append(next(orders[walk[-1]]))
    return np.array(walk, np.uint8)


def draw_markov(model: MarkovModel, order: int, *, n: int, length: int, rng: np.random.Generator) -> Tokens:
    """(n, length) tokens of a Markov chain; the first `order` bases from the lower orders."""
    limits = [probs.cumsum(1)[:, :-1] for probs in probabilities(model, order)]
    letters = np.empty((n, length), np.int64)
    context = np.zeros(n, np.int64)
    for place in range(length):
        known = min(place, order)
        context %= 4**known
        letters[:, place] = (rng.random((n, 1)) >= limits[known][context]).sum(1)
        context = 4 * context + letters[:, place]
    return np.array(DNA.letters, np.uint8)[letters]


def probabilities(model: MarkovModel, order: int) -> list[NDArray[np.float64]]:
    """(4**k, 4) for k from 0 to `order`: p(base | context), smoothed as the model smooths."""
    lower, found = np.full((1, 4), 0.25), []
    for k in range(order + 1):
        counts, weight = model.counts[k], model.prior_weights[k]
        lower = np.tile(lower, (4, 1)) if k else lower  # contexts that differ in their oldest base alone
        lower = (counts + weight * lower) / (counts.sum(1, keepdims=True) + weight)
        found.append(lower)
    return found


def _last_exits(exits: dict[int, Tokens], end: int, rng: np.random.Generator) -> dict[int, int]:
    """For every letter but `end`, the number of an exit; following them leads to `end`."""
    while True:
        last = {letter: int(rng.integers(len(following))) for letter, following in exits.items() if letter != end}
        leads = {end}
        for _ in last:
            leads |= {letter for letter, number in last.items() if int(exits[letter][number]) in leads}
        if leads >= last.keys():
            return last
