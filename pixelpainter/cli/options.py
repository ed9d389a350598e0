"""The options of `pixelpainter colorize`, grouped as its help shows them.

Short names stand for their values, for those make the middle column of the help, and with it all of it, wide.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

RESULT = "Result"
COLORS = "Colors"
LINES = "Lines"
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
        help="File, folder, or - for stdout; a folder for several drawings. Default for one: NAME_color.png.",
        rich_help_panel=RESULT,
    ),
]
Format = Annotated[
    Literal["png", "jpg", "webp", "tiff", "keep"] | None,
    typer.Option(
        metavar="KIND",
        help="png, jpg, webp, tiff, or keep (as the drawing). Default: what -o FILE says, keep in archives, else png.",
        rich_help_panel=RESULT,
    ),
]
Layers = Annotated[
    Literal["ora", "psd", "png"] | None,
    typer.Option(
        metavar="KIND",
        help="Flats, shading, light and lines as layers: ora (Krita, GIMP), psd, or png, a folder of files.",
        rich_help_panel=RESULT,
    ),
]
Quality = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=100,
        metavar="N",
        help="Of JPEG (default 95) and WebP (90; 100 is lossless).",
        rich_help_panel=RESULT,
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", metavar="", help="Replace existing results.", rich_help_panel=RESULT)
]
Colored = Annotated[
    Literal["copy", "skip", "force"],
    typer.Option(
        metavar="ACTION",
        help="For pictures that already are colored: copy them (default), skip them, or force new colors.",
        rich_help_panel=RESULT,
        show_default=False,
    ),
]
Hints = Annotated[
    list[str] | None,
    typer.Option(
        "--hint",
        metavar="HINT",
        help="x,y,RRGGBB or x,y,RRGGBB,radius: a color at a place, in pixels from the top left; may be repeated.",
        rich_help_panel=COLORS,
    ),
]
HintsFile = Annotated[
    Path | None,
    typer.Option(
        "--hints",
        metavar="FILE",
        help="Strokes of color on a transparent PNG of the drawing's size, or a JSON list of hints. Beside a drawing, "
        "NAME.hints.png and NAME.hints.json need no option.",
        rich_help_panel=COLORS,
    ),
]
Palette = Annotated[
    str | None,
    typer.Option(
        metavar="COLORS",
        help="Colors to use: RRGGBB[:share],..., a .gpl, .aco or .ase file, or a picture. Without shares, the first "
        "color covers most.",
        rich_help_panel=COLORS,
    ),
]
Reference = Annotated[
    Path | None,
    typer.Option(
        metavar="PICTURE",
        help="Use the colors of a finished picture of the character, and where they sit on it.",
        rich_help_panel=COLORS,
    ),
]
Exact = Annotated[
    bool,
    typer.Option(
        "--exact",
        metavar="",
        help="Use those colors only, with their light and shade. Without it, they may be a guide.",
        rich_help_panel=COLORS,
    ),
]
Saturation = Annotated[
    float,
    typer.Option(
        min=0,
        max=4,
        metavar="X",
        help="How strong the colors are: 1 = as the model made them, 0 = gray. Hints stay as they are.",
        rich_help_panel=COLORS,
        show_default=False,
    ),
]
Even = Annotated[
    float,
    typer.Option(
        min=0,
        max=1,
        metavar="X",
        help="How far patches inside a region are evened out: 0 = as the model painted them, 1 = wholly.",
        rich_help_panel=COLORS,
        show_default=False,
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
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="N",
        help="Another seed invents other palettes for --variations.",
        rich_help_panel=COLORS,
        show_default=False,
    ),
]
Lines = Annotated[
    Literal["original", "model", "none"],
    typer.Option(
        metavar="WHOSE",
        help="original (default): the drawing's own; model: the network's picture as it is; none: color alone.",
        rich_help_panel=LINES,
        show_default=False,
    ),
]
Flat = Annotated[
    bool,
    typer.Option("--flat", metavar="", help="One color per region, without light and shade.", rich_help_panel=LINES),
]
Gap = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=1000,
        metavar="PX",
        help="For --flat and --layers, close holes in lines up to this wide. Default: 8 in a drawing of 2048.",
        rich_help_panel=LINES,
    ),
]
NoClean = Annotated[
    bool,
    typer.Option(
        "--no-clean",
        metavar="",
        help="Take the drawing as it is: do not invert white on black, do not whiten paper.",
        rich_help_panel=LINES,
    ),
]
Patterns = Annotated[
    list[str] | None,
    typer.Option(
        "--pattern",
        metavar="GLOB",
        help="Of folders, take only such files: 'p*.png', 'ch1/*'; may be repeated.",
        rich_help_panel=FOLDERS,
    ),
]
Shard = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help="Do the I-th of N parts, for job arrays; the parts may run at the same time.",
        rich_help_panel=FOLDERS,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", metavar="", help="Print what would be done, and change nothing.", rich_help_panel=FOLDERS
    ),
]
Preview = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.png",
        help="Save a contact sheet: drawings beside results.",
        rich_help_panel=FOLDERS,
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.jsonl",
        help="Append one line of JSON per file: status, seconds, size, error.",
        rich_help_panel=MESSAGES,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", metavar="", help="Print a summary as JSON on stdout.", rich_help_panel=MESSAGES)
]
Print = Annotated[
    bool, typer.Option("--print", metavar="", help="Print the results' paths on stdout.", rich_help_panel=MESSAGES)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", metavar="", help="Print errors only.", rich_help_panel=MESSAGES)]
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
        metavar="N",
        help="Pictures to work on at once. Default: one per core.",
        rich_help_panel=MACHINE,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Processor cores to use. Default: all this process may use.",
        rich_help_panel=MACHINE,
    ),
]
Device = Annotated[
    Literal["auto", "cpu", "cuda"],
    typer.Option(
        metavar="NAME",
        help="Where the network runs: auto (default: on CUDA where that works), cpu, or cuda.",
        rich_help_panel=MACHINE,
        show_default=False,
    ),
]
MaxPixels = Annotated[
    int,
    typer.Option(min=1, metavar="N", help="Refuse larger pictures, width times height.", rich_help_panel=MACHINE),
]
