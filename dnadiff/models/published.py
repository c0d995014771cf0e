"""Published Caduceus weights: their names, to and from ours; their settings are in `published_config`.

Published files hold tied tensors under two names and, for Caduceus-PS, the complement as a buffer. Both are checked:
a file whose tied tensors differ, or whose complement is not the vocabulary's, is refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from dnadiff.models.caduceus import Caduceus
from dnadiff.models.renaming import refuse, rename
from dnadiff.vocab import Vocab

DIRECTIONS = {"mamba_fwd": "rightward", "mamba_rev": "leftward"}
PROJECTIONS = ("in_proj.weight", "out_proj.weight")
STATE = {
    "conv1d.weight": "conv_weight",
    "conv1d.bias": "conv_bias",
    "x_proj.weight": "x_proj.weight",
    "dt_proj.weight": "dt_weight",
    "dt_proj.bias": "dt_bias",
    "A_log": "A_log",
    "D": "D",
}
CONV_WEIGHT = "conv1d.weight"  # published as (channels, 1, kernel)


def published_names(settings: Caduceus) -> dict[str, str]:
    """Published name -> our name of every parameter; tied ones have several published names."""
    ps = settings.symmetry == "ps"
    norm = "submodule.weight" if ps and settings.block == "unfused" else "weight"
    backbone, embedding = "caduceus.backbone", "embedding.weight" if ps else "weight"
    names = {
        f"{backbone}.embeddings.word_embeddings.{embedding}": "embedding",
        f"{backbone}.norm_f.{norm}": "norm.weight",
        "lm_head.lm_head.weight" if ps else "lm_head.weight": "embedding" if settings.tie_embeddings else "head",
    }
    for layer in range(settings.n_layers):
        theirs, ours = f"{backbone}.layers.{layer}", f"blocks.{layer}"
        names[f"{theirs}.norm.{norm}"] = f"{ours}.norm.weight"
        for name, our_name in _mixer_names(settings).items():
            names[f"{theirs}.mixer.{'submodule.' if ps else ''}{name}"] = f"{ours}.mixer.{our_name}"
    return names


def from_published(
    tensors: Mapping[str, Tensor], settings: Caduceus, vocab: Vocab, *, where: str = "weights"
) -> dict[str, Tensor]:
    """Our state dict from a published one; strict.

    Args:
        tensors: published name -> tensor; the second name of a tied tensor may be missing.
        settings: of the model, as `published_config` gives them.
        vocab: whose complement the published one must be.
        where: named in errors.

    Raises:
        InputError: every name, shape, tie and complement that does not fit.
    """
    names, extra = published_names(settings), _complement_names(settings)
    state, misfits = rename(as_ours(tensors), names, settings, vocab, extra=extra)
    misfits = [*_complement_misfits(tensors, settings, vocab), *misfits]
    refuse(misfits, where, mend="use the config.json that belongs to these weights")
    return state


def to_published(state: Mapping[str, Tensor], settings: Caduceus, vocab: Vocab) -> dict[str, Tensor]:
    """A published state dict from ours, with every tied name and the complement; the inverse of `from_published`."""
    tensors = as_theirs({name: state[ours] for name, ours in published_names(settings).items()})
    return {**tensors, **{name: vocab.complement_ids.clone() for name in _complement_names(settings)}}


def as_ours(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published tensors with convolution weights of (channels, kernel); odd shapes stay, and are misfits."""
    return {
        name: tensor.squeeze(1) if name.endswith(CONV_WEIGHT) and tensor.ndim == 3 else tensor
        for name, tensor in tensors.items()
    }


def as_theirs(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `as_ours`."""
    return {name: tensor.unsqueeze(1) if name.endswith(CONV_WEIGHT) else tensor for name, tensor in tensors.items()}


def _mixer_names(settings: Caduceus) -> dict[str, str]:
    """Published -> our names inside a mixer."""
    tied = settings.direction_weights == "tied"
    names: dict[str, str] = {}
    for theirs, ours in DIRECTIONS.items():
        names |= {f"{theirs}.{name}": name if tied else f"{ours}.{name}" for name in PROJECTIONS}
        names |= {f"{theirs}.{name}": f"{ours}.{'' if tied else 'state.'}{own}" for name, own in STATE.items()}
    return names


def _complement_names(settings: Caduceus) -> list[str]:
    parts = ("caduceus.backbone.embeddings.word_embeddings", "lm_head")
    return [f"{part}.complement_map" for part in parts] if settings.symmetry == "ps" else []


def _complement_misfits(tensors: Mapping[str, Tensor], settings: Caduceus, vocab: Vocab) -> list[str]:
    """The published code reads its map by position, so a map written in another order is another function."""
    return [
        f"{name} is {tensors[name].tolist()}, the vocabulary pairs {list(vocab.complement or ())}"
        for name in _complement_names(settings)
        if name in tensors and tensors[name].tolist() != list(vocab.complement or ())
    ]
