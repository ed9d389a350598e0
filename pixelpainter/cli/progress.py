"""What a run of many pictures prints: a bar or lines, a summary, a plan, a report."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pixelpainter.cli.messages import one_line, print_error, print_note
from pixelpainter.errors import InputError, OutputError, PixelPainterError

if TYPE_CHECKING:
    from pixelpainter.batch import JobResult
    from pixelpainter.file_painter import FilePainter
    from pixelpainter.plan import Job
    from pixelpainter.results import Results

Log = Callable[["JobResult"], None]

_SHOWN_FAILURES = 20


@dataclass(frozen=True)
class Words:
    """What a command does, in the words for it.

    Attributes:
        verb: as in "nothing to color".
        doing: beside the bar.
        statuses: what can become of a file, as the summary lists it.
    """

    verb: str
    doing: str
    statuses: tuple[str, ...]


COLORIZE = Words("color", "coloring", ("colored", "copied", "skipped", "unchanged", "failed"))
REFINE = Words("refine", "refining", ("refined", "unchanged", "failed"))


@dataclass
class Tally:
    """What became of a run.

    Attributes:
        counts: number of files by status.
        seconds: wall-clock time.
        failures: path, class of the error and message of what failed.
        pairs: drawing and result of what did not.
    """

    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    failures: list[dict[str, str]] = field(default_factory=list)
    pairs: list[tuple[Path, Path]] = field(default_factory=list)

    def add(self, result: JobResult) -> None:
        """Count a result."""
        self.counts[result.status] += 1
        if result.error is not None:
            error = {"error": type(result.error).__name__, "message": one_line(str(result.error))}
            self.failures.append({"path": str(result.source), **error})
        elif result.output is not None:
            self.pairs.append((result.source, result.output))

    def summary(self, words: Words) -> str:
        """Return the counts as one line."""
        counts = ", ".join(f"{count} {status}" for status, count in self.counts.items() if count)
        return counts or f"nothing to {words.verb}"


class Meter:
    """Counts pictures done, the pages in archives too, and moves the bar if there is one."""

    def __init__(self) -> None:
        self.done = 0
        self.show: Callable[[int], None] | None = None

    def advance(self) -> None:
        """Count one picture."""
        self.move_to(self.done + 1)

    def move_to(self, done: int) -> None:
        """Say how many pictures are done."""
        self.done = done
        if self.show is not None:
            self.show(done)


def watch(
    results: Iterable[JobResult],
    plan: Sequence[Job],
    meter: Meter,
    *,
    quiet: bool,
    log: Log,
    print_paths: bool,
    words: Words = COLORIZE,
) -> Tally:
    """Print results as they come, and a summary of several.

    Raises:
        KeyboardInterrupt: the user stopped the run; how far it came is printed.
    """
    tally, start, total = Tally(), time.perf_counter(), len(plan)
    terminal = sys.stderr.isatty()
    pictures = list(itertools.accumulate(_count_pictures(plan))) if terminal and not quiet else []
    with _bar(meter, pictures[-1] if pictures else 0, words):
        try:
            for number, result in enumerate(results, 1):
                tally.add(result)
                log(result)
                if meter.show is not None:
                    meter.move_to(pictures[number - 1])
                bar = meter.show is not None and total > 1
                _print_result(result, f"[{number}/{total}] " if total > 1 else "", quiet=quiet, bar=bar)
                if print_paths and result.output is not None:
                    sys.stdout.buffer.write(os.fsencode(result.output) + b"\n")  # a name need not be valid text
                    sys.stdout.buffer.flush()
        except KeyboardInterrupt:
            print_note(f"interrupted: {sum(tally.counts.values())} of {total} done")
            raise
    tally.seconds = time.perf_counter() - start
    if total != 1 and not (quiet and not tally.failures):
        if terminal and not quiet:
            _print_table(tally)
        else:
            print_note(tally.summary(words))
    return tally


def _count_pictures(plan: Sequence[Job]) -> Iterator[int]:
    """Yield the number of pictures of each job."""
    for job in plan:
        pages = 1
        if job.is_archive:
            from pixelpainter.archives import count_pages

            with contextlib.suppress(InputError):  # it fails when its turn comes
                pages = max(1, count_pages(job.source))
        yield pages


def _print_result(result: JobResult, number: str, *, quiet: bool, bar: bool) -> None:
    """Print what became of one file; beside a bar only what is out of the ordinary."""
    source = str(result.source)
    if result.notes and (bar or result.error) and not quiet:
        print_note(f"{source}: {', '.join(result.notes)}")
    if result.status == "failed" and result.error is not None:
        for problem in result.problems:
            print_note(f"error: {problem}")
        print_error(result.error, about=source if number else "")
        line = f"{number}{source} failed" if number else ""
    else:
        arrow = f" -> {result.output}" if result.output and result.status != "unchanged" else ""
        notes = result.notes or (("up to date",) if result.status == "unchanged" else ())
        line = f"{number}{source}{arrow} ({', '.join((*notes, f'{result.seconds:.2f} s'))})"
    if line and not bar and not quiet:
        print_note(line)


@contextmanager
def _bar(meter: Meter, pictures: int, words: Words) -> Iterator[None]:
    """Show a progress bar of several pictures on stderr, moved by the meter."""
    if pictures <= 1:
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    rate = TextColumn("{task.fields[rate]:.1f} pictures/s,")
    columns = (
        TextColumn(words.doing),
        BarColumn(),
        MofNCompleteColumn(),
        rate,
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    # Errors printed while the bar is shown go through its console, which keeps them above it.
    with Progress(*columns, console=Console(stderr=True), redirect_stderr=True, transient=True) as progress:
        task = progress.add_task("", total=pictures, rate=0.0)

        def show(done: int) -> None:
            progress.update(task, completed=done)
            progress.update(task, rate=progress.tasks[task].speed or 0.0)

        meter.show = show
        try:
            yield
        finally:
            meter.show = None


def _print_table(tally: Tally) -> None:
    """Print the counts and the first failures as a table on stderr."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{sum(tally.counts.values())} files in {tally.seconds:.1f} s", title_justify="left")
    table.add_column("Status")
    table.add_column("Files", justify="right")
    for status, count in tally.counts.items():
        table.add_row(status, str(count))
    console = Console(stderr=True)
    console.print(table)
    for failure in tally.failures[:_SHOWN_FAILURES]:
        print_note(f"failed: {failure['message']}")
    if len(tally.failures) > _SHOWN_FAILURES:
        print_note(f"... and {len(tally.failures) - _SHOWN_FAILURES} more")


