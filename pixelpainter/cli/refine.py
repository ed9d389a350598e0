"""`pixelpainter refine`: colored pictures in, pictures that a diffusion model has painted over out."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pixelpainter.cli import options, progress
from pixelpainter.cli import refine_options as own
from pixelpainter.cli.messages import note_printer, print_note
from pixelpainter.cli.streams import paint_to_stdout
from pixelpainter.cli.usage import (
    AUTO,
    STREAM,
    Destination,
    check_lines,
    check_numbers,
    check_outputs,
    check_place,
    find_destination,
    given_or_piped,
    parsed,
)
from pixelpainter.errors import InputError, PixelPainterError, ServerLostError

if TYPE_CHECKING:
    from pixelpainter.batch import JobResult
    from pixelpainter.plan import FormatName, Job
    from pixelpainter.refine.painting import RefinePainter
    from pixelpainter.refine.remote import RemoteRefiner
    from pixelpainter.refine.settings import Refiner
    from pixelpainter.results import Results


def refine(
    paths: own.Paths = None,
    output: own.Output = None,
    format: options.Format = None,
    quality: options.Quality = None,
    overwrite: options.Overwrite = False,
    strength: own.Strength = own.STRENGTH,
    steps: own.Steps = own.STEPS,
    guidance: own.Guidance = own.GUIDANCE,
    prompt: own.Prompt = None,
    negative_prompt: own.NegativePrompt = None,
    seed: own.Seed = own.SEED,
    lines_from: own.LinesFrom = None,
    controlnet: own.ControlNet = None,
    pattern: options.Patterns = None,
    shard: options.Shard = None,
    dry_run: options.DryRun = False,
    report: options.Report = None,
    as_json: options.Json = False,
    print_paths: options.Print = False,
    quiet: options.Quiet = False,
    preset: own.Preset = None,
    model: own.Model = None,
    device: own.Device = "auto",
    dtype: own.NumberType = "auto",
    allow_pickle: own.AllowPickle = False,
    server: own.Server = None,
    server_from: own.ServerFrom = None,
    token: own.Token = None,
    timeout: own.Timeout = own.TIMEOUT_S,
    max_pixels: options.MaxPixels = options.MAX_PIXELS,
) -> None:
    """Polish colored pictures with a diffusion model. The result has the size of the picture.

    [bold]Examples[/bold]

    pixelpainter refine sketch_color.png --lines-from sketch.png

    pixelpainter colorize sketch.png -o - | pixelpainter refine > finished.png

    pixelpainter refine colored/ -o refined/ --server http://gpu-box:8000   (goes on where it stopped)
    """
    paths = given_or_piped(paths)
    destination = find_destination(paths, output, format)
    check_outputs(
        paths,
        destination,
        as_json=as_json,
        print_paths=print_paths,
        shard=shard,
        patterns=pattern,
        not_for_stdout={"--report": report},
    )
    local = {"--preset": preset, "--model": model, "--controlnet": controlnet, "--allow-pickle": allow_pickle}
    local |= {"--device": device != "auto", "--dtype": dtype != "auto"}
    check_place(server, server_from, timeout, [option for option, given in local.items() if given])
    check_lines(lines_from, controlnet, paths)
    check_numbers(strength, guidance, seed)
    # Imported from here on, so that --help and wrong usage wait for neither numpy nor torch.
    from pixelpainter.batch import painter_of
    from pixelpainter.plan import parse_shard, without_loss
    from pixelpainter.records import Records
    from pixelpainter.refine.painting import RefinePainter
    from pixelpainter.refine.settings import RefineSettings
    from pixelpainter.results import Results

    (part,) = parsed("--shard", parse_shard, [shard] if shard else ()) or (None,)
    with_lines = lines_from is not None
    plan = _plan(paths, output, destination, format, pattern or (), part, with_lines=with_lines, quiet=quiet)
    settings = RefineSettings(
        strength=strength,
        steps=steps,
        guidance=guidance,
        prompt=RefineSettings.prompt if prompt is None else prompt,
        negative_prompt=RefineSettings.negative_prompt if negative_prompt is None else negative_prompt,
        seed=seed,
    )
    if not quiet:
        _warn_of_strength(strength)
    with ExitStack() as stack:
        remote = bool(server or server_from)
        refiner: Refiner
        load = None
        if remote:
            refiner = stack.enter_context(_find_server(server, server_from, token, timeout, quiet=quiet))
        else:
            from pixelpainter.refine.local import LocalRefiner

            refiner = local_refiner = LocalRefiner(
                model or preset or "balanced",
                controlnet=controlnet,
                device=device,
                dtype=dtype,
                allow_pickle=allow_pickle,
                quiet=quiet,
            )
            load = local_refiner.load
        painter = RefinePainter(
            refiner=refiner,
            settings=settings,
            guided=bool(controlnet) or remote,  # whether a server has a ControlNet is its own business
            quality=quality,
            max_pixels=max_pixels,
        )
        painter = _with_lines(painter, lines_from, paths)
        if overwrite and lines_from is not None:
            plan = without_loss(plan, _drawings_of(plan, painter, lines_from))
        if paths[0] == Path(STREAM):
            data = painter.read_stream(sys.stdin.buffer, "stdin")
            plan = [dataclasses.replace(job, data=data) for job in plan]
        if destination == "tree" or dry_run:
            _ = refiner.identity  # a model or a server that cannot be used is one error, not one per picture
        records = Records(Path(output), part) if output and destination == "tree" else None
        results = Results(records=records, overwrite=overwrite, format=format)
        if dry_run:
            raise typer.Exit(progress.print_plan(plan, [painter], results, as_json=as_json, words=progress.REFINE))
        if destination == "stdout":
            paint_to_stdout(plan[0], painter_of(plan[0], [painter]), format, quiet=quiet)
            return
        if load is not None and destination == "tree" and _is_work(plan, painter, results):
            load()  # the same for a model that is found but cannot be loaded
        meter = progress.Meter()
        with records or nullcontext(), progress.open_report(report) as log:
            done = _until_lost(_refine_all(plan, painter, results, meter), len(plan))
            tally = progress.watch(
                done, plan, meter, quiet=quiet, log=log, print_paths=print_paths, words=progress.REFINE
            )
    if as_json:
        progress.print_summary(tally, progress.REFINE)
    if tally.failures:
        raise typer.Exit(1)


def _is_work(plan: Sequence[Job], painter: RefinePainter, results: Results) -> bool:
    """Tell whether there is anything to refine."""
    from pixelpainter.batch import painter_of

    for job in plan:
        with suppress(PixelPainterError):
            if results.state(job, painter_of(job, [painter])) != "current":
                return True
    return False


def _refine_all(
    plan: Sequence[Job], painter: RefinePainter, results: Results, meter: progress.Meter
) -> Iterator[JobResult]:
    """Refine the pictures one after the other: neither a graphics card nor a server works on two at once.

    In the main thread, so that Ctrl-C stops a picture that takes minutes.
    """
    from pixelpainter.batch import color_jobs

    return color_jobs(plan, [painter], results, workers=1, on_page=meter.advance)


def _until_lost(results: Iterable[JobResult], total: int) -> Iterator[JobResult]:
    """Yield results up to the first that says that no other can come."""
    for number, result in enumerate(results, 1):
        yield result
        if isinstance(result.error, ServerLostError) and number < total:
            print_note(f"stopped: {total - number} more were not tried; the same command goes on from here")
            return


def _warn_of_strength(strength: float) -> None:
    """Warn of a strength that seldom helps."""
    from pixelpainter.refine.settings import SENSIBLE_STRENGTH

    low, high = SENSIBLE_STRENGTH
    if strength < low:
        print_note(f"warning: --strength {strength:g} is below {low}: next to nothing will change")
    elif strength > high:
        print_note(f"warning: --strength {strength:g} is above {high}: it will be another picture")


def _plan(
    paths: Sequence[Path],
    output: str | None,
    destination: Destination,
    format: FormatName | None,
    patterns: Sequence[str],
    part: tuple[int, int] | None,
    *,
    with_lines: bool,
    quiet: bool,
) -> list[Job]:
    """Return the jobs of this run, and of its part if there are several."""
    from pixelpainter import plan

    if destination in ("file", "stdout"):
        target = Path(output) if output and destination == "file" else None
        source = Path("stdin") if paths[0] == Path(STREAM) else paths[0]  # a name for messages
        jobs = [plan.plan_file(source, target, format, ending="_refined")]
    else:
        assert output is not None
        jobs = plan.plan_folder(
            paths,
            Path(output),
            format=format,
            patterns=patterns,
            refining=True,
            on_note=note_printer(quiet),
        )
    if with_lines:
        jobs = [
            dataclasses.replace(
                job, problem=InputError(f"{job.source}: lines cannot be put back in archives; unpack it first")
            )
            if job.is_archive and job.problem is None
            else job
            for job in jobs
        ]
    return plan.take_shard(jobs, part) if part is not None else jobs


def _find_server(
    server: str | None, server_from: str | None, token: str | None, timeout: float, *, quiet: bool
) -> RemoteRefiner:
    """Return the client of the server that the options name, and say where the pictures will go."""
    from pixelpainter.refine.address import parse_address, read_announcement
    from pixelpainter.refine.remote import RemoteRefiner

    say = note_printer(quiet)
    if server:
        (address,) = parsed("--server", parse_address, [server])
    else:
        (address,) = parsed("--server-from", lambda text: read_announcement(text, on_note=say), [server_from or ""])
    if not address.is_loopback:
        say(f"the pictures leave this machine: they are sent to {address.host}")
        if token and not address.is_encrypted:
            say(f"warning: anyone on the way to {address.host} can read the token and the pictures; use https")
    return parsed("--token", lambda text: RemoteRefiner(address, token=text or None, timeout_s=timeout), [token or ""])[
        0
    ]


def _with_lines(painter: RefinePainter, lines_from: Path | None, paths: Sequence[Path]) -> RefinePainter:
    """Return the painter that knows where the drawings are. Raises InputError."""
    from pixelpainter.refine.drawings import Drawings

    if lines_from is None:
        return painter
    if str(lines_from) == AUTO:
        return dataclasses.replace(painter, drawings=Drawings(None))
    if lines_from.is_dir():
        roots = tuple(path for path in paths if path.is_dir())
        return dataclasses.replace(painter, drawings=Drawings(lines_from, roots))
    return painter.with_sketch(lines_from)


def _drawings_of(plan: Sequence[Job], painter: RefinePainter, lines_from: Path) -> list[Path]:
    """Return the drawings whose lines are put back, as far as they are found."""
    if painter.drawings is None:
        return [lines_from]
    drawings: list[Path] = []
    for job in plan:
        with suppress(InputError):
            drawings.append(painter.drawings.find(job.source))
    return drawings
