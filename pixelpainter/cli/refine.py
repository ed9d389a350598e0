"""`pixelpainter refine`: the extra polish of a diffusion model. Not there yet; its options are settled."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pixelpainter.errors import PixelPainterError

WHAT = "What to do"
WHERE = "Where it runs"
FILES = "Files"


def refine(
    pictures: Annotated[
        list[Path],
        typer.Argument(metavar="PICTURE", help="Colored pictures, or folders of them.", show_default=False),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            help="Result file, or folder. Default: NAME_refined.png beside the picture.",
            rich_help_panel=FILES,
        ),
    ] = None,
    lines_from: Annotated[
        Path | None,
        typer.Option(help="Drawing whose lines are put back over the result.", rich_help_panel=FILES, metavar="SKETCH"),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing results.", rich_help_panel=FILES)
    ] = False,
    strength: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="How far the result may leave the picture: 0 not at all.", rich_help_panel=WHAT
        ),
    ] = 0.3,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the full schedule.", rich_help_panel=WHAT)] = 30,
    prompt: Annotated[str | None, typer.Option(help="Words that describe the picture.", rich_help_panel=WHAT)] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same result.", rich_help_panel=WHAT)] = None,
    preset: Annotated[
        Literal["balanced", "quality"], typer.Option(help="Diffusion model.", rich_help_panel=WHAT)
    ] = "balanced",
    model: Annotated[
        str | None, typer.Option(help="Diffusion model by name or folder, instead of a preset.", rich_help_panel=WHAT)
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(
            help="Address of a `pixelpainter serve --refine` on another machine.",
            metavar="URL",
            envvar="PIXELPAINTER_SERVER",
            rich_help_panel=WHERE,
        ),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Where to compute.", rich_help_panel=WHERE)
    ] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.", rich_help_panel=WHERE)] = False,
) -> None:
    """Polish colored pictures with a diffusion model ([bold]comes in a later version[/bold]).

    [bold]Examples[/bold]

    pixelpainter refine sketch_color.png --strength 0.3

    pixelpainter refine colored/ -o refined/ --server http://gpu-machine:8000
    """
    raise PixelPainterError("refine: this command comes in a later version of PixelPainter; nothing was changed")
