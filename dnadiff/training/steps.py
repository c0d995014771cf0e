"""Training data by optimiser step: item `s` is the batch of step `s` with its noise, a pure function of (seed, s).

So a resumed run needs one integer, workers cannot change the order, and ranks take their rows of the same batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from dnadiff.batch import Batch
from dnadiff.diffusion.noise import DEFAULT_TIMES, Noise, Times, draw_noise, spread_times
from dnadiff.errors import InputError
from dnadiff.rng import Stream, epoch_order, numpy_generator
from dnadiff.training.workers import located, outlive_signals

MOST_NAMED = 8  # windows in a message


class Rows(Protocol):
    """A split of a data set: rows of equal length, addressed by number."""

    @property
    def length(self) -> int:
        """Tokens in a row."""
        ...

    @property
    def labels(self) -> np.ndarray | None:
        """(rows,) int64 class of each; None without."""
        ...

    def __len__(self) -> int: ...

    def rows(self, indices: np.ndarray, *, epoch: int | None) -> np.ndarray:
        """(n,) -> (n, length) tokens, augmented as epoch `epoch` does; None leaves them as they are."""
        ...

    def place(self, index: int) -> str:
        """Where a row comes from, for messages."""
        ...

    def parts(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Parts of the data that have figures of their own, such as contigs: which of the rows are of each, by name."""
        ...


@dataclass(frozen=True)
class StepBatch:
    """What one rank needs for one optimiser step."""

    step: int
    indices: Tensor  # (batch,) int64, which windows these are
    batch: Batch
    noise: Noise

    def rows(self, start: int, stop: int) -> tuple[Batch, Noise]:
        return self.batch.rows(start, stop), self.noise.rows(start, stop)

    def to(self, device: torch.device) -> StepBatch:
        return replace(self, batch=self.batch.to(device), noise=self.noise.to(device))

    def pin_memory(self) -> StepBatch:
        """In memory that a GPU reads by itself, so that `to` does not make the host wait."""
        return replace(self, batch=self.batch.pin_memory(), noise=self.noise.pin_memory())


class StepDataset(Dataset[StepBatch]):
    """Batches by step number, in an order that visits every window once per epoch."""

    def __init__(
        self,
        rows: Rows,
        *,
        seed: int,
        batch_size: int,
        n_uniforms: int = 1,
        times: Times = DEFAULT_TIMES,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._rows, self._seed, self._batch_size = rows, seed, batch_size
        self._n_uniforms, self._times = n_uniforms, times
        per_rank, left_over = divmod(batch_size, world_size)
        if left_over:
            raise InputError(
                f"train.batch_size ({batch_size}) cannot be shared by {world_size} devices; choose a multiple of them"
            )
        self._mine = slice(rank * per_rank, (rank + 1) * per_rank)
        self._orders: dict[int, np.ndarray] = {}

    @property
    def length(self) -> int:
        """Tokens in a row."""
        return self._rows.length

    def __getitem__(self, step: int) -> StepBatch:
        generator = numpy_generator(self._seed, Stream.NOISE, step)
        noise = draw_noise(
            generator, self._batch_size, self._rows.length, n_uniforms=self._n_uniforms, times=self._times
        )
        epochs, indices = self._chosen(step)
        tokens = np.empty((len(indices), self._rows.length), dtype=np.int64)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            tokens[here] = self._read(indices[here], int(epoch))
        mine = noise.rows(self._mine.start, self._mine.stop)
        batch = Batch(torch.from_numpy(tokens), label=_labels(self._rows, indices))
        return StepBatch(step, torch.from_numpy(indices), batch, mine)

    def describe(self, step: int) -> str:
        """What a step reads, for messages."""
        _, indices = self._chosen(step)
        named = ", ".join(self._name(index) for index in indices[:MOST_NAMED].tolist())
        more = f" and {len(indices) - MOST_NAMED} more" if len(indices) > MOST_NAMED else ""
        return f"step {step + 1}, windows {named}{more}"

    def _read(self, indices: np.ndarray, epoch: int) -> np.ndarray:
        """(n, length) tokens; an error names the first row that cannot be read."""
        try:
            return self._rows.rows(indices, epoch=epoch)
        except Exception:
            for index in indices:
                try:
                    self._rows.rows(index[None], epoch=epoch)
                except Exception as error:
                    raise located(error, f"window {self._name(int(index))}") from error
            raise

    def _name(self, index: int) -> str:
        return f"{index} ({self._rows.place(index)})"

    def _chosen(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """(n,) epochs and (n,) numbers of the rows that this rank reads for a step."""
        positions = np.arange(step * self._batch_size, (step + 1) * self._batch_size)[self._mine]
        epochs, places = np.divmod(positions, len(self._rows))
        indices = np.empty_like(places)
        for epoch in np.unique(epochs):
            indices[epochs == epoch] = self._order(int(epoch))[places[epochs == epoch]]
        return epochs, indices

    def _order(self, epoch: int) -> np.ndarray:
        if epoch not in self._orders:  # only the current one is kept: a large genome has millions of windows
            self._orders = {epoch: epoch_order(self._seed, epoch, len(self._rows))}
        return self._orders[epoch]


class StepSampler(Sampler[int]):
    """Steps `start` to `stop`; its length counts all of them from zero, as the trainer does."""

    def __init__(self, start: int, stop: int) -> None:
        self._start, self._stop = start, stop

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._start, self._stop))

    def __len__(self) -> int:
        return self._stop


