"""What holds for every test."""

import os

import hypothesis
import pytest
import torch

from dnadiff.hub import shipped

FEW_TRIALS = 2


def pytest_configure() -> None:
    """One thread: tensors are small, sums come out alike on every machine, a forked child meets no idle pool.

    Without a GPU Triton, if it is there, runs kernels in its interpreter; it looks for this when it is first imported.
    """
    torch.set_num_threads(1)
    hypothesis.settings.register_profile("patient", deadline=None)  # a busy machine is no mistake
    hypothesis.settings.register_profile("nightly", deadline=None, max_examples=5000)
    hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "patient"))
    if not torch.cuda.is_available():
        os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Nothing is left in the cache folder of the user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DNADIFF_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_model_ships(tmp_path_factory):
    """What is meant where no model is named does not hang on the weights that this package happens to hold."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped, "WEIGHTS", tmp_path_factory.mktemp("weights"))
        yield


@pytest.fixture(scope="session")
def trials():
    """How often a random fault is tried: `trials(20)` is 20 on the board of reliability, a few in the suite."""
    asked = os.environ.get("DNADIFF_TRIALS")
    return lambda full: min(FEW_TRIALS, full) if asked is None else full if asked == "full" else int(asked)
