import pytest
import torch

from dnadiff.diffusion.schedules import Cosine, LogLinear

SCHEDULES = [LogLinear(), LogLinear(eps=0.0), Cosine(), Cosine(eps=0.0)]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_dalpha_is_the_derivative_of_alpha(schedule):
    t = torch.linspace(0.05, 0.95, 7, dtype=torch.float64, requires_grad=True)
    (derivative,) = torch.autograd.grad(schedule.alpha(t).sum(), t, create_graph=True)
    assert torch.allclose(derivative, schedule.dalpha(t.detach()), rtol=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_alpha_falls_from_visible_to_hidden(schedule):
    alpha = schedule.alpha(torch.linspace(0, 1, 101, dtype=torch.float64))
    assert (alpha.diff() < 0).all()
    assert alpha[0] == pytest.approx(1.0, abs=1.01e-4)
    assert alpha[-1] == pytest.approx(schedule.eps)
