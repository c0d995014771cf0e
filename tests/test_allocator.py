"""What glibc keeps, told by the pages that a second request for the same memory has to fetch."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
from dnadiff.allocator import keep_memory, return_large_blocks

def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    b"x" * (64 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

{settings}
print(pages(), pages())
"""
KEPT, RETURNED = "keep_memory()", "keep_memory(); return_large_blocks()"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
@pytest.mark.parametrize(("settings", "kept"), [("return_large_blocks()", False), (KEPT, True), (RETURNED, False)])
def test_large_blocks_are_kept_until_they_are_to_go_back(settings: str, kept: bool) -> None:
    program = [sys.executable, "-c", PROGRAM.format(settings=settings)]
    first, again = map(int, subprocess.run(program, capture_output=True, text=True, check=True).stdout.split())
    assert first > 1000
    assert (again < first / 100) == kept
