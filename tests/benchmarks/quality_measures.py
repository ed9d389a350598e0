"""The figures of quality.py: what is measured on one picture, and how pictures are summed up."""

from __future__ import annotations

import math
import time

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pixelpainter import metrics
from pixelpainter.color import ciede2000, lab_from_bytes
from pixelpainter.colorize import Colorizer
from pixelpainter.evaluate.cases import Case, true_hint, true_hints
from pixelpainter.evaluate.regions import region_neighbors
from pixelpainter.hints import Hint
from pixelpainter.palette import palette_code

STRONG = [(220, 30, 30), (30, 170, 60), (40, 60, 220), (240, 210, 40), (200, 40, 200), (30, 190, 210)]
LEAST_COLORFUL = 5.0  # truths below this are gray: a ratio to them says nothing

Figures = dict[str, float]
Picture = NDArray[np.uint8]


def interior_points(labels: NDArray[np.int32]) -> list[tuple[int, int]]:
    """Return x, y of the pixel farthest from the edge, for each region."""
    points = []
    for label in range(1, int(labels.max()) + 1):
        inside = np.pad((labels == label).astype(np.uint8), 1)  # the picture's border is an edge as well
        y, x = divmod(int(cv2.distanceTransform(inside, cv2.DIST_L2, 5).argmax()), inside.shape[1])
        points.append((x - 1, y - 1))
    return points


def answers(colorizer: Colorizer, case: Case) -> tuple[dict[str, Picture], float]:
    """Return the pictures without hints, with hints and with the true palette (as far as the model reads them)."""
    drawing = Image.fromarray(case.drawing)
    start = time.perf_counter()
    pictures = {"none": np.asarray(colorizer.colorize(drawing))}
    seconds = time.perf_counter() - start
    if colorizer.card.hints != "none":
        regions = [true_hint(case, x, y) for x, y in interior_points(case.regions.labels)]
        pictures["regions"] = np.asarray(colorizer.colorize(drawing, hints=regions))
        pictures["random"] = np.asarray(colorizer.colorize(drawing, hints=true_hints(case, 20)))
    if colorizer.card.palette:
        code = palette_code(case.truth, case.figure, colorizer.card.palette)
        pictures["palette"] = np.asarray(colorizer.colorize(drawing, palette=code))
    return pictures, seconds


def hint_movement(colorizer: Colorizer, case: Case, none: Picture) -> Figures:
    """Hint one region with a strong color; return how far it, its neighbors and all others move (CIEDE2000)."""
    neighbors: dict[int, set[int]] = {}
    for one, other in region_neighbors(case.regions.labels, case.drawing):
        neighbors.setdefault(one, set()).add(other)
        neighbors.setdefault(other, set()).add(one)
    if colorizer.card.hints == "none" or not neighbors:
        return {}
    chosen = min(neighbors)  # regions are numbered from the largest
    own = lab_from_bytes(none)[case.regions.labels == chosen].mean(axis=0)
    color = max(STRONG, key=lambda strong: float(ciede2000(own, lab_from_bytes(np.array(strong, np.uint8)))))
    x, y = interior_points(np.asarray(case.regions.labels == chosen, np.int32))[0]
    hinted = colorizer.colorize(Image.fromarray(case.drawing), hints=[Hint(x=float(x), y=float(y), color=color)])
    change = color_difference(np.asarray(hinted), none)
    sums = np.bincount(case.regions.labels.ravel(), weights=change.ravel())
    moved = sums / np.bincount(case.regions.labels.ravel())
    others = [label for label in range(1, len(moved)) if label != chosen]
    return {
        "hinted region moves": float(moved[chosen]),
        "neighbors move": float(moved[sorted(neighbors[chosen])].mean()),
        "all other regions move": float(moved[others].mean()),
    }


def color_difference(picture: Picture, truth: Picture) -> NDArray[np.float32]:
    """Return (H, W) float32, CIEDE2000 of two pictures (H, W, 3) uint8."""
    return ciede2000(lab_from_bytes(picture), lab_from_bytes(truth))


def measure(colorizer: Colorizer, case: Case) -> tuple[Figures, dict[str, Picture], dict[str, NDArray[np.float32]]]:
    """Return the figures of one picture, its results, and the region errors of each result."""
    pictures, seconds = answers(colorizer, case)
    row: Figures = {"seconds": seconds, "truth colorfulness": metrics.colorfulness(case.truth, case.figure)}
    for name, picture in metrics.baselines(case.truth, case.drawing, case.figure).items():
        row[f"{name} PSNR"] = metrics.psnr(picture, case.truth, case.figure)
    for name, picture in pictures.items():
        row[f"{name} PSNR"] = metrics.psnr(picture, case.truth, case.figure)
        row[f"{name} SSIM"] = metrics.ssim(picture, case.truth, case.figure)
        row[f"{name} colorfulness"] = metrics.colorfulness(picture, case.figure)
    differences = {name: color_difference(picture, case.truth) for name, picture in pictures.items()}
    errors = {name: case.regions.color_errors(difference) for name, difference in differences.items()}
    row["halo"] = case.regions.halo(pictures["none"])
    for name in differences.keys() & {"none", "regions"}:
        row[f"{name} bleeding"] = case.regions.bleeding(differences[name])
    page = ~case.figure & (case.drawing >= 250)
    if page.mean() > 0.05:
        row["page"] = float(pictures["none"][page].mean())
    row |= hint_movement(colorizer, case, pictures["none"])
    return row, pictures, errors


def summarize(rows: list[Figures], errors: dict[str, list[NDArray[np.float32]]]) -> Figures:
    """Return the figures of the table from the figures of the pictures."""

    def column(name: str) -> NDArray[np.float64]:
        values = np.array([row.get(name, math.nan) for row in rows], np.float64)
        return values[np.isfinite(values)]

    def mean(name: str) -> float:
        return float(column(name).mean()) if column(name).size else math.nan

    truth = np.array([row["truth colorfulness"] for row in rows])
    total: Figures = {"pictures": len(rows), "regions": sum(len(part) for part in errors["none"])}
    for name in ("white", "drawing", "gray", "mean", "none", "regions", "random", "palette"):
        total[f"{name} PSNR"] = mean(f"{name} PSNR")
    for name in ("none", "regions", "random", "palette"):
        own = np.array([row.get(f"{name} colorfulness", math.nan) for row in rows])
        total[f"{name} SSIM"] = mean(f"{name} SSIM")
        total[f"{name} gain"] = total[f"{name} PSNR"] - total["none PSNR"]
        total[f"{name} colorfulness ratio"] = float(own.mean() / truth.mean())
        total[f"{name} median ratio"] = float(np.median((own / np.maximum(truth, 1e-6))[truth >= LEAST_COLORFUL]))
        pooled = np.concatenate(errors.get(name) or [np.zeros(0)])
        total[f"{name} region CIEDE2000"] = float(np.median(pooled)) if pooled.size else math.nan
        total[f"{name} within 10"] = float((pooled <= 10).mean()) if pooled.size else math.nan
    total["none above gray"] = total["none PSNR"] - total["gray PSNR"]
    for name in ("halo", "none bleeding", "regions bleeding", "page", "seconds"):
        total[name] = mean(name)
    for name in ("hinted region moves", "neighbors move", "all other regions move"):
        total[name] = mean(name)
    total["pages"] = len(column("page"))
    total["worst page"] = float(column("page").min()) if column("page").size else math.nan
    total["pages kept white"] = float((column("page") > 250).mean()) if column("page").size else math.nan
    return total
