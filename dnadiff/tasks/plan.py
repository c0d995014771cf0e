"""What a training needs on GPUs that are not there: memory, time and room, by arithmetic.

Activations are counted: a loss is traced on tensors that have shapes and no numbers, and what autograd keeps of it is
added up, with the kernels of this machine. The speed of a GPU is an assumption, `plan.tokens_per_second`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from dnadiff.batch import Batch
from dnadiff.diffusion.noise import Noise
from dnadiff.errors import InputError
from dnadiff.model import DiffusionModel
from dnadiff.tasks.settings import TrainConfig
from dnadiff.training.settings import OptimSettings

TRACED = 256  # letters of a window; what is kept is in proportion to them
WEIGHT = 4  # bytes: weights, gradients, moments and average are float32 whatever the precision of products
MIB, GIB = 2**20, 2**30


class Kept(NamedTuple):
    """Bytes that one more window adds to what is held for the backward pass.

    Attributes:
        plain: of all activations.
        recomputed: with `train.recompute`: the inputs of all blocks, and all of one.
    """

    plain: int
    recomputed: int


def plan(settings: TrainConfig, n_parameters: int, kept: Kept) -> dict[str, Any]:
    """Memory of a GPU, hours, and room on the disk; numbers have their unit in their name.

    Raises:
        InputError: the batch cannot be shared by so many.
    """
    train, devices = settings.train, settings.plan.devices
    windows, left_over = divmod(train.batch_size, devices)
    if left_over:
        raise InputError(f"plan.devices ({devices}) cannot share train.batch_size ({train.batch_size}) evenly")
    at_once = min(train.micro_batch or windows, windows)
    memory = {name: bytes_ * n_parameters for name, bytes_ in bytes_per_parameter(settings).items()}
    memory["activations"] = at_once * (kept.recomputed if train.recompute else kept.plain)
    tokens = train.max_steps * train.batch_size * settings.data.length
    speed = settings.plan.tokens_per_second
    checkpoint = (3 + (settings.optim.ema is not None)) * WEIGHT * n_parameters
    return {
        "devices": devices,
        "windows_at_once": at_once,
        "mib_per_window": round(kept.plain / MIB, 2),
        "mib_per_window_recomputed": round(kept.recomputed / MIB, 2),
        "memory_mib_of_a_device": {name: round(value / MIB) for name, value in memory.items()},
        "memory_gib_of_a_device": round(sum(memory.values()) / GIB, 2),
        "tokens": tokens,
        "tokens_per_second_assumed": None if speed is None else speed * devices,
        "hours": None if speed is None else round(tokens / (speed * devices) / 3600, 1),
        "checkpoint_mib": round(checkpoint / MIB),
        "checkpoints_gib": round((train.keep + 1) * checkpoint / GIB, 2),  # the newest and the best
    }


def bytes_per_parameter(settings: TrainConfig) -> dict[str, float]:
    """On one device, by what they hold."""
    devices, held = settings.plan.devices, _held(settings.optim)
    if settings.train.strategy == "fsdp":
        return {name: bytes_ / devices for name, bytes_ in held.items()}
    return {**held, **({"exchange": WEIGHT} if devices > 1 else {})}


def kept_per_window(model: DiffusionModel, settings: TrainConfig) -> Kept:
    """See `Kept`."""
    half, length = settings.train.precision == "bf16", settings.data.length
    _loss(model, 1, 16)  # a kernel is compared with the definition when it is first needed, which takes numbers
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        try:
            with FakeTensorMode(allow_non_fake_inputs=True):
                one, two = (traced(model, n_rows, min(length, TRACED)) for n_rows in (1, 2))
        except (DataDependentOutputException, DynamicOutputShapeException):  # what is scored depends on numbers
            one, two = (traced(model, n_rows, min(length, TRACED)) for n_rows in (1, 2))
    share = max(1.0, length / TRACED)
    return Kept(round((two.plain - one.plain) * share), round((two.recomputed - one.recomputed) * share))


def _held(optim: OptimSettings) -> dict[str, float]:
    held = {"weights": WEIGHT, "gradients": WEIGHT, "moments": 2 * WEIGHT}
    return {**held, **({} if optim.ema is None else {"average": WEIGHT})}


def traced(model: DiffusionModel, n_rows: int, length: int) -> Kept:
    """Bytes that are kept of a loss, constants and weights included."""
    ledger, blocks, handles = _Ledger(), list(model.network.blocks), []
    for block in blocks:
        handles += [block.register_forward_pre_hook(ledger.enter), block.register_forward_hook(ledger.leave)]
    try:
        with saved_tensors_hooks(ledger.keep, lambda tensor: tensor):
            _loss(model, n_rows, length)
    finally:
        for handle in handles:
            handle.remove()
    inside = ledger.inside
    return Kept(ledger.total, ledger.total - sum(inside) + sum(ledger.inputs) + max(inside, default=0))


class _Ledger:
    """Bytes that autograd keeps, each storage once, and which of them it keeps inside blocks."""

    def __init__(self) -> None:
        self.total = 0
        self.inputs: list[int] = []
        self.inside: list[int] = []
        self._storages: dict[int, Tensor] = {}  # held, so that no other takes its place

    def keep(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._storages:
            self._storages[storage._cdata] = tensor
            self.total += storage.nbytes()
        return tensor

    def enter(self, block: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.inputs.append(inputs[0].nbytes)
        self.inside.append(-self.total)

    def leave(self, block: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        self.inside[-1] += self.total


def _loss(model: DiffusionModel, n_rows: int, length: int) -> Tensor:
    tokens = torch.full((n_rows, length), model.vocab.letters[0])
    label = torch.zeros(n_rows, dtype=torch.int64) if model.config.model.labels else None
    noise = Noise(torch.full((n_rows,), 0.5), torch.full((n_rows, model.objective.n_uniforms, length), 0.5))
    return model.loss(Batch(tokens, label=label), noise).nats.sum()
