"""Published weights of MDLM's DiMamba: their names and settings, to and from ours.

DiMamba is Caduceus-Ph told the time: Mamba layers in both directions with shared projections, whose norms adapt to the
noise, or without time conditioning to none. Without adaLN a misspelt name leaves out its residual stream: that form is
another function and refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from dnadiff.config import decode
from dnadiff.models import published
from dnadiff.models.caduceus import Caduceus
from dnadiff.models.published_dit import PREFIX, sizes_of
from dnadiff.models.renaming import refuse, rename
from dnadiff.vocab import Vocab

SIZES = {
    "hidden_size": "width",
    "n_blocks": "n_layers",
    "cond_dim": "conditioning_width",
    "tie_word_embeddings": "tie_embeddings",
}
REQUIRED = {"type": "dimamba", "temb_strategy": "adaln"}
DROPOUT = 0.1  # of every published model: its layers do not read the setting


def from_published_config(config: Mapping[str, Any], *, where: str = "config") -> Caduceus:
    """Settings of a published model.

    Args:
        config: plain values, as the training code has them: the sizes under `model`.
        where: named in errors.

    Raises:
        InputError: keys that are missing, or that ask for what is not built here; all at once.
    """
    sizes, misfits = sizes_of(config)
    misfits += [f"model.{key} is missing" for key in (*REQUIRED, *SIZES) if key not in sizes]
    misfits += [
        f"model.{key} is {sizes[key]!r}, only {value!r} is supported"
        for key, value in REQUIRED.items()
        if sizes.get(key, value) != value
    ]
    refuse(misfits, where, mend="only DiMamba with adaLN can be read")
    adaptive = "time" if config["time_conditioning"] else "constant"
    values = {ours: sizes[theirs] for theirs, ours in SIZES.items()}
    return decode(Caduceus, {"symmetry": "ph", "conditioning": adaptive, "dropout": DROPOUT, **values}, where=where)


def published_names(settings: Caduceus) -> dict[str, str]:
    """Published name -> our name of every parameter; tied ones have several published names."""
    names = {
        f"model.{theirs.replace('caduceus.', 'bimamba.')}": ours
        for theirs, ours in published.published_names(settings).items()
    }
    linear = {f"sigma_map.mlp.{place}": f"noise.{name}" for place, name in ((0, "inner"), (2, "out"))}
    linear["model.bimamba.backbone.adaLN_modulation_final"] = "modulation"
    for layer in range(settings.n_layers):
        linear[f"model.bimamba.backbone.layers.{layer}.adaLN_modulation"] = f"blocks.{layer}.modulation"
    kinds = ("weight", "bias")
    return names | {f"{theirs}.{kind}": f"{ours}.{kind}" for theirs, ours in linear.items() for kind in kinds}


def from_published(
    tensors: Mapping[str, Tensor], settings: Caduceus, vocab: Vocab, *, where: str = "weights"
) -> dict[str, Tensor]:
    """Our state dict from a published one; strict.

    Args:
        tensors: published name -> tensor, with or without `backbone.` before the names.
        settings: of the model, as `from_published_config` gives them.
        vocab: whose size the published embedding has.
        where: named in errors.

    Raises:
        InputError: every name and shape that does not fit, and tied tensors that differ.
    """
    bare = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
    state, misfits = rename(published.as_ours(bare), published_names(settings), settings, vocab)
    refuse(misfits, where, mend="use the settings that belong to these weights")
    return state


def to_published(state: Mapping[str, Tensor], settings: Caduceus) -> dict[str, Tensor]:
    """A published state dict from ours, with every tied name and no prefix; the inverse of `from_published`."""
    return published.as_theirs({name: state[ours] for name, ours in published_names(settings).items()})
