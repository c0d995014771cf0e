"""The notebook interface: a trained model as an object that takes strings and gives sensible things back."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from dnadiff import checkpoint, config, dna
from dnadiff.config import Settings
from dnadiff.data.text.tokenizer import TextTokenizer, kept_tokenizer
from dnadiff.diffusion.samplers import Ancestral, Auto, Sampler
from dnadiff.errors import InputError, nearest
from dnadiff.hub import shipped
from dnadiff.hub.download import PREFIX, parse
from dnadiff.hub.saving import Layout, is_unchanged, upload, write_folder
from dnadiff.inference.card import FACTS, card, facts_of
from dnadiff.inference.design import Constraints, Site
from dnadiff.inference.estimate import Estimate, Meaning
from dnadiff.inference.evaluate import evaluate
from dnadiff.inference.features import Strands
from dnadiff.inference.infill import fill_sites
from dnadiff.inference.likelihood import LogProb, Method, log_prob
from dnadiff.inference.measures import likelihood
from dnadiff.inference.mutagenesis import MutationMap, mutate
from dnadiff.inference.progress import progress_bar
from dnadiff.inference.sample import Around, Wanted, sample, warn_if_untried
from dnadiff.inference.steer import METHODS, Design, Judge, both, judged, reward_of
from dnadiff.inference.strings import as_rows, as_string, padded
from dnadiff.model import DiffusionModel
from dnadiff.run import config_of, find_checkpoint, lasting_name


class _Data(Settings, extra="ignore"):
    length: int | None = None


class _Sample(Settings, extra="ignore"):
    sampler: Sampler = Auto()


class RunSettings(Settings, extra="ignore"):
    """Of a run's settings, what sampling goes by."""

    data: _Data = _Data()
    """How long the windows were that the model was trained on."""
    sample: _Sample = _Sample()
    """How the run itself draws."""


NO_RUN = RunSettings()
SETTINGS = "run_settings"  # in the manifest of a saved model
INFILL = Auto()


