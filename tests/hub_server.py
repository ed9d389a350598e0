"""A small Hugging Face Hub on 127.0.0.1: the routes that files are downloaded by, and their faults."""

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

    As on the Hub, a file's own address, /OWNER/REPO/resolve/REVISION/FILE, only tells commit, hash and size, and
    redirects to another host, where the content lies: here /cdn/SHA256/FILE on the other name of this machine.

    Attributes:
        files: content by path in the repository.
        requests: method and path of every request, in order.
        tokens: what the requests to the Hub had in the header Authorization.
        cdn_tokens: what those to the other host had.
        ranges: the header Range of every request for content.
        together: content is sent only after this many requests to the Hub.
        fault: "" or what goes wrong: a status such as "500", "gated", "silent" (no answer), "no hub" (answers as
            other servers do), "no content" (the other host answers 500), "short" (half of the content, and says so),
            "drop" (the first content breaks off), "cut" (every content does, before the first byte), "other" (other
            bytes of the same number), "slow", "stuck" (stops early), "huge" (says that the file has an exabyte).
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.tokens: set[str | None] = set()
        self.cdn_tokens: set[str | None] = set()
        self.ranges: list[str | None] = []
        self.together = 0
        self.fault = ""
        self.released = threading.Event()
        self.asked = threading.Condition()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def count(self, part: str) -> int:
        """Return how many requests had this in their path; the client has questions of its own besides."""
        return sum(part in path for _, path in self.requests)

    @property
    def lookups(self) -> int:
        """How often the Hub was asked for a file."""
        return self.count("/resolve/")

    @property
    def downloads(self) -> int:
        """How often content was asked for."""
        return self.count("/cdn/")


class HubHandler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _reply(self, status: int, length: int = 0, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _answer(self) -> None:
        hub = self.server
        with hub.asked:
            hub.requests.append((self.command, self.path))
            hub.asked.notify_all()
        content = re.fullmatch(r"/cdn/([0-9a-f]{64})/.+", self.path)
        if content is not None:
            hub.cdn_tokens.add(self.headers["Authorization"])
            hub.ranges.append(self.headers["Range"])
            with hub.asked:
                hub.asked.wait_for(lambda: hub.lookups >= hub.together, timeout=120)
            by_hash = {hashlib.sha256(data).hexdigest(): data for data in hub.files.values()}
            return self._reply(500) if hub.fault == "no content" else self._send_content(by_hash[content[1]])
        if "/resolve/" in self.path:
            hub.tokens.add(self.headers["Authorization"])
        if hub.fault == "silent":
            hub.released.wait(60)
            self.close_connection = True
            return
        if hub.fault.isdigit():
            return self._reply(int(hub.fault))
        if hub.fault == "gated":
            return self._reply(403, X_Error_Code="GatedRepo")
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
        if match is None or match[1] != "painter/models":
            return self._reply(401 if hub.fault == "private" else 404, X_Error_Code="RepoNotFound")
        if match[2] not in ("main", COMMIT):
            return self._reply(404, X_Error_Code="RevisionNotFound")
        if match[3] not in hub.files:
            return self._reply(404, X_Error_Code="EntryNotFound")
        self._redirect(match[3])

    def _redirect(self, file: str) -> None:
        hub = self.server
        content = hub.files[file]
        sha256 = hashlib.sha256(content).hexdigest()
        if hub.fault == "no hub":
            return self._reply(200, len(content))
        size = 10**18 if hub.fault == "huge" else len(content)
        self._reply(
            302,
            X_Repo_Commit=COMMIT,
            X_Linked_Size=str(size),
            X_Linked_ETag=f'"{sha256}"',
            Location=f"http://localhost:{hub.server_port}/cdn/{sha256}/{file}",
        )

    def _send_content(self, content: bytes) -> None:
        fault = self.server.fault
        given = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        start = int(given[1]) if given else 0
        body = content[start:]
        if fault == "short":
            body = body[: len(body) // 2]
        if fault == "other":
            body = bytes(255 - byte for byte in body)
        name = self.path.rpartition("/")[2]
        headers = {"Content_Disposition": f"inline; filename*=UTF-8''{name}; filename=\"{name}\";"}
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._reply(206 if start else 200, len(body), **headers)
        if fault == "cut" or (fault == "drop" and self.server.downloads == 1):
            body = body[: len(body) * 2 // 3] if fault == "drop" else b""
            self.close_connection = True
        for place in range(0, len(body), 8192):
            self.wfile.write(body[place : place + 8192])
            if fault == "slow":
                time.sleep(0.05)
            if fault == "stuck":
                self.server.released.wait(60)


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
