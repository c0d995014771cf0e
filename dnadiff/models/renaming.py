"""Published weights under our names: strict, and every misfit is named at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from dnadiff.errors import InputError
from dnadiff.vocab import Vocab

MOST_NAMED = 10  # a damaged or foreign file can have any number of misfits


class Buildable(Protocol):
    """The settings of a network."""

    def build(self, vocab: Vocab) -> nn.Module: ...


class Renamed(NamedTuple):
    """A state dict by our names, and what does not fit, in words."""

    state: dict[str, Tensor]
    misfits: list[str]


def rename(
    tensors: Mapping[str, Tensor],
    names: dict[str, str],
    settings: Buildable,
    vocab: Vocab,
    *,
    extra: Collection[str] = (),
) -> Renamed:
    """Give tensors our names, and compare them with the network that they are for.

    Args:
        tensors: published name -> tensor, in our layout; the second name of a tied tensor may be missing.
        names: published name -> our name of every parameter; tied ones have several published names.
        settings, vocab: what builds the network.
        extra: published names that hold no parameter.
    """
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in settings.build(vocab).state_dict().items()}
    state: dict[str, Tensor] = {}
    misfits: list[str] = []
    for name, ours in names.items():
        if name not in tensors:
            continue
        tensor = tensors[name]
        if tensor.shape != shapes[ours]:
            misfits.append(f"{name} has shape {tuple(tensor.shape)}, not {tuple(shapes[ours])}")
        elif not tensor.is_floating_point():
            misfits.append(f"{name} holds {tensor.dtype}, not weights as they are computed with")
        elif ours in state and not torch.equal(state[ours], tensor):
            misfits.append(f"{name} differs from the tensor it is tied to")
        state.setdefault(ours, tensor)
    firsts = {ours: name for name, ours in reversed(names.items())}
    misfits += [f"{firsts[ours]} is missing" for ours in shapes if ours not in state]
    misfits += [f"{name} is not known" for name in tensors if name not in {*names, *extra}]
    return Renamed(state, misfits)


def refuse(misfits: Collection[str], where: str, *, mend: str) -> None:
    """Raise InputError with all misfits, if there are any; of very many the first."""
    if misfits:
        first = "; ".join([*misfits][:MOST_NAMED])
        more = f"; and {len(misfits) - MOST_NAMED:,} more" if len(misfits) > MOST_NAMED else ""
        raise InputError(f"{where}: {first}{more}; {mend}")
