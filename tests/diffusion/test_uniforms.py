import pytest
import torch

from dnadiff.diffusion import uniforms as module
from dnadiff.diffusion.uniforms import RowUniforms
from dnadiff.rng import Stream, numpy_generator

SHAPES = [(2, 5), (), (3,), (7,), (0,), (4, 2)]


def drawn(rows, seed=0):
    uniforms = RowUniforms(seed, rows)
    return [uniforms(*shape) for shape in SHAPES]


@pytest.mark.parametrize("ahead", [1, 6, 4096])
def test_a_row_reads_its_own_stream_whatever_it_is_drawn_beside_and_however_far_ahead(ahead, monkeypatch):
    monkeypatch.setattr(module, "AHEAD", ahead)
    rows = [5, 0, 9]
    found = drawn(rows)
    assert [tuple(numbers.shape[1:]) for numbers in found] == SHAPES
    together = torch.cat([numbers.reshape(len(rows), -1) for numbers in found], 1)
    for number, row in enumerate(rows):
        stream = numpy_generator(0, Stream.SAMPLE, row).random(together.shape[1])
        assert torch.equal(together[number], torch.from_numpy(stream))
        assert all(torch.equal(alone[0], beside[number]) for alone, beside in zip(drawn([row]), found, strict=True))


def test_other_seeds_are_other_numbers_and_all_are_below_one():
    numbers = torch.cat([numbers.flatten() for seed in range(3) for numbers in drawn(range(40), seed)])
    assert len(numbers.unique()) == len(numbers)
    assert ((numbers >= 0) & (numbers < 1)).all()
