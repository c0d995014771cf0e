"""dnadiff infill: gaps of a FASTA file, regions of a genome, and what is written of them."""

import re

import numpy as np
import pytest
from Bio import SeqIO
from Bio.Seq import Seq

from dnadiff import cli
from dnadiff.config import resolve
from dnadiff.errors import InputError
from dnadiff.tasks import infill
from dnadiff.tasks.vcf import Substitution, vcf_text

QUICK = ["sampler.steps=3"]


def settings_of(*words, **flags):
    return resolve(infill.InfillSettings, None, [*QUICK, *words], **flags)


@pytest.fixture
def folder(tmp_path):
    """A genome, regions of it, and a file with gaps."""
    generator = np.random.default_rng(1)
    bases = "".join(generator.choice(list("ACGTacgt"), 900))
    (tmp_path / "genome.fa").write_text(f">one\n{bases[:500]}\n>two words\n{bases[500:]}\n")
    (tmp_path / "regions.bed").write_text("one\t100\t160\ta\t0\t+\none\t0\t31\tb\t0\t-\ntwo\t370\t400\tc\t0\t-\n")
    (tmp_path / "gaps.fa").write_text(">first about it\nACGTNNnnRyACGUacgu\n>whole\nacgtTTTT\n>empty\n>last\nNNNN\n")
    return tmp_path


def texts(path):
    with open(path) as file:
        return {record.id: str(record.seq) for record in SeqIO.parse(file, "fasta")}


@pytest.mark.case(60)
def test_gaps_are_filled_in_their_case_and_all_else_stays(run, folder, caplog):
    caplog.set_level("INFO")
    vcf = folder / "edits.vcf"
    infill.run(settings_of(n=2), run, str(folder / "gaps.fa"), None, str(folder / "out.fa"), str(vcf))
    assert "U read as T" in caplog.text
    assert f"{folder / 'out.fa'}: 2 fillings of 2 records\n" in caplog.text
    n_rows = sum(not line.startswith("#") for line in vcf.read_text().splitlines())
    assert f"{vcf}: {n_rows} changed bases\n" in caplog.text
    assert "IUPAC" not in caplog.text  # they are obeyed
    found = texts(folder / "out.fa")
    assert list(found) == ["first_1", "first_2", "whole", "empty", "last_1", "last_2"]
    assert found["whole"] == "acgtTTTT"
    for name in ("first_1", "first_2"):
        assert re.fullmatch("ACGT[ACGT]{2}[acgt]{2}[AG][ct]ACGUacgu", found[name])
    header = (folder / "out.fa").read_text().splitlines()[0]
    assert re.fullmatch(r">first_1 model=step-\d+ sampler=ancestral .*steps=3 .*seed=0", header)


@pytest.mark.case(60)
def test_regions_are_filled_on_their_strands_and_edits_give_the_fasta_back(run, folder):
    genome, out, vcf = (str(folder / name) for name in ("genome.fa", "out.fa", "edits.vcf"))
    settings = settings_of("avoid=GAATTC,CG", n=3, seed=4)
    infill.run(settings, run, genome, str(folder / "regions.bed"), out, vcf)
    before, filled = texts(genome), texts(out)
    assert len(filled) == 9
    lines = [line.split("\t") for line in (folder / "edits.vcf").read_text().splitlines()]
    assert lines[0] == ["##fileformat=VCFv4.3"]
    rows = [line for line in lines if not line[0].startswith("#")]
    assert [(row[0], int(row[1])) for row in rows] == sorted((row[0], int(row[1])) for row in rows)
    for copy in (1, 2, 3):
        after = {name: list(text) for name, text in before.items()}
        for contig, position, _, ref, alt, *_, _, one, two, three in rows:
            old = after[contig][int(position) - 1]
            assert old.upper() == ref
            assert ref not in alt
            new = [ref, *alt.split(",")][int((one, two, three)[copy - 1])]
            after[contig][int(position) - 1] = new.lower() if old.islower() else new
        edited = {name: "".join(text) for name, text in after.items()}
        assert edited["one"][100:160] == filled[f"one:100-160_{copy}"]
        assert str(Seq(edited["one"][:31]).reverse_complement()) == filled[f"one:0-31(-)_{copy}"]
        assert str(Seq(edited["two"][370:]).reverse_complement()) == filled[f"two:370-400(-)_{copy}"]
        assert edited["one"][31:100] + edited["one"][160:] == before["one"][31:100] + before["one"][160:]
        assert "CG" not in edited["one"][99:161].upper()
        assert "CG" not in edited["one"][:32].upper() + "N" + edited["two"][369:].upper()


def test_codons_are_those_of_the_strand(run, folder):
    bed = folder / "gene.bed"
    bed.write_text("one\t102\t161\tgene\t0\t-\n")
    out = folder / "out.fa"
    infill.run(settings_of("codons=1", n=4), run, str(folder / "genome.fa"), str(bed), str(out), None)
    window = Seq(texts(folder / "genome.fa")["one"][101:163].upper()).reverse_complement()  # codons that it cuts too
    proteins = {
        str((window[:2] + text.upper() + window[-1:])[:60].translate()) for text in texts(out).values()
    }  # fmt: skip
    assert len(set(texts(out).values())) == 4
    assert proteins == {str(window[:60].translate())}


