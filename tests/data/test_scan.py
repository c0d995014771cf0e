"""What is refused in a FASTA file, and how it is said."""

import re
from pathlib import Path

import pytest
from bad_fasta import BAD
from genomes import open_fasta

from dnadiff.errors import InputError


@pytest.mark.case(21, 22, 23)
@pytest.mark.parametrize("block", [20, 1 << 21])
@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_without_guessing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, block: int
) -> None:
    content, message = BAD[case]
    monkeypatch.setattr("dnadiff.data.scan.BLOCK_BYTES", block)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        open_fasta(tmp_path, content)
    assert str(caught.value).startswith(str(tmp_path / "genome.fa"))
    assert "\n" not in str(caught.value)
    left = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert left <= {".fa", ".lock"}