def print_summary(tally: Tally, words: Words = COLORIZE) -> None:
    """Print what became of a run as one JSON object on stdout."""
    counts = {status: tally.counts[status] for status in words.statuses}
    typer.echo(json.dumps({**counts, "seconds": round(tally.seconds, 3), "failures": tally.failures}))


def print_plan(
    plan: Sequence[Job],
    painters: Sequence[FilePainter],
    results: Results,
    *,
    as_json: bool,
    words: Words = COLORIZE,
) -> int:
    """Print what a run would do on stdout. Returns the exit status: 1 if something would fail."""
    from pixelpainter.batch import painter_of

    actions = {"missing": words.verb, "outdated": f"{words.verb} again", "current": "up to date"}
    entries: list[dict[str, Any]] = []
    for job in plan:
        reason = None
        try:
            action = actions[results.state(job, painter_of(job, painters))]
        except PixelPainterError as error:
            action, reason = "refused", str(error)
        entries.append({"path": str(job.source), "output": str(job.target), "action": action, "reason": reason})
        if not as_json:
            suffix = f" ({reason})" if reason else ""
            typer.echo(one_line(f"{action}: {job.source} -> {job.target}{suffix}"))
    if as_json:
        typer.echo(json.dumps({"plan": entries}))
    return 1 if any(entry["action"] == "refused" for entry in entries) else 0


@contextmanager
def open_report(path: Path | None) -> Iterator[Log]:
    """Give what appends results to a report, one line of JSON each; several processes may append to one report.

    Raises:
        OutputError: the report cannot be written.
    """
    if path is None:
        yield lambda result: None
        return
    from datetime import UTC, datetime

    run = datetime.now(UTC).isoformat(timespec="seconds")  # tells the runs in a report apart
    with _report_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            with path.open("rb") as before:
                if before.read(1) not in (b"", b"{"):
                    raise OutputError(f"{path} is there already, and is no report; name another file for --report")
        stream = path.open("ab", buffering=0)  # every line is there at once, and in one write

    def log(result: JobResult) -> None:
        with _report_errors(path):
            stream.write(json.dumps({"run": run, **result.report()}).encode() + b"\n")

    with stream:
        yield log


@contextmanager
def _report_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: the report cannot be written ({error.strerror or error})") from error
