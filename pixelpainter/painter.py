"""Painter: the bytes of a drawing in, the bytes of a colored picture out, with one set of settings."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from pixelpainter import __version__
from pixelpainter.colorize import Colorizer
from pixelpainter.errors import InputError, OutputError
from pixelpainter.file_painter import FilePainter, Named, Painted, notes_on, writable_format
from pixelpainter.imaging import Picture, open_picture
from pixelpainter.line_layer import on_paper
from pixelpainter.lines import is_colored
from pixelpainter.pipeline import Room
from pixelpainter.settings import Settings
from pixelpainter.suffixes import SIDE_CARS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pixelpainter.layers.files import LayerFormat
    from pixelpainter.layers.stack import Layer

ColoredMode = Literal["copy", "skip", "force"]

# Compositing a picture of 64 megapixels takes 10 bytes per pixel at its peak: this makes 1 GB for all threads.
_PIXELS_AT_ONCE = 100_000_000
_REGIONS_MEMORY = 4  # times as much per pixel take regions; four layers and their file take no more after them


@dataclass(frozen=True, kw_only=True)
class Painter(FilePainter):
    """Colors picture files; one object serves many threads at once.

    Attributes:
        colorizer: the model.
        settings: what is wanted of the coloring.
        colored: what to do with pictures that already are colored: copy them as they are, skip them, or
            color them all the same.
        room: bounds the memory of all pictures in work; shared with the painters that `beside` makes.
    """

    done = "colored"

    colorizer: Colorizer
    settings: Settings = field(default_factory=Settings)
    colored: ColoredMode = "copy"
    room: Room = field(default_factory=lambda: Room(_PIXELS_AT_ONCE), repr=False, compare=False)

    def beside(self, source: Path) -> Self:
        """Return the painter for one drawing: this one, or one that also knows the hints in files beside it.

        NAME.hints.json and NAME.hints.png belong to the drawing NAME.png (or another suffix). Hints given to
        this painter cover theirs.

        Raises:
            InputError: there is such a file, but it cannot be used.
        """
        files = [file for suffix in SIDE_CARS if (file := _side_car(source, suffix)) is not None]
        if not files:
            return self
        from pixelpainter.strokes import read_hints

        found = [read_hints(file, max_pixels=self.max_pixels) for file in files]
        hints = tuple(hint for hints, _ in found for hint in hints)
        strokes = tuple(layer for _, layers in found for layer in layers)
        return dataclasses.replace(self, settings=self.settings.over(hints, strokes))

    @functools.cached_property
    def metadata(self) -> dict[str, str]:
        """What is written into every colored picture: program, model, settings; nothing that changes with the run."""
        name = self.colorizer.file.name
        return {
            "Software": f"PixelPainter {__version__}",
            "Model": name.encode("ascii", "backslashreplace").decode(),
            "Model-SHA256": self.colorizer.model_hash,
            "Settings": json.dumps(self.settings.described(), sort_keys=True),
        }

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides how a result looks, apart from the drawing and the result's format."""
        everything = {**self.metadata, "colored": self.colored, "quality": self.quality}
        return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()

    def paint(self, data: bytes, name: str, format: str | None, layers: LayerFormat | None = None) -> Painted:
        """Color a picture file.

        Args:
            data: the file.
            name: what messages call it.
            format: PIL format name of the result; None = that of the drawing, or PNG where it cannot be written.
            layers: make layers of this kind instead; as "png", they are several files.

        Raises:
            MissingExtraError: layers as "psd" need psd-tools, which is not installed.
            InputError: the drawing, or a hint, cannot be used.
            ModelError: the model fails on this picture.
            OutputError: the format cannot hold this picture.
        """
        memory = _REGIONS_MEMORY if layers or self.settings.flat else 1
        try:
            with ExitStack() as stack:

                def take_room(pixels: int) -> None:
                    stack.enter_context(self.room.taken(memory * pixels))

                picture = open_picture(Named(data, name), max_pixels=self.max_pixels, on_size=take_room)
                return self._paint(picture, data, name, format or writable_format(picture.format), layers)
        except MemoryError as error:
            raise InputError(f"{name}: there is not enough memory for this picture") from error
        except OutputError as error:  # it does not know the name
            raise OutputError(f"{name}: {error}") from error

    def _paint(self, picture: Picture, data: bytes, name: str, format: str, layers: LayerFormat | None) -> Painted:
        """Color or copy an opened picture."""
        size = picture.rgb.shape[1], picture.rgb.shape[0]
        if self.colored != "force" and is_colored(picture.rgb):
            if self.colored == "skip":
                return Painted((), "skipped", size)
            copy = self._copied(picture, data, format, layers)
            return Painted(copy, "copied", size, () if copy == (data,) else notes_on(picture))
        picture = on_paper(picture)
        notes = list(notes_on(picture))
        try:
            if layers is not None:
                parts = self.colorizer.layer_picture(picture, self.settings, on_note=notes.append)
                files = _encoded_layers(parts, layers, picture, self.metadata)
            else:
                rgb = self.colorizer.colorize_picture(picture, self.settings, on_note=notes.append)
                files = (self._encoded(picture, rgb, format, self.metadata),)
        except InputError as error:  # a hint or stroke; it does not know the drawing
            raise InputError(f"{name}: {error}") from error
        return Painted(files, "colored", size, tuple(notes))

    def _copied(self, picture: Picture, data: bytes, format: str, layers: LayerFormat | None) -> tuple[bytes, ...]:
        """Return the files of a picture that stays as it is; of layers, the lowest one has all of it."""
        if layers is not None:
            from pixelpainter.layers.stack import build_layers

            paper = np.full(picture.rgb.shape[:2], 255, np.uint8)
            return _encoded_layers(build_layers(picture.rgb, paper, picture.rgb, picture.alpha), layers, picture)
        return (data if picture.format == format else self._encoded(picture, picture.rgb, format),)


def _side_car(source: Path, suffix: str) -> Path | None:
    """Return the file beside a drawing that has this suffix, maybe in capitals."""
    for spelling in (suffix, ".hints" + Path(suffix).suffix.upper(), suffix.upper()):
        # os.path, for a name that is too long with the new suffix: Path.is_file would raise.
        if os.path.isfile(file := source.with_suffix(spelling)):  # noqa: PTH113
            return file
    return None


def _encoded_layers(
    layers: tuple[Layer, ...], format: LayerFormat, picture: Picture, metadata: Mapping[str, str] | None = None
) -> tuple[bytes, ...]:
    """Return the files of layers that have the resolution of the drawing."""
    from pixelpainter.layers.files import encode_layers

    return encode_layers(layers, format, dpi=picture.dpi, metadata=metadata)
