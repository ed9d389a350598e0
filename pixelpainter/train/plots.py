"""Pictures of how a run went, made of its tables and sample grids."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from pixelpainter.errors import MissingExtraError, TrainingError
from pixelpainter.train.folder import LOSSES, METRICS, PROGRESS
from pixelpainter.train.validate import evenly

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curves = dict[str, list[tuple[int, float]]]  # name -> (step, value)

PANELS = {
    "psnr_": "PSNR inside the figure, dB",
    "ssim_": "SSIM inside the figure",
    "colorfulness_": "colorfulness / true one",
}
STEPS_SHOWN, PICTURES_SHOWN, CELL, LABEL = 6, 4, 160, 16  # of progress.png; the last two in pixels


def save_plots(run: Path, side: int) -> list[Path]:
    """Write losses.png, metrics.png and progress.png into a run folder, as far as there is something to show.

    Args:
        run: folder with losses.csv, metrics.csv and samples_*.png.
        side: side of the pictures in the sample grids.

    Returns:
        The files written.

    Raises:
        MissingExtraError: matplotlib is not installed.
        TrainingError: the folder cannot be read or written.
    """
    written = []
    try:
        losses = read_curves(run / "losses.csv")
        if losses:
            _plot_losses(losses).savefig(run / LOSSES)
            written.append(run / LOSSES)
        metrics = read_curves(run / "metrics.csv")
        if metrics:
            _plot_metrics(metrics).savefig(run / METRICS)
            written.append(run / METRICS)
        progress = draw_progress(sorted(run.glob("samples_*.png")), side)
        if progress is not None:
            progress.save(run / PROGRESS)
            written.append(run / PROGRESS)
    except OSError as error:
        raise TrainingError(f"{run}: the plots cannot be written ({error.strerror or error}); free space") from error
    return written


def read_curves(table: Path) -> Curves:
    """Return the columns of a table of a run; empty where there is none. Rows that are torn are left out."""
    if not table.exists():
        return {}
    curves: Curves = {}
    with table.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            try:
                step, values = int(row.pop("step")), {name: float(value) for name, value in row.items()}
            except (TypeError, ValueError, KeyError):
                continue
            for name, value in values.items():
                curves.setdefault(name, []).append((step, value))
    return curves


def draw_progress(grids: Sequence[Path], side: int) -> Image.Image | None:
    """Return some pictures of the validation: drawing, the network's answer at several steps, truth.

    Args:
        grids: samples_STEP.png, oldest first; torn ones and those of another size than the last are left out.
        side: side of their cells. Columns: drawing, answer, further answers, truth.

    Returns:
        The picture, or None without whole grids.
    """
    opened = [(path, grid) for path in grids if (grid := _read_grid(path)) is not None]
    if not opened:
        return None
    last = opened[-1][1]
    fitting = [(path, grid) for path, grid in opened if grid.size == last.size]
    shown = [fitting[index] for index in evenly(len(fitting), STEPS_SHOWN)]
    cells = [("drawing", last, 0)]
    cells += [(f"step {int(path.stem.partition('_')[2])}", grid, side) for path, grid in shown]
    cells += [("truth", last, last.width - side)]
    rows = min(PICTURES_SHOWN, last.height // side)
    cell = min(CELL, side)
    sheet = Image.new("RGB", (len(cells) * cell, LABEL + rows * cell), "white")
    draw = ImageDraw.Draw(sheet)
    for column, (name, grid, left) in enumerate(cells):
        draw.text((column * cell + 2, 2), name, fill="black")
        for row in range(rows):
            part = grid.crop((left, row * side, left + side, (row + 1) * side))
            sheet.paste(part.resize((cell, cell)), (column * cell, LABEL + row * cell))
    return sheet


def _read_grid(file: Path) -> Image.Image | None:
    """Return a sample grid, or None where it is torn or something else."""
    try:
        with Image.open(file) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def _plot_losses(curves: Curves) -> Figure:
    """Return a panel for each loss term: their sizes differ too much for one."""
    figure, panels = _panels(len(curves))
    for panel, (name, points) in zip(panels, curves.items(), strict=True):
        _draw(panel, {name: points})
        panel.set_title(name)
    return figure


def _plot_metrics(curves: Curves) -> Figure:
    """Return a panel for each kind of figure; those of the trivial baselines are dashed."""
    chosen = {title: _starting_with(curves, start) for start, title in PANELS.items()}
    chosen = {title: part for title, part in chosen.items() if part}
    figure, panels = _panels(len(chosen))
    for panel, (title, part) in zip(panels, chosen.items(), strict=True):
        _draw(panel, {name: points for name, points in part.items() if not name.startswith("baseline_")})
        trivial = {name: points for name, points in part.items() if name.startswith("baseline_")}
        _draw(panel, trivial, linestyle="dashed", linewidth=1, marker="")
        panel.set_title(title)
        panel.legend(fontsize="small", ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.2))  # below, over no curve
    return figure


def _starting_with(curves: Mapping[str, list[tuple[int, float]]], start: str) -> Curves:
    return {name.removeprefix(start): points for name, points in curves.items() if name.startswith(start)}


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """Return a figure with so many panels, three in a row."""
    try:
        from matplotlib.figure import Figure  # and not pyplot, which looks for a screen
    except ImportError as error:
        raise MissingExtraError("train", "train", "matplotlib") from error
    columns = min(count, 3)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(5 * columns, 3.5 * rows), layout="constrained")
    panels = [figure.add_subplot(rows, columns, number + 1) for number in range(count)]
    for panel in panels:
        panel.set_xlabel("step")
        panel.grid(alpha=0.3)
    return figure, panels


def _draw(panel: Axes, curves: Curves, marker: str = "o", linestyle: str = "solid", linewidth: float = 1.5) -> None:
    for name, points in curves.items():
        steps, values = zip(*points, strict=True)
        panel.plot(
            steps,
            values,
            label=name.replace("_", " "),
            marker=marker if len(points) < 30 else "",
            markersize=3,
            linestyle=linestyle,
            linewidth=linewidth,
        )
