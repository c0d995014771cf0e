"""Drawing sequences from a model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Self, cast

import numpy as np
import torch
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.config import Settings
from dnadiff.diffusion.bans import Without
from dnadiff.diffusion.caching import Cached
from dnadiff.diffusion.contracts import Denoiser, Fills, PosteriorDenoiser, SequenceSampler
from dnadiff.diffusion.guidance import ClassifierFree
from dnadiff.diffusion.samplers import Sampler
from dnadiff.diffusion.samplers.strides import Strides
from dnadiff.diffusion.uniforms import RowUniforms
from dnadiff.errors import InputError, nearest
from dnadiff.inference.device import best_device, borrowed
from dnadiff.inference.draws import Shard
from dnadiff.inference.evaluate import ALL
from dnadiff.model import DiffusionModel
from dnadiff.network import Network
from dnadiff.vocab import Vocab

Guide = Callable[[PosteriorDenoiser], PosteriorDenoiser]
Around = Callable[[SequenceSampler], Fills]

log = logging.getLogger("dnadiff")


class Wanted(Settings):
    """What is to be drawn, beside the sampler that does it."""

    label: str | None = None
    """Class of the sequences, for models that are told one; null: none is told."""
    guidance: float = Field(1.0, ge=0)
    """How strongly the class is meant; 1: as the network learned it."""
    context: int | None = Field(None, ge=2)
    """Positions that are seen at a time, longer sequences being drawn in strides; null: all."""
    stride: int | None = Field(None, ge=1)
    """Positions from one view to the next; null: half the context."""
    ban: Annotated[tuple[str, ...], BeforeValidator(lambda given: (given,) if isinstance(given, str) else given)] = ()
    """Letters that are never drawn, such as T or CG; of text tokens, such as [the, a]."""

    @model_validator(mode="after")
    def _check_wanted(self) -> Self:
        if self.guidance != 1 and self.label is None:
            raise ValueError("guidance is towards a class; give one in label")
        if self.stride is not None and self.context is None:
            raise ValueError("stride is of windows; give their length in context")
        if self.stride is not None and self.context is not None and self.stride >= self.context:
            raise ValueError(f"stride ({self.stride}) must be below context ({self.context}); lower it")
        return self

    def around(self, sampler: SequenceSampler) -> Fills:
        """What draws long sequences in strides; the sampler itself where all is seen at once."""
        if self.context is None:
            return sampler
        return Strides(sampler, context=self.context, stride=self.stride or self.context // 2)

    @property
    def guide(self) -> Guide | None:
        """Classifier-free guidance; None where the class counts as the network learned it."""
        return None if self.guidance == 1 else partial(ClassifierFree, strength=self.guidance)


def sample(
    model: DiffusionModel,
    n: int,
    length: int,
    sampler: Sampler,
    *,
    label: str | None = None,
    guide: Guide | None = None,
    around: Around | None = None,
    ban: Sequence[str] = (),
    network: Network | None = None,
    seed: int = 0,
    batch_size: int = 16,
    shard: Shard = ALL,
    progress: Callable[[int], None] = lambda _: None,
) -> np.ndarray:
    """Draw sequences from nothing but masks.

    Args:
        n, length: how many, and how many letters each.
        sampler: `Auto` is the objective's plain one.
        label: class of all sequences, for models that are told one; None: none.
        guide: what is put around the model's posterior, such as `dnadiff.diffusion.guidance.Guided`.
        around: what is put around the sampler, such as `dnadiff.diffusion.samplers.strides.Strides`.
        ban: letters that are never drawn, as `banned_letters` reads them.
        network: in place of the model's own, such as one that counts its runs.
        batch_size: sequences at a time; does not change what is drawn, but for rounding inside the network.
        shard: which batches are drawn.
        progress: called with the number of steps done after each step of each batch.

    Returns:
        (n, length) int64 tokens, letters only; fewer than n for a shard.

    Raises:
        InputError: the sampler takes another denoiser than the model or the guide gives; the model knows no such class,
            or no such letter.
    """
    chosen, drawn = model.config.objective.sampler(sampler), []
    if guide is not None and chosen.takes is not PosteriorDenoiser:
        raise InputError(f"sampler.kind: {chosen.kind} cannot be guided; choose ancestral, of a masked objective")
    fills: Fills = chosen if around is None else around(chosen)
    number = None if label is None else label_number(model.config.model.labels, label)
    banned = banned_letters(model.vocab, ban) if ban else None
    with borrowed(model, device := best_device()):
        for start in range(0, n, batch_size)[shard.number - 1 :: shard.n_shards]:
            rows = min(batch_size, n - start)
            labels = None if number is None else torch.full((rows,), number, device=device)
            state = Batch(torch.full((rows, length), model.vocab.mask, device=device), label=labels)
            uniforms = RowUniforms(seed, range(start, start + rows), device)
            denoiser = model.objective.denoiser(network or model.network, model.schedule, model.vocab)
            if guide is not None:
                denoiser = guide(cast(PosteriorDenoiser, denoiser))
            if banned is not None:
                denoiser = cast(Denoiser, Without(denoiser, banned))
            denoiser, tokens = spared(denoiser, chosen.takes), state.tokens
            for after in fills.sample(denoiser, state, model.schedule, model.vocab, uniforms=uniforms):
                tokens = after.tokens
                progress(1)
            drawn.append(tokens.cpu().numpy())
    return np.concatenate(drawn) if drawn else np.empty((0, length), np.int64)


def warn_if_untried(length: int, trained: int | None) -> None:
    """Say so where sequences are to be longer than what a model was trained on."""
    if trained is not None and length > trained:
        log.warning(
            "length %d: the model was trained on windows of %d; what it does beyond is untried", length, trained
        )


def spared(denoiser: Denoiser, takes: type) -> Denoiser:
    """The same answers from fewer rows, where a cache can give them."""
    if takes is not PosteriorDenoiser:
        return denoiser
    posterior = cast(PosteriorDenoiser, denoiser)
    return posterior if posterior.time_conditioned else Cached(posterior)


def banned_letters(vocab: Vocab, ban: Sequence[str]) -> Tensor:
    """(n_letters,) bool: those that are named; where all are single characters, a word names each of its own.

    Raises:
        InputError: a word that names none, or all of them are named.
    """
    names = [vocab.tokens[i] for i in vocab.letters]
    known, named, single = set(names), set[str](), all(len(name) == 1 for name in names)
    for word in ban:
        readings = [{word}, *([set(word), set(word.upper())] if single else [])]
        letters = next((each for each in readings if each and each <= known), None)
        if letters is None:
            raise InputError(f"ban {word!r}: is no letter of this model{nearest(word, names)}; name some of its own")
        named |= letters
    if named == known:
        raise InputError(f"ban {','.join(ban)}: leaves no letter to draw; name fewer")
    return torch.tensor([name in named for name in names])


def label_number(known: tuple[str, ...], label: str) -> int:
    """Of a class among those that a model is told.

    Raises:
        InputError: it is told no such class.
    """
    if not known:
        raise InputError(f"label {label!r}: the model was trained without classes; leave it out (see data.label)")
    if label not in known:
        raise InputError(f"label {label!r}: the model knows {', '.join(known)}{nearest(label, known)}")
    return known.index(label)
