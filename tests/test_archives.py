"""Archives of others: opened in bounded time and memory, or refused; what may be opened is read as it is."""

import resource
import struct
import time
import zipfile
from pathlib import Path

import pytest
from torch.torch_version import TorchVersion

from dnadiff import archives
from dnadiff.archives import open_zip, require_safe_torch
from dnadiff.errors import ResourceError


def write_list(path: Path, n_entries: int) -> None:
    """An archive that lists so many members, all at the same place; its end says that there is one."""
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    n_bytes = n_entries * len(entry)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, n_bytes, 0, 0)
    path.write_bytes(entry * n_entries + end)


@pytest.mark.case(52)
def test_a_list_of_a_million_members_is_refused_at_once_whatever_the_archive_says_of_their_number(tmp_path):
    write_list(tmp_path / "a.zip", 3)
    assert len(open_zip(tmp_path / "a.zip").infolist()) == 3
    write_list(tmp_path / "b.zip", 1_000_000)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(zipfile.BadZipFile, match="its list of members has 47,000,000 bytes, more than 41,943,040"):
        open_zip(tmp_path / "b.zip")
    assert time.process_time() - began < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


@pytest.mark.case(52)
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "HARMLESS_BYTES", 1 << 20)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(20):
            archive.writestr(f"{number}.txt", b"A" * (1 << 20))
    with pytest.raises(zipfile.BadZipFile, match="it would unpack to 20,971,520 bytes, more than 100 times its size"):
        open_zip(tmp_path / "bomb.zip")


def test_what_grows_as_text_does_is_opened(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "good.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", b"ACGT" * 100)
    monkeypatch.setattr(archives, "MOST_LIST_BYTES", 1000)
    monkeypatch.setattr(archives, "HARMLESS_BYTES", 0)
    assert open_zip(tmp_path / "good.zip").read("a.txt") == b"ACGT" * 100


@pytest.mark.case(50)
@pytest.mark.parametrize(("version", "is_safe"), [("2.9.1", False), ("2.10.0", True), ("2.13.0+cpu", True)])
def test_a_torch_that_reads_pickles_unsafely_is_not_used_for_it(monkeypatch, version, is_safe):
    monkeypatch.setattr("torch.__version__", TorchVersion(version))
    if is_safe:
        require_safe_torch()
        return
    with pytest.raises(
        ResourceError, match=r"torch 2\.9\.1 may run what a checkpoint hides; pip install 'torch>=2\.10'"
    ):
        require_safe_torch()
