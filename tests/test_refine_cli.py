"""`pixelpainter refine` through the real command; its engine inverts pictures."""

import inspect
import io
import json
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import cv2
import numpy as np
import pytest
from conftest import load
from PIL import Image
from refine_stub import IDENTITY, Inverter, inverted, problem, serving
from test_lazy_imports import NEVER, loaded

import pixelpainter
from pixelpainter.cli.refine import refine
from pixelpainter.errors import ModelError
from pixelpainter.refine import local
from pixelpainter.refine.remote import RemoteRefiner
from pixelpainter.refine.settings import SENSIBLE_STRENGTH, RefineSettings

REAL = local.LocalRefiner


def save(path, number: int = 0, size: tuple[int, int] = (40, 30), **options):
    """Save a colored picture."""
    y, x = np.mgrid[: size[1], : size[0]]
    pixels = np.stack([x * 4, 255 - y * 2, (x + y + 9 * number) % 256], axis=-1).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def draw(path, size: tuple[int, int] = (40, 30), x: int = 20):
    """Save a drawing of one vertical line."""
    pixels = np.full(size[::-1], 255, np.uint8)
    pixels[:, x : x + 2] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def rgb(path) -> np.ndarray:
    return np.asarray(load(path).convert("RGB"))


def tree(folder) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    return {name: data for name, data in found.items() if not name.startswith(".pixelpainter/")}


