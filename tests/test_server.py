"""The server's application inside this process: what it answers, and what it refuses."""

import asyncio
import io
import json
import struct
import threading
import zlib
from urllib.parse import unquote

import httpx
import numpy as np
import pytest
from PIL import Image

from pixelpainter.colorize import Colorizer
from pixelpainter.errors import ModelError
from pixelpainter.server.app import make_app
from pixelpainter.server.limits import Limits
from pixelpainter.server.problems import Problem
from pixelpainter.server.work import Worker

PROBLEM = {"type", "title", "status", "detail"}


class Refiner:
    """Inverts a picture; it can be made to wait, to fail, and to take steps without end."""

    identity = "stub 1 50%"

    def __init__(self):
        self.calls = []
        self.may_go = threading.Event()
        self.may_go.set()
        self.begun = threading.Event()
        self.failure = None
        self.endless = False
        self.over = threading.Event()  # for the end of a test

    def refine(self, rgb, settings, *, sketch=None, on_note=None, on_step=None):
        self.calls.append((settings, sketch))
        self.begun.set()
        assert self.may_go.wait(20)
        endless = self.endless
        while endless and not self.over.wait(0.01):
            on_step()
        if self.failure is not None:
            raise self.failure
        on_note("näher 100%\nhin")
        return 255 - rgb


@pytest.fixture(scope="module")
def colorizer(plain_model):
    return Colorizer(plain_model)


@pytest.fixture
def refiner():
    refiner = Refiner()
    yield refiner
    refiner.may_go.set()
    refiner.over.set()


@pytest.fixture
def start(colorizer, refiner):
    """Make an application whose log is `app.state.lines`."""
    apps = []

    def make(engine=refiner, **options):
        lines = []
        app = make_app(colorizer, engine, log=lines.append, **options)
        app.state.lines = lines
        apps.append(app)
        return app

    yield make
    for app in apps:
        for worker in app.state.workers:
            worker.stop()


def client(app, **options):
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost", timeout=20, **options)


def ask(app, method, path, **request):
    async def one():
        async with client(app) as session:
            return await session.request(method, path, **request)

    return asyncio.run(one())


def is_problem(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert set(document) == PROBLEM
    assert document["status"] == status
    return document["detail"]


def png(array, **options):
    stream = io.BytesIO()
    Image.fromarray(np.asarray(array, np.uint8)).save(stream, "PNG", **options)
    return stream.getvalue()


def opened(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.content)))


@pytest.fixture(scope="module")
def drawing():
    page = np.full((60, 80, 3), 255)
    page[10:50, 20:22] = page[10:12, 20:60] = 0
    return png(page)


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 256, (41, 53, 3), np.uint8)


def test_health_and_status(start, colorizer):
    app = start()
    assert ask(app, "GET", "/health").json() == {
        "status": "ok",
        "model_loaded": True,
        "refine_loaded": True,
        "device": "cpu",
    }
    assert ask(start(engine=None), "GET", "/health").json()["refine_loaded"] is False
    status = ask(app, "GET", "/status").json()
    assert status["models"] == {
        "colorize": {"name": "plain.onnx", "sha256": colorizer.model_hash},
        "refine": {"identity": "stub 1 50%"},
    }
    assert status["queue"] == {"length": 0, "limit": 16}
    assert status["limits"]["max_bytes"] == 64 << 20
    assert ask(start(engine=None), "GET", "/status").json()["models"]["refine"] is None


def test_each_device_has_a_queue(start):
    assert len(start().state.workers) == 1
    assert len(start(own_refine_device=True).state.workers) == 2


def test_colorize_answers_what_the_library_paints(start, colorizer, drawing):
    answer = ask(start(), "POST", "/colorize", files={"sketch": drawing})
    expected = colorizer.colorize(Image.open(io.BytesIO(drawing)))
    np.testing.assert_array_equal(opened(answer), np.asarray(expected))
    assert "x-pixelpainter-note" not in answer.headers


