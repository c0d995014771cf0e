"""Lightning's trainer as this package uses it: a device for each process, ended by signals between steps."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, Protocol

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import DDPStrategy
from torch import nn
from torch.optim.swa_utils import AveragedModel

from dnadiff.errors import InterruptedRun
from dnadiff.training.settings import OptimSettings, TrainSettings
from dnadiff.training.sharded import ShardedStrategy, local, shard
from dnadiff.world import ALONE, World

log = logging.getLogger("dnadiff")
_PRECISION: dict[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed"}
_STRATEGY: dict[str, Callable[[], DDPStrategy]] = {
    "ddp": partial(DDPStrategy, broadcast_buffers=False),
    "fsdp": ShardedStrategy,
}


class Stopper(Protocol):
    """A callback that can end a run."""

    def request_stop(self) -> None:
        """Ask for an end after the step in progress."""
        ...


def make_trainer(
    train: TrainSettings,
    callbacks: Sequence[Callback],
    *,
    here: World = ALONE,
    loggers: Sequence[Logger] = (),
    plugins: Sequence[Any] = (),
    **more: Any,
) -> Trainer:
    """A trainer of `train.max_steps` steps on the CUDA device of this process, else the CPU.

    Args:
        here: the processes that share each step.
    """
    trainer = Trainer(
        max_steps=train.max_steps, max_epochs=1, precision=_PRECISION[train.precision], accelerator=_accelerator(),
        callbacks=list(callbacks), logger=list(loggers), enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False, num_sanity_val_steps=0, **_placed(train, here, plugins), **more,
    )  # fmt: skip
    # Lightning's own handler of SIGTERM waits for all processes, though one alone may be told; and before every step it
    # asks all devices whether that was so.
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]
    return trainer


def _placed(train: TrainSettings, here: World, plugins: Sequence[Any]) -> dict[str, Any]:
    """Where the trainer runs; said in full, so that it does not guess from what a cluster puts into the environment."""
    if here.size == 1:
        device = [torch.cuda.current_device()] if torch.cuda.is_available() else 1
        return {"devices": device, "plugins": [LightningEnvironment(), *plugins]}
    return {
        "devices": here.local_size,
        "num_nodes": here.size // here.local_size,
        "strategy": _STRATEGY[train.strategy](),
        "plugins": [TorchElasticEnvironment(), *plugins],
    }


def moving_average(optim: OptimSettings) -> WeightAveraging | None:
    """The average of the weights that the settings ask for."""
    return None if optim.ema is None else MovingAverage(optim.decay)


class MovingAverage(WeightAveraging):
    """Lightning's average, taken in one call and without a word from the device."""

    def __init__(self, decay: Callable[[int], float]) -> None:
        """`decay`: of the average after so many steps."""
        super().__init__(torch.device(_accelerator()), use_buffers=False)
        self._decay = decay

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            self._average_model = _Averaged(pl_module, self._device, self._decay)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if isinstance(trainer.strategy, ShardedStrategy):
            assert self._average_model is not None
            shard(self._average_model.module)


class _Averaged(AveragedModel):
    """torch's, but that steps are counted by the host: torch asks the device for their number, many times a step."""

    def __init__(self, model: nn.Module, device: torch.device | int | None, decay: Callable[[int], float]) -> None:
        super().__init__(model, device)
        self.n_averaged = self.n_averaged.cpu()
        self._decay = decay

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """The first weights are taken as they are."""
        n_averaged = int(self.n_averaged)
        weight = 1.0 - self._decay(n_averaged) if n_averaged else 1.0
        mine, theirs = (list(map(local, each.parameters())) for each in (self.module, model))
        torch._foreach_lerp_(mine, theirs, weight)
        for buffer, other in zip(self.module.buffers(), model.buffers(), strict=True):
            buffer.copy_(other)
        self.n_averaged += 1


def _accelerator() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def stop_on_signal(stopper: Stopper, *, here: World = ALONE) -> Iterator[None]:
    """First Ctrl-C, SIGTERM or SIGUSR1: ask for an end after the step in progress. Second: stop at once.

    A scheduler sends SIGTERM, or SIGUSR1 where it was asked to, some time before it takes the machine away. Several
    processes get every signal twice, from the terminal and from torchrun, which ends them if they linger.

    Raises:
        InterruptedRun: it was stopped at once.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone may handle signals
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}

    trainer_pid = os.getpid()

    def handle(number: int, _: FrameType | None) -> None:
        if os.getpid() != trainer_pid:
            return  # a worker, which inherits the handler and ends with the trainer
        stopper.request_stop()
        if here.size > 1:
            log.warning("stopping after this step")
            return
        log.warning("stopping after this step; once more stops at once")
        for each in before:
            signal.signal(each, stop)

    def stop(number: int, _: FrameType | None) -> None:
        if os.getpid() != trainer_pid:
            return
        for worker in multiprocessing.active_children():
            worker.terminate()  # else one that is busy is waited for
        signal.signal(number, before[signal.Signals(number)])
        signal.raise_signal(number)

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # to which Lightning answers so
            raise InterruptedRun("stopped at once; the same command goes on from what was saved") from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def quiet() -> Iterator[None]:
    """Lightning's advice about loggers, workers and hardware is not for users of a preset."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
