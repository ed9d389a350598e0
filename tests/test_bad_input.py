"""Issue by issue what people feed a program: each bad file gives one line, and nothing is left behind."""

import json
import os
import struct
import zlib

import numpy as np
import pytest
from conftest import load, save_plain_model
from PIL import Image


def text(path):
    path.write_text("this is no picture")


def truncated(path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:5000])


def bomb(path):
    """A PNG of a few hundred bytes that says it has 60000x60000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(100_000))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))


def snapshot(folder):
    return {path.relative_to(folder): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def assert_one_line(done, status, *words):
    assert done.status == status, done.err
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    for word in words:
        assert word in done.err


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "cannot be opened (No such file or directory)"),
        (text, "not a picture"),
        (truncated, "cut off"),
        (lambda path: path.touch(), "empty"),
        (bomb, "60000x60000"),
    ],
    ids=["missing", "text", "truncated", "empty", "bomb"],
)
def test_bad_pictures(command, plain_model, tmp_path, make, words):
    make(tmp_path / "bad.png")
    before = snapshot(tmp_path)
    assert_one_line(command("colorize", tmp_path / "bad.png", "--model", plain_model), 1, "bad.png", words)
    assert snapshot(tmp_path) == before


def test_a_folder_without_pictures(command, plain_model, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").touch()
    before = snapshot(tmp_path)
    done = command("colorize", tmp_path / "in", "-o", tmp_path / "out", "--model", plain_model)
    assert_one_line(done, 1, f"{tmp_path}/in: there are no pictures in this folder")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (20000, 10), (10, 20000)])
def test_strange_sizes_are_colored(command, plain_model, tmp_path, size):
    pixels = np.full(size[::-1], 255, np.uint8)
    pixels[::7, ::3] = 0
    Image.fromarray(pixels).save(tmp_path / "strip.png")
    assert command("colorize", tmp_path / "strip.png", "--model", plain_model).status == 0
    assert load(tmp_path / "strip_color.png").size == size


@pytest.mark.parametrize("name", ["moving.gif", "scan.tiff", "moving.webp", "moving.png"])
def test_of_several_pictures_in_a_file_the_first_one(command, plain_model, tmp_path, name):
    frames = [Image.new("L", (50, 40), 255), *(Image.new("L", (50, 40), value) for value in (0, 99))]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    done = command("colorize", tmp_path / name, "-o", tmp_path / "out.png", "--model", plain_model)
    assert (done.status, "only the first of 3 pictures in this file was taken" in done.err) == (0, True)
    result = load(tmp_path / "out.png")
    assert result.size == (50, 40)
    assert result.convert("L").getextrema()[0] > 90
    assert getattr(result, "n_frames", 1) == 1


def test_the_limit_on_pixels_can_be_set(command, drawings, plain_model, tmp_path):
    arguments = ["colorize", drawings / "cat.png", "-o", tmp_path / "out.png", "--model", plain_model, "--max-pixels"]
    assert_one_line(command(*arguments, 520 * 440 - 1), 1, "cat.png", "--max-pixels")
    assert list(tmp_path.iterdir()) == []
    assert command(*arguments, 520 * 440).status == 0


@pytest.mark.parametrize(
    "name", ["file/out.png", "file/deep/out.png", "out.docx", "new/out.docx", "out", "x" * 300 + ".png"]
)
def test_results_that_cannot_be_written(command, drawings, plain_model, tmp_path, name):
    (tmp_path / "file").write_text("no folder")
    before = snapshot(tmp_path)
    done = command("colorize", drawings / "cat.png", "-o", tmp_path / name, "--model", plain_model)
    assert_one_line(done, 1, str(tmp_path))
    assert snapshot(tmp_path) == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission(command, drawings, plain_model, tmp_path):
    tmp_path.chmod(0o500)
    done = command("colorize", drawings / "cat.png", "-o", tmp_path / "out.png", "--model", plain_model)
    tmp_path.chmod(0o700)
    assert_one_line(done, 1, "out.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", ["missing", "folder", "text", "without card"])
def test_models_that_are_none(command, drawings, tmp_path, mode):
    model = tmp_path / "model.onnx"
    if mode == "folder":
        model.mkdir()
    elif mode == "text":
        model.write_text("no model")
    elif mode == "without card":
        save_plain_model(model, None)
    before = snapshot(tmp_path)
    done = command("colorize", drawings / "cat.png", "-o", tmp_path / "out.png", "--model", model)
    assert_one_line(done, 1, "model.onnx")
    assert snapshot(tmp_path) == before


def test_hints(command, drawings, plain_model, hint_model, tmp_path):
    def run(hint, model):
        return command("colorize", drawings / "cat.png", "-o", tmp_path / "out.png", "--model", model, "--hint", hint)

    assert_one_line(run("10;20;red", hint_model), 2, "--hint", "x,y,RRGGBB")
    assert_one_line(run("520,0,FF0000", hint_model), 1, "520 pixels wide and 440 high")
    assert_one_line(run("-1,0,FF0000", hint_model), 1, "520 pixels wide and 440 high")
    assert_one_line(run("520,0,FF0000", plain_model), 1, "cat.png: the hint at 520,0 lies outside")
    assert list(tmp_path.iterdir()) == []


def test_files_of_hints(command, drawings, hint_model, tmp_path):
    def run(hints, drawing=drawings / "cat.png"):
        return command("colorize", drawing, "-o", tmp_path / "out.png", "--model", hint_model, "--hints", hints)

    strokes = tmp_path / "strokes.png"
    Image.new("RGBA", (520, 441), (255, 0, 0, 200)).save(strokes)
    assert_one_line(run(strokes), 1, "cat.png: ", "strokes.png: the strokes are 520x441 pixels, the drawing 520x440")
    Image.new("RGBA", (520, 440)).save(strokes)
    assert_one_line(run(strokes), 1, "strokes.png: there is no stroke")
    assert_one_line(run(tmp_path / "none.json"), 1, "none.json: cannot be opened")
    Image.new("RGBA", (520, 440)).save(tmp_path / "cat.hints.png")
    named = command("colorize", tmp_path / "cat.hints.png", "--model", hint_model)
    assert_one_line(named, 2, "name the drawing")
    (tmp_path / "cat.png").write_bytes((drawings / "cat.png").read_bytes())
    beside = command("colorize", tmp_path / "cat.png", "--model", hint_model)
    assert_one_line(beside, 1, "cat.hints.png: there is no stroke")


def test_palettes(command, drawings, hint_model, tmp_path):
    def run(*options):
        return command("colorize", drawings / "cat.png", "-o", tmp_path / "out.png", "--model", hint_model, *options)

    assert_one_line(run("--palette", "FF0000"), 2, "--palette", "one color only")
    assert_one_line(run("--palette", "FF0000,blue"), 2, "'blue' is not RRGGBB")
    assert_one_line(run("--palette", tmp_path / "none.gpl"), 1, "none.gpl: cannot be opened")
    for name, text, words in (
        ("text.gpl", "no palette", "no palette, or a damaged one"),
        ("one.gpl", "GIMP Palette\n10 200 90\n", "there is one color in it; a palette has two or more"),
        ("text.ase", "no palette", "it does not begin with ASEF"),
        ("cut.aco", "\0", "the palette is cut off"),
        ("text.txt", "FF0000,00FF00", "no palette of a known kind"),
        ("text.png", "no picture", "not a picture"),
    ):
        (tmp_path / name).write_text(text)
        assert_one_line(run("--palette", tmp_path / name), 1, f"{name}: ", words)
        (tmp_path / name).unlink()
    assert_one_line(run("--reference", drawings / "girl.png"), 1, "girl.png: this picture has no colors")
    assert_one_line(run("--reference", "a.png", "--palette", "FF0000,00FF00"), 2, "choose one")
    assert_one_line(run("--exact"), 2, "--exact", "give --palette or --reference")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("model", ["plain_model", "hint_model"])
def test_hints_in_lines_and_ten_thousand_hints(command, tmp_path, request, model):
    page = np.full((300, 300), 255, np.uint8)
    page[100:200, 100:200] = 0
    Image.fromarray(page).save(tmp_path / "a.png")
    arguments = ["colorize", tmp_path / "a.png", "--model", request.getfixturevalue(model), "--overwrite"]
    done = command(*arguments, "--hint", "150,150,FF0000", "--hint", "20,20,00FF00")
    assert done.status == 0 and "1 of 2 hints lie in lines, with no paper near them, and color nothing" in done.err
    numbers = np.random.default_rng(0).integers(0, [300, 300, 1 << 24], (10_000, 3)).tolist()
    (tmp_path / "many.json").write_text(json.dumps([f"{x},{y},{color:06X}" for x, y, color in numbers]))
    done = command(*arguments, "--hints", tmp_path / "many.json")
    assert done.status == 0 and "of 10000 hints lie in lines" in done.err


@pytest.mark.parametrize("options", [["--flat"], ["--layers", "ora"]])
@pytest.mark.parametrize("regions", ["white", "black", "noise", "100000"])
def test_drawings_with_many_regions_or_none(command, plain_model, tmp_path, regions, options):
    side = 1920 if regions == "100000" else 300
    page = np.full((side, side), 0 if regions == "black" else 255, np.uint8)
    if regions == "100000":
        page[::6] = page[:, ::6] = 0
    elif regions == "noise":
        page = np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
    Image.fromarray(page).save(tmp_path / "a.png")
    done = command("colorize", tmp_path / "a.png", "--model", plain_model, *options)
    assert done.status == 0, done.err
    result = tmp_path / ("a_color.png" if options == ["--flat"] else "a_color.ora")
    assert result.stat().st_size > 100


def test_names_cannot_break_the_line_or_the_terminal(command, plain_model, tmp_path):
    done = command("colorize", tmp_path / "two\nlines\x1b[31m.png", "--model", plain_model)
    assert_one_line(done, 1, "lines")
    assert "\x1b" not in done.err
