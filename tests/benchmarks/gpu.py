"""Measure training on a GPU as users run it, and say where the time goes; everything in one call of some minutes.

    python tests/benchmarks/gpu.py [--samples 60000] [--pictures 2000] [--only speed|command|profile]... > gpu.md

speed: `train_speed.py`, without and with torch.compile. command: `pixelpainter train --preset pixelpainter` on pictures
that the program draws, cache, batches and checkpoints included; from it the time of the source project's whole recipe
follows. profile: the kernels that some steps of the same run spend their time in, how busy the GPU is, and its memory.
A part that fails is reported, and the others go on. Exit status 1: a part failed, a ratio is below its bar, or the
recipe would take more than 6 minutes (the bar of an H200). With --device cpu the script itself can be tried.
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
from torch.profiler import ProfilerActivity, profile
from train_speed import SOURCE_SAMPLES

from pixelpainter.train.cache import build_cache
from pixelpainter.train.config import make_config
from pixelpainter.train.fast import number_format, pays_compiling
from pixelpainter.train.run import Run
from pixelpainter.train.sources import find_pairs
from pixelpainter.train.synthetic import write_synthetic

MINUTES = 6.0
ROWS = 25
PROFILED, BEFORE = 40, 60  # steps
HERE = Path(__file__).parent


def speed(arguments: argparse.Namespace, folder: Path) -> bool:
    """Run `train_speed.py` twice; return whether the better of the two meets its bar."""
    command = [sys.executable, str(HERE / "train_speed.py"), "--device", arguments.device]
    if arguments.batch_size:
        command += ["--batch-size", str(arguments.batch_size)]
    ended = [
        subprocess.run([*command, *more], check=False, stdout=sys.stdout).returncode for more in ([], ["--compile"])
    ]
    return 0 in ended


def command(arguments: argparse.Namespace, folder: Path) -> bool:
    """Run the command; return whether the whole recipe fits into its time at the speed that it reached."""
    options = ["--preset", "pixelpainter", *(arguments.options or []), "--device", arguments.device]
    options += ["--samples", str(arguments.samples), "--synthetic", str(arguments.pictures)]
    started = time.monotonic()
    program = [sys.executable, "-m", "pixelpainter", "train", *options]
    subprocess.run([*program, "--run", str(folder / "run"), "--cache", str(folder / "cache")], check=True)
    seconds = time.monotonic() - started
    with (folder / "run" / "losses.csv").open(newline="") as stream:
        speeds = [float(row["images_per_s"]) for row in csv.DictReader(stream)]
    steady = statistics.median(speeds[len(speeds) // 2 :])
    minutes = SOURCE_SAMPLES / steady / 60
    print(f"pixelpainter train {' '.join(options)}: {seconds:.0f} s in all")
    print(f"first {speeds[0]:.0f}, steady {steady:.0f}, slowest {min(speeds):.0f}, fastest {max(speeds):.0f} images/s")
    print(f"the source's recipe, {SOURCE_SAMPLES:,} samples, takes {minutes:.1f} minutes at the steady speed")
    return minutes <= MINUTES


def profile_steps(arguments: argparse.Namespace, folder: Path) -> bool:
    """Print the operations that steps of a run spend their time in."""
    device = torch.device(arguments.device)
    on_gpu = device.type == "cuda"
    write_synthetic(folder / "pictures", min(arguments.pictures, 64))
    training, _ = build_cache(find_pairs([folder / "pictures"]), 256, folder / "cache")
    options = {"batch_size": arguments.batch_size} if arguments.batch_size else {}
    config = make_config(preset="pixelpainter", samples=10**9, **options)
    compiled = pays_compiling(device, 10**6)
    run = Run(config, folder / "profiled", training, None, device, "gpu.py", compiled=compiled)
    run.total_steps = (BEFORE + PROFILED) if on_gpu else 40
    reports = iter(run)
    for _ in range(BEFORE // 20 if on_gpu else 1):  # a report comes every 20 steps
        next(reports)
    started = time.monotonic()
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]) as profiler:
        steps = [next(reports).step for _ in range(PROFILED // 20 if on_gpu else 1)]
        if on_gpu:
            torch.cuda.synchronize()
    milliseconds = 1000 * (time.monotonic() - started)
    reports.close()
    rows = profiler.key_averages()
    column = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    busy = sum(getattr(row, column) for row in rows) / 1000
    print(
        f"up to step {steps[-1]}: {milliseconds:.0f} ms, of which the device was busy {busy:.0f} ms (profiled: slower)"
    )
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
    parser.add_argument("--samples", type=int, default=60_000)
    parser.add_argument("--pictures", type=int, default=2000)
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
