"""All rules of a row together: one lattice over the positions that are to be filled.

A layer's states are those of the product of the automata that can be reached before a free position and from which the
end can still be reached; given letters between free positions are followed in advance. So every path through the
lattice is a way to fill the row that keeps every rule, and every such way is a path.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnadiff.diffusion.constraints.automata import DEAD, Automaton, Forbidden, Ints, Word
from dnadiff.errors import InputError

FREE = -1
MOST_STATES = 1 << 24  # 16 bytes each, and 8 while letters are drawn


@dataclass(frozen=True)
class Rule:
    """A constraint as its user knows it.

    Attributes:
        label: as it was written, for messages.
        words: words that it forbids; those of all rules become one automaton.
        automaton: what else it demands of a region of so many positions.
    """

    label: str
    words: frozenset[Word] = frozenset()
    automaton: Callable[[int], Automaton] | None = None


@dataclass(frozen=True)
class Row:
    """What is given of a row.

    Attributes:
        letters: (length,) int64 numbers of letters, the number of letters where one is not known, `FREE` where one is
            to be filled in.
        allowed: (length, n_letters) bool: what may be filled in.
        start, end: the region that rules are about; all free positions lie in it.
    """

    letters: Ints
    allowed: NDArray[np.bool_]
    start: int
    end: int


@dataclass(frozen=True)
class Lattice:
    """Ways to fill a row.

    Attributes:
        positions: (n_free,) int64, in the row.
        layers: for each free position (n_states, n_letters) int32: the state of the next layer after each letter,
            `DEAD` where there is none. The first layer has one state, and so has what comes after the last.
    """

    positions: Ints
    layers: tuple[NDArray[np.int32], ...]

    @property
    def n_states(self) -> int:
        return sum(map(len, self.layers))


class Conflict(NamedTuple):
    """Rules that cannot all be kept.

    Attributes:
        labels: none of them could be left out, or the others could be kept.
        position: of the row, where nothing can stand after what is before it; None: the end is not accepted.
    """

    labels: list[str]
    position: int | None


class _DeadEnd(Exception):
    def __init__(self, position: int | None) -> None:
        self.position = position


def compile_rules(rules: Sequence[Rule], row: Row) -> Lattice | Conflict:
    """The lattice of a row, or why there is none.

    Raises:
        InputError: the lattice would be too large.
    """
    found = _try(rules, row)
    if isinstance(found, Lattice):
        return found
    kept = list(rules)
    for rule in rules:
        fewer = [other for other in kept if other is not rule]
        trial = _try(fewer, row)
        if not isinstance(trial, Lattice):
            kept, found = fewer, trial
    return Conflict([rule.label for rule in kept], found.position)


def _try(rules: Sequence[Rule], row: Row) -> Lattice | _DeadEnd:
    n_positions, n_letters = row.end - row.start, row.allowed.shape[1]
    words = frozenset(word for rule in rules for word in rule.words)
    automata = [rule.automaton(n_positions) for rule in rules if rule.automaton is not None]
    try:
        return _build([Forbidden(words, n_letters, n_positions), *automata], row)
    except _DeadEnd as dead_end:
        return dead_end


def _build(automata: Sequence[Automaton], row: Row) -> Lattice:
    """Forward through the states that can be reached, then backward through those that reach the end."""
    reach = max(automaton.reach for automaton in automata)
    dims = [len(automaton.accepts) for automaton in automata]
    _check_size(math.prod(dims), np.iinfo(np.int64).max)
    layers: list[Ints] = []
    positions: list[int] = []
    codes, n_states = np.zeros(1, dtype=np.int64), 0
    for at in range(max(0, row.start - reach), min(len(row.letters), row.end + reach)):
        tables = [automaton.table(at - row.start) for automaton in automata]
        states, letter = np.unravel_index(codes, dims), int(row.letters[at])
        if letter == FREE:
            n_states += len(codes)
            _check_size(n_states, MOST_STATES)
            after = np.stack([_step(states, tables, number) for number in range(row.allowed.shape[1])], axis=1)
            after[:, ~row.allowed[at]] = DEAD
        else:
            after = _step(states, tables, letter)
        codes, index = np.unique(after, return_inverse=True)
        n_dead = int(codes[0] == DEAD)
        codes, index = codes[n_dead:], index.reshape(after.shape) - n_dead  # `DEAD` is the lowest code, and becomes -1
        if not len(codes):
            raise _DeadEnd(at)
        if letter == FREE:
            layers.append(index)
            positions.append(at)
        elif layers:
            layers[-1] = _follow(layers[-1], index)
    states = np.unravel_index(codes, dims)
    accepted = np.all([automaton.accepts[state] for automaton, state in zip(automata, states, strict=True)], axis=0)
    if not accepted.any():
        raise _DeadEnd(None)
    return Lattice(np.array(positions, dtype=np.int64), _prune(layers, np.where(accepted, 0, DEAD)))


def _step(states: Sequence[Ints], tables: Sequence[Ints], letter: int) -> Ints:
    """Codes of the states after a letter; `DEAD` where any rule is broken."""
    code, broken = np.zeros_like(states[0]), np.zeros(len(states[0]), dtype=bool)
    for state, table in zip(states, tables, strict=True):
        after = table[state, letter]
        broken |= after == DEAD
        code = code * len(table) + after
    return np.where(broken, DEAD, code)


def _follow(layer: Ints, further: Ints) -> Ints:
    """A layer (n_states, n_letters) whose states of the next layer have moved on."""
    return np.where(layer == DEAD, DEAD, further[layer])


def _prune(layers: list[Ints], ends: Ints) -> tuple[NDArray[np.int32], ...]:
    """The layers with only such states as reach the end; `ends`: 0 for states that are accepted, else `DEAD`."""
    number, pruned = ends, []
    for layer in reversed(layers):
        onward = _follow(layer, number)
        alive = (onward != DEAD).any(1)
        number = np.where(alive, np.cumsum(alive) - 1, DEAD)
        pruned.append(onward[alive].astype(np.int32))
    return tuple(reversed(pruned))


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise InputError(
            f"constraints: together they need over {most:,} states; fill fewer positions at a time, leave out gc, or "
            "give fewer motifs to contain"
        )
