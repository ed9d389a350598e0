"""Where results go, which existing files they may replace, and how they get there whole."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pixelpainter.atomic import new_file
from pixelpainter.errors import OutputError
from pixelpainter.file_painter import FilePainter, opened
from pixelpainter.plan import FormatName, Job
from pixelpainter.records import Record, Records, State, hash_file
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

    def made_by(self, job: Job, painter: FilePainter) -> str:
        """Return what decides how a result looks, apart from the drawing."""
        made_by = f"{painter.done} {painter.fingerprint}"
        return f"{made_by} {self.format or 'keep'}" if job.is_archive else made_by

    def state(self, job: Job, painter: FilePainter, source: str | None = None) -> State:
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
        if source is None and job.data is None:
            with opened(job.source):  # it is there
                pass
        if not any(os.path.lexists(file) for file, _ in job.files):
            return "missing"
        if self.records is not None and not self.overwrite:
            source = source or hash_file(job.source)
        states = {self._state(job, file, place, painter, source or "") for file, place in job.files}
        return states.pop() if len(states) == 1 else "outdated"  # some files of several: a run that was stopped

    def _state(self, job: Job, file: Path, place: str, painter: FilePainter, source: str) -> State:
        """Tell what one file of a result is. Raises OutputError if it may not be replaced."""
        if not os.path.lexists(file):
            return "missing"
        name = shown_name(file)
        if job.data is None and job.source.exists() and file.exists() and job.source.samefile(file):
            raise OutputError(f"{name}: the result would replace the drawing itself; name another file")
        if self.overwrite:
            return "outdated"
        state: State = "foreign"
        if self.records is not None:
            state = self.records.state(file, self._record(job, place, painter, source))
        if state == "foreign":
            raise OutputError(f"{name}: exists already; use --overwrite to replace it")
        return state

    def store(
        self, job: Job, fills: Sequence[Callable[[BinaryIO], bool]], *, replace: bool, source: str, painter: FilePainter
    ) -> None:
        """Write a result, each file after its record.

        Args:
            job: says where.
            fills: for each file of the job: writes the content, and tells whether all went well.
            replace: whether there is a file to be replaced; if not, one that appears meanwhile is safe.
            source: SHA-256 of the drawing.
            painter: model and settings.

        Raises:
            OutputError: the result cannot be written.
        """
        for (file, place), fill in zip(job.files, fills, strict=True):
            self._store(file, fill, replace, self._record(job, place, painter, source))

    def _record(self, job: Job, place: str, painter: FilePainter, source: str) -> Record:
        """Return what makes one file of a result, of which the content is not known yet."""
        drawing = None if self.records is None else self.records.path_of(job.source)
        return Record(place, "", source, self.made_by(job, painter), drawing=drawing)

    def _store(self, file: Path, fill: Callable[[BinaryIO], bool], replace: bool, record: Record) -> None:
        """Write one file, and first its record. Raises OutputError."""
        name, content = shown_name(file), ""
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            folder = shown_name(file.parent)
            raise OutputError(f"{folder}: the folder cannot be made ({short_reason(error)})") from error
        try:
            with new_file(file, overwrite=replace or self.overwrite) as stream:
                whole = fill(stream)
                if self.records is not None:
                    stream.flush()
                    stream.seek(0)
                    content = hashlib.file_digest(stream, "sha256").hexdigest()
                    self.records.add(dataclasses.replace(record, result=content, whole=whole))
        except FileExistsError as error:
            if not content or hash_file(file) != content:  # else another process was asked for the same
                raise OutputError(f"{name}: appeared meanwhile; use --overwrite to replace it") from error
        except OSError as error:
            raise OutputError(f"{name}: cannot be written ({short_reason(error)})") from error
