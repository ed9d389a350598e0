"""Settings: what the user wants of a coloring, as one value that travels from the command line to the network."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixelpainter.compose import LineMode
    from pixelpainter.hints import Hint
    from pixelpainter.palette import Swatch
    from pixelpainter.reference import Reference
    from pixelpainter.strokes import Strokes

_HINTS_SPELLED_OUT = 200  # in metadata, which a JPEG has 64 kB for; of more, a SHA-256


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the user wants of a coloring, apart from the drawing and the model.

    Attributes:
        hints: colors at places of the upright picture; a later one covers an earlier one. Every model obeys
            them, and one that reads hints colors the rest to match.
        strokes: hints painted over the upright picture; ``hints`` cover them.
        palette: the colors to use, of any number; none = the model's own default. A model that reads no palette
            is made to use them as if ``exact`` were asked for.
        reference: a finished picture of the character: regions take the color of what they look like in it, and
            its palette is used if there is no other.
        exact: use the colors of the palette only, apart from white, black, and where hints say otherwise.
        saturation: how strong the colors are; 1 = as the model made them, 0 = gray. Hints stay as they are.
        even: how far patches inside a region are evened out; 0 = as the model painted them, 1 = wholly.
        lines: "original" puts the drawing's own lines over the color, "model" keeps the network's picture
            as it is, "none" leaves color without lines.
        flat: one color per region of the full-size drawing, without light and shade.
        gap: lines with holes up to this many pixels are closed to find regions, for ``flat`` and for layers;
            None = 8 in a picture of 2048, as many less in a smaller one, at least 2.
        clean: make white-on-black drawings and gray paper black on white first.
    """

    hints: tuple[Hint, ...] = ()
    strokes: tuple[Strokes, ...] = ()
    palette: tuple[Swatch, ...] = ()
    reference: Reference | None = None
    exact: bool = False
    saturation: float = 1.0
    even: float = 0.8
    lines: LineMode = "original"
    flat: bool = False
    gap: int | None = None
    clean: bool = True

    def __post_init__(self) -> None:
        """Check the values. Raises ValueError."""
        if not 0 <= self.saturation < float("inf"):
            raise ValueError(f"saturation is {self.saturation}, not 0 or more")
        if not 0 <= self.even <= 1:
            raise ValueError(f"even is {self.even}, not from 0 to 1")
        if self.reference is not None and not self.palette:
            object.__setattr__(self, "palette", self.reference.palette)
        if self.exact and not self.palette:
            raise ValueError("exact is asked for without a palette: there are no colors to use")
        if self.gap is not None and self.gap < 0:
            raise ValueError(f"gap is {self.gap}, not 0 or more")
        if self.flat and self.lines == "model":
            raise ValueError("flat colors go with the drawing's own lines or none, not with those of the network")

    def over(self, hints: tuple[Hint, ...], strokes: tuple[Strokes, ...]) -> Settings:
        """Return these settings with more hints and strokes; those that are here already cover them."""
        return dataclasses.replace(self, hints=hints + self.hints, strokes=strokes + self.strokes)

    def described(self) -> dict[str, Any]:
        """Return the settings as plain values for JSON; two that may give different pictures differ in them.

        Hints, lines and clean are always there, the others where they are not as usual.
        """
        described: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in _ALWAYS_DESCRIBED or value != field.default:
                described[field.name] = _DESCRIBE.get(field.name, _as_it_is)(value)
        return described


def _describe_hints(hints: tuple[Hint, ...]) -> list[list[Any]] | str:
    rows = [[hint.x, hint.y, "{:02X}{:02X}{:02X}".format(*hint.color), hint.radius] for hint in hints]
    return rows if len(rows) <= _HINTS_SPELLED_OUT else hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _describe_strokes(strokes: tuple[Strokes, ...]) -> list[str]:
    return [layer.digest for layer in strokes]


def _describe_palette(palette: tuple[Swatch, ...]) -> list[list[Any]]:
    return [["{:02X}{:02X}{:02X}".format(*swatch.color), round(swatch.share, 4)] for swatch in palette]


def _describe_reference(reference: Reference) -> str:
    return reference.digest


def _as_it_is(value: Any) -> Any:
    return value


_ALWAYS_DESCRIBED = frozenset({"hints", "lines", "clean"})
_DESCRIBE: dict[str, Callable[[Any], Any]] = {
    "hints": _describe_hints,
    "strokes": _describe_strokes,
    "palette": _describe_palette,
    "reference": _describe_reference,
}
