"""Files as somebody writes them who means harm."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import torch


class Runs:
    """What a hostile pickle does: it makes a folder."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def pickles(marker: Path) -> dict[str, bytes]:
    """The same hostile object in every wrapping that a reader might open."""
    bad = Runs(marker)
    content = {"state_dict": {"a": torch.zeros(1)}, "x": bad}
    wrapped: dict[str, io.BytesIO] = {name: io.BytesIO() for name in ("torch", "old torch", "npy", "npz", "zip")}
    torch.save(content, wrapped["torch"])
    torch.save(content, wrapped["old torch"], _use_new_zipfile_serialization=False)
    np.save(wrapped["npy"], np.array([bad], object), allow_pickle=True)
    np.savez(wrapped["npz"], claim=np.array([bad], object), nats=np.array([bad], object))
    with zipfile.ZipFile(wrapped["zip"], "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(bad))
        archive.writestr("archive/version", "3\n")
        archive.writestr("inner.zip", wrapped["torch"].getvalue())
    return {"pickle": pickle.dumps(bad), **{name: stream.getvalue() for name, stream in wrapped.items()}}


def mutants(content: bytes) -> dict[str, bytes]:
    """Malformed variants of a safetensors file."""
    size = struct.unpack("<Q", content[:8])[0]
    header, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    name = next(name for name in header if name != "__metadata__")

    def with_header(text: bytes) -> bytes:
        return struct.pack("<Q", len(text)) + text + data

    def with_entry(**changes: object) -> bytes:
        return with_header(json.dumps({**header, name: {**header[name], **changes}}).encode())

    return {
        "empty": b"", "cut in the header": content[:20], "cut in the data": content[:-10],
        "longer than it says": content + b"0123456789", "a huge header": struct.pack("<Q", 1 << 60) + content[8:],
        "no JSON": with_header(b"x" * size), "negative offsets": with_entry(data_offsets=[-8, 0]),
        "overlapping": with_entry(data_offsets=[0, 4]), "an unknown type": with_entry(dtype="PICKLE"),
        "a shape that overflows": with_entry(shape=[1 << 40, 1 << 40]),
    }  # fmt: skip


def many_tensors(n: int) -> bytes:
    """A safetensors file of so many empty tensors."""
    entries = ",".join(f'"t{i}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for i in range(n))
    return struct.pack("<Q", len(entries) + 2) + b"{%b}" % entries.encode()