def test_options_of_colorize(start, hint_model, drawing):
    app = make_app(Colorizer(hint_model), log=lambda line: None)
    fields = {"saturation": "0", "even": "0", "lines": "none", "no_clean": "1", "flat": "true", "gap": "3"}
    gray = opened(ask(app, "POST", "/colorize", files={"sketch": drawing}, data=fields))
    assert np.ptp(gray, axis=2).max() <= 1
    exact = {"palette": "FF0000,0000FF", "exact": "true"}
    red = opened(ask(app, "POST", "/colorize", files={"sketch": drawing}, data=exact))
    assert tuple(red[40, 70]) in {(255, 0, 0), (0, 0, 255)}
    for app_worker in app.state.workers:
        app_worker.stop()


def test_hints_and_strokes_color_the_drawing(start, hint_model, drawing):
    app = make_app(Colorizer(hint_model), log=lambda line: None)
    layer = np.zeros((60, 80, 4))
    layer[20:40, 30:60] = (0, 160, 0, 255)
    hints = '["40,30,00A000", [70, 50, "00A000", 3]]'
    for files in (
        {"strokes": png(layer)},
        {"hints": (None, hints)},
        {"hints": ("any name.png", hints)},
    ):
        color = opened(ask(app, "POST", "/colorize", files={"sketch": drawing, **files}))[30, 40]
        assert color[1] > 140 and color[0] < 30 and color[2] < 30, files.keys()
    for app_worker in app.state.workers:
        app_worker.stop()


def test_a_colored_picture_stays_and_is_noted(start):
    page = np.full((64, 64, 3), 255)
    page[8:56, 8:56] = (200, 40, 60)
    answer = ask(start(), "POST", "/colorize", files={"sketch": png(page)})
    np.testing.assert_array_equal(opened(answer), page)
    assert unquote(answer.headers["x-pixelpainter-note"]) == "already colored, copied"


def test_refine(start, refiner, picture):
    fields = {"strength": "0.4", "steps": "7", "guidance": "3", "prompt": "ü", "negative_prompt": "", "seed": "9"}
    sketch = np.zeros((41, 53), np.uint8)
    files = {"image": ("../../etc/passwd", png(picture, dpi=(300, 300))), "sketch": png(sketch)}
    answer = ask(start(), "POST", "/refine", files=files, data=fields)
    np.testing.assert_array_equal(opened(answer), 255 - picture)
    info = Image.open(io.BytesIO(answer.content)).info
    assert info["Model"] == refiner.identity
    assert info["dpi"] == pytest.approx((300, 300), abs=0.1)
    settings, given = refiner.calls[0]
    assert settings.described() == {
        "strength": 0.4,
        "steps": 7,
        "guidance": 3.0,
        "prompt": "ü",
        "negative_prompt": "",
        "seed": 9,
    }
    np.testing.assert_array_equal(given, sketch)
    assert answer.headers["x-pixelpainter-note"] == "n%C3%A4her 100%25%0Ahin"
    assert unquote(answer.headers["x-pixelpainter-identity"]) == refiner.identity


def test_refine_needs_the_image_only_and_keeps_transparency(start, refiner, picture):
    alpha = np.tile(np.arange(53, dtype=np.uint8), (41, 1))[..., None]
    answer = ask(start(), "POST", "/refine", files={"image": png(np.concatenate([picture, alpha], axis=2))})
    np.testing.assert_array_equal(opened(answer)[..., 3:], alpha)
    settings, sketch = refiner.calls[0]
    assert settings == type(settings)()
    assert sketch is None


def test_refine_without_a_diffusion_model(start, picture):
    assert "serve --refine" in is_problem(ask(start(engine=None), "POST", "/refine", files={"image": b"x"}), 501)


