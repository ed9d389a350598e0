"""Color many pictures and archives: several at once, what is up to date is left alone, one bad file stops nothing."""

from __future__ import annotations

import dataclasses
import itertools
import os
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal

from pixelpainter.atomic import new_file
from pixelpainter.errors import InputError, OutputError
from pixelpainter.imaging import SAVE_SUFFIXES
from pixelpainter.painter import Painter, PaintStatus
from pixelpainter.pipeline import in_order
from pixelpainter.plan import FormatName, Job
from pixelpainter.records import Record, Records, State, hash_bytes, hash_file, hash_stream
from pixelpainter.saving import short_reason, shown_name

Status = Literal["colored", "copied", "skipped", "unchanged", "failed"]


@dataclass(frozen=True)
class JobResult:
    """What became of a job.

    Attributes:
        source: the drawing or archive.
        output: the file of the result; None if there is none.
        status: "colored"; "copied" or "skipped" because it already was colored; "unchanged" because the
            result is up to date; "failed".
        seconds: wall-clock time.
        size: (width, height) of a picture that was opened.
        pages: number of pages of an archive that was opened.
        error: why the job failed. Anything but a PixelPainterError or OSError is a bug of this program.
        notes: what else the user should know, one line each.
    """

    source: Path
    output: Path | None
    status: Status
    seconds: float = 0.0
    size: tuple[int, int] | None = None
    pages: int | None = None
    error: Exception | None = None
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
            "notes": list(self.notes),
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


def color_job(
    job: Job,
    painter: Painter,
    *,
    records: Records | None = None,
    overwrite: bool = False,
    format: FormatName | None = None,
    workers: int = 1,
    data: bytes | None = None,
    on_page: Callable[[], None] | None = None,
) -> JobResult:
    """Color one picture or archive.

    Args:
        job: which file, and where the result goes; missing folders of the target are made.
        painter: model and settings.
        records: what made the results that exist; None = an existing file is never up to date.
        overwrite: replace an existing result, whatever it is.
        format: kind of the pages in archives; that of pictures is in the target's suffix.
        workers: how many pages of an archive to work on at once.
        data: the bytes of the drawing; None = read them from the job's source.
        on_page: called for each page of an archive that is done, in the calling thread.

    Raises:
        InputError: the drawing, or a hint, cannot be used.
        ModelError: the model fails on this picture.
        OutputError: the result exists, or cannot be written.
    """
    if data is None and job.source.exists() and job.target.exists() and job.source.samefile(job.target):
        raise OutputError(f"{shown_name(job.target)}: the result would replace the drawing itself; name another file")
    if records is None and not overwrite and os.path.lexists(job.target):
        raise _exists(job)
    if job.is_archive:
        return _color_archive(
            job, painter, records, overwrite=overwrite, format=format, workers=workers, on_page=on_page
        )
    return _color_picture(job, painter.read(job.source) if data is None else data, painter, records, overwrite)


def state_of(job: Job, painter: Painter, records: Records | None, format: FormatName | None = None) -> State:
    """Tell what the file of a job's result is, see `Records.state`, without coloring anything."""
    if not os.path.lexists(job.target):
        return "missing"
    if records is None:
        return "foreign"
    return records.state(job.place, job.target, hash_file(job.source), _made_by(job, painter, format))


def _color_picture(job: Job, data: bytes, painter: Painter, records: Records | None, overwrite: bool) -> JobResult:
    source, made_by = hash_bytes(data), _made_by(job, painter, None)
    replace = _may_replace(job, records, overwrite, source, made_by)
    if replace is None:
        return JobResult(job.source, job.target, "unchanged")
    painted = painter.paint(data, shown_name(job.source), SAVE_SUFFIXES[job.target.suffix.lower()])
    notes = _NOTES.get(painted.status, ())
    if painted.status == "skipped":
        return JobResult(job.source, None, "skipped", size=painted.size, notes=notes)

    def fill(stream: BinaryIO) -> bool:
        stream.write(painted.data)
        return True

    _store(job, fill, replace=replace, records=records, source=source, made_by=made_by)
    return JobResult(job.source, job.target, painted.status, size=painted.size, notes=notes)


