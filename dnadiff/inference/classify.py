"""A classifier on labelled rows: probabilities or numbers, and features for a linear probe."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dnadiff.batch import Batch
from dnadiff.data.labelled.examples import Examples, Layout
from dnadiff.data.leakage.ranges import Ints


def probabilities(
    model: nn.Module, examples: Examples, rows: Ints, layout: Layout, *, batch_size: int
) -> NDArray[np.float64]:
    """(n, classes): what a model says of some rows, on the device where it is; evaluation mode is the caller's.

    Of a model with a single output, (n, 1): the numbers that it predicts.
    """
    said = over_rows(model, examples, rows, layout, batch_size=batch_size, device=_device(model)).double()
    return (said if said.shape[1] == 1 else torch.softmax(said, dim=-1)).numpy()


def over_rows(
    function: Callable[[Batch], Tensor],
    examples: Examples,
    rows: Ints,
    layout: Layout,
    *,
    batch_size: int,
    device: torch.device,
    progress: Callable[[int], object] = lambda n_rows: None,
) -> Tensor:
    """What a function of batches gives for each row, (n, ...) float32 on the CPU; rows of like length share a batch."""
    order = np.argsort(examples.lengths[rows], kind="stable")
    parts = []
    with torch.no_grad():
        for start in range(0, len(rows), batch_size):
            batch = examples.batch(rows[order[start : start + batch_size]], layout)
            parts.append(function(batch.to(device)).float().cpu())
            progress(len(parts[-1]))
    together = torch.cat(parts)
    result = torch.empty_like(together)
    result[torch.from_numpy(order)] = together
    return result


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
