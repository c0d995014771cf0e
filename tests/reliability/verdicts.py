"""What pytest found, case by case. A case passes only if all of its tests passed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.reliability.board import CASES, TIERS

MARK = re.compile(r"mark\.case\(([\d, ]+)\)")


class Verdict(StrEnum):
    """How a case stands; the first that applies."""

    SILENT = "SILENTLY WRONG"
    FAILED = "FAILED"
    SKIPPED = "skipped"
    PASSED = "passed"
    UNTRIED = "untried"


class Tried(NamedTuple):
    """One test, or one phase of it."""

    verdict: Verdict
    seconds: float


class Verdicts:
    """A pytest plugin: runs the tests of some cases, and remembers what became of them."""

    def __init__(self, chosen: Iterable[int]) -> None:
        self._chosen = set(chosen)
        self._tried: dict[int, list[Tried]] = defaultdict(list)

    def of(self, case: int) -> Verdict:
        found = {tried.verdict for tried in self._tried[case]}
        return next((verdict for verdict in Verdict if verdict in found), Verdict.UNTRIED)

    def seconds(self, case: int) -> float:
        return sum(tried.seconds for tried in self._tried[case])

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        others = [item for item in items if not self._chosen & numbers(item)]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if self._chosen & numbers(item)]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]):
        report = yield
        verdict = Verdict(report.outcome if report.outcome != "failed" else Verdict.FAILED)
        if call.excinfo is not None and call.excinfo.typename == "SilentlyWrong":
            verdict = Verdict.SILENT
        for case in numbers(item):
            self._tried[case].append(Tried(verdict, report.duration))
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector):
        """A file that is skipped or broken as a whole has no tests that could say so."""
        report = yield
        if isinstance(collector, pytest.File) and not report.passed:
            for case in numbers_in(collector.path):
                self._tried[case].append(Tried(Verdict.SKIPPED if report.skipped else Verdict.FAILED, 0.0))
        return report


def numbers(item: pytest.Item) -> set[int]:
    """Of the cases that a test tries."""
    return {number for mark in item.iter_markers("case") for number in mark.args}


def numbers_in(path: Path) -> set[int]:
    """Of the cases that the tests of a file try."""
    found = MARK.findall(path.read_text(encoding="utf-8"))
    return {int(number) for numbers in found for number in numbers.split(",")}


def table(verdicts: Verdicts, chosen: Iterable[int]) -> list[str]:
    """A line for each case, then the figures."""
    cases = sorted(chosen)
    of = {case: verdicts.of(case) for case in cases}
    lines = [
        f"{case:2} {CASES[case].tier} {of[case]:14} {verdicts.seconds(case):6.1f} s  {CASES[case].promise}"
        for case in cases
    ]
    passed = [case for case in cases if of[case] is Verdict.PASSED]
    figures = [f"passed {len(passed)}/{len(cases)}"]
    for tier in TIERS:
        own = [case for case in cases if CASES[case].tier == tier]
        figures.append(f"tier {tier} {len(set(own) & set(passed))}/{len(own)}")
    silent = sum(verdict is Verdict.SILENT for verdict in of.values())
    return [*lines, "  ".join([*figures, f"silent_wrong {silent}"])]
