"""Variants per second, beside plain batched forwards of the same windows in the same run, and one variant at a time.

    python benchmarks/scoring.py [--preset model/caduceus-ps-tiny] [--sites 512] [--window 1024] [--batch-size 64]

Sites are evenly spread over the toy genome, every one with its three substitutions. `plain` is as little as a forward
of the same rows can be: tensors that lie ready, features, and logits at the hidden positions. `scored` begins with rows
of a VCF file and ends with numbers. On a CPU the time is the processor's own, so that other programs hardly count; each
is the best of `--repeats`, in turns.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from dnadiff import dna
from dnadiff.config import resolve
from dnadiff.data.fasta import Genome
from dnadiff.data.genome import GenomeData, open_data
from dnadiff.data.vcf import Variant, VcfFile
from dnadiff.inference.device import best_device, borrowed
from dnadiff.inference.features import padded
from dnadiff.inference.variants import llr, pairs_of
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.vocab import DNA

HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def write_vcf(genome: Genome, n_sites: int, margin: int, path: Path) -> None:
    """All substitutions at sites that are evenly spread over the longest contig, so far from its ends."""
    name, length = max(genome.contigs.items(), key=lambda item: item[1])
    places = np.linspace(margin, length - 1 - margin, n_sites).astype(int)
    bases = dna.decode(genome.tokens(name, 0, length))
    rows = (
        f"{name}\t{at + 1}\t.\t{bases[at]}\t{','.join('ACGT'.replace(bases[at], ''))}\t.\t.\t.\n"
        for at in places.tolist()
        if bases[at] in "ACGT"
    )
    path.write_text(HEADER + "".join(rows))


def variants(path: Path, genome: Genome) -> Iterator[Variant]:
    """What a VCF file holds."""
    return (each for record in VcfFile(path, genome).records() for each in record.variants if isinstance(each, Variant))


@torch.no_grad()
def plain(model: DiffusionModel, rows: torch.Tensor, batch_size: int) -> None:
    """Forwards alone."""
    network = model.network
    for at in range(0, len(rows), batch_size):
        tokens = rows[at : at + batch_size]
        found = network.features(network.embed(tokens))
        network.logits(found[tokens == DNA.mask]).cpu()


def seconds(work: Callable[[], object]) -> float:
    """Of one call: of the processor, or with a GPU of the clock."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    begin = clock()
    work()
    return clock() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="model/caduceus-ps-tiny")
    parser.add_argument("--sites", type=int, default=512)
    parser.add_argument("--window", type=int, default=1024)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--alone", type=int, default=32, help="variants that are scored one at a time")
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    genome, device = open_data(GenomeData(), seed=0).genome, best_device()
    torch.manual_seed(0)
    model = DiffusionModel(resolve(ModelConfig, asked.preset), DNA)
    with tempfile.TemporaryDirectory() as folder, borrowed(model, device):
        path = Path(folder) / "sites.vcf"
        write_vcf(genome, asked.sites, asked.window, path)
        found = list(variants(path, genome))
        sites = list({(each.contig, each.start): each for each in found}.values())
        centres = pairs_of(genome, sites, asked.window)
        rows = padded([np.concatenate([one.left, [DNA.mask], one.right]) for one in centres], DNA).tokens.to(device)

        def scored() -> None:
            source = variants(path, genome)
            while some := list(islice(source, 8 * asked.batch_size)):
                llr(model, pairs_of(genome, some, asked.window), batch_size=asked.batch_size)

        def alone() -> None:
            for each in found[: asked.alone]:
                llr(model, pairs_of(genome, [each], asked.window), batch_size=1)

        ways: dict[str, tuple[Callable[[], None], int]] = {
            "plain forwards": (lambda: plain(model, rows, asked.batch_size), len(found)),
            "scored": (scored, len(found)),
            "one at a time": (alone, min(asked.alone, len(found))),
        }
        for work, _ in ways.values():
            work()  # kernels are tried at first use
        turns = [{name: seconds(work) for name, (work, _) in ways.items()} for _ in range(asked.repeats)]
    best = {name: min(turn[name] for turn in turns) for name in ways}
    rates = {name: ways[name][1] / best[name] for name in ways}
    print(f"{len(found):,} variants at {len(centres):,} sites, windows of {asked.window:,}, on {device}")
    for name, rate in rates.items():
        print(f"{name:16} {rate:12,.1f} variants/s  {rate / rates['plain forwards']:8.1%} of plain")


if __name__ == "__main__":
    main()
