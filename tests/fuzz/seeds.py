"""Good files of every kind, which fuzzing starts from."""

import hashlib
import json

from tests.fuzz.parsers import CONTIGS, FASTA

SHA256 = {
    name: hashlib.sha256(name.encode()).hexdigest() for name in ("config.yaml", "vocab.json", "weights.safetensors")
}
SEEDS: dict[str, tuple[bytes, ...]] = {
    "fasta": (FASTA.encode(), b">a b\r\nACGT\r\nACgu\r\nRN\r\n>empty\r\n>c\r\nA", b">a\nACGT\nAC\n\n\n"),
    "fai": (b"chr1\t120\t6\t120\t121\nchr2\t6\t133\t6\t7\nchrM\t1\t146\t1\t2\n",),
    "bed": (
        b"track name=x\n# y\nchrom\tstart\tend\nchr1\t0\t9\ttrain\t0\t-\nchr2\t5\t6\tvalid\t0\t+\r\n",
        b"chr1 0 1\nchr1,3,7\n",
        b"\xef\xbb\xbfchrM\t0\t1\n",
    ),
    "vcf": (
        b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        b"chr1\t3\trs1\tA\tT,*,<DEL>\t.\t.\tAF=1\nchr1\t7\t.\tACA\tA\t.\t.\t.\nchr2\t4\t.\tAT\tAAT\t.\t.\t.\nchrM\t1\t.\tc\tg\t.\t.\t.\n",
    ),
    "table": (
        b'sequence,label\nACGT,"a"\nGGTT,b\n', b"label;seq\na;ACGT\n", b"id,region,start,end,strand\n0,chr1,5,9,-\n",
        b"ACGT\nGGTT\n", b"chr1\t0\t9\n",
    ),
    "labelled": (
        b"sequence,label\nACGT,1\nGGTT,01\n", b"class\tseq\nx\tACGT\ny\tacgN\n",
        b">r1 label=a\nACGT\n>r2 class=b\nGG\nTT\n",
    ),
    "settings": (
        b"model: {kind: caduceus, width: 8}\ntrain: {max_steps: 3}\ndata: {length: 64}\n",
        b"use: [dna/tiny, model/dit-tiny]\ntrain: {seed: 3, checkpoint_every: 1e3}\n",
        b"data:\n  split: {kind: chromosome, valid: [chr7]}\n",
    ),
    "manifest": (json.dumps({"format": 1, "dnadiff": "0.1.0", "vocab": "x", "step": 3, "sha256": SHA256}).encode(),),
}  # fmt: skip
WORDS = (
    *CONTIGS,
    "sequence",
    "label",
    "##fileformat=VCF",
    "#CHROM",
    "${",
    "!!python/object",
    "&a",
    "*a",
    "1e999",
    "\x1b",
)
