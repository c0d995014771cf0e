"""A hub on this machine, with a cache of its own, and no memory of what earlier tests fetched."""

import pytest
from loopback_hub import hub_here

from dnadiff.hub import download


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub that `hf:` means."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    download._download.cache_clear()
    with hub_here() as here:
        monkeypatch.setenv("HF_ENDPOINT", here.url)
        yield here
