"""Where derived files go."""

from pathlib import Path

import pytest

from dnadiff.cache import cache_folder, locked
from dnadiff.errors import ResourceError
from dnadiff.files import TEMPORARY


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DNADIFF_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def test_the_order_of_preference(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == tmp_path / "home" / ".cache" / "dnadiff"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "dnadiff"
    monkeypatch.setenv("DNADIFF_CACHE", "~/mine")
    assert cache_folder() == tmp_path / "home" / "mine"
    assert cache_folder().is_dir()


def test_a_home_that_cannot_be_written_gives_a_private_temporary_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "home").write_text("a file where a folder should be")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = cache_folder()
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
    assert cache_folder() == folder
    assert "cannot write here" in caplog.text


def test_a_temporary_folder_that_others_can_write_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cache_folder().chmod(0o777)
    assert cache_folder().stat().st_mode & 0o777 == 0o700


def test_a_chosen_folder_that_cannot_be_written_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DNADIFF_CACHE", str(tmp_path / "file"))
    with pytest.raises(ResourceError, match="file: cannot write here; name a writable cache folder with"):
        cache_folder()


def test_whoever_holds_the_lock_removes_what_killed_holders_left(tmp_path: Path) -> None:
    path = tmp_path / "genome[1]-ab"
    left = [tmp_path / f"{TEMPORARY}7-{path.name}{end}" for end in ("", ".index", "-old")]
    others = [tmp_path / f"{TEMPORARY}7-genome[1]-abc", tmp_path / f"{TEMPORARY}7-genome1-ab", path]
    left[0].mkdir()
    (left[0] / "weights").write_text("half")
    for file in [*left[1:], *others]:
        file.write_text("")
    with locked(path):
        assert not any(each.exists() for each in left)
    assert all(each.exists() for each in others)
