"""Which files are pictures, archives, or the hints beside a picture: by their names alone."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import PurePath

SAVE_SUFFIXES: Mapping[str, str] = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".ppm": "PPM",
} | ({".avif": "AVIF"} if find_spec("PIL._avif") else {})
"""Lower-case suffixes that can be written, each with its PIL format name."""

PICTURE_SUFFIXES = frozenset({*SAVE_SUFFIXES, ".apng", ".gif", ".jfif", ".jpe", ".pbm", ".pfm", ".pgm", ".pnm"})
"""Lower-case suffixes of files that are taken for pictures in folders."""

ARCHIVE_SUFFIXES = frozenset({".cbz", ".zip"})

RECORD_FOLDER = ".pixelpainter"
"""In an output folder: where runs note what they have written."""

SIDE_CARS = (".hints.json", ".hints.png")
"""Instead of a drawing's suffix: files with its hints."""


def is_side_car(path: PurePath) -> bool:
    """Say whether a file holds the hints of a drawing, by its name."""
    return path.name.lower().endswith(SIDE_CARS)


def is_archive(path: PurePath) -> bool:
    """Tell by its name whether a file is an archive of pictures."""
    return path.suffix.lower() in ARCHIVE_SUFFIXES


def is_picture(path: PurePath) -> bool:
    """Tell by its name whether a file is a picture that can be read."""
    return path.suffix.lower() in PICTURE_SUFFIXES