def test_the_same_regions_in_another_batch_are_filled_alike(run, folder, capsys):
    printed = []
    for batch_size in (1, 16):
        settings = settings_of(f"batch_size={batch_size}", "max_homopolymer=3", n=2)
        infill.run(settings, run, str(folder / "genome.fa"), str(folder / "regions.bed"), "-", None)
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert printed[0].count(">") == 6


def test_a_dry_run_checks_constraints_and_draws_nothing(run, folder):
    genome, bed = str(folder / "genome.fa"), str(folder / "regions.bed")
    assert re.search("3 records or regions, 121 bases to fill, 2 of each; all constraints can be kept",
                     infill.dry_run(settings_of("gc=[0.4,0.6]", n=2), run, genome, bed))  # fmt: skip
    with pytest.raises(InputError, match=r"one:0-31\(-\): contain=.* cannot be kept by any filling of its 31 bases"):
        infill.dry_run(settings_of("contain=ACGTACGTACGTACGTACGTACGTACGTACGTACGT"), run, genome, bed)


@pytest.mark.parametrize(
    ("words", "bed", "message"),
    [
        (["place=TATA@40"], "one\t100\t160\none\t200\t230\n", "one:200-230: place=TATA@40 reaches beyond its 30 bases"),
        ([], "one\t100\t160\none\t150\t230\n", "one:100-160 and one:150-230 overlap; merge them, or leave --vcf out"),
    ],
)
def test_bad_regions_are_found_before_anything_is_drawn(run, folder, monkeypatch, words, bed, message):
    monkeypatch.setattr(infill, "fill_sites", lambda *_, **__: pytest.fail("was drawn"))
    (folder / "bad.bed").write_text(bed)
    with pytest.raises(InputError, match=message):
        infill.run(
            settings_of(*words), run, str(folder / "genome.fa"), str(folder / "bad.bed"), "-", str(folder / "out.vcf")
        )


def test_a_file_without_gaps_and_one_too_long_are_refused(run, folder, monkeypatch):
    with pytest.raises(InputError, match="nothing to fill; write N or another IUPAC code where a base is wanted"):
        infill.dry_run(settings_of(), run, str(folder / "genome.fa"), None)
    monkeypatch.setattr(infill, "LONGEST", 10)
    with pytest.raises(
        InputError, match="'first' has 18 bases, too many to be seen at once; name the regions by --bed"
    ):
        infill.dry_run(settings_of(), run, str(folder / "gaps.fa"), None)


def test_a_place_that_cannot_be_written_is_found_before_anything_is_drawn(run, folder, monkeypatch):
    monkeypatch.setattr(infill, "fill_sites", lambda *_, **__: pytest.fail("was drawn"))
    with pytest.raises(InputError, match="is a folder; name a file to write"):
        infill.run(settings_of(), run, str(folder / "gaps.fa"), None, str(folder), None)


@pytest.mark.parametrize(
    ("named", "ref", "bed", "message"),
    [
        ([], None, None, "0 FASTA files are named; name one"),
        (["a.fa"], "b.fa", None, "2 FASTA files are named"),
        ([], "b.fa", None, "--ref b.fa: name the regions to fill by --bed"),
    ],
)
def test_which_file_is_meant_must_be_clear(named, ref, bed, message):
    with pytest.raises(InputError, match=message):
        infill.source(named, ref, bed)
    assert infill.source(["a.fa"], None, "x.bed") == infill.source([], "a.fa", "x.bed") == "a.fa"


def test_a_code_in_the_reference_is_the_first_of_its_bases():
    rows = [
        Substitution("b", 4, "R", ("A", "G")),
        Substitution("a", 2, "N", ("T", "C")),
        Substitution("b", 1, "W", ("A", "A")),
    ]
    lines = vcf_text({"b": 10, "a": 5}, rows, 2, "x=1").splitlines()
    assert lines[1:4] == ["##source=dnadiff infill x=1", "##contig=<ID=b,length=10>", "##contig=<ID=a,length=5>"]
    assert [line.split("\t") for line in lines[-2:]] == [
        ["b", "5", ".", "A", "G", ".", ".", ".", "GT", "0", "1"],
        ["a", "3", ".", "N", "C,T", ".", ".", ".", "GT", "2", "1"],
    ]
    assert len(lines) == 8


def test_the_verb_takes_a_file_or_a_genome_and_regions(run, folder, monkeypatch, capsys):
    def call(*words):
        monkeypatch.setattr("sys.argv", ["dnadiff", "infill", str(run), *map(str, words), *QUICK])
        with pytest.raises(SystemExit) as left:
            cli.main()
        return left.value.code, capsys.readouterr()

    code, printed = call(folder / "gaps.fa", "-n", 2, "ban=A")
    assert (code, printed.out.count(">")) == (0, 6)
    code, printed = call("--ref", folder / "genome.fa", "--bed", folder / "regions.bed", "--dry-run")
    assert (code, "3 records or regions" in printed.out) == (0, True)
    assert call(folder / "gaps.fa", "gc=[1,1]")[0] == 2
    code, printed = call("--print-config")
    assert (code, "max_homopolymer: null" in printed.out) == (0, True)
