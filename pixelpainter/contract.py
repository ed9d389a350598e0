"""Compare a model's graph with its card, whose module says what both promise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pixelpainter.card import ModelCard
from pixelpainter.errors import ModelError


def check_contract(card: ModelCard, session: Any, file: Path) -> None:
    """Look whether card and graph are what `Colorizer` can run.

    Args:
        card: what the graph is said to be.
        session: an onnxruntime session with the graph.
        file: what messages name.

    Raises:
        ModelError: they are not, or differ from each other.
    """
    if (card.reads, card.predicts) != ("lines", "rgb"):
        raise ModelError(
            f"{file}: this model reads {card.reads} and predicts {card.predicts}; this version of PixelPainter "
            "colors with models that read lines and predict rgb"
        )
    inputs = {"picture": [None, card.input_channels, card.size, card.size]}
    if card.palette:
        inputs["palette"] = [None, card.palette, 4]
    outputs = {"color": [None, 3, card.size, card.size]}
    for kind, wanted, given in (("input", inputs, session.get_inputs()), ("output", outputs, session.get_outputs())):
        found = {value.name: value for value in given}
        if found.keys() != wanted.keys():
            raise ModelError(
                f"{file}: the graph's {kind}s are {', '.join(found)}, the model card asks for "
                f"{', '.join(wanted)}; export the model again"
            )
        for name, shape in wanted.items():
            _check_value(found[name], shape, f"{file}: the {kind} {name!r}")


def _check_value(value: Any, shape: Sequence[int | None], what: str) -> None:
    """Raise ModelError unless a graph's value is float32 of this shape; None and names fit every length."""
    fits = len(value.shape) == len(shape) and all(
        wanted is None or not isinstance(length, int) or length == wanted
        for wanted, length in zip(shape, value.shape, strict=True)
    )
    if value.type != "tensor(float)" or not fits:
        wanted_shape = ", ".join("N" if length is None else str(length) for length in shape)
        raise ModelError(
            f"{what} is {value.type} {value.shape}, the model card asks for float32 ({wanted_shape}); "
            "export the model again"
        )
