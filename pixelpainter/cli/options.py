"""The options of `pixelpainter colorize`, grouped as its help shows them, and the checks of their usage."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import typer

RESULT = "Result"
COLORS = "Colors and lines"
FOLDERS = "Folders and archives"
MESSAGES = "Messages and reports"
MACHINE = "Running"
MAX_PIXELS = 150_000_000  # the default of imaging.open_picture, which may not be imported here

Paths = Annotated[
    list[Path],
    typer.Argument(
        metavar="PATH", help="Drawings, archives (.cbz, .zip), folders of them, or - for stdin.", show_default=False
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="OUT",
        help="File, folder, or - for stdout. Needed for folders and several files. Otherwise: NAME_color.png "
        "beside the drawing.",
        rich_help_panel=RESULT,
    ),
]
Format = Annotated[
    Literal["png", "jpg", "webp", "tiff", "keep"] | None,
    typer.Option(
        help="Kind of the results; keep = as the drawing. Default: what -o FILE says, keep in archives, else png.",
        rich_help_panel=RESULT,
        show_default=False,
    ),
]
Quality = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=100,
        help="Of JPEG (default 95) and WebP (90; 100 is lossless).",
        rich_help_panel=RESULT,
        show_default=False,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing results.", rich_help_panel=RESULT)]
Colored = Annotated[
    Literal["copy", "skip", "force"],
    typer.Option(help="Pictures that already are colored: copy, leave out, or color them.", rich_help_panel=RESULT),
]
Hints = Annotated[
    list[str] | None,
    typer.Option(
        "--hint",
        metavar="x,y,RRGGBB[,radius]",
        help="Color at a place, in pixels from the top left; may be repeated.",
        rich_help_panel=COLORS,
        show_default=False,
    ),
]
HintsFile = Annotated[
    Path | None,
    typer.Option(
        "--hints",
        metavar="FILE",
        help="Transparent PNG of the drawing's size with strokes of color, or a JSON list of hints. "
        "NAME.hints.png and NAME.hints.json beside a drawing are found by themselves.",
        rich_help_panel=COLORS,
        show_default=False,
    ),
]
Palette = Annotated[
    str | None,
    typer.Option(
        metavar="COLORS",
        help="Colors to use: a list RRGGBB[:share],..., a .gpl, .aco or .ase file, or a picture. "
        "The first color covers most where no shares are given.",
        rich_help_panel=COLORS,
        show_default=False,
    ),
]
Reference = Annotated[
    Path | None,
    typer.Option(
        metavar="PICTURE",
        help="Use the colors of the figure in a finished picture.",
        rich_help_panel=COLORS,
        show_default=False,
    ),
]
Exact = Annotated[
    bool,
    typer.Option(
        "--exact",
        help="Use the colors of --palette or --reference only, with their light and shade. Without it, a model that "
        "reads palettes takes them as a guide.",
        rich_help_panel=COLORS,
    ),
]
Saturation = Annotated[
    float,
    typer.Option(
        min=0,
        max=4,
        metavar="FACTOR",
        help="How strong the colors are: 1 = as the model made them, 0 = gray. Hints stay as they are.",
        rich_help_panel=COLORS,
    ),
]
Variations = Annotated[
    int | None,
    typer.Option(
        min=2,
        max=100,
        metavar="N",
        help="Color each drawing N times, with invented palettes: NAME_color_1.png and so on.",
        rich_help_panel=COLORS,
        show_default=False,
    ),
]
Seed = Annotated[
    int,
    typer.Option(min=0, help="Another seed invents other palettes for --variations.", rich_help_panel=COLORS),
]
Lines = Annotated[
    Literal["original", "model", "none"],
    typer.Option(
        help="Lines of the result: the drawing's own, the network's picture as it is, or none.",
        rich_help_panel=COLORS,
    ),
]
NoClean = Annotated[
    bool,
    typer.Option(
        "--no-clean",
        help="Take the drawing as it is: do not invert white on black, do not whiten paper.",
        rich_help_panel=COLORS,
    ),
]
Patterns = Annotated[
    list[str] | None,
    typer.Option(
        "--pattern",
        metavar="GLOB",
        help="Of folders, take only such files: 'p*.png', 'ch1/*'; may be repeated.",
        rich_help_panel=FOLDERS,
        show_default=False,
    ),
]
Shard = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help="Do the I-th of N parts, for job arrays; the parts may run at the same time.",
        rich_help_panel=FOLDERS,
        show_default=False,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Print what would be done, and change nothing.", rich_help_panel=FOLDERS),
]
Preview = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.png",
        help="Save a contact sheet: drawings beside results.",
        rich_help_panel=FOLDERS,
        show_default=False,
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.jsonl",
        help="Append one line of JSON per file: status, seconds, size, error.",
        rich_help_panel=MESSAGES,
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print a summary as JSON on stdout.", rich_help_panel=MESSAGES)]
Print = Annotated[bool, typer.Option("--print", help="Print the results' paths on stdout.", rich_help_panel=MESSAGES)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.", rich_help_panel=MESSAGES)]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="ONNX file, name (`pixelpainter models list`), or owner/repo\\[@revision][:file] on the Hugging Face Hub. "
        "Default: $PIXELPAINTER_MODEL, or the one in the package.",
        rich_help_panel=MACHINE,
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=256,
        help="Pictures to work on at once. Default: one per core.",
        rich_help_panel=MACHINE,
        show_default=False,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Processor cores to use. Default: all this process may use.",
        rich_help_panel=MACHINE,
        show_default=False,
    ),
]
Device = Annotated[
    Literal["auto", "cpu", "cuda"],
    typer.Option(help="Where the network runs; auto = CUDA where it works.", rich_help_panel=MACHINE),
]
MaxPixels = Annotated[
    int, typer.Option(min=1, help="Refuse larger pictures, width times height.", rich_help_panel=MACHINE)
]

STREAM = "-"  # as a path: stdin or stdout
Destination = Literal["stdout", "file", "folder", "tree"]
Value = TypeVar("Value")

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
