"""Published masked language models of the transformers library: their settings and weights, to ours.

Strict, since what is missing would be made up at random: tensors of other heads alone are passed over. Our network must
give the logits that the library's own gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dnadiff.errors import InputError
from dnadiff.models.hf import HuggingFace, MaskedLM, kinds, known_settings, reason
from dnadiff.models.renaming import refuse
from dnadiff.vocab import Vocab

REFUSED = {"quantization_config": "its weights are compressed", "is_decoder": "it is a decoder"}
OLD_NAMES = {".gamma": ".weight", ".beta": ".bias"}  # of norms, by their ends
PASSED_OVER = ("pooler.", "seq_relationship.", "contact_head.", "position_ids", "inv_freq")  # other heads, and buffers
N_TRIED = 24  # tokens of a row by which the two networks are compared


def is_known(kind: object) -> bool:
    """Whether the library, if it is installed, has a masked language model of this model_type."""
    try:
        return isinstance(kind, str) and kind in kinds()
    except InputError:
        return False


def from_published_config(config: Mapping[str, Any], *, where: str = "config.json") -> HuggingFace:
    """Settings of a published model, without those that are not read.

    Raises:
        InputError: it is no plain masked language model.
    """
    refuse([f"{key}: {what}" for key, what in REFUSED.items() if config.get(key)], where, mend="name another model")
    known = known_settings(config["model_type"])
    return HuggingFace(config={key: config[key] for key in sorted(known & config.keys())})


def from_published(
    tensors: Mapping[str, Tensor], settings: HuggingFace, vocab: Vocab, *, where: str = "weights"
) -> dict[str, Tensor]:
    """Our state dict from a published one; strict.

    Args:
        tensors: published name -> tensor; the second name of a tied tensor may be missing.
        settings: of the model, as `from_published_config` gives them.
        vocab: of its tokenizer.
        where: named in errors.

    Raises:
        InputError: every name, shape and tie that does not fit, a tokenizer of more tokens, or logits that differ.
    """
    given = {_named(name): tensor.float() for name, tensor in tensors.items()}
    with torch.device("meta"):  # sizes of any number, before any memory is taken
        shapes = {name: tensor.shape for name, tensor in settings.model().state_dict().items()}
    misfits = [
        f"{name} has shape {tuple(tensor.shape)}, not {tuple(shapes[name])}"
        for name, tensor in given.items()
        if name in shapes and tensor.shape != shapes[name]
    ]
    mend = "use the config.json that belongs to these weights"
    refuse(misfits, where, mend=mend)
    model: Any = settings.model()
    own = model.state_dict()
    _, unexpected = model.load_state_dict(given, strict=False)
    firsts = {own[name].data_ptr(): name for name in reversed(own) if name in given}
    misfits = [
        f"{name} is missing" for name, parameter in model.named_parameters() if parameter.data_ptr() not in firsts
    ]
    misfits += [
        f"{name} differs from the tensor it is tied to"
        for name, tensor in given.items()
        if name in own and not torch.equal(tensor, given[firsts[own[name].data_ptr()]])
    ]
    misfits += [f"{name} is not known" for name in unexpected if not any(part in name for part in PASSED_OVER)]
    refuse(misfits, where, mend=mend)
    return _tried(model.eval(), vocab, where).state_dict()


@torch.no_grad()
def _tried(model: Any, vocab: Vocab, where: str) -> MaskedLM:
    """Our network, whose logits are those of the library's, and do not depend on the padding behind a row."""
    rows = int(model.config.vocab_size)
    if rows < vocab.size:
        raise InputError(f"{where}: has {rows:,} tokens, its tokenizer {vocab.size:,} with the mask; get them anew")
    place = torch.arange(N_TRIED)
    tokens = vocab.letter_ids[place % vocab.n_letters].where(place % 3 > 0, vocab.mask)[None]
    is_row = (place < N_TRIED // 2)[None]
    try:
        expected = model(tokens).logits[..., : vocab.size]
        network = MaskedLM(model, vocab)
        found, alone = network(tokens), network(tokens[:, : N_TRIED // 2])
        padded = network(tokens.where(is_row, vocab.pad), valid=is_row)[:, : N_TRIED // 2]
    except InputError:
        raise
    except Exception as error:  # an architecture that needs more than tokens fails anywhere
        raise InputError(f"{where}: cannot read a row of tokens ({reason(error)}); name another model") from None
    if not torch.allclose(found, expected, atol=1e-5, rtol=1e-4):
        raise InputError(f"{where}: its head reads more than the features of its trunk; name another model")
    if (padded - alone).abs().max() > 1e-3 * alone.abs().max():
        raise InputError(f"{where}: reads the padding behind a row as if it were part of it; name another model")
    return network


def _named(name: str) -> str:
    """The name that the library has for it now."""
    old = next((end for end in OLD_NAMES if name.endswith(end)), None)
    return name if old is None else name.removesuffix(old) + OLD_NAMES[old]
