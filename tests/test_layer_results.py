"""`colorize --flat`, `--gap` and `--layers` as the user meets them."""

import importlib.util
import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from conftest import load
from PIL import Image
from psd_tools import PSDImage

from pixelpainter.layers import LAYER_FILES


@pytest.fixture
def pages(tmp_path, drawings):
    (tmp_path / "pages" / "sub").mkdir(parents=True)
    for place in ("a.png", "sub/b.png"):
        Image.open(drawings / "cat.png").resize((130, 110)).save(tmp_path / "pages" / place)
    return tmp_path / "pages"


def merged(path):
    with zipfile.ZipFile(path) as archive:
        return np.asarray(Image.open(io.BytesIO(archive.read("mergedimage.png"))))


def files(folder):
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in found if not name.startswith(".pixelpainter")}


def test_flat(command, pages, plain_model):
    arguments = ["colorize", pages / "a.png", "--model", plain_model, "--lines", "none"]
    assert command(*arguments, "-o", pages / "soft.png").status == 0
    assert command(*arguments, "-o", pages / "flat.png", "--flat").status == 0
    soft, flat = (
        len(np.unique(np.asarray(load(pages / name)).reshape(-1, 3), axis=0)) for name in ("soft.png", "flat.png")
    )
    assert flat < 60 < soft
    assert json.loads(load(pages / "flat.png").info["Settings"])["flat"] is True


def test_layers_beside_the_drawing(command, pages, plain_model):
    arguments = ["colorize", pages / "a.png", "--model", plain_model]
    assert command(*arguments).status == 0
    picture = np.asarray(load(pages / "a_color.png"))
    for kind in ("ora", "psd", "png"):
        done = command(*arguments, "--layers", kind, "--print")
        name = "a_color" if kind == "png" else f"a_color.{kind}"
        assert (done.status, done.out) == (0, f"{pages / name}\n")
    np.testing.assert_array_equal(merged(pages / "a_color.ora"), picture)
    document = PSDImage.open(pages / "a_color.psd")
    assert [layer.name for layer in document] == ["flats", "shading", "light", "lines"]
    np.testing.assert_array_equal(np.asarray(document.topil()), picture)
    assert files(pages / "a_color") == set(LAYER_FILES)
    assert "Settings" in load(pages / "a_color" / LAYER_FILES[0]).info


@pytest.mark.parametrize("kind", ["ora", "psd"])
def test_the_name_of_the_result_is_enough(command, pages, plain_model, kind):
    assert command("colorize", pages / "a.png", "-o", pages / f"x.{kind}", "--model", plain_model).status == 0
    first = (pages / f"x.{kind}").read_bytes()
    done = command("colorize", pages / "a.png", "-o", pages / f"x.{kind}", "--layers", kind, "--model", plain_model)
    assert done.status == 1 and "exists already; use --overwrite" in done.err
    done = command("colorize", pages / "a.png", "-o", pages / f"x.{kind}", "--overwrite", "--model", plain_model)
    assert done.status == 0 and (pages / f"x.{kind}").read_bytes() == first


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("ora", {"a.ora", "sub/b.ora"}),
        ("psd", {"a.psd", "sub/b.psd"}),
        ("png", {f"{place}/{name}" for place in ("a", "sub/b") for name in LAYER_FILES}),
    ],
)
def test_folders(command, pages, plain_model, tmp_path, kind, names):
    out, report = tmp_path / "out", tmp_path / "report.jsonl"
    arguments = ["colorize", pages, "-o", out, "--model", plain_model, "--layers", kind]
    assert command(*arguments, "--report", report).status == 0
    assert files(out) == names
    assert [json.loads(line)["status"] for line in report.read_text().splitlines()] == ["colored"] * 2
    before = {name: (out / name).stat().st_mtime_ns for name in names}
    assert "2 unchanged" in command(*arguments).err
    assert {name: (out / name).stat().st_mtime_ns for name in names} == before
    assert "1 unchanged, 1 colored" in _again(command, arguments, out / max(names))
    assert files(out) == names
    assert "2 colored" in command(*arguments, "--gap", 30).err  # other settings, other layers
    (out / min(names)).write_text("mine")
    done = command(*arguments, "--gap", 30)
    assert done.status == 1 and "exists already" in done.err and (out / min(names)).read_text() == "mine"
    assert command(*arguments, "--gap", 30, "--overwrite").status == 0
    assert (out / min(names)).read_bytes() != b"mine"


