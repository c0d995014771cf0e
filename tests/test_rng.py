import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnadiff.rng import Stream, epoch_order, numpy_generator

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
