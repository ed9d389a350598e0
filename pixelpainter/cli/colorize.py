"""`pixelpainter colorize`: drawings in, colored pictures out."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pixelpainter.cli import options, progress
from pixelpainter.cli.messages import note_printer, print_error, print_note
from pixelpainter.cli.streams import paint_to_stdout
from pixelpainter.cli.usage import (
    STREAM,
    Destination,
    check_colors,
    check_outputs,
    check_regions,
    find_destination,
    find_layers,
    parsed,
    wrong,
)

if TYPE_CHECKING:
    from pixelpainter.hints import Hint
    from pixelpainter.layers.files import LayerFormat
    from pixelpainter.painter import Painter
    from pixelpainter.palette import Swatch
    from pixelpainter.plan import FormatName, Job
    from pixelpainter.reference import Reference
    from pixelpainter.strokes import Strokes


def colorize(
    paths: options.Paths,
    output: options.Output = None,
    format: options.Format = None,
    layers: options.Layers = None,
    quality: options.Quality = None,
    overwrite: options.Overwrite = False,
    colored: options.Colored = "copy",
    hint: options.Hints = None,
    hints_file: options.HintsFile = None,
    palette: options.Palette = None,
    reference: options.Reference = None,
    exact: options.Exact = False,
    saturation: options.Saturation = 1.0,
    even: options.Even = 0.8,
    variations: options.Variations = None,
    seed: options.Seed = 0,
    lines: options.Lines = "original",
    flat: options.Flat = False,
    gap: options.Gap = None,
    no_clean: options.NoClean = False,
    pattern: options.Patterns = None,
    shard: options.Shard = None,
    dry_run: options.DryRun = False,
    preview: options.Preview = None,
    report: options.Report = None,
    as_json: options.Json = False,
    print_paths: options.Print = False,
    quiet: options.Quiet = False,
    model: options.Model = None,
    device: options.Device = "auto",
    jobs: options.Jobs = None,
    threads: options.Threads = None,
    max_pixels: options.MaxPixels = options.MAX_PIXELS,
) -> None:
    """Color line drawings. The result has the size and the lines of the drawing.

    [bold]Examples[/bold]

    pixelpainter colorize sketch.png

    pixelpainter colorize sketch.png --hint 210,80,D04030 --hint 200,300,3060C0

    pixelpainter colorize pages/ book.cbz -o colored/   (goes on where it stopped)
    """
    destination = find_destination(paths, output, format)
    layers = find_layers(layers, output, format, destination)
    check_regions(layers, lines, preview, gap, flat=flat)
    check_outputs(
        paths,
        destination,
        as_json=as_json,
        print_paths=print_paths,
        shard=shard,
        patterns=pattern,
        not_for_stdout={
            "--variations": variations,
            "--preview": preview,
            "--report": report,
            "--colored": colored == "skip",
        },
    )
    check_colors(palette, reference, variations, seed, exact=exact)
    # Imported here, so that --help and most usage errors wait for neither numpy nor onnxruntime; and the model first:
    # it loads while the rest is imported.
    from pixelpainter.devices import available_cpus, share_cores
    from pixelpainter.plan import parse_shard, without_loss

    (part,) = parsed("--shard", parse_shard, [shard] if shard else ()) or (None,)
    plan = _plan(paths, output, destination, format, layers, pattern or (), part, preview, variations, quiet=quiet)
    inputs = [Path(file) for file in (hints_file, reference, palette) if file]  # a palette may be no file: no matter
    plan = without_loss(plan, inputs)
    cores = threads or available_cpus()
    workers, network_threads = share_cores(cores, sum(cores if job.is_archive else 1 for job in plan), jobs)
    from pixelpainter.session import Session

    session = Session(model, threads=network_threads, device=device, quiet=quiet, hashed=True)
    import cv2

    from pixelpainter import batch
    from pixelpainter.colorize import Colorizer
    from pixelpainter.painter import Painter
    from pixelpainter.records import Records
    from pixelpainter.results import Results
    from pixelpainter.settings import Settings

    cv2.setNumThreads(network_threads)
    hints, strokes = _read_hints(hint or (), hints_file, max_pixels)
    palettes = _palettes(palette, variations, seed, max_pixels)
    finished = _read_reference(reference, max_pixels)
    colorizer = Colorizer(session)
    painter = Painter(colorizer=colorizer, colored=colored, quality=quality, max_pixels=max_pixels)
    wanted = partial(
        Settings,
        hints=hints,
        strokes=strokes,
        reference=finished,
        saturation=saturation,
        even=even,
        lines=lines,
        flat=flat,
        gap=gap,
        clean=not no_clean,
    )
    painters = [dataclasses.replace(painter, settings=wanted(palette=swatches, exact=exact)) for swatches in palettes]
    if paths[0] == Path(STREAM):
        data = painter.read_stream(sys.stdin.buffer, "stdin")
        plan = [dataclasses.replace(job, data=data) for job in plan]
    if destination == "tree" or dry_run:
        _ = colorizer.card  # a model that cannot be used is one error, not one per picture
    if preview:
        _check_preview(preview, plan, inputs, overwrite=overwrite)
    records = Records(Path(output), part) if output and destination == "tree" else None
    results = Results(records=records, overwrite=overwrite, format=format)
    if dry_run:
        raise typer.Exit(progress.print_plan(plan, painters, results, as_json=as_json))
    if destination == "stdout":
        paint_to_stdout(plan[0], batch.painter_of(plan[0], painters), format, quiet=quiet)
        return
    meter = progress.Meter()
    with records or nullcontext(), progress.open_report(report) as log:
        done = batch.color_jobs(plan, painters, results, workers=workers, on_page=meter.advance)
        tally = progress.watch(done, plan, meter, quiet=quiet, log=log, print_paths=print_paths)
    _finish(tally, preview, painter, quiet=quiet, as_json=as_json)


def _read_hints(
    texts: Sequence[str], file: Path | None, max_pixels: int
) -> tuple[tuple[Hint, ...], tuple[Strokes, ...]]:
    """Return the hints and strokes that the options name; those of --hint cover those of the file."""
    from pixelpainter.hints import parse_hint

    hints = parsed("--hint", parse_hint, texts)
    if file is None:
        return hints, ()
    from pixelpainter.strokes import read_hints

    listed, strokes = read_hints(file, max_pixels=max_pixels)
    return listed + hints, strokes


def _palettes(palette: str | None, variations: int | None, seed: int, max_pixels: int) -> list[tuple[Swatch, ...]]:
    """Return the colors that the options name, or those of each variation."""
    if variations:
        from pixelpainter.variations import invent_palette

        return [invent_palette(seed, number) for number in range(variations)]
    if palette is None:
        return [()]
    from pixelpainter.palette_files import read_palette

    return list(parsed("--palette", partial(read_palette, max_pixels=max_pixels), [palette]))


def _read_reference(reference: Path | None, max_pixels: int) -> Reference | None:
    if reference is None:
        return None
    from pixelpainter.reference import read_reference

    return read_reference(reference, max_pixels=max_pixels)


def _plan(
    paths: Sequence[Path],
    output: str | None,
    destination: Destination,
    format: FormatName | None,
    layers: LayerFormat | None,
    patterns: Sequence[str],
    part: tuple[int, int] | None,
    preview: Path | None,
    variations: int | None,
    *,
    quiet: bool,
) -> list[Job]:
    """Return the jobs of this run, and of its part if there are several."""
    from pixelpainter import plan
    from pixelpainter.suffixes import is_side_car

    if all(is_side_car(path) for path in paths):
        raise wrong("PATH", f"{paths[0]} holds the hints of a drawing; name the drawing")
    if destination in ("file", "stdout"):
        target = None if destination == "stdout" else output
        source = Path("stdin") if paths[0] == Path(STREAM) else paths[0]  # a name for messages
        jobs = [plan.plan_file(source, Path(target) if target else None, format, layers)]
    else:
        assert output is not None
        exclude = [] if preview is None or not _is_sheet(preview) else [preview]
        jobs = plan.plan_folder(
            paths,
            Path(output),
            format=format,
            patterns=patterns,
            exclude=exclude,
            layers=layers,
            on_note=note_printer(quiet),
        )
    if part is not None:
        jobs = plan.take_shard(jobs, part)
    return plan.plan_variations(jobs, variations) if variations else jobs


def _is_sheet(preview: Path) -> bool:
    """Tell whether a contact sheet of an earlier run is there."""
    if not preview.exists():
        return False
    from pixelpainter.preview import is_sheet

    return is_sheet(preview)


def _check_preview(preview: Path, plan: Sequence[Job], inputs: Sequence[Path], *, overwrite: bool) -> None:
    """Refuse a contact sheet in the place of something else, before any work."""
    from pixelpainter.preview import check_sheet
    from pixelpainter.suffixes import is_side_car

    used = {os.path.realpath(file) for job in plan for file in (job.source, job.target)}
    used |= {os.path.realpath(file) for file in inputs}
    if os.path.realpath(preview) in used or is_side_car(preview):
        raise wrong("--preview", f"{preview} is the name of a drawing, a result or another file of this run too")
    check_sheet(preview, overwrite=overwrite)


def _finish(tally: progress.Tally, preview: Path | None, painter: Painter, *, quiet: bool, as_json: bool) -> None:
    """Save the contact sheet, print the summary, and set the exit status; a sheet that fails costs nothing else."""
    if preview is not None:
        from pixelpainter.preview import save_sheet

        try:
            shown = save_sheet(preview, tally.pairs, painter)
        except Exception as error:
            print_error(error, about=str(preview))
            tally.failures.append({"path": str(preview), "error": type(error).__name__, "message": str(error)})
        else:
            if not quiet:
                print_note(f"{shown} of {len(tally.pairs)} results on {preview}")
    if as_json:
        progress.print_summary(tally)
    if tally.failures:
        raise typer.Exit(1)
