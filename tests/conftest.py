"""What holds for every test."""

import torch


def pytest_configure() -> None:
    """One thread: tensors are small, sums come out alike on every machine, a forked child meets no idle pool."""
    torch.set_num_threads(1)
