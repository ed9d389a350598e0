"""A small Hugging Face Hub on 127.0.0.1: the route that files are downloaded by, and its faults."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "c0ffee" + "0" * 34


class HubServer(ThreadingHTTPServer):
    """Serves one repository, "painter/models" at the branch main and the commit COMMIT.

    Attributes:
        files: content by path in the repository.
        requests: method and path of every request, in order.
        tokens: what the requests for files had in the header Authorization.
        fault: "" or what goes wrong: a status such as "500", "gated", "silent" (no answer), "no hub" (answers as
            other servers do), "short" (GET sends half and says so), "drop" (the first GET breaks off), "cut" (every
            GET does, before the first byte), "other" (GET sends other bytes of the same number), "slow", "huge" (says
            that the file has an exabyte).
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.tokens: set[str | None] = set()
        self.fault = ""
        self.released = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def count(self, method: str) -> int:
        """Return how often a file was asked for; the client has questions of its own besides."""
        return sum(request[0] == method and "/resolve/" in request[1] for request in self.requests)


class _Handler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _refuse(self, status: int, code: str = "") -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self) -> None:
        hub = self.server
        hub.requests.append((self.command, self.path))
        if "/resolve/" in self.path:
            hub.tokens.add(self.headers["Authorization"])
        first = hub.count(self.command) == 1
        if hub.fault == "silent":
            hub.released.wait(60)
            self.close_connection = True
            return
        if hub.fault.isdigit():
            return self._refuse(int(hub.fault))
        if hub.fault == "gated":
            return self._refuse(403, "GatedRepo")
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
        if match is None or match[1] != "painter/models":
            return self._refuse(401 if hub.fault == "private" else 404, "RepoNotFound")
        if match[2] not in ("main", COMMIT):
            return self._refuse(404, "RevisionNotFound")
        if match[3] not in hub.files:
            return self._refuse(404, "EntryNotFound")
        self._send_file(hub.files[match[3]], first)

    def _send_file(self, content: bytes, first: bool) -> None:
        fault = self.server.fault
        body, start = content, 0
        if self.command == "GET" and (given := re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")):
            start = int(given[1])
            body = content[start:]
        if self.command == "GET" and fault == "short":
            body = body[: len(body) // 2]
        if self.command == "GET" and fault == "other":
            body = bytes(255 - byte for byte in body)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(10**18 if fault == "huge" else len(body)))
        if fault != "no hub":
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault == "cut" or (fault == "drop" and first):
            body = body[: len(body) // 3] if fault == "drop" else b""
            self.close_connection = True
        for place in range(0, len(body), 4096):
            self.wfile.write(body[place : place + 4096])
            if fault == "slow":
                time.sleep(0.05)


@contextmanager
def serve_hub() -> Iterator[HubServer]:
    """Run a server while the block runs."""
    hub = HubServer()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.released.set()
        hub.shutdown()
        thread.join()
        hub.server_close()
