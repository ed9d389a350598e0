"""Measure the segmentation of drawings against known flats, with gaps torn into the lines.

    python tests/benchmarks/flats.py --generator PATH_TO/procedural_anime.py

The generator draws pictures with exact lines and their flat colors. Truth are the 4-connected areas of one flat color.
Lines do not separate all of them: pens of the generator leave gaps of their own, shadows and stripes have no outline.
So there are two measurements, and a table for each:

* ``inked``: the borders between colors are drawn into the lines first, as wide as the drawing's own pen (median), so
  that lines separate all areas, before gaps are torn. Every area counts, except those that are nothing but line then.
* ``as drawn``: the generator's lines as they are. Areas that its paper (4-connected) joins before gaps are torn become
  one true region: no line separates them.

Gaps are torn into lines between two true regions at ``--spots`` random places, not nearer to each other than two gaps:
a round spot of white with the gap's diameter is drawn across the line, at right angles to it, from paper to paper.

Accuracy: each found region counts for the true region that it overlaps most. A pixel is right if its found region
counts for its true region. Lines are measured too, up to the border between two areas; ``off lines`` leaves them out.
Splitting a true region costs nothing there, so the number of found regions per true region is printed, and so is the
accuracy of connected areas of paper, which is what a paint bucket without closing gaps gives (its lines are wrong).

``--check`` ends with status 1 if a picture misses a bar: 95 % of its pixels, lines included, and 2 seconds of one core.
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
from machine import processor
from PIL import Image
from procedural import draw_pictures

from pixelpainter.regions import find_paper, find_regions

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
GAPS = (0, 2, 4, 8)
ACCURACY, SECONDS = 0.95, 2.0  # the bars
LINE = 204  # darker pixels are lines, when the truth is made


def main() -> None:
    """Draw the pictures, unless they are there, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", type=Path, required=True, help="procedural_anime.py")
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--seed", type=int, default=9_000_000)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--spots", type=int, default=100, help="gaps torn into each drawing")
    parser.add_argument("--pictures", type=Path, help="folder to keep the drawn pictures in")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bar is missed")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"{platform.machine()} {processor()}, 1 core, Python {platform.python_version()}, ", end="")
    print(f"numpy {np.__version__}, OpenCV {cv2.__version__}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.pictures or Path(temporary)
        names = draw_pictures(arguments.generator, folder, arguments.seed, arguments.count, arguments.size)
        kept = [measure(folder, names, inked, arguments.spots) for inked in (True, False)]
    if arguments.check and not all(kept):
        sys.exit(1)


def measure(folder: Path, names: list[str], inked: bool, spots: int) -> bool:
    """Print one row per picture and gap, then the mean and the worst for each gap; tell whether the bars are kept."""
    print(f"\n{'inked: a line around every area' if inked else 'as drawn'}")
    print(f"{'picture':14} {'size':>10} {'gap':>4} {'bucket':>7} {'right':>7} {'off lines':>9}", end="")
    print(f" {'true':>5} {'found':>6} {'per true':>8} {'CPU s':>6}")
    rows: dict[int, list[list[float]]] = {gap: [] for gap in GAPS}
    for number, name in enumerate(names):
        flats = np.asarray(Image.open(folder / "flats" / f"{name}.png").convert("RGB"))
        ink = np.asarray(Image.open(folder / "lines" / f"{name}.webp").convert("L"))
        ink, truth = inked_truth(ink, flats) if inked else drawn_truth(ink, flats)
        for gap in GAPS:
            torn = tear(ink, truth, gap, spots, np.random.default_rng(number))
            start = time.process_time()
            found, count = find_regions(torn, gap=gap)
            took = time.process_time() - start
            _, bucket = cv2.connectedComponents(find_paper(torn), connectivity=4)
            off = torn >= LINE
            true_count = len(np.unique(truth[truth > 0]))
            rows[gap].append(
                [
                    accuracy(bucket, truth, off),
                    accuracy(found, truth, truth > 0),
                    accuracy(found, truth, off),
                    true_count,
                    count,
                    count / true_count,
                    took,
                ]
            )
            print(row(name, f"{ink.shape[1]}x{ink.shape[0]}", gap, rows[gap][-1]), flush=True)
    for gap in GAPS:
        print(row("mean", "", gap, np.mean(rows[gap], axis=0).tolist()))
    worst = {gap: np.array(rows[gap]) for gap in GAPS}
    for gap, figures in worst.items():
        print(row("worst", "", gap, [*figures[:, :3].min(axis=0), *figures[:, 3:].max(axis=0)]))
    return all(figures[:, 1].min() >= ACCURACY and figures[:, 6].max() < SECONDS for figures in worst.values())


def row(name: str, size: str, gap: int, figures: list[float]) -> str:
    """Format a line of a table."""
    bucket, right, off, true_count, count, per_true, took = figures
    shares = f"{bucket:7.2%} {right:7.2%} {off:9.2%}"
    return f"{name:14} {size:>10} {gap:4} {shares} {true_count:5.0f} {count:6.0f} {per_true:8.2f} {took:6.3f}"


def areas_of(flats: np.ndarray) -> np.ndarray:
    """Return (H, W) int32, the 4-connected areas of one color, numbered from 1."""
    colors = flats.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
    result, count = np.zeros(colors.shape, np.int32), 0
    for color in np.unique(colors):
        added, labels = cv2.connectedComponents((colors == color).astype(np.uint8), connectivity=4)
        result += np.where(labels > 0, labels + count, 0)
        count += added - 1
    return result


def border_of(areas: np.ndarray) -> np.ndarray:
    """Return (H, W) bool, True on the pixels whose right or lower neighbor lies in another area."""
    border = np.zeros(areas.shape, bool)
    border[:, :-1] |= areas[:, :-1] != areas[:, 1:]
    border[:-1] |= areas[:-1] != areas[1:]
    return border


def inked_truth(ink: np.ndarray, flats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the drawing with all borders between colors, and the areas, 0 where they are nothing but line."""
    areas = areas_of(flats)
    width = max(2, round(float(np.median(2 * pen(ink)))))
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    lines = cv2.dilate(border_of(areas).astype(np.uint8), brush)
    ink = np.minimum(ink, np.where(lines > 0, np.uint8(0), np.uint8(255)))
    seen = np.bincount(areas.ravel(), find_paper(ink).ravel()) > 0
    return ink, np.where(seen[areas], areas, 0)


def drawn_truth(ink: np.ndarray, flats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the drawing and the areas, those joined by paper as one."""
    areas = areas_of(flats)
    _, paper = cv2.connectedComponents((ink >= LINE).astype(np.uint8), connectivity=4)
    parent = np.arange(areas.max() + 1)

    def root(area: int) -> int:
        while parent[area] != area:
            parent[area] = area = parent[parent[area]]
        return area

    clear = paper > 0
    pairs = np.unique(np.stack([paper[clear], areas[clear]]), axis=1)
    for (before, first), (after, second) in zip(pairs.T[:-1].tolist(), pairs.T[1:].tolist(), strict=True):
        if before == after:
            parent[root(second)] = root(first)
    merged = np.array([root(area) for area in range(len(parent))])[areas]
    seen = np.bincount(merged.ravel(), clear.ravel()) > 0
    return ink, np.where(seen[merged], merged, 0)


def pen(ink: np.ndarray) -> np.ndarray:
    """Return half the width of the lines at each place in the middle of one, (N,)."""
    distance = cv2.distanceTransform((ink < LINE).astype(np.uint8), cv2.DIST_L2, 5)
    return distance[(distance == cv2.dilate(distance, np.ones((3, 3), np.uint8))) & (distance > 0)]


def tear(ink: np.ndarray, truth: np.ndarray, gap: int, spots: int, random: np.random.Generator) -> np.ndarray:
    """Return the drawing with gaps in the lines between true regions."""
    torn = ink.copy()
    if gap == 0:
        return torn
    line = ink < LINE
    distance = cv2.distanceTransform(line.astype(np.uint8), cv2.DIST_L2, 5)
    ys, xs = np.nonzero(border_of(truth) & line)
    free = np.ones(ink.shape, bool)
    for place in random.permutation(len(ys)):
        y, x = int(ys[place]), int(xs[place])
        half = round(2 * float(distance[max(0, y - 4) : y + 5, max(0, x - 4) : x + 5].max())) + 2
        far = half + 2 * gap
        if not free[y, x] or min(y, x, ink.shape[0] - 1 - y, ink.shape[1] - 1 - x) <= far:
            continue
        free[y - far : y + far + 1, x - far : x + far + 1] = False
        part = np.s_[y - half : y + half + 1, x - half : x + half + 1]
        rows, columns = np.mgrid[-half : half + 1, -half : half + 1]
        drawn = np.stack([columns[line[part]], rows[line[part]]])
        along = np.linalg.eigh(np.cov(drawn))[1][:, 1] if drawn.shape[1] > 2 else np.array([1.0, 0.0])
        spot = np.abs(columns * along[0] + rows * along[1] - random.uniform(-0.5, 0.5)) < gap / 2
        torn[part][spot & (np.hypot(columns, rows) <= half)] = 255
        spots -= 1
        if spots == 0:
            break
    return torn


def accuracy(found: np.ndarray, truth: np.ndarray, where: np.ndarray) -> float:
    """Return the share of the pixels whose found region overlaps their true region most; 0 stands for no region."""
    where = where & (truth > 0)
    pairs = found[where].astype(np.int64) * (int(truth.max()) + 1) + truth[where]
    pair, pixels = np.unique(pairs, return_counts=True)
    region = pair // (int(truth.max()) + 1)
    best = np.zeros(int(region.max()) + 1, np.int64)
    np.maximum.at(best, region, pixels)
    best[0] = 0
    return float(best.sum() / pixels.sum())


if __name__ == "__main__":
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":  # numpy reads it when it is imported: start again
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_THREAD})
    main()
