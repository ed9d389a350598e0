"""What becomes of requests when the server, or a client, goes away in the middle of them."""

import contextlib
import json
import shutil
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
import test_server_process
from PIL import Image
from test_server_process import Server, picture, post, refine, wait_for

__all__ = ["picture"]


@pytest.fixture
def start(tmp_path, plain_model):
    servers = []
    shutil.copy(plain_model, tmp_path / "model.onnx")

    def begin(port=0, **limits):
        server = Server(
            tmp_path, [sys.executable, test_server_process.__file__, str(tmp_path), str(port), json.dumps(limits)]
        )
        servers.append(server)
        return server

    yield begin
    for server in servers:
        server.process.kill()
        server.process.wait()


def whole_request(picture):
    body = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
    body += picture.read_bytes() + b"\r\n--b--\r\n"
    return post(f"Content-Length: {len(body)}") + body


def test_killed_in_the_middle(start, picture):
    server = start()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(refine, server, picture)
        server.begun()
        server.end(signal.SIGKILL)
        with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)):
            asked.result(20)
    with pytest.raises(httpx.ConnectError):
        refine(server, picture)
    again = start(port=server.port)
    again.go()
    assert refine(again, picture).status_code == 200


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_in_the_middle(start, picture, how):
    server = start()
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(refine, server, picture)
        server.begun()
        waiting = pool.submit(refine, server, picture)
        wait_for(lambda: server.status()["queue"]["length"] == 1)
        server.process.send_signal(how)
        sent_away = waiting.result(20)
        assert sent_away.status_code == 503 and "stopping" in sent_away.text
        assert sent_away.headers["retry-after"]
        with pytest.raises(httpx.TransportError):
            refine(server, picture)
        assert not running.done()
        server.go()
        assert running.result(20).status_code == 200
    assert server.process.wait(20) == 0
    assert not (server.folder / "begun2").exists()
    assert "Traceback" not in server.log.read_text()


def test_stopping_has_a_bound(start, picture):
    """Work that never ends is answered 504 at the time limit, and the process ends."""
    server = start(time_limit_s=1.0)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(refine, server, picture, data={"prompt": "one long step"})
        server.begun()
        assert server.end() == 0
        assert asked.result(20).status_code == 504


def test_who_goes_away_frees_the_place(start, picture):
    server = start(queue=1)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(refine, server, picture)
        server.begun()
        connection = server.raw(whole_request(picture))
        wait_for(lambda: server.status()["queue"]["length"] == 1)
        assert refine(server, picture).status_code == 503
        connection.close()
        wait_for(lambda: server.status()["queue"]["length"] == 0)
        server.go()
        assert running.result(20).status_code == 200
        assert refine(server, picture).status_code == 200
    assert not (server.folder / "begun3").exists()  # what the client that left had asked for
    assert " 499 " in server.log.read_text()


def test_who_goes_away_ends_the_work(start, picture):
    server = start()
    connection = server.raw(whole_request(picture))
    server.begun()
    connection.close()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(refine, server, picture)
        server.begun(2)  # the first was not told to go on, and would have kept the worker
        server.go()
        assert asked.result(20).status_code == 200
    log = server.log.read_text()
    assert " 499 " in log and "Unwanted" not in log and "Traceback" not in log
    assert server.end() == 0


def test_who_does_not_take_the_answer_loses_it(start, tmp_path):
    server = start(send_time_s=0.5, rate=100 << 20)
    server.go()
    large = tmp_path / "large.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), np.uint8)).save(large)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(whole_request(large))
        wait_for(lambda: " 200 " in server.log.read_text())
        time.sleep(1.5)
        taken = 0
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(1 << 16):
                taken += len(piece)
    assert taken < 1500 * 1500 * 3
    assert server.end() == 0
