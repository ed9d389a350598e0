"""RefinePainter: the bytes of a colored picture in, the bytes of a refined one out, with one set of settings."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pixelpainter import __version__
from pixelpainter.errors import InputError, ModelError, OutputError, ServerError, ServerLostError
from pixelpainter.file_painter import FilePainter, Named, Painted, notes_on, writable_format
from pixelpainter.imaging import Picture, open_picture
from pixelpainter.lines import Drawing, clean_drawing
from pixelpainter.refine.drawings import Drawings
from pixelpainter.refine.relines import fit_drawing, put_lines_back
from pixelpainter.refine.settings import Refiner, RefineSettings
from pixelpainter.saving import shown_name

if TYPE_CHECKING:
    from pixelpainter.layers.files import LayerFormat


@dataclass(frozen=True)
class Sketch:
    """The file of a drawing whose lines are put back.

    Attributes:
        data: the file.
        name: what messages call it.
    """

    data: bytes = dataclasses.field(repr=False)
    name: str


@dataclass(frozen=True, kw_only=True)
class RefinePainter(FilePainter):
    """Refines picture files; one object serves many threads at once.

    Attributes:
        refiner: the engine.
        settings: what is wanted of it.
        drawings: where the drawings lie whose lines are put back; None = no lines are, or those of ``sketch``.
        sketch: the drawing of the one picture that this painter is for.
        guided: the drawing also goes to the engine, for a ControlNet to hold on to.
    """

    done = "refined"

    refiner: Refiner
    settings: RefineSettings = dataclasses.field(default_factory=RefineSettings)
    drawings: Drawings | None = None
    sketch: Sketch | None = None
    guided: bool = False

    def beside(self, source: Path) -> Self:
        """Return the painter for one picture, which knows its drawing.

        Raises:
            InputError: the drawing cannot be found or read.
        """
        return self if self.drawings is None else self.with_sketch(self.drawings.find(source))

    def with_sketch(self, file: Path) -> Self:
        """Return the painter that puts back the lines of one drawing. Raises InputError."""
        return dataclasses.replace(self, drawings=None, sketch=Sketch(self.read(file), shown_name(file)))

    @functools.cached_property
    def metadata(self) -> dict[str, str]:
        """What is written into every refined picture: program, model, settings; nothing that changes with the run."""
        settings = self.settings.described()
        if self.sketch is not None:
            settings["lines_from_sha256"] = hashlib.sha256(self.sketch.data).hexdigest()
        return {
            "Software": f"PixelPainter {__version__}",
            "Model": self.refiner.identity.encode("ascii", "backslashreplace").decode(),
            "Settings": json.dumps(settings, sort_keys=True),
        }

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides how a result looks, apart from the picture and the result's format."""
        everything = {**self.metadata, "guided": self.guided, "quality": self.quality}
        return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()

    def paint(self, data: bytes, name: str, format: str | None, layers: LayerFormat | None = None) -> Painted:
        """Refine a picture file.

        Args:
            data: the file.
            name: what messages call it.
            format: PIL format name of the result; None = that of the picture, or PNG where it cannot be written.
            layers: a refined picture has none.

        Raises:
            InputError: the picture, or its drawing, cannot be used.
            ModelError: the model fails on this picture.
            ServerError: the server does; `ServerLostError` if no further picture can be refined there.
            OutputError: the format cannot hold this picture.
        """
        assert layers is None, "a refined picture has no layers"
        try:
            picture = open_picture(Named(data, name), max_pixels=self.max_pixels)
            return self._paint(picture, format or writable_format(picture.format))
        except MemoryError as error:
            raise InputError(f"{name}: there is not enough memory for this picture") from error
        except (ModelError, ServerError, OutputError) as error:  # they do not know the name
            if isinstance(error, ServerLostError):  # it is not about this picture
                raise
            raise type(error)(f"{name}: {error}") from error

    def _paint(self, picture: Picture, format: str) -> Painted:
        """Refine an opened picture."""
        size = picture.rgb.shape[1], picture.rgb.shape[0]
        drawing = self._drawing(size)
        notes = list(notes_on(picture))
        guide = drawing.network if drawing is not None and self.guided else None
        rgb = self.refiner.refine(picture.rgb, self.settings, sketch=guide, on_note=notes.append)
        assert rgb.shape == picture.rgb.shape, f"{rgb.shape} came back for {picture.rgb.shape}"
        if drawing is not None:
            rgb = put_lines_back(rgb, drawing)
        return Painted((self._encoded(picture, rgb, format, self.metadata),), "refined", size, tuple(notes))

    def _drawing(self, size: tuple[int, int]) -> Drawing | None:
        """Return the drawing at the size (width, height) of the picture. Raises InputError."""
        if self.sketch is None:
            return None
        opened = open_picture(Named(self.sketch.data, self.sketch.name), max_pixels=self.max_pixels)
        return fit_drawing(clean_drawing(opened.rgb), size, self.sketch.name)
