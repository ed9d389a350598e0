"""Find the drawing that a colored picture was made of, by its name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pixelpainter.errors import InputError
from pixelpainter.saving import shown_name
from pixelpainter.suffixes import PICTURE_SUFFIXES

# What `pixelpainter colorize` and `refine` add to a name, each with the number of a variation.
_ADDED = re.compile(r"(_color|_refined)(_\d+)?$")


@dataclass(frozen=True)
class Drawings:
    """Where the drawings of pictures lie.

    Attributes:
        folder: with the drawings; None = each lies beside its picture.
        roots: the folders of pictures that were named; a drawing lies at the same place under ``folder``.
    """

    folder: Path | None
    roots: tuple[Path, ...] = ()

    def find(self, source: Path) -> Path:
        """Return the drawing of a picture: of the same name, maybe with another suffix, or NAME of NAME_color.

        Raises:
            InputError: there is none.
        """
        for place in self._places(source):
            try:
                files = [Path(entry) for entry in os.scandir(place) if entry.is_file()]
            except OSError:  # no such folder
                continue
            pictures = sorted(file for file in files if file.suffix.lower() in PICTURE_SUFFIXES)
            for name in _names(source.name, beside=place.samefile(source.parent)):
                found = [file for file in pictures if file.name == name]
                found += [file for file in pictures if file.stem == name]
                if found:
                    return found[0]
        raise InputError(f"{shown_name(source)}: its drawing was not found: {self._reason(source)}; see --lines-from")

    def _reason(self, source: Path) -> str:
        """Say why there is no drawing of a picture."""
        names = _names(source.name, beside=self.folder is None)
        if not names:
            return "its name does not end in _color, as that of a colored drawing does"
        return f"no picture is called {shown_name(names[-1])} in {shown_name(next(self._places(source)))}"

    def _places(self, source: Path) -> Iterator[Path]:
        """Yield the folders to look in."""
        if self.folder is None:
            yield source.parent
            return
        for root in self.roots:
            if source.is_relative_to(root):
                inside = source.relative_to(root).parent
                yield self.folder / inside
                yield self.folder / root.resolve().name / inside  # several folders: as their results are mirrored
        yield self.folder


def _names(name: str, *, beside: bool) -> list[str]:
    """Return the names that a drawing may have, the likeliest first: whole ones, and such without a suffix."""
    stem = Path(name).stem
    names = [] if beside else [name, stem]  # beside a picture, others called so are pictures too
    while (shorter := _ADDED.sub("", stem)) != stem:
        names.append(stem := shorter)
    return names
