"""The moving average of the weights, against the formula."""

import torch
from torch import nn

from dnadiff.training.settings import OptimSettings
from dnadiff.training.trainer import _Averaged


def test_the_first_weights_are_taken_as_they_are_and_the_next_ones_by_their_decay():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    optim = OptimSettings(ema=0.2)
    averaged = _Averaged(model, None, optim.decay)
    expected = None
    for n in range(5):
        for parameter in model.parameters():
            parameter.data.normal_(generator=torch.Generator().manual_seed(n))
        model[1].running_mean.fill_(n)
        averaged.update_parameters(model)
        now = [parameter.detach().clone() for parameter in model.parameters()]
        decay = min(0.2, (1 + n) / (10 + n))
        expected = now if n == 0 else [decay * a + (1 - decay) * b for a, b in zip(expected, now, strict=True)]
        assert all(torch.allclose(a, b) for a, b in zip(averaged.module.parameters(), expected, strict=True))
        assert torch.equal(averaged.module[1].running_mean, model[1].running_mean)
    assert averaged.n_averaged == 5


def test_it_goes_on_from_what_was_saved():
    model, optim = nn.Linear(2, 3), OptimSettings(ema=0.5)
    first = _Averaged(model, None, optim.decay)
    for _ in range(3):
        model.weight.data += 1
        first.update_parameters(model)
    second = _Averaged(nn.Linear(2, 3), None, optim.decay)
    second.load_state_dict(first.state_dict())
    model.weight.data += 1
    for averaged in (first, second):
        averaged.update_parameters(model)
    assert torch.equal(first.module.weight, second.module.weight)
