"""`pixelpainter export`: a trained network as one ONNX file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixelpainter.card import Precision
from pixelpainter.cli.messages import print_note
from pixelpainter.cli.pictures import load_calibration
from pixelpainter.errors import DataError, OutputError
from pixelpainter.extras import require
from pixelpainter.models import is_bare_repository

if TYPE_CHECKING:
    from pixelpainter.card import ModelCard
    from pixelpainter.export import Proof


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
            metavar="COLORS", help="Palette the model uses when the user gives none; as `colorize --palette`."
        ),
    ] = "",
    best: Annotated[
        bool, typer.Option("--best", help="Of a run folder: the checkpoint with the best validation, not the newest.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")] = False,
    push_to_hub: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/REPO",
            help="Upload the model to the Hugging Face Hub, with a README. The repository is made if need be.",
            show_default=False,
        ),
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Make a new repository public, not private.")] = False,
) -> None:
    """Export a trained network to ONNX, and prove that onnxruntime answers like torch.

    Averaged weights are used where the run keeps them. If the file's answers differ too much from the network's,
    nothing is written, and nothing is uploaded.
    """
    _check_upload(push_to_hub, output)
    require("export", "train", "torch", "onnx")
    from pixelpainter.export import export as export_model
    from pixelpainter.export import make_card
    from pixelpainter.train.folder import BEST
    from pixelpainter.train.start import load_generator

    if output.exists() and not overwrite:
        raise OutputError(f"{output} exists; use --overwrite to replace it, or another -o")
    generator, checkpoint, messages = load_generator(source / BEST if best and source.is_dir() else source)
    for message in messages:
        print_note(message)
    sources = _read_credits(credits)
    card = make_card(checkpoint, precision, licence, sources)
    card = dataclasses.replace(card, default_palette=_read_palette(default_palette, card.palette))
    proof = export_model(generator, checkpoint, card, load_calibration(calibration, card.size), output)
    _print_table(output, card, proof)
    if push_to_hub is not None:
        _upload(output, card, push_to_hub, public)


def _check_upload(repo: str | None, output: Path) -> None:
    """Raise BadParameter for what would only fail after a long export."""
    if repo is not None and not is_bare_repository(repo):
        raise typer.BadParameter(f"{repo!r}: write OWNER/REPO", param_hint="--push-to-hub")
    if repo is not None and output.suffix != ".onnx":
        raise typer.BadParameter(f"{output}: a model of the Hub is named FILE.onnx", param_hint="--output")


def _upload(output: Path, card: ModelCard, repo: str, public: bool) -> None:
    """Upload the model, and say how it is used and what a row of the table needs."""
    from pixelpainter.publish import publish

    print_note(f"uploading {output} to {repo}")
    publication = publish(output, card, repo, private=not public)
    print_note(f"uploaded: {publication.address}")
    print_note(f"use it with  --model {publication.home}  (SHA-256 {publication.home.sha256})")


def _read_credits(file: Path | None) -> list[str]:
    if file is None:
        return []
    try:
        return [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as text ({error})") from error


def _read_palette(text: str, colors: int) -> tuple[tuple[float, float, float, float], ...]:
    """Return a palette as a model card has it. Raises BadParameter."""
    if not text:
        return ()
    if not colors:
        raise typer.BadParameter("this network reads no palette", param_hint="--default-palette")
    from pixelpainter.palette import code_of_swatches
    from pixelpainter.palette_files import read_palette

    try:
        swatches = read_palette(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--default-palette") from error
    return tuple(
        (r, g, b, share) for r, g, b, share in code_of_swatches(swatches, colors).astype(float).round(6).tolist()
    )


def _print_table(output: Path, card: ModelCard, proof: Proof) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{output}: onnxruntime against torch", title_justify="left", show_header=False)
    rows = {
        "system, precision": f"{card.system}, {card.precision}",
        "answers compared": str(proof.pictures),
        "largest error of a pixel": f"{proof.max_error:.2g} of 255",
        "mean error": f"{proof.mean_error:.2g} of 255",
        "PSNR, mean": f"{proof.mean_psnr:.1f} dB",
        "PSNR, worst picture": f"{proof.worst_psnr:.1f} dB",
        "file": f"{proof.file_bytes / 1e6:.1f} MB",
        "load": f"{proof.load_ms:.0f} ms",
        "one picture": f"{proof.forward_ms:.1f} ms",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    Console(stderr=True).print(table)
