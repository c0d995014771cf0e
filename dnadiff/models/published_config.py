"""The config.json of published Caduceus weights, to and from our settings.

Strict, since a key that is passed over may ask for another function: unknown ones are refused, besides those that
change nothing about what the network computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dnadiff.config import decode
from dnadiff.models.caduceus import Caduceus
from dnadiff.models.renaming import refuse
from dnadiff.vocab import DNA, Vocab

STRATEGIES = {"add": "add", "ew_multiply": "multiply"}
SSM_SETTINGS = {"d_state": "n_states", "d_conv": "conv_width", "expand": "expand", "dt_rank": "dt_rank"}
NEEDED = {
    "d_model": int, "n_layer": int, "rcps": bool, "bidirectional_weight_tie": bool, "bidirectional_strategy": str,
    "fused_add_norm": bool,
}  # fmt: skip
REQUIRED = {"bidirectional": True, "rms_norm": True}
OPTIONAL = {*REQUIRED, "residual_in_fp32", "norm_epsilon", "tie_word_embeddings", "ssm_cfg", "complement_map"}
WITHOUT_EFFECT = {  # initialisation, memory, what other files tell, and what the transformers library writes
    "initializer_cfg", "gradient_checkpointing_stride", "pad_vocab_size_multiple", "vocab_size", "model_type",
    "_name_or_path", "architectures", "auto_map", "torch_dtype", "dtype", "transformers_version", "pad_token_id",
    "bos_token_id", "eos_token_id", "use_cache", "return_dict",
}  # fmt: skip
SSM_WITHOUT_EFFECT = {
    "dt_min", "dt_max", "dt_init", "dt_scale", "dt_init_floor", "use_fast_path",
    "conv_bias", "bias",  # told by the names of the tensors
}  # fmt: skip


def from_published_config(config: Mapping[str, Any], *, vocab: Vocab = DNA, where: str = "config.json") -> Caduceus:
    """Settings of a published model.

    Args:
        config: a published config.json.
        vocab: whose complement the published one must be.
        where: named in errors.

    Raises:
        InputError: keys that are missing or unknown, or that ask for what is not built here; all at once.
    """
    ssm = config.get("ssm_cfg") or {}
    misfits = [*_misfits(config), *_ssm_misfits(ssm), *_complement_misfits(config, vocab)]
    refuse(misfits, where, mend="only bidirectional Caduceus models of DNA can be read")
    values = {
        "width": config["d_model"],
        "n_layers": config["n_layer"],
        "symmetry": "ps" if config["rcps"] else "ph",
        "direction_weights": "tied" if config["bidirectional_weight_tie"] else "untied",
        "combine": STRATEGIES[config["bidirectional_strategy"]],
        "block": "fused" if config["fused_add_norm"] else "unfused",
        "residual_in_fp32": config.get("residual_in_fp32", False),
        "norm_eps": config.get("norm_epsilon", 1e-5),
        "tie_embeddings": config.get("tie_word_embeddings", True),
        **{ours: ssm[published] for published, ours in SSM_SETTINGS.items() if published in ssm},
    }
    return decode(Caduceus, values, where=where)


def to_published_config(settings: Caduceus, vocab: Vocab) -> dict[str, Any]:
    """A published config.json from our settings; the inverse of `from_published_config`.

    Raises:
        InputError: the network is told the time or a class, for which the published layout has no place.
    """
    told = ["it is told the time"] if settings.time_conditioned else []
    told += ["it is told a class"] if settings.labels else []
    refuse(told, "this network has no published form", mend="save it in our own layout")
    return {
        "architectures": ["CaduceusForMaskedLM"],
        "model_type": "caduceus",
        "d_model": settings.width,
        "n_layer": settings.n_layers,
        "vocab_size": vocab.size,
        "pad_vocab_size_multiple": 8,
        "pad_token_id": -100,
        "ssm_cfg": {theirs: getattr(settings, ours) for theirs, ours in SSM_SETTINGS.items()},
        "rms_norm": True,
        "residual_in_fp32": settings.residual_in_fp32,
        "fused_add_norm": settings.block == "fused",
        "norm_epsilon": settings.norm_eps,
        "bidirectional": True,
        "bidirectional_strategy": {ours: theirs for theirs, ours in STRATEGIES.items()}[settings.combine],
        "bidirectional_weight_tie": settings.direction_weights == "tied",
        "rcps": settings.symmetry == "ps",
        "complement_map": _complement_map(vocab, vocab.size),
        "tie_word_embeddings": settings.tie_embeddings,
        "torch_dtype": "float32",
    }


def _misfits(config: Mapping[str, Any]) -> list[str]:
    strategy = config.get("bidirectional_strategy", "add")
    misfits = [f"{key} is missing" for key in NEEDED if key not in config]
    misfits += [
        f"{key} is {config[key]!r}, not of type {expected.__name__}"
        for key, expected in NEEDED.items()
        if key in config and type(config[key]) is not expected
    ]
    misfits += [
        f"{key} is {config[key]!r}, only {value!r} is supported"
        for key, value in REQUIRED.items()
        if config.get(key, value) != value
    ]
    if isinstance(strategy, str) and strategy not in STRATEGIES:
        misfits.append(f"bidirectional_strategy is {strategy!r}, not one of {list(STRATEGIES)}")
    known = {*NEEDED, *OPTIONAL, *WITHOUT_EFFECT}
    return misfits + [f"{key} is not known" for key in sorted(config.keys() - known)]


def _ssm_misfits(ssm: Any) -> list[str]:
    if not isinstance(ssm, Mapping):
        return [f"ssm_cfg is {ssm!r}, not a mapping"]
    return [f"ssm_cfg.{key} is not known" for key in sorted(ssm.keys() - {*SSM_SETTINGS, *SSM_WITHOUT_EFFECT})]


def _complement_misfits(config: Mapping[str, Any], vocab: Vocab) -> list[str]:
    """Caduceus-Ph has no other trace of its vocabulary."""
    theirs = config.get("complement_map")
    if theirs is None or (isinstance(theirs, Mapping) and theirs == _complement_map(vocab, len(theirs))):
        return []
    return [f"complement_map is {theirs}, the vocabulary pairs {_complement_map(vocab, vocab.size)}"]


def _complement_map(vocab: Vocab, n: int) -> dict[str, int]:
    """Of the first n tokens, as JSON has it."""
    return {str(i): paired for i, paired in enumerate((vocab.complement or ())[:n])}