@pytest.fixture(autouse=True)
def engines(monkeypatch):
    """Invert pictures instead of refining them; returns the engines made."""
    made = []

    def make(*arguments, **options):
        made.append(Inverter(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(local, "LocalRefiner", make)
    monkeypatch.delenv("PIXELPAINTER_TOKEN", raising=False)
    return made


@pytest.fixture
def pages(tmp_path):
    for number in range(3):
        save(tmp_path / "pages" / f"{number}.png", number)
    save(tmp_path / "pages" / "sub" / "0.png", 7)
    return tmp_path / "pages"


@pytest.fixture
def run(command, pages, tmp_path):
    """Refine the pages; returns the last line on stderr."""

    def run(*options, status=0):
        done = command("refine", pages, "-o", tmp_path / "out", *options)
        assert done.status == status, done.err
        return done.err.splitlines()[-1] if done.err else ""

    return run


@pytest.fixture
def stdin(monkeypatch):
    def give(data: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give


def test_one_picture(command, tmp_path, engines):
    source = save(tmp_path / "girl_color.png", dpi=(300, 300))
    done = command("refine", source)
    assert (done.status, done.out) == (0, "")
    assert done.err.startswith(f"{source} -> {tmp_path}/girl_color_refined.png (inverted, ")
    result = tmp_path / "girl_color_refined.png"
    assert (rgb(result) == 255 - rgb(source)).all()
    texts = load(result).info
    assert texts["Software"] == f"PixelPainter {pixelpainter.__version__}"
    assert texts["Model"] == "tiny \\xfc 1"
    assert json.loads(texts["Settings"]) == RefineSettings().described()
    assert texts["dpi"] == pytest.approx((300, 300), abs=0.1)
    first = result.read_bytes()
    done = command("refine", source)
    assert done.status == 1
    assert "exists already; use --overwrite" in done.err
    assert command("refine", source, "--overwrite", "-q").err == ""
    assert result.read_bytes() == first
    assert [engine.model for engine in engines] == ["balanced"] * 3


def test_transparency_stays(command, tmp_path):
    pixels = np.full((20, 30, 4), 90, np.uint8)
    pixels[:10, :, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert command("refine", tmp_path / "a.png", "-o", tmp_path / "b.webp", "--quality", 100).status == 0
    result = np.asarray(load(tmp_path / "b.webp"))
    assert (result[..., 3] == pixels[..., 3]).all()
    assert (result[10:, :, :3] == 255 - (90 * 90 + 255 * 165 + 127) // 255).all()


def test_options_reach_the_engine(command, tmp_path, engines):
    source, sketch = save(tmp_path / "a.png"), draw(tmp_path / "s.png")
    options = ["--model", "x/y", "--controlnet", "lineart-anime", "--device", "cpu", "--dtype", "float16", "-q"]
    options += ["--allow-pickle", "--lines-from", sketch, "--strength", 0.5, "--steps", 9, "--guidance", 3]
    options += ["--prompt", "p", "--negative-prompt", "", "--seed", 5]
    assert command("refine", source, *options).status == 0
    (engine,) = engines
    assert engine.model == "x/y"
    expected = {"controlnet": "lineart-anime", "device": "cpu", "dtype": "float16"}
    assert engine.options == {**expected, "allow_pickle": True, "quiet": True}
    ((shape, settings, guide),) = engine.calls
    assert shape == (30, 40, 3)
    words = {"prompt": "p", "negative_prompt": ""}
    assert settings == RefineSettings(strength=0.5, steps=9, guidance=3, seed=5, **words)
    assert (guide == np.asarray(load(sketch))).all()
    assert command("refine", source, "--overwrite", "--lines-from", sketch, "--preset", "quality").status == 0
    assert engines[1].model == "quality"
    assert engines[1].calls[0][2] is None


def test_defaults_are_those_of_the_settings(command, monkeypatch):
    defaults = {name: parameter.default for name, parameter in inspect.signature(refine).parameters.items()}
    settings = RefineSettings().described()
    for name in ("strength", "steps", "guidance", "seed"):
        assert defaults[name] == settings[name]
    assert SENSIBLE_STRENGTH == (0.1, 0.5)
    assert defaults["timeout"] == inspect.signature(RemoteRefiner).parameters["timeout_s"].default
    monkeypatch.setenv("COLUMNS", "250")
    shown = " ".join(command("refine", "--help").out.split())
    for name in ("prompt", "negative_prompt"):
        assert f'Default: "{settings[name]}"' in shown


@pytest.mark.parametrize(
    ("strength", "warning"),
    [
        (0.05, "--strength 0.05 is below 0.1"),
        (0.1, ""),
        (0.5, ""),
        (0.51, "--strength 0.51 is above 0.5"),
        (1, "--strength 1 is"),
    ],
)
def test_a_strength_that_seldom_helps(command, tmp_path, strength, warning):
    done = command("refine", save(tmp_path / "a.png"), "--strength", strength)
    assert done.status == 0
    assert done.err.count("warning: ") == bool(warning)
    assert warning in done.err
    assert command("refine", tmp_path / "a.png", "--strength", strength, "--overwrite", "-q").err == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.png", "--strength", "0"], "--strength"),
        (["a.png", "--strength", "1.01"], "--strength"),
        (["a.png", "--strength", "nan"], "--strength"),
        (["a.png", "--steps", "0"], "--steps"),
        (["a.png", "--guidance", "nan"], "--guidance"),
        (["a.png", "--seed", str(1 << 63)], "--seed"),
        (["a.png", "--device", "tpu"], "--device"),
        (["a.png", "--controlnet", "lineart-anime"], "--lines-from"),
        (["a.png", "--lines-from", "missing.png"], "no file or folder missing.png"),
        ([".", "-o", "out", "--lines-from", "a.png"], "is one drawing"),
        (["-", "--lines-from", "auto"], "has no name"),
        (["-", "--lines-from", "."], "has no name"),
        (["a.png", "--server", "gpu-box:8000"], "http://HOST:PORT"),
        (["a.png", "--server", "http://x", "--server-from", "https://x"], "named already"),
        (["a.png", "--server-from", "http://x.example"], "by https only"),
        (["a.png", "--server", "http://x", "--model", "y"], "'--model'"),
        (["a.png", "--server", "http://x", "--device", "cpu"], "'--device'"),
        (["a.png", "--server", "http://localhost", "--token", "a b"], "--token"),
        (["a.png", "--timeout", "0"], "--timeout"),
        (["a.png", "--timeout", "inf"], "--timeout"),
        ([".", "-o", "-"], "only one picture"),
        (["a.png", "--shard", "1/2"], "--shard"),
        (["a.png", "--report", "run.jsonl", "-o", "-"], "--report"),
        ([".", "-o", "out", "--shard", "3/2"], "--shard"),
        (["a.png", "-o", "a.jpg", "--format", "png"], "--format"),
    ],
)
def test_wrong_usage(command, tmp_path, monkeypatch, stdin, engines, arguments, words):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "a.png")
    stdin(b"")
    done = command("refine", *arguments)
    assert (done.status, done.out) == (2, ""), done.err
    assert done.err.splitlines()[-1].startswith("error: ")
    assert words in done.err
    assert not engines
    assert sorted(tmp_path.iterdir()) == [tmp_path / "a.png"]


@pytest.mark.parametrize("arguments", [[], ["-"], ["-o", "-"]])
def test_a_picture_from_stdin_to_stdout(tmp_path, stdin, monkeypatch, capsysbinary, arguments):
    from pixelpainter.cli import main

    stdin(save(tmp_path / "a.png").read_bytes())
    with pytest.raises(SystemExit) as stop:
        main(["refine", *arguments])
    assert stop.value.code in (0, None)
    captured = capsysbinary.readouterr()
    result = np.asarray(Image.open(io.BytesIO(captured.out)))
    assert (result == 255 - rgb(tmp_path / "a.png")).all()
    assert captured.err == b"stdin: inverted\n"


def test_streams_and_files(command, tmp_path, stdin, monkeypatch):
    source = save(tmp_path / "a.png")
    stdin(source.read_bytes())
    assert command("refine", "-o", tmp_path / "b.png", "-q").status == 0
    command("refine", source, "-o", tmp_path / "c.png")
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "c.png").read_bytes()
    sketch = draw(tmp_path / "s.png")
    stdin(source.read_bytes())
    assert command("refine", "-", "-o", tmp_path / "d.png", "--lines-from", sketch).status == 0
    assert (rgb(tmp_path / "d.png")[:, 20:22] == 0).all()
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    done = command("refine")
    assert (done.status, "pipe a picture in" in done.err) == (2, True)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    done = command("refine", source, "-o", "-")
    assert (done.status, "cannot be written to a terminal" in done.err) == (2, True)


def test_a_folder_and_what_is_up_to_date(run, pages, tmp_path, engines):
    assert run() == "4 refined"
    assert sorted(tree(tmp_path / "out")) == ["0.png", "1.png", "2.png", "sub/0.png"]
    assert (rgb(tmp_path / "out" / "sub" / "0.png") == 255 - rgb(pages / "sub" / "0.png")).all()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert run() == "4 unchanged"
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before
    assert [(engine.loaded, len(engine.calls)) for engine in engines] == [(1, 4), (0, 0)]
    save(pages / "1.png", 50)
    (tmp_path / "out" / "2.png").unlink()
    assert run() == "2 unchanged, 2 refined"


@pytest.mark.parametrize(
    "options",
    [
        ["--strength", 0.31],
        ["--steps", 31],
        ["--guidance", 7],
        ["--prompt", "x"],
        ["--negative-prompt", "x"],
        ["--seed", 1],
        ["--quality", 50],
    ],
)
def test_other_settings_do_everything_again(run, options):
    run()
    assert run(*options) == "4 refined"
    assert run(*options) == "4 unchanged"


def test_another_model_does_everything_again(run, monkeypatch):
    run()
    monkeypatch.setattr(Inverter, "identity", "tiny 2")
    assert run() == "4 refined"


def test_what_others_made_is_never_replaced(run, tmp_path):
    mine = save(tmp_path / "out" / "1.png", 30).read_bytes()
    assert run(status=1) == "3 refined, 1 failed"
    assert (tmp_path / "out" / "1.png").read_bytes() == mine
    assert run("--overwrite") == "4 refined"


def test_a_bad_file_is_named_and_the_rest_goes_on(command, pages, tmp_path):
    (pages / "bad.png").write_bytes(b"bad")
    report = tmp_path / "run.jsonl"
    done = command("refine", pages, "-o", tmp_path / "out", "--report", report, "--json")
    assert done.status == 1
    summary = json.loads(done.out)
    assert summary.pop("seconds") >= 0
    (failure,) = summary.pop("failures")
    assert (failure["path"], failure["error"]) == (str(pages / "bad.png"), "InputError")
    assert summary == {"refined": 4, "unchanged": 0, "failed": 1}
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert [line["status"] for line in lines] == ["refined"] * 3 + ["failed", "refined"]
    assert lines[0]["notes"] == ["inverted"]
    printed = command("refine", pages, "-o", tmp_path / "out", "--print", "-q", "--pattern", "?.png").out
    assert printed.splitlines()[0] == str(tmp_path / "out" / "0.png")


def test_a_model_that_fails_at_one_picture(run, pages, monkeypatch):
    real = Inverter.refine

    def refine(self, rgb, settings, **options):
        if rgb.shape[0] == 31:
            raise ModelError("the picture came out black")
        return real(self, rgb, settings, **options)

    monkeypatch.setattr(Inverter, "refine", refine)
    save(pages / "1.png", size=(40, 31))
    assert run(status=1) == "3 refined, 1 failed"


@pytest.mark.parametrize("where", ["load", "identity"])
def test_a_model_that_cannot_be_used_is_one_error(command, pages, tmp_path, monkeypatch, where):
    def fail(self):
        raise ModelError("x/y: there is no such repository")

    monkeypatch.setattr(Inverter, where, property(fail) if where == "identity" else fail)
    done = command("refine", pages, "-o", tmp_path / "out")
    assert (done.status, done.err) == (1, "error: x/y: there is no such repository\n")
    assert not (tmp_path / "out").exists()


def test_dry_run_and_shards(command, pages, tmp_path, engines):
    arguments = ["refine", pages, "-o", tmp_path / "out"]
    done = command(*arguments, "--dry-run")
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[0] == f"refine: {pages}/0.png -> {tmp_path}/out/0.png"
    assert not (tmp_path / "out").exists()
    for shard in ("1/2", "2/2"):
        assert command(*arguments, "--shard", shard).status == 0
    save(pages / "1.png", 60)
    plan = json.loads(command(*arguments, "--dry-run", "--json").out)["plan"]
    assert [entry["action"] for entry in plan] == ["up to date", "refine again", "up to date", "up to date"]
    assert sum(len(engine.calls) for engine in engines) == 4
    assert engines[0].loaded == 0


def test_archives(command, pages, tmp_path):
    with zipfile.ZipFile(tmp_path / "book.cbz", "w") as archive:
        for path in sorted(pages.glob("*.png")):
            archive.write(path, path.name)
        archive.writestr("notes.txt", "text")
    assert command("refine", tmp_path / "book.cbz").status == 0
    with zipfile.ZipFile(tmp_path / "book_refined.cbz") as archive:
        assert archive.namelist() == ["0.png", "1.png", "2.png", "notes.txt"]
        page = np.asarray(Image.open(io.BytesIO(archive.read("1.png"))))
    assert (page == 255 - rgb(pages / "1.png")).all()
    done = command("refine", tmp_path / "book.cbz", "--overwrite", "--lines-from", pages)
    assert done.status == 1
    assert "lines cannot be put back in archives" in done.err


@pytest.mark.parametrize("scale", [1, 3])
def test_lines_of_a_drawing(command, tmp_path, scale):
    source, sketch = save(tmp_path / "a.png"), draw(tmp_path / "s.png", (40 * scale, 30 * scale), 20 * scale)
    assert command("refine", source, "--lines-from", sketch).status == 0
    result = rgb(tmp_path / "a_refined.png")
    assert (result[:, 20] < (10 if scale == 1 else 100)).all()
    assert (result[:, 30:] == 255 - rgb(source)[:, 30:]).all()
    assert "lines_from_sha256" in json.loads(load(tmp_path / "a_refined.png").info["Settings"])
    draw(sketch, (40, 40))
    done = command("refine", source, "--lines-from", sketch, "--overwrite")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert f"{sketch}: the drawing has 40x40 pixels and the picture 40x30" in done.err


def test_what_is_refined_already_is_not_refined_again(command, pages, run, tmp_path, plain_model):
    run()
    (tmp_path / "out").rename(pages / "first")
    save(pages / "first" / "1.png", 20)  # mine now
    draw(tmp_path / "drawings" / "girl.png")
    command("colorize", tmp_path / "drawings", "-o", pages / "colored", "--model", plain_model)
    done = command("refine", pages, "-o", tmp_path / "out")
    assert f"{pages}/first: 3 results of an earlier run are left out\n" in done.err
    results = {"0.png", "1.png", "2.png", "sub/0.png", "first/1.png", "colored/girl.png"}
    assert tree(tmp_path / "out").keys() == results
    assert command("refine", pages, "-o", tmp_path / "out", "--dry-run", "-q").err == ""


def test_lines_of_drawings_in_a_folder(command, pages, tmp_path, run):
    drawings = tmp_path / "drawings"
    draw(drawings / "0.png", x=10)
    draw(drawings / "1.bmp", x=12)
    draw(drawings / "2.gif", x=14)
    draw(drawings / "sub" / "0.png", x=16)
    (pages / "2.png").rename(pages / "2_color_1.png")
    assert run("--lines-from", drawings) == "4 refined"
    places = {"0": 10, "1": 12, "2_color_1": 14, "sub/0": 16}
    for name, x in places.items():
        dark = (rgb(tmp_path / "out" / f"{name}.png") < 10).all(axis=(0, 2))
        assert np.flatnonzero(dark).tolist() == [x, x + 1], name
    assert run("--lines-from", drawings) == "4 unchanged"
    draw(drawings / "1.bmp", x=20)
    assert run("--lines-from", drawings) == "3 unchanged, 1 refined"
    (drawings / "1.bmp").unlink()
    assert run("--lines-from", drawings, status=1) == "3 unchanged, 1 failed"
    done = command("refine", pages, "-o", tmp_path / "out", "--lines-from", drawings)
    assert f"no picture is called 1 in {drawings}" in done.err
    assert run() == "4 refined"
    # Several folders: the drawings lie as the results do.
    shutil.copytree(drawings, tmp_path / "both" / "pages")
    draw(tmp_path / "both" / "pages" / "1.png", x=3)
    draw(tmp_path / "both" / "x.png", x=5)
    save(tmp_path / "x_color.png")
    both = ["refine", pages, tmp_path / "x_color.png", "-o", tmp_path / "2", "--lines-from", tmp_path / "both"]
    assert command(*both).err.splitlines()[-1] == "5 refined"
    assert (rgb(tmp_path / "2" / "x_color.png")[:, 5] < 10).all()
    assert (rgb(tmp_path / "2" / "pages" / "1.png")[:, 3] < 10).all()


def test_no_result_replaces_a_drawing(command, pages, tmp_path):
    drawing = draw(tmp_path / "drawings" / "0.png")
    kept = drawing.read_bytes()
    for lines in (drawing, drawing.parent):
        done = command("refine", pages / "0.png", "-o", drawing, "--overwrite", "--lines-from", lines)
        assert done.status == 1 and done.err.endswith("would replace a file that is read\n")
    done = command("refine", pages, "-o", drawing.parent, "--overwrite", "--lines-from", drawing.parent)
    assert done.status == 1
    assert drawing.read_bytes() == kept


def test_one_picture_into_a_folder_with_its_drawing(command, pages, tmp_path):
    sketch = draw(tmp_path / "sketch.png", x=12)
    arguments = ["refine", pages / "0.png", "-o", f"{tmp_path}/new/", "--lines-from", sketch]
    assert command(*arguments).status == 0
    assert (rgb(tmp_path / "new" / "0.png")[:, 12] < 10).all()
    assert "up to date" in command(*arguments).err


def test_drawings_beside_their_pictures(command, tmp_path):
    pictures = tmp_path / "pictures"
    save(pictures / "girl_color.png")
    save(pictures / "girl_color.jpg")  # no drawing of it
    draw(pictures / "girl.jpg", x=12)
    assert command("refine", pictures / "girl_color.png", "--lines-from", "auto").status == 0
    assert (rgb(pictures / "girl_color_refined.png")[:, 12] < 30).all()
    done = command("refine", pictures / "girl.jpg", "--lines-from", "auto")
    assert done.status == 1
    assert f"{pictures}/girl.jpg: its drawing was not found: its name does not end in _color" in done.err
    options = ["--lines-from", "auto", "--pattern", "*_color.*"]
    done = command("refine", pictures, "-o", tmp_path / "out", *options)
    assert done.err.splitlines()[-1] == "2 refined"
    assert (rgb(tmp_path / "out" / "girl_color.jpg.png")[:, 12] < 30).all()
    # A folder with both: no picture is its own drawing.
    (tmp_path / "link").symlink_to(pictures)
    done = command("refine", pictures / "girl_color.png", "--overwrite", "--lines-from", tmp_path / "link")
    assert done.status == 0
    assert (rgb(pictures / "girl_color_refined.png")[:, 12] < 30).all()


@pytest.fixture
def server():
    with serving() as server:
        yield server


def test_a_server_does_it(command, server, pages, tmp_path, monkeypatch, engines):
    source = pages / "0.png"
    done = command("refine", source, "--server", server.url, "--token", "t", "--seed", 4)
    assert done.status == 0
    assert "leave this machine" not in done.err
    assert "one ü" in done.err
    assert (rgb(pages / "0_refined.png") == 255 - rgb(source)).all()
    assert server.requests[-1].headers["authorization"] == "Bearer t"
    assert server.requests[-1].part("seed") == b"4"
    monkeypatch.setenv("PIXELPAINTER_SERVER", server.url)
    monkeypatch.setenv("PIXELPAINTER_TOKEN", "from-env")
    sketch = draw(tmp_path / "s.png")
    assert command("refine", source, "--overwrite", "--lines-from", sketch).status == 0
    assert server.requests[-1].headers["authorization"] == "Bearer from-env"
    guide = cv2.imdecode(np.frombuffer(server.requests[-1].part("sketch"), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert (guide == np.asarray(load(sketch))).all()
    assert (rgb(pages / "0_refined.png")[:, 20] == 0).all()
    assert not engines


def test_it_is_said_once_that_pictures_leave_this_machine(command, pages, tmp_path):
    arguments = ["refine", pages, "-o", tmp_path / "out", "--server", "http://gpu.invalid:8000"]
    done = command(*arguments, "--token", "t")
    assert done.status == 1
    assert done.err.count("the pictures leave this machine: they are sent to gpu.invalid:8000\n") == 1
    assert done.err.count("can read the token and the pictures; use https") == 1
    assert done.err.splitlines()[-1].startswith("error: gpu.invalid:8000: cannot be reached")
    done = command(*arguments, "--quiet")
    assert (done.err.count("\n"), done.err.startswith("error: ")) == (1, True)
    assert "token" not in command(*arguments).err
    assert not (tmp_path / "out").exists()


def test_an_announced_server(command, server, pages):
    announcement = {"url": server.url, "timestamp": "2020-01-01T00:00:00Z"}
    status = server.status

    def answer(request, handler):
        if request.path == "/status":
            return status(request, handler)
        return 200, {}, json.dumps(announcement).encode()

    server.status = answer
    done = command("refine", pages / "0.png", "--server-from", server.url + "/a.json", "--token", "t")
    assert done.status == 0
    assert "days old; the server may be gone" in done.err
    assert "authorization" not in server.requests[0].headers
    announcement["url"] = "http://far.example"
    done = command("refine", pages / "1.png", "--server-from", server.url + "/a.json")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "is not reached by https" in done.err


def test_one_picture_that_the_server_refuses(command, server, pages, tmp_path):
    server.answers = [inverted, problem(413, "too many pixels"), inverted]
    arguments = ["refine", pages, "-o", tmp_path / "out", "--server", server.url]
    done = command(*arguments)
    assert (done.status, done.err.splitlines()[-1]) == (1, "3 refined, 1 failed")
    assert f"error: {pages}/1.png: {server.url[7:]}: the picture is too large for this server" in done.err
    assert command(*arguments).err.splitlines()[-1] == "3 unchanged, 1 refined"


def test_a_lost_server_ends_the_run_and_the_next_goes_on(command, server, pages, tmp_path):
    with zipfile.ZipFile(pages / "book.cbz", "w") as archive:
        archive.write(pages / "1.png", "1.png")
    server.answers = [inverted, inverted, inverted, problem(401, "the token has changed")]
    arguments = ["refine", pages, "-o", tmp_path / "out", "--server", server.url]
    done = command(*arguments)
    assert (done.status, done.err.splitlines()[-1]) == (1, "3 refined, 1 failed")
    assert f"error: {server.url[7:]}: refuses access (401: the token has changed)" in done.err
    assert "stopped: 1 more were not tried; the same command goes on from here" in done.err
    assert sorted(tree(tmp_path / "out")) == ["0.png", "1.png", "2.png"]  # no archive of pages that were not refined
    assert len(server.posts) == 4
    server.answers = [inverted]
    assert command(*arguments).err.splitlines()[-1] == "3 unchanged, 2 refined"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_stopped_in_the_middle_and_run_again(command, server, pages, tmp_path, end):
    begun = tmp_path / "begun"

    def slow(request, handler):
        begun.touch()
        time.sleep(20)

    server.answers = [inverted, inverted, slow]
    arguments = ["refine", pages, "-o", tmp_path / "out", "--server", server.url]
    program = [sys.executable, "-m", "pixelpainter", *map(str, arguments)]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as process:
        while not begun.exists():
            assert process.poll() is None
            time.sleep(0.01)
        start = time.monotonic()
        process.send_signal(end)
        said = process.communicate()[1]
    assert time.monotonic() - start < 10  # it did not wait for the picture
    assert process.returncode == (130 if end == signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in said
    if end == signal.SIGINT:
        assert said.splitlines()[-1] == "interrupted: 2 of 4 done"
    assert sorted(tree(tmp_path / "out")) == ["0.png", "1.png"]
    server.answers = [inverted]
    assert command(*arguments).err.splitlines()[-1] == "2 unchanged, 2 refined"
    assert len(server.posts) == 3 + 2


def test_the_client_needs_no_torch(server, pages, tmp_path):
    code = "from pixelpainter.cli import main; main(sys.argv[1:])"
    modules = loaded(code, "refine", pages / "0.png", "-o", tmp_path / "a.png", "--server", server.url)
    assert (tmp_path / "a.png").exists()
    assert not modules & (NEVER - {"httpx"})
    assert not modules & {"onnxruntime", "huggingface_hub"}


def test_a_real_pipe(server, tmp_path, plain_model):
    sketch = draw(tmp_path / "s.png")
    python = [sys.executable, "-m", "pixelpainter"]
    color = [*python, "colorize", str(sketch), "-o", "-", "--model", str(plain_model), "-q"]
    polish = [*python, "refine", "--server", server.url, "--lines-from", str(sketch)]
    with subprocess.Popen(color, stdout=subprocess.PIPE) as first:
        done = subprocess.run(polish, stdin=first.stdout, capture_output=True, check=False)
    assert (first.returncode, done.returncode) == (0, 0), done.stderr
    image = Image.open(io.BytesIO(done.stdout))
    assert (image.format, image.size) == ("PNG", (40, 30))
    assert (np.asarray(image)[:, 20:22] == 0).all()
    assert done.stderr == "stdin: one ü\n".encode()


def test_a_real_model(command, tmp_path, monkeypatch):
    from diffusion import save_tiny_pipeline

    monkeypatch.setattr(local, "LocalRefiner", REAL)
    model = save_tiny_pipeline(tmp_path / "tiny")
    source = save(tmp_path / "a.png", size=(50, 41))
    options = ["--model", model, "--steps", 4, "--device", "cpu"]
    done = command("refine", source, *options)
    assert done.status == 0, done.err
    result = rgb(tmp_path / "a_refined.png")
    assert result.shape == (41, 50, 3)
    assert (result != rgb(source)).any()
    assert load(tmp_path / "a_refined.png").info["Model"].endswith("float32, cpu")


def test_identity_is_text_of_any_language():
    assert not IDENTITY.isascii()  # or the tests above would not see what happens to it
