import dataclasses
import io
import json
import socket
import threading
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from PIL import ExifTags, Image
from refine_stub import IDENTITY, inverted, problem, serving

from pixelpainter.errors import ServerError, ServerLostError
from pixelpainter.refine import remote
from pixelpainter.refine.address import parse_address, read_announcement
from pixelpainter.refine.remote import RemoteRefiner
from pixelpainter.refine.settings import RefineSettings

RGB = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
SETTINGS = RefineSettings(strength=0.25, steps=7, prompt="größer, {red} hair", negative_prompt="", seed=3)


@pytest.fixture
def server():
    with serving() as server:
        yield server


@pytest.fixture
def refiner(server):
    with RemoteRefiner(server.url, pause_s=0.001) as refiner:
        yield refiner


def test_a_picture_goes_there_and_back(server, refiner):
    notes = []
    result = refiner.refine(RGB, SETTINGS, on_note=notes.append)
    assert (result == 255 - RGB).all()
    assert notes == ["one ü"]
    (request,) = server.posts
    assert request.path == "/refine"
    assert (request.image == RGB).all()
    fields = {name: request.part(name).decode() for name in dataclasses.asdict(SETTINGS)}
    assert fields == {name: str(value) for name, value in dataclasses.asdict(SETTINGS).items()}
    assert request.part("sketch") is None
    assert "authorization" not in request.headers


def test_sketch_and_token_go_there(server):
    sketch = RGB[..., 0]
    with RemoteRefiner(server.url + "/", token="geheim-123") as refiner:
        refiner.refine(RGB, SETTINGS, sketch=sketch)
    assert server.posts[0].part("sketch").startswith(b"\x89PNG")
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer geheim-123"] * 2


def test_the_identity_is_asked_for_once(server, refiner):
    assert [refiner.identity, refiner.identity] == [IDENTITY] * 2
    refiner.refine(RGB, SETTINGS)
    refiner.refine(RGB, SETTINGS)
    assert [request.path for request in server.requests] == ["/status", "/refine", "/refine"]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"models": 3}', b'{"models": {"refine": {}}}', b"[" * 100_000])
def test_a_status_of_something_else(server, refiner, body):
    server.status = lambda request, handler: (200, {}, body)
    with pytest.raises(ServerLostError, match="this is no PixelPainter server"):
        _ = refiner.identity


def test_a_server_without_a_diffusion_model(server, refiner):
    server.status = lambda request, handler: (200, {}, b'{"models": {"refine": null}}')
    with pytest.raises(ServerLostError, match="start it with `pixelpainter serve --refine`"):
        refiner.refine(RGB, SETTINGS)
    assert not server.posts


