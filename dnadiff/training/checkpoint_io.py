"""Lightning's checkpoints in our own folders: weights as safetensors, the rest as primitives and tensors.

Lightning's own saving is one pickle without fsync, written through TMPDIR; this one is atomic, checked and data only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import CheckpointIO

from dnadiff import checkpoint
from dnadiff.archives import require_safe_torch
from dnadiff.errors import InputError
from dnadiff.model import ModelConfig
from dnadiff.training.callbacks import going_on
from dnadiff.vocab import Vocab

RAW = "raw_weights.safetensors"
_PREFIX = "model."  # the module holds the model under this name


class FolderCheckpointIO(CheckpointIO):
    """Saves and loads what Lightning gathers, as a checkpoint folder that `dnadiff.load` reads as well."""

    def __init__(
        self,
        config: ModelConfig,
        vocab: Vocab,
        facts: Callable[[], dict[str, Any]],
        files: Mapping[str, str] = {},
        is_needed: Callable[[], bool] = lambda: True,
    ) -> None:
        """`is_needed`: whether it is an error if what is saved now cannot be written."""
        self._config, self._vocab, self._facts, self._files, self._is_needed = config, vocab, facts, files, is_needed

    def save_checkpoint(self, checkpoint_: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        rest = dict(checkpoint_)
        tensors = {checkpoint.WEIGHTS: _without_prefix(rest.pop("state_dict"))}
        if "current_model_state" in rest:  # with a moving average, `state_dict` is the average
            tensors[RAW] = _without_prefix(rest.pop("current_model_state"))
        about = {"step": rest["global_step"], **self._facts()}
        texts = self._files
        with going_on(not self._is_needed()):
            checkpoint.write(Path(path), self._config, self._vocab, tensors, about=about, training=rest, files=texts)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        folder = Path(path)
        checkpoint.verify(folder)
        loaded = _read_state(folder / checkpoint.TRAINING)
        loaded["state_dict"] = _with_prefix(checkpoint.read_tensors(folder / checkpoint.WEIGHTS))
        if (folder / RAW).is_file():
            loaded["current_model_state"] = _with_prefix(checkpoint.read_tensors(folder / RAW))
        return loaded

    def remove_checkpoint(self, path: Any) -> None:
        raise AssertionError("RunFolder.prune removes checkpoints")


def _read_state(path: Path) -> dict[str, Any]:
    require_safe_torch()
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(loaded, dict):
            raise TypeError("no mapping")
    except Exception as error:  # what a damaged or hostile pickle raises has no common base
        raise InputError(
            f"{path}: is damaged, or cannot be read without running code ({type(error).__name__}); remove its folder, "
            "and the run goes on from an older checkpoint"
        ) from None
    return loaded


def _without_prefix(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(_PREFIX): tensor for name, tensor in state.items()}


def _with_prefix(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {_PREFIX + name: tensor for name, tensor in state.items()}
