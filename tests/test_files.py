import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from dnadiff.errors import ResourceError
from dnadiff.files import TEMPORARY, remove_unfinished, sha256, unfinished, write_text


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "old")

    def fail():
        with unfinished(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == ["a.txt"]


def test_a_folder_replaces_a_folder(tmp_path):
    for text in ("one", "two"):
        with unfinished(tmp_path / "folder") as temporary:
            temporary.mkdir()
            (temporary / text).write_text(text)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["two"]


def test_files_are_flushed_before_they_get_their_name(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, os.replace
    name = lambda fd: os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))  # noqa: E731
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append(name(fd)), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append("rename"), replace(a, b)))
    write_text(tmp_path / "a.txt", "text")
    assert order[0].startswith(TEMPORARY)
    assert order[0].endswith("-a.txt")
    assert order[1:] == ["rename", tmp_path.name]


def test_writers_of_the_same_number_do_not_meet(tmp_path):
    """As in two containers that share a folder, here two threads."""

    def work(text):
        for _ in range(40):
            write_text(tmp_path / "a.txt", text * 1000)
            assert (tmp_path / "a.txt").read_text() in ("a" * 1000, "b" * 1000)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(work, text) for text in "ab"]:
            done.result()
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_killed_writers_left_is_removed(tmp_path):
    (tmp_path / f"{TEMPORARY}1-a").mkdir()
    (tmp_path / f"{TEMPORARY}1-b").write_text("")
    (tmp_path / "kept").write_text("")
    remove_unfinished(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_place_that_cannot_be_written_is_said_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match=r"cannot be written .*choose a folder"):
        write_text(tmp_path / "file" / "a.txt", "")


def test_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a").startswith("ba7816bf")
