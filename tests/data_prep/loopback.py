"""A small web server on this machine, which cuts, lies and forgets as told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Web:
    """What the server does: its files, and how it misbehaves."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    """Bytes after which the next connections end."""
    failures: list[int] = field(default_factory=list)
    """Statuses that the next requests get."""
    redirects: dict[str, str] = field(default_factory=dict)
    """Where a path leads instead."""
    has_ranges: bool = True
    content_type: str = "application/octet-stream"
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """(path, Range header) of every request."""


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Web]:
    """The server, while the block runs."""
    server = Server(("127.0.0.1", 0), Answer)
    server.web = Web(f"http://127.0.0.1:{server.server_port}", files=files)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Server(ThreadingHTTPServer):
    """A server on this machine that behaves as its `Web` says."""

    web: Web


class Answer(BaseHTTPRequestHandler):
    """One answer of a `Server`."""

    server: Server

    def do_GET(self) -> None:
        web = self.server.web
        wanted = self.headers.get("Range")
        web.asked.append((self.path, wanted))
        if web.failures or self.path not in web.files:
            self.send_error(web.failures.pop(0) if web.failures else 404)
            return
        if self.path in web.redirects:
            self.send_response(302)
            self.send_header("Location", web.redirects[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = web.files[self.path]
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and web.has_ranges else 0
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.send_header("Content-Type", web.content_type)
        self.end_headers()
        self.wfile.write(body[start : start + web.cuts.pop(0)] if web.cuts else body[start:])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