_NOTES: dict[PaintStatus, tuple[str, ...]] = {
    "copied": ("already colored, copied as it is (--colored force colors it)",),
    "skipped": ("already colored, left out",),
}


def _color_archive(
    job: Job,
    painter: Painter,
    records: Records | None,
    *,
    overwrite: bool,
    format: FormatName | None,
    workers: int,
    on_page: Callable[[], None] | None,
) -> JobResult:
    from pixelpainter.archives import ArchiveResult, color_archive  # zipfile costs a single picture 10 ms

    source, made_by = hash_file(job.source), _made_by(job, painter, format)
    replace = _may_replace(job, records, overwrite, source, made_by)
    if replace is None:
        return JobResult(job.source, job.target, "unchanged")
    done = ArchiveResult()

    def fill(stream: BinaryIO) -> bool:
        nonlocal done
        done = color_archive(job.source, stream, painter, format=format, workers=workers, on_page=on_page)
        return not done.problems

    _store(job, fill, replace=replace, records=records, source=source, made_by=made_by)
    notes = done.problems
    if done.already:
        notes += (f"{done.already} of {done.pages} pages already colored, copied as they are",)
    error = None
    if done.problems:
        error = InputError(f"{shown_name(job.source)}: {len(done.problems)} of {done.pages} pages could not be colored")
    status: Status = "failed" if error else "colored" if done.colored or not done.pages else "copied"
    return JobResult(job.source, job.target, status, pages=done.pages, error=error, notes=notes)


def _made_by(job: Job, painter: Painter, format: FormatName | None) -> str:
    """Return what decides how a result looks, apart from the drawing."""
    return f"{painter.fingerprint} {format or 'keep'}" if job.is_archive else painter.fingerprint


def _may_replace(job: Job, records: Records | None, overwrite: bool, source: str, made_by: str) -> bool | None:
    """Tell whether to replace the target (False: there is none); None if it is up to date. Raises OutputError."""
    if overwrite or records is None:
        return overwrite
    state = records.state(job.place, job.target, source, made_by)
    if state == "foreign":
        raise _exists(job)
    return None if state == "current" else state == "outdated"


def _exists(job: Job) -> OutputError:
    return OutputError(f"{shown_name(job.target)}: exists already; use --overwrite to replace it")


def _store(
    job: Job,
    fill: Callable[[BinaryIO], bool],
    *,
    replace: bool,
    records: Records | None,
    source: str,
    made_by: str,
) -> None:
    """Write a result, and first its record. ``fill`` writes the content, and tells whether all went well."""
    name, content = shown_name(job.target), ""
    try:
        job.target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        folder = shown_name(job.target.parent)
        raise OutputError(f"{folder}: the folder cannot be made ({short_reason(error)})") from error
    try:
        with new_file(job.target, overwrite=replace) as stream:
            whole = fill(stream)
            if records is not None:
                stream.flush()
                stream.seek(0)
                content = hash_stream(stream)
                records.add(Record(job.place, content, source, made_by, whole))
    except FileExistsError as error:
        if not content or hash_file(job.target) != content:  # else another process was asked for the same
            raise OutputError(f"{name}: appeared meanwhile; use --overwrite to replace it") from error
    except OSError as error:
        raise OutputError(f"{name}: cannot be written ({short_reason(error)})") from error


def share_cores(cores: int, pictures: int, workers: int | None = None) -> tuple[int, int]:
    """Divide processor cores between pictures, and within one picture.

    Args:
        cores: how many to use.
        pictures: how many there are to color.
        workers: how many pictures to work on at once; None = one per core, for that needs no waiting.

    Returns:
        How many pictures to work on at once, and how many threads the network gets for each.
    """
    workers = workers or max(1, min(cores, pictures))
    return workers, max(1, cores // workers)
