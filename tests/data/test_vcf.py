"""VCF rows against a genome: what they mean, and why some mean nothing."""

import gzip

import numpy as np
import pytest
from Bio import bgzf
from genomes import open_fasta
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import silent_if_wrong
from small_rows import patient

from dnadiff import dna
from dnadiff.data.vcf import Variant, VcfFile
from dnadiff.errors import InputError

CHR1 = "GGACACACATTTTNACGTRCCAGT"
CHR2 = "AAAATG"
HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return open_fasta(tmp_path_factory.mktemp("genome"), f">chr1\n{CHR1}\n>chr2\n{CHR2.lower()}\n")


def rows_text(*rows):
    return HEADER + "".join(f"{chrom}\t{pos}\t.\t{ref}\t{alt}\t.\t.\t.\n" for chrom, pos, ref, alt in rows)


@pytest.fixture
def read(genome, tmp_path):
    def read(*rows, **how):
        path = tmp_path / "some.vcf"
        path.write_text(rows_text(*rows))
        return [shown(variant) for record in VcfFile(path, genome, **how).records() for variant in record.variants]

    return read


def shown(variant):
    if isinstance(variant, str):
        return variant
    ref, alt = (dna.decode(np.frombuffer(allele, np.uint8)) for allele in variant[2:])
    return (variant.contig, variant.start, ref, alt)


@pytest.mark.case(39)
@pytest.mark.parametrize(
    ("row", "found"),
    [
        (("chr1", 1, "G", "T"), [(0, 0, "G", "T")]),
        (("chr1", 24, "T", "A,c"), [(0, 23, "T", "A"), (0, 23, "T", "C")]),
        (("chr2", 5, "t", "g"), [(1, 4, "T", "G")]),
        (("chr1", 3, "ACA", "AGA"), [(0, 3, "C", "G")]),
        (("chr1", 3, "ACA", "TCT"), [(0, 2, "ACA", "TCT")]),
        (("chr1", 3, "AC", "TG"), [(0, 2, "AC", "TG")]),
        (("chr1", 7, "ACA", "A"), [(0, 2, "AC", "")]),
        (("chr1", 9, "AT", "ATTT"), [(0, 9, "", "TT")]),
        (("chr2", 4, "AT", "AAT"), [(1, 0, "", "A")]),
        (("chr2", 1, "AAAATG", "A"), [(1, 1, "AAATG", "")]),
        (("chr1", 3, "A", "T,*,<DEL>,.,G]chr2:3],NN,A"),
         [(0, 2, "A", "T"), "spanning", "symbolic", "no_alt", "symbolic", "unknown", "same"]),
        (("chr1", 3, "C", "T"), ["ref_mismatch"]),
        (("chr1", 14, "N", "T"), ["unknown"]),
        (("chr1", 14, "A", "T"), ["unknown"]),
        (("chr1", 19, "R", "T"), ["unknown"]),
        (("chr1", 3, "A!", "T"), ["unknown"]),
        (("chr1", 0, "A", "T"), ["position"]),
        (("chr1", 24, "TA", "T"), ["position"]),
        (("chr1", 10**12, "T", "A"), ["position"]),
        (("chr9", 3, "A", "T"), ["contig"]),
        (("chr1", 3, "A", "."), ["no_alt"]),
        (("chr1", 3, "A", ""), ["no_alt"]),
        (("chr1", 3, "", "A"), ["unknown"]),
        (("chr1", 1, "G", "TG"), [(0, 0, "", "T")]),
        (("chr1", 1, "GG", "G"), [(0, 0, "G", "")]),
        (("chr1", 1, "N", "<DUP:TANDEM>"), ["symbolic"]),
        (("chr1", 3, "A", "[chr2:3[A"), ["symbolic"]),
        (("chr1", 3, "A", "C."), ["symbolic"]),
        (("chr1", 25, "A", "C"), ["position"]),
    ],
)  # fmt: skip
def test_what_a_row_means(read, row, found):
    with silent_if_wrong():
        assert read(row) == found


