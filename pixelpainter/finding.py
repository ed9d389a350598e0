"""Find the pictures and archives in a folder and its sub-folders."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Sequence
from pathlib import Path

from pixelpainter.errors import InputError
from pixelpainter.suffixes import is_archive, is_picture


def find_files(folder: Path, output: Path) -> tuple[list[Path], list[tuple[Path, InputError]]]:
    """Return pictures and archives under a folder, sorted, and the sub-folders that cannot be read, each with why.

    Links to folders are followed, once to each. Hidden files and folders are left out, and so is the output folder.
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
    for parent, folders, files in os.walk(folder, onerror=note, followlinks=True):
        here = Path(parent)
        folders[:] = [name for name in sorted(folders) if is_wanted(here / name)]
        names = (Path(name) for name in files if not name.startswith("."))
        found += [here / name for name in names if is_picture(name) or is_archive(name)]
    return sorted(found), unreadable


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
