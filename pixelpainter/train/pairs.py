"""A color picture and its drawing, read from files, members of ZIP files, or joined pictures."""

from __future__ import annotations

import functools
import hashlib
import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pixelpainter.archives import ZIP_DAMAGE, ZIP_METHODS
from pixelpainter.errors import DataError, InputError
from pixelpainter.imaging import open_picture
from pixelpainter.saving import shown_name

Layout = Literal["color-left", "sketch-left"]

MAX_FILE_BYTES = 256 * 2**20  # a bigger member of a ZIP is no training picture but a bomb
MIN_SIDE_PX = 8
NAME_ENCODING = ("utf-8", "surrogatepass")  # file names need not be valid Unicode
ASPECT_TOLERANCE = 0.02


class TooSmallError(DataError):
    """A picture has too few pixels."""


class _Named(io.BytesIO):
    """Content with the name that messages show."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


@dataclass(frozen=True)
class Location:
    """A file, or a member of a ZIP file."""

    file: Path
    member: str | None = None

    def __str__(self) -> str:
        return shown_name(self.file if self.member is None else f"{self.file}:{self.member}")

    def read(self) -> bytes:
        """Return the content. Raises DataError where it cannot be read."""
        try:
            if self.member is None:
                return self.file.read_bytes()
            archive = open_zip(self.file)
            entry = archive.getinfo(self.member)
            if entry.compress_type not in ZIP_METHODS:
                raise DataError(f"{self}: packed by method {entry.compress_type}; pack the ZIP file as deflate")
            if entry.file_size > MAX_FILE_BYTES:
                raise DataError(f"{self}: larger than {MAX_FILE_BYTES >> 20} MiB unpacked; leave it out of the ZIP")
            return archive.read(entry)
        except ZIP_DAMAGE as error:
            raise DataError(f"{self}: cannot be read ({_one_line(error)})") from error

    def fingerprint(self) -> str:
        """Return size and hash of the content (of a ZIP's member its CRC, which needs no reading)."""
        if self.member is not None:
            info = open_zip(self.file).getinfo(self.member)
            return f"{info.file_size} crc {info.CRC:08x}"
        try:
            with self.file.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            return f"{self.file.stat().st_size} sha256 {digest}"
        except OSError:
            return "unreadable"  # read_pair names it; a fingerprint must not stop the others


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A color picture and, where there is one, its drawing.

    Attributes:
        name: unique and stable: root, path inside it without suffix; forward slashes.
        source: sub-folder below ``color/`` (or below the root) that ``--mix`` names; else the root's name.
        color: the color picture.
        lines: the true drawing; None: extract one (or it lies in the joined picture).
        layout: where the halves of a joined picture lie; None: not joined.
        square_halves: the layout was found out, from pictures twice as wide as high: another one is not joined.
    """

    name: str
    source: str
    color: Location
    lines: Location | None = None
    layout: Layout | None = None
    square_halves: bool = False


def data_manifest(pairs: Iterable[Pair]) -> str:
    """Return the SHA-256 over the sorted names, sizes and contents of all files."""
    digest = hashlib.sha256()
    for pair in sorted(pairs, key=lambda pair: pair.name):
        lines = "" if pair.lines is None else pair.lines.fingerprint()
        digest.update(f"{pair.name}\n{pair.layout}\n{pair.color.fingerprint()}\n{lines}\n".encode(*NAME_ENCODING))
    return digest.hexdigest()


def read_pair(pair: Pair) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Read a pair.

    Returns:
        The color picture on white, uint8 (H, W, 3), and its drawing at the same size, uint8 (H, W), 255 =
        paper, or None.

    Raises:
        DataError: a file cannot be read, or picture and drawing do not fit each other.
    """
    color = read_rgb(pair.color)
    if pair.layout is not None:
        color, drawing = _cut(color, pair)
    elif pair.lines is not None:
        drawing = read_rgb(pair.lines)
    else:
        return color, None
    lines = cv2.cvtColor(drawing, cv2.COLOR_RGB2GRAY)
    (height, width), (lines_height, lines_width) = color.shape[:2], lines.shape
    if abs(lines_width * height / (lines_height * width) - 1) > ASPECT_TOLERANCE:
        raise DataError(
            f"{pair.lines}: {lines_width}x{lines_height} does not fit its color picture {pair.color}, {width}x{height}"
        )
    if (height, width) != lines.shape:
        shrinks = lines_width > width
        lines = cv2.resize(lines, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return color, np.asarray(lines, np.uint8)


def _cut(joined: NDArray[np.uint8], pair: Pair) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Cut a joined picture (H, 2W, 3) into color and drawing, uint8 (H, W, 3) each. Raises DataError."""
    height, width = joined.shape[:2]
    half = width // 2
    if pair.square_halves and abs(width / (2 * height) - 1) > ASPECT_TOLERANCE:
        raise DataError(
            f"{pair.color}: {width}x{height} is no color picture beside a sketch, unlike most of its folder; "
            f"move it away, or say --layout {pair.layout} if it is one"
        )
    left, right = joined[:, :half], joined[:, -half:]
    color, drawing = (left, right) if pair.layout == "color-left" else (right, left)
    if chroma(drawing) > max(20.0, 2 * chroma(color)):
        other = "sketch-left" if pair.layout == "color-left" else "color-left"
        raise DataError(f"{pair.color}: the half that should be the drawing is the colored one; try --layout {other}")
    if chroma(drawing) > max(20.0, chroma(color) / 2):
        raise DataError(f"{pair.color}: both halves are colored, so neither is a drawing; move it away")
    return np.ascontiguousarray(color), np.ascontiguousarray(drawing)


def chroma(rgb: NDArray[np.uint8]) -> float:
    """Return the mean distance from gray, 0-255."""
    return float((rgb.max(axis=2) - rgb.min(axis=2)).mean())


def read_rgb(place: Location) -> NDArray[np.uint8]:
    """Return a picture upright and on white, uint8 (H, W, 3).

    Raises:
        TooSmallError: it has too few pixels.
        DataError: it cannot be read.
    """
    try:
        rgb = open_picture(_Named(place.read(), str(place))).rgb
    except InputError as error:
        raise DataError(str(error)) from error
    if min(rgb.shape[:2]) < MIN_SIDE_PX:
        raise TooSmallError(f"{place}: {rgb.shape[1]}x{rgb.shape[0]} pixels are too few to learn from")
    return rgb


@functools.lru_cache(maxsize=8)
def _open_zip_version(file: Path, changed_ns: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(file)


def open_zip(file: Path) -> zipfile.ZipFile:
    """Return an open ZIP file; it stays open, reading its index for every picture would cost more."""
    try:
        return _open_zip_version(file, file.stat().st_mtime_ns)
    except ZIP_DAMAGE as error:
        raise DataError(f"{file}: neither a folder nor a readable ZIP file ({_one_line(error)})") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
