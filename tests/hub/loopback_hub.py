"""A hub on this machine: models by name, each with commits; it cuts, lies and redirects as told, and takes uploads."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin")  # known by the sha256 of their content, as the hub's large files are


@dataclass
class Hub:
    """What the server does.

    Attributes:
        models: files by commit by name; the last commit is main's.
        cuts: bytes after which the next bodies end.
        replaced: bodies that are sent in place of files, of the same length or not.
        redirects: where a file's address leads instead.
        page: what every address answers with status 200, such as a captive portal's.
        asked: method and path of every request.
    """

    url: str
    models: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    replaced: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    page: bytes | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)

    def add(self, name: str, folder: Path) -> str:
        """A commit that holds the files of a folder; returns its hash."""
        return self.commit(name, {file.name: file.read_bytes() for file in sorted(folder.iterdir())})

    def commit(self, name: str, files: dict[str, bytes]) -> str:
        """A commit of some files; returns its hash."""
        commits = self.models.setdefault(name, {})
        digest = hashlib.sha1(repr((len(commits), sorted(files))).encode()).hexdigest()
        commits[digest] = files
        return digest

    def files(self, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        commits = self.models.get(name, {})
        commit = list(commits)[-1] if commits and revision == "main" else revision
        return (commit, commits[commit]) if commit in commits else None


@contextmanager
def hub_here() -> Iterator[Hub]:
    """The hub, while the block runs."""
    server = Server(("127.0.0.1", 0), Answer)
    server.hub = Hub(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Server(ThreadingHTTPServer):
    """A server that answers as its hub says."""

    hub: Hub


class Answer(BaseHTTPRequestHandler):
    """One answer."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.hub.asked.append((self.command, path))
        if self.server.hub.page is not None:
            self.send(self.server.hub.page, {"Content-Type": "text/html"})
        elif match := re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)/(revision|tree)/([\w.-]+)", path):
            self.list_files(*match.groups())
        elif match := re.fullmatch(r"/([\w.-]+/[\w.-]+)/resolve/([\w.-]+)/([\w.-]+)", path):
            self.send_file(*match.groups())
        else:
            self.refuse("EntryNotFound")

    def do_POST(self) -> None:
        path, hub = unquote(urlsplit(self.path).path), self.server.hub
        body = self.rfile.read(int(self.headers["Content-Length"]))
        hub.asked.append((self.command, path))
        if path == "/api/repos/create":
            given = json.loads(body)
            name = f"{given['organization']}/{given['name']}"
            hub.models.setdefault(name, {})
            self.send_json({"url": f"{hub.url}/{name}"})
        elif path == "/api/validate-yaml":
            self.send_json({"errors": [], "warnings": []})
        elif path.endswith("/preupload/main"):
            files = json.loads(body)["files"]
            modes = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in files]
            self.send_json({"files": modes})
        elif match := re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)/commit/main", path):
            lines = [json.loads(line) for line in body.splitlines()]
            files = {
                line["value"]["path"]: base64.b64decode(line["value"]["content"])
                for line in lines if line["key"] == "file"
            }  # fmt: skip
            commit = hub.commit(match[1], files)
            self.send_json({"commitUrl": f"{hub.url}/{match[1]}/commit/{commit}", "commitOid": commit})
        else:
            self.refuse("EntryNotFound")

    def list_files(self, name: str, what: str, revision: str) -> None:
        if name not in self.server.hub.models:
            self.refuse("RepoNotFound")
        elif (found := self.server.hub.files(name, revision)) is None:
            self.refuse("RevisionNotFound")
        else:
            commit, files = found
            entries = [entry(path, content) for path, content in files.items()]
            about = {"id": name, "sha": commit, "siblings": [{"rfilename": path} for path in files]}
            self.send_json(entries if what == "tree" else about)

    def send_file(self, name: str, revision: str, path: str) -> None:
        found = self.server.hub.files(name, revision)
        if found is None or path not in found[1]:
            self.refuse("EntryNotFound")
            return
        if path in self.server.hub.redirects:
            self.send_response(302)
            self.send_header("Location", self.server.hub.redirects[path])
            self.send_header("X-Repo-Commit", found[0])
            self.send_header("X-Linked-Etag", f'"{etag(path, found[1][path])}"')
            self.send_header("X-Linked-Size", str(len(found[1][path])))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        headers = {"ETag": f'"{etag(path, found[1][path])}"', "X-Repo-Commit": found[0]}
        self.send(self.server.hub.replaced.get(path, found[1][path]), headers)

    def send_json(self, value: object) -> None:
        self.send(json.dumps(value).encode(), {"Content-Type": "application/json"})

    def send(self, body: bytes, headers: dict[str, str]) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET" and self.server.hub.cuts and self.path.count("/resolve/"):
            self.wfile.write(body[start : start + self.server.hub.cuts.pop(0)])
            self.close_connection = True
        elif self.command != "HEAD":
            self.wfile.write(body[start:])

    def refuse(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def etag(path: str, content: bytes) -> str:
    if path.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest()


def entry(path: str, content: bytes) -> dict[str, object]:
    about: dict[str, object] = {"type": "file", "path": path, "size": len(content), "oid": etag("", content)}
    if path.endswith(LARGE):
        about["lfs"] = {"oid": etag(path, content), "size": len(content), "pointerSize": 130}
    return about
