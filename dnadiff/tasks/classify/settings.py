"""The root of a classification's settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from dnadiff import config
from dnadiff.config import Settings
from dnadiff.data.inputs import absolute
from dnadiff.errors import InputError
from dnadiff.inference.scores import FigureName
from dnadiff.model import ModelConfig
from dnadiff.models import Backbone, Caduceus, Mamba
from dnadiff.models.classifier import Head
from dnadiff.run import find_checkpoint, lasting_name
from dnadiff.tasks.settings import require_same_network, tokenizer_of
from dnadiff.training.settings import OptimSettings

Baseline = Literal["majority", "kmers", "cnn", "permuted"]
BackboneName = Literal["mamba", "plain", "ph", "ps"]


class Paper(Settings):
    """Re-splits of the training rows, 90 to 10, one for each seed; the official test rows; groups are only counted."""

    kind: Literal["paper"] = "paper"


class Strict(Settings):
    """Stratified folds over all rows of a set, which rows of a group never cross; each row is tested on once."""

    kind: Literal["strict"] = "strict"
    folds: int = Field(5, ge=2)
    """Number of folds."""


class LabelledData(Settings):
    """Sequences of DNA; where lists of places lie."""

    kind: Literal["dna"] = "dna"
    ref: str | None = None
    """FASTA of the genome, for sets that are lists of places."""
    refs: Mapping[str, str] = Field(default_factory=dict)
    """FASTA by class, where a class lies on another genome."""
    on_bad: Literal["error", "skip"] = "error"
    """What to do with places that the genome does not have."""

    def with_absolute_paths(self) -> Self:
        """The same files under names that hold in any folder."""
        refs = {name: absolute(path) for name, path in self.refs.items()}
        return self.model_copy(update={"ref": absolute(self.ref), "refs": refs})


class GlueData(Settings):
    """Sentences, or pairs of them, of the tasks of GLUE."""

    kind: Literal["glue"] = "glue"
    tokenizer: str | None = None
    """As data.tokenizer of text; null: that of the model in `init`, or one trained on the rows to learn from."""
    vocab_size: int = Field(4096, ge=300)
    """Tokens of a tokenizer that is trained."""

    def with_absolute_paths(self) -> Self:
        """The same files under names that hold in any folder; a tokenizer that is no file is a name."""
        is_file = self.tokenizer is not None and Path(self.tokenizer).expanduser().exists()
        return self.model_copy(update={"tokenizer": absolute(self.tokenizer)}) if is_file else self


class FineTune(Settings):
    """How long, and in what batches."""

    epochs: int = Field(10, ge=1)
    """Times that each row is learnt from."""
    batch_size: int = Field(128, ge=1)
    """Rows per optimiser step."""
    micro_batch: int | None = Field(None, ge=1)
    """Rows that a device holds at once; null: all of a step."""
    rate_over: Literal["run", "set"] = "run"
    """Over which steps the learning rate takes its course: those of the run, or as many as all rows of the set make."""
    reverse_complement: bool = True
    """Draw the strand of each row at random, for networks that are not strand-symmetric."""
    patience: int | None = Field(None, ge=1)
    """Validations, one an epoch, without improvement before training stops; null: never."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of the matrix products."""
    workers: int = Field(0, ge=0)
    """Processes that read ahead."""


class SetSettings(Settings):
    """What a paper did with one set, and what it reached."""

    length: int | None = Field(None, ge=1)
    """Longest row; longer ones lose their end."""
    lr: Mapping[BackboneName, float] = Field(default_factory=dict)
    """Learning rate by backbone; plain is a Caduceus that reads one strand."""
    figures: tuple[FigureName, ...] = Field(("accuracy", "mcc", "auroc", "auprc"), min_length=1)
    """Shown of it; the first is what papers report."""
    parts: tuple[str, ...] = ()
    """Files of test rows whose figures are also given apart."""
    papers: Mapping[str, str] = Field(default_factory=dict)
    """Published figure by model, mean and largest less smallest of five seeds."""


