"""Published weights: parity with numbers computed with the authors' published code, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from dnadiff.errors import InputError
from dnadiff.models import Caduceus
from dnadiff.models.published import from_published, published_names, to_published
from dnadiff.models.published_config import from_published_config, to_published_config
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


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (torch.zeros(32), r"has shape \(32,\), not \(32, 4\)"),
        (torch.tensor(1.0), r"has shape \(\), not \(32, 4\)"),
        (torch.zeros(32, 1, 4, dtype=torch.int8), "holds torch.int8, not weights as they are computed with"),
    ],
    ids=["flat", "a number", "quantised"],
)
def test_an_odd_convolution_is_a_misfit(published, odd, message):
    weights, settings = published
    name = "caduceus.backbone.layers.0.mixer.submodule.mamba_fwd.conv1d.weight"
    with pytest.raises(InputError, match=f"{name} {message}; use the config.json"):
        from_published({**weights, name: odd}, settings, DNA)


def test_settings_of_the_state_space_are_read():
    config = load("caduceus_ph_add_tie_fused").about["config"] | {
        "ssm_cfg": {"d_state": 8, "dt_rank": 3, "dt_min": 0.1}
    }
    settings = from_published_config(config)
    assert (settings.n_states, settings.rank, settings.conv_width) == (8, 3, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv_type": "gated"}, "conv_type is not known"),
        ({"ssm_cfg": {"layer": "Mamba2"}}, "ssm_cfg.layer is not known"),
        ({"ssm_cfg": 3}, "ssm_cfg is 3, not a mapping"),
        ({"rcps": "true"}, "rcps is 'true', not of type bool"),
        ({"d_model": True}, "d_model is True, not of type int"),
        ({"bidirectional_strategy": ["add"]}, "bidirectional_strategy is ['add'], not of type str"),
        ({"complement_map": {"0": 0, "1": 2}}, "complement_map is {'0': 0, '1': 2}, the vocabulary pairs {'0': 0, '1'"),
        ({"complement_map": [0, 1]}, "complement_map is [0, 1], the vocabulary pairs {"),
    ],
)
def test_a_config_from_elsewhere_or_the_future_is_refused(change, message):
    config = load("caduceus_ph_add_tie_fused").about["config"] | change
    with pytest.raises(InputError, match=f"^config.json: {re.escape(message)}"):
        from_published_config(config)


@pytest.mark.parametrize(
    "settings",
    [
        Caduceus(),
        Caduceus(symmetry="ph", combine="multiply", direction_weights="untied", block="unfused"),
        Caduceus(width=32, n_layers=2, n_states=8, expand=3, conv_width=3, dt_rank=5, residual_in_fp32=True),
        Caduceus(norm_eps=1e-6, tie_embeddings=False),
    ],
)
def test_settings_go_both_ways(settings):
    assert from_published_config(json.loads(json.dumps(to_published_config(settings, DNA)))) == settings


def test_what_the_published_layout_has_no_place_for_is_not_exported():
    with pytest.raises(InputError, match="no published form: it is told the time; it is told a class; save it in our"):
        to_published_config(Caduceus(conditioning="time", labels=("a", "b")), DNA)


def test_of_very_many_misfits_the_first_are_named(published):
    weights, settings = published
    with pytest.raises(InputError, match=r"^weights: x0 is not known; .*x9 is not known; and 990 more; use the config"):
        from_published({**weights, **{f"x{i}": torch.zeros(1) for i in range(1000)}}, settings, DNA)


def test_a_config_that_is_not_built_here_is_refused():
    config = load("caduceus_ph_add_tie_fused").about["config"]
    odd = {**config, "bidirectional": False, "bidirectional_strategy": "max"}
    del odd["rcps"]
    with pytest.raises(InputError, match=r"rcps is missing; bidirectional is False.*'max', not one of.*only bidir"):
        from_published_config(odd)
