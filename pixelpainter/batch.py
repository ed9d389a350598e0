"""Color or refine many pictures and archives: what is up to date is left alone, one bad file stops nothing."""

from __future__ import annotations

import dataclasses
import itertools
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar

from pixelpainter.atomic import clean_leftovers
from pixelpainter.errors import InputError
from pixelpainter.file_painter import FilePainter, PaintStatus
from pixelpainter.pipeline import in_order
from pixelpainter.plan import FormatName, Job
from pixelpainter.records import hash_bytes, hash_file
from pixelpainter.results import Results
from pixelpainter.saving import shown_name
from pixelpainter.suffixes import SAVE_SUFFIXES

Status = Literal["colored", "refined", "copied", "skipped", "unchanged", "failed"]
AnyPainter = TypeVar("AnyPainter", bound=FilePainter)


@dataclass(frozen=True)
class JobResult:
    """What became of a job.

    Attributes:
        source: the drawing or archive.
        output: the file of the result; None if there is none.
        status: "colored" or "refined"; "copied" or "skipped" because it already was colored; "unchanged" because the
            result is up to date; "failed".
        seconds: wall-clock time.
        size: (width, height) of a picture that was opened.
        pages: number of pages of an archive that was opened.
        error: why the job failed. Anything but a PixelPainterError or OSError is a bug of this program.
        problems: of an archive, why pages could not be painted, one line each.
        notes: what else the user should know, one line each.
    """

    source: Path
    output: Path | None
    status: Status
    seconds: float = 0.0
    size: tuple[int, int] | None = None
    pages: int | None = None
    error: Exception | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def report(self) -> dict[str, Any]:
        """Return the result as a line of a report: plain values for JSON."""
        width, height = self.size or (None, None)
        return {
            "path": str(self.source),
            "output": None if self.output is None else str(self.output),
            "status": self.status,
            "seconds": round(self.seconds, 4),
            "width": width,
            "height": height,
            "pages": self.pages,
            "error": None if self.error is None else type(self.error).__name__,
            "message": None if self.error is None else str(self.error),
            "notes": [*self.problems, *self.notes],
        }


def run_jobs(jobs: Iterable[Job], work: Callable[[Job], JobResult], workers: int = 1) -> Iterator[JobResult]:
    """Do the jobs and report on each.

    Args:
        jobs: what to do.
        work: does one job, such as `color_job` with its settings filled in; called from several threads.
        workers: how many pictures to work on at once. Archives are done one at a time: their pages share
            the workers.

    Yields:
        One result per job, in order.
    """
    for archive, group in itertools.groupby(jobs, key=lambda job: job.is_archive):
        yield from in_order(partial(_attempt, work), group, 1 if archive else workers)


def _attempt(work: Callable[[Job], JobResult], job: Job) -> JobResult:
    """Do one job; whatever is raised becomes a failed result."""
    start = time.perf_counter()

    def failed(error: Exception) -> JobResult:
        return JobResult(job.source, None, "failed", time.perf_counter() - start, error=error)

    if job.problem is not None:
        return failed(job.problem)
    try:
        return dataclasses.replace(work(job), seconds=time.perf_counter() - start)
    except MemoryError:
        return failed(InputError(f"{job.source}: there is not enough memory for this picture"))
    except Exception as raised:  # a bug that one picture in a thousand shows must not cost the other 999
        _forget_frames(raised)
        return failed(raised)


