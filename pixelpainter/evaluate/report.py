"""An evaluation as a table, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import math
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pixelpainter
from pixelpainter.atomic import new_file
from pixelpainter.colorize import Colorizer
from pixelpainter.errors import OutputError
from pixelpainter.evaluate.cases import ANSWERS
from pixelpainter.evaluate.measures import AREAS, REGION_MEASURES
from pixelpainter.evaluate.perceptual import FEW
from pixelpainter.evaluate.run import TRUTH, Evaluation, measures_of
from pixelpainter.metrics import MOST_DECIBELS

PACKAGES = ("torch", "torchmetrics", "onnxruntime", "numpy", "opencv-python-headless")
HEADINGS = {"PSNR": "PSNR, dB"}
RISING = ("PSNR", "SSIM", "MS-SSIM", "VIF")  # higher is better; lower for the others, but for colorfulness
UNRANKED = ("colorfulness", "halo")  # best where the truth is, and at 0
DIGITS = {"PSNR": 2, "CIEDE2000": 2, "FID": 1, "colorfulness": 1, **dict.fromkeys(REGION_MEASURES, 2)}


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a model was evaluated on, and how.

    Attributes:
        data: folders and ZIP files, and what else pictures came from.
        manifest: SHA-256 of the names and contents of the pictures.
        held_out: only pictures that training holds out.
        limit: most pictures; None: all.
        layout: of joined pictures; None: found out.
        hints: true hints given for each picture.
        true_palette: whether the palette of each picture was given.
        network_device: where the model ran.
        measure_device: where torch computed measures.
        seed: of all random choices.
    """

    data: Sequence[str]
    manifest: str
    held_out: bool = False
    limit: int | None = None
    layout: str | None = None
    hints: int = 0
    true_palette: bool = False
    network_device: str = "cpu"
    measure_device: str = "cpu"
    seed: str = "CRC-32 of the colors of each picture"


