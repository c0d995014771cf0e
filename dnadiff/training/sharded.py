"""FSDP: each process holds a share of all weights, gradients and moments (Zhao et al. 2023), by torch's `fully_shard`.

Unusual: training here takes its backward pass inside `training_step`, where Lightning's own FSDP, which wraps the whole
module, cannot follow; so the model is sharded itself. Checkpoints hold whole tensors, as those of one process do, and
are read before the model is sharded: a run goes on with any number of processes, with or without shares.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils._pytree import tree_map

from dnadiff.model import DiffusionModel


class ShardedStrategy(DDPStrategy):
    """Lightning's processes, with a sharded model in place of a replicated one."""

    def configure_ddp(self) -> None:
        """In place of wrapping the module."""
        assert self.model is not None
        shard(self.model)

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        """Every process gives its shares, the first one writes."""
        super().save_checkpoint(tree_map(whole, checkpoint), filepath, storage_options)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Each process takes its shares of the moments."""
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            shares = {
                number: {name: _like(value, parameters[number]) for name, value in moments.items()}
                for number, moments in state["state"].items()
            }
            optimizer.load_state_dict({**state, "state": shares})


def shard(module: Any) -> None:
    """Share out the weights of the model that a module trains.

    Those of a block are brought together while it runs, all others while the loss is computed.
    """
    model = module.model
    assert isinstance(model, DiffusionModel)
    for block in model.network.blocks:
        fully_shard(block)
    fully_shard(model, reshard_after_forward=True)  # so that whoever looks between steps finds shares
    for method in ("loss", "row_nats"):
        register_fsdp_forward_method(model, method)


def local(tensor: Tensor) -> Tensor:
    """The share of this process, as a view; the tensor itself where it is not shared out."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(value: Any) -> Any:
    """A shared tensor brought together, for which every process has to ask; anything else as it is."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def _like(value: Any, parameter: Tensor) -> Any:
    """The share of a tensor that belongs to the share of its parameter."""
    if not (isinstance(parameter, DTensor) and isinstance(value, Tensor) and value.shape == parameter.shape):
        return value
    return distribute_tensor(
        value.to(parameter.device), parameter.device_mesh, parameter.placements, src_data_rank=None
    )
