"""Check how the options of `pixelpainter colorize` are used together, before anything heavy is imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypeVar

import typer

from pixelpainter.errors import MissingExtraError

STREAM = "-"  # as a path: stdin or stdout
Destination = Literal["stdout", "file", "folder", "tree"]
LayerKind = Literal["ora", "psd", "png"]
Value = TypeVar("Value")

_LAYER_SUFFIXES: dict[str, LayerKind] = {".ora": "ora", ".psd": "psd"}
_FORMAT_SUFFIXES = {"png": (".png",), "jpg": (".jpg", ".jpeg"), "webp": (".webp",), "tiff": (".tif", ".tiff")}


def wrong(option: str, message: str) -> typer.BadParameter:
    """Return the error for an option that is used wrongly."""
    return typer.BadParameter(message, param_hint=f"'{option}'")


def parsed(option: str, parse: Callable[[str], Value], texts: Sequence[str]) -> tuple[Value, ...]:
    """Parse the values of an option; a ValueError becomes wrong usage."""
    try:
        return tuple(parse(text) for text in texts)
    except ValueError as error:
        raise wrong(option, str(error)) from error


def find_destination(paths: Sequence[Path], output: str | None, format: str | None) -> Destination:
    """Tell where results go: to stdout, into one file, into a folder, or (with a record of the run) into a tree.

    Raises:
        typer.BadParameter: paths and ``-o`` do not fit together.
    """
    from_stdin = Path(STREAM) in paths
    if from_stdin and len(paths) > 1:
        raise wrong("PATH", "- stands for one picture from stdin; it cannot be mixed with files")
    if from_stdin and sys.stdin.isatty():
        raise wrong("PATH", "- reads a picture from stdin, but stdin is a terminal; use < drawing.png")
    several = len(paths) > 1 or paths[0].is_dir()
    if output == STREAM or (from_stdin and not output):
        if several or paths[0].suffix.lower() in (".cbz", ".zip"):
            raise wrong("-o", "only one picture can go to stdout")
        if sys.stdout.isatty():
            raise wrong("-o", "a picture cannot be written to a terminal; use > colored.png, or -o FILE")
        return "stdout"
    if several and not output:
        raise wrong("-o", "a folder for the results is needed for several drawings")
    if several and Path(output or "").is_file():
        raise wrong("-o", f"{output} is a file; several drawings need a folder")
    if several:
        return "tree"
    if output and (Path(output).is_dir() or output.endswith(("/", os.sep))):
        if from_stdin:
            raise wrong("-o", f"{output} is a folder; name a file for the picture from stdin")
        return "folder"
    suffixes = _FORMAT_SUFFIXES.get(format or "")
    if output and suffixes and not output.lower().endswith((*suffixes, ".cbz", ".zip")):
        raise wrong("--format", f"{format} does not fit {output}; the name of the result says its format already")
    return "file"


def find_layers(
    layers: LayerKind | None, output: str | None, format: str | None, destination: Destination
) -> LayerKind | None:
    """Return the kind of layers that is asked for, also by the name of the result alone.

    Raises:
        typer.BadParameter: layers do not fit to what else is asked for.
        MissingExtraError: they need a package that is not installed.
    """
    named = _LAYER_SUFFIXES.get(Path(output or "").suffix.lower()) if destination == "file" else None
    if layers is None and format is None:
        layers = named
    if layers and format:
        raise wrong("--format", f"{format} is for pictures; the result is layers, in the format that --layers names")
    if layers == "png" and destination == "stdout":
        raise wrong("--layers", "png is several files, which need a folder; use ora or psd")
    if layers in ("ora", "psd") and destination == "file" and output and named != layers:
        raise wrong("--layers", f"{layers} does not fit {output}; name a file ending in .{layers}")
    if layers == "psd" and find_spec("psd_tools") is None:  # one error, not one per picture
        raise MissingExtraError("colorize --layers psd", "layers", "psd-tools")
    return layers


def check_regions(layers: str | None, lines: str, preview: Path | None, gap: int | None, *, flat: bool) -> None:
    """Refuse options for regions and layers that contradict one another. Raises typer.BadParameter."""
    if gap is not None and not (flat or layers):
        raise wrong("--gap", "it is for regions; give --flat or --layers")
    if lines == "model" and (flat or layers):
        option = "--flat" if flat else "--layers"
        raise wrong("--lines", f"the network's picture has lines of its own, which {option} cannot use")
    if preview and layers:
        raise wrong("--preview", "a contact sheet shows pictures, not layers")


def check_outputs(
    destination: Destination, *, as_json: bool, print_paths: bool, shard: str | None, variations: int | None
) -> None:
    """Refuse options for results that do not fit where these go. Raises typer.BadParameter."""
    if as_json + print_paths + (destination == "stdout") > 1:
        raise wrong("--print", "only one of --json, --print and a picture can go to stdout")
    if shard and destination != "tree":
        raise wrong("--shard", "only a folder, or several files, can be divided")
    if variations and destination == "stdout":
        raise wrong("--variations", "only one picture can go to stdout")


def check_colors(palette: str | None, reference: Path | None, variations: int | None, *, exact: bool) -> None:
    """Refuse options for colors that contradict one another. Raises typer.BadParameter."""
    if palette is not None and reference is not None:
        raise wrong("--reference", "a palette is given already; choose one of --palette and --reference")
    given = palette is not None or reference is not None
    if variations and given:
        raise wrong("--variations", "each variation has a palette of its own; leave --palette and --reference out")
    if exact and not (given or variations):
        raise wrong("--exact", "there are no colors to use; give --palette or --reference")