def _again(command, arguments, lost):
    """Run again after one file is lost: a run that was killed between the files of a drawing."""
    lost.unlink()
    plan = command(*arguments, "--dry-run").out
    assert plan.count("up to date") == 1
    return command(*arguments).err


@pytest.mark.parametrize("kind", ["ora", "psd"])
def test_stdout(pages, plain_model, command, kind):
    arguments = ["colorize", pages / "a.png", "--model", plain_model]
    program = [sys.executable, "-m", "pixelpainter", *map(str, arguments), "-o", "-", "--layers", kind]
    done = subprocess.run(program, capture_output=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"")
    assert command(*arguments, "-o", pages / f"x.{kind}").status == 0
    assert done.stdout == (pages / f"x.{kind}").read_bytes()


def test_variations_have_layers_of_their_own(command, pages, plain_model):
    (pages / "a.png").rename(pages / "p.1.png")
    done = command("colorize", pages / "p.1.png", "--layers", "png", "--variations", 2, "--model", plain_model)
    assert done.status == 0, done.err
    assert files(pages) - {"p.1.png", "sub/b.png"} == {f"p.1_color_{n}/{name}" for n in (1, 2) for name in LAYER_FILES}


def test_what_already_is_colored(command, pages, plain_model):
    y, x = np.mgrid[:90, :60]
    painted = np.stack([x * 4, 255 - y * 2, (x + y) % 256], axis=-1).astype(np.uint8)
    Image.fromarray(painted).save(pages / "done.png")
    assert "copied" in command("colorize", pages / "done.png", "--layers", "ora", "--model", plain_model).err
    np.testing.assert_array_equal(merged(pages / "done_color.ora"), painted)
    arguments = ["colorize", pages / "done.png", "--layers", "png", "--model", plain_model]
    assert command(*arguments).status == 0
    assert load(pages / "done_color" / LAYER_FILES[3]).getextrema()[3] == (0, 0)
    for name in LAYER_FILES:
        (pages / "done_color" / name).unlink()
    (pages / "done_color").rmdir()
    assert "left out" in command(*arguments, "--colored", "skip").err and not (pages / "done_color").exists()


def test_archives_have_no_layers(command, pages, plain_model, tmp_path):
    with zipfile.ZipFile(pages / "book.cbz", "w") as archive:
        archive.write(pages / "a.png", "a.png")
    done = command("colorize", pages, "-o", tmp_path / "out", "--layers", "ora", "--model", plain_model)
    assert done.status == 1 and "book.cbz: there are no layers of archives; unpack it first" in done.err
    assert files(tmp_path / "out") == {"a.ora", "sub/b.ora"}
    done = command("colorize", pages / "book.cbz", "--layers", "ora", "--model", plain_model)
    assert done.status == 1 and "no layers of archives" in done.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--gap", "8"], "give --flat or --layers"),
        (["--gap", "-1", "--flat"], "--gap"),
        (["--flat", "--lines", "model"], "lines of its own"),
        (["--layers", "ora", "--lines", "model"], "lines of its own"),
        (["--layers", "ora", "--format", "png"], "--layers names"),
        (["--layers", "ora", "--preview", "p.png"], "not layers"),
        (["--layers", "png", "-o", "-"], "use ora or psd"),
        (["--layers", "psd", "-o", "x.ora"], "a file ending in .psd"),
        (["--layers", "psd", "-o", "x"], "a file ending in .psd"),
        (["--layers", "svg"], "--layers"),
    ],
)
def test_options_that_contradict_one_another(command, pages, options, words, monkeypatch):
    done = command("colorize", pages / "a.png", "--model", "none.onnx", *options)
    assert done.status == 2 and words in done.err, done.err
    assert done.err.count("\n") == 1


def test_psd_without_the_package(command, pages, plain_model, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for options in (["--layers", "psd"], ["-o", pages / "x.psd"]):
        done = command("colorize", pages / "a.png", "--model", plain_model, *options)
        assert done.status == 1 and "needs the package psd-tools" in done.err and "[layers]" in done.err
    assert command("colorize", pages / "a.png", "--model", plain_model, "--layers", "ora").status == 0
