"""Where results go, which existing files they may replace, and how they get there whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from pixelpainter.atomic import new_file
from pixelpainter.errors import OutputError
from pixelpainter.painter import Painter
from pixelpainter.plan import FormatName, Job
from pixelpainter.records import Record, Records, State, hash_file, hash_stream
from pixelpainter.saving import short_reason, shown_name


@dataclass(frozen=True, kw_only=True)
class Results:
    """What a run knows about the files it writes.

    Attributes:
        records: what made the results that exist; None = an existing file is never up to date.
        overwrite: replace an existing result, whatever it is.
        format: kind of the pages in archives; that of pictures is in the target's suffix.
    """

    records: Records | None = None
    overwrite: bool = False
    format: FormatName | None = None

    def made_by(self, job: Job, painter: Painter) -> str:
        """Return what decides how a result looks, apart from the drawing."""
        return f"{painter.fingerprint} {self.format or 'keep'}" if job.is_archive else painter.fingerprint

    def state(self, job: Job, painter: Painter, source: str | None = None) -> State:
        """Tell what a job would find, without coloring anything.

        Args:
            job: what to color.
            painter: model and settings.
            source: SHA-256 of the drawing; None = it is computed if it is needed.

        Returns:
            "missing" and "outdated" are to be colored, "current" is not.

        Raises:
            PixelPainterError: the job cannot be done, or would replace a file that it may not replace.
        """
        if job.problem is not None:
            raise job.problem
        if not os.path.lexists(job.target):
            return "missing"
        name = shown_name(job.target)
        if job.data is None and job.source.exists() and job.target.exists() and job.source.samefile(job.target):
            raise OutputError(f"{name}: the result would replace the drawing itself; name another file")
        if self.overwrite:
            return "outdated"
        state: State = "foreign"
        if self.records is not None:
            made_by = self.made_by(job, painter)
            state = self.records.state(job.place, job.target, source or hash_file(job.source), made_by)
        if state == "foreign":
            raise OutputError(f"{name}: exists already; use --overwrite to replace it")
        return state

    def store(
        self, job: Job, fill: Callable[[BinaryIO], bool], *, replace: bool, source: str, painter: Painter
    ) -> None:
        """Write a result, and first its record.

        Args:
            job: says where.
            fill: writes the content, and tells whether all went well.
            replace: whether there is a file to be replaced; if not, one that appears meanwhile is safe.
            source: SHA-256 of the drawing.
            painter: model and settings.

        Raises:
            OutputError: the result cannot be written.
        """
        name, content = shown_name(job.target), ""
        try:
            job.target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            folder = shown_name(job.target.parent)
            raise OutputError(f"{folder}: the folder cannot be made ({short_reason(error)})") from error
        try:
            with new_file(job.target, overwrite=replace or self.overwrite) as stream:
                whole = fill(stream)
                if self.records is not None:
                    stream.flush()
                    stream.seek(0)
                    content = hash_stream(stream)
                    self.records.add(Record(job.place, content, source, self.made_by(job, painter), whole))
        except FileExistsError as error:
            if not content or hash_file(job.target) != content:  # else another process was asked for the same
                raise OutputError(f"{name}: appeared meanwhile; use --overwrite to replace it") from error
        except OSError as error:
            raise OutputError(f"{name}: cannot be written ({short_reason(error)})") from error
