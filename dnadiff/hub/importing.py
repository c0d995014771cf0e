"""Published models as checkpoint folders of ours: made once, kept in the cache, named by what they were made of.

Read are folders for the transformers library (config.json beside model.safetensors, in one file or several, or
pytorch_model.bin) of Caduceus, of MDLM's diffusion transformer, and of that library's own masked language models; and
MDLM's training checkpoints: FILE.ckpt for the moving average of the weights, which published figures are made with,
FILE.ckpt@raw for those of the last step.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from torch import Tensor

from dnadiff import checkpoint
from dnadiff.cache import cache_folder, locked
from dnadiff.data.text.tokenizer import KEPT, TextTokenizer, open_tokenizer
from dnadiff.diffusion.objectives import MDLM, MLM
from dnadiff.errors import InputError
from dnadiff.files import sha256
from dnadiff.model import ModelConfig
from dnadiff.models import published, published_config, published_dimamba, published_dit, published_hf
from dnadiff.models.published_checkpoint import plain_weights, published_settings, published_weights
from dnadiff.vocab import DNA, Vocab

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")  # the first that is there
TOKENIZER = ("tokenizer.json", "vocab.json", "merges.txt", "vocab.txt")
TOKENIZER_SETTINGS = "tokenizer_config.json"
GPT2, GPT2_TOKENS = "gpt2", 50_258  # with the mask; published MDLM folders leave their tokenizer out
LARGEST_CONFIG = 1 << 20  # bytes


class Published(NamedTuple):
    """What a published model is, in our terms; tensors are those of the network."""

    config: ModelConfig
    vocab: Vocab
    tensors: Mapping[str, Tensor]
    files: Mapping[str, str]


def is_published(path: Path) -> bool:
    """Whether a user's path names a published model."""
    return _is_checkpoint(path) or ((path / "config.json").is_file() and not (path / checkpoint.WEIGHTS).is_file())


def imported(path: Path) -> Path:
    """The checkpoint folder of a published model, in the cache.

    Raises:
        InputError: a model of another architecture, or files that are damaged or do not fit each other.
    """
    files = _sources(path)
    signature = tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files)
    return _imported(path, signature)


@functools.cache  # large files are read once in a process
def _imported(path: Path, signature: tuple[tuple[Path, int, int], ...]) -> Path:
    digests = {file.name: sha256(file) for file, *_ in signature}
    identity = json.dumps([checkpoint.FORMAT, _weights_kind(path), digests])
    told = re.sub(r"[^\w.-]+", "-", path.absolute().name)
    folder = cache_folder() / "published" / f"{told}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    folder.parent.mkdir(exist_ok=True)
    with locked(folder):
        if not _is_intact(folder):
            model = _read_checkpoint(path) if _is_checkpoint(path) else _read_folder(path)
            tensors = {f"network.{name}": tensor.float() for name, tensor in model.tensors.items()}
            about = {"published": {"name": path.name, "weights": _weights_kind(path), "sha256": digests}}
            checkpoint.write(
                folder, model.config, model.vocab, {checkpoint.WEIGHTS: tensors}, about=about, files=model.files
            )
    return folder


def _is_intact(folder: Path) -> bool:
    try:
        checkpoint.verify(folder)
    except InputError:
        return False
    return True


def _is_checkpoint(path: Path) -> bool:
    return re.search(r"\.ckpt(@raw)?$", path.name) is not None


def _weights_kind(path: Path) -> Literal["raw", "average"] | None:
    if not _is_checkpoint(path):
        return None
    return "raw" if path.name.endswith("@raw") else "average"


def _file(path: Path) -> Path:
    return path.with_name(path.name.removesuffix("@raw"))


def _sources(path: Path) -> list[Path]:
    """The files that a published model is made of; the weights come first."""
    if _is_checkpoint(path):
        folder, weights = path.parent, [_file(path)]
        if not weights[0].is_file():
            raise InputError(f"{weights[0]}: not found; name a checkpoint file")
    else:
        folder, weights = path, [path / name for name in WEIGHTS if (path / name).is_file()][:1]
        if not weights:
            raise InputError(f"{path}: holds config.json but no {WEIGHTS[0]} or {WEIGHTS[-1]}; get the weights too")
        if weights[0].suffix == ".json":
            weights += [path / name for name in sorted(set(_parts(weights[0]).values()))]
    beside = [folder / name for name in ("config.json", TOKENIZER_SETTINGS, *TOKENIZER)]
    return weights + [file for file in beside if file.is_file()]


