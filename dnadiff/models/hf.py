"""Masked language models of the transformers library (`AutoModelForMaskedLM`: BERT, RoBERTa, ESM, ...) as a backbone.

The library builds the network from its settings, which are kept whole, so that a checkpoint needs nothing else. Only
architectures of the library itself are built: no code that comes with a model is run.

Unusual: the embedding passes tokens on as they are, since such networks embed in ways of their own; and the head is the
whole model around a trunk that gives back what it is given, since no two name their heads alike.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import import_module
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from dnadiff.config import Settings
from dnadiff.errors import InputError
from dnadiff.models.sizes import DEEPEST
from dnadiff.vocab import Vocab

LEFT_OUT = {  # settings for other tasks, what the library writes, and what is no masked language model
    "architectures", "auto_map", "dtype", "torch_dtype", "transformers_version", "id2label", "label2id", "problem_type",
    "return_dict", "output_attentions", "output_hidden_states", "use_cache", "chunk_size_feed_forward",
    "gradient_checkpointing", "is_folding_model", "esmfold_config", "vocab_list", "quantization_config", "is_decoder",
    "is_encoder_decoder",
}  # fmt: skip
SIZES = ("hidden_size", "num_hidden_layers")
POSITIONS = ("position_embeddings", "embed_positions")  # ends of the names of tables
SEEN_IN_TRAINING = 1 - 0.15 * 0.8  # share of the letters that ESM was trained to read


class HuggingFace(Settings):
    """A masked language model of the transformers library."""

    causal: ClassVar[bool] = False
    time_conditioned: ClassVar[bool] = False
    labels: ClassVar[tuple[str, ...]] = ()

    kind: Literal["hf"] = "hf"
    config: Mapping[str, Any]
    """The library's own settings, as in a config.json; model_type names the architecture."""

    @property
    def width(self) -> int:
        """Channels of the features."""
        return int(self._of_library().hidden_size)

    def build(self, vocab: Vocab) -> MaskedLM:
        """A freshly initialised network, from torch's global generator.

        Raises:
            InputError: transformers is not installed, or does not build such a network.
        """
        return MaskedLM(self.model(), vocab)

    def model(self) -> nn.Module:
        """The library's own object.

        Raises:
            InputError: as `build`.
        """
        settings = self._of_library()
        if settings.num_hidden_layers > DEEPEST:
            found = f"num_hidden_layers is {settings.num_hidden_layers:,}, more than {DEEPEST:,}"
            raise InputError(f"{_name(self.config)}: {found}; use a config.json as it was published")
        try:
            model: nn.Module = library().AutoModelForMaskedLM.from_config(settings, trust_remote_code=False)
        except Exception as error:  # settings that do not fit each other fail anywhere
            raise InputError(f"{_name(self.config)}: {reason(error)}; use a config.json as it was published") from None
        return model

    def _of_library(self) -> Any:
        """The library's settings object."""
        kind = str(self.config.get("model_type"))
        if kind not in kinds():
            raise InputError(f"{_name(self.config)}: transformers has no masked language model of this kind")
        if unknown := sorted(self.config.keys() - known_settings(kind)):
            raise InputError(f"{_name(self.config)}: config.{unknown[0]} is not read; leave it out")
        try:
            settings = library().CONFIG_MAPPING[kind].from_dict(dict(self.config))
        except Exception as error:
            raise InputError(f"{_name(self.config)}: {reason(error)}; use a config.json as it was published") from None
        if missing := [name for name in SIZES if not isinstance(getattr(settings, name, None), int)]:
            raise InputError(f"{_name(self.config)}: has no {missing[0]} of its own; name another model")
        return settings


def library() -> Any:
    """The transformers library.

    Raises:
        InputError: it is not installed.
    """
    try:
        import transformers  # only here: an extra, and slow to import
    except ImportError:
        raise InputError("model.kind=hf needs an extra: pip install 'dnadiff[text]'") from None
    return transformers


def kinds() -> Collection[str]:
    """The architectures that the library has as masked language models, by model_type."""
    library()
    names: Collection[str] = import_module("transformers.models.auto.modeling_auto").MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return names


def known_settings(kind: str) -> set[str]:
    """Names of the settings of an architecture; those that choose code, kernels or labels are not among them."""
    of_class = library().CONFIG_MAPPING[kind]
    names = {*of_class().to_dict(), *of_class.attribute_map} - LEFT_OUT
    return {name for name in names if not name.startswith("_") and "implementation" not in name}