def _forget_frames(error: BaseException | None) -> None:
    """Forget what the functions that failed were working on.

    An error holds their frames, and those of the thread hold the error: the picture would stay in memory until the
    next search for garbage.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def color_jobs(
    jobs: Sequence[Job],
    painters: Sequence[FilePainter],
    results: Results,
    *,
    workers: int = 1,
    on_page: Callable[[], None] | None = None,
) -> Iterator[JobResult]:
    """Color pictures and archives; see `run_jobs`, `painter_of` and `color_job`.

    Args:
        jobs: what to color.
        painters: one for each variation.
        results: where results go, and what they may replace.
        workers: how many pictures to work on at once.
        on_page: called for each page of an archive that is done.
    """
    clean_leftovers(dict.fromkeys(file.parent for job in jobs for file, _ in job.files))

    def work(job: Job) -> JobResult:
        return color_job(job, painter_of(job, painters), results, workers=workers, on_page=on_page)

    return run_jobs(jobs, work, workers)


def painter_of(job: Job, painters: Sequence[AnyPainter]) -> AnyPainter:
    """Return the painter of a job: that of its variation, and it knows the hints in files beside the drawing.

    Raises:
        InputError: there is such a file, but it cannot be used.
    """
    painter = painters[job.variation]
    return painter if job.data is not None or job.is_archive else painter.beside(job.source)


def color_job(
    job: Job,
    painter: FilePainter,
    results: Results,
    *,
    workers: int = 1,
    on_page: Callable[[], None] | None = None,
) -> JobResult:
    """Color one picture or archive.

    Args:
        job: which drawing, and where the result goes; missing folders of the target are made.
        painter: model and settings.
        results: what may be replaced.
        workers: how many pages of an archive to work on at once.
        on_page: called for each page of an archive that is done, in the calling thread.

    Raises:
        InputError: the drawing, or a hint, cannot be used.
        ModelError: the model fails on this picture.
        OutputError: the result exists, or cannot be written.
    """
    data = b"" if job.is_archive else painter.read(job.source) if job.data is None else job.data
    source = hash_file(job.source) if job.is_archive else hash_bytes(data)
    state = results.state(job, painter, source)
    if state == "current":
        return JobResult(job.source, job.target, "unchanged")
    store = partial(results.store, job, replace=state == "outdated", source=source, painter=painter)
    if job.is_archive:
        return _color_archive(job, painter, store, format=results.format, workers=workers, on_page=on_page)
    return _color_picture(job, data, painter, store)


_Store = Callable[[Sequence[Callable[[BinaryIO], bool]]], None]


def _color_picture(job: Job, data: bytes, painter: FilePainter, store: _Store) -> JobResult:
    format = None if job.layers else SAVE_SUFFIXES[job.target.suffix.lower()]
    painted = painter.paint(data, shown_name(job.source), format, job.layers)
    notes = _NOTES.get(painted.status, ()) + painted.notes
    if painted.status == "skipped":
        return JobResult(job.source, None, "skipped", size=painted.size, notes=notes)

    def fill(content: bytes, stream: BinaryIO) -> bool:
        stream.write(content)
        return True

    store([partial(fill, content) for content in painted.files])
    return JobResult(job.source, job.target, painted.status, size=painted.size, notes=notes)


_NOTES: dict[PaintStatus, tuple[str, ...]] = {
    "copied": ("already colored, copied as it is (--colored force colors it)",),
    "skipped": ("already colored, left out",),
}


def _color_archive(
    job: Job,
    painter: FilePainter,
    store: _Store,
    *,
    format: FormatName | None,
    workers: int,
    on_page: Callable[[], None] | None,
) -> JobResult:
    from pixelpainter.archives import ArchiveResult, color_archive  # zipfile costs a single picture 10 ms

    done = ArchiveResult()

    def fill(stream: BinaryIO) -> bool:
        nonlocal done
        done = color_archive(job.source, stream, painter, format=format, workers=workers, on_page=on_page)
        return not done.problems

    store([fill])
    notes = done.notes
    if done.already:
        notes += (f"{done.already} of {done.pages} pages already colored, copied as they are",)
    if not done.pages:
        notes += ("there are no pictures in it, copied as it is",)
    error = None
    if done.problems:
        count = f"{len(done.problems)} of {done.pages} pages"
        error = InputError(f"{shown_name(job.source)}: {count} could not be {painter.done}")
    status: Status = "failed" if error else painter.done if done.colored else "copied"
    return JobResult(job.source, job.target, status, pages=done.pages, error=error, problems=done.problems, notes=notes)
