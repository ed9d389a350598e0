"""One picture to stdout, for commands in pipes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pixelpainter.cli.messages import print_note
from pixelpainter.errors import OutputError

if TYPE_CHECKING:
    from pixelpainter.file_painter import FilePainter
    from pixelpainter.plan import FormatName, Job


def paint_to_stdout(job: Job, painter: FilePainter, format: FormatName | None, *, quiet: bool) -> None:
    """Paint one picture and write it to stdout; notes go to stderr."""
    from pixelpainter.saving import short_reason
    from pixelpainter.suffixes import SAVE_SUFFIXES

    data = painter.read(job.source) if job.data is None else job.data
    kind = None if format == "keep" else SAVE_SUFFIXES[f".{format or 'png'}"]
    painted = painter.paint(data, str(job.source), kind, job.layers)
    already = () if painted.status == painter.done else (f"already colored, {painted.status}",)
    if not quiet:
        for note in already + painted.notes:
            print_note(f"{job.source}: {note}")
    try:
        sys.stdout.buffer.write(painted.data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # who reads it has enough
        raise
    except OSError as error:
        raise OutputError(f"stdout: cannot be written ({short_reason(error)})") from error