def versions() -> dict[str, str]:
    """Return the versions of everything the numbers depend on."""
    return {
        "pixelpainter": pixelpainter.__version__,
        "Python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def protocol(colorizer: Colorizer, conditions: Conditions, found: Evaluation) -> list[str]:
    """Return what the numbers mean, one line each."""
    lines = [
        _about_model(colorizer, conditions),
        _about_data(conditions, found),
        "Figure: all but white that touches the border, by the truth; whole picture: all but the padding. PSNR, SSIM, "
        "CIEDE2000, colorfulness: over their pixels; the others: of pictures made white outside, for MS-SSIM and LPIPS "
        "with each place weighted by its part of them, for FID with the margins",
        "Columns: a white page, the drawing itself, gray 128 in the true figure, its true mean color there; the "
        "network's own answer, scaled to the size; the composite, which `colorize` gives",
        f"PSNR: at most {MOST_DECIBELS:.0f} dB, that of equal pictures; SSIM, MS-SSIM: Gaussian window of 11 pixels, "
        "only where it lies in the square, mean of the channels; VIF: in pixels, mean of the channels; LPIPS: 0.1, "
        "AlexNet; FID: Inception of 2015-12-05, 2048 features; all are means of the pictures but FID",
        "Regions: connected areas of the truth of nearly one color, 3 pixels from lines, 0.2 % of the figure or more. "
        "Region CIEDE2000: median of a picture's regions, each the median of its pixels; bleeding: CIEDE2000 within 3 "
        "pixels of lines, less that of the region; halo: the same for CIE L, less that of the truth (below 0: dark)",
        "Versions: " + ", ".join(f"{name} {number}" for name, number in versions().items()),
    ]
    for name, weights in found.weights.items():
        doubt = "" if weights.published else ": not the published file, its numbers may be others"
        lines.append(f"Weights for {name}: {weights.file}, SHA-256 {weights.sha256[:16]}{doubt}")
    if conditions.held_out:
        lines.append(
            "Held out: training chose its best checkpoint by these pictures; unless they lie in val/, the names of "
            "files chose them, and others of the same characters may have been trained on"
        )
    if "FID" in measures_of(found) and len(found.pictures) < FEW:
        lines.append(f"FID of fewer than {FEW} pictures is too high: compare it at the same N only")
    return lines


def _about_model(colorizer: Colorizer, conditions: Conditions) -> str:
    card = colorizer.card
    own = "its own palette" if card.default_palette else "no palette"
    palette = "the true palette" if conditions.true_palette else own
    return (
        f"Model: {colorizer.file}, {card.system}, network of {card.size}x{card.size}, "
        f"SHA-256 {colorizer.model_hash[:16]}; asked with {conditions.hints or 'no'} hints, {palette}; "
        f"on {conditions.network_device}, measured on {conditions.measure_device}"
    )


def _about_data(conditions: Conditions, found: Evaluation) -> str:
    chosen = "only those that training holds out" if conditions.held_out else "all"
    if conditions.limit is not None:
        chosen += f", of these at most {conditions.limit}, spread evenly"
    return (
        f"Data: {', '.join(conditions.data)} ({chosen}; layout {conditions.layout or 'found out'}; SHA-256 "
        f"{conditions.manifest[:16]}): N = {len(found.pictures)} pictures, {len(found.left_out)} left out; each fitted "
        f"into {found.size}x{found.size} on white; drawings: the true ones where there are some, else lines extracted. "
        f"Style and places of hints are random, seed: {conditions.seed}"
    )


def text_table(colorizer: Colorizer, conditions: Conditions, found: Evaluation) -> str:
    """Return the protocol and the means as text, a line for each measure and area, a column for each answer."""
    heads = [*ANSWERS, TRUTH]
    lines = [*protocol(colorizer, conditions, found), "", f"{'':24}" + "".join(f"{head:>10}" for head in heads)]
    for name in measures_of(found):
        arrow = "" if name in UNRANKED else " (higher)" if name in RISING else " (lower)"
        lines.append(HEADINGS.get(name, name) + arrow)
        for area in AREAS:
            values = [found.figures[area][head].get(name) for head in heads]
            if not any(value is not None for value in values):  # of the figure alone
                continue
            shown = [" " * 10 if value is None else f"{value:>10.{DIGITS.get(name, 3)}f}" for value in values]
            where = "inside the figure" if area == "figure" else "whole picture"
            lines.append((f"  {where:22}" + "".join(shown)).rstrip())
    lines += [f"{name}: unavailable: {reason}" for name, reason in found.unavailable.items()]
    return "\n".join(lines)


def record(colorizer: Colorizer, conditions: Conditions, found: Evaluation) -> dict[str, Any]:
    """Return all as JSON has it; None for what is no finite number."""
    return {
        "model": str(colorizer.file),
        "model_sha256": colorizer.model_hash,
        "pictures": len(found.pictures),
        "size": found.size,
        "conditions": asdict(conditions),
        "versions": versions(),
        "weights": {name: asdict(weights) for name, weights in found.weights.items()},
        "protocol": protocol(colorizer, conditions, found),
        "unavailable": found.unavailable,
        "left_out": found.left_out,
        "figures": {
            area: {answer: {name: _finite(value) for name, value in values.items()} for answer, values in part.items()}
            for area, part in found.figures.items()
        },
    }


def save_table(found: Evaluation, file: Path, *, overwrite: bool) -> None:
    """Write a CSV file with a line for each picture, a column ``answer area measure`` for each value.

    Raises:
        OutputError: the file exists and is not to be replaced, or cannot be written.
    """
    names = [name for name in measures_of(found) if name != "FID"]  # which no single picture has
    columns = [(answer, area, name) for answer in ANSWERS for area in AREAS for name in names]
    columns = [(answer, area, name) for answer, area, name in columns if name in found.figures[area][answer]]
    columns += [(TRUTH, area, "colorfulness") for area in AREAS]
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(["name", *(" ".join(column) for column in columns)])
    for picture, figures in found.pictures:
        rows.writerow([picture, *(f"{figures[area][answer][name]:.6g}" for answer, area, name in columns)])
    try:
        with new_file(file, overwrite=overwrite) as stream:
            stream.write(text.getvalue().encode(errors="surrogateescape"))
    except OSError as error:
        raise OutputError(f"{file}: the table cannot be written ({error.strerror or error})") from error


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
