"""`pixelpainter colorize`: drawings in, colored pictures out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pixelpainter.cli.messages import print_error, print_note

if TYPE_CHECKING:
    from pixelpainter.batch import JobResult

COLORS = "Colors and lines"
FILES = "Files"
MACHINE = "Running"
MAX_PIXELS = 150_000_000  # the default of imaging.open_picture, which may not be imported here


def colorize(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Drawings, or folders of them.", show_default=False)
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT",
            help="Result file for one drawing, or folder. Needed for folders and several files. "
            "Default for one drawing: NAME_color.png beside it.",
            rich_help_panel=FILES,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing results.", rich_help_panel=FILES)
    ] = False,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Refuse larger pictures, width times height.", rich_help_panel=FILES)
    ] = MAX_PIXELS,
    hint: Annotated[
        list[str] | None,
        typer.Option(
            metavar="x,y,RRGGBB[,radius]",
            help="Color at a place, in pixels from the top left; may be repeated.",
            rich_help_panel=COLORS,
            show_default=False,
        ),
    ] = None,
    lines: Annotated[
        Literal["original", "model", "none"],
        typer.Option(
            help="Lines of the result: the drawing's own, the network's picture as it is, or none.",
            rich_help_panel=COLORS,
        ),
    ] = "original",
    no_clean: Annotated[
        bool,
        typer.Option(
            "--no-clean",
            help="Take the drawing as it is: do not invert white on black, do not whiten paper.",
            rich_help_panel=COLORS,
        ),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="ONNX model made by `pixelpainter export`. Default: $PIXELPAINTER_MODEL, or the one in the package.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processor cores to use. Default: all this process may use.",
            rich_help_panel=MACHINE,
            show_default=False,
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.", rich_help_panel=MACHINE)] = False,
) -> None:
    """Color line drawings. The result has the size and the lines of the drawing.

    [bold]Examples[/bold]

    pixelpainter colorize sketch.png

    pixelpainter colorize sketch.png -o colored.png --hint 210,80,D04030 --hint 200,300,3060C0

    pixelpainter colorize pages/ -o colored/
    """
    several = len(paths) > 1 or paths[0].is_dir()
    if several and not output:
        raise typer.BadParameter("a folder for the results is needed for several drawings", param_hint="'-o'")
    if several and Path(output or ".").is_file():
        raise typer.BadParameter(f"{output} is a file; several drawings need a folder", param_hint="'-o'")
    # Imported here, so that --help and usage errors wait for neither numpy nor onnxruntime.
    from functools import partial

    from pixelpainter import batch
    from pixelpainter.colorize import Colorizer
    from pixelpainter.hints import parse_hint

    try:
        hints = [parse_hint(text) for text in hint or ()]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="'--hint'") from error
    if output and (several or Path(output).is_dir() or output.endswith(("/", os.sep))):
        jobs = batch.plan_folder(paths, Path(output))
    else:
        jobs = [batch.plan_file(paths[0], Path(output) if output else None)]
    work = partial(
        batch.color_job,
        colorizer=Colorizer(model, threads=threads),
        hints=hints,
        lines=lines,
        clean=not no_clean,
        overwrite=overwrite,
        max_pixels=max_pixels,
    )
    if _watch(batch.run_jobs(jobs, work), len(jobs), quiet=quiet):
        raise typer.Exit(1)


def _watch(results: Iterator[JobResult], total: int, *, quiet: bool) -> int:
    """Print results as they come. Returns the number of failed jobs; the error of a single job is raised."""
    colored = failed = 0
    with _progress(total, bar=total > 1 and not quiet and sys.stderr.isatty()) as advance:
        try:
            for result in results:
                number = f"[{colored + failed + 1}/{total}] " if total > 1 else ""
                if result.error is None:
                    colored += 1
                    note = f"{number}{result.source} -> {result.output} ({result.seconds:.2f} s)"
                elif total == 1:
                    raise result.error
                else:
                    failed += 1
                    print_error(result.error, about=str(result.source))
                    note = f"{number}{result.source} failed"
                if not advance() and not quiet:
                    print_note(note)
        except KeyboardInterrupt:
            print_note(f"interrupted: {colored} of {total} colored")
            raise
    if total > 1 and not (quiet and not failed):
        print_note(f"{colored} colored" + (f", {failed} failed" if failed else ""))
    return failed


@contextmanager
def _progress(total: int, *, bar: bool) -> Iterator[Callable[[], bool]]:
    """Show a progress bar on stderr. Yields what moves it on by one; that returns whether there is a bar."""
    if not bar:
        yield lambda: False
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("coloring"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Errors printed while the bar is shown go through its console, which keeps them above it.
    with Progress(*columns, console=Console(stderr=True), redirect_stderr=True, transient=True) as progress:
        task = progress.add_task("", total=total)

        def advance() -> bool:
            progress.advance(task)
            return True

        yield advance
