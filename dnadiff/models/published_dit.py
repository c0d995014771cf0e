"""Published weights of MDLM's diffusion transformer: their names and settings, to and from ours.

Two forms of settings exist: those of the training code, with the sizes under `model`, and those of the weights for
transformers, which are flat and call the width otherwise. Whole checkpoints of both put `backbone.` before each name.
The rotary frequencies, a buffer of the published network, are checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dnadiff.config import decode
from dnadiff.models.dit import DiT
from dnadiff.models.renaming import refuse, rename
from dnadiff.ops.rotary import rotary_frequencies
from dnadiff.vocab import Vocab

PREFIX = "backbone."
FREQUENCIES = "rotary_emb.inv_freq"
SIZES = {"n_blocks": "n_blocks", "n_heads": "n_heads", "cond_dim": "conditioning_width", "dropout": "dropout"}

OTHERS = {"type", "causal", "time_conditioning"}
WITHOUT_EFFECT = {  # on what the network computes: names, lengths, what the loss reads, what transformers writes
    "name", "length", "model_length", "vocab_size", "scale_by_sigma", "tie_word_embeddings", "model_type",
    "_name_or_path", "architectures", "auto_map", "torch_dtype", "dtype", "transformers_version", "return_dict",
}  # fmt: skip


def _both(theirs: str, ours: str) -> dict[str, str]:
    return {f"{theirs}.{kind}": f"{ours}.{kind}" for kind in ("weight", "bias")}


OUTER = {
    "vocab_embed.embedding": "embedding",
    "output_layer.norm_final.weight": "norm.weight",
    "output_layer.linear.weight": "head",
    "output_layer.linear.bias": "head_bias",
}
BLOCK = {
    "norm1.weight": "attention_norm.weight",
    "attn_qkv.weight": "attention.qkv.weight",
    "attn_out.weight": "attention.out.weight",
    "norm2.weight": "mlp_norm.weight",
    **_both("mlp.0", "mlp.0"),
    **_both("mlp.2", "mlp.2"),
}
ADAPTIVE_OUTER = {
    **_both("sigma_map.mlp.0", "noise.inner"),
    **_both("sigma_map.mlp.2", "noise.out"),
    **_both("output_layer.adaLN_modulation", "modulation"),
}
ADAPTIVE_BLOCK = _both("adaLN_modulation", "modulation")


def from_published_config(config: Mapping[str, Any], *, where: str = "config") -> DiT:
    """Settings of a published model, of either form.

    Args:
        config: plain values.
        where: named in errors.

    Raises:
        InputError: keys that are missing, or that ask for what is not built here; all at once.
    """
    sizes, misfits = sizes_of(config)
    width = "hidden_dim" if "hidden_dim" in sizes else "hidden_size"
    misfits += [f"{key} is missing" for key in (width, *SIZES) if key not in sizes]
    if sizes.get("type", "ddit") != "ddit":
        misfits.append(f"type is {sizes['type']!r}, only 'ddit' is supported")
    misfits += [f"{key} is not known" for key in sorted(sizes.keys() - {width, *SIZES, *OTHERS, *WITHOUT_EFFECT})]
    refuse(misfits, where, mend="only MDLM's diffusion transformers can be read")
    causal = sizes.get("causal", False)
    adaptive = "time" if config["time_conditioning"] else "constant"
    values = {
        "width": sizes[width],
        "causal": causal,
        "conditioning": "none" if causal else adaptive,  # the published autoregressive networks have plain norms
        **{ours: sizes[published] for published, ours in SIZES.items()},
    }
    return decode(DiT, values, where=where)


def sizes_of(config: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[str]]:
    """The sizes that settings of MDLM's code give, under `model` or beside all else; and what is wrong with these."""
    sizes, told = config.get("model", config), config.get("time_conditioning")
    misfits = [] if isinstance(sizes, Mapping) else [f"model is {sizes!r}, not a mapping"]
    misfits += (
        []
        if isinstance(told, bool)
        else [f"time_conditioning is {'missing' if told is None else f'{told!r}, not true or false'}"]
    )
    return (sizes if isinstance(sizes, Mapping) else {}), misfits


def published_names(settings: DiT) -> dict[str, str]:
    """Published name -> our name of every parameter."""
    adaptive = settings.conditioning != "none"
    names = {**OUTER, **ADAPTIVE_OUTER} if adaptive else dict(OUTER)
    block = {**BLOCK, **ADAPTIVE_BLOCK} if adaptive else BLOCK
    for number in range(settings.n_blocks):
        names |= {f"blocks.{number}.{theirs}": f"blocks.{number}.{ours}" for theirs, ours in block.items()}
    if settings.tie_embeddings:
        names["output_layer.linear.weight"] = "embedding"
    return names


def from_published(
    tensors: Mapping[str, Tensor], settings: DiT, vocab: Vocab, *, where: str = "weights"
) -> dict[str, Tensor]:
    """Our state dict from a published one; strict.

    Args:
        tensors: published name -> tensor, with or without `backbone.` before the names.
        settings: of the model, as `from_published_config` gives them.
        vocab: whose size the published embedding has.
        where: named in errors.

    Raises:
        InputError: every name and shape that does not fit, and frequencies that are not ours.
    """
    bare = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
    state, misfits = rename(bare, published_names(settings), settings, vocab, extra=[FREQUENCIES])
    expected = _frequencies(settings)
    found = bare.get(FREQUENCIES, expected)
    if found.shape != expected.shape or not torch.allclose(found, expected):
        misfits.append(f"{FREQUENCIES} is not that of heads of {2 * len(expected)} channels")
    refuse(misfits, where, mend="use the settings that belong to these weights")
    return state


def to_published(state: Mapping[str, Tensor], settings: DiT) -> dict[str, Tensor]:
    """A published state dict from ours, without prefix; the inverse of `from_published`."""
    tensors = {name: state[ours] for name, ours in published_names(settings).items()}
    return {**tensors, FREQUENCIES: _frequencies(settings)}


def _frequencies(settings: DiT) -> Tensor:
    head_dim = settings.width // settings.n_heads
    return rotary_frequencies(head_dim, dtype=torch.float32, device=torch.device("cpu"))
