"""Where a run happened: for manifests and `dnadiff doctor`."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

PACKAGES = ("dnadiff", "torch", "lightning", "numpy", "biopython", "scikit-learn", "safetensors")


def versions() -> dict[str, str]:
    """Versions of Python and of what figures depend on; packages that are missing are left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Processor, threads, devices."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "devices": [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())],
    }
