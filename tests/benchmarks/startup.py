"""Measure what starting costs: whole processes, against bare imports of the libraries they cannot do without.

    taskset -c 1 python tests/benchmarks/startup.py --model MODEL.onnx

Runs are interleaved, so that a change of the machine's speed meets all of them. Shown are the medians of wall-clock and
of processor time (user and system) per process, and the median of the ratios of neighboring runs. On a busy machine
only processor time means anything. Each process gets the affinity of this one. Exit status 1: a limit is exceeded.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from machine import processor

import pixelpainter
from pixelpainter.devices import installed_version

IMPORTS = "import onnxruntime, PIL.Image, numpy, typer"
PACKAGES = ("numpy", "pillow", "onnxruntime", "opencv-python-headless", "typer")
DRAWING = Path(__file__).parents[1] / "data" / "girl.png"


def main() -> None:
    """Run, print a table, and fail when a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="default: the bundled one")
    parser.add_argument("--runs", type=int, default=21)
    arguments = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as folder:
        commands = make_commands(Path(folder), arguments.model)
        for command in commands.values():
            measure(command)  # fills the caches of the disk, and compiles Python
        rounds = [{name: measure(command) for name, command in commands.items()} for _ in range(arguments.runs)]
    comparisons = (
        ("colorize 256x256", "imports", 2.2),
        ("colorize 1024x1024", "imports", 4.0),
        ("--help", "import typer", 3.0),
        ("--version", "import typer", 3.0),
    )
    print(f"\n{'process':20} {'wall ms':>8} {'CPU ms':>7}")
    for name in commands:
        wall, cpu = (1000 * statistics.median(one[name][kind] for one in rounds) for kind in (0, 1))
        print(f"{name:20} {wall:8.0f} {cpu:7.0f}")
    print(f"\n{'ratio':38} {'wall':>6} {'CPU':>6} {'limit':>6}")
    worst = 0.0
    for name, base, limit in comparisons:
        wall, cpu = (statistics.median(one[name][kind] / one[base][kind] for one in rounds) for kind in (0, 1))
        worst = max(worst, wall / limit)
        print(f"{name + ' / ' + base:38} {wall:6.2f} {cpu:6.2f} {limit:6.1f}")
    sys.exit(1 if worst > 1 else 0)


def print_machine() -> None:
    """Print what the figures depend on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"{platform.machine()} {processor()}, {cores} core(s){load}")
    versions = {"pixelpainter": pixelpainter.__version__, **{name: installed_version(name) for name in PACKAGES}}
    print(
        f"Python {platform.python_version()}, " + ", ".join(f"{name} {version}" for name, version in versions.items())
    )


def make_commands(folder: Path, model: Path | None) -> dict[str, list[str]]:
    """Return the processes to measure, by name."""
    program = [sys.executable, "-m", "pixelpainter"]
    commands = {
        "import typer": [sys.executable, "-c", "import typer"],
        "--help": [*program, "--help"],
        "--version": [*program, "--version"],
        "imports": [sys.executable, "-c", IMPORTS],
    }
    for side in (256, 1024):
        drawing, result = folder / f"{side}.png", folder / f"{side}_color.png"
        cv2.imwrite(str(drawing), square_drawing(side))
        commands[f"colorize {side}x{side}"] = [*program, "colorize", str(drawing), "-o", str(result), "--overwrite"]
        if model:
            commands[f"colorize {side}x{side}"] += ["--model", str(model)]
    return commands


def square_drawing(side: int) -> np.ndarray:
    """Return the drawing of the tests on a white square, (side, side) uint8."""
    drawing = cv2.imread(str(DRAWING), cv2.IMREAD_GRAYSCALE)
    assert drawing is not None
    height, width = drawing.shape
    page = np.full((max(height, width),) * 2, 255, np.uint8)
    page[:height, :width] = drawing
    method = cv2.INTER_AREA if side < len(page) else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(page, (side, side), interpolation=method), np.uint8)


def measure(command: list[str]) -> tuple[float, float]:
    """Run a process. Returns wall-clock and processor time in seconds."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{errors.decode()}")
    return wall, usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
