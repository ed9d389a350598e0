"""FilePainter: what painting picture files needs, whoever paints; `Painter` colors, `RefinePainter` polishes."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Literal, Self

from pixelpainter.errors import InputError
from pixelpainter.imaging import Picture, encode_picture
from pixelpainter.saving import short_reason, shown_name
from pixelpainter.suffixes import SAVE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from pixelpainter.layers.files import LayerFormat

PaintStatus = Literal["colored", "refined", "copied", "skipped"]

# The most bytes that a picture file may have per pixel (four channels of 32 bits), and for its metadata.
_BYTES_PER_PIXEL, _METADATA_BYTES = 16, 64 << 20
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Painted:
    """What a picture became, ready to be written.

    Attributes:
        files: one file, or that of each layer as `layers.LAYER_FILES` names them; none if the status is "skipped".
        status: "colored" or "refined"; "copied" or "skipped" if the drawing already was colored.
        size: (width, height) of the picture.
        notes: what else the user should know, one line each.
    """

    files: tuple[bytes, ...]
    status: PaintStatus
    size: tuple[int, int]
    notes: tuple[str, ...] = ()

    @property
    def data(self) -> bytes:
        """The only file; empty if there is none."""
        return self.files[0] if self.files else b""


@dataclass(frozen=True, kw_only=True)
class FilePainter(ABC):
    """Bytes of a picture file in, bytes of a painted one out; one object serves many threads at once.

    Attributes:
        quality: of JPEG, WebP and AVIF, 1 to 100.
        max_pixels: larger pictures are refused.
    """

    done: ClassVar[Literal["colored", "refined"]]  # what a picture is afterwards

    quality: int | None = None
    max_pixels: int = 150_000_000

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 of all that decides how a result looks, apart from the picture and the result's format."""

    @abstractmethod
    def beside(self, source: Path) -> Self:
        """Return the painter for one picture: this one, or one that also knows the files that belong to it.

        Raises:
            InputError: there is such a file, but it cannot be used.
        """

    @abstractmethod
    def paint(self, data: bytes, name: str, format: str | None, layers: LayerFormat | None = None) -> Painted:
        """Paint a picture file.

        Args:
            data: the file.
            name: what messages call it.
            format: PIL format name of the result; None = that of the picture, or PNG where it cannot be written.
            layers: make layers of this kind instead; as "png", they are several files.

        Raises:
            PixelPainterError: the picture cannot be used, or the model fails on it; the message names it.
        """

    def read(self, source: Path) -> bytes:
        """Read the file of a picture.

        Raises:
            InputError: it cannot be read, or is too large to be a picture of ``max_pixels``.
        """
        with opened(source) as stream:
            return self.read_stream(stream, shown_name(source))

    def read_stream(self, stream: BinaryIO, name: str) -> bytes:
        """Read a picture from a stream to its end. Raises InputError if it is too large, see `read`."""
        data = io.BytesIO()
        while piece := stream.read(_PIECE_BYTES):  # all at once would take the memory of the largest file
            data.write(piece)
            if data.tell() > self.max_file_bytes:
                raise InputError(
                    f"{name}: the file is larger than any picture of {self.max_pixels} pixels (--max-pixels)"
                )
        return data.getvalue()

    @property
    def max_file_bytes(self) -> int:
        """Size of the largest file that is read."""
        return self.max_pixels * _BYTES_PER_PIXEL + _METADATA_BYTES

    def _encoded(
        self, picture: Picture, rgb: NDArray[np.uint8], format: str, metadata: Mapping[str, str] | None = None
    ) -> bytes:
        """Return the file of a picture that has the transparency and resolution of the source."""
        return encode_picture(
            rgb, format=format, alpha=picture.alpha, dpi=picture.dpi, quality=self.quality, metadata=metadata
        )


@contextmanager
def opened(source: Path) -> Iterator[BinaryIO]:
    """Open a file of the user for reading. Raises InputError."""
    name = shown_name(source)
    try:
        with source.open("rb") as stream:
            yield stream
    except IsADirectoryError as error:
        raise InputError(f"{name}: this is a folder; give a picture file") from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise InputError(f"{name}: cannot be opened ({short_reason(error)})") from error


def notes_on(picture: Picture) -> tuple[str, ...]:
    """Return what the user should know about a file that was read."""
    return (f"only the first of {picture.frames} pictures in this file was taken",) if picture.frames > 1 else ()


class Named(io.BytesIO):
    """Bytes of a file that open_picture can name in its messages."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


def writable_format(format: str) -> str:
    """Return a PIL format name, or PNG for those that can only be read."""
    return format if format in SAVE_SUFFIXES.values() else "PNG"