@pytest.mark.case(39)
@settings(patient(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_all_ways_to_write_a_change_are_one_variant_and_make_it(read, data):
    """Every row that makes the same sequence is the same variant, and applying it makes that sequence."""
    start = data.draw(st.integers(0, 12))
    end = data.draw(st.integers(start, 13))
    alt = data.draw(st.text("ACGT", max_size=5))
    new = CHR1[:start] + alt + CHR1[end:13]
    if new in ("", CHR1[:13]):  # no row says either
        return
    rows = set()
    for first in range(13):
        for last in range(first + 1, 14):
            middle = new[first : len(new) - (13 - last)]
            is_same = CHR1[:first] + middle + CHR1[last:13] == new
            if is_same and middle and first <= len(new) - (13 - last):
                rows.add(("chr1", first + 1, CHR1[first:last], middle))
    found = set(read(*sorted(rows)))
    ((_, at, old, put),) = found
    with silent_if_wrong():
        assert CHR1[at : at + len(old)] == old
        assert CHR1[:at] + put + CHR1[at + len(old) : 13] == new


@pytest.mark.case(39)
def test_long_repeats_are_crossed_in_pieces(tmp_path):
    genome = open_fasta(tmp_path, ">c\n" + "T" + "CA" * 500 + "G\n")
    (tmp_path / "a.vcf").write_text(rows_text(("c", 1001, "A", "ACA"), ("c", 1000, "CA", "CACA")))
    found = [record.variants for record in VcfFile(tmp_path / "a.vcf", genome).records()]
    assert found == [[Variant(0, 1, b"", dna.encode("CA").tobytes())]] * 2


@pytest.mark.case(36, 39)
def test_other_names_of_contigs_are_read_when_asked(read):
    with pytest.raises(InputError, match=r"line 3: the genome calls '1' 'chr1'; set rename_contigs=true"):
        read(("1", 3, "A", "T"))
    assert read(("1", 3, "A", "T"), rename_contigs=True) == [(0, 2, "A", "T")]


@pytest.mark.case(39)
def test_rows_out_of_order_and_repeated_rows_stay_as_they_are(genome, tmp_path):
    rows = [("chr2", 5, "T", "G"), ("chr1", 24, "T", "A"), ("chr1", 3, "A", "T,<DEL>"), ("chr1", 3, "A", "T,<DEL>")]
    (tmp_path / "a.vcf").write_text(rows_text(*rows))
    found = list(VcfFile(tmp_path / "a.vcf", genome).records())
    assert [(*record.columns[:2], *record.columns[3:5]) for record in found] == [
        (c, str(p), r, a) for c, p, r, a in rows
    ]
    assert [len(record.variants) for record in found] == [1, 1, 2, 2]


@pytest.mark.case(39)
@pytest.mark.parametrize("opened", [gzip.open, bgzf.open])
def test_compressed_files_are_read_alike(genome, tmp_path, opened):
    with opened(tmp_path / "a.vcf.gz", "wb") as file:
        file.write(rows_text(("chr1", 3, "A", "T")).replace("\n", "\r\n").encode())
    (record,) = VcfFile(tmp_path / "a.vcf.gz", genome).records()
    assert shown(record.variants[0]) == (0, 2, "A", "T")
    assert record.columns == ["chr1", "3", ".", "A", "T", ".", ".", "."]


@pytest.mark.case(39)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: is no VCF file, which begins with ##fileformat"),
        ("chr1\t3\n", "line 1: is no VCF file"),
        ("##fileformat=VCFv4.2\nchr1\t3\t.\tA\tT\n", "line 1: the last line of the header must be #CHROM POS"),
        (HEADER + "chr1\t3\t.\tA\tT\n", "line 3: 5 columns where there must be 8 or more"),
        (HEADER + "chr1\tx3\t.\tA\tT\t.\t.\t.\n", "line 3: POS 'x3' is no whole number"),
        (HEADER + "chr1\t-3\t.\tA\tT\t.\t.\t.\n", "line 3: POS '-3' is no whole number"),
        (HEADER + "chr1\t3\ta\x1b[31m\tA\tT\t.\t.\t.\n", "line 3: holds a control character"),
    ],
)
def test_what_is_no_vcf_is_refused(genome, tmp_path, text, message):
    (tmp_path / "bad.vcf").write_text(text)
    with pytest.raises(InputError, match=message):
        list(VcfFile(tmp_path / "bad.vcf", genome).records())
