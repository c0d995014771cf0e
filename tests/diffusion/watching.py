"""What torch is asked to do inside a block."""

from __future__ import annotations

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Largest(TorchDispatchMode):
    """How many numbers the largest result inside the block has."""

    numel = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor) and not function.is_view:
                self.numel = max(self.numel, tensor.numel())
        return result


class Sent(TorchDispatchMode):
    """What is sent to a device from the host, where it does not lie.

    Attributes:
        names: of the operations, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        devices = [
            {leaf.device.type for leaf in tree_leaves(tensors) if isinstance(leaf, torch.Tensor)}
            for tensors in ((args, kwargs), result)
        ]
        if "cpu" in devices[0] and devices[1] - {"cpu"}:
            self.names.append(function.overloadpacket.__name__)
        return result


class Waits(TorchDispatchMode):
    """What would make the host wait for a GPU: operations whose result's value or shape it must know.

    Attributes:
        names: of these, in order.
        known: a tensor that lies on the host in any case; reading it is no waiting.
    """

    def __init__(self, known: torch.Tensor | None = None) -> None:
        super().__init__()
        self.names: list[str] = []
        self.known = known

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        by_mask = name in {"index", "index_put", "index_put_"} and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        read = name in {
            "_local_scalar_dense",
            "nonzero",
            "masked_select",
            "equal",
            "_unique2",
            "unique_dim",
            "is_nonzero",
        }
        if (read or by_mask) and not self._is_known(args[0]):
            self.names.append(name)
        return function(*args, **(kwargs or {}))

    def _is_known(self, tensor: torch.Tensor) -> bool:
        return self.known is not None and tensor.data_ptr() == self.known.data_ptr()
