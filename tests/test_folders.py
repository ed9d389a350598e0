"""Whole runs over folders through the real command: what is done again, what is left alone, and what a kill leaves."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from conftest import load
from PIL import Image

from pixelpainter.painter import Painter


def draw(path, number: int = 0, size: tuple[int, int] = (60, 90)):
    """Save a small line drawing."""
    pixels = np.full(size[::-1], 255, np.uint8)
    pixels[5 + number % 40 :: 11, 3:50] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def paint(path):
    """Save a picture that already is colored."""
    y, x = np.mgrid[:90, :60]
    Image.fromarray(np.stack([x * 4, 255 - y * 2, (x + y) % 256], axis=-1).astype(np.uint8)).save(path)
    return path


def tree(folder) -> dict[str, bytes]:
    """Return the pictures in a folder: everything but the record of what made them."""
    files = (path for path in folder.rglob("*") if path.is_file())
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    return {name: data for name, data in found.items() if not name.startswith(".pixelpainter/")}


@pytest.fixture
def pages(tmp_path):
    folder = tmp_path / "pages"
    for number in range(4):
        draw(folder / f"{number}.png", number)
    draw(folder / "sub" / "0.png", 7)
    return folder


@pytest.fixture
def color(command, pages, plain_model, tmp_path):
    """Color the pages; returns the last line on stderr."""

    def run(*options: object, status: int = 0) -> str:
        done = command("colorize", pages, "-o", tmp_path / "out", "--model", plain_model, *options)
        assert done.status == status, done.err
        return done.err.splitlines()[-1] if done.err else ""

    return run


def test_a_second_run_does_nothing(color, tmp_path, monkeypatch):
    assert color() == "5 colored"
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    monkeypatch.setattr(Painter, "paint", lambda *arguments: pytest.fail("there is nothing to color"))
    assert color() == "5 unchanged"
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_only_what_changed_is_done_again(color, pages, tmp_path):
    color()
    first = tree(tmp_path / "out")
    draw(pages / "1.png", 30)
    (tmp_path / "out" / "2.png").unlink()
    os.utime(pages / "3.png", (1, 1))  # a new time is no change
    draw(pages / "new.png")
    assert color() == "3 unchanged, 3 colored"
    second = tree(tmp_path / "out")
    assert {name for name in second if second[name] != first.get(name)} == {"1.png", "new.png"}
    assert color() == "6 unchanged"


@pytest.mark.parametrize("options", [["--lines", "none"], ["--no-clean"], ["--colored", "force"], ["--quality", "50"]])
def test_other_settings_do_everything_again(color, options):
    color()
    assert color(*options) == "5 colored"
    assert color(*options) == "5 unchanged"
    # --colored and --quality made no difference to these PNG files, so they are what the first run made too.
    assert color() == ("5 colored" if len(options) == 1 or "none" in options else "5 unchanged")


def test_another_model_does_everything_again(command, pages, plain_model, hint_model, tmp_path):
    def last(model):
        return command("colorize", pages, "-o", tmp_path / "out", "--model", model).err.splitlines()[-1]

    same = shutil.copy(plain_model, tmp_path / plain_model.name)
    assert [last(plain_model), last(same), last(hint_model)] == ["5 colored", "5 unchanged", "5 colored"]


def test_running_with_other_numbers_of_threads_changes_nothing(color, tmp_path):
    color("--jobs", "1", "--threads", "1")
    assert color("--jobs", "3") == "5 unchanged"
    one = tree(tmp_path / "out")
    assert color("--jobs", "3", "--threads", "6", "--overwrite") == "5 colored"
    assert tree(tmp_path / "out") == one


def test_a_result_changed_by_hand_is_never_replaced(color, tmp_path):
    color()
    mine = tmp_path / "out" / "1.png"
    draw(mine, 20)
    kept = mine.read_bytes()
    assert color(status=1) == "4 unchanged, 1 failed"
    assert color("--lines", "none", status=1) == "4 colored, 1 failed"
    assert mine.read_bytes() == kept
    assert color("--overwrite") == "5 colored"
    assert mine.read_bytes() != kept


def test_results_of_another_folder_are_never_replaced(command, color, pages, plain_model, tmp_path):
    color()
    other = draw(tmp_path / "chapter2" / "1.png", 30).parent
    shutil.copy(pages / "2.png", other)  # two pages alike have one result
    kept = (tmp_path / "out" / "1.png").read_bytes()
    done = command("colorize", other, "-o", tmp_path / "out", "--model", plain_model)
    assert done.status == 1 and done.err.endswith("1 failed, 1 unchanged\n")
    assert "1.png: exists already; use --overwrite" in done.err
    assert (tmp_path / "out" / "1.png").read_bytes() == kept


def test_results_of_earlier_runs_in_sub_folders_are_no_drawings(command, color, pages, plain_model, tmp_path):
    color()
    (tmp_path / "out").rename(pages / "first")
    draw(pages / "first" / "mine.png")
    draw(pages / "first" / "1.png", 20)  # mine now
    done = command("colorize", pages, "-o", tmp_path / "out", "--model", plain_model)
    assert f"{pages}/first: 4 results of an earlier run are left out\n" in done.err
    assert done.err.endswith("7 colored\n")
    assert sorted(tree(tmp_path / "out")) == [
        *(f"{n}.png" for n in range(4)),
        "first/1.png",
        "first/mine.png",
        "sub/0.png",
    ]
    assert "left out" in command("colorize", pages, "-o", tmp_path / "out", "--model", plain_model, "--dry-run").err


def test_drawings_and_results_may_be_moved_together(command, color, pages, plain_model, tmp_path):
    color()
    draw(pages / "1.png", 30)
    (tmp_path / "archive").mkdir()
    for folder in ("pages", "out"):
        (tmp_path / folder).rename(tmp_path / "archive" / folder)
    done = command("colorize", tmp_path / "archive/pages", "-o", tmp_path / "archive/out", "--model", plain_model)
    assert done.err.endswith("4 unchanged, 1 colored\n")


def test_files_of_others_are_never_replaced(command, color, pages, tmp_path):
    mine = draw(tmp_path / "out" / "1.png", 20)
    kept = mine.read_bytes()
    assert "1 failed" in color(status=1)
    assert mine.read_bytes() == kept


def test_a_copied_tree_is_still_up_to_date(color, tmp_path):
    color()
    (tmp_path / "out").rename(tmp_path / "old")
    shutil.copytree(tmp_path / "old", tmp_path / "out", copy_function=shutil.copyfile)  # new times
    assert color() == "5 unchanged"


def test_colored_pages_are_copied_skipped_or_colored(color, pages, tmp_path):
    painting = paint(pages / "painting.png").read_bytes()
    assert color() == "5 colored, 1 copied"
    assert (tmp_path / "out" / "painting.png").read_bytes() == painting
    assert color() == "6 unchanged"
    assert color("--colored", "force") == "6 colored"
    assert (tmp_path / "out" / "painting.png").read_bytes() != painting
    shutil.rmtree(tmp_path / "out")
    assert color("--colored", "skip") == "5 colored, 1 skipped"
    assert not (tmp_path / "out" / "painting.png").exists()


def test_shards_at_once_into_one_folder(command, pages, plain_model, tmp_path):
    for number in range(10, 20):
        draw(pages / f"{number}.png", number)
    (pages / "empty").mkdir()
    program = [sys.executable, "-m", "pixelpainter", "colorize", str(pages), "--model", str(plain_model), "-o"]
    shards = [
        subprocess.Popen([*program, str(tmp_path / "out"), "--shard", f"{index}/3", "--quiet"]) for index in (1, 2, 3)
    ]
    assert [shard.wait() for shard in shards] == [0, 0, 0]
    done = command("colorize", pages, "-o", tmp_path / "out", "--model", plain_model)
    assert done.err.splitlines()[-1] == "15 unchanged"
    command("colorize", pages, "-o", tmp_path / "one", "--model", plain_model)
    assert tree(tmp_path / "out") == tree(tmp_path / "one")
    nothing = command(
        "colorize", pages / "1.png", pages / "2.png", "-o", tmp_path / "x", "--shard", "99/1000", "--model", plain_model
    )
    assert (nothing.status, nothing.err) == (0, "nothing to color\n")


def test_the_same_twice_at_once(command, many, plain_model, tmp_path):
    program = [sys.executable, "-m", "pixelpainter", "colorize", str(many), "--model", str(plain_model), "-q", "-o"]
    (many / "bad.png").unlink()
    both = [subprocess.Popen([*program, str(tmp_path / "out")], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert [(one.communicate()[1], one.returncode) for one in both] == [("", 0), ("", 0)]
    command("colorize", many, "-o", tmp_path / "one", "--model", plain_model)
    assert tree(tmp_path / "out") == tree(tmp_path / "one")


def test_report(command, pages, plain_model, tmp_path):
    (pages / "bad.png").write_bytes(b"bad")
    paint(pages / "painting.png")
    with zipfile.ZipFile(pages / "book.cbz", "w") as archive:
        archive.write(pages / "1.png", "1.png")
    report = tmp_path / "logs" / "run.jsonl"
    arguments = ["colorize", pages, "-o", tmp_path / "out", "--model", plain_model, "--report", report]
    assert command(*arguments).status == 1
    lines = {line["path"].rpartition("pages/")[2]: line for line in map(json.loads, report.read_text().splitlines())}
    assert list(lines) == ["0.png", "1.png", "2.png", "3.png", "bad.png", "book.cbz", "painting.png", "sub/0.png"]
    statuses = [line["status"] for line in lines.values()]
    assert statuses == ["colored"] * 4 + ["failed", "colored", "copied", "colored"]
    assert lines["0.png"]["output"] == str(tmp_path / "out" / "0.png")
    assert (lines["0.png"]["width"], lines["0.png"]["height"]) == (60, 90)
    assert lines["0.png"]["seconds"] > 0
    assert (lines["0.png"]["error"], lines["0.png"]["message"]) == (None, None)
    assert (lines["bad.png"]["error"], lines["bad.png"]["output"]) == ("InputError", None)
    assert "not a picture" in lines["bad.png"]["message"]
    assert lines["book.cbz"]["pages"] == 1
    assert command(*arguments).status == 1
    runs = [json.loads(line) for line in report.read_text().splitlines()]
    assert len(runs) == 16  # appended: nothing of the first run is lost
    assert [line["status"] for line in runs[8:]] == ["unchanged"] * 4 + ["failed"] + ["unchanged"] * 3


def test_a_report_in_the_place_of_a_drawing(command, pages, plain_model, tmp_path):
    drawing = next(pages.glob("*.png"))
    before = drawing.read_bytes()
    done = command("colorize", pages, "-o", tmp_path / "out", "--model", plain_model, "--report", drawing)
    assert (done.status, drawing.read_bytes()) == (1, before)
    assert "is no report" in done.err


def test_a_report_that_cannot_be_written(command, pages, plain_model, tmp_path):
    done = command("colorize", pages, "-o", tmp_path / "out", "--model", plain_model, "--report", pages)
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "the report cannot be written" in done.err
    assert not (tmp_path / "out").exists()


def test_json_and_paths_go_to_stdout(command, pages, plain_model, tmp_path):
    (pages / "bad.png").write_bytes(b"bad")
    arguments = ["colorize", pages, "-o", tmp_path / "out", "--model", plain_model]
    summary = json.loads(command(*arguments, "--json").out)
    assert summary.pop("seconds") > 0
    (failure,) = summary.pop("failures")
    assert (failure["path"], failure["error"]) == (str(pages / "bad.png"), "InputError")
    assert summary == {"colored": 5, "copied": 0, "skipped": 0, "unchanged": 0, "failed": 1}
    printed = command(*arguments, "--print", "--quiet").out.splitlines()
    assert sorted(printed) == sorted(str(tmp_path / "out" / name) for name in tree(tmp_path / "out"))
    one = command("colorize", pages / "bad.png", "--model", plain_model, "--json")
    assert (one.status, json.loads(one.out)["failed"], one.err.count("\n")) == (1, 1, 1)
    assert command(*arguments, "--json", "--print").status == 2


def test_a_dry_run_says_what_would_be_done_and_touches_nothing(command, pages, plain_model, tmp_path):
    arguments = ["colorize", pages, "-o", tmp_path / "out", "--model", plain_model]
    done = command(*arguments, "--dry-run")
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[0] == f"color: {pages}/0.png -> {tmp_path}/out/0.png"
    assert len(done.out.splitlines()) == 5
    assert not (tmp_path / "out").exists()
    command(*arguments)
    draw(pages / "1.png", 33)
    draw(tmp_path / "out" / "2.png", 33)
    draw(pages / "new.png")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    done = command(*arguments, "--dry-run", "--report", tmp_path / "run.jsonl", "--preview", tmp_path / "sheet.png")
    assert done.status == 1
    actions = [line.partition(":")[0] for line in done.out.splitlines()]
    assert actions == ["up to date", "color again", "refused", "up to date", "color", "up to date"]
    plan = json.loads(command(*arguments, "--dry-run", "--json", "--overwrite").out)["plan"]
    assert [entry["action"] for entry in plan] == ["color again"] * 4 + ["color", "color again"]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_dry_run_tells_the_fate_of_the_real_one(command, pages, plain_model, tmp_path):
    draw(tmp_path / "there.png")
    for path, output, expected in (
        (pages / "0.png", tmp_path / "new.png", "color"),
        (pages / "0.png", tmp_path / "there.png", "refused"),
        (pages / "0.png", tmp_path / "new.doc", "refused"),
        (pages / "none.png", tmp_path / "new.png", "refused"),
        (pages / "none.cbz", tmp_path / "new.cbz", "refused"),
        (pages / "0.png", pages / "0.png", "refused"),
        (pages / "0.png", tmp_path / "there.png", "color again"),
    ):
        overwrite = ["--overwrite"] if expected == "color again" or output == path else []
        arguments = ["colorize", path, "-o", output, "--model", plain_model, *overwrite]
        dry, real = command(*arguments, "--dry-run"), command(*arguments)
        assert dry.out.partition(":")[0] == expected
        assert dry.status == real.status


def test_a_dry_run_knows_the_hints_beside_drawings(command, pages, plain_model, tmp_path):
    def actions() -> list[str]:
        done = command(*arguments, "--dry-run")
        assert (done.err, done.status) == ("", int("refused" in done.out))
        return [line.partition(":")[0] for line in done.out.splitlines()]

    arguments = ["colorize", pages, "-o", tmp_path / "out", "--model", plain_model]
    (pages / "1.hints.json").write_text('["10,10,FF0000"]')
    assert command(*arguments).err.splitlines()[-1] == "5 colored"
    assert actions() == ["up to date"] * 5
    (pages / "1.hints.json").write_text('["10,10,0000FF"]')
    assert actions() == ["up to date", "color again", *["up to date"] * 3]
    (pages / "1.hints.json").write_text("none")
    assert actions() == ["up to date", "refused", *["up to date"] * 3]
    assert "1.hints.json: no list of hints" in command(*arguments, "--dry-run").out
    assert command(*arguments).status == 1


def test_a_folder_of_hints_alone(command, plain_model, tmp_path):
    Image.new("RGBA", (9, 9), (255, 0, 0, 255)).save(tmp_path / "a.hints.png")
    done = command("colorize", tmp_path, "-o", tmp_path / "out", "--model", plain_model)
    assert done.status == 1
    assert "there are only hints in this folder" in done.err.splitlines()[0]
    named = command("colorize", *[tmp_path / "a.hints.png"] * 2, "-o", tmp_path / "out", "--model", plain_model)
    assert (named.status, named.err.count("\n")) == (2, 1)
    assert "a.hints.png holds the hints of a drawing; name the drawing" in named.err


def test_patterns_and_formats(command, pages, plain_model, tmp_path):
    arguments = ["colorize", pages, "--model", plain_model, "--pattern", "[12].png", "--pattern", "sub/*", "-o"]
    assert command(*arguments, tmp_path / "out", "--format", "jpg", "--quality", 40).status == 0
    assert sorted(tree(tmp_path / "out")) == ["1.jpg", "2.jpg", "sub/0.jpg"]
    assert load(tmp_path / "out" / "1.jpg").format == "JPEG"


def test_preview(command, pages, plain_model, tmp_path):
    (pages / "bad.png").write_bytes(b"bad")
    arguments = ["colorize", pages, "-o", tmp_path / "out", "--model", plain_model, "--preview"]
    done = command(*arguments, pages / "sheet.png")
    assert done.err.splitlines()[-1] == f"5 of 5 results on {pages}/sheet.png"
    size = load(pages / "sheet.png").size
    assert size[0] > 1000
    done = command(*arguments, pages / "sheet.png")  # it is no drawing, and an older sheet may be replaced
    assert done.err.splitlines()[-1] == f"5 of 5 results on {pages}/sheet.png"
    assert load(pages / "sheet.png").size == size
    assert not (tmp_path / "out" / "sheet.png").exists()
    assert command(*arguments, tmp_path / "out" / "1.png").status == 2
    done = command(*arguments, draw(tmp_path / "mine.png"))
    assert (done.status, done.err.count("\n")) == (1, 1)
    (pages / "bad.png").unlink()
    done = command(*arguments, pages / "1.png" / "sheet.png", "--json")  # found out only after the work
    assert done.status == 1
    assert done.err.splitlines()[-1].startswith(f"error: {pages}/1.png: the folder cannot be made")
    assert json.loads(done.out)["unchanged"] == 5


@pytest.mark.parametrize("by", ["name", "link"])
def test_a_preview_replaces_no_drawing(command, pages, plain_model, tmp_path, by):
    kept = (pages / "1.png").read_bytes()
    (tmp_path / "link.png").symlink_to(pages / "1.png")
    preview = pages / "1.png" if by == "name" else tmp_path / "link.png"
    arguments = ["colorize", pages, "-o", tmp_path / "out", "--model", plain_model, "--overwrite"]
    done = command(*arguments, "--preview", preview)
    assert done.status == 2 and done.err.count("\n") == 1
    assert (pages / "1.png").read_bytes() == kept
    assert not (tmp_path / "out").exists()


def test_leftovers_of_killed_runs_are_removed(color, tmp_path):
    color()
    for place in ("", "sub"):
        (tmp_path / "out" / place / ".pixelpainter-0123456789abcdef.tmp").write_bytes(b"half")
    color()
    assert not list((tmp_path / "out").rglob("*.tmp"))


# Runs the command, and is asked to end while the result is written.
ENDING = """
import os, signal, sys
real = os.fsync
def ending(descriptor):
    real(descriptor)
    os.kill(os.getpid(), signal.SIGTERM)
