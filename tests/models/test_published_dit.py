"""Published transformers: parity with numbers computed with the authors' published code, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from dnadiff.diffusion.schedules import LogLinear
from dnadiff.errors import InputError
from dnadiff.models import DiT
from dnadiff.models.conditioning import total_noise
from dnadiff.models.dit import DiffusionTransformer
from dnadiff.models.published_dit import from_published, from_published_config, published_names, to_published
from dnadiff.vocab import Vocab

GOLDEN = Path(__file__).parents[1] / "golden"
ABOUT = json.loads((GOLDEN / "mdlm_dit_a.json").read_text())
LETTERS = Vocab(tokens=(*"abcdefghijk", "[MASK]"), size=12, letters=tuple(range(11)), mask=11, pad=0, unknown=0)
FLAT = {"hidden_dim": 24, "n_blocks": 2, "n_heads": 2, "cond_dim": 16, "dropout": 0.1, "time_conditioning": False}
VARIANTS = [
    DiT(
        width=8,
        n_blocks=2,
        n_heads=2,
        conditioning_width=4,
        conditioning=conditioning,
        causal=causal,
        tie_embeddings=tie,
    )
    for conditioning in ("none", "constant", "time")
    for causal in (False, True)
    for tie in (False, True)
]


@pytest.fixture
def tensors() -> dict[str, Tensor]:
    return load_file(GOLDEN / "mdlm_dit_a.safetensors")


@pytest.fixture
def weights(tensors) -> dict[str, Tensor]:
    return {name.removeprefix("sd."): value for name, value in tensors.items() if name.startswith("sd.")}


def network_of(weights: dict[str, Tensor], *, time_conditioning: bool) -> DiffusionTransformer:
    settings = from_published_config({**ABOUT["config"], "time_conditioning": time_conditioning})
    network = settings.build(LETTERS)
    network.load_state_dict(from_published(weights, settings, LETTERS))
    return network.eval()


def times_of(sigma: Tensor) -> Tensor:
    """The chance to be hidden that has a total noise, in float64."""
    return -torch.expm1(-sigma.double())


def close(found: Tensor, expected: Tensor) -> bool:
    """1e-5 relative to the largest value."""
    return bool((found - expected).abs().max() <= 1e-5 * expected.abs().max())


def test_values_and_gradients_are_the_published_ones(weights, tensors):
    network = network_of(weights, time_conditioning=True)
    logits = network(tensors["in.input_ids"], times_of(tensors["in.sigma"]))
    assert close(logits, tensors["out.logits"])
    (logits.log_softmax(-1) * tensors["in.grad_weights"]).sum().backward()
    parameters, names = dict(network.named_parameters()), published_names(DiT(n_blocks=2))
    norms = {name: parameters[names[name]].grad.norm().item() for name in ABOUT["grad_norms"]}
    assert norms == pytest.approx(ABOUT["grad_norms"], rel=1e-5)
    assert {names[name] for name in norms} == set(parameters)


def test_without_time_conditioning_published_networks_see_no_noise(weights, tensors):
    network = network_of(weights, time_conditioning=False)
    assert tensors["in.sigma"][0] == 0
    logits = network(tensors["in.input_ids"], times_of(tensors["in.sigma"]))
    assert not network.time_conditioned
    assert close(logits[0], tensors["out.logits"][0])
    assert not torch.allclose(logits[1:], tensors["out.logits"][1:], rtol=1e-2)


def test_times_and_total_noise_belong_together(tensors):
    assert torch.allclose(total_noise(times_of(tensors["in.sigma"])), tensors["in.sigma"].double())
    assert total_noise(torch.tensor([1.0])).item() == pytest.approx(6.907755, rel=1e-4)
    schedule, t = LogLinear(), torch.linspace(0, 1, 9, dtype=torch.float64)
    assert torch.allclose(total_noise(1 - schedule.alpha(t)), -torch.log1p(-(1 - schedule.eps) * t))  # as published


def test_names_go_both_ways(weights):
    settings = from_published_config({**ABOUT["config"], "time_conditioning": True})
    back = to_published(from_published(weights, settings, LETTERS), settings)
    assert back.keys() == weights.keys()
    assert all(torch.equal(back[name], weights[name]) for name in back)


@pytest.mark.parametrize("settings", VARIANTS, ids=lambda s: f"{s.conditioning}-{s.causal}-{s.tie_embeddings}")
def test_every_parameter_has_a_published_name(settings):
    state = settings.build(LETTERS).state_dict()
    back = from_published(to_published(state, settings), settings, LETTERS)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)


def test_whole_checkpoints_have_a_prefix(weights):
    settings = from_published_config({**ABOUT["config"], "time_conditioning": True})
    prefixed = {f"backbone.{name}": value for name, value in weights.items()}
    assert from_published(prefixed, settings, LETTERS).keys() == from_published(weights, settings, LETTERS).keys()


def test_all_misfits_are_named_at_once(weights):
    settings = from_published_config({**ABOUT["config"], "time_conditioning": True})
    broken = dict(weights, odd=torch.zeros(1))
    broken["blocks.0.attn_qkv.weight"] = torch.zeros(3)
    broken["rotary_emb.inv_freq"] = torch.ones(6)
    del broken["sigma_map.mlp.2.bias"]
    with pytest.raises(InputError) as caught:
        from_published(broken, settings, LETTERS, where="x.safetensors")
    assert str(caught.value) == (
        "x.safetensors: blocks.0.attn_qkv.weight has shape (3,), not (72, 24); sigma_map.mlp.2.bias is missing; "
        "odd is not known; rotary_emb.inv_freq is not that of heads of 12 channels; "
        "use the settings that belong to these weights"
    )


@pytest.mark.parametrize(
    ("given", "conditioning", "causal"),
    [
        (FLAT, "constant", False),
        ({**FLAT, "time_conditioning": True}, "time", False),
        ({**ABOUT["config"], "time_conditioning": False}, "constant", False),
        ({"model": {**ABOUT["config"]["model"], "causal": True}, "time_conditioning": False}, "none", True),
    ],
)
def test_settings_are_read_in_both_forms(given, conditioning, causal):
    sizes: dict[str, Any] = {"width": 24, "n_blocks": 2, "n_heads": 2, "conditioning_width": 16, "dropout": 0.1}
    assert from_published_config(given) == DiT(**sizes, conditioning=conditioning, causal=causal)


@pytest.mark.parametrize("sizes", [3, None, "hidden_dim", ["hidden_dim"]])
def test_sizes_that_are_none_are_refused(sizes):
    with pytest.raises(InputError, match=r"config: model is .*, not a mapping; hidden_size is missing; .*can be read"):
        from_published_config({"model": sizes, "time_conditioning": True})


def test_whether_it_is_told_the_time_is_not_guessed():
    sizes = {"hidden_size": 24, "n_blocks": 2, "n_heads": 2, "cond_dim": 16, "dropout": 0.1}
    with pytest.raises(InputError, match="config: time_conditioning is 'False', not true or false; only MDLM's"):
        from_published_config({"model": sizes, "time_conditioning": "False"})


def test_settings_of_another_network_are_refused():
    with pytest.raises(InputError) as caught:
        from_published_config({"model": {"type": "dimamba", "hidden_size": 8, "n_blocks": 1, "dropout": 0.1}})
    assert str(caught.value) == (
        "config: time_conditioning is missing; n_heads is missing; cond_dim is missing; "
        "type is 'dimamba', only 'ddit' is supported; only MDLM's diffusion transformers can be read"
    )