class Steps(Protocol):
    """Batches by step number."""

    def __getitem__(self, step: int) -> StepBatch: ...

    def describe(self, step: int) -> str:
        """What a step reads, for messages."""
        ...


class StepLoader(DataLoader[StepBatch]):
    """Reads steps ahead. Its position is where it was told to start, so there is no state to restore."""

    def __init__(self, steps: Steps, *, start: int, stop: int, workers: int, timeout: float = 0) -> None:
        """`timeout`: seconds after which a step that a worker does not give is an error; 0: never."""
        super().__init__(
            _OrError(steps), batch_size=None, sampler=StepSampler(start, stop), num_workers=workers,
            pin_memory=torch.cuda.is_available(), timeout=timeout if workers else 0, worker_init_fn=outlive_signals,
        )  # fmt: skip

    def __iter__(self) -> Any:
        for item in super().__iter__():
            if isinstance(item, Exception):
                raise item
            yield item

    def check_worker_number_rationality(self) -> None:
        """No advice on a machine with fewer cores than a preset has workers: what is read does not depend on them."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to load: the order is a function of the step."""


@dataclass(frozen=True)
class _OrError(Dataset[Any]):
    """Steps, or the error that one ended in: thrown in a worker, it would come with a traceback for a message."""

    steps: Steps

    def __getitem__(self, step: int) -> StepBatch | Exception:
        try:
            return self.steps[step]
        except Exception as error:
            return located(error, f"step {step + 1}")


def validation_batches(
    rows: Rows, *, seed: int, n_windows: int, batch_size: int, n_uniforms: int = 1
) -> list[tuple[Batch, Noise]]:
    """Evenly spread windows with their noise: the same at every validation, so that figures compare."""
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(n_windows, len(rows))).round().astype(np.int64))
    tokens = torch.from_numpy(rows.rows(chosen, epoch=None).astype(np.int64))
    batch = Batch(tokens, label=_labels(rows, chosen))
    generator = numpy_generator(seed, Stream.EVALUATE)
    times = torch.from_numpy(spread_times(generator, len(chosen)))
    noise = Noise(times, torch.from_numpy(generator.random((len(chosen), n_uniforms, rows.length))))
    starts = range(0, len(chosen), batch_size)
    return [(batch.rows(start, start + batch_size), noise.rows(start, start + batch_size)) for start in starts]


def _labels(rows: Rows, indices: np.ndarray) -> Tensor | None:
    return None if rows.labels is None else torch.from_numpy(rows.labels[indices])
