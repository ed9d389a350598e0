"""Check how the options of `colorize` and `refine` are used together, before anything heavy is imported."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import typer

from pixelpainter.extras import require

STREAM = "-"  # as a path: stdin or stdout
AUTO = "auto"  # as --lines-from: the drawings lie beside their pictures
Destination = Literal["stdout", "file", "tree"]
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
    """Tell where results go: to stdout, into one file, or (with a record of the run) into a tree of files.

    Raises:
        typer.BadParameter: paths and ``-o`` do not fit together.
    """
    from_stdin = Path(STREAM) in paths
    if from_stdin and len(paths) > 1:
        raise wrong("PATH", "- stands for one picture from stdin; it cannot be mixed with files")
    if from_stdin and sys.stdin.isatty():
        raise wrong("PATH", "- reads a picture from stdin, but stdin is a terminal; use < drawing.png")
    several = are_several(paths)
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
        return "tree"
    suffixes = _FORMAT_SUFFIXES.get(format or "")
    if output and suffixes and not output.lower().endswith((*suffixes, ".cbz", ".zip")):
        raise wrong("--format", f"{format} does not fit {output}; the name of the result says its format already")
    return "file"


def are_several(paths: Sequence[Path]) -> bool:
    """Tell whether paths may stand for more than one picture or archive."""
    return len(paths) > 1 or paths[0].is_dir()


def find_layers(
    layers: LayerKind | None, output: str | None, format: str | None, destination: Destination
) -> LayerKind | None:
    """Return the kind of layers that is asked for, also by the name of the result alone.

    Raises:
        typer.BadParameter: layers do not fit to what else is asked for.
        MissingExtraError: they need a package that is not installed.
    """
    from pixelpainter.suffixes import SAVE_SUFFIXES  # it looks for parts of PIL, which --help need not wait for

    named = _LAYER_SUFFIXES.get(Path(output or "").suffix.lower()) if destination == "file" else None
    if layers is None and format is None:
        layers = named
    if layers and format:
        raise wrong("--format", f"{format} is for pictures; the result is layers, in the format that --layers names")
    if layers == "png" and destination == "stdout":
        raise wrong("--layers", "png is several files, which need a folder; use ora or psd")
    if layers == "png" and destination == "file" and output and Path(output).suffix.lower() in SAVE_SUFFIXES:
        raise wrong("--layers", f"png is several files, which need a folder; {output} is the name of one picture")
    if layers in ("ora", "psd") and destination == "file" and output and named != layers:
        raise wrong("--layers", f"{layers} does not fit {output}; name a file ending in .{layers}")
    if layers == "psd":  # one error, not one per picture
        require("colorize --layers psd", "layers", "psd_tools")
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
    paths: Sequence[Path],
    destination: Destination,
    *,
    as_json: bool,
    print_paths: bool,
    shard: str | None,
    patterns: Sequence[str] | None,
    not_for_stdout: Mapping[str, object],
) -> None:
    """Refuse options for results that do not fit where these go; the last ones are named with what is given.

    Raises:
        typer.BadParameter: there is one.
    """
    if as_json + print_paths + (destination == "stdout") > 1:
        raise wrong("--print", "only one of --json, --print and a picture can go to stdout")
    if shard and destination != "tree":
        raise wrong("--shard", "only a folder, or several files, can be divided")
    if patterns and not any(path.is_dir() for path in paths):
        raise wrong("--pattern", "it chooses among the files in a folder, and no folder is named")
    for option, given in not_for_stdout.items():
        if given and destination == "stdout":
            raise wrong(option, "it does not go with one picture on stdout; name a file or folder with -o")


def check_colors(
    palette: str | None, reference: Path | None, variations: int | None, seed: int, *, exact: bool
) -> None:
    """Refuse options for colors that contradict one another. Raises typer.BadParameter."""
    if palette is not None and reference is not None:
        raise wrong("--reference", "a palette is given already; choose one of --palette and --reference")
    given = palette is not None or reference is not None
    if variations and given:
        raise wrong("--variations", "each variation has a palette of its own; leave --palette and --reference out")
    if seed and not variations:
        raise wrong("--seed", "it is for the palettes of --variations")
    if exact and not (given or variations):
        raise wrong("--exact", "there are no colors to use; give --palette or --reference")


def given_or_piped(paths: list[Path] | None) -> list[Path]:
    """Return the paths; none at all stand for a pipe. Raises typer.BadParameter."""
    if not paths and sys.stdin.isatty():
        raise wrong("PATH", "name a picture or a folder, or pipe a picture in")
    return paths or [Path(STREAM)]


def check_place(server: str | None, server_from: str | None, timeout: float, local: Sequence[str]) -> None:
    """Refuse options of this machine together with a server, and others for it. Raises typer.BadParameter."""
    if server and server_from:
        raise wrong("--server-from", "the server is named already, by --server or $PIXELPAINTER_SERVER")
    if local and (server or server_from):
        raise wrong(local[0], "a server has its own; leave this out, or --server (and $PIXELPAINTER_SERVER)")
    if not 1 <= timeout < math.inf:
        raise wrong("--timeout", f"{timeout:g} is no number of seconds from 1 up")


def check_lines(lines_from: Path | None, controlnet: str | None, paths: Sequence[Path]) -> None:
    """Refuse drawings that do not fit what is refined. Raises typer.BadParameter."""
    if lines_from is None:
        if controlnet:
            raise wrong("--controlnet", "it holds on to a drawing; name that with --lines-from")
        return
    one_file = str(lines_from) != AUTO and not lines_from.is_dir()
    if one_file and not lines_from.exists():
        raise wrong("--lines-from", f"there is no file or folder {lines_from}")
    if one_file and are_several(paths):
        raise wrong("--lines-from", f"{lines_from} is one drawing; several pictures need the folder of theirs, or auto")
    if not one_file and paths[0] == Path(STREAM):
        raise wrong("--lines-from", "a picture from stdin has no name to find its drawing by; name the drawing's file")


def check_numbers(strength: float, guidance: float, seed: int) -> None:
    """Refuse values that mean nothing. Raises typer.BadParameter."""
    if not 0 < strength <= 1:
        raise wrong("--strength", f"{strength:g} is not above 0 and at most 1")
    if not 0 <= guidance <= 100:
        raise wrong("--guidance", f"{guidance:g} is not from 0 to 100")
    if seed >= 1 << 63:
        raise wrong("--seed", f"{seed} has more than 63 bits")