def _read_folder(folder: Path) -> Published:
    weights, *_ = _sources(folder)
    tensors = _read_weights(weights)
    where, config = folder / "config.json", _read_json(folder / "config.json")
    match config.get("model_type"):
        case "caduceus":
            _require_dna(folder / TOKENIZER_SETTINGS)
            settings = published_config.from_published_config(config, where=str(where))
            state = published.from_published(tensors, settings, DNA, where=str(weights))
            return Published(ModelConfig(model=settings, objective=MLM()), DNA, state, {})
        case "mdlm":
            return _transformer(config, tensors, _tokenizer(folder, config), where, weights)
        case other if published_hf.is_known(other):
            tokenizer, own = _tokenizer(folder, config), published_hf.from_published_config(config, where=str(where))
            state = published_hf.from_published(tensors, own, tokenizer.vocab, where=str(weights))
            return _of_text(ModelConfig(model=own, objective=MLM()), state, tokenizer)
        case other:
            raise InputError(
                f"{where}: model_type is {other!r}; read are caduceus, mdlm, and with pip install 'dnadiff[text]' the "
                "masked language models of transformers; no code that comes with a model is ever run; name another"
            )


def _read_checkpoint(path: Path) -> Published:
    file, kind = _file(path), _weights_kind(path)
    assert kind is not None
    config, where = published_settings(file), file
    if not config:
        where = file.with_name("config.json")
        if not where.is_file():
            raise InputError(f"{file}: holds no settings; put them beside it as config.json")
        config = _read_json(where)
    tensors = published_weights(file, kind, buffers=[published_dit.FREQUENCIES])
    if (found := config.get("parameterization", "subs")) != "subs":
        raise InputError(f"{where}: parameterization is {found!r}, only 'subs' is read; name another checkpoint")
    noise = config.get("noise")
    if isinstance(noise, dict) and noise.get("type") != "loglinear":
        raise InputError(f"{where}: noise.type is {noise.get('type')!r}, only 'loglinear' is read; name another")
    tokenizer = _tokenizer(file.parent, config)
    match config.get("backbone", "dit"):
        case "dit":
            return _transformer(config, tensors, tokenizer, where, file)
        case "dimamba":
            settings = published_dimamba.from_published_config(config, where=str(where))
            state = published_dimamba.from_published(tensors, settings, tokenizer.vocab, where=str(file))
            return _of_text(ModelConfig(model=settings, objective=MDLM()), state, tokenizer)
        case other:
            raise InputError(f"{where}: backbone is {other!r}; read are dit and dimamba; name another checkpoint")


def _transformer(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor], tokenizer: TextTokenizer, where: Path, weights: Path
) -> Published:
    settings = published_dit.from_published_config(config, where=str(where))
    state = published_dit.from_published(tensors, settings, tokenizer.vocab, where=str(weights))
    return _of_text(ModelConfig(model=settings, objective=MDLM()), state, tokenizer)


def _of_text(config: ModelConfig, state: Mapping[str, Tensor], tokenizer: TextTokenizer) -> Published:
    return Published(config, tokenizer.vocab, state, {KEPT: tokenizer.definition})


def _tokenizer(folder: Path, config: Mapping[str, Any]) -> TextTokenizer:
    """Beside the weights, or the one that the settings name."""
    data = config.get("data")
    named = data.get("tokenizer_name_or_path") if isinstance(data, dict) else None
    if any((folder / name).is_file() for name in TOKENIZER):
        return open_tokenizer(str(folder))
    if named is None and config.get("vocab_size") == GPT2_TOKENS:
        named = GPT2
    if not isinstance(named, str):
        raise InputError(f"{folder}: holds no tokenizer; put its tokenizer.json beside the weights")
    return open_tokenizer(named)


def _require_dna(path: Path) -> None:
    """The published tokenizer numbers its characters as they are listed, if it lists any."""
    if path.is_file():
        listed, ours = _read_json(path).get("characters"), [*"ACGTN"]
        if listed is not None and listed != ours:
            raise InputError(f"{path}: characters are {listed!r}, not {ours}; only models of DNA with these are read")


def _read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of one file, or of all those that an index lists."""
    match path.suffix:
        case ".safetensors":
            return checkpoint.read_tensors(path)
        case ".bin":
            return plain_weights(path)
    listed = _parts(path)
    parts = {part: checkpoint.read_tensors(path.with_name(part)) for part in sorted(set(listed.values()))}
    held = {name: part for part, tensors in parts.items() for name in tensors}
    if held != listed or sum(map(len, parts.values())) != len(listed):
        misfit = next(iter(held.items() ^ listed.items()), next(iter(listed.items())))
        raise InputError(
            f"{path}: does not list what the files hold ({misfit[0]} in {misfit[1]}); get all of them anew"
        )
    return {name: tensor for tensors in parts.values() for name, tensor in tensors.items()}


def _parts(index: Path) -> dict[str, str]:
    """Tensor -> file beside the index."""
    listed = _read_json(index).get("weight_map")
    if not isinstance(listed, dict) or not listed:
        raise InputError(f"{index}: lists no weights (weight_map); get it anew")
    for part in set(map(str, listed.values())):
        if not re.fullmatch(r"\w[\w.-]*\.safetensors", part) or not index.with_name(part).is_file():
            raise InputError(f"{index}: lists {part!r}, which is no file beside it; get the weights too")
    return cast(dict[str, str], listed)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_CONFIG:
            raise ValueError("larger than settings are")
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("no mapping")
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable settings ({error}); get it anew") from None
    return cast(dict[str, Any], values)
