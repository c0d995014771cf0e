"""Which kernel serves: it must be there, be able, and agree with the reference; agreement is remembered."""

from __future__ import annotations

import json

import pytest
import torch

from dnadiff.errors import InputError
from dnadiff.ops import trust
from dnadiff.ops.conv import CONV
from dnadiff.ops.native.build import BLOCK
from dnadiff.ops.scan import SCAN
from dnadiff.ops.trust import Kernel, Operation, choose, find_trouble

CPU = torch.device("cpu")


def double(x):
    return x * 2.0


def examples():
    yield {"x": torch.tensor([1.0, -2.0])}


class Fake:
    """A kernel with builds, of which some are wrong, and a count of its calls."""

    def __init__(self, *factors, name="fake", automatic=True, missing=None, limit=None):
        self.factors, self.calls = list(factors), 0
        self.kernel = Kernel(
            name=name,
            title=f"the {name} kernel",
            device="cpu",
            run=self.run,
            limits=lambda x: limit if x.numel() > 2 else None,
            missing=lambda: missing,
            mend="get one",
            build=lambda: f"times {self.factors[0]}",
            fall_back=self.fall_back,
            automatic=automatic,
        )

    def run(self, x):
        self.calls += 1
        if self.factors[0] is None:
            raise OSError("no\nroom")
        return x * self.factors[0]

    def fall_back(self):
        self.factors = self.factors[1:] or self.factors
        return len(self.factors) > 1 or self.factors == [2.0]


def operation(*fakes):
    trust.OPERATIONS["doubling"] = Operation("doubling", double, examples, tuple(fake.kernel for fake in fakes))
    return trust.OPERATIONS["doubling"]


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("DNADIFF_CACHE", str(tmp_path))
    find_trouble.cache_clear()
    yield tmp_path
    trust.OPERATIONS.pop("doubling", None)
    find_trouble.cache_clear()


def trouble_of(fake):
    """As another process would find it."""
    find_trouble.cache_clear()
    return find_trouble(operation(fake).name, "fake", CPU)


def chosen(op, implementation="auto", x=None):
    return choose(op, implementation, {"x": torch.ones(2) if x is None else x})


def test_the_first_kernel_that_agrees_serves():
    good, other = Fake(2.0), Fake(2.0, name="other")
    assert chosen(operation(good, other)) == good.run
    assert chosen(operation(good, other), "other") == other.run
    assert chosen(operation(good, other), "torch") is double


@pytest.mark.parametrize("factor", [2.01, float("nan")])
def test_a_wrong_kernel_is_named_and_the_next_serves(factor):
    bad, good = Fake(factor), Fake(2.0, name="good")
    with pytest.warns(
        RuntimeWarning, match=rf"the fake kernel of the doubling \(times {factor}\) is wrong on this machine"
    ):
        assert chosen(operation(bad, good)) == good.run
    with pytest.raises(
        InputError, match=r"doubling: no implementation 'fake' here: .* error .*; use implementation='auto'"
    ):
        chosen(operation(bad, good), "fake")


def test_a_kernel_that_raises_is_refused():
    with pytest.warns(RuntimeWarning, match=r"fails on this machine \(OSError: no\)"):
        assert chosen(operation(Fake(None))) is double


def test_a_wrong_build_falls_back_to_the_next():
    fake = Fake(3.0, None, 2.0)
    with pytest.warns(RuntimeWarning) as warned:
        assert chosen(operation(fake)) == fake.run
    assert [str(warning.message).partition(";")[0] for warning in warned] == [
        "the fake kernel of the doubling (times 3.0) is wrong on this machine (5.0e+03 times the error of rounding)",
        "the fake kernel of the doubling (times None) fails on this machine (OSError: no)",
    ]
    assert fake.run(torch.ones(1)) == 2.0


def test_what_is_missing_or_not_able_is_passed_over_without_a_word():
    missing, unable = Fake(2.0, missing="no compiler"), Fake(2.0, name="small", limit="takes two numbers")
    op = operation(missing, unable)
    assert chosen(op, x=torch.ones(3)) is double
    with pytest.raises(InputError, match="doubling: no implementation 'fake' here: no compiler; get one"):
        chosen(op, "fake")
    with pytest.raises(InputError, match="the small kernel takes two numbers; use implementation='auto'"):
        chosen(op, "small", torch.ones(3))
    assert missing.calls == 0


def test_some_kernels_serve_only_when_asked_for():
    fake = Fake(2.0, automatic=False)
    assert chosen(operation(fake)) is double
    assert chosen(operation(fake), "fake") == fake.run


def test_an_unknown_name_is_an_error():
    with pytest.raises(
        InputError, match=r"no implementation 'fak' \(did you mean 'fake'\?\); use one of auto, torch, fake"
    ):
        chosen(operation(Fake(2.0)), "fak")


def test_agreement_is_remembered_for_these_versions(cache, monkeypatch):
    fake = Fake(2.0)
    for _ in range(2):
        assert trouble_of(fake) is None
    assert fake.calls == 1
    (note,) = (cache / "kernels").iterdir()
    assert json.loads(note.read_text())["build"] == "times 2.0"
    monkeypatch.setattr(torch, "__version__", "0.0")
    trouble_of(fake)
    assert fake.calls == 2


def test_a_wrong_kernel_is_not_remembered(cache):
    fake = Fake(3.0)
    with pytest.warns(RuntimeWarning):
        trouble_of(fake)
    assert not (cache / "kernels").exists()


def test_a_damaged_note_is_not_believed(cache):
    fake = Fake(2.0)
    trouble_of(fake)
    (note,) = (cache / "kernels").iterdir()
    for content in (b"", b"\xff\xfe", b"{}"):
        note.write_bytes(content)
        trouble_of(fake)
    assert fake.calls == 4


def test_a_cache_that_cannot_be_written_is_no_error(cache, monkeypatch):
    (cache / "file").write_text("")
    monkeypatch.setenv("DNADIFF_CACHE", str(cache / "file"))
    fake = Fake(2.0)
    assert chosen(operation(fake)) == fake.run


def test_all_that_a_verdict_depends_on_is_in_its_note(monkeypatch):
    fake = Fake(2.0)
    names = {trust._note_of(operation(fake), fake.kernel, CPU).name}
    for change in (
        lambda: monkeypatch.setattr(trust, "_sources", lambda: "other"),
        lambda: monkeypatch.setattr(trust, "_processor", lambda: "other"),
        lambda: monkeypatch.setattr(torch, "__version__", "other"),
        lambda: fake.factors.insert(0, 3.0),
    ):
        change()
        names.add(trust._note_of(operation(fake), fake.kernel, CPU).name)
    assert len(names) == 5


@pytest.mark.parametrize("operation", [SCAN, CONV], ids=lambda operation: operation.name)
def test_examples_have_whole_blocks_of_channels_and_a_part_of_one(operation):
    """Kernels in C read the two differently."""
    for inputs in operation.examples():
        n_channels = inputs["x"].shape[2]
        assert n_channels > BLOCK
        assert n_channels % BLOCK
