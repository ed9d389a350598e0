"""PixelPainter: color line art from the command line or from Python.

>>> from pixelpainter import Colorizer
>>> Colorizer().colorize(PIL.Image.open("sketch.png")).save("sketch_color.png")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pixelpainter.card import ModelCard
from pixelpainter.errors import (
    DataError,
    ExportError,
    InputError,
    MissingExtraError,
    ModelError,
    OutputError,
    PixelPainterError,
    ServerError,
    TrainingError,
)

if TYPE_CHECKING:
    from pixelpainter.colorize import Colorizer

__version__ = "0.1.0"
__all__ = [
    "Colorizer",
    "DataError",
    "ExportError",
    "InputError",
    "MissingExtraError",
    "ModelCard",
    "ModelError",
    "OutputError",
    "PixelPainterError",
    "ServerError",
    "TrainingError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Load Colorizer, and with it numpy and onnxruntime, only when it is asked for (PEP 562)."""
    if name == "Colorizer":
        from pixelpainter.colorize import Colorizer

        return Colorizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