class ClassifyConfig(Settings):
    """Settings of `dnadiff classify`."""

    init: str = "none"
    """Run or checkpoint folder to start from; none: random weights."""
    model: Backbone = Caduceus()
    """The backbone."""
    data: Annotated[LabelledData | GlueData, Field(discriminator="kind")] = LabelledData()
    """What rows are of."""
    protocol: Annotated[Paper | Strict, Field(discriminator="kind")] = Strict()
    """Which rows are learnt from and tested on."""
    seeds: int = Field(1, ge=1)
    """Independent runs, numbered from 1; a seed decides splits, initial weights of the head, order and strands."""
    method: Literal["finetune", "probe"] = "finetune"
    """finetune: train the whole network; probe: logistic regression on features of the network as it is."""
    baselines: tuple[Baseline, ...] = ("majority", "kmers", "cnn", "permuted")
    """What is run beside it; permuted is the method itself on shuffled classes."""
    permutations: int = Field(3, ge=1)
    """Runs of that control: one alone is a classifier like any other, which may be far from chance by chance."""
    head: Head = Head()
    """From features of positions to classes."""
    length: int | None = Field(None, ge=1)
    """Longest row of sets that `sets` does not name; longer ones lose their end. null: that of the set."""
    optim: OptimSettings = OptimSettings()
    """Optimiser; its rate is for sets and backbones that `sets` does not name."""
    train: FineTune = FineTune()
    """Epochs and batches."""
    scale: float = Field(1.0, gt=0)
    """Rows to learn from: up to 1 a share of them, above 1 a number. Test rows are all kept."""
    kmer: int = Field(5, ge=1, le=6)
    """Bases of the k-mers whose frequencies the baseline reads."""
    save_models: bool = True
    """Keep the weights of every fine-tuned network."""
    sets: Mapping[str, SetSettings] = Field(default_factory=dict)
    """Published settings and figures by set."""
    assumptions: tuple[str, ...] = ()
    """What is assumed where a paper is silent; copied to the manifest and the table."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if isinstance(self.data, GlueData):
            if isinstance(self.protocol, Strict):
                raise ValueError("protocol.kind=strict: its groups are of related DNA; set paper for GLUE")
            if "kmers" in self.baselines:
                raise ValueError("baselines: kmers are of DNA; leave them out for GLUE")
        return self

    def length_of(self, name: str) -> int | None:
        """The longest row of a set; None: as long as they are."""
        return self.of_set(name).length or self.length

    def lr(self, name: str) -> float:
        """The learning rate for a set."""
        return self.of_set(name).lr.get(self.backbone, self.optim.lr) if self.backbone else self.optim.lr

    def of_set(self, name: str) -> SetSettings:
        """What is known of a set."""
        return self.sets.get(name, SetSettings())

    @property
    def origin(self) -> str:
        """Where the network comes from: the run that `init` is of, or random weights."""
        folder = Path(self.init)
        run = folder.parents[1] if folder.parent.name == "checkpoints" else folder
        return "random weights" if self.init == "none" else run.name

    @property
    def backbone(self) -> BackboneName | None:
        """What the papers' tables call the backbone."""
        match self.model:
            case Mamba():
                return "mamba"
            case Caduceus(symmetry="ps"):
                return "ps"
            case Caduceus():
                return "plain" if self.head.strands == "given" else "ph"
        return None


def resolve(preset: str | Sequence[str], words: Sequence[str], flags: Mapping[str, Any]) -> ClassifyConfig:
    """Settings from a preset, flags and words, with what they imply.

    `--init` brings its model's architecture, and the tokenizer of a model of text; a rate or length among the words
    wins over the published ones.

    Raises:
        InputError: as `dnadiff.config.resolve`; `--init` holds no model that reads tokens.
    """
    implied: dict[str, Any] = {}
    source: Path | None = None
    if flags.get("init") not in (None, "none"):
        name = lasting_name(Path(flags["init"]).expanduser())
        source = find_checkpoint(Path(name))
        model = config.read(ModelConfig, source / "config.yaml")
        if model.objective.kind == "plaid":
            raise InputError(
                f"{source}: its network reads noisy embeddings, not letters; start from another objective's"
            )
        implied = {"init": name, "model": model.model.model_dump()}
    settings = config.resolve(ClassifyConfig, preset, words, **{**flags, **implied})
    if implied:
        require_same_network(settings.init, settings.model)
    given = {word.partition("=")[0] for word in words}
    update: dict[str, Any] = ({"lr": {}} if "optim.lr" in given else {}) | (
        {"length": settings.length} if "length" in given else {}
    )
    sets = {name: one.model_copy(update=update) for name, one in settings.sets.items()}
    data = settings.data.with_absolute_paths()
    if isinstance(data, GlueData) and data.tokenizer is None and source is not None:
        data = data.model_copy(update={"tokenizer": tokenizer_of(source).get("data.tokenizer")})
    return settings.model_copy(update={"sets": sets, "data": data})
