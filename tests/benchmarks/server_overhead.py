"""Measure what HTTP costs: client and server on one machine, without the codecs of pictures and without a model.

    python tests/benchmarks/server_overhead.py [--rounds 41] [--side 1024]

A server runs as a process of its own, with a refiner that gives each picture back. It is asked by httpx with a
file, and by `RemoteRefiner` with pixels. From each time, the decoding and encoding that both sides do is subtracted, as
measured in the same round in this process. Shown are the median of that in wall-clock time, its quartiles, and the
quickest request less the quickest codecs, which says more on a busy machine. Exit status 1: a median exceeds the limit.
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
SIDES = {"httpx": 1, "RemoteRefiner": 2}  # that decode and encode: the server, and a client that has pixels
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
            times = measure(process.stdout.readline().split()[-1], colored(arguments.side), arguments.rounds)
        finally:
            process.kill()
            process.wait()
    encode, decode = times.pop("encode"), times.pop("decode")
    worst = 0.0
    print(f"codecs: encode {1000 * statistics.median(encode):.0f} ms, decode {1000 * statistics.median(decode):.0f} ms")
    print(f"\n{'overhead':16} {'median ms':>9} {'quartiles':>13} {'quickest':>9} {'limit':>6}")
    for name, sides in SIDES.items():
        rounds = zip(times[name], encode, decode, strict=True)
        beyond = [1000 * (whole - sides * (first + second)) for whole, first, second in rounds]
        low, middle, high = statistics.quantiles(beyond, n=4)
        quickest = 1000 * (min(times[name]) - sides * (min(encode) + min(decode)))
        worst = max(worst, middle / LIMIT_MS)
        print(f"{name:16} {middle:9.1f} {low:6.1f} {high:6.1f} {quickest:9.1f} {LIMIT_MS:6.0f}")
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
    """Return the seconds that each client and codec takes, per round."""
    png = encode_picture(rgb, format="PNG")
    settings = RefineSettings()
    print(f"\n{rgb.shape[1]}x{rgb.shape[0]}, PNG of {len(png) / 1e6:.2f} MB, {rounds} rounds")
    times: dict[str, list[float]] = {name: [] for name in ("encode", "decode", *SIDES)}
    headers = {"Authorization": "Bearer token"}
    with httpx.Client(base_url=url, headers=headers, timeout=60) as client, RemoteRefiner(url, token="token") as remote:

        def post() -> bytes:
            return client.post("/refine", files={"image": png}).raise_for_status().content

        assert np.array_equal(open_picture(io.BytesIO(post())).rgb, rgb)
        assert np.array_equal(remote.refine(rgb, settings), rgb)
        for _ in range(rounds):
            times["encode"].append(seconds(lambda: encode_picture(rgb, format="PNG")))
            times["decode"].append(seconds(lambda: open_picture(io.BytesIO(png))))
            times["httpx"].append(seconds(post))
            times["RemoteRefiner"].append(seconds(lambda: remote.refine(rgb, settings)))
    return times


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
