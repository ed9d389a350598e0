import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny import make_cache

from pixelpainter.cli import pictures, training_runs
from pixelpainter.cli import train as train_module
from pixelpainter.cli.training_bar import follow
from pixelpainter.errors import DataError
from pixelpainter.hub import BUNDLED_MODEL
from pixelpainter.train.checkpoint import load_checkpoint
from pixelpainter.train.config import make_config
from pixelpainter.train.folder import checkpoints
from pixelpainter.train.processes import ALONE, Processes
from pixelpainter.train.synthetic import write_synthetic

SMALL = ("--system", "pix2pix-hints", "--size", 128, "--load-size", 128, "--width", 4, "--device", "cpu")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def no_decoding(monkeypatch):
    """Give the command pictures that are decoded already."""
    caches = {"training": make_cache(8, 128), "validation": None}
    monkeypatch.setattr(train_module, "load_training_data", lambda *_: tuple(caches.values()))
    return caches


def lines(text):
    """Return what stays on the screen: a bar is overwritten with carriage returns."""
    return [line.rpartition("\r")[2] for line in text.splitlines() if line.strip()]


# wrong usage and missing things


def test_without_data_one_line_says_what_to_give(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command("train")
    assert (done.status, done.out) == (1, "")
    assert len(done.err.splitlines()) == 1
    assert "no folder ./data" in done.err
    assert "--synthetic" in done.err
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    done = command("train")
    assert done.status == 1
    assert len(done.err.splitlines()) == 1
    assert "data: no pictures" in done.err


@pytest.mark.parametrize("mix", ["nova", "nova=", "=3", "nova=much"])
def test_mix_syntax(command, tmp_path, monkeypatch, mix):
    monkeypatch.chdir(tmp_path)
    done = command("train", "--mix", mix)
    assert done.status == 2
    assert len(done.err.splitlines()) == 1
    assert "SOURCE=WEIGHT" in done.err
    assert "--mix" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--system", "pix3pix"),
        ("--preset", "pix2pix"),
        ("--width", "wide"),
        ("--adversarial", "wgan"),
        ("--synthetic", -1),
        ("--synthetic", 5, "--check-data"),
        ("--device", "tpu"),
        ("--synthetic", 5, "--samples", 0),
    ],
)
def test_wrong_usage(command, arguments):
    done = command("train", *arguments)
    assert done.status == 2
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--width", 0), "--width is 0, it must be a number above 0"),
        (("--lambda-l1", "nan"), "--lambda-l1 is nan"),
        (("--size", 256, "--load-size", 200), "--load-size 200 is smaller than --size 256"),
    ],
)
def test_values_out_of_range(command, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    done = command("train", *arguments)
    assert done.status == 1
    assert len(done.err.splitlines()) == 1
    assert words in done.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command("train", "--synthetic", 5, "--device", "cuda")
    assert done.status == 1
    assert len(done.err.splitlines()) == 1
    assert "sees no CUDA GPU" in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("torch", ("train", "--synthetic", "2")),
        ("tensorboard", ("train", "--synthetic", "2")),
        ("torch", ("export", "runs/none")),
        ("onnx", ("export", "runs/none")),
    ],
)
def test_a_missing_extra_is_one_line(tmp_path, package, arguments):
    code = f"import sys; sys.modules[{package!r}] = None; from pixelpainter.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"error: `pixelpainter {arguments[0]}` needs the package {package}: "
        "install the extra from a checkout of PixelPainter with  pip install '.[train]'"
    ]


# a run


