"""Rules over a row of letters as deterministic automata whose transitions may depend on the position.

Positions count from the first of the region that a rule is about; below 0 and from the region's length on are its
flanks, whose letters are given. Letters are numbers 0 to n_letters - 1, and n_letters is a letter that is not known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Word = tuple[int, ...]
DEAD = -1


class Automaton(Protocol):
    """A rule, state by state; it begins in state 0."""

    @property
    def accepts(self) -> NDArray[np.bool_]:
        """(n_states,): the states that it may end in."""
        ...

    @property
    def reach(self) -> int:
        """How many letters of each flank it reads."""
        ...

    def table(self, position: int) -> Ints:
        """(n_states, n_letters + 1): the state after each letter at a position, `DEAD` where the rule is broken."""
        ...


class Forbidden:
    """Words that never occur, each word for itself or across the border to a flank (Aho & Corasick 1975).

    What lies wholly in a flank does not count.
    """

    def __init__(self, words: Collection[Word], n_letters: int, n_positions: int) -> None:
        self._after, self._longest = aho_corasick(words, n_letters)
        self._n_positions = n_positions
        self.accepts = np.ones(len(self._after), dtype=bool)
        self.reach = max(map(len, words), default=1) - 1

    def table(self, position: int) -> Ints:
        """See `Automaton`; a word that ends here breaks the rule if it begins before the right flank."""
        if position < 0:
            return self._after
        outside = max(0, position - self._n_positions + 1)
        return np.where(self._longest[self._after] > outside, DEAD, self._after)


class Inside:
    """A rule about the letters of the region alone: where its states move elsewhere, they stay."""

    reach = 0

    def __init__(self, table: Ints, accepts: NDArray[np.bool_], n_positions: int) -> None:
        """`table`: (n_states, n_letters + 1), as `Automaton.table` gives it inside the region."""
        self.accepts = accepts
        self._inside, self._n_positions = table, n_positions
        self._outside = np.broadcast_to(np.arange(len(table))[:, None], table.shape)

    def table(self, position: int) -> Ints:
        """See `Automaton`."""
        return self._inside if 0 <= position < self._n_positions else self._outside


def required(words: Collection[Word], n_letters: int, n_positions: int) -> Inside:
    """At least one of some words lies in the region."""
    after, longest = aho_corasick(words, n_letters)
    found = len(after)
    searching = np.where(longest[after] > 0, found, after)
    table = np.vstack([searching, np.full(n_letters + 1, found)])
    return Inside(table, np.arange(found + 1) == found, n_positions)


def counted(letters: Collection[int], low: int, high: int, n_letters: int, n_positions: int) -> Inside:
    """Letters of a set are at least `low` and at most `high` in number."""
    counts = np.arange(max(high, 0) + 1)
    after = counts[:, None] + np.isin(np.arange(n_letters + 1), list(letters))
    return Inside(np.where(after > high, DEAD, after), (counts >= low) & (counts <= high), n_positions)


@dataclass(frozen=True)
class Blocks:
    """Consecutive blocks of equal width, the first of which may begin in the left flank, are each one of some words.

    Attributes:
        first: position where the first block begins.
        choices: the words of each block, all of one width.
        n_letters: how many letters there are.
    """

    first: int
    choices: Sequence[Collection[Word]]
    n_letters: int

    @property
    def width(self) -> int:
        return len(next(iter(self.choices[0]))) if self.choices else 1

    @property
    def reach(self) -> int:
        return self.width - 1

    @property
    def accepts(self) -> NDArray[np.bool_]:
        """Only between blocks."""
        between: NDArray[np.bool_] = np.arange(self._offsets[-1]) == 0
        return between

    @property
    def _offsets(self) -> Ints:
        """(width + 1,): number of the first state that has read so many letters of a block, and the number of states.

        A state is the letters that were read, as a number in base n_letters, behind those of fewer letters.
        """
        return np.concatenate([[0], np.cumsum(self.n_letters ** np.arange(self.width))])

    def table(self, position: int) -> Ints:
        """See `Automaton`."""
        block, read = divmod(position - self.first, self.width)
        offsets, letters = self._offsets, np.arange(self.n_letters)
        table = np.full((offsets[-1], self.n_letters + 1), DEAD)
        if not 0 <= block < len(self.choices):
            table[0] = 0
            return table
        before = np.arange(offsets[read + 1] - offsets[read])
        after = before[:, None] * self.n_letters + letters
        if read + 1 < self.width:
            table[offsets[read] + before, :-1] = offsets[read + 1] + after
        else:
            allowed = [np.ravel_multi_index(word, (self.n_letters,) * self.width) for word in self.choices[block]]
            table[offsets[read] + before, :-1] = np.where(np.isin(after, allowed), 0, DEAD)
        return table


def aho_corasick(words: Collection[Word], n_letters: int) -> tuple[Ints, Ints]:
    """The automaton that finds words as they end.

    Returns:
        (n_states, n_letters + 1) the state after each letter, and after one that is not known, which ends every word;
        (n_states,) length of the longest word that ends in a state, 0 where none does.
    """
    children: list[dict[int, int]] = [{}]
    longest = [0]
    for word in words:
        node = 0
        for letter in word:
            if letter not in children[node]:
                children[node][letter] = len(children)
                children.append({})
                longest.append(0)
            node = children[node][letter]
        longest[node] = max(longest[node], len(word))
    after = np.zeros((len(children), n_letters + 1), dtype=np.int64)
    waiting = deque([(0, 0)])  # nodes by depth, each with that of its longest proper suffix
    while waiting:
        node, suffix = waiting.popleft()
        longest[node] = max(longest[node], longest[suffix])
        after[node] = after[suffix]
        for letter, child in children[node].items():
            waiting.append((child, int(after[suffix, letter]) if node else 0))
            after[node, letter] = child
    return after, np.array(longest)
