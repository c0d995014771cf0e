"""The ways through a lattice are the fillings that keep every rule, by enumeration against rules checked naively."""

import itertools

import numpy as np
import pytest

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


def random_case(generator):
    """A row, forbidden words, wanted words, a count or None, and blocks of two."""

    def word(shortest, longest):
        return tuple(generator.integers(N, size=generator.integers(shortest, longest + 1)).tolist())

    length = int(generator.integers(5, 10))
    start = int(generator.integers(3))
    end = int(generator.integers(start + 2, length + 1))
    letters = generator.choice(N + 1, length, p=[0.3, 0.3, 0.3, 0.1])
    letters[start:end] = np.where(generator.random(end - start) < 0.8, FREE, letters[start:end])
    allowed = generator.random((length, N)) < 0.85
    allowed[~allowed.any(1)] = True
    row = Row(letters, allowed, start, end)
    low = int(generator.integers(3))
    count = ([0, 2], low, low + int(generator.integers(4))) if generator.random() < 0.4 else None
    first = start - int(generator.integers(2)) * (start > 0)
    places = [at for at in range(first, end, 2) if at + 2 <= length] if generator.random() < 0.3 else []
    pairs = list(itertools.product(range(N), repeat=2))
    blocks = [(at, [pairs[i] for i in generator.permutation(9)[: generator.integers(4, 9)]]) for at in places]
    forbidden = [word(1 if generator.random() < 0.2 else 2, 4) for _ in range(generator.integers(4))]
    return row, forbidden, [word(1, 2) for _ in range(generator.integers(3)) if generator.random() < 0.4], count, blocks


CASES = [random_case(np.random.default_rng(seed)) for seed in range(300)]


def rules_of(row, forbidden, wanted, count, blocks):
    yield from (Rule(f"avoid {word}", frozenset([word])) for word in forbidden)
    for word in wanted:
        yield Rule(f"contain {word}", automaton=lambda n, word=word: required([word], N, n))
    if count is not None:
        yield Rule("count", automaton=lambda n: counted(*count, N, n))
    if blocks:
        yield Rule("blocks", automaton=lambda _: Blocks(blocks[0][0] - row.start, [c for _, c in blocks], N))


def test_paths_are_the_fillings_that_keep_every_rule():
    n_some = 0
    for row, *rules in CASES:
        expected = kept(row, *rules)
        found = compile_rules(list(rules_of(row, *rules)), row)
        assert isinstance(found, Lattice) is bool(expected)
        if isinstance(found, Lattice):
            n_free = int((row.letters == FREE).sum())
            n_some += len(expected) < N**n_free
            assert fillings(found) == expected
            assert found.positions.tolist() == np.flatnonzero(row.letters == FREE).tolist()
            assert all((layer >= 0).any(1).all() for layer in found.layers)  # no state without a way to the end
    assert n_some > len(CASES) / 2


def test_a_conflict_names_rules_none_of_which_could_be_left_out():
    n_conflicts = 0
    for row, *parts in CASES:
        rules = list(rules_of(row, *parts))
        found = compile_rules(rules, row)
        if isinstance(found, Conflict):
            named = [rule for rule in rules if rule.label in found.labels]
            n_conflicts += 1
            assert isinstance(compile_rules(named, row), Conflict)
            for rule in named if len({rule.label for rule in rules}) == len(rules) else ():
                assert isinstance(compile_rules([other for other in named if other is not rule], row), Lattice)
    assert n_conflicts > 20


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
