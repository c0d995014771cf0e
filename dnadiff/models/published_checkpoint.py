"""Weights and settings out of pickles of published code: what Lightning saved, raw or averaged, and plain state dicts.

Such a file is a pickle and holds much besides weights: settings, tokenizers, the state of optimisers. Only tensors and
plain values are made from it; of every class that it names an inert stand-in is made, so that nothing of it runs.

The published moving average (`ema.shadow_params`) is a list without names, in the order of the network's parameters,
which is that of the names in `state_dict` without its buffers and without second names of tied tensors.
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, TypeGuard

import torch
from torch import Tensor

from dnadiff.archives import open_zip, require_safe_torch
from dnadiff.errors import InputError

DEEPEST = 8  # levels of settings that are read; an object and what it holds are two


class _Inert:
    """Takes the place of any object that is not a weight; keeps what it was filled with, and does nothing."""

    def __init__(self, *arguments: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _mapping(*arguments: Any) -> dict[Any, Any]:
    """Takes the place of a defaultdict: only plain mappings may be filled."""
    return {}


def published_weights(path: Path, kind: Literal["raw", "average"], *, buffers: Collection[str]) -> dict[str, Tensor]:
    """Published name -> tensor.

    Args:
        path: a Lightning checkpoint, as `torch.save` writes it.
        kind: the weights of the last step, or their moving average, which published figures are made with.
        buffers: ends of the names that are no parameters, so that the average has none of them.

    Raises:
        InputError: not such a file, or one without what is asked for.
    """
    content = _read(path)
    state = content.get("state_dict")
    if not _holds_tensors(state):
        raise InputError(f"{path}: holds no weights under state_dict; name a checkpoint that Lightning wrote")
    if kind == "raw":
        return dict(state)
    average = content.get("ema")
    shadows = average.get("shadow_params") if isinstance(average, dict) else None
    if not isinstance(shadows, list):
        raise InputError(f"{path}: holds no moving average (ema.shadow_params); name it FILE@raw for the raw weights")
    parameters = _parameters(state, buffers)
    shapes = [getattr(shadow, "shape", None) for shadow in shadows]
    if shapes != [tensor.shape for tensor in parameters.values()]:
        raise InputError(
            f"{path}: the {len(shapes)} averaged tensors do not match the {len(parameters)} parameters one by one; "
            "name it FILE@raw for the raw weights"
        )
    return dict(zip(parameters, shadows, strict=True))


def published_settings(path: Path) -> dict[str, Any]:
    """The settings that training code put beside the weights, as plain values; empty where there are none.

    Raises:
        InputError: not such a file.
    """
    beside = _read(path).get("hyper_parameters")
    settings = _plain(beside.get("config")) if isinstance(beside, dict) else None
    return settings if isinstance(settings, dict) else {}


def plain_weights(path: Path) -> dict[str, Tensor]:
    """Published name -> tensor of a file that holds a state dict and nothing else, such as pytorch_model.bin.

    Raises:
        InputError: not such a file.
    """
    content = _read(path)
    if not _holds_tensors(content):
        raise InputError(f"{path}: holds other things than weights; save its state_dict alone")
    return dict(content)


def _plain(kept: Any, levels: int = DEEPEST) -> Any:
    """Scalars, and mappings of them; of an object of OmegaConf, what it holds. All else reads as None."""
    if isinstance(kept, _Inert) and isinstance(kept.state, dict) and levels:
        return _plain(kept.state.get("_content", kept.state.get("_val")), levels - 1)
    if isinstance(kept, dict) and levels:
        return {key: _plain(value, levels - 1) for key, value in kept.items() if isinstance(key, str)}
    return kept if isinstance(kept, str | int | float | bool) else None


def _read(path: Path) -> dict[Any, Any]:
    require_safe_torch()
    try:
        _require_stored(path)
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        stand_ins: list[Any] = [(_mapping if name == "collections.defaultdict" else _Inert, name) for name in foreign]
        with torch.serialization.safe_globals(stand_ins):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: not found; name a checkpoint file") from None
    except Exception as error:  # what a damaged or hostile pickle raises has no common base
        raise InputError(
            f"{path}: is damaged, or no checkpoint of torch.save that can be read without running code "
            f"({type(error).__name__}); get it anew, or save its state_dict alone"
        ) from None
    return content if isinstance(content, dict) else {}


def _require_stored(path: Path) -> None:
    """`torch.save` compresses nothing: an archive that does may unpack to any size."""
    if zipfile.is_zipfile(path):
        with open_zip(path) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError("compressed")


def _holds_tensors(state: Any) -> TypeGuard[Mapping[str, Tensor]]:
    return isinstance(state, Mapping) and bool(state) and all(isinstance(tensor, Tensor) for tensor in state.values())


def _parameters(state: Mapping[str, Tensor], buffers: Collection[str]) -> dict[str, Tensor]:
    """Each parameter once, in its order."""
    names: dict[tuple[Any, ...], str] = {}
    for name, tensor in state.items():
        if not name.endswith(tuple(buffers)):
            names.setdefault((tensor.data_ptr(), tensor.shape, tensor.stride()), name)
    return {name: state[name] for name in names.values()}
