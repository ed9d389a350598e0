"""What made each result in an output folder, so that a second run knows which ones are up to date.

OUTPUT/.pixelpainter/records.jsonl holds one line of JSON per result. A line is appended, and safe on the disk,
*before* the result gets its name: a file that no line knows was not made by this program, or was changed since, and
is never replaced. A line whose result never came harms nobody, and neither does a line that was cut off.

Every line is one write in append mode, so processes on one machine may share the file. Network folders do not
promise that, so every shard of a job array has a file of its own; all are read.

Results are known by their content, not by size and time: copying or restoring a tree changes times, and an edit may
keep the size.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import threading
from collections import defaultdict
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from pixelpainter.errors import OutputError
from pixelpainter.saving import short_reason
from pixelpainter.suffixes import RECORD_FOLDER

# Where files cannot be linked, a result's name is reserved with an empty file before the result comes.
_NOTHING = hashlib.sha256().hexdigest()

State = Literal["missing", "current", "outdated", "foreign"]


@dataclass(frozen=True)
class Record:
    """What made one result.

    Attributes:
        place: the result's path under the output folder, with slashes.
        result: SHA-256 of the result.
        source: SHA-256 of the drawing.
        made_by: what was done (one word), and the fingerprint of model, settings and program.
        whole: whether everything went well; the result of an archive with a damaged page is not whole.
        drawing: the drawing's path from the output folder, with slashes, so that both can be moved together; None in
            the records of older versions.
    """

    place: str
    result: str
    source: str
    made_by: str
    whole: bool = True
    drawing: str | None = None


class Records:
    """The records of one output folder; may be used by many threads and processes at once."""

    def __init__(self, output: Path, shard: tuple[int, int] | None = None) -> None:
        """Read what earlier runs have left; nothing is written before the first `add`.

        Args:
            output: the output folder; it need not exist.
            shard: which part of a job array this is.

        Raises:
            OutputError: there are records, but they cannot be read.
        """
        self._output = output
        name = "records.jsonl" if shard is None else f"records-{shard[0]}-of-{shard[1]}.jsonl"
        self._file = output / RECORD_FOLDER / name
        self._descriptor: int | None = None
        self._cut = False  # the last record was cut off by a full disk
        self._lock = threading.Lock()
        self._known: dict[str, list[Record]] = defaultdict(list)
        self._read_to: dict[Path, int] = {}  # how far each file has been read, in bytes
        self._read_new()

    def __enter__(self) -> Self:
        """Return the records; leaving the block closes the file."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def path_of(self, drawing: Path) -> str:
        """Return the path of a drawing as records hold it."""
        path = drawing.parent.resolve() / drawing.name  # a drawing that is a link is known by its own name
        with suppress(ValueError):  # Windows: it lies on another drive
            path = Path(os.path.relpath(path, self._output.resolve()))
        return path.as_posix()

    def state(self, target: Path, wanted: Record) -> State:
        """Tell what the file of a result is.

        Args:
            target: the file.
            wanted: how it would be made now; of the result itself nothing need be known.

        Returns:
            "missing"; "current": made of this drawing in this way; "outdated": made by this program in another way,
            or before the drawing was changed; "foreign": not made by this program, changed since, or the result of
            another drawing.
        """
        if not os.path.lexists(target):
            return "missing"
        content = hash_file(target)
        for look_again in (True, False):
            makers = [record for record in self._known.get(wanted.place, ()) if content in (record.result, _NOTHING)]
            ours = [record for record in makers if _is_same_drawing(record, wanted)]
            if any(dataclasses.replace(wanted, result=content, drawing=record.drawing) == record for record in ours):
                return "current"
            if ours:
                return "outdated"
            if look_again:  # another process may have made it since the records were read
                self._read_new()
        return "foreign"

    def wrote(self, place: str, target: Path, done: str = "") -> bool:
        """Tell whether a file is a result as it was written; with a word, only such that this was done to."""
        makers = [record for record in self._known.get(place, ()) if record.made_by.startswith(done)]
        return bool(makers) and hash_file(target) in {record.result for record in makers}

    def add(self, record: Record) -> None:
        """Note what makes a result; call this before the result gets its name.

        Raises:
            OutputError: the record cannot be written.
        """
        line = json.dumps(asdict(record)).encode() + b"\n"
        with self._lock:
            try:
                if self._descriptor is None:
                    self._descriptor = self._open()
                line = b"\n" * self._cut + line  # on a line of its own
                self._cut = os.write(self._descriptor, line) != len(line)
                if self._cut:
                    raise OSError("the disk is full")
                self._known[record.place].append(record)
            except OSError as error:
                raise OutputError(f"{self._file}: cannot be written ({short_reason(error)})") from error
        os.fsync(self._descriptor)  # outside the lock: several threads may wait for the disk at once

    def _open(self) -> int:
        """Open the file for appending, after a line that was cut off on a line of its own."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        size = os.fstat(descriptor).st_size
        os.lseek(descriptor, max(size - 1, 0), os.SEEK_SET)
        if os.read(descriptor, 1) not in (b"", b"\n"):
            os.write(descriptor, b"\n")
        return descriptor

    def _read_new(self) -> None:
        """Take in what was added to the records of all shards since the last time. Raises OutputError."""
        try:
            with self._lock:
                for file in sorted(self._file.parent.glob("records*.jsonl")):
                    self._read(file)
        except OSError as error:
            raise OutputError(f"{error.filename}: cannot be read ({short_reason(error)})") from error

    def _read(self, file: Path) -> None:
        """Take in the new records of a file; lines that are none (cut off, of a newer version) are passed over."""
        with file.open("rb") as lines:
            lines.seek(self._read_to.get(file, 0))
            for line in lines:
                if line.endswith(b"\n"):  # or else its end may still come
                    self._read_to[file] = self._read_to.get(file, 0) + len(line)
                try:
                    record = Record(**json.loads(line))
                    if isinstance(record.made_by, str):
                        self._known[record.place].append(record)
                except (ValueError, TypeError, RecursionError):
                    continue


def _is_same_drawing(record: Record, wanted: Record) -> bool:
    """Tell whether two records are of one drawing, which may have been changed, or else moved or copied."""
    same_path = record.drawing is not None and record.drawing == wanted.drawing
    return same_path or record.source == wanted.source


def hash_bytes(data: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal; of what is no readable file, an empty text."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:  # a folder, a broken link
        return ""
