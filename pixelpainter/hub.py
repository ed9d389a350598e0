"""From the name of a model to its file: the bundled one, or a path."""

from __future__ import annotations

import os
from pathlib import Path

from pixelpainter.errors import ModelError

MODEL_VARIABLE = "PIXELPAINTER_MODEL"
# Not importlib.resources: its import costs 20 ms, and onnxruntime needs a real file anyway.
BUNDLED_MODEL = Path(__file__).parent / "weights" / "pixelpainter.onnx"


def find_model(name: str | Path | None = None) -> Path:
    """Return the file of a model.

    Args:
        name: path of an ONNX file; None = what the environment variable ``PIXELPAINTER_MODEL`` names,
            or else the model that comes with the package.

    Raises:
        ModelError: there is no such file.
    """
    origin = ""
    if name is None:
        name = os.environ.get(MODEL_VARIABLE) or None
        origin = f" (named by ${MODEL_VARIABLE})"
    if name is None:
        if not BUNDLED_MODEL.is_file():
            raise ModelError(
                "this installation of PixelPainter has no bundled model; give one with --model FILE, or install "
                "PixelPainter again"
            )
        return BUNDLED_MODEL
    path = Path(name).expanduser()
    if path.is_dir():
        raise ModelError(f"{name}{origin}: this is a folder; give the .onnx file inside it")
    if not path.is_file():
        raise ModelError(f"{name}{origin}: there is no such model file; give one made by `pixelpainter export`")
    return path