@pytest.mark.parametrize(
    ("path", "fields", "said"),
    [
        ("/refine", {"strength": "1.5"}, "strength"),
        ("/refine", {"strength": "nan"}, "strength"),
        ("/refine", {"steps": "0"}, "steps"),
        ("/refine", {"seed": "-1"}, "seed"),
        ("/refine", {"strenght": "0.3"}, "strenght: there is no such field"),
        ("/colorize", {"palette": "red"}, "palette"),
        ("/colorize", {"palette": "FF0000,FF0000"}, "one color"),
        ("/colorize", {"exact": "1"}, "palette"),
        ("/colorize", {"flat": "1", "lines": "model"}, "flat"),
        ("/colorize", {"gap": "x"}, "gap"),
        ("/colorize", {"hints": "[1]"}, "hints"),
        ("/colorize", {"hints": '["500,30,00A000"]'}, "outside"),
        ("/colorize", {"hints": "[" * 100_000}, "hints"),
        ("/colorize", {"hints": json.dumps(["5,5,00A000"] * 1001)}, "limit of 1000"),
    ],
)
def test_wrong_fields(start, drawing, path, fields, said):
    file = "image" if path == "/refine" else "sketch"
    detail = is_problem(ask(start(), "POST", path, files={file: drawing}, data=fields), 422)
    assert said in detail
    assert "/tmp" not in detail and "None" not in detail


def test_fields_given_twice(start, drawing):
    files = [("sketch", drawing), ("sketch", drawing)]
    assert "twice" in is_problem(ask(start(), "POST", "/colorize", files=files), 422)
    answer = ask(start(), "POST", "/colorize", files={"sketch": drawing}, data={"even": ["0", "1"]})
    assert "twice" in is_problem(answer, 422)


def bomb(width, height):
    """Return the beginning of a PNG that claims to be large."""
    chunks = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"not a picture", "unknown kind"),
        (bomb(50_000, 50_000), "limit of 64000000"),
        (bomb(500, 500), "damaged"),
    ],
)
@pytest.mark.parametrize(("path", "file"), [("/colorize", "sketch"), ("/refine", "image")])
def test_bad_pictures(start, path, file, data, said):
    detail = is_problem(ask(start(), "POST", path, files={file: data}), 422)
    assert detail.startswith(f"{file}: ") and said in detail


def test_other_bad_files(start, drawing, picture):
    app = start()
    answer = ask(app, "POST", "/colorize", files={"sketch": drawing, "strokes": png(picture)})
    assert is_problem(answer, 422).startswith("strokes: this picture has no transparency")
    answer = ask(app, "POST", "/refine", files={"image": drawing, "sketch": png(picture)})
    assert "53x41" in is_problem(answer, 422)
    answer = ask(app, "POST", "/colorize", files={"sketch": drawing, "palette": b"\xff\xfe\xff"})
    assert "UTF-8" in is_problem(answer, 422)


def test_forms_without_a_picture(start):
    app = start()
    assert "missing" in is_problem(ask(app, "POST", "/refine", files={"sketch": b"x"}), 422)
    assert "no file" in is_problem(ask(app, "POST", "/refine", files={"image": (None, "text")}), 422)


def test_what_is_no_form(start):
    app = start()
    is_problem(ask(app, "POST", "/refine", json={"image": "x"}), 415)
    is_problem(ask(app, "POST", "/refine", data={"image": "x"}), 415)
    is_problem(ask(app, "POST", "/refine"), 415)
    for content_type, content in (
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"no boundary at all"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent Disposition: x\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=" + "b" * 10_000, b"x"),
    ):
        is_problem(ask(app, "POST", "/refine", content=content, headers={"content-type": content_type}), 400)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # starlette leaves the file to Python
def test_a_form_that_is_cut_off(start):
    app = start()
    cut = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nxxx'
    answer = ask(app, "POST", "/refine", content=cut, headers={"content-type": "multipart/form-data; boundary=b"})
    assert answer.status_code in (400, 422)


def test_too_many_parts(start, drawing):
    files = [("image", drawing)] * 10
    assert "many" in is_problem(ask(start(), "POST", "/refine", files=files), 400)
    fields = {f"field{number}": "x" for number in range(100)}
    assert "many" in is_problem(ask(start(), "POST", "/refine", files={"image": drawing}, data=fields), 400)
    is_problem(ask(start(), "POST", "/refine", files={"image": drawing}, data={"prompt": "x" * (2 << 20)}), 400)
    is_problem(ask(start(), "POST", "/refine", files={"image": drawing, "prompt": b"x" * (2 << 20)}), 413)


def test_unknown_addresses_and_methods(start):
    app = start()
    is_problem(ask(app, "GET", "/nothing"), 404)
    answer = ask(app, "GET", "/refine")
    is_problem(answer, 405)
    assert answer.headers["allow"] == "POST"


