"""Work in parts: killed at any byte it goes on, shards meet, and nobody takes the parts of other work."""

import fcntl
from contextlib import suppress

import pytest

from dnadiff.errors import InputError, ResourceError
from dnadiff.inference.draws import Shard
from dnadiff.inference.parts import Part, Parts

CLAIM = {"model": "a", "settings": {"seed": 1}}
RECORDS = [b"", b"one", bytes(range(256)) * 3, b"\n{}\n", b"last"]


def made(parts, shard=Shard(), most=99):  # noqa: B008 - it is immutable
    """Numbers of the records that are made now."""
    seen = []

    def make(number):
        if len(seen) == most:
            raise KeyboardInterrupt
        seen.append(number)
        return RECORDS[number]

    with suppress(KeyboardInterrupt):
        parts.fill(shard, make, lambda _: None)
    return seen


@pytest.mark.parametrize("n_shards", [1, 2, 3, 7])
def test_records_of_all_shards_are_in_order(tmp_path, n_shards):
    parts = Parts.beside(tmp_path / "out", n_shards, CLAIM, len(RECORDS))
    numbers = []
    for number in range(n_shards, 0, -1):
        assert not parts.complete()
        shard = Shard(number, n_shards)
        numbers += made(parts, shard)
        assert parts.share(shard) == len(range(number - 1, 5, n_shards))
    assert sorted(numbers) == [0, 1, 2, 3, 4]
    assert parts.complete()
    assert list(parts.records()) == RECORDS
    parts.remove()
    assert not list(tmp_path.iterdir())


def test_shards_that_end_together_write_once_and_nobody_fails(tmp_path):
    fast, slow = (Parts.beside(tmp_path / "out", 2, CLAIM, len(RECORDS)) for _ in range(2))
    written = []

    def write(parts, between):
        copied = []
        for record in parts.records():
            between()
            copied.append(record)
        written.append(copied)

    made(fast, Shard(1, 2))
    assert not fast.finish(lambda: pytest.fail("a record is missing"))
    made(slow, Shard(2, 2))
    assert slow.finish(lambda: write(slow, lambda: fast.finish(lambda: write(fast, lambda: None))))
    assert not slow.finish(lambda: pytest.fail("nothing is left"))
    assert not list(tmp_path.iterdir())
    assert written == [RECORDS]


def test_what_is_cut_at_any_byte_goes_on(tmp_path):
    whole = Parts.beside(tmp_path / "whole", 1, CLAIM, len(RECORDS))
    made(whole)
    data = whole.files[0].path.read_bytes()
    for at in [*range(80), *range(80, len(data), 37)]:
        parts = Parts.beside(tmp_path / "cut", 1, CLAIM, len(RECORDS))
        parts.files[0].path.write_bytes(data[:at])
        n_whole = parts.files[0].count()
        assert made(parts) == list(range(n_whole, 5))
        assert parts.files[0].path.read_bytes() == data


def test_an_interrupted_shard_makes_nothing_twice(tmp_path):
    parts = Parts.beside(tmp_path / "out", 1, CLAIM, len(RECORDS))
    assert made(parts, most=2) == [0, 1]
    assert made(parts, most=1) == [2]
    assert made(parts) == [3, 4]
    assert list(parts.records()) == RECORDS


def test_parts_of_other_work_and_damaged_ones_are_refused(tmp_path):
    parts = Parts.beside(tmp_path / "out", 1, CLAIM, len(RECORDS))
    made(parts)
    other = Parts.beside(tmp_path / "out", 1, {**CLAIM, "settings": {"seed": 2}}, len(RECORDS))
    with pytest.raises(InputError, match=r"out.part-1-of-1: holds parts of other work \(settings.seed"):
        made(other)
    path = parts.files[0].path
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="is damaged; remove it"):
        made(parts)
    path.write_bytes(b"no claim\n")
    with pytest.raises(InputError, match="is damaged; remove it"):
        list(parts.records())


def test_a_length_that_cannot_be_is_not_read(tmp_path):
    part = Part(tmp_path / "a", CLAIM)
    with part.appending() as (_, append):
        append(b"one")
    with part.path.open("ab") as file:
        file.write(b"\xff" * 12)
    assert list(part.records()) == [b"one"]


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    parts = Parts.beside(tmp_path / "file" / "out", 1, CLAIM, 1)
    with pytest.raises(ResourceError, match="cannot be written"):
        made(parts)


def test_two_processes_do_not_share_a_part(tmp_path, monkeypatch):
    def refuse(*_):
        raise BlockingIOError

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with pytest.raises(ResourceError, match="another process is at work on it"):
        made(Parts.beside(tmp_path / "out", 1, CLAIM, 1))