os.fsync = ending
from pixelpainter.cli import main
main()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no POSIX signals")
def test_nothing_is_left_by_a_run_that_is_told_to_end(pages, plain_model):
    arguments = ["colorize", str(pages / "1.png"), "--model", str(plain_model)]
    program = [sys.executable, "-c", ENDING, *arguments]
    before = sorted(pages.iterdir())
    (pages / ".pixelpainter-0123456789abcdef.tmp").write_bytes(b"half")  # of one that had no time for it
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (130, False)
    assert sorted(pages.iterdir()) == before


# Runs the command, and dies without a warning at the n-th call of a function of the system.
DYING = """
import os, signal, sys
name, count = sys.argv[1], int(sys.argv[2])
real, calls = getattr(os, name), 0
def dying(*arguments, **settings):
    global calls
    calls += 1
    if calls == count:
        if name == "write":
            real(arguments[0], arguments[1][: len(arguments[1]) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **settings)
setattr(os, name, dying)
from pixelpainter.cli import main
main(sys.argv[3:])
"""


@pytest.fixture
def many(tmp_path):
    """A folder with pictures, a colored one, a bad one, and an archive."""
    folder = tmp_path / "many"
    for number in range(12):
        draw(folder / f"ch{number % 3}" / f"{number}.png", number, (160, 200))
    paint(folder / "painting.png")
    (folder / "bad.png").write_bytes(b"bad")
    with zipfile.ZipFile(folder / "book.cbz", "w") as archive:
        for path in sorted(folder.rglob("ch*/*.png")):
            archive.write(path, path.name)
    return folder


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
@pytest.mark.parametrize("again", [False, True], ids=["new", "outdated"])
def test_killed_at_any_step_and_run_again(command, many, plain_model, tmp_path, again):
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert command("colorize", many, "-o", whole, "--model", plain_model).status == 1
    arguments = ["colorize", many, "-o", out, "--model", plain_model]
    if again:
        assert command(*arguments, "--lines", "none").status == 1
    # In the middle of a record, after a record, before and after a result gets its name.
    steps = [("write", 2), ("fsync", 3), ("replace" if again else "link", 2), ("unlink", 3)]
    for name, count in steps:
        before = tree(out) if out.exists() else {}
        program = [sys.executable, "-c", DYING, name, str(count), *map(str, arguments), "--quiet", "--jobs", "2"]
        assert subprocess.run(program, check=False, capture_output=True).returncode == -signal.SIGKILL, (name, count)
        kept = {place: data for place, data in tree(out).items() if not place.endswith(".tmp")}
        assert all(data in (tree(whole)[place], before.get(place)) for place, data in kept.items())
    done = command(*arguments)
    assert done.status == 1
    assert "1 failed" in done.err.splitlines()[-1]
    assert tree(out) == tree(whole)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
