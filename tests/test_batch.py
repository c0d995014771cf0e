import torch

from dnadiff.batch import Batch


def batch() -> Batch:
    tokens = torch.arange(12).view(3, 4)
    return Batch(tokens, valid=tokens < 10, label=torch.tensor([5, 6, 7]))


def test_rows_are_a_view_of_every_field_that_is_there() -> None:
    rows = batch().rows(1, 3)
    assert torch.equal(rows.tokens, torch.arange(4, 12).view(2, 4))
    assert rows.valid is not None
    assert rows.valid.sum() == 6
    assert rows.label is not None
    assert rows.label.tolist() == [6, 7]
    assert rows.segments is None


def test_without_padding_every_position_is_real() -> None:
    assert batch().real.sum() == 10
    whole = Batch(torch.zeros(2, 3, dtype=torch.int64)).real
    assert whole.dtype == torch.bool
    assert whole.all()


def test_moving_keeps_what_is_absent_absent() -> None:
    moved = batch().to("meta")
    assert moved.tokens.device.type == "meta"
    assert moved.segments is None
