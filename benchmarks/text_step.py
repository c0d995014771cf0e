"""A training step of a text model on the CPU: ours, and the published code's way, from equal weights to an equal loss.

    python benchmarks/text_step.py [--width 256] [--blocks 4] [--batch 8] [--length 256] [--vocabulary 30522]

`published` is what the authors of MDLM do with the head (Sahoo et al. 2024, appendix; SUBS parameterisation): logits of
every position, a log-softmax over them in float32, visible positions overwritten, the true tokens gathered. `ours` runs
the head at hidden positions alone and takes the cross-entropy in chunks. The contenders take turns in one process, so
that whatever else the machine does meets all of them; each one's memory is the peak of a process of its own, less what
its imports and its weights take.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from contest import descend, in_its_own_process, peak_memory, take_turns
from rich.console import Console
from rich.table import Table
from torch import Tensor

from dnadiff.allocator import keep_memory
from dnadiff.batch import Batch
from dnadiff.diffusion.noise import Noise, draw_noise
from dnadiff.diffusion.objectives import MDLM
from dnadiff.diffusion.objectives.masked import hide
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import DiT
from dnadiff.vocab import Vocab

TURNS = 5
CONTENDERS = ("ours", "ours bf16", "published")


def vocabulary(size: int) -> Vocab:
    """Of so many tokens, the last the mask."""
    return Vocab(tuple(map(str, range(size))), size, tuple(range(size - 1)), mask=size - 1, pad=size - 1, unknown=0)


def published_loss(model: DiffusionModel, batch: Batch, noise: Noise) -> Tensor:
    """Mean weighted nats per token, by way of every logit of every position."""
    objective = model.objective
    assert isinstance(objective, MDLM)
    level = objective.level(noise.times, model.schedule)
    hidden = noise.uniforms[:, 0] >= level.alpha[:, None]
    noisy, true = hide(batch, hidden, model.vocab).tokens, batch.tokens[:, :, None]
    logits = model.network(noisy).float()
    logits[:, :, model.vocab.mask] += -1e6
    log_probs = logits - torch.logsumexp(logits, dim=-1, keepdim=True)
    log_probs = torch.where(hidden[:, :, None], log_probs, torch.full_like(log_probs, -1e6).scatter(-1, true, 0.0))
    nats = -torch.gather(log_probs, -1, true)[:, :, 0]
    return (nats * level.weight[:, None]).mean().float()


class Step:
    """A training step that can be repeated."""

    def __init__(self, contender: str, args: argparse.Namespace) -> None:
        torch.manual_seed(0)
        network = DiT(width=args.width, n_blocks=args.blocks, n_heads=args.width // 64 or 1, dropout=0.0)
        self.model = DiffusionModel(ModelConfig(model=network), vocabulary(args.vocabulary))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=True)
        generator = np.random.default_rng(0)
        self.batch = Batch(torch.from_numpy(generator.integers(args.vocabulary - 1, size=(args.batch, args.length))))
        self.noise = draw_noise(generator, args.batch, args.length)
        self.contender = contender

    def __call__(self) -> float:
        if self.contender == "published":
            loss = published_loss(self.model, self.batch, self.noise)
        else:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.contender == "ours bf16"):
                terms = self.model.loss(self.batch, self.noise)
            loss = terms.nats.sum() / terms.valid.sum()
        return descend(self.model, self.optimizer, loss)


def measure_memory(contender: str, args: argparse.Namespace) -> None:
    """Print the peak of two steps above what there was before them; in a process of its own."""
    step = Step(contender, args)
    before = peak_memory()
    for _ in range(2):
        step()
    print(peak_memory() - before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"width": 256, "blocks": 4, "batch": 8, "length": 256, "vocabulary": 30522}
    for name, default in {**sizes, "threads": torch.get_num_threads()}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--memory-of", choices=CONTENDERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_memory()  # as the command line does, for all
    if args.memory_of:
        measure_memory(args.memory_of, args)
        return
    steps = {name: Step(name, args) for name in CONTENDERS}
    losses = {name: [step() for _ in range(2)] for name, step in steps.items()}
    for name, found in losses.items():
        close = np.allclose(found, losses["ours"], rtol=2e-2 if "bf16" in name else 1e-4)
        assert close, f"{name} reaches another loss: {losses}"
    seconds = take_turns(steps, TURNS)
    memory = {name: int(in_its_own_process("--memory-of", name)) for name in CONTENDERS}
    rows = f"{args.batch} x {args.length} tokens of {args.vocabulary:,}"
    title = f"DiT {args.width} x {args.blocks}, {rows}, {args.threads} threads"
    table = Table("", "s/step", "published is times", "MiB", "published is times", title=title)
    for name in CONTENDERS:
        ratio, less = seconds["published"] / seconds[name], memory["published"] / memory[name]
        table.add_row(name, f"{seconds[name]:.3f}", f"{ratio:.2f}", f"{memory[name] / 2**20:,.0f}", f"{less:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
