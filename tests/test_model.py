import numpy as np
import pytest
import torch

from dnadiff.batch import Batch
from dnadiff.config import decode
from dnadiff.diffusion.noise import Noise, draw_noise
from dnadiff.errors import InputError
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus, Mamba
from dnadiff.vocab import DNA


def small(backbone, dtype=torch.float64):
    torch.manual_seed(0)
    model = DiffusionModel(ModelConfig(model=backbone), DNA).to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


def letters(rows, length):
    return DNA.letter_ids[torch.randint(4, (rows, length), generator=torch.Generator().manual_seed(1))]


def nats_of(model, tokens, hidden):
    """The cost of given hidden positions, (n,)."""
    noisy = Batch(tokens.masked_fill(hidden, DNA.mask))
    return model.objective.position_nats(model.network, noisy, hidden, None, tokens, DNA)


def opposite(tokens):
    return DNA.complement_ids[tokens.flip(-1)]


@pytest.mark.parametrize("block", ["fused", "unfused"])
def test_a_sequence_and_its_reverse_complement_have_the_same_bound_under_mirrored_masks(block):
    model = small(Caduceus(width=8, n_layers=3, n_states=4, symmetry="ps", block=block))
    tokens = letters(5, 17)
    hidden = torch.rand(5, 17, generator=torch.Generator().manual_seed(2)) < 0.4
    forward = nats_of(model, tokens, hidden).sum()
    backward = nats_of(model, opposite(tokens), hidden.flip(-1)).sum()
    assert torch.allclose(forward, backward, rtol=1e-6)


def test_a_network_that_is_not_equivariant_tells_the_strands_apart():
    model = small(Caduceus(width=8, n_layers=2, n_states=4, symmetry="ph"))
    tokens = letters(5, 17)
    hidden = torch.ones(5, 17, dtype=torch.bool)
    hidden[:, ::2] = False
    forward = nats_of(model, tokens, hidden).sum()
    backward = nats_of(model, opposite(tokens), hidden.flip(-1)).sum()
    assert not torch.allclose(forward, backward, rtol=1e-3)


@pytest.mark.parametrize("backbone", [Caduceus(width=8, n_layers=1), Mamba(width=8, n_layers=1)], ids=repr)
def test_a_batch_of_unknown_bases_has_a_finite_loss_and_gradient(backbone):
    model = small(backbone, torch.float32)
    terms = model.loss(Batch(torch.full((2, 12), DNA.unknown)), draw_noise(np.random.default_rng(0), 2, 12))
    terms.nats.sum().backward()
    assert terms.nats.sum() == 0
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("conditioning", ["none", "time"])
def test_the_gradient_of_the_loss_agrees_with_finite_differences(conditioning):
    model = small(Caduceus(width=4, n_layers=1, n_states=2, conditioning=conditioning, conditioning_width=3))
    batch, noise = Batch(letters(2, 9)), draw_noise(np.random.default_rng(3), 2, 9)
    noise = Noise(noise.times.double(), noise.uniforms.double())

    def loss():
        return model.loss(batch, noise).nats.double().sum()

    loss().backward()
    step = 1e-5
    for parameter in model.parameters():
        flat, grad = parameter.data.view(-1), parameter.grad.view(-1)
        index = int(grad.abs().argmax())
        kept = flat[index].item()
        values = []
        for sign in (1, -1):
            flat[index] = kept + sign * step
            values.append(loss().item())
        flat[index] = kept
        assert grad[index].item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-6, abs=1e-8)


def test_padding_does_not_change_the_loss_of_a_row():
    model = small(Caduceus(width=8, n_layers=2, n_states=4), torch.float32)
    tokens = letters(1, 10)
    padded = torch.cat([tokens, torch.full((1, 5), DNA.pad)], 1)
    uniforms = torch.rand(1, 1, 15, generator=torch.Generator().manual_seed(0))
    time = torch.tensor([0.6])
    alone = model.loss(Batch(tokens), Noise(time, uniforms[..., :10])).nats.sum()
    beside = model.loss(Batch(padded, valid=padded != DNA.pad), Noise(time, uniforms)).nats.sum()
    assert beside.item() == pytest.approx(alone.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": {"kind": "ar"}}, "objective ar needs a causal network.* set model.kind=mamba"),
        (
            {"objective": {"kind": "ar"}, "model": {"kind": "dit"}},
            "causal network.* model.causal=true",
        ),
        (
            {"objective": {"kind": "ar"}, "model": {"kind": "dit", "causal": True, "conditioning": "time"}},
            "objective ar knows no time; set model.conditioning=none",
        ),
        (
            {"objective": {"kind": "mlm"}, "model": {"kind": "dit", "conditioning": "time"}},
            "objective mlm knows no time; set model.conditioning=none",
        ),
    ],
)
def test_what_cannot_go_together_is_a_configuration_error(settings, message):
    with pytest.raises(InputError, match=message):
        decode(ModelConfig, settings, where="settings")
