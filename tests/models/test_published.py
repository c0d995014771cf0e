"""Published weights: parity with numbers computed with the authors' published code, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from dnadiff.errors import InputError
from dnadiff.models import Caduceus
from dnadiff.models.published import from_published, from_published_config, published_names, to_published
from dnadiff.vocab import DNA

GOLDEN = Path(__file__).parents[1] / "golden"
FIXTURES = sorted(path.stem for path in GOLDEN.glob("caduceus_*.json"))


class Golden(NamedTuple):
    about: dict[str, Any]
    weights: dict[str, Tensor]
    tensors: dict[str, Tensor]


def load(name: str) -> Golden:
    tensors = load_file(GOLDEN / f"{name}.safetensors")
    weights = {key.removeprefix("sd."): value for key, value in tensors.items() if key.startswith("sd.")}
    return Golden(json.loads((GOLDEN / f"{name}.json").read_text()), weights, tensors)


def close(found: Tensor, expected: Tensor) -> bool:
    """1e-5 relative to the largest value."""
    return bool((found - expected).abs().max() <= 1e-5 * expected.abs().max())


@pytest.mark.parametrize("name", FIXTURES)
def test_values_and_gradients_are_the_published_ones(name):
    golden = load(name)
    settings = from_published_config(golden.about["config"])
    network = settings.build(DNA)
    network.load_state_dict(from_published(golden.weights, settings, DNA))
    features = network.features(network.embed(golden.tensors["in.input_ids"]))
    logits = network.logits(features)
    loss = F.cross_entropy(logits.flatten(0, 1), golden.tensors["in.labels"].flatten())
    loss.backward()
    assert close(features, golden.tensors["out.last_hidden_state"])
    assert close(logits, golden.tensors["out.logits"])
    assert loss.item() == pytest.approx(golden.about["loss"], rel=1e-5)
    parameters, names = dict(network.named_parameters()), published_names(settings)
    norms = {name: parameters[names[name]].grad.norm().item() for name in golden.about["grad_norms"]}
    assert norms == pytest.approx(golden.about["grad_norms"], rel=1e-5)
    assert {names[name] for name in norms} == set(parameters)


@pytest.mark.parametrize("name", FIXTURES)
def test_names_go_both_ways(name):
    golden = load(name)
    settings = from_published_config(golden.about["config"])
    back = to_published(from_published(golden.weights, settings, DNA), settings, DNA)
    assert back.keys() == golden.weights.keys()
    assert all(torch.equal(back[key], golden.weights[key]) for key in back)


@pytest.mark.parametrize("direction_weights", ["tied", "untied"])
@pytest.mark.parametrize("tie_embeddings", [True, False])
@pytest.mark.parametrize("symmetry", ["ps", "ph"])
def test_every_parameter_has_a_published_name(direction_weights, tie_embeddings, symmetry):
    settings = Caduceus(
        width=4, n_layers=1, direction_weights=direction_weights, tie_embeddings=tie_embeddings, symmetry=symmetry
    )
    state = settings.build(DNA).state_dict()
    published = to_published(state, settings, DNA)
    back = from_published(published, settings, DNA)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], state[key]) for key in back)


@pytest.fixture
def published() -> tuple[dict[str, Tensor], Caduceus]:
    golden = load("caduceus_ps_add_tie_fused")
    return golden.weights, from_published_config(golden.about["config"])


def test_a_tied_tensor_may_be_stored_once(published):
    weights, settings = published
    kept = {name: value for name, value in weights.items() if "mamba_rev.in_proj" not in name}
    assert from_published(kept, settings, DNA).keys() == from_published(weights, settings, DNA).keys()


def test_all_misfits_are_named_at_once(published):
    weights, settings = published
    layer = "caduceus.backbone.layers.0.mixer.submodule"
    broken = dict(weights, odd=torch.zeros(1))
    broken[f"{layer}.mamba_rev.in_proj.weight"] = torch.zeros_like(weights[f"{layer}.mamba_rev.in_proj.weight"])
    broken[f"{layer}.mamba_fwd.D"] = torch.zeros(3)
    broken["lm_head.complement_map"] = torch.arange(16)
    del broken[f"{layer}.mamba_rev.A_log"]
    with pytest.raises(InputError) as caught:
        from_published(broken, settings, DNA, where="x.safetensors")
    message = str(caught.value)
    assert message.startswith("x.safetensors: lm_head.complement_map is [0, 1, 2")
    assert f"{layer}.mamba_rev.in_proj.weight differs from the tensor it is tied to" in message
    assert f"{layer}.mamba_fwd.D has shape (3,), not (32,)" in message
    assert f"{layer}.mamba_rev.A_log is missing" in message
    assert "odd is not known" in message
    assert "\n" not in message


def test_settings_of_the_state_space_are_read():
    config = load("caduceus_ph_add_tie_fused").about["config"] | {
        "ssm_cfg": {"d_state": 8, "dt_rank": 3, "dt_min": 0.1}
    }
    settings = from_published_config(config)
    assert (settings.n_states, settings.rank, settings.conv_width) == (8, 3, 4)


def test_a_config_that_is_not_built_here_is_refused():
    config = load("caduceus_ph_add_tie_fused").about["config"]
    odd = {**config, "bidirectional": False, "bidirectional_strategy": "max"}
    del odd["rcps"]
    with pytest.raises(InputError, match=r"rcps is missing; bidirectional is False.*'max', not one of.*only bidir"):
        from_published_config(odd)
