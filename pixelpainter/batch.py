"""Many pictures: find them, decide where each result goes, and color one after the other.

A job is one picture and the file its result goes to. `plan_file` and `plan_folder` make jobs from
what the user names, `run_jobs` does them and reports on each; one that fails does not stop the rest.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pixelpainter import __version__
from pixelpainter.colorize import Colorizer
from pixelpainter.compose import LineMode
from pixelpainter.errors import InputError, OutputError, PixelPainterError
from pixelpainter.hints import Hint
from pixelpainter.imaging import PICTURE_SUFFIXES, SAVE_SUFFIXES, open_picture, save_picture

RESULT_SUFFIX = ".png"  # results of a folder: lossless, and every browser and paint program reads it


@dataclass(frozen=True)
class Job:
    """One picture to color.

    Attributes:
        source: the drawing.
        target: the file for the result.
        problem: why this job cannot be done, known before it starts.
    """

    source: Path
    target: Path
    problem: PixelPainterError | None = None


@dataclass(frozen=True)
class JobResult:
    """What became of a job.

    Attributes:
        source: the drawing.
        output: the written file; None if the job failed.
        status: whether the result was written.
        seconds: wall-clock time.
        error: why the job failed. Anything but a PixelPainterError is a bug of this program.
    """

    source: Path
    output: Path | None
    status: Literal["done", "failed"]
    seconds: float
    error: Exception | None = None


def plan_file(source: Path, target: Path | None = None) -> Job:
    """Return the job of a single file; without a target, NAME_color.png beside it."""
    return Job(source, target or source.with_name(f"{source.stem}_color{RESULT_SUFFIX}"))


def plan_folder(sources: Sequence[Path], output: Path) -> list[Job]:
    """Return the jobs that color files and folders into one folder.

    A file goes to OUTPUT/NAME.png. A folder is searched with its sub-folders, and its tree mirrored:
    under OUTPUT itself if it is the only source, else under OUTPUT/FOLDER. Hidden files and the
    output folder are no input. Where two results would have one name, the drawing that has this name
    itself gets it and the others keep their suffix (``a.jpg`` beside ``a.png`` becomes ``a.jpg.png``).

    Raises:
        OutputError: the output folder is one of the sources.
    """
    pictures: dict[str, tuple[Path, Path]] = {}  # absolute path -> path as given, place under the output
    problems: list[Job] = []
    for source in sources:
        if not source.is_dir():
            pictures.setdefault(os.path.abspath(source), (source, Path(source.name)))  # noqa: PTH100 (no symlinks)
            continue
        if _same_file(source, output):
            raise OutputError(f"{output}: the output folder must not be the folder of the drawings")
        prefix = Path(source.resolve().name) if len(sources) > 1 else Path()
        found, unreadable = _find_pictures(source, output)
        problems += unreadable
        for picture in found:
            pictures.setdefault(
                os.path.abspath(picture),  # noqa: PTH100
                (picture, prefix / picture.relative_to(source)),
            )
        if not found and not unreadable:
            suffixes = ", ".join(sorted(PICTURE_SUFFIXES))
            problems.append(
                Job(source, output, InputError(f"{source}: there are no pictures in this folder ({suffixes})"))
            )
    names = _result_names([place for _, place in pictures.values()])
    jobs = [Job(picture, output / name) for (picture, _), name in zip(pictures.values(), names, strict=True)]
    return _without_loss(jobs) + problems


def _without_loss(jobs: list[Job]) -> list[Job]:
    """Give a problem to each job whose result would replace a drawing of this run."""
    drawings = {os.path.realpath(job.source) for job in jobs}
    return [
        dataclasses.replace(job, problem=OutputError(f"{job.target}: the result would replace a drawing"))
        if os.path.realpath(job.target) in drawings
        else job
        for job in jobs
    ]


def _find_pictures(folder: Path, output: Path) -> tuple[list[Path], list[Job]]:
    """Return the pictures under a folder, sorted, and a job with a problem for each unreadable sub-folder."""
    unreadable: list[Job] = []

    def note(error: OSError) -> None:
        problem = InputError(f"{error.filename}: the folder cannot be read ({error.strerror})")
        unreadable.append(Job(Path(error.filename), output, problem))

    pictures: list[Path] = []
    for parent, folders, files in os.walk(folder, onerror=note):
        here = Path(parent)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and not _same_file(here / name, output)
        )
        names = (name for name in files if not name.startswith("."))
        pictures += [here / name for name in names if Path(name).suffix.lower() in PICTURE_SUFFIXES]
    return sorted(pictures), unreadable


def _same_file(first: Path, second: Path) -> bool:
    try:
        return first.samefile(second)
    except OSError:  # one of them does not exist
        return False


def _result_names(places: Sequence[Path]) -> list[Path]:
    """Return a result's name for each drawing's place under the output; no name occurs twice."""
    wanted = [place.with_suffix(RESULT_SUFFIX) for place in places]
    uses = Counter(wanted)
    names: dict[int, Path] = {}
    taken: set[Path] = set()
    # Drawings that already have the name come first: adding a.jpg to a folder never renames a.png's result.
    order = sorted(range(len(places)), key=lambda index: (places[index] != wanted[index], places[index]))
    for index in order:
        place, name = places[index], wanted[index]
        if place != name and uses[name] > 1:
            name = place.with_name(place.name + RESULT_SUFFIX)
        number = 2
        while name in taken:
            name = place.with_name(f"{place.name}_{number}{RESULT_SUFFIX}")
            number += 1
        taken.add(name)
        names[index] = name
    return [names[index] for index in range(len(places))]


def run_jobs(jobs: Iterable[Job], work: Callable[[Job], None]) -> Iterator[JobResult]:
    """Do the jobs one after the other and report on each.

    Args:
        jobs: what to do.
        work: does one job, such as `color_job` with its settings filled in.

    Yields:
        One result per job, in order.
    """
    for job in jobs:
        start = time.perf_counter()
        error: Exception | None = job.problem
        if error is None:
            try:
                work(job)
            except MemoryError:
                error = InputError(f"{job.source}: there is not enough memory for this picture")
            except Exception as raised:  # a bug that one picture in a thousand shows must not cost the other 999
                error = raised
        seconds = time.perf_counter() - start
        if error is None:
            yield JobResult(job.source, job.target, "done", seconds)
        else:
            yield JobResult(job.source, None, "failed", seconds, error)


def color_job(
    job: Job,
    colorizer: Colorizer,
    *,
    hints: Sequence[Hint] = (),
    lines: LineMode = "original",
    clean: bool = True,
    overwrite: bool = False,
    max_pixels: int,
) -> None:
    """Color one file.

    Args:
        job: which file, and where the result goes; missing folders of the target are made.
        colorizer: the model.
        hints: see `Colorizer.colorize`.
        lines: see `Colorizer.colorize`.
        clean: see `Colorizer.colorize`.
        overwrite: replace an existing result.
        max_pixels: larger pictures are refused.

    Raises:
        InputError: the drawing, or a hint, cannot be used.
        ModelError: the model fails on this picture.
        OutputError: the result exists, or cannot be written.
    """
    if _same_file(job.source, job.target):
        raise OutputError(f"{job.target}: the result would replace the drawing itself; name another file")
    if os.path.lexists(job.target) and not overwrite:  # save_picture asks again, but only after the work
        raise OutputError(f"{job.target}: exists already; use --overwrite to replace it")
    if job.target.suffix.lower() not in SAVE_SUFFIXES:  # the same
        raise OutputError(
            f"{job.target}: cannot write this kind of file; use one of {', '.join(sorted(SAVE_SUFFIXES))}"
        )
    picture = open_picture(job.source, max_pixels=max_pixels)
    rgb = colorizer.colorize_picture(picture, hints=hints, lines=lines, clean=clean)
    try:
        job.target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{job.target.parent}: the folder cannot be made ({error.strerror})") from error
    metadata = {"Software": f"PixelPainter {__version__}", "Model": colorizer.file.name}
    save_picture(rgb, job.target, alpha=picture.alpha, dpi=picture.dpi, overwrite=overwrite, metadata=metadata)
