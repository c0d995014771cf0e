"""A fine-tuned copy of published weights, from its run and as it was saved, where it was trained and elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from published_models import golden, write_folder

import dnadiff
from dnadiff.tasks import train
from dnadiff.tasks.settings import resolve

FOUND = golden("caduceus_ps_add_tie_fused")
SMALL = [
    "data.length=64", "train.max_steps=2", "train.batch_size=2", "train.valid_windows=2", "evaluate.max_windows=2",
    "evaluate.sweeps=2", "sample.n=0", "markov_order=1", "optim.ema=0.9",
]  # fmt: skip
PROCESS = "import sys, torch, dnadiff\n" + "\n".join(
    ["tokens = torch.load(sys.argv[2])", "torch.save(dnadiff.load(sys.argv[1]).network.network(tokens), sys.argv[3])"]
)
NOTEBOOK = f"""
import asyncio, code

async def kernel():
    shell = code.InteractiveInterpreter()
    for cell in {PROCESS.splitlines()!r}:
        shell.runcode(compile(cell, "<cell>", "exec"))

asyncio.run(kernel())
"""


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """The run and what was saved of it; nothing is left of what it was trained on and from."""
    folder = tmp_path_factory.mktemp("tuned")
    published = write_folder(folder / "published", FOUND.about["config"], FOUND.weights)
    generator = torch.Generator().manual_seed(0)
    bases = "".join("ACGT"[i] for i in torch.randint(4, (4000,), generator=generator).tolist())
    (folder / "g.fa").write_text(f">chr1\n{bases}\n")
    settings = resolve("dna/tiny", SMALL, {"data.ref": str(folder / "g.fa"), "init": str(published)})
    train.run(settings, folder / "run")
    dnadiff.load(folder / "run").save_pretrained(folder / "saved")
    for file in [*published.iterdir(), folder / "g.fa"]:
        file.unlink()
    return folder


def test_training_changed_it(places):
    tokens = FOUND.tensors["in.input_ids"]
    tuned = dnadiff.load(places / "run").network.network(tokens)
    assert not torch.allclose(tuned, FOUND.tensors["out.logits"], atol=1e-4)
    assert torch.equal(dnadiff.load(places / "saved").network.network(tokens), tuned)


@pytest.mark.parametrize("place", ["run", "saved"])
@pytest.mark.parametrize("program", [PROCESS, NOTEBOOK], ids=["process", "notebook"])
def test_elsewhere_it_gives_the_same_logits_to_the_last_bit(places, place, program, tmp_path):
    tokens = FOUND.tensors["in.input_ids"]
    torch.save(tokens, tmp_path / "tokens.pt")
    alone = {
        "OMP_NUM_THREADS": "1", "DNADIFF_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path),
    }  # fmt: skip
    command = [sys.executable, "-c", program, places / place, tmp_path / "tokens.pt", tmp_path / "logits.pt"]
    subprocess.run(command, check=True, cwd=tmp_path, env={**os.environ, **alone})
    assert torch.equal(torch.load(tmp_path / "logits.pt"), dnadiff.load(places / place).network.network(tokens))
