"""Measure the forward pass of the exported 54 M `pix2pix` network: int8 as exported, against the network as it is.

    python tests/benchmarks/network_speed.py [--threads 1] [--run RUN]

The plain graph is what torch.onnx.export makes of the generator, with transposed convolutions and without any of our
rewriting; the others come from pixelpainter.export. Speed does not depend on training, so the weights are random
unless --run names a trained network; a few synthetic pictures calibrate, others show how far int8 is from float. Runs
of all graphs are interleaved. The limit holds for the fastest int8 graph that is near enough to be exported. Exit
status 1: it exceeds the limit.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from startup import print_machine

from pixelpainter.export import FLOAT_AT_START, WORST_PSNR_DB, Inputs, _quantized, _to_onnx
from pixelpainter.imaging import letterbox
from pixelpainter.nets.deploy import deployed
from pixelpainter.systems import SYSTEMS
from pixelpainter.train.config import make_config
from pixelpainter.train.start import load_generator
from pixelpainter.train.synthetic import draw_pair

LIMIT = 0.45
SIDE = 256


def main() -> None:
    """Export, run, print a table, and fail when the limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=0, help="default: all cores")
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--calibration", type=int, default=3, help="pictures")
    parser.add_argument("--run", type=Path, help="run folder or checkpoint of a trained pix2pix")
    arguments = parser.parse_args()
    print_machine()
    print(f"torch {version('torch')}, onnx {onnx.__version__}; threads: {arguments.threads or 'all'}")
    torch.manual_seed(0)
    if arguments.run:
        generator, *_ = load_generator(arguments.run)
    else:
        generator = SYSTEMS["pix2pix"].make_generator(make_config("pix2pix")).eval()
    print(f"{sum(value.numel() for value in generator.parameters()) / 1e6:.1f} M parameters\n")
    examples = make_examples(arguments.calibration)
    with tempfile.TemporaryDirectory() as folder:
        models = {
            "fp32, transposed convolutions": _to_onnx(generator, examples[0]),
            "fp32, rewritten": (rewritten := _to_onnx(deployed(generator), examples[0])),
            **{
                f"int8, rewritten, {count} + 1 in float": _quantized(rewritten, examples, count)
                for count in FLOAT_AT_START
            },
        }
        sessions = {}
        for number, (name, model) in enumerate(models.items()):
            onnx.save(model, file := Path(folder) / f"{number}.onnx")
            sessions[name] = open_session(file, arguments.threads)
        times = measure({name: session for name, (session, _) in sessions.items()}, examples[0], arguments.runs)
        others = make_examples(8, first=1000)
        answers = {name: answers_of(session, others) for name, (session, _) in sessions.items()}
    plain = "fp32, transposed convolutions"
    exported = None
    print(f"{'graph':32} {'file MB':>8} {'load ms':>8} {'run ms':>7} {'fastest':>8} {'worst dB':>8} {'ratio':>6}")
    for name, runs in times.items():
        ratio = statistics.median(one / other for one, other in zip(runs, times[plain], strict=True))
        worst = worst_psnr(answers[name], answers[plain])
        size = models[name].ByteSize() / 1e6
        print(f"{name:32} {size:8.1f} {sessions[name][1]:8.0f} {statistics.median(runs):7.1f} {min(runs):8.1f}", end="")
        print(f" {worst:8.1f} {ratio:6.2f}")
        if name.startswith("int8") and exported is None and worst >= WORST_PSNR_DB["int8"]:
            exported = ratio
    print(f"\nint8 as it would be exported: {exported and round(exported, 2)}; limit {LIMIT}")
    sys.exit(0 if exported is not None and exported <= LIMIT else 1)


def answers_of(session: Any, examples: list[Inputs]) -> list[NDArray[np.float32]]:
    """Return the network's pictures for some drawings."""
    return [session.run(["color"], dict(inputs))[0] for inputs in examples]


def worst_psnr(found: list[NDArray[np.float32]], truth: list[NDArray[np.float32]]) -> float:
    """Return the least PSNR in dB of pictures in [-1, 1]."""
    squares = [float(np.square(one - other).mean()) for one, other in zip(found, truth, strict=True)]
    return float(10 * np.log10(4 / max([*squares, 1e-12])))


def make_examples(count: int, first: int = 0) -> list[Inputs]:
    """Return line drawings of synthetic pictures as the network reads them: {"picture": (1, 1, SIDE, SIDE)}."""
    drawings = [letterbox(draw_pair(seed, SIDE).lines, SIDE, 255)[0] for seed in range(first, first + count)]
    return [{"picture": drawing[None, None].astype(np.float32) / 127.5 - 1} for drawing in drawings]


def open_session(file: Path, threads: int) -> tuple[Any, float]:
    """Return a session as `colorize` opens it, and how long that took in ms."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    start = time.perf_counter()
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return session, 1000 * (time.perf_counter() - start)


def measure(sessions: dict[str, Any], inputs: Inputs, runs: int) -> dict[str, list[float]]:
    """Run all sessions in turn. Returns milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for number in range(runs + 3):
        for name, session in sessions.items():
            start = time.perf_counter()
            session.run(["color"], inputs)
            if number >= 3:  # the first runs fill caches
                times[name].append(1000 * (time.perf_counter() - start))
    return times


if __name__ == "__main__":
    main()
