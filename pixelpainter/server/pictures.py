"""What the workers do: pictures of clients in, the bytes of a PNG out."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from pixelpainter import __version__
from pixelpainter.errors import InputError
from pixelpainter.file_painter import Named
from pixelpainter.imaging import encode_picture, open_picture
from pixelpainter.lines import gray_of
from pixelpainter.painter import Painter
from pixelpainter.palette_files import parse_palette
from pixelpainter.refine.settings import Refiner, RefineSettings
from pixelpainter.server.forms import MOST_HINTS, ColorizeFields, Form, RefineFields
from pixelpainter.settings import Settings
from pixelpainter.strokes import Strokes, parse_list, read_strokes


class _UnwantedError(Exception):
    """Ends a run of the model; nobody hears of it."""


@dataclass(frozen=True)
class Result:
    """A picture for a client.

    Attributes:
        png: the file.
        notes: what else the client should know, one line each.
        identity: of the diffusion model, empty if there was none.
    """

    png: bytes
    notes: tuple[str, ...] = ()
    identity: str = ""


def colorize_form(painter: Painter, form: Form[ColorizeFields]) -> Result:
    """Color the drawing of a form.

    Raises:
        InputError: the drawing, or what is wanted of it, cannot be used.
        ModelError: the model fails on this picture.
    """
    data = form.files["sketch"].read()
    settings = _settings(form.fields)
    hints = parse_list(form.fields.hints, "hints") if form.fields.hints else ()
    if len(hints) > MOST_HINTS:
        raise InputError(f"hints: there are {len(hints)}, more than the limit of {MOST_HINTS}")
    strokes: tuple[Strokes, ...] = ()
    if "strokes" in form.files:
        stream = Named(form.files["strokes"].read(), "strokes")
        strokes = (read_strokes(stream, max_pixels=painter.max_pixels),)
    painted = dataclasses.replace(painter, settings=settings.over(hints, strokes)).paint(data, "sketch", "PNG")
    already = () if painted.status == "colored" else ("already colored, copied",)
    return Result(painted.data, already + painted.notes)


def refine_form(
    refiner: Refiner, identity: str, max_pixels: int, form: Form[RefineFields], unwanted: threading.Event
) -> Result:
    """Have a diffusion model paint over the picture of a form.

    Args:
        refiner: the model.
        identity: of the refiner.
        max_pixels: of a picture.
        form: what the client sent.
        unwanted: once it is set, the model is stopped after its next step.

    Raises:
        InputError: a picture cannot be used.
        ModelError: the model fails on this picture.
        _UnwantedError: nobody waits for the picture.
    """

    def stop_if_unwanted() -> None:
        if unwanted.is_set():
            raise _UnwantedError

    data = form.files["image"].read()
    sketch = _read_sketch(form.files, max_pixels)
    picture = open_picture(Named(data, "image"), max_pixels=max_pixels)
    size = picture.rgb.shape[1], picture.rgb.shape[0]
    if sketch is not None and sketch.shape[::-1] != size:
        raise InputError(
            f"sketch: it is {sketch.shape[1]}x{sketch.shape[0]} pixels, the image {size[0]}x{size[1]}; send both in "
            "one size"
        )
    settings = RefineSettings(**form.fields.model_dump())
    notes: list[str] = []
    rgb = refiner.refine(picture.rgb, settings, sketch=sketch, on_note=notes.append, on_step=stop_if_unwanted)
    assert rgb.shape == picture.rgb.shape
    metadata = {
        "Software": f"PixelPainter {__version__}",
        "Model": identity,
        "Settings": json.dumps(settings.described(), sort_keys=True),
    }
    png = encode_picture(rgb, format="PNG", alpha=picture.alpha, dpi=picture.dpi, metadata=metadata)
    return Result(png, tuple(notes), identity)


def _settings(fields: ColorizeFields) -> Settings:
    """Return what is wanted of a coloring, apart from hints. Raises InputError."""
    try:
        return Settings(
            palette=parse_palette(fields.palette) if fields.palette else (),
            exact=fields.exact,
            saturation=fields.saturation,
            even=fields.even,
            lines=fields.lines,
            flat=fields.flat,
            gap=fields.gap,
            clean=not fields.no_clean,
        )
    except ValueError as error:  # they do not go together
        raise InputError(str(error)) from error


def _read_sketch(files: Mapping[str, BinaryIO], max_pixels: int) -> NDArray[np.uint8] | None:
    """Return the drawing (H, W) uint8 that a ControlNet holds on to, 0 ink to 255 paper. Raises InputError."""
    if "sketch" not in files:
        return None
    return gray_of(open_picture(Named(files["sketch"].read(), "sketch"), max_pixels=max_pixels).rgb)
