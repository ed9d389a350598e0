"""Measure `pixelpainter colorize FOLDER` against a loop that colors one file after the other.

    python tests/benchmarks/folder_speed.py [--model MODEL.onnx] [--count 300] [--rounds 1] [--splits 1x2 2x1 4x1]

Both are whole processes over the same drawings. Shown are wall-clock time without the first pictures
(loading), pictures per second, processor time per picture, the peak of resident memory, and the resident memory after
100 pictures and at the end. A split JxT is `--jobs J --threads J*T`: J pictures at once, T threads in each network.
On a busy machine only the processor time and the memory mean anything. Exit status 1: a limit is missed.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from startup import print_machine

from pixelpainter.train.synthetic import draw_pair

WARM = 100  # pictures after which memory is taken for settled; a third of the run if that is less
LOOP = """
import sys
from pathlib import Path
from pixelpainter import Colorizer
from pixelpainter.imaging import open_picture, save_picture
from pixelpainter.settings import Settings
colorizer = Colorizer(sys.argv[2] or None)
for number, path in enumerate(sorted(Path(sys.argv[1]).iterdir())):
    picture = open_picture(path)
    rgb = colorizer.colorize_picture(picture, Settings())
    save_picture(rgb, Path(sys.argv[3]) / path.name, alpha=picture.alpha, dpi=picture.dpi, overwrite=True)
"""


class Measured(NamedTuple):
    """One run: pictures, wall-clock and processor seconds, and resident memory in MB."""

    rate: float
    cpu_ms: float
    peak_mb: float
    warm_mb: float
    last_mb: float


def main() -> None:
    """Run, print a table, and fail when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="default: the bundled one")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--side", type=int, default=1024, help="of the drawings, in pixels")
    parser.add_argument("--rounds", type=int, default=1, help="run everything so often, in turns; medians are shown")
    parser.add_argument("--splits", nargs="*", default=[], metavar="JxT")
    parser.add_argument("--no-loop", action="store_true", help="only the folder, for long runs")
    arguments = parser.parse_args()
    print_machine()
    print(f"\n{arguments.count} drawings of {arguments.side}x{arguments.side}, {arguments.rounds} round(s)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_drawings(folder / "in", arguments.count, arguments.side)
        commands = make_commands(folder / "in", arguments)
        rounds: dict[str, list[Measured]] = {name: [] for name in commands}
        for _ in range(arguments.rounds):
            for name, command in commands.items():
                output = folder / "out"
                output.mkdir()
                rounds[name].append(measure([*command, str(output)], output, arguments.count))
                shutil.rmtree(output)
    print(f"{'run':14} {'pictures/s':>10} {'CPU ms':>7} {'peak MB':>8} {'warm MB':>8} {'last MB':>8}")
    medians = {name: Measured(*map(statistics.median, zip(*runs, strict=True))) for name, runs in rounds.items()}
    for name, one in medians.items():
        memory = f"{one.peak_mb:8.0f} {one.warm_mb:8.0f} {one.last_mb:8.0f}"
        print(f"{name:14} {one.rate:10.2f} {one.cpu_ms:7.0f} {memory}")
    sys.exit(0 if judge(medians) else 1)


def make_commands(drawings: Path, arguments: argparse.Namespace) -> dict[str, list[str]]:
    """Return the commands to compare, by name; the output folder is to follow."""
    python, model = sys.executable, arguments.model
    commands = {} if arguments.no_loop else {"loop": [python, "-c", LOOP, str(drawings), model or ""]}
    folder = [
        python,
        "-m",
        "pixelpainter",
        "colorize",
        str(drawings),
        "--quiet",
        *(["--model", model] if model else []),
    ]
    commands["folder"] = [*folder, "-o"]
    for split in arguments.splits:
        jobs, threads = map(int, split.split("x"))
        commands[f"folder {split}"] = [*folder, "--jobs", str(jobs), "--threads", str(jobs * threads), "-o"]
    return commands


def judge(measured: dict[str, Measured]) -> bool:
    """Print each limit with what was measured. Returns whether all are kept."""
    folder = measured["folder"]
    limits = [
        ("pictures per second", folder.rate, 10.0, True),
        ("peak memory, MB", folder.peak_mb, 600.0, False),
        ("memory at the end / warm", folder.last_mb / folder.warm_mb, 1.2, False),
    ]
    if "loop" in measured:
        limits.insert(0, ("folder / loop", folder.rate / measured["loop"].rate, 1.6, True))
    kept = True
    print()
    for name, value, limit, least in limits:
        good = value >= limit if least else value <= limit
        kept &= good
        print(f"{name:26} {value:8.2f}  limit {'>=' if least else '<='} {limit:g}  {'ok' if good else 'MISSED'}")
    return kept


def make_drawings(folder: Path, count: int, side: int) -> None:
    """Save line drawings; there are 24 different ones, each shifted a little every time it comes again."""
    folder.mkdir()
    lines = [draw_pair(seed, side).lines for seed in range(min(count, 24))]
    for number in range(count):
        shifted = np.roll(lines[number % len(lines)], 5 * (number // len(lines)), axis=1)
        Image.fromarray(shifted).save(folder / f"{number:05}.png")


def measure(command: list[str], output: Path, count: int) -> Measured:
    """Run a process and watch its memory and its results."""
    warm = min(WARM, count // 3)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    first_time = warm_mb = last_mb = peak_mb = 0.0
    first = done = 0
    with subprocess.Popen(command) as process:
        while done < count and process.poll() is None:
            time.sleep(0.02)
            done = sum(entry.name.endswith(".png") for entry in os.scandir(output))
            if done and not first_time:
                first_time, first = time.perf_counter(), done
            memory = memory_mb(process.pid)
            # The peak that wait4 gives is at least that of this process, from which the other one was forked.
            last_mb, peak_mb = memory.get("VmRSS", last_mb), memory.get("VmHWM", peak_mb)
            if done >= warm and not warm_mb:
                warm_mb = last_mb
        end = time.perf_counter()
    if process.returncode or done != count:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}, {done} of {count} pictures")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured((count - first) / (end - first_time), 1000 * cpu / count, peak_mb, warm_mb, last_mb)


def memory_mb(pid: int) -> dict[str, float]:
    """Return what Linux says of a process's memory (VmRSS, VmHWM, ...) in MB; nothing when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split(":") for line in lines if line.endswith(" kB"))
    return {name: int(value.split()[0]) / 1024 for name, value in pairs}


if __name__ == "__main__":
    main()
