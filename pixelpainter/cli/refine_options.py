"""The options that only `pixelpainter refine` has; the others are in options.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pixelpainter.cli.options import LINES, MACHINE, RESULT

PICTURE = "What the model does"

# The defaults of refine.settings.RefineSettings, which may not be imported here.
STRENGTH, STEPS, GUIDANCE, SEED = 0.3, 30, 7.5, 0
TIMEOUT_S = 600.0  # of refine.remote.RemoteRefiner

Paths = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="PATH",
        help="Colored pictures, archives (.cbz, .zip), folders of them, or - for stdin.",
        show_default=False,
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="OUT",
        help="File, folder, or - for stdout; a folder for several pictures. Default for one: NAME_refined.png.",
        rich_help_panel=RESULT,
    ),
]
Strength = Annotated[
    float,
    typer.Option(
        metavar="X",
        help="How far the result may leave the picture, up to 1; 0.1 to 0.5 is sensible.",
        rich_help_panel=PICTURE,
    ),
]
Steps = Annotated[
    int,
    typer.Option(
        min=1,
        max=200,
        metavar="N",
        help="Of the whole schedule; strength times N of them run.",
        rich_help_panel=PICTURE,
    ),
]
Guidance = Annotated[
    float,
    typer.Option(min=0, max=100, metavar="X", help="How closely the prompt is followed.", rich_help_panel=PICTURE),
]
Prompt = Annotated[
    str | None,
    typer.Option(
        metavar="WORDS",
        help='What the picture shall be. Default: "high quality anime art, vibrant colors".',
        rich_help_panel=PICTURE,
    ),
]
NegativePrompt = Annotated[
    str | None,
    typer.Option(
        metavar="WORDS",
        help='What it shall not be. Default: "lowres, blurry, jpeg artifacts, watermark, text".',
        rich_help_panel=PICTURE,
    ),
]
Seed = Annotated[
    int,
    typer.Option(min=0, metavar="N", help="Same seed, same result.", rich_help_panel=PICTURE),
]
LinesFrom = Annotated[
    Path | None,
    typer.Option(
        metavar="SKETCH",
        help="Put the lines of your drawing back, at full resolution: its file; the folder with the drawings of a "
        "folder; or auto: girl.png beside girl_color.png. Without it, lines are as the model paints them.",
        rich_help_panel=LINES,
    ),
]
ControlNet = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="lineart-anime, or one on the Hub or in a folder: makes the model hold on to the drawing.",
        rich_help_panel=LINES,
    ),
]
Preset = Annotated[
    Literal["balanced", "quality"] | None,
    typer.Option(
        metavar="NAME",
        help="balanced (default): Anything v4.0; quality: Counterfeit v3.0.",
        rich_help_panel=MACHINE,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="Instead: owner/repo\\[@revision] on the Hugging Face Hub, a diffusers folder, or a .safetensors file.",
        rich_help_panel=MACHINE,
    ),
]
Device = Annotated[
    Literal["auto", "cuda", "mps", "cpu"],
    typer.Option(
        metavar="NAME",
        help="Where the model runs: auto (default), cuda, mps, or cpu.",
        rich_help_panel=MACHINE,
        show_default=False,
    ),
]
NumberType = Annotated[
    Literal["auto", "float32", "float16", "bfloat16"],
    typer.Option(
        metavar="KIND",
        help="Its numbers: auto (default), float32, float16, or bfloat16.",
        rich_help_panel=MACHINE,
        show_default=False,
    ),
]
AllowPickle = Annotated[
    bool,
    typer.Option(
        "--allow-pickle",
        metavar="",
        help="Load weights that are no safetensors too. They can run any program: only from whom you trust.",
        rich_help_panel=MACHINE,
    ),
]
Server = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Send the pictures to a `pixelpainter serve --refine`, such as http://gpu-box:8000.",
        envvar="PIXELPAINTER_SERVER",
        rich_help_panel=MACHINE,
    ),
]
ServerFrom = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Read there where that server is (`serve --announce URL`).",
        rich_help_panel=MACHINE,
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        metavar="TOKEN",
        help="The server's token.",
        envvar="PIXELPAINTER_TOKEN",
        rich_help_panel=MACHINE,
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        metavar="S",
        help="Seconds that the server may take for a picture.",
        rich_help_panel=MACHINE,
    ),
]
