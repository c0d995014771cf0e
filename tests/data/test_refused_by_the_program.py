"""Bad files end a command with code 2 and one line that names them, and leave nothing behind."""

import gzip
import os

import pytest
from bad_fasta import BAD
from genomes import fasta_text, random_bases

from dnadiff import cli


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """What a command says that must be refused."""

    def refused(*words: str) -> str:
        cache = tmp_path / "cache"
        monkeypatch.setenv("DNADIFF_CACHE", str(cache))
        monkeypatch.setattr("sys.argv", ["dnadiff", *words])
        before = sorted(tmp_path.iterdir())
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, message = capsys.readouterr()
        assert (stop.value.code, out, message.count("\n")) == (2, "", 1), message
        assert [path for path in sorted(tmp_path.iterdir()) if path != cache] == before
        return message

    return refused


@pytest.fixture
def genome(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(fasta_text({"chr1": random_bases(3000), "chrM": random_bases(200, seed=1)}))
    return str(path)


@pytest.mark.case(21, 22, 23)
@pytest.mark.parametrize("case", BAD)
def test_what_is_no_fasta(tmp_path, refused, case):
    path, content = tmp_path / "genome.fa", BAD[case][0]
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    assert refused("windows", "--ref", str(path)).startswith(f"dnadiff: {path}: ")
    assert {each.suffix for each in (tmp_path / "cache").rglob("*") if each.is_file()} == {".lock"}


@pytest.mark.case(21, 33)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("folder", "is a folder; give the path of a file"),
        ("pipe", "is not a regular file (a pipe or device); write it to a file first"),
        ("loop", "cannot be read (Too many levels of symbolic links); check the path"),
        ("absent", "cannot be read (No such file or directory); check the path"),
        ("-x.fa", "cannot be read (No such file or directory); check the path"),
        ("C:\\x\\y.fa", "cannot be read (No such file or directory); check the path"),
        ("$HOME", "cannot be read (No such file or directory); check the path"),
        ("~nobody-of-that-name/x.fa", "cannot be read (Could not determine home directory.); check the path"),
        ("http://127.0.0.1:9/x.fa", "is a URL; download the file first and give its path"),
        ("file:///etc/passwd", "is a URL; download the file first and give its path"),
    ],
)
def test_what_is_no_file(tmp_path, refused, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    assert refused("windows", "--ref", name).endswith(f"{name}: {message}\n")


@pytest.mark.case(33)
def test_the_home_of_nobody_in_any_argument(refused):
    message = refused("audit", "~nobody-of-that-name/a.fa", "b.fa")
    assert message == "dnadiff: a path begins with ~ and a name that nobody has here; write the folder out\n"


@pytest.mark.case(33)
@pytest.mark.parametrize("name", ["-x.fa", "--help", "with space.fa", "génome 名.fa", "$HOME.fa", "C:x.fa", "a=b.fa"])
def test_an_odd_name_is_a_name(tmp_path, genome, monkeypatch, capsys, name):
    os.rename(genome, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DNADIFF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sys.argv", ["dnadiff", "windows", f"--ref={name}", "data.length=64"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    assert "chr1" in capsys.readouterr().out


@pytest.mark.case(35, 36, 37)
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("chr1\t-1\t64\n", "line 1: start -1 is negative; BED counts from 0"),
        ("chr1\t64\t10\n", "line 1: end 10 is not beyond start 64"),
        ("chr1\t64\t64\n", "line 1: end 64 is not beyond start 64"),
        ("chr1\t2900\t3001\n", "line 1: end 3001 is beyond 'chr1', which has 3000 bases (is the BED of another"),
        ("chr7\t0\t64\n", "line 1: contig 'chr7' is not in the genome"),
        ("1\t0\t64\n", "contig '1' is not in the genome, which has 'chr1'; set data.rename_contigs=true"),
        ("MT\t0\t64\n", "contig 'MT' is not in the genome, which has 'chrM'; set data.rename_contigs=true"),
        ("chr1\tx\t64\n", "line 1: start 'x' is not a whole number in plain digits"),
        ("chr1\t1\t1e20\n", "line 1: end '1e20' is not a whole number in plain digits"),
        ("chr1\t1\t" + "9" * 5000 + "\n", "line 1: end '99999"),
        ("chr1\t1,000\t2,000\n", "line 1: start '1,000' is not a whole number in plain digits"),
        ("chr1\t9\t1\n" * 7, "7 bad rows in all; mend them, or set data.on_bad=skip"),
        ("", "no intervals; a row is contig, start and end, separated by tabs"),
        ("# only\ntrack name=x\n", "no intervals"),
        ("\0" * 99, "line 1: 1 columns where a row has contig, start and end"),
        ("x" * 10**6, "line 1: 1 columns where a row has contig, start and end"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_what_is_no_bed(tmp_path, genome, refused, rows, message, pack):
    path = tmp_path / "rows.bed"
    path.write_bytes(pack(rows.encode()))
    said = refused("windows", "--ref", genome, "--bed", str(path), "data.length=64")
    assert said.startswith(f"dnadiff: {path}: ")
    assert message in said
    assert len(said) < 1500
