"""`pixelpainter export`: a trained network as one ONNX file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixelpainter.card import Precision
from pixelpainter.cli.messages import print_note
from pixelpainter.errors import DataError, MissingExtraError, OutputError

if TYPE_CHECKING:
    from pixelpainter.card import ModelCard
    from pixelpainter.export import Proof
    from pixelpainter.train.cache import Cache

SYNTHETIC_PICTURES = 48


def export(
    source: Annotated[
        Path, typer.Argument(metavar="RUN_OR_CHECKPOINT", help="Run folder (newest) or checkpoint file.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The ONNX file to write.")] = Path("model.onnx"),
    precision: Annotated[Precision, typer.Option(help="Number format of the weights.")] = "fp32",
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Folder or ZIP file of pictures, as for train: they calibrate int8 and prove the export. "
            "Without it the program draws some.",
            show_default=False,
        ),
    ] = None,
    licence: Annotated[str, typer.Option(help="Licence of the weights, for the model card.")] = "",
    credits: Annotated[
        Path | None,
        typer.Option(help="Text file, one line for each source of the training pictures, for the model card."),
    ] = None,
    default_palette: Annotated[
        str,
        typer.Option(
            metavar="RRGGBB:SHARE,...", help="Palette the model uses when the user gives none, largest share first."
        ),
    ] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")] = False,
) -> None:
    """Export a trained network to ONNX, and prove that onnxruntime answers like torch.

    Averaged weights are used where the run keeps them. If the file's answers differ too much from the network's,
    nothing is written.
    """
    for package in ("torch", "onnx"):
        _require(package)
    from pixelpainter.export import export as export_model
    from pixelpainter.export import make_card
    from pixelpainter.train.run import load_generator

    if output.exists() and not overwrite:
        raise OutputError(f"{output} exists; use --overwrite to replace it, or another -o")
    generator, checkpoint, messages = load_generator(source)
    for message in messages:
        print_note(message)
    sources = _read_credits(credits)
    card = make_card(checkpoint, precision, licence, sources, _parse_palette(default_palette))
    if len(card.default_palette) not in (0, card.palette):
        raise typer.BadParameter(
            f"{len(card.default_palette)} colors, this network reads {card.palette}", param_hint="--default-palette"
        )
    proof = export_model(generator, checkpoint, card, _pictures(calibration, card.size), output)
    _print_table(output, card, proof)


def _require(package: str) -> None:
    try:
        __import__(package)
    except ImportError as error:
        raise MissingExtraError("export", "train", package) from error


def _read_credits(file: Path | None) -> list[str]:
    if file is None:
        return []
    try:
        return [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as text ({error})") from error


def _parse_palette(text: str) -> tuple[tuple[float, float, float, float], ...]:
    rows = []
    for item in filter(None, text.split(",")):
        color, _, share = item.strip().lstrip("#").partition(":")
        try:
            red, green, blue = bytes.fromhex(color)
            rows.append((red / 127.5 - 1, green / 127.5 - 1, blue / 127.5 - 1, float(share)))
        except ValueError as error:
            raise typer.BadParameter(f"{item!r}: write RRGGBB:SHARE", param_hint="--default-palette") from error
    return tuple(rows)


def _pictures(calibration: Path | None, side: int) -> Cache:
    """Return the pictures to calibrate and prove with, decoded; the temporary files are gone when this returns."""
    from pixelpainter.train.cache import build_cache
    from pixelpainter.train.sources import find_pairs
    from pixelpainter.train.synthetic import write_synthetic

    with tempfile.TemporaryDirectory(prefix="pixelpainter-") as folder:
        if calibration is None:
            calibration = Path(folder) / "synthetic"
            write_synthetic(calibration, SYNTHETIC_PICTURES, first_seed=1_000_000)
        cache, messages = build_cache(find_pairs([calibration]), side, Path(folder) / "cache", workers=os.cpu_count())
        for message in messages:
            print_note(f"left out: {message}")
        return cache


def _print_table(output: Path, card: ModelCard, proof: Proof) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{output} ({card.system}, {card.precision}), onnxruntime against torch")
    for heading in ("answers", "max error", "mean error", "mean PSNR", "worst PSNR", "file", "load", "forward"):
        table.add_column(heading, justify="right")
    table.add_row(
        str(proof.pictures),
        f"{proof.max_error:.3g}/255",
        f"{proof.mean_error:.2g}/255",
        f"{proof.mean_psnr:.1f} dB",
        f"{proof.worst_psnr:.1f} dB",
        f"{proof.file_bytes / 1e6:.1f} MB",
        f"{proof.load_ms:.0f} ms",
        f"{proof.forward_ms:.1f} ms",
    )
    Console(stderr=True).print(table)