def test_killed_at_random_and_run_again(command, many, plain_model, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert command("colorize", many, "-o", whole, "--model", plain_model).status == 1
    program = [sys.executable, "-m", "pixelpainter", "colorize", str(many), "-o", str(out), "--model", str(plain_model)]
    chance = random.Random(4)
    kills = 0
    for _ in range(3):
        known = len(list(out.rglob("*")))
        with subprocess.Popen(program, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and len(list(out.rglob("*"))) <= known + chance.randrange(3):
                time.sleep(0.001)
            time.sleep(chance.random() * 0.02)
            process.kill()
        kills += process.returncode == -signal.SIGKILL
    assert kills >= 1
    assert command("colorize", many, "-o", out, "--model", plain_model).status == 1
    assert tree(out) == tree(whole)


@pytest.mark.skipif(not hasattr(signal, "SIGINT"), reason="no SIGINT")
def test_interrupted_and_run_again(command, many, plain_model, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert command("colorize", many, "-o", whole, "--model", plain_model).status == 1
    program = [sys.executable, "-m", "pixelpainter", "colorize", str(many), "-o", str(out), "--model", str(plain_model)]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130, rest
    assert "interrupted: " in rest.splitlines()[-1]
    assert "Traceback" not in rest
    assert not list(out.rglob("*.tmp"))
    assert command("colorize", many, "-o", out, "--model", plain_model).status == 1
    assert tree(out) == tree(whole)


MEMORY = """
import sys
from pathlib import Path
from pixelpainter.batch import color_job, run_jobs
from pixelpainter.colorize import Colorizer
from pixelpainter.painter import Painter
from pixelpainter.plan import Job
from pixelpainter.results import Results

def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

source, out, model = map(Path, sys.argv[1:])
painter = Painter(colorizer=Colorizer(model, threads=1))
jobs = (Job(source, out / f"{number}.jpg") for number in range(60))
for number, result in enumerate(run_jobs(jobs, lambda job: color_job(job, painter, Results()), 2)):
    assert result.error is None, result.error
    if number == 20:
        before = resident()
print(before, resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow(plain_model, tmp_path):
    """40 pictures of 1.2 MB each, of which nothing may stay."""
    source = draw(tmp_path / "a.png", size=(640, 640))
    program = [sys.executable, "-c", MEMORY, str(source), str(tmp_path / "out"), str(plain_model)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    assert after < before + 20_000_000
