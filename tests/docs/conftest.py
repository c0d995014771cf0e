"""A place where every file and run that the pages name is there, and tiny."""

import gzip
import shutil

import numpy as np
import pytest

import dnadiff
from dnadiff.hub import shipped
from dnadiff.tasks import train
from dnadiff.tasks.settings import resolve

CONTIGS = (
    "chr1",
    "chr20",
    "chr21",
    "chr17",
    "chrXV",
    "chrI",
    "chrIV",
    "chrV",
    "chrXVI",
    "chrM",
    "chr22",
    "chr8",
    "chr9",
)
BASES = 1600
SMALL = [
    "train.max_steps=2", "train.batch_size=8", "train.micro_batch=null", "train.validate_every=2",
    "train.checkpoint_every=2", "train.valid_windows=4", "evaluate.max_windows=4", "evaluate.sweeps=2", "sample.n=12",
    "sample.sampler.steps=4", "model.width=8", "model.n_layers=1", "model.n_states=2",
]  # fmt: skip
SMALL_DNA = [*SMALL, "data.length=64", "sample.length=64", "markov_order=2"]
SMALL_TEXT = [*SMALL, "data.length=16", "data.vocab_size=300", "data.valid_documents=20", "sample.length=12"]
MOTIF = (
    "MEME version 4\n\nALPHABET= ACGT\n\nMOTIF M1 TATA\nletter-probability matrix: alength= 4 w= 3 nsites= 20 E= 0\n"
)


@pytest.fixture(scope="session")
def small():
    """What makes presets small, by domain."""
    return {"dna": SMALL_DNA, "text": SMALL_TEXT}


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """Files by the names that pages give them, and a run of each kind."""
    folder, rng = tmp_path_factory.mktemp("store"), np.random.default_rng(0)
    bases = {name: "".join(rng.choice(list("ACGT"), BASES, p=[0.3, 0.2, 0.2, 0.3])) for name in CONTIGS}
    drawn = ["".join(rng.choice(list("ACGT"), 80)) for _ in range(20)]
    for name, text in {**sequences(bases, drawn), **places(), **variants(bases), **texts()}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    split = ["data.split.kind=chromosome", "data.split.valid=[chr17]", "data.split.test=[chr20]"]
    dna, text = {"data.ref": str(folder / "genome.fa")}, {"data.path": str(folder / "book.txt")}
    labelled = {**dna, "data.windows": str(folder / "cells.bed"), "data.label": "4"}
    train.run(resolve("dna/tiny", [*SMALL_DNA, *split], dna), folder / "run-dna")
    train.run(resolve("dna/conditional", [*SMALL_DNA, *split], labelled), folder / "run-cells")
    train.run(resolve("text/demo", SMALL_TEXT, text), folder / "run-text")
    dnadiff.load(folder / "run-dna").save_pretrained(folder / "run-weights" / shipped.NAME)
    return folder


@pytest.fixture
def place(store, tmp_path, monkeypatch):
    """Makes the working folder of a command: `place(page)`."""

    def laid_out(page):
        monkeypatch.setattr(shipped, "WEIGHTS", store / "run-weights")
        for path in store.iterdir():
            if not path.name.startswith("run-"):
                (tmp_path / path.name).symlink_to(path)
        kind = "text" if page == "docs/text.md" else "dna"
        for name in ("demo", "toy", "hg38", "yeast", "genome", "owt", "mdlm", "ar", "mlm"):
            shutil.copytree(store / f"run-{kind}", tmp_path / "runs" / name)
        shutil.copytree(store / "run-cells", tmp_path / "runs" / "cells")
        if page in {"docs/design.md", "docs/evaluation.md"}:  # whose regions are short
            (tmp_path / "regions.bed").unlink()
            (tmp_path / "regions.bed").symlink_to(store / "short.bed")
        monkeypatch.chdir(tmp_path)

    return laid_out


def sequences(bases, drawn):
    genome = fasta(bases)
    pieces = [bases["chr1"][at : at + 80] for at in range(0, BASES, 80)]
    sets = {"train": pieces, "test": drawn}
    lists = {
        f"human_nontata_promoters/{split}/{name}.csv": "\n".join(["sequence", *part[first::2]])
        for split, part in sets.items()
        for first, name in enumerate(["negative", "positive"])
    }
    return {
        **dict.fromkeys(("genome.fa", "g.fa", "hg38.fa", "sacCer3.fa", "loci.fa", "TRAIN"), genome),
        **dict.fromkeys(("hg19.fa.gz", "sacCer3.fa.gz", "elegans.fa.gz"), genome),
        **dict.fromkeys(("samples.fa", "designs.fa", "promoters.fa", "TEST"), fasta(dict(enumerate(drawn)))),
        "in.fa": fasta({"a": f"{pieces[0]}{'N' * 20}{pieces[1]}RY"}),
        "short.fa": fasta({"a": "GATTACA", "b": "ACGT"}),
        **dict.fromkeys(("train.csv", "rows.csv", "my.csv"), table(pieces)), "test.csv": table(drawn), **lists,
    }  # fmt: skip


def fasta(records):
    return "".join(f">{name}\n{text}\n" for name, text in records.items())


def table(rows):
    return "sequence,label\n" + "".join(f"{text},{number % 2}\n" for number, text in enumerate(rows))


def places():
    whole = [(name, 0, BASES) for name in ("chr1", "chr17", "chr20")]
    split = [(name, 0, BASES, {"chr17": "valid", "chr20": "test"}.get(name, "train")) for name in CONTIGS]
    cells = [(name, at, at + 64, ("enhancer", "other")[at // 64 % 2]) for name in CONTIGS for at in range(0, BASES, 64)]
    beds = {
        "train.bed": whole[:2], "test.bed": whole[2:], "regions.bed": whole, "windows.bed": split, "hg38.bed": split,
        "cells.bed": cells, "peaks.bed": [("chr1", 10, 90), ("chr20", 100, 180)], "short.bed": [("chr1", 100, 130)],
    }  # fmt: skip
    return {name: "".join("\t".join(map(str, row)) + "\n" for row in rows) for name, rows in beds.items()}


def variants(bases):
    rows = [
        ("chr1", at + 1, ".", (ref := bases["chr1"][at]), "TGCA"["ACGT".index(ref)], ".", ".", ".") for at in (50, 70)
    ]
    head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    text = head + "".join("\t".join(map(str, row)) + "\n" for row in rows)
    motif = MOTIF + "0 0 0 1\n1 0 0 0\n0 0 0 1\n"
    return {**dict.fromkeys(("some.vcf", "clinvar.vcf.gz", "many.vcf.gz"), text), "JASPAR.meme": motif}


def texts():
    book = "\n".join(f"the {number}th cat sat on mat {number % 7}" for number in range(120))
    return {"book.txt": book, "data/ptb/valid.txt": book}
