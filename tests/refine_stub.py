"""A refiner that needs no model, and a server that answers as it is told."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

IDENTITY = "tiny ü 1"


class Inverter:
    """Inverts pictures; stands for `LocalRefiner`."""

    identity = IDENTITY

    def __init__(self, model: str = "", **options: Any) -> None:
        self.model, self.options = model, options
        self.calls: list[tuple[Any, ...]] = []
        self.loaded = 0

    def load(self) -> None:
        self.loaded += 1

    def refine(self, rgb, settings, *, sketch=None, on_note=None, on_step=None):
        self.calls.append((rgb.shape, settings, sketch))
        on_note("inverted")
        return 255 - rgb


def png(rgb: np.ndarray) -> bytes:
    """Return the bytes of a PNG."""
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, "PNG")
    return stream.getvalue()


@dataclass
class Request:
    """What came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def part(self, name: str) -> bytes | None:
        """Return a part of the form."""
        boundary = self.headers["content-type"].partition("boundary=")[2].encode()
        for part in self.body.split(b"--" + boundary):
            head, found, content = part.partition(b"\r\n\r\n")
            if found and b'name="%s"' % name.encode() in head:
                return content[:-2]
        return None

    @property
    def image(self) -> np.ndarray:
        """The picture that came."""
        return np.asarray(Image.open(io.BytesIO(self.part("image") or b"")).convert("RGB"))


# Answers a request: with (status, headers, body), or by doing something to the connection and returning None.
Answer = Callable[[Request, BaseHTTPRequestHandler], "tuple[int, dict[str, str], bytes] | None"]


def status(request: Request, handler: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
    """Answer GET /status."""
    body = {"version": "1", "models": {"colorize": None, "refine": {"identity": IDENTITY}}}
    return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()


def inverted(request: Request, handler: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
    """Answer POST /refine with the inverted picture."""
    headers = {
        "Content-Type": "image/png",
        "X-PixelPainter-Note": "one%20%C3%BC",
        "X-PixelPainter-Identity": "tiny%20%C3%BC%201",
    }
    return 200, headers, png(255 - request.image)


def problem(code: int, detail: str, **headers: str) -> Answer:
    """Return what answers with a problem."""
    body = json.dumps({"title": "t", "status": code, "detail": detail}).encode()
    extra = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request, handler: (code, {"Content-Type": "application/problem+json", **extra}, body)


@dataclass
class Server:
    """A server on loopback.

    Attributes:
        answers: what to answer to POST /refine, one after the other; the last one again and again.
        status: what to answer to GET.
        requests: what came.
    """

    url: str = ""
    answers: list[Answer] = field(default_factory=lambda: [inverted])
    status: Answer = status
    requests: list[Request] = field(default_factory=list)

    @property
    def posts(self) -> list[Request]:
        """The pictures that came."""
        return [request for request in self.requests if request.method == "POST"]

    def answer(self, request: Request) -> Answer:
        """Return what to answer."""
        self.requests.append(request)
        if request.method == "GET":
            return self.status
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def serving() -> Iterator[Server]:
    """Give a server that runs until the block ends."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, body)
            answer = server.answer(request)(request, self)
            if answer is None:
                self.close_connection = True
                return
            code, extra, content = answer
            self.send_response(code)
            for name, value in extra.items():
                self.send_header(name, value)
            if "Content-Length" not in extra:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 (named by http.server)

        def log_message(self, *arguments: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # clients that break off belong to the tests

    with Quiet(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        server.url = f"http://127.0.0.1:{http.server_port}"
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
