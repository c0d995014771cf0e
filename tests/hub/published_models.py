"""Published models as folders, made of the golden values: what the authors' code computed with given weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

GOLDEN = Path(__file__).parents[1] / "golden"
CADUCEUS = sorted(path.stem for path in GOLDEN.glob("caduceus_*.json"))


class Golden(NamedTuple):
    about: dict[str, Any]
    weights: dict[str, Tensor]
    tensors: dict[str, Tensor]


def golden(name: str) -> Golden:
    tensors = load_file(GOLDEN / f"{name}.safetensors")
    weights = {key.removeprefix("sd."): value for key, value in tensors.items() if key.startswith("sd.")}
    return Golden(json.loads((GOLDEN / f"{name}.json").read_text()), weights, tensors)


def write_folder(
    folder: Path, config: dict[str, Any], weights: dict[str, Tensor], *, form: str = "safetensors"
) -> Path:
    """A folder as the transformers library saves it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if form == "safetensors":
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    else:
        torch.save(weights, folder / "pytorch_model.bin")
    return folder


def write_tokenizer(folder: Path, n_tokens: int) -> None:
    """A tokenizer of so many words; a mask is added behind the last."""
    words = ["<|endoftext|>", *(f"w{i}" for i in range(n_tokens - 1))]
    definition = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": {word: i for i, word in enumerate(words)}, "unk_token": words[0]},
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(definition))


def write_dit(folder: Path) -> Path:
    """MDLM's transformer, told the time, in the flat form of settings."""
    found = golden("mdlm_dit_a")
    sizes = found.about["config"]["model"]
    flat = {
        "model_type": "mdlm", "vocab_size": 12, "model_length": 10, "hidden_dim": sizes["hidden_size"],
        "time_conditioning": True, **{name: sizes[name] for name in ("cond_dim", "n_blocks", "n_heads", "dropout")},
    }  # fmt: skip
    write_folder(folder, flat, {f"backbone.{name}": tensor for name, tensor in found.weights.items()})
    write_tokenizer(folder, 11)
    return folder


def close(found: Tensor, expected: Tensor) -> bool:
    """1e-5 relative to the largest value."""
    return bool((found - expected).abs().max() <= 1e-5 * expected.abs().max())
