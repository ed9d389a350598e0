"""The server as a real process on a loopback port; with `server_stub` in the place of a diffusion model."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from conftest import load
from PIL import Image

from pixelpainter.server.run import bind

LIMITS = {"header_time_s": 1.5, "body_time_s": 1.0, "max_bytes": 1 << 20, "queue": 4, "connections": 40}
CURL = shutil.which("curl")


def main():
    """Serve with a refiner that waits for a file `go` in a folder, and writes `begun1` and so on there."""
    from pixelpainter.colorize import Colorizer
    from pixelpainter.server.app import make_app
    from pixelpainter.server.limits import Limits
    from pixelpainter.server.run import serve, url_of

    folder, port = Path(sys.argv[1]), int(sys.argv[2])

    class Refiner:
        identity = "stub"
        calls = 0

        def refine(self, rgb, settings, *, sketch=None, on_note=None, on_step=None):
            self.calls += 1
            (folder / f"begun{self.calls}").touch()
            while not (folder / "go").exists():
                time.sleep(0.01)
                if settings.prompt != "one long step":
                    on_step()
            return 255 - rgb

    limits = Limits(**json.loads(sys.argv[3]))
    colorizer = Colorizer(folder / "model.onnx")
    app = make_app(colorizer, Refiner(), limits=limits, log=lambda line: print(line, file=sys.stderr))
    listener = bind("127.0.0.1", port)
    serve(app, listener, limits, lambda: print(f"listening on {url_of(listener)}", file=sys.stderr, flush=True))


class Server:
    """A process, and what it wrote."""

    def __init__(self, folder, command):
        self.folder, self.log = folder, folder / f"log{time.monotonic_ns()}"
        with self.log.open("wb") as stream:
            self.process = subprocess.Popen(command, stderr=stream, stdout=stream)
        self.url = wait_for(self._listening, 120)
        self.port = int(self.url.rpartition(":")[2])

    def _listening(self):
        assert self.process.poll() is None, self.log.read_text()
        lines = [line for line in self.log.read_text().splitlines(keepends=True) if line.startswith("listening on ")]
        return lines and lines[0].endswith("\n") and lines[0].split()[2]

    def go(self):
        (self.folder / "go").touch()

    def begun(self, number=1):
        return wait_for((self.folder / f"begun{number}").exists)

    def status(self):
        return httpx.get(f"{self.url}/status").json()

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.wait(20)

    def raw(self, data):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=15)
        connection.sendall(data)
        return connection


def wait_for(look, seconds=30):
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory, plain_model):
    """A server that tests share, and leave as it is; its refiner does not wait."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(plain_model, folder / "model.onnx")
    server = Server(folder, [sys.executable, __file__, str(folder), "0", json.dumps(LIMITS)])
    server.go()
    yield server
    assert server.end() == 0
    log = server.log.read_text()
    assert "Traceback" not in log and "internal error" not in log, log


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    file = tmp_path_factory.mktemp("pictures") / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 50, 3), np.uint8)).save(file)
    return file


def refine(server, picture, **options):
    files = {"image": picture.read_bytes()}
    return httpx.post(f"{server.url}/refine", files=files, timeout=30, **options)


def read_all(connection):
    data = b""
    while piece := connection.recv(1 << 16):
        data += piece
    connection.close()
    return data


def post(length="", more=""):
    lines = ["POST /refine HTTP/1.1", "Host: localhost", "Content-Type: multipart/form-data; boundary=b", length, more]
    return ("\r\n".join(line for line in lines if line) + "\r\n\r\n").encode()


