import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnadiff.rng import Stream, epoch_order, numpy_generator, row_uniforms

PLACES = [(), (0,), (0, 0), (1,), (0, 1), (1, 0), (2**31,)]


def draw(seed: int, stream: Stream, *where: int) -> tuple[int, ...]:
    return tuple(numpy_generator(seed, stream, *where).integers(2**63, size=4))


@given(st.integers(0, 2**64), st.sampled_from(Stream), st.lists(st.integers(0, 2**40), max_size=3))
def test_a_place_gives_the_same_numbers_whatever_was_drawn_before(seed: int, stream: Stream, where: list[int]) -> None:
    first = draw(seed, stream, *where)
    draw(seed + 1, stream, *where)
    assert draw(seed, stream, *where) == first


def test_streams_seeds_and_places_never_share_numbers() -> None:
    seeds = [0, 1, 2, 2**32, 2**32 + 1]
    draws = [draw(seed, stream, *where) for seed in seeds for stream in Stream for where in PLACES]
    assert len(set(draws)) == len(draws)


def test_neighbouring_streams_are_not_correlated() -> None:
    noise, order = (numpy_generator(0, stream, 3).random(20_000) for stream in (Stream.NOISE, Stream.ORDER))
    assert abs(np.corrcoef(noise, order)[0, 1]) < 4 / np.sqrt(20_000)


def test_a_row_has_its_own_numbers_whatever_it_is_drawn_beside_and_however_many_are_asked_for() -> None:
    rows = [7, 0, 2**40, 8]
    together = row_uniforms(3, Stream.EVALUATE, 1, rows=rows, n=9)
    for row, numbers in zip(rows, together, strict=True):
        for n in (0, 1, 4, 5, 9):
            assert np.array_equal(row_uniforms(3, Stream.EVALUATE, 1, rows=[row], n=n)[0], numbers[:n])


def test_rows_never_share_numbers_and_are_not_correlated() -> None:
    drawn = row_uniforms(0, Stream.EVALUATE, 1, rows=range(20), n=5_000)
    assert len(np.unique(drawn)) == drawn.size
    correlations = np.corrcoef(drawn)[np.triu_indices(20, 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(5_000)
    assert abs(drawn.mean() - 0.5) < 5 * np.sqrt(1 / 12 / drawn.size)
    other = row_uniforms(0, Stream.EVALUATE, 2, rows=range(20), n=5_000)
    assert not np.isin(other, drawn).any()


@given(st.integers(0, 10), st.integers(0, 10), st.integers(0, 300))
def test_an_epoch_visits_each_item_once(seed: int, epoch: int, n_items: int) -> None:
    order = epoch_order(seed, epoch, n_items)
    assert np.array_equal(np.sort(order), np.arange(n_items))
    assert np.array_equal(order, epoch_order(seed, epoch, n_items))


def test_epochs_differ() -> None:
    assert not np.array_equal(epoch_order(0, 0, 50), epoch_order(0, 1, 50))


def test_a_negative_place_is_refused() -> None:
    with pytest.raises(ValueError, match="non-negative"):
        numpy_generator(0, Stream.NOISE, -1)