class Model:
    """A trained diffusion model of DNA, or of text, whose letters are the tokens that strings are cut into.

    Attributes:
        network: the `DiffusionModel` underneath, an `nn.Module`; methods borrow it and give it back as it was.
        settings: of the run that it comes from.
        tokenizer: of text; None for DNA.
        source: path or hub name that it was read from; None for a network made here.
    """

    def __init__(
        self,
        network: DiffusionModel,
        settings: RunSettings = NO_RUN,
        tokenizer: TextTokenizer | None = None,
        source: Path | None = None,
    ) -> None:
        self.network = network
        self.settings = settings
        self.tokenizer = tokenizer
        self.source = source

    def sample(
        self,
        n: int,
        *,
        length: int,
        seed: int = 0,
        steps: int | None = None,
        temperature: float | None = None,
        label: str | None = None,
        guidance: float = 1.0,
        guide: Judge | None = None,
        context: int | None = None,
        stride: int | None = None,
        ban: str | Sequence[str] = (),
        batch_size: int = 16,
    ) -> list[str]:
        """Draw `n` sequences of `length` bases as the run does, with a progress bar where somebody looks.

        Args:
            steps, temperature: of the sampler; None: the run's own.
            label: class of the sequences, for models that are told one.
            guidance: how strongly the class is meant; 1: as the network learned it.
            guide: log p(what is wanted | sequence) of a list of sequences, which hold N where a base is still hidden.
            context, stride: bases that are seen at a time, and from one view to the next; None: all, half the context.
            ban: bases that are never drawn, such as "CG"; tokens of a model of text.
            batch_size: sequences at a time; does not change what is drawn beyond rounding.

        Raises:
            InputError: a number out of its range, or one that the run's sampler does not have.
        """
        asked = {name: value for name, value in (("steps", steps), ("temperature", temperature)) if value is not None}
        least = min(length, batch_size, asked.get("steps", 1))
        if n < 0 or seed < 0 or least < 1 or not asked.get("temperature", 1) > 0:
            given = f"{n=}, {length=}, {seed=}, {steps=}, {temperature=}, {batch_size=}"
            raise InputError(f"{given}: n and seed must be 0 or more, temperature above 0, the others 1 or more")
        own = self.settings.sample.sampler
        if unknown := sorted(asked.keys() - type(own).model_fields.keys()):
            raise InputError(f"{unknown[0]}: the run's sampler, {own.kind}, has no such setting; leave it out")
        sampler = own.model_copy(update=asked)
        wishes = {"label": label, "guidance": guidance, "context": context, "stride": stride, "ban": ban}
        wanted = config.decode(Wanted, wishes, where="sample")
        warn_if_untried(min(length, context or length), self.settings.data.length)
        return self._draw(
            n, length, sampler, around=wanted.around, label=label,
            guide=both(wanted.guide, guide, self._as_string, self.network.vocab), ban=wanted.ban,
            seed=seed, batch_size=batch_size,
        )  # fmt: skip

    def steer(
        self,
        reward: Judge,
        *,
        n: int,
        length: int,
        strength: float = 1.0,
        held_out: Judge | None = None,
        method: str = "smc",
        particles: int = 16,
        completions: int = 1,
        steps: int = 128,
        label: str | None = None,
        seed: int = 0,
        batch_size: int = 4,
    ) -> list[Design]:
        """Draw sequences from p(x) exp(strength * reward(x)), normalised, by ancestral steps of many particles.

        Args:
            reward: a list of sequences -> a finite number for each.
            held_out: another such function, which is only reported: what is rewarded will be cheated on.
            method: `smc`, whose law tends to the one above as particles grow, or `svdd` (see `samplers.particles`).
            particles: tried for each sequence.
            completions: of a sequence that is half drawn, by which its worth is estimated.
            label: class of the sequences, for models that are told one.
            batch_size: sequences at a time, each with its particles.

        Raises:
            InputError: a number out of its range, an unknown method or class, or a reward that is no number.
        """
        least = min(length, particles, completions, steps, batch_size)
        if n < 0 or seed < 0 or least < 1 or not math.isfinite(strength):
            asked = f"{n=}, {length=}, {strength=}, {particles=}, {completions=}, {steps=}, {batch_size=}, {seed=}"
            raise InputError(f"{asked}: n and seed must be 0 or more, strength a number, the others 1 or more")
        if method not in METHODS:
            raise InputError(f"method={method!r}: is not one of {', '.join(METHODS)}{nearest(method, METHODS)}")
        around = partial(
            METHODS[method], reward=reward_of(reward, self._as_string),
            number=particles, strength=strength, completions=completions,
        )  # fmt: skip
        sampler = Ancestral(steps=steps)
        sequences = self._draw(n, length, sampler, around=around, label=label, seed=seed, batch_size=batch_size)
        rewards = judged(reward, sequences, name="reward").tolist()
        others = [None] * n if held_out is None else judged(held_out, sequences, name="held_out").tolist()
        return [Design(*each) for each in zip(sequences, rewards, others, strict=True)]

    def _draw(self, n: int, length: int, sampler: Sampler, *, around: Around, batch_size: int, **how: Any) -> list[str]:
        """With a progress bar where somebody looks."""
        n_steps = -(-n // batch_size) * around(self.network.config.objective.sampler(sampler)).n_steps(length)
        with progress_bar("sampling", n_steps) as advance:
            tokens = sample(
                self.network, n, length, sampler, around=around, batch_size=batch_size, progress=advance, **how
            )
        return [self._as_string(row) for row in tokens]

    def _as_string(self, row: np.ndarray) -> str:
        return as_string(row, self.tokenizer)

    def infill(
        self,
        sequences: str | Sequence[str],
        *,
        n: int = 1,
        candidates: int = 1,
        seed: int = 0,
        sampler: Sampler = INFILL,
        batch_size: int = 16,
        **constraints: Any,
    ) -> list[list[str]]:
        """Fill sequences where they have N or another IUPAC code, `n` times each; nothing else changes.

        Args:
            candidates: drawn for each filling under constraints, of which one is kept; see `inference.infill`.
            constraints: `avoid="GAATTC"`, `gc=(0.4, 0.6)` and the like; see `inference.design.Constraints`.

        Raises:
            InputError: constraints that cannot be kept, named with their place; or a sampler that cannot keep them.
        """
        if min(n, candidates, batch_size) < 1 or seed < 0:
            raise InputError(f"{n=}, {candidates=}, {batch_size=}, {seed=}: give 1, 1, 1 and 0 or more")
        texts = [sequences] if isinstance(sequences, str) else sequences
        sites = [Site.of_gaps(f"sequence {number}", text) for number, text in enumerate(texts)]
        asked = config.decode(Constraints, constraints, where="constraints")
        asked.check(sites)
        return fill_sites(
            self.network, sites, asked, sampler, n=n, candidates=candidates, seed=seed, batch_size=batch_size
        )

    def bits_per_base(
        self,
        sequences: str | Sequence[str] | np.ndarray | Tensor,
        *,
        sweeps: int = 5,
        seed: int = 0,
        batch_size: int = 32,
    ) -> Estimate:
        """-log2 p per base of sequences of any lengths, or the model's bound on it, with its 95 % interval.

        Args:
            sequences: strings over A C G T N, or (n, length) tokens.
            sweeps: independent choices of hidden positions per sequence; 2 or more for an interval.
            batch_size: sequences at a time; does not change the figure.

        Returns:
            An `Estimate`; `.bits_per_base.value`, `.low`, `.high`, `.perplexity` are what one usually wants. A single
            sequence cannot tell how others would differ: `.windows` is nan, and the interval is that of the masks.

        Raises:
            InputError: nothing to score, or a model without a likelihood.
        """
        if min(sweeps, batch_size) < 1 or seed < 0:
            raise InputError(f"sweeps={sweeps}, batch_size={batch_size}, seed={seed}: give 1, 1 and 0 or more")
        rows = padded(as_rows(sequences, self.tokenizer), self.network.vocab.pad)
        measure = likelihood(self.network)
        if measure.meaning is Meaning.PSEUDO:
            raise InputError("this model has no likelihood, nor a bound; use log_prob(..., method='pseudo')")
        return evaluate(
            self.network, measure, lambda chosen: rows[chosen], len(rows),
            seed=seed, sweeps=sweeps, batch_size=batch_size,
        )  # fmt: skip

    def log_prob(
        self,
        sequences: str | Sequence[str] | np.ndarray | Tensor,
        method: Method = "bound",
        *,
        region: tuple[int, int] | None = None,
        draws: int = 64,
        seed: int = 0,
        batch_size: int = 64,
    ) -> list[LogProb]:
        """Log p of each sequence in nats, or of one region of each given its flanks; see `inference.likelihood`.

        Args:
            sequences: strings over A C G T N, or (n, length) tokens.
            method: `bound` (below log p; exact for an autoregressive model), `exact` for up to 14 positions,
                `chain_rule` (below log p), or `pseudo` (each base given all others; no bound).
            region: start and end, 0-based, half-open; None for whole sequences.
            draws: of masks for `bound`, of orders for `chain_rule`.

        Returns:
            For each sequence `.nats`, `.standard_error`, `.n_scored` and `.meaning`.

        Raises:
            InputError: nothing to score, or a method that the model or the length rules out.
        """
        if min(draws, batch_size) < 1 or seed < 0:
            raise InputError(f"draws={draws}, batch_size={batch_size}, seed={seed}: give 1, 1 and 0 or more")
        return [
            log_prob(
                self.network, row, method, region=region, draws=draws, seed=seed, batch_size=batch_size,
                where=f"sequence {number}: ",
            )
            for number, row in enumerate(as_rows(sequences, self.tokenizer))
        ]  # fmt: skip

    def mutate(
        self,
        sequence: str,
        *,
        region: tuple[int, int] | None = None,
        window: int | None = None,
        strands: Strands = "both",
        batch_size: int = 64,
    ) -> MutationMap:
        """Every substitution of a sequence, or of a region of it, and how much likelier it is; `inference.mutagenesis`.

        Args:
            sequence: over A C G T N.
            region: start and end, 0-based, half-open; None for all of it.
            window: bases that the model sees around each position; None: as many as it was trained on, or 1,024.

        Returns:
            `.llr` (length, 4), `.sequence`, and `.frame()`, a pandas data frame.

        Raises:
            InputError: a region outside the sequence, or a model that knows no hidden letters given all others.
        """
        (tokens,) = as_rows(sequence, self.tokenizer)
        start, end = region or (0, len(tokens))
        inside = 0 <= start < end <= len(tokens)
        if self.tokenizer is not None or not inside or batch_size < 1 or (window is not None and window < 3):
            asked = f"{len(tokens)} bases, {region=}, {window=}, {batch_size=}"
            raise InputError(f"{asked}: give DNA, a region inside it (0-based, half-open), 3 or more, and 1 or more")
        seen = window or self.settings.data.length or 1024
        llr = mutate(self.network, tokens, (start, end), window=seen, strands=strands, batch_size=batch_size)
        return MutationMap("sequence", start, dna.decode(tokens[start:end]), llr)

    def save_pretrained(
        self,
        folder: str | os.PathLike[str],
        *,
        layout: Layout = "dnadiff",
        license: str | None = None,
        name: str | None = None,
    ) -> None:
        """Write the model, and a card that says what it was trained on and how it was measured, into a new folder.

        Args:
            layout: `dnadiff`, which `load` and every verb read; or `caduceus`, that of the original Caduceus weights.
            license: of the weights, for the card.
            name: by which the card says it is loaded; None: the folder.

        Raises:
            InputError: the folder holds something, or the network has no such layout.
            ResourceError: the folder cannot be written.
        """
        path = Path(folder).expanduser()
        facts = {} if self.source is None else facts_of(self.source)
        unchanged = self.source is not None and is_unchanged(self.network, find_checkpoint(self.source))
        if not unchanged:
            facts.pop("results", None)
        text = card(self.network, facts, name=name or path.name, license=license, unchanged=unchanged or not facts)
        about = {FACTS: facts, SETTINGS: self.settings.model_dump(mode="json")}
        write_folder(path, self.network, text, layout=layout, about=about, tokenizer=self.tokenizer)

    def push_to_hub(self, repository: str, *, license: str, private: bool = False) -> str:
        """Put the model and its card on the Hugging Face hub; log in with `hf auth login` first.

        Args:
            repository: owner/name; made if it is not there.
            license: of the weights, by the hub's names, such as apache-2.0.

        Returns:
            `hf:owner/name@commit`, which `load` and `--init` take.

        Raises:
            InputError: huggingface_hub is not installed, or there is no right to write there.
            ResourceError: the hub cannot be reached.
        """
        reference = parse(f"{PREFIX}{repository}")
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "model"
            self.save_pretrained(folder, license=license, name=f"{PREFIX}{reference.repository}")
            return upload(folder, reference.repository, private=private)

    def __repr__(self) -> str:
        kind = type(self.network.config.model).__name__
        return f"dnadiff.Model({kind}, {self.network.n_parameters():,} parameters)"


def load(path: str | os.PathLike[str] | None = None) -> Model:
    """Open a model, on the CPU.

    Args:
        path: a run folder, for its best checkpoint; a checkpoint or saved folder; published weights, as a folder or
            MDLM's .ckpt; or `hf:owner/name[@revision]` on the hub. None: the model that ships with the package.

    Raises:
        InputError: there is no intact model, or it is of an architecture that is not read.
        ResourceError: the hub cannot be reached.
    """
    source = shipped.default() if path is None else Path(lasting_name(Path(path).expanduser()))
    found, of_run = find_checkpoint(source), config_of(source)
    if of_run is not None:
        settings = config.read(RunSettings, Path(of_run))
    else:
        settings = config.decode(RunSettings, checkpoint.verify(found).get(SETTINGS, {}), where=str(found))
    return Model(checkpoint.load(found), settings, kept_tokenizer(found), source)