def test_token(start, drawing):
    app = start(token="s3cret")
    assert ask(app, "GET", "/health").status_code == 200
    assert ask(app, "GET", "/openapi.json").status_code == 200
    wrong = [None, "s3cret", "Bearer", "Bearer s3cre", "Bearer s3cret2", "Basic s3cret", b"Bearer s3cr\xe9t"]
    for given in wrong:
        headers = {} if given is None else {"Authorization": given}
        for method, path in (("GET", "/status"), ("POST", "/refine"), ("POST", "/colorize"), ("GET", "/nothing")):
            answer = ask(app, method, path, headers=headers)
            is_problem(answer, 401)
            assert answer.headers["www-authenticate"].startswith("Bearer")
    for given in ("Bearer s3cret", "bearer  s3cret"):
        assert ask(app, "GET", "/status", headers={"Authorization": given}).status_code == 200
    assert "s3cret" not in "\n".join(app.state.lines)


def test_foreign_names_and_pages(start):
    app = start(hosts={"localhost", "127.0.0.1", "[::1]", "gpu-box"})
    for host in ("localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000", "gpu-box", "localhost.:80"):
        assert ask(app, "GET", "/health", headers={"Host": host}).status_code == 200, host
    for host in ("evil.example", "localhost.evil.example", "", "[::2]", "localhost:x", "localhost@evil", "::1"):
        is_problem(ask(app, "GET", "/health", headers={"Host": host}), 421)
    for origin in ("https://evil.example", "null", "http://localhost:1234", "http://["):
        is_problem(ask(app, "GET", "/health", headers={"Origin": origin}), 403)
    answer = ask(app, "GET", "/health", headers={"Origin": "http://localhost"})
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_failures_of_a_model(start, refiner, picture):
    app = start()
    refiner.failure = ModelError("the picture came out black twice; try a lower strength")
    answer = ask(app, "POST", "/refine", files={"image": png(picture)})
    assert is_problem(answer, 500) == str(refiner.failure)
    refiner.failure = ModelError("/home/me/model: broken")
    answer = ask(app, "POST", "/refine", files={"image": png(picture)})
    assert answer.headers["x-request-id"] in is_problem(answer, 500)
    assert "home" not in answer.text
    assert any("/home/me/model: broken" in line for line in app.state.lines)


def test_a_bug_is_a_problem_without_its_trace(start, refiner, picture):
    app = start()
    refiner.failure = RuntimeError("secret of the machine")
    answer = ask(app, "POST", "/refine", files={"image": png(picture)})
    assert answer.headers["x-request-id"] in is_problem(answer, 500)
    assert "secret" not in answer.text and "Traceback" not in answer.text
    assert any("RuntimeError: secret of the machine" in line for line in app.state.lines)
    refiner.failure = None
    opened(ask(app, "POST", "/refine", files={"image": png(picture)}))  # the worker goes on


def test_each_request_is_one_line_of_the_log(start, drawing):
    app = start()
    answer = ask(app, "POST", "/colorize?token=secret", files={"sketch": drawing})
    (line,) = app.state.lines
    words = line.split()
    assert words[:5] == [answer.headers["x-request-id"], "127.0.0.1", "POST", "/colorize", "200"]


def test_a_body_with_more_bytes_than_allowed(start, picture):
    app = start(limits=Limits(max_bytes=10_000))
    big = png(np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8))
    assert len(big) > 10_000
    sent = []

    def pieces():
        for _ in range(1000):
            sent.append(1)
            yield b"x" * 1000

    assert "10000 bytes" in is_problem(ask(app, "POST", "/refine", files={"image": big}), 413)
    opened(ask(app, "POST", "/refine", files={"image": png(picture)}))


@pytest.mark.parametrize(("path", "field"), [("/refine", "image"), ("/colorize", "sketch")])
def test_a_picture_with_more_pixels_than_allowed(start, picture, path, field):
    app = start(limits=Limits(max_pixels=100))
    said = is_problem(ask(app, "POST", path, files={field: png(picture)}), 422)
    assert "more than the limit of 100; only the owner of this server can raise it" in said
    assert "--max-pixels" not in said


