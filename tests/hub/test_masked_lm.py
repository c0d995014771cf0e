"""Masked language models of the transformers library: their own logits, their tokenizers, and runs that start there."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import dnadiff
from dnadiff import checkpoint
from dnadiff.batch import Batch
from dnadiff.data.text.tokenizer import open_tokenizer
from dnadiff.errors import InputError
from dnadiff.models.hf import HuggingFace
from dnadiff.run import find_checkpoint
from dnadiff.tasks import train
from dnadiff.tasks.settings import resolve
from dnadiff.training.recompute import recomputed

transformers = pytest.importorskip("transformers")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz", *(f"##{c}" for c in "abcdefgh")]
RESIDUES = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>"]
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def bert(**changes):
    return transformers.BertConfig(vocab_size=len(WORDS), max_position_embeddings=32, **SIZES, **changes)


def esm(**changes):
    how = {"position_embedding_type": "rotary", "token_dropout": True, "emb_layer_norm_before": False, **changes}
    return transformers.EsmConfig(
        vocab_size=len(RESIDUES), mask_token_id=32, pad_token_id=1, max_position_embeddings=34, **SIZES, **how
    )


def roberta(**changes):
    return transformers.RobertaConfig(
        vocab_size=len(RESIDUES), pad_token_id=1, max_position_embeddings=34, **SIZES, **changes
    )


CONFIGS = {
    "bert": bert, "esm": esm, "roberta": roberta,
    "esm-absolute": lambda: esm(position_embedding_type="absolute", emb_layer_norm_before=True),
    "distilbert": lambda: transformers.DistilBertConfig(
        vocab_size=len(WORDS), dim=16, n_layers=2, n_heads=2, hidden_dim=32, max_position_embeddings=32
    ),
    "electra": lambda: transformers.ElectraConfig(vocab_size=len(WORDS), embedding_size=8, **SIZES),
    "modernbert": lambda: transformers.ModernBertConfig(
        vocab_size=len(WORDS), pad_token_id=0, bos_token_id=2, cls_token_id=2, eos_token_id=3, sep_token_id=3, **SIZES
    ),
}  # fmt: skip


def write(folder: Path, config) -> Path:
    """A random model as the library saves it, with its tokenizer."""
    torch.manual_seed(0)
    model = transformers.AutoModelForMaskedLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    tokens = RESIDUES if config.model_type in ("esm", "roberta") else WORDS
    (folder / "vocab.txt").write_text("\n".join(tokens))
    kind = "EsmTokenizer" if tokens is RESIDUES else "BertTokenizer"
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind}))
    return folder


def theirs(folder: Path):
    return transformers.AutoModelForMaskedLM.from_pretrained(folder).eval()


@pytest.fixture(params=CONFIGS)
def folder(request, tmp_path):
    return write(tmp_path / request.param, CONFIGS[request.param]())


@pytest.fixture
def bert_folder(tmp_path):
    return write(tmp_path / "bert", bert())


def rows(vocab, n=2, length=11):
    """Letters and masks."""
    generator = torch.Generator().manual_seed(1)
    tokens = vocab.letter_ids[torch.randint(5, vocab.n_letters, (n, length), generator=generator)]
    tokens[:, ::3] = vocab.mask
    return tokens


@torch.no_grad()
def test_logits_are_those_of_the_library(folder):
    model, reference = dnadiff.load(folder).network, theirs(folder)
    tokens = rows(model.vocab)
    assert torch.equal(model.network(tokens), reference(tokens).logits)
    assert model.n_parameters() == sum(parameter.numel() for parameter in reference.parameters())
    assert model.config.model.width == reference.config.hidden_size


@torch.no_grad()
def test_a_padded_row_is_read_as_if_it_were_alone(folder):
    network, vocab = (model := dnadiff.load(folder).network).network, model.vocab
    tokens, valid = rows(vocab), torch.ones(2, 11, dtype=torch.bool)
    tokens[1, 7:], valid[1, 7:] = vocab.pad, False
    padded = network(tokens, valid=valid)
    assert torch.allclose(padded[1:, :7], network(tokens[1:, :7]), atol=1e-5)
    assert torch.allclose(padded[:1], network(tokens[:1]), atol=1e-5)
    assert not torch.allclose(network(tokens)[1:, :7], padded[1:, :7], atol=1e-5)


@torch.no_grad()
def test_letters_alone_are_likely_and_the_head_runs_where_it_is_asked(folder):
    model = dnadiff.load(folder).network
    batch = Batch(rows(model.vocab))
    wanted = batch.tokens == model.vocab.mask
    found = model.denoiser()(batch, wanted)
    assert not {model.vocab.mask, model.vocab.pad} & set(model.vocab.letters)
    expected = model.network(batch.tokens)[wanted][:, model.vocab.letter_ids].log_softmax(-1)
    assert torch.allclose(found, expected, atol=1e-5)


@torch.no_grad()
def test_rows_of_masks_alone_have_finite_logits(folder):
    network, vocab = (model := dnadiff.load(folder).network).network, model.vocab
    assert network(torch.full((2, 9), vocab.mask)).isfinite().all()
    assert len(dnadiff.load(folder).sample(2, length=9, steps=3)) == 2


def test_blocks_that_are_computed_twice_have_the_same_gradient(folder):
    network, vocab = (model := dnadiff.load(folder).network).network, model.vocab
    tokens = rows(vocab)

    def gradient():
        network.zero_grad()
        network(tokens).square().sum().backward()
        return [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]

    expected = gradient()
    assert len(network.blocks) == 2
    with recomputed(network.blocks):
        found = gradient()
    assert len(found) == len(expected) > 10
    assert all(map(torch.equal, found, expected))


def test_a_tokenizer_of_residues_is_the_library_s(tmp_path):
    ours = dnadiff.load(write(tmp_path / "esm", esm())).tokenizer
    library = transformers.EsmTokenizer(str(tmp_path / "esm" / "vocab.txt"))
    assert ours.encode(["MKV-LX."]) == [library.encode("MKV-LX.", add_special_tokens=False)]
    assert ours.decode(ours.encode(["MKVL"])[0]) == "MKVL"
    assert (ours.vocab.mask, ours.vocab.pad, ours.first, ours.last) == (32, 1, 0, 2)


def test_a_tokenizer_of_words_of_bases_is_the_library_s(tmp_path):
    words = ["".join(letters) for letters in itertools.product("ATCG", repeat=3)]
    tokens = ["<unk>", "<pad>", "<mask>", "<cls>", *words, *"ATCGN", "<eos>", "<bos>"]
    write(tmp_path, esm())
    (tmp_path / "vocab.txt").write_text("\n".join(tokens))
    library = transformers.EsmTokenizer(str(tmp_path / "vocab.txt"))
    ours = open_tokenizer(str(tmp_path))
    for text in ("ATTACAG", "ATNACAGG", "NNACG", "A"):
        assert ours.encode([text]) == [library.encode(text, add_special_tokens=False)]
    (tmp_path / "vocab.txt").write_text("\n".join(["<cls>", "<eos>", "<unk>", "A", "AC", "ACG"]))
    with pytest.raises(InputError, match="neither letters nor all words of one length"):
        open_tokenizer(str(tmp_path))


def test_a_tokenizer_keeps_case_where_its_settings_say_so(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join([*WORDS, "A"]))
    lower = open_tokenizer(str(tmp_path)).encode(["A"])
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert (lower, open_tokenizer(str(tmp_path)).encode(["A"])) == ([[WORDS.index("a")]], [[len(WORDS)]])


def settings_of(init, corpus, *words):
    small = [
        "data.length=12", "data.valid_documents=40", "train.max_steps=2", "train.batch_size=4", "train.valid_windows=4",
        "evaluate.max_windows=4", "evaluate.sweeps=2", "sample.n=2", "sample.length=8", "sample.sampler.steps=4",
    ]  # fmt: skip
    return resolve("text/demo", [*small, *words], {"data.path": str(corpus), "init": str(init)})


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(f"the {'abcdefgh'[i % 8]} cat sat on a mat" for i in range(140)))
    return path


def test_a_run_starts_from_it_and_needs_nothing_else_later(bert_folder, corpus, tmp_path):
    out = train.run(settings_of(bert_folder, corpus), tmp_path / "run")
    results = json.loads((out / "results.json").read_text())
    assert results["bits_per_token"]["value"] > 0
    assert len((out / "samples.jsonl").read_text().splitlines()) == 2
    tuned, start = dnadiff.load(out).network, dnadiff.load(bert_folder).network
    tokens = rows(tuned.vocab)
    logits = tuned.network(tokens)
    assert not torch.equal(logits, start.network(tokens))
    for file in sorted(bert_folder.iterdir()):
        file.unlink()
    code = (
        "import sys, torch, dnadiff; torch.set_num_threads(1); model = dnadiff.load(sys.argv[1]);"
        "torch.save(model.network.network(torch.load(sys.argv[2])), sys.argv[3]); print(model.sample(1, length=6))"
    )
    torch.save(tokens, tmp_path / "tokens.pt")
    alone = {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9", "DNADIFF_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-c", code, out, tmp_path / "tokens.pt", tmp_path / "logits.pt"]
    subprocess.run(command, check=True, env={**os.environ, **alone}, cwd=tmp_path)
    assert torch.equal(torch.load(tmp_path / "logits.pt"), logits)


def test_a_model_of_the_hub_is_read(hub, bert_folder):
    hub.add("someone/bert", bert_folder)
    model = dnadiff.load("hf:someone/bert")
    tokens = rows(model.network.vocab)
    assert torch.equal(model.network.network(tokens), theirs(bert_folder)(tokens).logits)


def change(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_weights_in_several_files_are_read(bert_folder):
    tensors = load_file(bert_folder / "model.safetensors")
    names = sorted(tensors)
    half = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    expected = theirs(bert_folder)(rows(dnadiff.load(bert_folder).network.vocab)).logits
    (bert_folder / "model.safetensors").unlink()
    for file, part in half.items():
        save_file({name: tensors[name] for name in part}, bert_folder / file, metadata={"format": "pt"})
    index = {"weight_map": {name: file for file, part in half.items() for name in part}}
    (bert_folder / "model.safetensors.index.json").write_text(json.dumps(index))
    model = dnadiff.load(bert_folder).network
    assert torch.equal(model.network(rows(model.vocab)), expected)


def test_what_does_not_fit_is_refused(bert_folder):
    tensors = load_file(bert_folder / "model.safetensors")
    name = "bert.encoder.layer.1.output.dense.weight"

    def refused(changed, message):
        save_file(changed, bert_folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(InputError, match=message) as caught:
            find_checkpoint(bert_folder)
        assert "\n" not in str(caught.value)

    refused({key: t for key, t in tensors.items() if key != name}, f"{name} is missing; use the config.json that")
    refused({**tensors, name: torch.zeros(3, 3)}, rf"{name} has shape \(3, 3\), not \(16, 32\)")
    refused({**tensors, "bert.more": torch.zeros(3)}, "bert.more is not known")
    refused({**tensors, "bert.pooler.dense.weight": torch.zeros(16, 16), "x": torch.zeros(1)}, "safetensors: x is not")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantization_config": {"quant_method": "x"}}, "quantization_config: its weights are compressed; name"),
        ({"is_decoder": True}, "is_decoder: it is a decoder; name another model"),
        ({"model_type": "gpt2"}, "model_type is 'gpt2'; read are caduceus, mdlm, and"),
        ({"model_type": "bart"}, "is no trunk with a head|is missing|config.json"),
        ({"model_type": "perceiver"}, "model_type 'perceiver': has no hidden_size of its own; name another model"),
        ({"hidden_size": -1}, "use a config.json as it was published"),
        ({"hidden_size": 10**8}, "word_embeddings.weight has shape .* use the config.json"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1,000,000,000, more than 1,024; use a config.json"),
        ({"vocab_size": 20}, "word_embeddings.weight has shape"),
    ],
)
def test_configs_of_something_else_are_refused(bert_folder, changes, message):
    change(bert_folder, **changes)
    with pytest.raises(InputError, match=message) as caught:
        find_checkpoint(bert_folder)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(bert_folder):
    with (bert_folder / "vocab.txt").open("a") as file:
        file.write("\nmore")
    with pytest.raises(InputError, match="has 39 tokens, its tokenizer 40 with the mask; get them anew"):
        find_checkpoint(bert_folder)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (lambda: transformers.FNetConfig(max_position_embeddings=32, **SIZES), "reads the padding behind a row"),
        (lambda: transformers.ConvBertConfig(embedding_size=16, **SIZES), "reads the padding behind a row"),
        (lambda: transformers.LongformerConfig(attention_window=8, **SIZES), "cannot read a row of tokens"),
    ],
    ids=["fnet", "convbert", "longformer"],
)
def test_architectures_that_read_more_than_the_tokens_of_a_row_are_refused(config, message, tmp_path):
    settings = config()
    settings.vocab_size = len(WORDS)
    with pytest.raises(InputError, match=f"model.safetensors: {message}.*; name another model") as caught:
        find_checkpoint(write(tmp_path, settings))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["roformer", "ibert"])
def test_positions_are_counted_whatever_their_table_is_called(kind, bert_folder):
    vocab = dnadiff.load(bert_folder).network.vocab
    sizes = {"vocab_size": vocab.size, "max_position_embeddings": 40, "pad_token_id": 1, **SIZES}
    network = HuggingFace(config={"model_type": kind, **sizes}).build(vocab)
    assert network(torch.full((1, network.longest), vocab.letters[5])).isfinite().all()
    with pytest.raises(InputError, match=f"reads {network.longest} tokens at most, not {network.longest + 1}; lower"):
        network(torch.full((1, network.longest + 1), vocab.letters[5]))


@torch.no_grad()
def test_what_was_read_before_changes_no_logits(tmp_path):
    how = {"max_position_embeddings": 64, "block_size": 4, "num_random_blocks": 1}
    folder = write(tmp_path / "bird", transformers.BigBirdConfig(vocab_size=len(WORDS), **how, **SIZES))
    fresh, used = (dnadiff.load(folder).network for _ in range(2))
    used.network(rows(used.vocab))
    row = rows(used.vocab, n=1, length=28)
    assert torch.equal(used.network(row), fresh.network(row))
    with pytest.raises(InputError, match="reads 28 tokens at most, not 29"):
        used.network(rows(used.vocab, n=1, length=29))


def test_names_of_old_and_other_heads_are_known(bert_folder):
    tensors = load_file(bert_folder / "model.safetensors")
    expected = dnadiff.load(bert_folder).network.network.state_dict()
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in tensors.items()
    }
    more = {"bert.pooler.dense.weight": torch.zeros(16, 16), "cls.seq_relationship.bias": torch.zeros(2)}
    save_file({**old, **more}, bert_folder / "model.safetensors", metadata={"format": "pt"})
    found = dnadiff.load(bert_folder).network.network.state_dict()
    assert old.keys() != tensors.keys()
    assert found.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())


def test_neither_code_nor_kernels_that_a_config_names_are_run(bert_folder, tmp_path):
    (bert_folder / "modeling.py").write_text(f"import os; os.mkdir({str(tmp_path / 'ran')!r})")
    change(
        bert_folder, auto_map={"AutoModelForMaskedLM": "modeling.Model", "AutoConfig": "modeling.Config"},
        attn_implementation="someone/kernel", _attn_implementation="someone/kernel",
    )  # fmt: skip
    model = dnadiff.load(bert_folder)
    assert "implementation" not in str(model.network.config.model.config)
    assert not (tmp_path / "ran").exists()
    config = HuggingFace(config={**model.network.config.model.config, "attn_implementation": "someone/kernel"})
    state = {checkpoint.WEIGHTS: model.network.state_dict()}
    asked = model.network.config.model_copy(update={"model": config})
    files = {"tokenizer.json": model.tokenizer.definition}
    checkpoint.write(tmp_path / "ours", asked, model.network.vocab, state, about={}, files=files)
    with pytest.raises(InputError, match=r"model_type 'bert': config\.attn_implementation is not read; leave it out"):
        dnadiff.load(tmp_path / "ours")


def test_rows_that_are_too_long_are_refused_in_one_line(folder):
    model = dnadiff.load(folder).network
    longest = model.network.longest
    if longest > 1000:
        pytest.skip("it counts no positions")
    assert model.network(torch.full((1, longest), model.vocab.letters[5])).isfinite().all()
    with pytest.raises(InputError, match=f"reads {longest} tokens at most, not {longest + 1}; lower data.length"):
        model.network(torch.full((1, longest + 1), model.vocab.letters[5]))


@pytest.mark.parametrize(
    ("embedded", "segments"),
    [(torch.zeros(1, 3, 1), None), (torch.full((1, 3, 1), 7), torch.zeros(1, 3, dtype=torch.int64))],
    ids=["noisy embeddings", "packed rows"],
)
def test_what_is_no_row_of_tokens_is_refused(bert_folder, embedded, segments):
    network = dnadiff.load(bert_folder).network.network
    with pytest.raises(InputError, match="reads whole rows of tokens; choose another objective, or rows, or network"):
        network.features(embedded, segments=segments)


def test_without_the_library_it_says_how_to_get_it(monkeypatch, bert_folder):
    tokens = checkpoint.read_vocab(find_checkpoint(bert_folder))
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"model\.kind=hf needs an extra: pip install 'dnadiff\[text\]'"):
        HuggingFace(config={"model_type": "bert"}).build(tokens)
