"""Published DiMamba: parity with numbers computed with the authors' published code, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dnadiff import config
from dnadiff.errors import InputError
from dnadiff.model import ModelConfig
from dnadiff.models import Caduceus
from dnadiff.models.published_dimamba import from_published, from_published_config, published_names, to_published
from dnadiff.vocab import Vocab

GOLDEN = Path(__file__).parents[1] / "golden" / "mdlm_dimamba_adaln"
ABOUT = json.loads(GOLDEN.with_suffix(".json").read_text())
CONFIG = {**ABOUT["config"], "time_conditioning": True}
LETTERS = Vocab(
    tokens=(*"abcdefghijkl", "[MASK]"), size=13, letters=tuple(range(12)), mask=12, pad=0, unknown=1
)  # fmt: skip


@pytest.fixture
def tensors():
    return load_file(GOLDEN.with_suffix(".safetensors"))


@pytest.fixture
def weights(tensors):
    return {name.removeprefix("sd."): value for name, value in tensors.items() if name.startswith("sd.")}


def test_logits_and_gradients_are_the_published_ones(weights, tensors):
    settings = from_published_config(CONFIG)
    network = settings.build(LETTERS).eval()
    network.load_state_dict(from_published(weights, settings, LETTERS))
    hidden = -torch.expm1(-tensors["in.sigma"].double())
    logits = network(tensors["in.input_ids"], hidden)
    assert torch.allclose(logits, tensors["out.logits"], rtol=1e-5, atol=3e-6)
    (logits.log_softmax(-1) * tensors["in.grad_weights"]).sum().backward()
    norms = {name: parameter.grad.norm().item() for name, parameter in network.named_parameters()}
    names = published_names(settings)
    assert {names[name]: norm for name, norm in ABOUT["grad_norms"].items()} == pytest.approx(norms, rel=1e-4)


@pytest.mark.parametrize("tied", [False, True])
def test_names_go_both_ways(tied):
    settings = Caduceus(
        symmetry="ph", width=8, n_layers=2, tie_embeddings=tied, conditioning="time", conditioning_width=4
    )
    state = settings.build(LETTERS).state_dict()
    there = to_published(state, settings)
    for prefix in ("", "backbone."):
        back = from_published({prefix + name: value for name, value in there.items()}, settings, LETTERS)
        assert back.keys() == state.keys()
        assert all(torch.equal(back[name], state[name]) for name in state)


def test_a_published_file_has_exactly_these_names(weights):
    settings = from_published_config(CONFIG)
    there = to_published(from_published(weights, settings, LETTERS), settings)
    assert weights.keys() <= there.keys()
    assert all(torch.equal(there[name], weights[name]) for name in weights)


def test_all_misfits_are_named_at_once(weights):
    settings = from_published_config(CONFIG)
    broken = dict(weights, odd=torch.zeros(1))
    broken["model.lm_head.weight"] = torch.zeros(3)
    broken["model.bimamba.backbone.layers.0.mixer.mamba_rev.in_proj.weight"] += 1
    del broken["sigma_map.mlp.2.bias"]
    with pytest.raises(InputError) as caught:
        from_published(broken, settings, LETTERS, where="x")
    assert str(caught.value) == (
        "x: model.lm_head.weight has shape (3,), not (13, 16); model.bimamba.backbone.layers.0.mixer.mamba_rev.in_proj."
        "weight differs from the tensor it is tied to; sigma_map.mlp.2.bias is missing; odd is not known; "
        "use the settings that belong to these weights"
    )


def test_settings_of_another_function_are_refused():
    with pytest.raises(InputError) as caught:
        from_published_config({"model": {"type": "ddit", "temb_strategy": None, "hidden_size": 8, "n_blocks": 1}})
    assert str(caught.value) == (
        "config: time_conditioning is missing; model.cond_dim is missing; model.tie_word_embeddings is missing; "
        "model.type is 'ddit', only 'dimamba' is supported; model.temb_strategy is None, only 'adaln' is supported; "
        "only DiMamba with adaLN can be read"
    )
    with pytest.raises(
        InputError, match=r"config: model is None, not a mapping; model.type is missing; .* can be read"
    ):
        from_published_config({"model": None, "time_conditioning": True})


def test_the_preset_is_the_published_configuration():
    published = {"type": "dimamba", "temb_strategy": "adaln", "hidden_size": 512, "cond_dim": 128, "n_blocks": 14}
    settings = from_published_config({"model": {**published, "tie_word_embeddings": False}, "time_conditioning": False})
    assert config.resolve(ModelConfig, "model/dimamba-tiny").model == settings
