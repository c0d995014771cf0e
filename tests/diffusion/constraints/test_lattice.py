"""The ways through a lattice are the fillings that keep every rule, by enumeration against rules checked naively."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnadiff.diffusion.constraints import lattice as module
from dnadiff.diffusion.constraints.automata import Blocks, aho_corasick, counted, required
from dnadiff.diffusion.constraints.lattice import FREE, Conflict, Lattice, Row, Rule, compile_rules
from dnadiff.errors import InputError

N = 3  # letters
UNKNOWN = N


def fillings(lattice):
    """Every path, as a tuple of letters."""
    paths = [((), 0)]
    for layer in lattice.layers:
        paths = [
            ((*letters, letter), int(layer[state, letter]))
            for letters, state in paths
            for letter in range(N)
            if layer[state, letter] >= 0
        ]
    assert all(state == 0 for _, state in paths)
    return {letters for letters, _ in paths}


def kept(row, words, wanted, count, blocks):
    """The fillings that keep rules, one by one."""
    free, found = np.flatnonzero(row.letters == FREE), set()
    for letters in itertools.product(range(N), repeat=len(free)):
        full = row.letters.copy()
        full[free] = letters
        if (
            row.allowed[free, list(letters)].all()
            and not any(occurs(word, full, row.start - len(word) + 1, row.end + len(word) - 1, row) for word in words)
            and all(occurs(word, full, row.start, row.end, None) for word in wanted)
            and (count is None or count[1] <= np.isin(full[row.start : row.end], count[0]).sum() <= count[2])
            and all(tuple(full[at : at + 2]) in choice for at, choice in blocks)
        ):
            found.add(letters)
    return found


def occurs(word, full, start, end, row):
    """Whether a word lies between two places, and overlaps the region of a row."""
    starts = range(max(0, start), min(len(full), end) - len(word) + 1)
    return any(
        tuple(full[at : at + len(word)]) == word and (row is None or (at < row.end and at + len(word) > row.start))
        for at in starts
    )


words = st.lists(st.integers(0, N - 1), min_size=1, max_size=3).map(tuple)


@st.composite
def cases(draw):
    length = draw(st.integers(1, 9))
    start = draw(st.integers(0, length - 1))
    end = draw(st.integers(start + 1, length))
    letters = np.array(draw(st.lists(st.integers(0, UNKNOWN), min_size=length, max_size=length)))
    for at in draw(st.sets(st.integers(start, end - 1), max_size=5)):
        letters[at] = FREE
    allowed = np.array(draw(st.lists(st.booleans(), min_size=N * length, max_size=N * length))).reshape(length, N)
    allowed |= np.array(draw(st.lists(st.booleans(), min_size=N * length, max_size=N * length))).reshape(length, N)
    allowed[~allowed.any(1)] = True
    row = Row(letters, allowed, start, end)
    n_blocks = draw(st.integers(0, (length - start) // 2))
    first = draw(st.integers(max(0, start - 1), length - 2 * n_blocks)) if n_blocks else 0
    n_blocks = (
        sum(first + 2 * i < end and first + 2 * i + 2 > start for i in range(n_blocks)) if first >= start - 1 else 0
    )
    choice = st.sets(st.tuples(st.integers(0, N - 1), st.integers(0, N - 1)), min_size=1, max_size=5)
    return (
        row, draw(st.lists(words, max_size=2)), draw(st.lists(words, max_size=2)),
        draw(st.none() | st.tuples(st.just([0, 2]), st.integers(0, 3), st.integers(0, 5))),
        [(first + 2 * i, draw(choice)) for i in range(n_blocks)],
    )  # fmt: skip


def rules_of(row, forbidden, wanted, count, blocks):
    yield from (Rule(f"avoid {word}", frozenset([word])) for word in forbidden)
    for word in wanted:
        yield Rule(f"contain {word}", automaton=lambda n, word=word: required([word], N, n))
    if count is not None:
        yield Rule("count", automaton=lambda n: counted(*count, N, n))
    if blocks:
        yield Rule("blocks", automaton=lambda _: Blocks(blocks[0][0] - row.start, [c for _, c in blocks], N))


@settings(max_examples=150, deadline=None)
@given(cases())
def test_paths_are_the_fillings_that_keep_every_rule(case):
    row, *rules = case
    expected = kept(row, *rules)
    found = compile_rules(list(rules_of(row, *rules)), row)
    assert isinstance(found, Lattice) is bool(expected)
    if expected:
        assert fillings(found) == expected
        assert found.positions.tolist() == np.flatnonzero(row.letters == FREE).tolist()
        assert all((layer >= 0).any(1).all() for layer in found.layers)  # no state without a way to the end


@settings(max_examples=50, deadline=None)
@given(cases())
def test_a_conflict_names_rules_none_of_which_could_be_left_out(case):
    row, *parts = case
    rules = list(rules_of(row, *parts))
    found = compile_rules(rules, row)
    if isinstance(found, Conflict):
        named = [rule for rule in rules if rule.label in found.labels]
        assert isinstance(compile_rules(named, row), Conflict)
        for rule in named if len({rule.label for rule in rules}) == len(rules) else ():
            assert isinstance(compile_rules([other for other in named if other is not rule], row), Lattice)


def open_row(length, start=0, end=None):
    end = length if end is None else end
    letters = np.zeros(length, dtype=np.int64)
    letters[start:end] = FREE
    return Row(letters, np.ones((length, N), dtype=bool), start, end)


def test_a_conflict_says_where_nothing_can_stand():
    row = open_row(6)
    row.letters[[2, 3]] = 1
    rules = [Rule("other", frozenset([(0, 0, 0)])), Rule("runs", frozenset([(1, 1)]))]
    assert compile_rules(rules, row) == Conflict(["runs"], 3)
    too_many = Rule("count", automaton=lambda n: counted([0], 7, 9, N, n))
    assert compile_rules([rules[0], too_many], row) == Conflict(["count"], None)


def test_words_in_a_flank_do_not_count_and_those_across_its_border_do():
    flanked = open_row(8, 3, 5)  # 000..000
    assert fillings(compile_rules([Rule("word", frozenset([(0, 0, 0)]))], flanked)) == {
        (a, b) for a, b in itertools.product(range(N), repeat=2) if a and b
    }


def test_an_unknown_letter_ends_a_word():
    row = open_row(4, 2)
    row.letters[1] = UNKNOWN
    found = fillings(compile_rules([Rule("word", frozenset([(0, 0)]))], row))
    assert found == set(itertools.product(range(N), repeat=2)) - {(0, 0)}


def test_a_lattice_that_would_be_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(module, "MOST_STATES", 20)
    with pytest.raises(InputError, match="over 20 states; fill fewer positions at a time"):
        compile_rules([Rule("count", automaton=lambda n: counted([0], 3, 9, N, n))], open_row(10))


def test_the_automaton_of_words_finds_the_longest_that_ends():
    after, longest = aho_corasick([(0, 1, 0), (1, 0), (0,)], N)
    state, found = 0, []
    for letter in [0, 1, 0, UNKNOWN, 1, 0, 2]:
        state = after[state, letter]
        found.append(int(longest[state]))
    assert found == [1, 0, 3, 0, 0, 2, 0]
