"""Odd wishes of sampling and filling on the command line: granted, or refused in one line, at once."""

import re
import sys

import pytest

from dnadiff import cli


@pytest.fixture
def call(run, genome, tmp_path, monkeypatch, capsys):
    """Exit code, standard output, standard error of a command; RUN, GENOME, FASTA and BED stand for paths."""

    def call(command, fasta="", bed=""):
        paths = {"RUN": run, "GENOME": genome, "FASTA": tmp_path / "x.fa", "BED": tmp_path / "x.bed"}
        (tmp_path / "x.fa").write_text(fasta)
        (tmp_path / "x.bed").write_text(bed)
        words = [str(paths.get(word, word)) for word in command.split()]
        monkeypatch.setattr(sys, "argv", ["dnadiff", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code or 0, *capsys.readouterr()

    return call


@pytest.mark.case(60)
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("sampler.temperature=0", 2, "sampler.temperature: input should be greater than 0 (found 0)"),
        ("sampler.temperature=nan", 2, "sampler.temperature: input should be"),
        ("sampler.temperature=-1", 2, "sampler.temperature: input should be greater than 0"),
        ("--steps 0", 2, "sampler.steps: input should be greater than or equal to 1 (found 0)"),
        ("--length 0", 2, "length: input should be greater than or equal to 1 (found 0)"),
        ("--length -7", 2, "length: input should be greater than or equal to 1 (found -7)"),
        ("-n -1", 2, "n: input should be greater than or equal to 0 (found -1)"),
        ("--seed -1", 2, "seed: input should be greater than or equal to 0 (found -1)"),
        ("--length 1000000000000 -n 1", 4, "out of memory; lower the batch size"),
        ("--label enhancer", 2, "label 'enhancer': the model was trained without classes; leave it out"),
    ],
)
def test_samples_that_cannot_be_are_refused(call, words, code, message):
    found, out, err = call(f"sample RUN {words}")
    assert (found, out) == (code, "")
    assert message in err
    assert "Traceback" not in err


@pytest.mark.case(60)
@pytest.mark.parametrize(("n", "length"), [(0, 12), (1, 1), (2, 63)])
def test_few_and_short_samples_are_drawn(call, n, length):
    code, out, _ = call(f"sample RUN -n {n} --length {length} --steps 3")
    assert code == 0
    assert re.findall(r"^[ACGT]+$", out.replace("\n\n", "\n"), re.MULTILINE) == [
        line for line in out.splitlines() if not line.startswith(">")
    ]
    assert len(re.sub(r"^>.*\n|\s", "", out, flags=re.MULTILINE)) == n * length


@pytest.mark.case(60)
@pytest.mark.parametrize(
    ("command", "fasta", "bed", "message"),
    [
        ("infill RUN FASTA", ">a\nACGTXNN\n", "", "'X' at position 4"),
        ("infill RUN FASTA", ">a\nAC GT1\n", "", "is not"),
        ("infill RUN FASTA", "", "", "the file is empty"),
        ("infill RUN FASTA", ">a\nACGT\n", "", "nothing to fill; write N"),
        ("infill RUN --ref GENOME --bed BED", "", "chrA\t5990\t6010\n", "beyond"),
        ("infill RUN --ref GENOME --bed BED", "", "chrA\t-1\t10\n", "-1"),
        (
            "infill RUN FASTA sampler.temperature=0",
            ">a\nNN\n",
            "",
            "sampler.temperature: input should be greater than 0",
        ),
        (
            "infill RUN FASTA sampler.steps=0",
            ">a\nNN\n",
            "",
            "sampler.steps: input should be greater than or equal to 1",
        ),
    ],
)
def test_gaps_that_cannot_be_are_refused(call, command, fasta, bed, message):
    code, out, err = call(command, fasta, bed)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.case(60)
def test_what_is_fixed_comes_out_as_it_was_byte_for_byte(call):
    given = "acgtNNACGTUuNRY-".replace("-", "")
    code, out, _ = call("infill RUN FASTA -n 3 sampler.steps=2", f">a\n{given}\n>b\nACGu\n")
    assert code == 0
    filled = [line for line in out.splitlines() if not line.startswith(">")]
    assert filled[-1] == "ACGu"
    for text in filled[:3]:
        assert re.fullmatch(given.replace("N", "[ACGT]").replace("R", "[AG]").replace("Y", "[CT]"), text)
