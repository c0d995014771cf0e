"""Published models through the door that users take: a folder or file in, logits out; and what is refused."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from hostile import many_tensors, mutants, pickles
from omegaconf import OmegaConf
from published_models import CADUCEUS, GOLDEN, close, golden, write_dit, write_folder, write_tokenizer
from safetensors.torch import save_file

import dnadiff
from dnadiff import checkpoint
from dnadiff.cache import cache_folder
from dnadiff.errors import InputError
from dnadiff.files import sha256
from dnadiff.hub import importing
from dnadiff.run import find_checkpoint
from dnadiff.vocab import DNA


@pytest.fixture
def folder(tmp_path):
    found = golden("caduceus_ps_add_tie_fused")
    return write_folder(tmp_path / "ps", found.about["config"], found.weights)


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def refused(path: Path, message: str) -> None:
    """In one line, and nothing of it is kept."""
    before = set((cache_folder() / "published").glob("*"))
    with pytest.raises(InputError, match=message) as caught:
        find_checkpoint(path)
    assert "\n" not in str(caught.value)
    kept = set((cache_folder() / "published").glob("*")) - before
    assert not {file for file in kept if file.suffix != ".lock"}


@pytest.mark.case(56)
@pytest.mark.parametrize("name", CADUCEUS)
@pytest.mark.parametrize("form", ["safetensors", "bin"])
def test_caduceus_gives_the_published_logits(name, form, tmp_path):
    found = golden(name)
    model = dnadiff.load(write_folder(tmp_path / name, found.about["config"], found.weights, form=form)).network
    assert close(model.network(found.tensors["in.input_ids"]), found.tensors["out.logits"])
    assert model.vocab == DNA
    stored = {(tensor.shape, tensor.flatten()[0].item(), tensor.sum().item()): tensor.numel()
              for key, tensor in found.weights.items() if "complement_map" not in key}  # fmt: skip
    assert model.n_parameters() == sum(stored.values())


def test_published_weights_serve_the_verbs_of_notebooks(folder):
    model = dnadiff.load(folder)
    assert [len(sequence) for sequence in model.sample(2, length=12)] == [12, 12]
    assert model.log_prob(["ACGTAC"], "pseudo")[0].n_scored == 6
    with pytest.raises(InputError, match="this model has no likelihood"):
        model.bits_per_base(["ACGTAC"])


def test_a_transformer_gives_the_published_logits(tmp_path):
    found, model = golden("mdlm_dit_a"), dnadiff.load(write_dit(tmp_path / "dit")).network
    hidden = -torch.expm1(-found.tensors["in.sigma"].double())
    assert close(model.network(found.tensors["in.input_ids"], hidden), found.tensors["out.logits"])
    assert (model.vocab.mask, model.vocab.n_letters) == (11, 11)


@pytest.fixture
def lightning(tmp_path):
    """A training checkpoint with its settings inside, as OmegaConf keeps them."""
    content = torch.load(GOLDEN / "mdlm_ckpt_a.ckpt", weights_only=True)
    sizes = golden("mdlm_ckpt_a").about["config"]["model"]

    def write(**changes: object) -> Path:
        settings = {
            "backbone": "dit", "parameterization": "subs", "time_conditioning": True, "noise": {"type": "loglinear"},
            "model": {"type": "ddit", "dropout": 0.1, **sizes}, "data": {"tokenizer_name_or_path": str(tmp_path)},
            "loader": {"batch_size": "${.global_batch_size}"},
        }  # fmt: skip
        config = OmegaConf.create({**settings, **changes})
        torch.save({**content, "hyper_parameters": {"config": config, "tokenizer": object()}}, tmp_path / "best.ckpt")
        write_tokenizer(tmp_path, 8)
        return tmp_path / "best.ckpt"

    return write


@pytest.mark.case(56)
@pytest.mark.parametrize(("suffix", "expected"), [("", "out.logits_ema"), ("@raw", "out.logits_raw")])
def test_a_checkpoint_gives_the_published_logits_raw_and_averaged(lightning, suffix, expected):
    found = golden("mdlm_ckpt_a").tensors
    model = dnadiff.load(f"{lightning()}{suffix}").network
    hidden = -torch.expm1(-found["in.sigma"].double())
    assert close(model.network(found["in.input_ids"], hidden), found[expected])


def test_a_checkpoint_without_settings_takes_those_beside_it(tmp_path):
    about = golden("mdlm_ckpt_a").about["config"]
    shutil.copy(GOLDEN / "mdlm_ckpt_a.ckpt", tmp_path / "a.ckpt")
    write_tokenizer(tmp_path, 8)
    refused(tmp_path / "a.ckpt", r"a\.ckpt: holds no settings; put them beside it as config\.json")
    about["model"]["dropout"] = 0.0
    (tmp_path / "config.json").write_text(json.dumps({**about, "time_conditioning": False}))
    assert dnadiff.load(tmp_path / "a.ckpt").network.config.model.conditioning == "constant"


def test_dimamba_is_read_from_its_checkpoint(tmp_path, lightning):
    found = golden("mdlm_dimamba_adaln")
    lightning(backbone="dimamba", model=found.about["config"]["model"])
    content = torch.load(tmp_path / "best.ckpt", weights_only=False)
    content["state_dict"] = {f"backbone.{name}": tensor for name, tensor in found.weights.items()}
    torch.save(content, tmp_path / "best.ckpt")
    write_tokenizer(tmp_path, 12)
    model = dnadiff.load(tmp_path / "best.ckpt@raw").network
    hidden = -torch.expm1(-found.tensors["in.sigma"].double())
    assert close(model.network(found.tensors["in.input_ids"], hidden), found.tensors["out.logits"])


@pytest.mark.case(56)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parameterization": "sedd"}, "parameterization is 'sedd', only 'subs' is read"),
        ({"noise": {"type": "geometric"}}, "noise.type is 'geometric', only 'loglinear' is read"),
        ({"backbone": "ar"}, "backbone is 'ar'; read are dit and dimamba"),
    ],
)
def test_a_checkpoint_of_another_kind_is_refused(lightning, changes, message):
    refused(lightning(**changes), message)


def test_the_manifest_says_what_it_was_made_of(folder):
    about = checkpoint.verify(find_checkpoint(folder))["published"]
    assert about["sha256"] == {name: sha256(folder / name) for name in ("model.safetensors", "config.json")}
    assert (about["name"], about["weights"]) == ("ps", None)


def test_it_is_made_once_and_anew_when_the_files_change_or_the_copy_is_damaged(folder):
    first = find_checkpoint(folder)
    written = (first / "weights.safetensors").stat().st_mtime_ns
    importing._imported.cache_clear()
    assert find_checkpoint(folder) == first
    assert (first / "weights.safetensors").stat().st_mtime_ns == written
    (first / "weights.safetensors").write_bytes(b"x")
    importing._imported.cache_clear()
    assert dnadiff.load(folder).network is not None
    change_config(folder, bidirectional_strategy="ew_multiply")
    assert find_checkpoint(folder) != first


def test_weights_of_half_precision_are_read_in_full(folder):
    found = golden("caduceus_ps_add_tie_fused")
    halves = {name: t.bfloat16() if t.is_floating_point() else t for name, t in found.weights.items()}
    write_folder(folder, found.about["config"], halves)
    parameters = dnadiff.load(folder).network.state_dict()
    assert {tensor.dtype for tensor in parameters.values()} == {torch.float32}
    embedding = found.weights["caduceus.backbone.embeddings.word_embeddings.embedding.weight"]
    assert torch.equal(parameters["network.embedding"], embedding.bfloat16().float())


def test_reading_draws_nothing_from_the_global_generator(folder):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    find_checkpoint(folder)
    assert torch.equal(torch.get_rng_state(), before)


# What must not be trusted: RELIABILITY's cases 50 to 57, as far as published models go.


@pytest.mark.case(50)
@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors", "best.ckpt", "best.pt", "x.npz", "x.pkl"])
def test_a_malicious_pickle_is_never_run(folder, name, tmp_path):
    (folder / "model.safetensors").unlink()
    for content in pickles(tmp_path / "ran").values():
        (folder / name).write_bytes(content)
        named = folder if name in importing.WEIGHTS else folder / name
        refused(named, "without running code|not a readable safetensors|is a file; name a run folder")
        assert not (tmp_path / "ran").exists()


@pytest.mark.case(51)
@pytest.mark.parametrize("number", range(10))
def test_malformed_weights_are_refused_at_once(folder, number):
    path = folder / "model.safetensors"
    path.write_bytes([*mutants(path.read_bytes()).values()][number])
    refused(folder, r"model\.safetensors: not a readable safetensors file")


@pytest.mark.case(51)
def test_very_many_tensors_are_refused_at_once(folder):
    (folder / "model.safetensors").write_bytes(many_tensors(100_000))
    refused(folder, "its header is too large")
    save_file({f"t{i}": torch.zeros(0) for i in range(1000)}, folder / "model.safetensors")
    refused(folder, r"^.{200,3000}$")


@pytest.mark.case(50, 52)
@pytest.mark.parametrize("entry", ["../outside", "/tmp/outside", "archive/data.pkl"])
def test_an_archive_never_writes_nor_grows(folder, entry, tmp_path):
    path = tmp_path / "deep" / "x.ckpt"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(entry, bytes(1 << 24))
    before = {*tmp_path.rglob("*")}
    refused(path, "get it anew")
    assert {*tmp_path.rglob("*")} == before


@pytest.mark.case(52)
def test_a_compressed_checkpoint_is_refused_before_it_is_unpacked(tmp_path):
    with (
        zipfile.ZipFile(GOLDEN / "mdlm_ckpt_a.ckpt") as stored,
        zipfile.ZipFile(tmp_path / "x.ckpt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in stored.namelist():
            packed.writestr(name, stored.read(name))
    refused(tmp_path / "x.ckpt", r"x\.ckpt: is damaged, or no checkpoint .*; get it anew")


@pytest.mark.case(56)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "gpt2"}, r"config\.json: model_type is 'gpt2'; read are caduceus, mdlm, and with pip install"),
        ({"model_type": ["caduceus"]}, r"model_type is \['caduceus'\]; read are"),
        ({"state_space": 2}, "state_space is not known"),
        ({"d_model": "os.system"}, "d_model is 'os.system', not of type int"),
        ({"d_model": 8}, r"has shape \(16, 16\), not \(16, 8\); .* and .* more; use the config"),
        ({"rcps": False}, "is missing"),
        ({"fused_add_norm": False}, r"norm_f\.submodule\.weight is missing"),
    ],
)
def test_a_config_of_something_else_or_of_the_future_is_refused(folder, change, message):
    change_config(folder, **change)
    refused(folder, message)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"a": "' + "x" * (1 << 20) + '"}'])
def test_a_config_that_is_none_is_refused(folder, text):
    (folder / "config.json").write_text(text)
    refused(folder, r"config\.json: not readable settings .*; get it anew")


@pytest.mark.case(55)
def test_code_beside_the_weights_is_never_run(folder, tmp_path):
    (folder / "modeling_caduceus.py").write_text(f"import os; os.mkdir({str(tmp_path / 'ran')!r})")
    change_config(folder, auto_map={"AutoModelForMaskedLM": "modeling_caduceus.CaduceusForMaskedLM"})
    dnadiff.load(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.case(56)
def test_swapped_and_untied_tensors_are_refused(folder):
    found = golden("caduceus_ps_add_tie_fused")
    layer = "caduceus.backbone.layers.0.mixer.submodule"
    one, other = f"{layer}.mamba_fwd.A_log", f"{layer}.mamba_fwd.x_proj.weight"
    swapped = {**found.weights, one: found.weights[other].clone(), other: found.weights[one].clone()}
    write_folder(folder, found.about["config"], swapped)
    refused(folder, r"x_proj\.weight has shape .*A_log has shape")
    name = f"{layer}.mamba_rev.in_proj.weight"
    untied = {**found.weights, name: found.weights[name] + 1}
    write_folder(folder, found.about["config"], untied)
    refused(folder, f"{name} differs from the tensor it is tied to")


@pytest.mark.case(57)
def test_another_vocabulary_is_refused(folder, tmp_path):
    (folder / "tokenizer_config.json").write_text('{"characters": ["A", "T", "G", "C", "N"]}')
    refused(folder, r"tokenizer_config\.json: characters are \['A', 'T', .* not \['A', 'C'")
    dit = write_dit(tmp_path / "dit")
    write_tokenizer(dit, 14)
    refused(dit, r"vocab_embed\.embedding has shape \(12, 24\), not \(15, 24\)")
    (dit / "tokenizer.json").unlink()
    refused(dit, "holds no tokenizer; put its tokenizer.json beside the weights")


def test_what_is_missing_is_said(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    refused(folder, r"holds config\.json but no model\.safetensors or pytorch_model\.bin; get the weights too")
    refused(tmp_path / "none.ckpt", r"none\.ckpt: not found; name a checkpoint file")
    torch.save({"a": 1}, folder / "pytorch_model.bin")
    refused(folder, r"pytorch_model\.bin: holds other things than weights; save its state_dict alone")
