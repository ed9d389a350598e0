"""Measure compositing with known truth: what is lost when the network's answer is the best possible one.

    python tests/benchmarks/compose.py --generator PATH_TO/procedural_anime.py

The generator draws pictures with their flat colors and exact lines. The flats with their lines multiplied on top,
shrunk with the area filter into the letterbox square, stand for the network's answer. Measured is the color layer,
before lines are multiplied, in the band 1-6 px from a line, without the line itself: mean CIEDE2000 (scikit-image)
against the true flats. One core. ``--disturb`` also measures answers whose lines are weaker or more blurred.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import skimage
from machine import processor
from PIL import Image
from procedural import draw_pictures
from skimage.color import deltaE_ciede2000, rgb2lab

from pixelpainter.compose import color_layer
from pixelpainter.imaging import Letterbox, letterbox

INK = 128  # darker pixels are lines
BAND_PX = (1, 6)
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
SIDE = 256  # of the network's square


def main() -> None:
    """Draw the pictures, unless they are there, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", type=Path, required=True, help="procedural_anime.py")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=9_000_000)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--pictures", type=Path, help="folder to keep the drawn pictures in")
    parser.add_argument("--disturb", action="store_true", help="also measure imperfect answers")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    print(
        f"{platform.machine()} {processor()}, 1 core, Python {platform.python_version()}, numpy {np.__version__}, ",
        end="",
    )
    print(f"OpenCV {cv2.__version__}, scikit-image {skimage.__version__}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.pictures or Path(temporary)
        names = draw_pictures(arguments.generator, folder, arguments.seed, arguments.count, arguments.size)
        measure(folder, names, arguments.disturb)


def measure(folder: Path, names: list[str], disturb: bool) -> None:
    """Print one row per picture, then means."""
    disturbances = ["exact"] + (["weak lines", "blur 0.7", "blur 1.1"] if disturb else [])
    print(f"{'picture':16} {'size':>11} {'bicubic':>8} " + " ".join(f"{kind:>10}" for kind in disturbances), end="")
    print(f" {'p99':>6} {'seconds':>8} {'CPU s':>6}")
    rows = []
    for name in names:
        flats = np.asarray(Image.open(folder / "flats" / f"{name}.png").convert("RGB"))
        ink = np.asarray(Image.open(folder / "lines" / f"{name}.webp").convert("L"))
        band = band_of(ink)
        answer, box = answer_for(flats, ink, "exact")
        figures = [float(errors(bicubic(answer, box, ink.shape), flats, band).mean())]
        figures += [
            float(errors(color_layer(ink, *answer_for(flats, ink, kind)), flats, band).mean()) for kind in disturbances
        ]
        start, cpu = time.perf_counter(), time.process_time()
        layer = color_layer(ink, answer, box)
        took = time.perf_counter() - start, time.process_time() - cpu
        worst = float(np.percentile(errors(layer, flats, band), 99))
        rows.append([*figures, worst, *took])
        print(row(name, f"{ink.shape[1]}x{ink.shape[0]}", rows[-1]), flush=True)
    print(row("mean", "", np.mean(rows, axis=0).tolist()))
    print(row("worst", "", np.max(rows, axis=0).tolist()))


def row(name: str, size: str, figures: list[float]) -> str:
    """Format a line of the table."""
    bicubic_error, *middle, worst, wall, cpu = figures
    cells = " ".join(f"{value:10.2f}" for value in middle)
    return f"{name:16} {size:>11} {bicubic_error:8.2f} {cells} {worst:6.1f} {wall:8.3f} {cpu:6.3f}"


def answer_for(flats: np.ndarray, ink: np.ndarray, kind: str) -> tuple[np.ndarray, Letterbox]:
    """Return the network's answer, (S, S, 3) float32 in [0, 1], and where the drawing lies in it."""
    strength = 0.6 if kind == "weak lines" else 1.0
    drawn = flats * (1 - (255 - ink[..., None].astype(np.float32)) * (strength / 255))
    square, box = letterbox((drawn + 0.5).astype(np.uint8), SIDE, 255)
    answer = square.astype(np.float32) / 255
    if kind.startswith("blur"):
        answer = cv2.GaussianBlur(answer, (0, 0), float(kind.split()[1]))
    return answer, box


def band_of(ink: np.ndarray) -> np.ndarray:
    """Return (H, W) bool: clear pixels 1-6 px from a line."""
    clear = ink >= INK
    distance = cv2.distanceTransform(clear.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return clear & (distance >= BAND_PX[0]) & (distance <= BAND_PX[1])


def bicubic(answer: np.ndarray, box: Letterbox, shape: tuple[int, ...]) -> np.ndarray:
    """Return the baseline: the answer scaled up, lines and all."""
    small = answer[box.top : box.top + box.height, box.left : box.left + box.width]
    large = cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return (np.clip(large, 0, 1) * 255 + 0.5).astype(np.uint8)


def errors(layer: np.ndarray, flats: np.ndarray, band: np.ndarray) -> np.ndarray:
    """Return CIEDE2000 of the pixels in the band."""
    return deltaE_ciede2000(rgb2lab(flats[band] / 255.0), rgb2lab(layer[band] / 255.0))


if __name__ == "__main__":
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":  # numpy reads it when it is imported: start again
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_THREAD})
    main()
