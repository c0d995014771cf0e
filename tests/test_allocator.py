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

return_large_blocks()  # nothing was kept yet: says nothing to glibc
keep_memory()
first, again = pages(), pages()
return_large_blocks()
print(first, again, (pages(), pages())[1])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_large_blocks_are_kept_until_they_are_to_go_back() -> None:
    said = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    first, again, returned = map(int, said.split())
    assert first > 1000
    assert again < first / 100
    assert returned > first / 2
