"""What tests of faults share."""

import subprocess

import pytest
from small_runs import PLAIN


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A run that nothing happens to."""
    return PLAIN.run(tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "small", folder]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
