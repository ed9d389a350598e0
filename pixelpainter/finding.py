"""Find the pictures and archives in a folder and its sub-folders."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pixelpainter.errors import InputError
from pixelpainter.suffixes import RECORD_FOLDER, is_archive, is_picture


@dataclass(frozen=True)
class Found:
    """What is in a folder and its sub-folders.

    Attributes:
        files: pictures and archives, sorted.
        unreadable: sub-folders that cannot be read, each with the reason.
        outputs: sub-folders that hold results of earlier runs.
    """

    files: list[Path]
    unreadable: list[tuple[Path, InputError]]
    outputs: list[Path]


def find_files(folder: Path, output: Path) -> Found:
    """Look into a folder and its sub-folders.

    Links to folders are followed, once to each. Hidden files and folders are left out, and so are the output folder
    and pipes, for which a run would wait for ever.
    """
    unreadable: list[tuple[Path, InputError]] = []

    def note(error: OSError) -> None:
        problem = InputError(f"{error.filename}: the folder cannot be read ({error.strerror})")
        unreadable.append((Path(error.filename), problem))

    root = folder.resolve()
    followed: set[Path] = set()

    def is_wanted(path: Path) -> bool:
        if path.name.startswith(".") or is_same_file(path, output):
            return False
        if not path.is_symlink():
            return True
        target = path.resolve()
        inside = target.is_relative_to(root)  # it is found by its own name
        above = root.is_relative_to(target) or path.parent.resolve().is_relative_to(target)  # an endless way
        if inside or above or target in followed:
            return False
        followed.add(target)
        return True

    found: list[Path] = []
    outputs: list[Path] = []
    for parent, folders, files in os.walk(folder, onerror=note, followlinks=True):
        here = Path(parent)
        if RECORD_FOLDER in folders and here != folder:
            outputs.append(here)
        folders[:] = [name for name in sorted(folders) if is_wanted(here / name)]
        names = (Path(name) for name in files if not name.startswith("."))
        found += [here / name for name in names if (is_picture(name) or is_archive(name)) and not is_pipe(here / name)]
    return Found(sorted(found), unreadable, outputs)


def is_pipe(path: Path) -> bool:
    """Tell whether reading a file would wait for another program."""
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except OSError:  # why it cannot be read is said when its turn comes
        return False


def results_among(files: Sequence[Path], output: Path, done: str = "") -> set[Path]:
    """Return those of the files that runs have written into an output folder, and nobody has changed.

    Args:
        files: anywhere.
        output: the folder.
        done: "colored" or "refined": only such results; "" = all.

    Raises:
        OutputError: what the runs have noted there cannot be read.
    """
    from pixelpainter.records import Records  # waits for numpy, and hardly ever needed

    records = Records(output)
    inside = [file for file in files if file.is_relative_to(output)]
    return {file for file in inside if records.wrote(file.relative_to(output).as_posix(), file, done)}


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Tell whether a path (with slashes) matches one of the patterns; one without a slash is for the name alone."""
    name = path.rpartition("/")[2]
    return not patterns or any(fnmatch.fnmatchcase(path if "/" in glob else name, glob) for glob in patterns)


def is_same_file(first: Path, second: Path) -> bool:
    """Tell whether two paths lead to one file or folder."""
    try:
        return first.samefile(second)
    except OSError:  # one of them does not exist
        return False
