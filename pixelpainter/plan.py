"""Decide which pictures and archives are colored or refined, and where each result goes.

A job is one picture or archive and the file its result goes to. `plan_file` and `plan_folder` make jobs
from what the user names; they read folders, and files only to know the results of earlier runs among them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING, Literal

from pixelpainter.errors import InputError, OutputError, PixelPainterError
from pixelpainter.finding import Found, find_files, is_same_file, matches, results_among
from pixelpainter.suffixes import ARCHIVE_SUFFIXES, PICTURE_SUFFIXES, SAVE_SUFFIXES, SIDE_CARS, is_archive, is_side_car

if TYPE_CHECKING:
    from pixelpainter.layers.files import LayerFormat

FormatName = Literal["png", "jpg", "webp", "tiff", "keep"]

_KEPT_SUFFIXES = {".jfif": ".jpg", ".jpe": ".jpg"}  # read, and written under their usual name
_LOSSLESS = ".png"  # every browser and paint program reads it


@dataclass(frozen=True)
class Job:
    """One picture or archive to color.

    Attributes:
        source: the drawing, or the archive of drawings.
        target: the file for the result, or the folder for layers as PNG files.
        place: the target's path under the output folder, with slashes: the same on every machine.
        problem: why this job cannot be done, known before it starts.
        variation: which of several colorings of the drawing this is, from 0 on.
        data: the drawing itself, where it comes from a stream; the source is a name for messages then.
        layers: the kind of layers that the result is; None = it is a picture.
    """

    source: Path
    target: Path
    place: str = ""
    problem: PixelPainterError | None = None
    variation: int = 0
    data: bytes | None = field(default=None, repr=False)
    layers: LayerFormat | None = None

    @property
    def is_archive(self) -> bool:
        """Whether the source is an archive."""
        return is_archive(self.source)

    @property
    def files(self) -> list[tuple[Path, str]]:
        """The files that make the result, each with its place: the target itself, or those in its folder."""
        if self.layers != "png":
            return [(self.target, self.place)]
        from pixelpainter.layers.files import LAYER_FILES

        return [(self.target / name, f"{self.place}/{name}") for name in LAYER_FILES]


def result_suffix(source: PurePath, format: FormatName | None = None, layers: LayerFormat | None = None) -> str:
    """Return the suffix of a result, with its dot. None = PNG. An archive stays an archive, a folder has none."""
    suffix = source.suffix
    if is_archive(source):
        return suffix
    if layers is not None:
        return "" if layers == "png" else f".{layers}"
    if format in (None, "png"):
        return _LOSSLESS
    if format != "keep":
        return f".{format}"
    if suffix.lower() in SAVE_SUFFIXES:
        return suffix
    return _KEPT_SUFFIXES.get(suffix.lower(), _LOSSLESS)


def plan_file(
    source: Path,
    target: Path | None = None,
    format: FormatName | None = None,
    layers: LayerFormat | None = None,
    ending: str = "_color",
) -> Job:
    """Return the job of a single file; without a target, NAME_color.png beside it (for layers .ora, .psd, a folder)."""
    if target is None:
        target = source.with_name(f"{source.stem}{ending}{result_suffix(source, format, layers)}")
    problem: PixelPainterError | None = None
    if layers is not None:
        problem = _no_layers(source)
        if problem is None and layers != "png" and target.suffix.lower() != f".{layers}":
            problem = OutputError(f"{target}: layers of this kind need a name ending in .{layers}")
    elif is_side_car(target):
        problem = OutputError(f"{target}: this is a name for hints; name another file")
    elif is_archive(source) and not is_archive(target):
        problem = OutputError(f"{target}: an archive becomes an archive; name a file ending in .cbz or .zip")
    elif not is_archive(source) and target.suffix.lower() not in SAVE_SUFFIXES:
        problem = OutputError(
            f"{target}: cannot write this kind of file; use one of {', '.join(sorted(SAVE_SUFFIXES))}"
        )
    return Job(source, target, target.name, problem, layers=layers)


def _no_layers(source: Path) -> PixelPainterError | None:
    """Return why there can be no layers of a source."""
    return InputError(f"{source}: there are no layers of archives; unpack it first") if is_archive(source) else None


def plan_folder(
    sources: Sequence[Path],
    output: Path,
    *,
    format: FormatName | None = None,
    patterns: Sequence[str] = (),
    exclude: Collection[Path] = (),
    layers: LayerFormat | None = None,
    refining: bool = False,
    on_note: Callable[[str], None] = lambda _: None,
) -> list[Job]:
    """Return the jobs that color files and folders into one folder.

    A file goes to OUTPUT/NAME.png. A folder is searched with its sub-folders (see `find_files`), and its tree mirrored:
    under OUTPUT itself if it is the only source, else under OUTPUT/FOLDER. Hidden files, files with
    hints, and the output folder are no input. Where two results would have one name, the drawing that has this name
    itself gets it and the others keep their suffix (``a.jpg`` beside ``a.png`` becomes ``a.jpg.png``).

    Args:
        sources: files and folders.
        output: the folder for the results; it need not exist.
        format: kind of the results.
        patterns: of the files in folders, take only those that match one of these. A pattern with a
            slash is compared with the path inside the folder (``*`` matches slashes too), else with
            the name.
        exclude: files in folders that are no drawings, such as a contact sheet of the last run.
        layers: results are layers of this kind; as "png", a folder OUTPUT/NAME for each drawing.
        refining: take the colored results of earlier runs that lie in sub-folders, too; not those refined already.
        on_note: is told in one line how many were left out.

    Raises:
        OutputError: the output folder is one of the sources, or what earlier runs have noted cannot be read.
    """
    found: dict[str, tuple[Path, Path]] = {}  # absolute path -> path as given, place under the output
    problems: list[Job] = []
    not_drawings = {os.path.abspath(path) for path in exclude}  # noqa: PTH100 (no symlinks)
    for source in sources:
        if not source.is_dir():
            if not is_side_car(source):  # `*.png` in a shell names them too
                found.setdefault(os.path.abspath(source), (source, Path(source.name)))  # noqa: PTH100
            continue
        if is_same_file(source, output):
            raise OutputError(f"{output}: the output folder must not be the folder of the drawings")
        prefix = Path(source.resolve().name) if len(sources) > 1 else Path()
        there = find_files(source, output)
        files = _without_results(there, "refined" if refining else "", on_note)
        matching = [file for file in files if matches(file.relative_to(source).as_posix(), patterns)]
        chosen = [file for file in matching if not is_side_car(file)]
        problems += [Job(path, output, problem=problem) for path, problem in there.unreadable]
        if not (chosen or there.unreadable):
            problems.append(_nothing_found(source, output, patterns, matching))
        for file in chosen:
            absolute = os.path.abspath(file)  # noqa: PTH100
            if absolute not in not_drawings:
                found.setdefault(absolute, (file, prefix / file.relative_to(source)))
    names = name_results([place for _, place in found.values()], partial(result_suffix, format=format, layers=layers))
    jobs = [
        Job(file, output / name, name.as_posix(), _no_layers(file) if layers else None, layers=layers)
        for (file, _), name in zip(found.values(), names, strict=True)
    ]
    return without_loss(jobs) + problems


def _without_results(found: Found, done: str, on_note: Callable[[str], None]) -> list[Path]:
    """Return the files in a folder without the results of earlier runs in its sub-folders. Raises OutputError."""
    results: set[Path] = set()
    for folder in found.outputs:
        if there := results_among(found.files, folder, done):
            on_note(f"{folder}: {len(there)} results of an earlier run are left out")
            results |= there
    return [file for file in found.files if file not in results]


def parse_shard(text: str) -> tuple[int, int]:
    """Read I/N, the I-th of N parts, counted from 1. Raises ValueError."""
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise ValueError(f"{text!r} is not I/N with I from 1 to N (such as 2/8)")
    return int(index), int(count)


def take_shard(jobs: Sequence[Job], shard: tuple[int, int]) -> list[Job]:
    """Return one part of the jobs. Which part a job is in depends on its place under the output alone."""
    index, count = shard

    def part(job: Job) -> int:
        digest = hashlib.sha256((job.place or job.source.name).encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8]) % count + 1

    return [job for job in jobs if part(job) == index]


def name_results(places: Sequence[Path], suffix_of: Callable[[Path], str], taken: Collection[Path] = ()) -> list[Path]:
    """Return a result's name for each drawing's place; no name occurs twice, not even in capitals.

    A disk may not tell A.png from a.png; that of the drawings does where both are drawings, and they keep their names.

    Args:
        places: where the drawings lie, relative paths.
        suffix_of: the suffix of each one's result.
        taken: names that belong to other files.
    """
    wanted = [place.with_suffix(suffix_of(place)) for place in places]
    uses = Counter(map(_folded, wanted))
    names: dict[int, Path] = {}
    used, folded = set(taken), set(map(_folded, taken))
    # Drawings that already have the name come first: adding a.jpg to a folder never renames a.png's result.
    order = sorted(range(len(places)), key=lambda index: (places[index] != wanted[index], places[index]))
    for index in order:
        place, name = places[index], wanted[index]
        if place != name and (uses[_folded(name)] > 1 or _folded(name) in folded):
            name = place.with_name(place.name + name.suffix)
        number = 2
        while name in used or (place != name and _folded(name) in folded):
            name = place.with_name(f"{place.name}_{number}{name.suffix}")
            number += 1
        used.add(name)
        folded.add(_folded(name))
        names[index] = name
    return [names[index] for index in range(len(places))]


def _folded(path: Path) -> Path:
    """Return a path as a disk sees it that does not tell capitals from small letters."""
    return Path(path.as_posix().casefold())


def _nothing_found(source: Path, output: Path, patterns: Sequence[str], hints: Sequence[Path]) -> Job:
    """Return a job whose problem is that a folder holds nothing to color, but maybe files with hints."""
    kinds = f" that match {' or '.join(patterns)}" if patterns else ""
    reason = f"there are no pictures{kinds} in this folder ({', '.join(sorted(PICTURE_SUFFIXES | ARCHIVE_SUFFIXES))})"
    if hints:
        reason = f"there are only hints{kinds} in this folder (*{', *'.join(SIDE_CARS)}); put the drawings beside them"
    return Job(source, output, problem=InputError(f"{source}: {reason}"))


def plan_variations(jobs: Sequence[Job], count: int) -> list[Job]:
    """Return the jobs that color each drawing several times, with a number from 1 on at the end of their names."""
    copies: list[Job] = []
    for job, variation in itertools.product(jobs, range(count)):
        stem, suffix = (job.target.name, "") if job.layers == "png" else (job.target.stem, job.target.suffix)
        target = job.target.with_name(f"{stem}_{variation + 1}{suffix}")
        place = str(PurePosixPath(job.place).with_name(target.name)) if job.place else ""
        copies.append(dataclasses.replace(job, target=target, place=place, variation=variation))
    return without_loss(copies)


def without_loss(jobs: list[Job], others: Collection[Path] = ()) -> list[Job]:
    """Give a problem to each job whose result would replace a drawing of this run, or one of the other files."""
    existing = [{os.path.realpath(file) for file, _ in job.files if os.path.lexists(file)} for job in jobs]
    if not any(existing):
        return jobs
    needed = {os.path.realpath(file) for file in (*others, *(job.source for job in jobs if job.data is None))}
    return [
        dataclasses.replace(job, problem=OutputError(f"{job.target}: the result would replace a file that is read"))
        if job.problem is None and targets & needed
        else job
        for job, targets in zip(jobs, existing, strict=True)
    ]