class Given(nn.Module):
    """A trunk that gives back the features that it is given."""

    def forward(self, *_: Any, inputs_embeds: Tensor, **__: Any) -> Any:
        return import_module("transformers.modeling_outputs").BaseModelOutput(last_hidden_state=inputs_embeds)


class MaskedLM(nn.Module):
    """Trunk and head of a model of the library; a `dnadiff.network.Network`."""

    time_conditioned = False

    def __init__(self, model: Any, vocab: Vocab) -> None:
        super().__init__()
        name, trunk = model.base_model_prefix, model.base_model
        if trunk is model or model.config.is_encoder_decoder:
            raise InputError(f"{_name(model.config.to_dict())}: is no trunk with a head; name another model")
        self.trunk = trunk
        setattr(model, name, Given())
        self.head = model
        self.n_tokens = vocab.size
        self.longest = _longest(trunk)
        if getattr(model.config, "token_dropout", False):
            _read_masks_as_zero(trunk.embeddings, mask=vocab.mask, pad=vocab.pad)

    @property
    def blocks(self) -> nn.ModuleList:
        """The layers of the trunk."""
        lists = [module for module in self.trunk.modules() if isinstance(module, nn.ModuleList)]
        return max(lists, key=len)

    def embed(self, tokens: Tensor) -> Tensor:
        """(batch, length) int64 -> (batch, length, 1): the tokens."""
        return tokens[..., None]

    def features(
        self,
        embedded: Tensor,
        t: Tensor | None = None,
        *,
        valid: Tensor | None = None,
        segments: Tensor | None = None,
        label: Tensor | None = None,
    ) -> Tensor:
        """(batch, length, 1) tokens -> (batch, length, width); arguments as in `Network`.

        Raises:
            InputError: rows that are longer than the network reads, packed ones, or what is no tokens.
        """
        if embedded.is_floating_point() or segments is not None:
            raise InputError("model.kind=hf reads whole rows of tokens; choose another objective, or rows, or network")
        length = embedded.shape[1]
        if length > self.longest:
            most = f"{self.longest:,} tokens at most"
            raise InputError(f"this network reads {most}, not {length:,}; lower data.length or sample.length")
        seen = None if valid is None else valid.long()
        found: Tensor = self.trunk(input_ids=embedded[..., 0], attention_mask=seen)[0]
        return found

    def logits(self, features: Tensor) -> Tensor:
        """(..., width) -> (..., vocab.size)."""
        rows = features.reshape(1, -1, features.shape[-1])
        logits: Tensor = self.head(inputs_embeds=rows).logits[..., : self.n_tokens]
        return logits.view(*features.shape[:-1], self.n_tokens)

    def forward(self, tokens: Tensor, t: Tensor | None = None, *, valid: Tensor | None = None) -> Tensor:
        """Logits at every position: (batch, length) int64 -> (batch, length, vocab.size)."""
        return self.logits(self.features(self.embed(tokens), t, valid=valid))


def _longest(trunk: Any) -> int:
    """Tokens for which there are positions; those that count from behind the padding's have fewer than rows.

    BigBird reads longer rows than these by blocks, until it has seen a shorter one: its logits would depend on that.
    """
    tables: list[Any] = [
        module for name, module in trunk.named_modules() if name.endswith(POSITIONS) and hasattr(module, "padding_idx")
    ]
    rows = [len(table.weight) - (0 if table.padding_idx is None else table.padding_idx + 1) for table in tables]
    if getattr(trunk.config, "attention_type", None) == "block_sparse":
        rows.append((5 + 2 * trunk.config.num_random_blocks) * trunk.config.block_size)
    return min(rows, default=torch.iinfo(torch.int64).max)


def _read_masks_as_zero(embeddings: Any, *, mask: int, pad: int) -> None:
    """What ESM's embedding does, also for rows where all is hidden: there the library divides zero by zero.

    Hidden letters read as zero; the others are scaled by the share that is seen in training, over the one here.
    """

    def change(lookup: nn.Module, ids: tuple[Tensor], found: Tensor) -> Tensor:
        hidden, real = ids[0] == mask, ids[0] != pad
        share = 1 - hidden.sum(-1).float() / real.sum(-1)
        scaled = found.masked_fill(hidden[..., None], 0.0) * SEEN_IN_TRAINING
        return (scaled / share.where(share > 0, 1.0)[:, None, None]).to(found.dtype)

    embeddings.token_dropout = False
    embeddings.word_embeddings.register_forward_hook(change)


def _name(config: Mapping[str, Any]) -> str:
    return f"model_type {config.get('model_type')!r}"


def reason(error: Exception) -> str:
    """What the library says, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