def test_stopped_between_two_turns():
    """What was let in by the end of other work, and stopped before it began, is not forgotten."""

    async def run():
        worker = Worker(2)
        finish = worker._finish

        def finish_and_stop(*arguments):
            finish(*arguments)
            worker.stop()

        worker._finish = finish_and_stop
        async with asyncio.timeout(5):
            return await asyncio.gather(worker.run(lambda: 1), worker.run(lambda: 2), return_exceptions=True)

    first, second = asyncio.run(run())
    assert first == 1
    assert isinstance(second, Problem) and second.status == 503


def test_cancelled_between_two_turns():
    """What was let in, and cancelled before it began, lets the next one in."""

    async def run():
        worker = Worker(2)
        finish = worker._finish
        works = [asyncio.create_task(worker.run(lambda number=number: number)) for number in (1, 2, 3)]

        def finish_and_cancel(*arguments):
            finish(*arguments)
            works[1].cancel()

        worker._finish = finish_and_cancel
        async with asyncio.timeout(5):
            return await asyncio.gather(*works, return_exceptions=True)

    first, second, third = asyncio.run(run())
    assert (first, third) == (1, 3)
    assert isinstance(second, asyncio.CancelledError)


def test_a_time_limit(start, refiner, picture):
    refiner.may_go.clear()
    app = start(limits=Limits(time_limit_s=0.2))

    async def both():
        async with client(app) as session:
            first = await session.post("/refine", files={"image": png(picture)})
            second = await session.post("/refine", files={"image": png(picture)})  # waits for the first one's end
            length = (await session.get("/status")).json()["queue"]["length"]
            refiner.may_go.set()
            while (answer := await session.post("/refine", files={"image": png(picture)})).status_code == 504:
                pass
        return first, second, length, answer

    first, second, length, answer = asyncio.run(both())
    for late in (first, second):
        assert "0.2 s" in is_problem(late, 504)
    assert length == 0
    opened(answer)
    assert len(refiner.calls) < 4  # what waited in vain was never begun


@pytest.mark.parametrize("how", ["time limit", "cancelled"])
def test_a_run_that_nobody_waits_for_ends(start, refiner, picture, how):
    refiner.endless = True
    app = start(limits=Limits(time_limit_s=0.5 if how == "time limit" else 60))
    complaints = []

    async def both():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        async with client(app) as session, asyncio.timeout(15):
            first = asyncio.create_task(session.post("/refine", files={"image": png(picture)}))
            await asyncio.to_thread(refiner.begun.wait)
            refiner.endless = False
            if how == "cancelled":
                first.cancel()
            await asyncio.wait({first})
            while (answer := await session.post("/refine", files={"image": png(picture)})).status_code == 504:
                pass
        return first, answer

    first, answer = asyncio.run(both())
    opened(answer)
    if how == "time limit":
        is_problem(first.result(), 504)
    assert complaints == []
    assert "Unwanted" not in "\n".join(app.state.lines)


def test_a_full_queue(start, refiner, picture):
    refiner.may_go.clear()
    app = start(limits=Limits(queue=2))

    async def crowd():
        async with client(app) as session:
            asked = [asyncio.create_task(session.post("/refine", files={"image": png(picture)})) for _ in range(5)]
            done, waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            while len(done) < 2:
                more, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                done |= more
            status = (await session.get("/status")).json()
            refiner.may_go.set()
            return [task.result() for task in done], status, [await task for task in waiting]

    refused, status, answers = asyncio.run(crowd())
    for answer in refused:
        is_problem(answer, 503)
        assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert status["queue"] == {"length": 2, "limit": 2}
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len(refiner.calls) == 3


def test_openapi_and_its_page(start):
    document = ask(start(token="x"), "GET", "/openapi.json").json()
    form = document["paths"]["/refine"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["required"] == ["image"]
    assert form["properties"]["strength"]["maximum"] == 1
    for path, method in (("/status", "get"), ("/refine", "post"), ("/colorize", "post")):
        assert document["paths"][path][method]["security"]
    assert "security" not in document["paths"]["/health"]["get"]
    assert "swagger" in ask(start(), "GET", "/docs").text
    json.dumps(document, allow_nan=False)
