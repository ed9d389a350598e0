"""`pixelpainter evaluate`: numbers that tell how well a model colors."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pixelpainter.cli.messages import print_note
from pixelpainter.cli.pictures import CALIBRATION_SEED, DEFAULT_DATA
from pixelpainter.errors import DataError, OutputError
from pixelpainter.extras import require

if TYPE_CHECKING:
    import torch

    from pixelpainter.card import ModelCard
    from pixelpainter.evaluate.cases import Asker
    from pixelpainter.evaluate.run import Evaluation
    from pixelpainter.train.pairs import Pair

DATA, ASK, RESULT = "Data", "How the model is asked", "Result"


def evaluate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="ONNX file, or name of a model as for `colorize --model`.")
    ] = "bundled",
    data: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders or ZIP files as for train; default ./data.", show_default=False),
    ] = None,
    synthetic: Annotated[
        int, typer.Option(min=0, metavar="N", help="Evaluate on N pictures drawn by the program.", rich_help_panel=DATA)
    ] = 0,
    layout: Annotated[
        Literal["color-left", "sketch-left"] | None,
        typer.Option(help="Where the color is in joined pictures; found out if not given.", rich_help_panel=DATA),
    ] = None,
    held_out: Annotated[
        bool,
        typer.Option(
            "--held-out", help="Only what train DATA holds out: DATA/val, or about 5 %.", rich_help_panel=DATA
        ),
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only N pictures, spread evenly.", rich_help_panel=DATA)
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(min=16, metavar="PIXELS", help="Side of the pictures.  [the network's]", rich_help_panel=DATA),
    ] = None,
    hints: Annotated[
        int, typer.Option(min=0, metavar="N", help="Give N true colors at random places.", rich_help_panel=ASK)
    ] = 0,
    true_palette: Annotated[
        bool, typer.Option("--true-palette", help="Give the palette of the true picture.", rich_help_panel=ASK)
    ] = False,
    device: Annotated[Literal["auto", "cuda", "cpu"], typer.Option(rich_help_panel=ASK)] = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, not a table, on stdout.", rich_help_panel=RESULT)
    ] = False,
    table: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Figures of each picture.", rich_help_panel=RESULT)
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Contact sheet of the 10 best and 10 worst.", rich_help_panel=RESULT),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing files.", rich_help_panel=RESULT)
    ] = False,
    download: Annotated[
        bool,
        typer.Option(
            "--download/--no-download",
            help="Download the weights for LPIPS (244 MB) and FID (96 MB), once.",
            rich_help_panel=RESULT,
        ),
    ] = True,
) -> None:
    """Measure a model on pictures whose colors are known.

    PSNR, SSIM, MS-SSIM, VIF, LPIPS, FID, CIEDE2000, colorfulness, and the color, bleeding and halo of regions, of the
    network's own answer and of the finished picture, inside the figure and on the whole page, beside four trivial
    answers that any model should beat.
    """
    require("evaluate", "evaluate", "torch", "torchmetrics")
    _check_outputs(table, sheet, overwrite)
    from pixelpainter.colorize import Colorizer
    from pixelpainter.evaluate.cases import Asker
    from pixelpainter.evaluate.report import Conditions, record, save_table, text_table
    from pixelpainter.evaluate.sheet import save_sheet
    from pixelpainter.train.fast import pick_device
    from pixelpainter.train.pairs import data_manifest

    colorizer = Colorizer(model, device=device)
    asker = Asker(colorizer, hints, true_palette)
    with tempfile.TemporaryDirectory(prefix="pixelpainter-", ignore_cleanup_errors=True) as folder:
        roots, names = _roots(data, synthetic, Path(folder))
        pairs = _find(roots, layout, held_out, limit, colorizer.card)
        where = pick_device(device)
        conditions = Conditions(
            data=names,
            manifest=data_manifest(pairs),
            held_out=held_out,
            limit=limit,
            layout=layout,
            hints=hints,
            true_palette=true_palette,
            network_device=colorizer.device,
            measure_device=where.type,
        )
        found = _measure(asker, pairs, size or colorizer.card.size, where, download=download)
    if table is not None:
        save_table(found, table, overwrite=overwrite)
    if sheet is not None:
        save_sheet(found.best, found.worst, sheet, overwrite=overwrite)
    if as_json:
        typer.echo(json.dumps(record(colorizer, conditions, found), indent=2))
    else:
        typer.echo(text_table(colorizer, conditions, found))


def _check_outputs(table: Path | None, sheet: Path | None, overwrite: bool) -> None:
    """Raise OutputError now for what could not be written after all the work."""
    from pixelpainter.suffixes import SAVE_SUFFIXES

    for file, kind, suffixes in ((table, "table", {".csv"}), (sheet, "contact sheet", SAVE_SUFFIXES)):
        if file is None:
            continue
        if file.suffix.lower() not in suffixes:
            raise OutputError(f"{file}: no name for a {kind}; let it end in {' or '.join(sorted(suffixes))}")
        folder = file.absolute().parent
        if not folder.is_dir():
            raise OutputError(f"{file}: there is no such folder; make it first")
        if file.is_dir() or not os.access(folder, os.W_OK):
            raise OutputError(f"{file}: is a folder, or lies in one that cannot be written; name another file")
        if file.exists() and not overwrite:
            raise OutputError(f"{file} exists; use --overwrite to replace it, or name another file")


def _roots(data: list[Path] | None, synthetic: int, folder: Path) -> tuple[list[Path], list[str]]:
    """Return the folders and ZIP files to evaluate on, and what to call them; draws pictures into ``folder``."""
    roots = list(data or [])
    names = [str(root) for root in roots]
    if synthetic:
        from pixelpainter.train.synthetic import write_synthetic

        write_synthetic(folder / "synthetic", synthetic, first_seed=CALIBRATION_SEED)
        roots.append(folder / "synthetic")
        names.append(f"{synthetic} drawn by the program")
    if not roots:
        if not DEFAULT_DATA.is_dir():
            raise DataError("no DATA given and there is no folder ./data: name folders or ZIP files with pictures")
        return [DEFAULT_DATA], [str(DEFAULT_DATA)]
    return roots, names


def _find(
    roots: list[Path],
    layout: Literal["color-left", "sketch-left"] | None,
    held_out: bool,
    limit: int | None,
    card: ModelCard,
) -> list[Pair]:
    """Return the pairs to evaluate on; says so where the model was trained on them."""
    from pixelpainter.train.pairs import data_manifest
    from pixelpainter.train.sources import find_pairs, find_training_data

    trained_on, others = find_training_data(roots, layout)
    pairs = others if held_out else find_pairs(roots, layout)
    if not pairs:
        raise DataError("train would hold out none of these pictures; leave --held-out away")
    if not held_out and card.data_manifest in (data_manifest(pairs), data_manifest(trained_on)):
        print_note("These are the pictures that the model was trained on; --held-out leaves those out.")
    if limit is not None and limit < len(pairs):
        pairs = [pairs[index * len(pairs) // limit] for index in range(limit)]
    return pairs


def _measure(asker: Asker, pairs: list[Pair], size: int, device: torch.device, *, download: bool) -> Evaluation:
    """Measure with a bar, and name what could not be used."""
    from tqdm import tqdm

    from pixelpainter.evaluate.perceptual import load_networks
    from pixelpainter.evaluate.run import evaluate as evaluate_pairs

    networks = load_networks(device, download=download)
    for name, weights in networks.weights.items():
        if not weights.published:
            print_note(f"The weights for {name}, {weights.file} in torch's cache, are not the file that was published.")
    with tqdm(total=len(pairs), desc="evaluate", unit="picture", file=sys.stderr, mininterval=1.0) as bar:
        found = evaluate_pairs(asker, pairs, size, networks, device, lambda done, total: bar.update(done - bar.n))
    for message in found.left_out:
        print_note(f"left out: {message}")
    return found