def reset(request, handler):
    """Break the connection off with RST."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    handler.connection.close()


def hang_up(request, handler):
    """Close the connection without an answer."""


def half(request, handler):
    """Promise more than comes."""
    code, headers, body = inverted(request, handler)
    handler.close_connection = True
    return code, {**headers, "Content-Length": str(len(body))}, body[: len(body) // 2]


def damaged(request, handler):
    code, headers, body = inverted(request, handler)
    return code, headers, body[: len(body) // 2]


PASSING = {
    "503": (problem(503, "the queue is full", Retry_After="0"), r"takes no request now \(503: the queue is full\)"),
    "502": (problem(502, ""), r"takes no request now \(502"),
    "reset": (reset, "the connection broke off"),
    "hang up": (hang_up, "the connection broke off"),
    "half": (half, "the connection broke off"),
    "damaged": (damaged, "the picture came back damaged"),
}


@pytest.mark.parametrize("fault", PASSING)
def test_faults_that_pass_are_tried_again(server, refiner, fault):
    answer, reason = PASSING[fault]
    server.answers = [answer, answer, inverted]
    notes = []
    assert (refiner.refine(RGB, SETTINGS, on_note=notes.append) == 255 - RGB).all()
    assert len(server.posts) == 3
    assert all((request.image == RGB).all() for request in server.posts)
    assert len(notes) == 2
    assert f"{refiner.address.host} answered at attempt 3" in notes[0]
    server.answers = [answer]
    with pytest.raises(ServerError, match=rf"^{refiner.address.host}: .*{reason}.*\(5 attempts\)$") as raised:
        refiner.refine(RGB, SETTINGS)
    assert len(server.posts) == 8
    assert not isinstance(raised.value, ServerLostError)
    assert "\n" not in str(raised.value)


def test_pauses_grow_and_a_server_may_ask_for_longer_ones(server, monkeypatch):
    pauses = []
    monkeypatch.setattr(remote.time, "sleep", pauses.append)
    server.answers = [
        problem(503, ""),
        problem(503, "", Retry_After="7"),
        problem(503, "", Retry_After="100000"),
        problem(503, "", Retry_After="Fri, 31 Dec 1999 23:59:59 GMT"),
        inverted,
    ]
    with RemoteRefiner(server.url, pause_s=0.5) as refiner:
        refiner.refine(RGB, SETTINGS)
    assert 0.3 < pauses[0] < 0.7
    assert pauses[1:3] == [7, 60]
    assert 2.9 < pauses[3] < 5.1


REFUSED = {
    "HTML": (lambda *_: (200, {"Content-Type": "text/html"}, b"<html>log in</html>"), "answers with text/html", False),
    "no type": (lambda *_: (200, {}, b"x"), "answers with nothing that has a type", False),
    "401": (problem(401, "no"), r"refuses access \(401: no\); give its token with --token or PIXELPAINTER_TOKEN", True),
    "421": (problem(421, "other host"), r"refuses access \(421: other host\)$", True),
    "404": (problem(404, "no"), "this is no PixelPainter server", True),
    "413": (problem(413, "at most 5 MB"), r"too large for this server \(413: at most 5 MB\)", False),
    "422": (problem(422, "steps: no"), r"refuses this picture \(422: steps: no\)", False),
    "429": (problem(429, "no"), r"refuses this picture \(429", False),
    "500": (problem(500, "out of memory"), r"the server failed at this picture \(500: out of memory\)", False),
    "504": (problem(504, "300 s"), r"took too long .*\(504: 300 s\); .* fewer --steps", False),
    "524": (lambda *_: (524, {}, b"<html>"), r"took too long .*\(524\)", False),
    "501": (problem(501, "no"), "start it with `pixelpainter serve --refine`", True),
    "301": (problem(301, "", Location="http://evil.example/refine"), "sends on to evil.example", True),
    "odd": (problem(301, "", Location="http://[x"), "sends on to another place", True),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_refusals_are_final(server, refiner, fault):
    answer, reason, lost = REFUSED[fault]
    server.answers = [answer]
    with pytest.raises(ServerError, match=rf"^{refiner.address.host}: .*{reason}") as raised:
        refiner.refine(RGB, SETTINGS)
    assert isinstance(raised.value, ServerLostError) == lost
    assert len(server.posts) == 1
    assert "\n" not in str(raised.value)


def test_pages_for_browsers_are_not_repeated(server, refiner):
    server.answers = [lambda *_: (500, {"Content-Type": "text/html"}, b"<h1>secret</h1>" * 10_000)]
    with pytest.raises(ServerError, match=r"failed at this picture \(500\)"):
        refiner.refine(RGB, SETTINGS)


def sent(kind, rgb, **options):
    """Return what answers with a file that is called a PNG."""
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, kind, **options)
    return lambda request, handler: (200, {"Content-Type": "image/png"}, stream.getvalue())


SENT = []


def bomb(request, handler):
    """Send more than anything needs; SENT says how much of it went out."""
    handler.send_response(200)
    handler.send_header("Content-Type", "image/png")
    handler.end_headers()
    SENT.clear()
    for number in range(2000):
        handler.wfile.write(bytes(100_000))
        SENT.append(number)


def test_pictures_of_other_sizes_and_endless_ones(server, refiner):
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    for answer, size in (
        (sent("PNG", RGB[:29]), "40x29"),
        (sent("BMP", RGB[:29]), "40x29"),
        (sent("PNG", RGB, exif=turned), "30x40"),
    ):
        server.answers = [answer]
        with pytest.raises(ServerError, match=f"a picture of {size} pixels for one of 40x30"):
            refiner.refine(RGB, SETTINGS)
    server.answers = [bomb]
    with pytest.raises(ServerError, match="the answer is too long"):
        refiner.refine(RGB, SETTINGS)
    assert len(server.posts) == 4


def slow(request, handler):
    time.sleep(2)


def dripping(request, handler):
    """Send a byte now and then, so that no single one is late."""
    handler.send_response(200)
    handler.send_header("Content-Type", "image/png")
    handler.end_headers()
    for _ in range(40):
        handler.wfile.write(b"x")
        time.sleep(0.05)


@pytest.mark.parametrize("answer", [slow, dripping])
def test_slow_servers(server, answer):
    server.answers = [answer]
    with RemoteRefiner(server.url, timeout_s=0.3) as refiner:
        start = time.monotonic()
        with pytest.raises(ServerError, match=r"no whole answer within 0\.3 s; allow more with --timeout"):
            refiner.refine(RGB, SETTINGS)
        assert time.monotonic() - start < 1.8  # it did not wait for the end
    assert len(server.posts) == 1


def test_a_server_that_is_not_there():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with RemoteRefiner(url) as refiner, pytest.raises(ServerLostError, match=r"cannot be reached .*\?") as raised:
            refiner.refine(RGB, SETTINGS)
        assert "attempts" not in str(raised.value)  # who mistypes an address shall not wait


def test_a_server_that_goes_away():
    def last(request, handler):
        handler.close_connection = True
        return inverted(request, handler)

    with serving() as server:
        server.answers = [last]
        refiner = RemoteRefiner(server.url, pause_s=0.001)
        refiner.refine(RGB, SETTINGS)
    with refiner, pytest.raises(ServerLostError, match=r"cannot be reached .*\(5 attempts\)"):
        refiner.refine(RGB, SETTINGS)


def test_a_tunnel_without_a_server(server, refiner):
    server.answers = [lambda *_: (530, {"Content-Type": "text/html"}, b"error code: 1033")] * 2 + [inverted]
    refiner.refine(RGB, SETTINGS)
    server.answers = [lambda *_: (530, {}, b"")]
    with pytest.raises(ServerLostError, match=r"the tunnel leads to no server now \(530\)"):
        refiner.refine(RGB, SETTINGS)


def test_a_server_with_another_model_than_before(server, refiner):
    def changed(request, handler):
        code, headers, body = inverted(request, handler)
        return code, {**headers, "X-PixelPainter-Identity": "other%201"}, body

    server.answers = [changed]
    with pytest.raises(ServerLostError, match=f"runs other 1 now, and ran {IDENTITY} before"):
        refiner.refine(RGB, SETTINGS)


def test_the_proxy_is_for_other_machines(server, refiner, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.delenv("no_proxy", raising=False)
    refiner.refine(RGB, SETTINGS)
    with RemoteRefiner("http://gpu.invalid") as far, pytest.raises(ServerLostError, match=r"gpu\.invalid: "):
        _ = far.identity
    monkeypatch.setenv("http_proxy", server.url)
    with RemoteRefiner("http://gpu.invalid") as far:
        assert far.identity == IDENTITY
    assert server.requests[-1].path == "http://gpu.invalid/status"


def test_many_threads_share_one_client(server, refiner):
    results = []
    threads = [
        threading.Thread(target=lambda: results.append((refiner.refine(RGB, SETTINGS) == 255 - RGB).all()))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 8


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gpu-box:8000",
        "ftp://gpu-box",
        "http://",
        "http://:80",
        "http://a b",
        "http://a:x",
        "http://a?b",
        "http://a#b",
    ],
)
def test_what_is_no_address(text):
    with pytest.raises(ValueError, match="is no address of a server"):
        parse_address(text)


def test_addresses():
    address = parse_address(" https://Gpu-Box:8000/pixel/ ")
    assert (address.url, address.host) == ("https://Gpu-Box:8000/pixel", "gpu-box:8000")
    assert address.is_encrypted
    loopback = {host: parse_address(f"http://{host}").is_loopback for host in ("localhost", "127.3.2.1", "[::1]:80")}
    assert loopback == dict.fromkeys(loopback, True)
    for host in ("localhost.example", "127.0.0.1.example", "10.0.0.1", "[::2]"):
        assert not parse_address(f"http://{host}").is_loopback
    with pytest.raises(ValueError, match="--token") as raised:
        parse_address("http://me:secret@host")
    assert "secret" not in str(raised.value)
    for token in ("a b", "a\nb", "ä"):
        with pytest.raises(ValueError, match="the token has letters") as raised:
            RemoteRefiner("http://host", token=token)
        assert token not in str(raised.value)


def announced(**values):
    return lambda request, handler: (200, {"Content-Type": "application/json"}, json.dumps(values).encode())


def test_an_announcement(server):
    now, notes = datetime.now(UTC), []
    fresh = [
        now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        now.replace(tzinfo=None).isoformat(),
        now.timestamp(),
        now.timestamp() * 1000,
        str(int(now.timestamp())),
    ]
    for timestamp in fresh:
        server.status = announced(url="https://abc.example/x/", timestamp=timestamp)
        assert read_announcement(server.url + "/a.json?key=1", on_note=notes.append).url == "https://abc.example/x"
    assert notes == []
    assert server.requests[0].path == "/a.json?key=1"
    for timestamp, said in (((now - timedelta(days=3)).isoformat(), "is 3 days old"), (None, "does not say when")):
        server.status = announced(url=server.url, timestamp=timestamp)
        read_announcement(server.url, on_note=notes.append)
        assert said in notes.pop()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (announced(url="http://abc.example"), r"abc\.example, is not reached by https"),
        (announced(url="abc"), "there is no announcement of a server there"),
        (announced(url=3), "there is no announcement of a server there"),
        (announced(adress="https://abc.example"), "there is no announcement of a server there"),
        (problem(301, "", Location="http://[x"), "a redirect to another place"),
        (lambda *_: (200, {}, b"[]"), "there is no announcement of a server there"),
        (lambda *_: (200, {}, b"<html>" + bytes(100_000)), "there is no announcement of a server there"),
        (problem(404, ""), r"cannot be read \(answer 404\); check --server-from"),
        (problem(302, "", Location="http://evil.example/x?y"), r"answer 302, a redirect to evil\.example\)"),
        (reset, r"cannot be read \(.*\); check --server-from"),
    ],
)
def test_what_is_no_announcement(server, answer, message):
    server.status = answer
    with pytest.raises(ServerError, match=message) as raised:
        read_announcement(server.url + "/a?key=secret")
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)


def test_an_announcement_without_an_end(server):
    server.status = bomb
    with pytest.raises(ServerError, match="there is no announcement"):
        read_announcement(server.url)
    assert len(SENT) < 2000


def test_announcements_of_others_need_https():
    with pytest.raises(ValueError, match="by https only"):
        read_announcement("http://abc.example/a.json")
