"""`pixelpainter serve`: its options, what it announces, and what keeps it from starting."""

import http.server
import importlib.util
import json
import socket
import sys
import threading
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import typer
from test_lazy_imports import COMMAND, NOT_FOR_HELP, loaded
from test_server_process import Server, wait_for

from pixelpainter.cli.serve import _check_access
from pixelpainter.server.announce import announce

PUBLIC = ["--public-url", "https://tunnel.example"]


@pytest.fixture(autouse=True)
def no_token(monkeypatch):
    monkeypatch.delenv("PIXELPAINTER_TOKEN", raising=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "--token"),
        (["--host", "::"], "--token"),
        (["--token", ""], "--token"),
        (["--token", "two words"], "--token"),
        (["--preset", "quality"], "--refine"),
        (["--refine-model", "x"], "--refine"),
        (["--controlnet", "x"], "--refine"),
        (["--refine", "--preset", "quality", "--refine-model", "x"], "choose one"),
        (["--announce", "https://store.example/a"], "--public-url"),
        (["--announce", "https://store.example/a", *PUBLIC], "--token"),
        (["--announce", "http://store.example/a", "--token", "t", *PUBLIC], "https is needed"),
        (["--announce", "http://127.0.0.1.example/a", "--token", "t", *PUBLIC], "https is needed"),
        (["--announce", "ftp://store.example/a", "--token", "t", *PUBLIC], "no address"),
        (["--announce", "https://[::1/", "--token", "t", *PUBLIC], "no address"),
        (["--public-url", "tunnel.example", "--token", "t"], "no address"),
        (["--queue", "-1"], "--queue"),
    ],
)
def test_wrong_usage(command, arguments, said):
    done = command("serve", "--port", "0", *arguments)
    assert (done.status, done.out) == (2, "")
    assert said in done.err


def test_the_token_of_examples_is_none():
    with pytest.raises(typer.BadParameter, match="can be guessed"):
        _check_access("...", None, None)


def test_a_token_from_the_environment_counts(command, monkeypatch):
    monkeypatch.setenv("PIXELPAINTER_TOKEN", "no token\n")
    assert command("serve", "--port", "0").status == 2


def test_help_is_light():
    assert not loaded(COMMAND, "serve", "--help") & (NOT_FOR_HELP | {"uvicorn", "starlette", "httpx"})


@pytest.mark.parametrize(("module", "package"), [("uvicorn", "uvicorn"), ("python_multipart", "python-multipart")])
def test_without_the_extra(command, monkeypatch, module, package):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == module else find(name))
    done = command("serve")
    assert done.status == 1
    assert f"needs the package {package}" in done.err and "[serve]" in done.err


def test_an_address_in_use(command):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = command("serve", "--port", port)
    assert done.status == 1
    assert f"127.0.0.1:{port}: cannot listen there" in done.err
    done = command("serve", "--host", "no.such.host.invalid", "--token", "t")
    assert (done.status, done.err.count("\n")) == (1, 1)


def test_a_model_that_is_missing(command):
    done = command("serve", "--port", "0", "--model", "missing.onnx")
    assert done.status == 1 and "missing.onnx" in done.err


class Store(http.server.BaseHTTPRequestHandler):
    """Takes JSON after some refusals."""

    def do_PUT(self):
        self.server.got.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(500 if len(self.server.got) <= self.server.refusals else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def store():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Store)
    server.daemon_threads = True
    server.got, server.refusals = [], 0
    server.url = f"http://127.0.0.1:{server.server_port}/secret-path"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_announcing(store):
    notes = []
    store.refusals = 2
    announce(store.url, "https://tunnel.example", on_note=notes.append, pauses_s=(0, 0)).join(20)
    assert notes == ["announced at 127.0.0.1"]
    assert len(store.got) == 3
    document = json.loads(store.got[-1])
    assert set(document) == {"url", "timestamp"}
    assert document["url"] == "https://tunnel.example"
    then = datetime.fromisoformat(document["timestamp"])
    assert abs(datetime.now(UTC) - then) < timedelta(minutes=5)


def test_announcing_in_vain(store):
    notes = []
    store.refusals = 9
    announce(store.url, "https://tunnel.example", on_note=notes.append, pauses_s=(0,)).join(20)
    (note,) = notes
    assert note.startswith("warning: 127.0.0.1 ") and "500" in note and "secret-path" not in note
    assert len(store.got) == 2
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    announce(f"http://127.0.0.1:{port}/", "https://tunnel.example", on_note=notes.append, pauses_s=()).join(20)
    assert "ConnectError" in notes[1]


def test_a_public_address_is_announced_and_served(tmp_path, plain_model, store):
    command = [sys.executable, "-m", "pixelpainter", "serve", "--port", "0", "--model", str(plain_model), "--quiet"]
    server = Server(tmp_path, [*command, "--token", "t", "--announce", store.url, *PUBLIC, "--allow-host", "gpu-box"])
    try:
        for host, status in (("tunnel.example", 200), ("gpu-box:80", 200), ("other.example", 421)):
            assert httpx.get(f"{server.url}/health", headers={"Host": host}).status_code == status
        wait_for(lambda: "announced at 127.0.0.1" in server.log.read_text())
        assert json.loads(store.got[0])["url"] == "https://tunnel.example"
        assert server.end() == 0
        assert "/health" not in server.log.read_text()
    finally:
        server.process.kill()
        server.process.wait()
