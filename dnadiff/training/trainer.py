"""Lightning's trainer as this package uses it: one device, no logger of its own, ended by signals between steps."""

from __future__ import annotations

import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import nn
from torch.optim.swa_utils import AveragedModel

from dnadiff.training.settings import OptimSettings, TrainSettings

log = logging.getLogger("dnadiff")
_PRECISION: dict[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed"}


class Stopper(Protocol):
    """A callback that can end a run."""

    def request_stop(self) -> None:
        """Ask for an end after the step in progress."""
        ...


def make_trainer(train: TrainSettings, callbacks: Sequence[Callback], **more: Any) -> Trainer:
    """A trainer of `train.max_steps` steps on the first CUDA device, else the CPU."""
    return Trainer(
        max_steps=train.max_steps, max_epochs=1, precision=_PRECISION[train.precision], accelerator=_accelerator(),
        devices=1, callbacks=list(callbacks), logger=False, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False, num_sanity_val_steps=0, **more,
    )  # fmt: skip


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
        torch._foreach_lerp_(list(self.module.parameters()), list(model.parameters()), weight)
        for mine, other in zip(self.module.buffers(), model.buffers(), strict=True):
            mine.copy_(other)
        self.n_averaged += 1


def _accelerator() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def stop_on_signal(stopper: Stopper) -> Iterator[None]:
    """First Ctrl-C or SIGTERM: ask for an end after the step in progress. Second: stop at once."""
    if threading.current_thread() is not threading.main_thread():  # which alone may handle signals
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    trainer_pid = os.getpid()

    def handle(number: int, _: FrameType | None) -> None:
        if os.getpid() != trainer_pid:
            return  # a worker, which inherits the handler and ends with the trainer
        log.warning("stopping after this step; once more stops at once")
        stopper.request_stop()
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, handle)
    try:
        yield
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
