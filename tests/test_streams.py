"""A picture from stdin, a picture to stdout, and the formats of single files."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import load
from PIL import Image


def run(*arguments: object, **settings) -> subprocess.CompletedProcess:
    program = [sys.executable, "-m", "pixelpainter", "colorize", *map(str, arguments)]
    return subprocess.run(program, capture_output=True, check=False, timeout=120, **settings)


@pytest.fixture
def stdin(monkeypatch):
    """Put bytes on stdin."""

    def give(data: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give


def test_a_real_pipe(drawings, plain_model):
    data = (drawings / "cat.png").read_bytes()
    done = run("-", "--model", plain_model, input=data)
    assert (done.returncode, done.stderr) == (0, b"")
    image = Image.open(io.BytesIO(done.stdout))
    image.load()
    assert (image.format, image.size) == ("PNG", (520, 440))
    done = run("-", "-o", "-", "--model", plain_model, input=b"no picture")
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (1, b"", 1)
    assert done.stderr.startswith(b"error: stdin: not a picture")


def test_the_reader_may_go_away(drawings, plain_model):
    program = [sys.executable, "-m", "pixelpainter", "colorize", str(drawings / "cat.png"), "-o", "-"]
    with subprocess.Popen(
        [*program, "--model", str(plain_model)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_behind_stdout_is_named(drawings, plain_model):
    program = [
        sys.executable,
        "-m",
        "pixelpainter",
        "colorize",
        drawings / "cat.png",
        "-o",
        "-",
        "--model",
        plain_model,
    ]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(program, stdout=full, stderr=subprocess.PIPE, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (1, b"error: stdout: cannot be written (No space left on device)\n")


@pytest.mark.parametrize(
    ("options", "format"),
    [([], "PNG"), (["--format", "jpg"], "JPEG"), (["--format", "webp"], "WEBP"), (["--format", "keep"], "TIFF")],
)
def test_formats_of_stdout(drawings, plain_model, tmp_path, options, format):
    load(drawings / "cat.png").save(tmp_path / "cat.tiff")
    done = run("-", "--model", plain_model, *options, input=(tmp_path / "cat.tiff").read_bytes())
    assert (done.returncode, done.stderr) == (0, b"")
    assert Image.open(io.BytesIO(done.stdout)).format == format
    if format == "TIFF":
        from_file = run(tmp_path / "cat.tiff", "-o", "-", "--model", plain_model, *options)
        assert from_file.stdout == done.stdout


def test_stdin_into_a_file(command, drawings, plain_model, stdin, tmp_path):
    data = (drawings / "cat.png").read_bytes()
    stdin(data)
    done = command("colorize", "-", "-o", tmp_path / "cat.webp", "--model", plain_model)
    assert (done.status, done.out) == (0, "")
    assert load(tmp_path / "cat.webp").format == "WEBP"
    stdin(data)
    assert "exists already" in command("colorize", "-", "-o", tmp_path / "cat.webp", "--model", plain_model).err
    assert command("colorize", drawings / "cat.png", "-o", tmp_path / "2.webp", "--model", plain_model).status == 0
    assert (tmp_path / "2.webp").read_bytes() == (tmp_path / "cat.webp").read_bytes()


def test_a_colored_picture_passes_through(plain_model):
    y, x = np.mgrid[:90, :60]
    picture = io.BytesIO()
    Image.fromarray(np.stack([x * 4, 255 - y * 2, (x + y) % 256], axis=-1).astype(np.uint8)).save(picture, "PNG")
    done = run("-", "--model", plain_model, input=picture.getvalue())
    assert done.stderr == b"stdin: already colored, copied\n"
    assert done.stdout == picture.getvalue()


def test_terminals_are_refused(command, drawings, plain_model, stdin, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    done = command("colorize", drawings / "cat.png", "-o", "-", "--model", plain_model)
    assert (done.status, done.out) == (2, "")
    assert "cannot be written to a terminal" in done.err
    stdin(b"")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    done = command("colorize", "-", "-o", "x.png", "--model", plain_model)
    assert done.status == 2
    assert "stdin is a terminal" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["-", "a.png"],
        ["a.png", "b.png", "-o", "-"],
        [".", "-o", "-"],
        ["book.cbz", "-o", "-"],
        ["-", "-o", "."],
        ["a.png", "-o", "-", "--json"],
        ["-", "--print"],
        ["a.png", "-o", "a.jpg", "--format", "png"],
        ["a.png", "--format", "bmp"],
        ["a.png", "--quality", "0"],
        ["a.png", "--shard", "1/2"],
        [".", "-o", "x", "--shard", "3/2"],
        [".", "-o", "x", "--shard", "half"],
        ["a.png", "--jobs", "0"],
    ],
)
def test_wrong_usage(command, stdin, arguments):
    stdin(b"")
    done = command("colorize", *arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("format", "suffix"), [("jpg", ".jpg"), ("webp", ".webp"), ("tiff", ".tiff"), ("keep", ".tif")]
)
def test_the_name_says_the_format(command, drawings, plain_model, tmp_path, format, suffix):
    load(drawings / "cat.png").save(tmp_path / "cat.tif")
    assert command("colorize", tmp_path / "cat.tif", "--model", plain_model, "--format", format).status == 0
    kinds = {".jpg": "JPEG", ".webp": "WEBP"}
    assert load(tmp_path / f"cat_color{suffix}").format == kinds.get(suffix, "TIFF")
    done = command(
        "colorize", tmp_path / "cat.tif", "-o", tmp_path / f"x{suffix}", "--model", plain_model, "--format", format
    )
    assert done.status == 0


def test_stdin_knows_no_hints_beside_it_but_variations(command, drawings, hint_model, stdin, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stdin.hints.json").write_text("these are nobody's")
    stdin((drawings / "cat.png").read_bytes())
    done = command("colorize", "-", "-o", tmp_path / "cat.png", "--model", hint_model, "--variations", 3)
    assert (done.status, done.out) == (0, ""), done.err
    results = {(tmp_path / f"cat_{number}.png").read_bytes() for number in (1, 2, 3)}
    assert len(results) == 3
