"""Published training checkpoints: raw and averaged weights by parity, and files that must not be trusted."""

from __future__ import annotations

import functools
import json
import os
from collections import OrderedDict, defaultdict
from pathlib import Path, PurePosixPath

import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file

from dnadiff.errors import InputError
from dnadiff.models.published_checkpoint import published_weights
from dnadiff.models.published_dit import FREQUENCIES, from_published, from_published_config
from dnadiff.vocab import Vocab

GOLDEN = Path(__file__).parents[1] / "golden" / "mdlm_ckpt_a"
FILE = GOLDEN.with_suffix(".ckpt")
LETTERS = Vocab(tokens=(*"abcdefgh", "[MASK]"), size=9, letters=tuple(range(8)), mask=8, pad=0, unknown=0)


class Settings:
    """What training code puts beside its weights."""

    def __init__(self, name):
        self.name = name


class Runs:
    """What a hostile file does."""

    def __init__(self, function, argument):
        self.call = function, (argument,)

    def __reduce__(self):
        return self.call


@pytest.fixture
def written(tmp_path):
    def write(**content):
        path = tmp_path / "x.ckpt"
        torch.save(content, path)
        return path

    return write


@pytest.mark.parametrize(("kind", "expected"), [("raw", "out.logits_raw"), ("average", "out.logits_ema")])
def test_logits_are_the_published_ones(kind, expected):
    golden, about = load_file(GOLDEN.with_suffix(".safetensors")), json.loads(GOLDEN.with_suffix(".json").read_text())
    sizes = {**about["config"]["model"], "dropout": 0.0}
    settings = from_published_config({"model": sizes, "time_conditioning": True})
    network = settings.build(LETTERS).eval()
    network.load_state_dict(from_published(published_weights(FILE, kind, buffers=[FREQUENCIES]), settings, LETTERS))
    hidden = -torch.expm1(-golden["in.sigma"].double())
    logits = network(golden["in.input_ids"], hidden)
    assert (logits - golden[expected]).abs().max() <= 1e-5 * golden[expected].abs().max()


def test_what_stands_beside_the_weights_is_neither_needed_nor_made(written):
    weight = torch.arange(3.0)
    path = written(
        hyper_parameters={"config": OmegaConf.create({"a": [1, {"b": "${a}"}]}), "tokenizer": Settings("x")},
        loops=[PurePosixPath("y"), functools.partial(max, 2), defaultdict(list, {1: [2]}), {Settings("z"): 1}],
        state_dict=OrderedDict(weight=weight),
    )
    assert torch.equal(published_weights(path, "raw", buffers=[])["weight"], weight)


@pytest.mark.case(50)
@pytest.mark.parametrize("function", [exec, print], ids=lambda function: function.__name__)
def test_foreign_functions_are_skipped(written, tmp_path, capsys, function):
    marker = tmp_path / "ran"
    path = written(state_dict={"weight": torch.zeros(1)}, other=Runs(function, f"open({str(marker)!r}, 'w')"))
    assert published_weights(path, "raw", buffers=[]).keys() == {"weight"}
    assert not marker.exists()
    assert not capsys.readouterr().out


@pytest.mark.case(50)
def test_the_system_is_never_called(written, tmp_path):
    marker = tmp_path / "ran"
    path = written(state_dict={"weight": torch.zeros(1)}, other=Runs(os.mkdir, str(marker)))
    with pytest.raises(InputError, match="without running code"):
        published_weights(path, "raw", buffers=[])
    assert not marker.exists()


def test_averages_skip_buffers_and_second_names(written):
    tied, other = torch.zeros(2), torch.zeros(3)
    state = {"net.a": tied, "net.turn": torch.ones(5), "net.b": other, "net.head": tied}
    path = written(state_dict=state, ema={"shadow_params": [tied + 1, other + 2]})
    average = published_weights(path, "average", buffers=["turn"])
    assert {name: tensor.tolist() for name, tensor in average.items()} == {"net.a": [1, 1], "net.b": [2, 2, 2]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 1}, "holds no weights under state_dict; name a checkpoint that Lightning wrote"),
        ({"state_dict": {"a": 1}}, "holds no weights under state_dict; name a checkpoint that Lightning wrote"),
        (
            {"state_dict": {"a": torch.zeros(1)}, "ema": None},
            "holds no moving average (ema.shadow_params); name it FILE@raw for the raw weights",
        ),
        (
            {"state_dict": {"a": torch.zeros(1)}, "ema": {"shadow_params": [torch.zeros(2)]}},
            "the 1 averaged tensors do not match the 1 parameters one by one; name it FILE@raw for the raw weights",
        ),
    ],
)
def test_files_without_what_is_asked_for_are_refused(written, content, message):
    path = written(**content)
    with pytest.raises(InputError) as caught:
        published_weights(path, "average", buffers=[])
    assert str(caught.value) == f"{path}: {message}"


@pytest.mark.case(56)
@pytest.mark.parametrize("content", [b"", b"not a checkpoint", FILE.read_bytes()[:5000]])
def test_damaged_files_are_refused_in_one_line(tmp_path, content):
    path = tmp_path / "x.ckpt"
    path.write_bytes(content)
    with pytest.raises(InputError, match="get it anew, or save its state_dict alone") as caught:
        published_weights(path, "raw", buffers=[])
    assert "\n" not in str(caught.value)


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="not found; name a checkpoint file"):
        published_weights(tmp_path / "none.ckpt", "raw", buffers=[])
