import json
import os
import re
import shutil
import subprocess
import sys
from typing import get_args

import numpy as np
import pytest
from conftest import load
from PIL import Image

import pixelpainter
from pixelpainter import batch
from pixelpainter.cli.options import Colored, Device, Format, Lines


def subprocess_command(*arguments: object, **settings) -> subprocess.CompletedProcess:
    program = [sys.executable, "-m", "pixelpainter", *map(str, arguments)]
    return subprocess.run(program, capture_output=True, text=True, check=False, timeout=120, **settings)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--help"], ["colorize", "train", "export", "refine", "--version"]),
        (
            ["colorize", "--help"],
            [
                "--output",
                "--model",
                "--hint",
                "--hints",
                "--palette",
                "--reference",
                "--lines",
                "--no-clean",
                "--overwrite",
                "--threads",
            ],
        ),
        (["colorize", "-h"], ["--max-pixels", "--quiet", "--device", "--jobs", "pixelpainter colorize sketch.png"]),
        (["colorize", "--help"], ["Result", "--format", "--quality", "--colored", "copy them (default)"]),
        (["colorize", "--help"], ["Folders and archives", "--pattern", "--shard", "--dry-run", "--preview"]),
        (["colorize", "--help"], ["Messages and reports", "--report", "--json", "--print"]),
        (
            ["refine", "--help"],
            ["--output", "--strength", "0.3", "--steps", "--prompt", "--server", "PIXELPAINTER_SERVER"],
        ),
    ],
)
def test_help_is_complete_and_goes_to_stdout(command, arguments, words, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    done = command(*arguments)
    assert done.status == 0
    assert done.err == ""
    for word in words:
        assert word in done.out


def test_the_help_of_colorize_fits_a_narrow_terminal_and_names_every_choice(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = command("colorize", "--help").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 110
    text = " ".join(" ".join(line.strip("│").split()) for line in lines)
    (alone,) = re.findall(r"─ Options ─+╮ (.*?) ╰", text)
    assert re.findall(r"--[a-z-]+", alone) == ["--help"]  # all others are in a group
    for option in (Format, Colored, Lines, Device):
        values, settings = get_args(option)
        choices = [choice for part in (values, *get_args(values)) for choice in get_args(part)]
        named = [choice for choice in choices if isinstance(choice, str)]
        assert len(named) > 2
        assert all(re.search(rf"\b{choice}\b", settings.help) for choice in named), named


def test_version(command):
    done = command("--version")
    assert (done.status, done.out, done.err) == (0, f"pixelpainter {pixelpainter.__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["paint"],
        ["colorize"],
        ["colorize", "--color", "x"],
        ["colorize", "x.png", "--lines", "some"],
        ["--nonsense"],
        ["colorize", "x.png", "--threads", "0"],
        ["colorize", "a.png", "b.png"],
        ["colorize", "a.png", "--hint", "1,2"],
        ["colorize", "a.png", "--saturation", "-1"],
        ["colorize", "a.png", "--saturation", "nan"],
        ["colorize", "a.png", "--variations", "1"],
        ["colorize", "a.png", "--variations", "2", "--palette", "FF0000,00FF00"],
        ["colorize", "a.png", "--variations", "2", "-o", "-"],
        ["colorize", "a.png", "--preview", "sheet.png", "-o", "-"],
        ["colorize", "a.png", "--report", "run.jsonl", "-o", "-"],
        ["colorize", "a.png", "--colored", "skip", "-o", "-"],
        ["colorize", "a.png", "--pattern", "b*"],
        ["colorize", "a.png", "--seed", "1"],
        ["colorize", "a.png", "--layers", "png", "-o", "layers.png"],
        ["colorize", "a.png", "--palette"],
    ],
)
def test_wrong_usage_is_one_line_and_2(command, arguments):
    done = command(*arguments)
    assert done.status == 2
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert "Value error" not in done.err  # as if there were other errors
    command_name = "pixelpainter colorize" if arguments[0] == "colorize" else "pixelpainter"
    assert done.err.endswith(f"(see `{command_name} --help`)\n")
    assert done.err.count("\n") == 1


def test_no_command_shows_the_help(command):
    done = command()
    assert done.status == 2
    assert "colorize" in done.out


def test_one_drawing(command, drawings, plain_model, tmp_path):
    (tmp_path / "cat.png").write_bytes((drawings / "cat.png").read_bytes())
    done = command("colorize", tmp_path / "cat.png", "--model", plain_model)
    assert (done.status, done.out) == (0, "")
    assert done.err.startswith(f"{tmp_path}/cat.png -> {tmp_path}/cat_color.png (")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cat.png", "cat_color.png"]
    result, drawing = load(tmp_path / "cat_color.png"), load(drawings / "cat.png")
    assert (result.size, result.mode) == (drawing.size, "RGB")
    assert result.info["Software"] == f"PixelPainter {pixelpainter.__version__}"
    ink = np.asarray(drawing.convert("L"))
    assert np.asarray(result)[ink < 20].max() < 40
    assert np.asarray(result)[ink > 250].max(axis=-1).min() > 100


def test_the_model_can_come_from_the_environment(command, drawings, plain_model, tmp_path, monkeypatch):
    monkeypatch.setenv("PIXELPAINTER_MODEL", str(plain_model))
    assert command("colorize", drawings / "cat.png", "-o", tmp_path / "out.png", "--quiet").err == ""
    assert (tmp_path / "out.png").exists()


def test_options_reach_the_picture(command, drawings, hint_model, tmp_path):
    def pixels(name: str, *options: object) -> np.ndarray:
        path = tmp_path / f"{name}.png"
        assert command("colorize", drawings / "cat.png", "-o", path, "--model", hint_model, *options).status == 0
        return np.asarray(load(path))

    hint = pixels("hint", "--hint", "10,10,FF0000", "--hint", "500,400,FF0000,5", "--threads", 1)
    np.testing.assert_allclose(hint[3, 3], [255, 0, 0], atol=2)
    assert pixels("original").min() == 0
    assert pixels("none", "--lines", "none").min() > 120
    assert pixels("model", "--lines", "model").min() > 110


def test_hints_from_files(command, drawings, hint_model, tmp_path):
    drawing = tmp_path / "cat.png"
    drawing.write_bytes((drawings / "cat.png").read_bytes())

    def corner(*options: object) -> list[int]:
        done = command("colorize", drawing, "-o", tmp_path / "out.png", "--overwrite", "--model", hint_model, *options)
        assert done.status == 0
        return np.asarray(load(tmp_path / "out.png"))[3, 3].tolist()

    rgba = np.zeros((440, 520, 4), np.uint8)
    rgba[5:400, 5:500] = (0, 0, 255, 255)
    Image.fromarray(rgba).save(tmp_path / "strokes.png")
    (tmp_path / "list.json").write_text('["10,10,FFFF00"]')
    assert corner("--hints", tmp_path / "strokes.png") == pytest.approx([0, 0, 255], abs=2)
    assert corner("--hints", tmp_path / "list.json") == pytest.approx([255, 255, 0], abs=2)
    (tmp_path / "cat.hints.json").write_text('["10,10,00FF00"]')
    assert corner() == pytest.approx([0, 255, 0], abs=2)
    assert corner("--hint", "10,10,FF0000") == pytest.approx([255, 0, 0], abs=2)
    with (tmp_path / "piped.png").open("wb") as stream:
        program = [sys.executable, "-m", "pixelpainter", "colorize", drawing, "-o", "-", "--model", hint_model]
        assert subprocess.run(program, stdout=stream, check=False, timeout=120).returncode == 0
    assert np.asarray(load(tmp_path / "piped.png"))[3, 3].tolist() == pytest.approx([0, 255, 0], abs=2)


def test_a_changed_side_car_colors_that_drawing_again(command, drawings, hint_model, tmp_path):
    pages = tmp_path / "pages"
    pages.mkdir()
    for name in ("a.png", "b.png"):
        (pages / name).write_bytes((drawings / "cat.png").read_bytes())

    def run() -> list[str]:
        done = command("colorize", pages, "-o", tmp_path / "out", "--model", hint_model)
        assert done.status == 0
        return done.err.splitlines()

    assert run()[-1] == "2 colored"
    Image.new("RGBA", (520, 440), (0, 0, 255, 254)).save(pages / "a.hints.png")
    assert run()[-1] == "1 colored, 1 unchanged"
    assert np.asarray(load(tmp_path / "out" / "a.png"))[3, 3].tolist() == pytest.approx([0, 0, 255], abs=2)
    assert tree(tmp_path / "out") == ["a.png", "b.png"]
    assert run()[-1] == "2 unchanged"
    Image.new("RGBA", (520, 440), (255, 0, 0, 254)).save(pages / "a.hints.png")
    assert run()[-1] == "1 colored, 1 unchanged"
    (pages / "a.hints.png").unlink()
    assert run()[-1] == "1 colored, 1 unchanged"


def test_palettes_reach_the_picture(command, drawings, hint_model, tmp_path):
    def corner(*options: object) -> list[int]:
        arguments = ["colorize", drawings / "cat.png", "-o", tmp_path / "out.png", "--overwrite", "--model", hint_model]
        assert command(*arguments, *options).status == 0
        return np.asarray(load(tmp_path / "out.png"))[3, 3].tolist()

    page = np.full((400, 400, 3), 255, np.uint8)
    page[50:250, 50:350], page[250:350, 50:350] = (200, 40, 60), (60, 90, 200)
    Image.fromarray(page).save(tmp_path / "finished.png")
    (tmp_path / "p.gpl").write_text("GIMP Palette\n10 200 90\n60 90 200\n")
    assert corner("--palette", "FF8000,3C5AC8") == pytest.approx([255, 128, 0], abs=2)
    assert corner("--palette", "FF8000:1,3C5AC8:2") == pytest.approx([60, 90, 200], abs=2)
    assert corner("--palette", tmp_path / "p.gpl") == pytest.approx([10, 200, 90], abs=2)
    assert corner("--palette", tmp_path / "finished.png") == pytest.approx([200, 40, 60], abs=2)
    assert corner("--reference", tmp_path / "finished.png") == pytest.approx([200, 40, 60], abs=2)
    assert np.ptp(corner("--palette", "FF8000,3C5AC8", "--saturation", 0)) <= 1
    hinted = ["--hint", "10,10,FF8000,2000", "--palette", "D00000,0000D0"]
    assert corner(*hinted) == pytest.approx([255, 128, 0], abs=2)
    assert "exact" not in json.loads(load(tmp_path / "out.png").info["Settings"])
    assert corner(*hinted, "--exact") == pytest.approx([255, 128, 0], abs=2)
    assert json.loads(load(tmp_path / "out.png").info["Settings"])["exact"] is True


def test_variations(command, drawings, hint_model, tmp_path):
    drawing = tmp_path / "cat.png"
    drawing.write_bytes((drawings / "cat.png").read_bytes())

    def corners(names: list[str], *options: object) -> list[tuple[int, ...]]:
        assert command("colorize", drawing, "--model", hint_model, "--overwrite", *options).status == 0
        return [tuple(np.asarray(load(tmp_path / name))[3, 3].tolist()) for name in names]

    names = [f"cat_color_{number}.png" for number in (1, 2, 3)]
    first = corners(names, "--variations", 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cat.png", *names]
    assert len(set(first)) == 3
    assert corners(names[:2], "--variations", 2) == first[:2]
    assert corners(names, "--variations", 3, "--seed", 5) != first


def test_variations_of_a_folder(command, drawings, plain_model, tmp_path):
    pages = tmp_path / "pages"
    (pages / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/a_1.png"):
        (pages / name).write_bytes((drawings / "cat.png").read_bytes())
    arguments = ["colorize", pages, "-o", tmp_path / "out", "--model", plain_model, "--variations", 2]
    dry = command(*arguments, "--dry-run").out.splitlines()
    assert [line.rpartition("/")[2] for line in dry] == ["a_1.png", "a_2.png", "a_1_1.png", "a_1_2.png"]
    assert command(*arguments).err.splitlines()[-1] == "4 colored"
    assert command(*arguments, "--dry-run").out.count("up to date: ") == 4
    assert tree(tmp_path / "out") == ["a_1.png", "a_2.png", "sub", "sub/a_1_1.png", "sub/a_1_2.png"]
    assert command(*arguments).err.splitlines()[-1] == "4 unchanged"
    assert command(*arguments, "--seed", 1).err.splitlines()[-1] == "4 colored"


def test_variations_replace_no_drawing(command, drawings, plain_model, tmp_path):
    for name in ("a.png", "a_color_1.png"):
        (tmp_path / name).write_bytes((drawings / "cat.png").read_bytes())
    sources = [tmp_path / "a.png", tmp_path / "a_color_1.png"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a_1.png").symlink_to(tmp_path / "a.png")
    done = command(
        "colorize", *sources, "-o", tmp_path / "out", "--model", plain_model, "--variations", 2, "--overwrite"
    )
    assert done.status == 1
    assert done.err.count("would replace a file that is read") == 1
    assert (tmp_path / "a.png").read_bytes() == (drawings / "cat.png").read_bytes()


def test_hints_that_color_nothing_are_noted(command, hint_model, tmp_path):
    pixels = np.full((200, 300), 255, np.uint8)
    pixels[20:180, 20:280] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    arguments = ["colorize", tmp_path / "a.png", "--model", hint_model, "--hint", "150,100,FF0000", "--overwrite"]
    note = "1 of 1 hints lie in lines, with no paper near them, and color nothing"
    (line,) = command(*arguments, "--no-clean").err.splitlines()
    assert f"a_color.png ({note}, " in line
    quiet = command(*arguments, "--no-clean", "--quiet", "--report", tmp_path / "run.jsonl")
    assert (quiet.status, quiet.err) == (0, "")
    assert json.loads((tmp_path / "run.jsonl").read_text())["notes"] == [note]


def test_transparency_and_resolution_are_kept(command, drawings, plain_model, tmp_path):
    cat = load(drawings / "cat.png").convert("L")
    Image.merge("LA", (cat, cat.point(lambda value: 255 - value // 2))).save(tmp_path / "in.png", dpi=(300, 300))
    assert command("colorize", tmp_path / "in.png", "--model", plain_model).status == 0
    result = load(tmp_path / "in_color.png")
    assert result.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(result)[..., 3], 255 - np.asarray(cat) // 2)
    assert result.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_no_clean_takes_black_paper_for_ink(command, plain_model, tmp_path):
    pixels = np.zeros((90, 120), np.uint8)
    pixels[40:43] = 255
    Image.fromarray(pixels).save(tmp_path / "black.png")
    for options, bright in (([], True), (["--no-clean", "--overwrite"], False)):
        assert command("colorize", tmp_path / "black.png", "--model", plain_model, *options).status == 0
        assert (np.asarray(load(tmp_path / "black_color.png"))[5].max() > 100) == bright


def test_what_exists_stays_without_overwrite(command, drawings, plain_model, tmp_path):
    (tmp_path / "out.png").write_bytes(b"mine")
    done = command("colorize", drawings / "cat.png", "-o", tmp_path / "out.png", "--model", plain_model)
    assert done.status == 1
    assert done.err == f"error: {tmp_path}/out.png: exists already; use --overwrite to replace it\n"
    assert (tmp_path / "out.png").read_bytes() == b"mine"
    done = command("colorize", drawings / "cat.png", "-o", tmp_path / "out.png", "--model", plain_model, "--overwrite")
    assert done.status == 0
    assert load(tmp_path / "out.png").size == (520, 440)


def test_the_drawing_is_never_replaced(command, drawings, plain_model, tmp_path):
    drawing = tmp_path / "cat.png"
    drawing.write_bytes((drawings / "cat.png").read_bytes())
    (tmp_path / "link.png").symlink_to(drawing)
    for output in (drawing, tmp_path, tmp_path / "link.png"):
        done = command("colorize", drawing, "-o", output, "--overwrite", "--model", plain_model)
        assert done.status == 1
        assert "would replace" in done.err
        assert drawing.read_bytes() == (drawings / "cat.png").read_bytes()


def test_other_files_of_the_user_are_never_replaced(command, drawings, hint_model, tmp_path):
    drawing, finished, hints = (tmp_path / name for name in ("cat.png", "finished.png", "cat.hints.png"))
    shutil.copy(drawings / "cat.png", drawing)
    picture = Image.new("RGBA", (520, 440))  # strokes for --hints, two colors for the others
    picture.paste((200, 60, 40, 255), (60, 60, 200, 400))
    picture.paste((40, 60, 200, 255), (260, 60, 400, 400))
    for file in (finished, hints):
        picture.save(file)
    before = [file.read_bytes() for file in (drawing, finished, hints)]
    arguments = ["colorize", drawing, "--overwrite", "--model", hint_model, "-o"]
    for option in ("--palette", "--reference", "--hints"):
        done = command(*arguments, finished, option, finished)
        assert done.status == 1 and done.err.endswith("would replace a file that is read\n")
        done = command(*arguments, tmp_path / "new.png", option, finished, "--preview", finished)
        assert done.status == 2 and "finished.png is the name of" in done.err
    assert command(*arguments, hints).status == 1
    assert command(*arguments, tmp_path / "new.png", "--preview", hints).status == 2
    assert [file.read_bytes() for file in (drawing, finished, hints)] == before


def test_one_drawing_into_a_folder(command, drawings, plain_model, tmp_path):
    (tmp_path / "there").mkdir()
    assert command("colorize", drawings / "cat.png", "-o", tmp_path / "there", "--model", plain_model).status == 0
    assert (tmp_path / "there" / "cat.png").is_file()
    assert command("colorize", drawings / "cat.png", "-o", f"{tmp_path}/new/", "--model", plain_model).status == 0
    assert (tmp_path / "new" / "cat.png").is_file()
    again = command("colorize", drawings / "cat.png", "-o", tmp_path / "new", "--model", plain_model)
    assert again.status == 0 and "cat.png (up to date" in again.err
    other = command("colorize", drawings / "cat.png", "-o", tmp_path / "new", "--model", plain_model, "--no-clean")
    assert other.status == 0


def tree(folder):
    """Return the names in a folder, without the record of what made them."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return sorted(name for name in names if not name.startswith(".pixelpainter"))


@pytest.fixture
def pages(drawings, tmp_path):
    folder = tmp_path / "pages"
    (folder / "sub").mkdir(parents=True)
    load(drawings / "cat.png").convert("RGB").save(folder / "a.jpg")
    load(drawings / "house.png").save(folder / "a.png")
    (folder / "b.png").write_bytes(b"no picture")
    load(drawings / "girl.png").save(folder / "sub" / "ü 漢.webp")
    return folder


def test_a_folder_with_one_bad_file(command, pages, plain_model, tmp_path):
    done = command("colorize", pages, "-o", tmp_path / "out", "--model", plain_model)
    assert (done.status, done.out) == (1, "")
    lines = done.err.splitlines()
    assert [line.split()[0] for line in lines] == ["[1/4]", "[2/4]", "error:", "[3/4]", "[4/4]", "3"]
    assert str(pages / "b.png") in lines[2]
    assert lines[-1] == "3 colored, 1 failed"
    assert tree(tmp_path / "out") == ["a.jpg.png", "a.png", "sub", "sub/ü 漢.png"]
    assert load(tmp_path / "out" / "a.png").size == (400, 400)
    assert load(tmp_path / "out" / "a.jpg.png").size == (520, 440)


def test_quiet_prints_errors_only(command, pages, plain_model, tmp_path):
    done = command("colorize", pages, "-o", tmp_path / "out", "--model", plain_model, "--quiet")
    assert done.status == 1
    assert [line.split()[0] for line in done.err.splitlines()] == ["error:", "3"]
    (pages / "b.png").unlink()
    done = command("colorize", pages, "-o", tmp_path / "out", "--model", plain_model, "--quiet", "--overwrite")
    assert (done.status, done.out, done.err) == (0, "", "")


def test_an_output_inside_the_input_is_left_alone(command, pages, plain_model):
    for number in range(2):
        done = command("colorize", pages, "-o", pages / "colored", "--model", plain_model, "--overwrite")
        assert done.status == 1, number  # b.png
        assert "[4/4]" in done.err
    assert not (pages / "colored" / "colored").exists()


def test_several_drawings_need_a_folder(command, drawings, plain_model, tmp_path):
    (tmp_path / "file").touch()
    for arguments in ([drawings], [drawings / "cat.png", drawings / "girl.png"], [drawings, "-o", tmp_path / "file"]):
        done = command("colorize", *arguments, "--model", plain_model)
        assert done.status == 2
        assert "-o" in done.err


def test_a_bar_on_a_terminal(command, drawings, plain_model, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    done = command("colorize", drawings, tmp_path / "none.png", "-o", tmp_path / "out", "--model", plain_model)
    assert done.status == 1
    assert "4/4" in done.err
    assert "->" not in done.err
    assert f"{tmp_path}/none.png" in done.err.replace("\n", "")


@pytest.mark.parametrize(("debug", "traceback"), [("", False), ("0", False), ("1", True)])
def test_a_bug_is_one_line_unless_debugging(command, drawings, plain_model, monkeypatch, debug, traceback):
    def broken(*arguments, **settings):
        raise RuntimeError("two\nlines" + " and more" * 1000)

    monkeypatch.setattr(batch, "color_job", broken)
    monkeypatch.setenv("PIXELPAINTER_DEBUG", debug)
    done = command("colorize", drawings / "cat.png", "--model", plain_model)
    assert done.status == 1
    last = done.err.splitlines()[-1]
    assert last.startswith("internal error: RuntimeError: two lines and more")
    assert " ...; please " in last and len(last) < 500
    assert ("Traceback" in done.err) == traceback
    assert traceback or (done.err.count("\n") == 1 and "PIXELPAINTER_DEBUG=1" in done.err)


def test_debugging_shows_the_traceback_of_every_error(command, monkeypatch, tmp_path, plain_model):
    monkeypatch.setenv("PIXELPAINTER_DEBUG", "1")
    done = command("colorize", tmp_path / "none.png", "--model", plain_model)
    assert done.status == 1
    assert "Traceback" in done.err
    assert done.err.splitlines()[-1].startswith("error: ")


def test_an_interrupt_is_130(command, drawings, plain_model, monkeypatch, tmp_path):
    def interrupted(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(batch, "color_job", interrupted)
    done = command("colorize", drawings, "-o", tmp_path, "--model", plain_model)
    assert done.status == 130
    assert done.err == "interrupted: 0 of 3 done\n"


def test_the_reader_of_the_pipe_may_go_away():
    reader, writer = os.pipe()
    os.close(reader)
    program = [sys.executable, "-m", "pixelpainter", "--help"]
    done = subprocess.run(program, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    os.close(writer)
    assert done.stderr == ""
    assert done.returncode == 1


def test_a_process_of_its_own(drawings, plain_model, tmp_path):
    done = subprocess_command("colorize", drawings / "girl.png", "-o", tmp_path / "girl.webp", "--model", plain_model)
    assert (done.returncode, done.stdout) == (0, "")
    assert load(tmp_path / "girl.webp").format == "WEBP"
    done = subprocess_command("colorize", tmp_path / "none.png", "--model", plain_model)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "Traceback" not in done.stderr


def test_a_table_on_a_terminal(command, pages, plain_model, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "300")
    arguments = ["colorize", pages, "-o", tmp_path / "out", "--model", plain_model]
    done = command(*arguments)
    assert done.status == 1
    table = done.err[done.err.index("4 files in") :]
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in table.splitlines() if line.startswith("│")]
    assert rows == [["colored", "3"], ["failed", "1"]]
    assert f"failed: {pages}/b.png: not a picture" in table
    assert "pictures/s" in done.err
    quiet = command(*arguments, "--quiet")
    assert "│" not in quiet.err
    assert [line.split()[0] for line in quiet.err.splitlines()] == ["error:", "3"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_no_text(command, drawings, plain_model, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    name = os.fsdecode(b"\xff\xfe.png")
    (folder / name).write_bytes((drawings / "cat.png").read_bytes())
    arguments = ["colorize", folder, "-o", tmp_path / "out", "--model", plain_model, "--preview", tmp_path / "s.png"]
    done = command(*arguments, "--print", "--report", tmp_path / "run.jsonl")
    assert done.status == 0
    assert (tmp_path / "out" / name).exists()
    assert command(*arguments, "--dry-run").status == 0
    assert "(up to date, " in command(*arguments).err
