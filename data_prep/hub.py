"""Files of a data set on the Hugging Face hub, with the checksums that it publishes. Standard library only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from fetch import FetchError, fetch, fetch_text

HUB_URL = "https://huggingface.co"


class HubFile(NamedTuple):
    """One file: its name, its address, and the sha256 that the hub lists."""

    name: str
    url: str
    sha256: str


def hub_files(dataset: str, folder: str, *, hub_url: str = HUB_URL, revision: str = "main") -> list[HubFile]:
    """The parquet files of a folder, in the order of their names.

    Raises:
        FetchError: the hub does not answer, or lists none with a checksum.
    """
    revision = quote(revision, safe="")
    listing = f"{hub_url}/api/datasets/{dataset}/tree/{revision}/{folder}"
    try:
        entries = [entry for entry in json.loads(fetch_text(listing)) if entry["path"].endswith(".parquet")]
        found = [
            HubFile(
                Path(entry["path"]).name,
                f"{hub_url}/datasets/{dataset}/resolve/{revision}/{entry['path']}",
                entry["lfs"]["oid"],
            )
            for entry in entries
        ]
    except (ValueError, KeyError, TypeError):
        raise FetchError(f"{listing}: is no list of files; give another mirror with --hub-url") from None
    if not found:
        raise FetchError(f"{listing}: lists no parquet file; the set may have moved")
    return sorted(found)


def fetch_folder(
    dataset: str, folder: str, to: Path, *, licence: str, hub_url: str = HUB_URL, revision: str = "main",
    starts: str = "",
) -> None:  # fmt: skip
    """Get every parquet file of a folder whose name begins with `starts`.

    Raises:
        FetchError: as `hub_files` and `fetch`.
    """
    wanted = [file for file in hub_files(dataset, folder, hub_url=hub_url, revision=revision)
              if file.name.startswith(starts)]  # fmt: skip
    if not wanted:
        raise FetchError(f"{hub_url}: {dataset} has no {folder}/{starts}*.parquet; the set may have moved")
    for file in wanted:
        fetch(file.url, to / file.name, sha256=file.sha256, licence=licence)
