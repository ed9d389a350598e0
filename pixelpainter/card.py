"""ModelCard: the contract between a trained network and the program, stored inside every ONNX file.

The contract of the graph itself, for every system:

* input ``picture``: float32 (N, C, size, size). Channel 0 is the drawing, -1 (ink) to
  1 (paper). With ``hints == "rgb-mask"`` channels 1-3 are the hinted sRGB color scaled to [-1, 1]
  (0 where there is no hint) and channel 4 is 1 at hinted pixels, else 0.
* input ``palette``, only where ``palette > 0``: float32 (N, palette, 4): sRGB in [-1, 1] and each
  color's share of the figure in [0, 1], largest share first; all zeros means "no palette".
* output ``color``: float32 (N, 3, size, size) sRGB in [-1, 1] (``predicts == "rgb"``), or
  (N, 2, size, size), CIE a and b divided by 128 (``predicts == "ab"``).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from pixelpainter.errors import ModelError

SystemName = Literal["pix2pix", "pix2pix-hints"]
Precision = Literal["fp32", "fp16", "int8"]
Palette = tuple[tuple[float, float, float, float], ...]

CARD_KEY = "pixelpainter.card"  # key in the ONNX file's metadata_props
CARD_VERSION = 1  # raised when an older program could misread a newer card


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a model reads, predicts and was made from.

    Attributes:
        system: row of the systems table.
        reads: what channel 0 holds: a line drawing, or CIE L of a picture.
        predicts: what the output holds.
        size: side in pixels that the network was trained at; it is run at this size.
        multiple_of: sizes that the network can be trained at are multiples of this.
        hints: layout of the input channels after the first.
        palette: number of colors in the palette input; 0 = the graph has no such input.
        default_palette: palette code used when the user gives none, rows (r, g, b in [-1, 1], share
            in [0, 1]); empty = all zeros.
        precision: number format of the exported weights.
        samples_seen: training samples seen, repetitions counted.
        data_manifest: SHA-256 of the names and contents of the training pictures.
        command: the command that trained it.
        licence: licence of the weights.
        sources: one line per source of training pictures, with author and licence.
        metrics: figures measured on held-out pictures, by name.
        program_version: version of PixelPainter that exported it.
    """

    system: SystemName
    reads: Literal["lines", "luminance"]
    predicts: Literal["rgb", "ab"]
    size: int
    multiple_of: int
    hints: Literal["none", "rgb-mask"]
    palette: int
    default_palette: Palette = ()
    precision: Precision = "fp32"
    samples_seen: int = 0
    data_manifest: str = ""
    command: str = ""
    licence: str = ""
    sources: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    program_version: str = ""

    @property
    def input_channels(self) -> int:
        """Channels of the input ``picture``."""
        return 1 + (4 if self.hints == "rgb-mask" else 0)

    def to_json(self) -> str:
        """Return the card as JSON, with the version of the format."""
        return json.dumps({"card_version": CARD_VERSION, **dataclasses.asdict(self)}, sort_keys=True)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], file: str) -> ModelCard:
        """Read the card out of an ONNX file's metadata.

        Args:
            metadata: the file's ``metadata_props`` (onnxruntime: ``custom_metadata_map``).
            file: name of the file, for messages.

        Raises:
            ModelError: there is no card, it is damaged, or it is newer than this program.
        """
        if CARD_KEY not in metadata:
            raise ModelError(
                f"{file}: this ONNX file has no PixelPainter model card; use a file made by `pixelpainter export`"
            )
        try:
            record = json.loads(metadata[CARD_KEY])
            version = record.pop("card_version")
        except (ValueError, AttributeError, KeyError, TypeError) as error:
            raise ModelError(f"{file}: the model card is damaged ({error}); export the model again") from error
        if not isinstance(version, int) or version > CARD_VERSION:
            raise ModelError(
                f"{file}: the model card has version {version}, this program reads up to {CARD_VERSION}; "
                "install a newer PixelPainter"
            )
        try:
            return _validated(cls(**record))
        except (ValueError, TypeError) as error:
            raise ModelError(f"{file}: the model card is damaged ({error}); export the model again") from error


def _validated(card: ModelCard) -> ModelCard:
    """Return the card with JSON lists turned to tuples. Raises ValueError for values out of range."""
    choices: dict[str, Any] = {
        "system": get_args(SystemName),
        "reads": ("lines", "luminance"),
        "predicts": ("rgb", "ab"),
        "hints": ("none", "rgb-mask"),
        "precision": get_args(Precision),
    }
    for name, allowed in choices.items():
        if getattr(card, name) not in allowed:
            raise ValueError(f"{name} is {getattr(card, name)!r}, not one of {', '.join(allowed)}")
    for name, low, high in (("size", 1, 4096), ("multiple_of", 1, 4096), ("palette", 0, 64)):
        value = getattr(card, name)
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"{name} is {value!r}, not an integer from {low} to {high}")
    if card.size % card.multiple_of:
        raise ValueError(f"size {card.size} is no multiple of {card.multiple_of}")
    rows = tuple((float(r), float(g), float(b), float(share)) for r, g, b, share in card.default_palette)
    if len(rows) not in (0, card.palette):
        raise ValueError(f"default_palette has {len(rows)} colors, the network reads {card.palette}")
    return dataclasses.replace(card, default_palette=rows, sources=tuple(card.sources))
