"""Measure training on a GPU as users run it, and say where the time goes; everything in one call of some minutes.

    python tests/benchmarks/gpu.py [--samples 64000] [--pictures 640] [--only speed|command|profile]... > gpu.md

(In a checkout that is not installed: with PYTHONPATH=. before it.) speed: `train_speed.py` for each system, without and
with torch.compile. command: `pixelpainter train --preset pixelpainter` on pictures that the program draws, cache,
batches and two checkpoints included; from it the time of the source project's whole recipe follows. profile: the
kernels that some steps of the same run spend their time in, how busy the GPU is, and its memory. The most telling
figures come first, each as soon as it is known. A part that fails or takes too long is reported, and the others go on.
Exit status 1: a part failed, a ratio is below its bar, or the recipe would take more than 6 minutes (the bar of an
H200). With --device cpu the script itself can be tried.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
from startup import print_machine
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from train_speed import SOURCE_SAMPLES

from pixelpainter.systems import SYSTEMS
from pixelpainter.train.cache import build_cache
from pixelpainter.train.config import make_config
from pixelpainter.train.fast import number_format
from pixelpainter.train.run import LOG_EVERY, Run
from pixelpainter.train.sources import find_pairs
from pixelpainter.train.synthetic import write_synthetic

MINUTES = 6.0
PATIENCE_S = 240.0  # for one process
ROWS = 25
BEFORE, PROFILED = 3, 2  # reports, one every LOG_EVERY steps
HERE = Path(__file__).parent


def run_python(*arguments: str) -> int:
    """Run Python with the output of this process; return its exit status, 1 where it took too long."""
    program = [sys.executable, "-u", *arguments]  # unbuffered: what it found out is not lost if it is ended
    try:
        return subprocess.run(program, check=False, stdout=sys.stdout, timeout=PATIENCE_S).returncode
    except subprocess.TimeoutExpired:
        print(f"ended after {PATIENCE_S:.0f} s")
        return 1


def speed(arguments: argparse.Namespace, folder: Path) -> bool:
    """Run `train_speed.py` twice for each system; return whether the better of the two always meets its bar."""
    options = ["--device", arguments.device]
    if arguments.batch_size:
        options += ["--batch-size", str(arguments.batch_size)]
    good = True
    for system in SYSTEMS:
        program = [str(HERE / "train_speed.py"), "--system", system, *options]
        good &= 0 in [run_python(*program, *more) for more in ([], ["--compile"])]
    return good


def command(arguments: argparse.Namespace, folder: Path) -> bool:
    """Run the command; return whether the whole recipe fits into its time at the speed that it reached."""
    options = ["--preset", "pixelpainter", "--samples", str(arguments.samples), "--synthetic", str(arguments.pictures)]
    options += ["--checkpoint-every", f"{arguments.samples / arguments.pictures / 2:g}"]
    options += [*(arguments.options or []), "--device", arguments.device]
    started = time.monotonic()
    status = run_python("-m", "pixelpainter", "train", *options, "--run", str(folder / "run"), "--cache", str(folder))
    seconds = time.monotonic() - started
    with (folder / "run" / "losses.csv").open(newline="") as stream:
        speeds = [float(row["images_per_s"]) for row in csv.DictReader(stream)]
    steady = statistics.median(speeds[len(speeds) // 2 :])
    minutes = SOURCE_SAMPLES / steady / 60
    print(f"pixelpainter train {' '.join(options)}: exit status {status}")
    training = arguments.samples / steady
    print(f"{seconds:.0f} s in all; at the steady speed training alone takes {training:.0f} s; the rest is drawing,")
    print("decoding, compiling, trying kernels, validation, checkpoints and plots")
    print(f"first {speeds[0]:.0f}, steady {steady:.0f}, slowest {min(speeds):.0f}, fastest {max(speeds):.0f} images/s")
    print(f"the source's recipe, {SOURCE_SAMPLES:,} samples, takes {minutes:.1f} minutes at the steady speed")
    return status == 0 and minutes <= MINUTES


def profile_steps(arguments: argparse.Namespace, folder: Path) -> bool:
    """Print the operations that steps of a run spend their time in."""
    device = torch.device(arguments.device)
    on_gpu = device.type == "cuda"
    write_synthetic(folder / "pictures", min(arguments.pictures, 64))
    training, _ = build_cache(find_pairs([folder / "pictures"]), 256, folder / "cache")
    options = {"batch_size": arguments.batch_size} if arguments.batch_size else {}
    # As long as it is compiled, and no checkpoint is due.
    config = make_config(preset="pixelpainter", samples=10**9, checkpoint_every=1e9, **options)
    reports = iter(Run(config, folder / "profiled", training, None, device, "gpu.py"))
    before, profiled = (BEFORE, PROFILED) if on_gpu else (1, 1)
    for _ in range(before):
        next(reports)
    started = time.monotonic()
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]) as profiler:
        for _ in range(profiled):
            next(reports)
        if on_gpu:
            torch.cuda.synchronize()
    steps = profiled * LOG_EVERY
    milliseconds = 1000 * (time.monotonic() - started) / steps
    reports.close()
    rows = profiler.key_averages()
    column = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    # What a GPU does is listed twice: once for the operation that asked for it.
    place = DeviceType.CUDA if on_gpu else DeviceType.CPU
    own = [row for row in rows if row.device_type == place and not row.is_user_annotation]
    busy = sum(getattr(row, column) for row in own) / 1000 / steps
    print(f"a step: {milliseconds:.1f} ms (profiled: slower); the device was busy {busy:.1f} ms")
    print(f"with {sum(row.count for row in own) / steps:.0f} kernels and copies, those that make batches included")
    if on_gpu:
        print(f"most memory: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
    print(rows.table(sort_by=column, row_limit=ROWS, max_name_column_width=70))
    return True


PARTS: dict[str, Callable[[argparse.Namespace, Path], bool]] = {
    "speed": speed,
    "command": command,
    "profile": profile_steps,
}


def main() -> None:
    """Run the parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--samples", type=int, default=64_000, help="enough to compile for")
    parser.add_argument("--pictures", type=int, default=640)
    parser.add_argument("--batch-size", type=int, help="of speed and profile")
    parser.add_argument("--only", action="append", choices=list(PARTS))
    parser.add_argument("--options", nargs=argparse.REMAINDER, help="last: more options of `pixelpainter train`")
    arguments = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # what other processes print comes between
    print_machine()
    device = torch.device(arguments.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"torch {torch.__version__}, {name}, in {number_format(device)}")
    good = True
    for part in arguments.only or list(PARTS):
        print(f"\n## {part}\n")
        with tempfile.TemporaryDirectory() as folder:
            try:
                good &= PARTS[part](arguments, Path(folder))
            except Exception:  # whatever it is, the time on the GPU is not to be lost
                traceback.print_exc(file=sys.stdout)
                good = False
    sys.exit(not good)


if __name__ == "__main__":
    main()