def is_problem(data, status):
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), data
    assert b"application/problem+json" in head
    return json.loads(body)["detail"]


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
def test_the_command_and_curl(tmp_path, plain_model, drawings, picture):
    """The requests that README and the source's clients make."""
    command = [sys.executable, "-m", "pixelpainter", "serve", "--port", "0", "--model", str(plain_model)]
    server = Server(tmp_path, [*command, "--token", "s3cret"])

    def curl(path, *arguments):
        call = [CURL, "-s", "-w", "\n%{http_code}", *arguments, server.url + path]
        body, _, status = subprocess.run(call, capture_output=True, check=True).stdout.rpartition(b"\n")
        return int(status), body

    try:
        status, body = curl("/health")
        assert (status, json.loads(body)["status"], json.loads(body)["model_loaded"]) == (200, "ok", True)
        assert curl("/colorize", "-F", f"sketch=@{drawings / 'cat.png'}")[0] == 401
        token = ["-H", "Authorization: Bearer s3cret"]
        result = tmp_path / "color.png"
        call = ["-F", f"sketch=@{drawings / 'cat.png'}", "-F", "even=0.5", "-o", str(result)]
        assert curl("/colorize", *token, *call)[0] == 200
        assert load(result).size == load(drawings / "cat.png").size
        assert curl("/refine", *token, "-F", f"image=@{picture}", "-F", "strength=0.3")[0] == 501
        assert curl("/health", "-H", "Host: evil.example")[0] == 421
        assert server.end() == 0
        log = server.log.read_text()
        assert "/colorize 200" in log and "s3cret" not in log
    finally:
        server.process.kill()
        server.process.wait()


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
def test_curl_is_refused_politely(server, tmp_path):
    """Of a large file, curl sends the head, and waits for a word to go on; httpx just sends."""
    (tmp_path / "large").write_bytes(bytes(5 << 20))
    call = [CURL, "-s", "-F", f"image=@{tmp_path / 'large'}", f"{server.url}/refine"]
    for more in ([], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect:"]):
        done = subprocess.run([*call, *more], capture_output=True, check=False)
        assert json.loads(done.stdout)["status"] == 413, (done, more)


def test_bodies_with_too_many_bytes(server, picture):
    large = {"image": bytes(3 << 20)}
    answer = httpx.post(f"{server.url}/refine", files=large, timeout=20)
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")

    def pieces():
        yield b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
        for _ in range(300):
            yield bytes(1 << 16)

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = httpx.post(f"{server.url}/refine", content=pieces(), headers=headers, timeout=20)
    assert answer.status_code == 413
    # Who sends all before reading anything can send it, and then read.
    connection = server.raw(post("Content-Length: 3000000") + bytes(3_000_000))
    is_problem(data := read_all(connection), 413)
    assert b"connection: close" in data
    # Who promises much and sends nothing is not waited for.
    connection = server.raw(post("Content-Length: 99999999999"))
    is_problem(read_all(connection), 413)
    assert refine(server, picture).status_code == 200


def test_a_crowd(server, picture, drawings):
    """Everybody is answered, and who is sent away is told when to come again."""
    sketch = (drawings / "cat.png").read_bytes()

    def ask(number):
        if number % 2:
            return refine(server, picture)
        return httpx.post(f"{server.url}/colorize", files={"sketch": sketch}, timeout=30)

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(ask, range(32)))
    good = [answer for answer in answers if answer.status_code == 200]
    assert len(good) >= 5
    assert all(answer.headers["content-type"] == "image/png" for answer in good)
    for answer in answers:
        if answer.status_code != 200:
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) >= 1
    assert server.status()["queue"]["length"] == 0


def test_slow_heads_and_bodies(server, picture):
    silent, head = server.raw(b""), server.raw(b"GET /health HTTP/1.1\r\nHost: loc")
    begin = post("Content-Length: 1000") + b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
    body, trickle = server.raw(begin), server.raw(begin)
    kept = server.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = b""
    while not answer.endswith(b"}"):
        answer += kept.recv(1 << 16)
    kept.sendall(b"GET /hea")  # on an open connection, the next head is slow
    try:
        for _ in range(60):
            trickle.sendall(b"x")
            time.sleep(0.1)
    except OSError:
        pass
    else:
        pytest.fail("a body of ten bytes per second was waited for")
    assert read_all(silent) == b""
    for connection, what in ((head, "head"), (kept, "head"), (body, "body")):
        assert what in is_problem(read_all(connection), 408)
    trickle.close()
    assert len(re.findall(r"/refine 408 ", server.log.read_text())) == 2
    assert refine(server, picture).status_code == 200


def test_a_connection_that_is_used_stays(server):
    """The time for a head begins again after each request."""
    connection = server.raw(b"")
    for _ in range(3):
        time.sleep(0.9)
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            piece = connection.recv(1 << 16)
            assert piece
            answer += piece
    connection.close()


def test_small_answers_are_not_held_back():
    """The system waits 40 ms for more to send, unless asyncio tells it not to; it does for what it knows as TCP."""
    with bind("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_what_is_no_http(server):
    is_problem(read_all(server.raw(b"\x16\x03\x01 this is TLS\r\n\r\n")), 400)
    is_problem(read_all(server.raw(b"GET /health HTTP/1.1\r\n\r\n")), 400)  # no Host
    is_problem(read_all(server.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 3_000_000)), 400)
    bad = b"5\r\nxxxxx\r\nthis is no number\r\n"
    is_problem(read_all(server.raw(post("Transfer-Encoding: chunked") + bad)), 400)
    assert httpx.get(f"{server.url}/health").status_code == 200


def test_too_many_connections(server):
    held = [server.raw(b"") for _ in range(LIMITS["connections"])]
    assert "connections" in is_problem(read_all(server.raw(b"")), 503)
    for connection in held:
        connection.close()
    wait_for(lambda: b"200" in read_all(server.raw(b"GET /health HTTP/1.1\r\nHost: l\r\nConnection: close\r\n\r\n")))


if __name__ == "__main__":
    main()
