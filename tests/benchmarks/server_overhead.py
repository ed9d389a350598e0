"""Measure what HTTP costs: client and server on one machine, without the codecs of pictures and without a model.

    python tests/benchmarks/server_overhead.py [--rounds 41] [--side 1024]

A server runs as a process of its own, with a refiner that gives each picture back. It is asked by httpx with a
file, and by `RemoteRefiner` with pixels. From each time, the decoding and encoding that both sides do is subtracted, as
measured in the same round in this process. Shown are medians of wall-clock time, and their quartiles. Exit status 1:
the limit is exceeded.
"""

from __future__ import annotations

import argparse
import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
from startup import print_machine, square_drawing

from pixelpainter.imaging import encode_picture, open_picture
from pixelpainter.refine.remote import RemoteRefiner
from pixelpainter.refine.settings import RefineSettings

LIMIT_MS = 50.0
MODEL = Path(__file__).parents[2] / "pixelpainter" / "weights" / "pixelpainter.onnx"


def main() -> None:
    """Run, print a table, and fail when the limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve_unchanged()
        return
    print_machine()
    print(", ".join(f"{name} {version(name)}" for name in ("fastapi", "starlette", "uvicorn", "h11", "httpx")))
    with tempfile.TemporaryFile() as log:
        command = [sys.executable, __file__, "--serve"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert process.stdout is not None
        try:
            overheads = measure(process.stdout.readline().split()[-1], colored(arguments.side), arguments.rounds)
        finally:
            process.kill()
            process.wait()
    worst = 0.0
    print(f"\n{'overhead':16} {'median ms':>9} {'quartiles':>13} {'limit':>6}")
    for name, values in overheads.items():
        low, middle, high = statistics.quantiles([1000 * value for value in values], n=4)
        worst = max(worst, middle / LIMIT_MS)
        print(f"{name:16} {middle:9.1f} {low:6.1f} {high:6.1f} {LIMIT_MS:6.0f}")
    sys.exit(1 if worst > 1 else 0)


def serve_unchanged() -> None:
    """Be the server."""
    from pixelpainter.colorize import Colorizer
    from pixelpainter.server.app import make_app
    from pixelpainter.server.limits import Limits
    from pixelpainter.server.run import bind, serve, url_of

    class Unchanged:
        identity = "unchanged"

        def refine(self, rgb: np.ndarray, settings: RefineSettings, **more: Any) -> np.ndarray:
            return rgb

    listener = bind("127.0.0.1", 0)
    app = make_app(Colorizer(MODEL), Unchanged(), hosts={"127.0.0.1"}, token="token")
    serve(app, listener, Limits(), lambda: print(url_of(listener), flush=True))


def colored(side: int) -> np.ndarray:
    """Return a drawing with soft color, (side, side, 3) uint8: its PNG has the size that colored pages have."""
    ink = square_drawing(side)[..., None] / 255
    spots = np.random.default_rng(0).random((9, 9, 3)).astype(np.float32)
    color = cv2.resize(spots, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    return np.asarray((color * ink * 255).round(), np.uint8)


def measure(url: str, rgb: np.ndarray, rounds: int) -> dict[str, list[float]]:
    """Return the seconds that each client takes beyond the codecs, per round."""
    png = encode_picture(rgb, format="PNG")
    settings = RefineSettings()
    print(f"\n{rgb.shape[1]}x{rgb.shape[0]}, PNG of {len(png) / 1e6:.2f} MB, {rounds} rounds")
    overheads: dict[str, list[float]] = {"httpx": [], "RemoteRefiner": []}
    headers = {"Authorization": "Bearer token"}
    with httpx.Client(base_url=url, headers=headers, timeout=60) as client, RemoteRefiner(url, token="token") as remote:

        def post() -> bytes:
            return client.post("/refine", files={"image": png}).raise_for_status().content

        assert np.array_equal(open_picture(io.BytesIO(post())).rgb, rgb)
        assert np.array_equal(remote.refine(rgb, settings), rgb)
        for _ in range(rounds):
            encode = seconds(lambda: encode_picture(rgb, format="PNG"))
            decode = seconds(lambda: open_picture(io.BytesIO(png)))
            overheads["httpx"].append(seconds(post) - encode - decode)
            overheads["RemoteRefiner"].append(seconds(lambda: remote.refine(rgb, settings)) - 2 * (encode + decode))
    return overheads


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