def test_a_run_from_the_command_line(command, no_decoding, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/pixelpainter", "train", "--epochs", "2", "my pictures"])
    done = command("train", *SMALL, "--batch-size", 4, "--epochs", 2, "--checkpoint-every", 1)
    assert (done.status, done.out) == (0, ""), done.err
    said = lines(done.err)
    assert re.fullmatch(r"Training pix2pix-hints at 128x128 on the CPU, \d+ threads, in (bfloat16|float32)\.", said[0])
    assert said[-1] == "Done. Next: pixelpainter export runs/pix2pix-hints"
    assert any("step_00000002.pt" in line for line in said)
    bar = done.err.replace("\r", "\n")
    assert re.search(r"100%.*4/4 \[.*l1 \d.*chroma \d.*gradient \d.*images/s", bar), bar
    stored = load_checkpoint(checkpoints(tmp_path / "runs" / "pix2pix-hints")[-1])
    assert (stored.step, stored.config.width, stored.config.epochs) == (4, 4, 2)
    assert stored.command == "pixelpainter train --epochs 2 'my pictures'"

    again = command("train", *SMALL, "--batch-size", 4, "--epochs", 2, "--checkpoint-every", 1)
    assert again.status == 0
    assert "already trained to the end (4 steps)" in again.err
    assert "--init" in again.err

    longer = command("train", *SMALL, "--batch-size", 4, "--epochs", 3, "--checkpoint-every", 1)
    assert longer.status == 1
    assert "differs in: --epochs 3 (was 2); repeat its options" in lines(longer.err)[-1]


def test_fresh_starts_over_in_a_new_folder(command, no_decoding, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = (*SMALL, "--batch-size", 4, "--samples", 4, "--run", "mine")
    for fresh in ((), ("--fresh",), ("--fresh", "--seed", 5)):
        assert command("train", *options, *fresh).status == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "mine-2", "mine-3"]
    first, second, third = (load_checkpoint(checkpoints(tmp_path / name)[0]) for name in ("mine", "mine-2", "mine-3"))
    assert first.config == second.config
    assert third.config.seed == 5


def test_a_stopped_fresh_run_says_how_to_go_on(command, no_decoding, tmp_path, monkeypatch):
    """The same command with --fresh would start over once more."""
    monkeypatch.chdir(tmp_path)
    options = (*SMALL, "--batch-size", 4, "--epochs", 2)

    def stop_at_once(run):
        run.stop_requested = True
        list(run)

    monkeypatch.setattr(training_runs, "follow", stop_at_once)
    done = command("train", *options)
    assert done.status == 130
    assert lines(done.err)[-1] == "Stopped and saved at step 1. The same command continues."
    assert (tmp_path / "runs" / "pix2pix-hints" / "losses.png").exists()
    done = command("train", *options, "--fresh")
    assert done.status == 130
    assert lines(done.err)[-1] == (
        "Stopped and saved at step 1. To continue, give --run runs/pix2pix-hints-2 without --fresh."
    )


def test_dry_run_prints_options_that_make_the_same_run(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ("--preset", "sketch2paint", "--epochs", 3, "--attention", "--mix", "a b=2.5", "--critics", 2)
    done = command("train", *given, "--dry-run")
    assert (done.status, done.err) == (0, "")
    said = done.out.splitlines()
    for line in (
        "--lambda-l1 100.0",
        "--batch-size 1",
        "--epochs 3",
        "--load-size 286",
        "--attention",
        "--mix 'a b=2.5'",
    ):
        assert line in said
    again = command("train", *shlex.split(done.out), "--dry-run")
    assert again.out == done.out
    assert command("train", "--dry-run").out != done.out
    assert list(tmp_path.iterdir()) == []


def test_a_preset_reaches_the_checkpoint(command, no_decoding, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ("--size", 128, "--load-size", 128, "--width", 4, "--samples", 8, "--device", "cpu")
    done = command("train", "--preset", "character", *small, "--lambda-tv", 0.1)
    assert done.status == 0, done.err
    stored = load_checkpoint(tmp_path / "runs" / "pix2pix-hints" / "step_00000001.pt").config
    assert stored == make_config(preset="character", size=128, load_size=128, width=4, samples=8, lambda_tv=0.1)


def test_one_picture_is_enough(command, tmp_path):
    from PIL import Image

    Image.new("RGB", (128, 128), "teal").save(tmp_path / "one.png")
    (tmp_path / "data").mkdir()
    (tmp_path / "one.png").rename(tmp_path / "data" / "one.png")
    where = ("--cache", tmp_path / "cache", "--run", tmp_path / "run")
    done = command("train", tmp_path / "data", *SMALL, "--samples", 4, "--batch-size", 2, *where)
    assert done.status == 0, done.err
    assert load_checkpoint(tmp_path / "run" / "step_00000002.pt").samples == 4


def test_a_run_folder_that_cannot_be_written(command, no_decoding, tmp_path):
    """Said at once, and not at the first checkpoint hours later."""
    (tmp_path / "file").write_text("mine")
    done = command("train", *SMALL, "--run", tmp_path / "file" / "run")
    assert done.status == 1
    assert lines(done.err) == [
        f"error: {tmp_path}/file/run: cannot be written (Not a directory); free space or choose another --run"
    ]


def test_fresh_beside_the_folder_that_one_stands_in(command, no_decoding, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    for folder in ("run", "run-2"):
        done = command("train", *SMALL, "--samples", 4, "--batch-size", 4, "--run", ".", "--fresh")
        assert done.status == 0, done.err
        assert (tmp_path / folder / "step_00000001.pt").exists()


def test_out_of_memory_names_a_smaller_batch(command, no_decoding, tmp_path, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nmore")

    monkeypatch.setattr("pixelpainter.train.loop._step", full)
    done = command("train", *SMALL, "--batch-size", 6, "--run", tmp_path / "run")
    assert done.status == 1
    last = lines(done.err)[-1]
    assert last.startswith("error: not enough memory for --batch-size 6 at --size 128 and --width 4; ")
    assert "try --batch-size 3," in last
    assert list((tmp_path / "run").iterdir()) == []


def test_init_from_the_command_line(command, no_decoding, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = (*SMALL, "--batch-size", 4, "--samples", 4)
    assert command("train", *options, "--run", "one").status == 0
    done = command("train", *options, "--run", "two", "--init", "one")
    assert done.status == 0
    assert "starts from one, step 1" in done.err
    done = command("train", *options, "--run", "three", "--init", "nowhere")
    assert done.status == 1
    assert lines(done.err)[-1].startswith(
        "error: --init: there is no such run or checkpoint, and no such model: nowhere: there is no such model file, "
    )


def test_init_from_models_by_name(command, no_decoding, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ("--system", "pix2pix-hints", "--size", 128, "--load-size", 128, "--batch-size", 2, "--samples", 2)
    for name in ("bundled", BUNDLED_MODEL):
        done = command("train", *options, "--run", f"from {Path(name).stem}", "--init", name)
        assert done.status == 0
        assert f"starts from {BUNDLED_MODEL}" in done.err
    done = command("train", *options, "--run", "other", "--width", 8, "--init", "bundled")
    assert done.status == 1
    assert "is another one than this run's (encoder.0.weight is (32, 5, 4, 4)" in done.err
    done = command("train", *options, "--run", "other", "--init", "model.onnx")
    assert done.status == 1
    assert "no such model: model.onnx: there is no such model file" in done.err


@pytest.mark.parametrize("how", ["--dry-run", "--device=cpu"])
def test_a_size_the_network_cannot_read_is_refused_before_pictures_are_decoded(command, tmp_path, monkeypatch, how):
    monkeypatch.chdir(tmp_path)
    done = command("train", "--size", 128, "--load-size", 128, how)
    assert done.status == 1
    assert lines(done.err) == ["error: --size 128: pix2pix works at multiples of 256"]


class Signalled:
    """Stands for a run that is asked to stop twice."""

    total_steps, stop_requested, state = 5, False, SimpleNamespace(step=0)

    def __init__(self, processes):
        self.processes = processes

    def __iter__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        assert self.stop_requested
        os.kill(os.getpid(), signal.SIGINT)
        return iter(())


def test_two_signals_stop_without_saving():
    """The first asks the run to save and stop; the second does not wait for that."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        follow(Signalled(ALONE))
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_that_torchrun_repeats_is_one():
    follow(Signalled(Processes(0, 2)))


def test_the_bar_moves_with_each_step_and_not_with_the_losses_alone(capsys):
    class Slow:
        total_steps, processes, state = 62, ALONE, SimpleNamespace(step=10)

        def __iter__(self):
            for step in range(11, 15):
                self.on_step(step)
            raise RuntimeError("before the first report")
            yield

    with pytest.raises(RuntimeError):
        follow(Slow())
    assert "14/62" in lines(capsys.readouterr().err)[-1]


# data


def test_what_is_said_of_the_data_reaches_the_loader(command, tmp_path, monkeypatch):
    asked = []

    def load(*arguments):
        asked.append(arguments)
        raise DataError("enough")

    monkeypatch.setattr(train_module, "load_training_data", load)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    run = ("--size", 256, "--load-size", 300, "--device", "cpu", "--run", tmp_path / "run")
    said = ("one", "two", "--layout", "color-left", "--validation", "held", "--strict", "--cache", "here")
    assert command("train", *said, *run).status == command("train", "--synthetic", 5, *run).status == 1
    assert asked == [
        ([Path("one"), Path("two")], 0, "color-left", Path("held"), True, 300, Path("here")),
        (None, 5, None, None, False, 300, tmp_path / "caches" / "pixelpainter"),
    ]


def test_synthetic_pictures_leave_nothing_behind_but_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures.tempfile, "tempdir", str(tmp_path))
    training, held_out = pictures.load_training_data(None, 4, None, None, False, 64, tmp_path / "cache")
    assert (len(training.names), len(held_out.names)) == (3, 1)
    assert training.color.shape == (3, 3, 64, 64)
    again, _ = pictures.load_training_data(None, 4, None, None, False, 64, tmp_path / "cache")
    assert again.manifest == training.manifest
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_bad_files_are_named_and_strict_stops(tmp_path, capsys):
    write_synthetic(tmp_path / "data", 4, side=64)
    bad = next((tmp_path / "data").rglob("color/*.png"))
    bad.write_bytes(b"no picture")
    pictures.load_training_data([tmp_path / "data"], 0, None, None, False, 64, tmp_path / "cache")
    said = capsys.readouterr().err
    assert re.search(rf"left out: .*{bad.name}", said)
    assert re.search(r"\d (training|validation) pictures, 1 left out\.", said)
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(DataError, match=bad.name):
        pictures.load_training_data([tmp_path / "data"], 0, None, None, True, 64, tmp_path / "cache")


def test_a_folder_for_validation(tmp_path):
    write_synthetic(tmp_path / "data", 3, side=64)
    write_synthetic(tmp_path / "held", 2, first_seed=50, side=64)
    training, held_out = pictures.load_training_data(
        [tmp_path / "data"], 0, None, tmp_path / "held", False, 64, tmp_path / "c"
    )
    assert (len(training.names), len(held_out.names)) == (3, 2)


# a stop from outside, with real processes


def long_run(run):
    """Return the arguments of a run that is long enough to be stopped in the middle."""
    data = ("--synthetic", 10, "--cache", "cache")
    return (*SMALL, *data, "--batch-size", 2, "--samples", 120, "--checkpoint-every", 1000, "--run", run)


def start(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "pixelpainter", "train", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The last checkpoint of a long run that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    status, _, err = finish(start(folder, *long_run("whole")))
    assert status == 0, err
    return load_checkpoint(folder / "whole" / "step_00000060.pt")


def assert_equal_ends(whole, parts):
    for network in ("generator", "ema", "generator_optimizer"):
        one, other = (torch.utils._pytree.tree_leaves(stored.states[network]) for stored in (whole, parts))
        assert len(one) == len(other) > 20
        same = [torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in zip(one, other, strict=True)]
        assert all(same), network
    assert whole.metrics == parts.metrics
    assert parts.samples == whole.samples == 120


def test_sigterm_saves_and_the_same_command_continues_to_the_same_weights(whole, tmp_path):
    process = start(tmp_path, *long_run("parts"))
    deadline = time.monotonic() + 200
    while not list((tmp_path / "parts").glob("tensorboard/events*")):  # it trains from then on
        assert process.poll() is None and time.monotonic() < deadline, finish(process)
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    status, out, err = finish(process)
    assert (status, out) == (130, ""), err
    assert "Traceback" not in err
    said = re.search(r"Stopped and saved at step (\d+)\. The same command continues\.", err)
    assert said, err
    stopped = checkpoints(tmp_path / "parts")
    assert [path.name for path in stopped] == [f"step_{int(said[1]):08d}.pt"]
    assert 0 < int(said[1]) < 60

    status, _, err = finish(start(tmp_path, *long_run("parts")))
    assert status == 0, err
    assert f"continues parts at step {said[1]} of 60" in err
    assert_equal_ends(whole, load_checkpoint(tmp_path / "parts" / "step_00000060.pt"))


def test_after_kill_9_in_a_moved_folder_the_run_ends_with_the_same_weights(whole, tmp_path):
    options = long_run("parts")
    every = options.index("--checkpoint-every") + 1
    options = (*options[:every], 1, *options[every + 1 :])
    process = start(tmp_path, *options)
    deadline = time.monotonic() + 200
    while len(checkpoints(tmp_path / "parts")) < 2:
        assert process.poll() is None and time.monotonic() < deadline, finish(process)
        time.sleep(0.005)
    process.kill()
    assert finish(process)[0] == -signal.SIGKILL
    stopped = load_checkpoint(checkpoints(tmp_path / "parts")[-1]).step
    assert 0 < stopped < 60
    with (tmp_path / "parts" / "losses.csv").open("a") as table:  # what it may have written after its last checkpoint
        table.write(f"{stopped + 2},9,9,9,9\n")

    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "parts").rename(tmp_path / "elsewhere" / "moved")
    status, _, err = finish(start(tmp_path, *options[:-1], "elsewhere/moved"))
    assert status == 0, err
    assert f"continues elsewhere/moved at step {stopped} of 60" in err
    assert_equal_ends(whole, load_checkpoint(tmp_path / "elsewhere" / "moved" / "step_00000060.pt"))
    steps = [int(line.split(",")[0]) for line in (tmp_path / "elsewhere/moved/losses.csv").read_text().split()[1:]]
    assert steps == sorted(set(steps))
    assert stopped + 2 not in steps
    assert not (tmp_path / "parts").exists()
