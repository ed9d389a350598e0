"""Colorizer: one drawing in, one colored picture out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pixelpainter.card import ModelCard
from pixelpainter.compose import LineMode, compose
from pixelpainter.devices import Device
from pixelpainter.finish import Painting
from pixelpainter.hints import Hint, draw_on_paper
from pixelpainter.imaging import Picture, letterbox, picture_from_array, picture_from_image
from pixelpainter.line_layer import on_paper
from pixelpainter.lines import Drawing, clean_drawing, strengthen
from pixelpainter.session import Session
from pixelpainter.settings import Settings

if TYPE_CHECKING:
    from pixelpainter.layers.stack import Layer
    from pixelpainter.palette import Swatch
    from pixelpainter.places import Places
    from pixelpainter.reference import Reference
    from pixelpainter.strokes import Strokes

__all__ = ["Colorizer"]

PAPER = 255


class Colorizer:
    """Colors line drawings with one model; one object serves many threads at once.

    >>> colorizer = Colorizer()
    >>> colorizer.colorize(PIL.Image.open("sketch.png")).save("sketch_color.png")
    """

    def __init__(
        self,
        model: str | Path | Session | None = None,
        *,
        threads: int | None = None,
        device: Device = "auto",
        quiet: bool = False,
    ) -> None:
        """Load a model, and download it first if it lies on the Hugging Face Hub only.

        Args:
            model: path of an ONNX file, or a name as `pixelpainter.hub.find_model` reads it; None = what
                ``PIXELPAINTER_MODEL`` names, or the model that comes with the package. Or one that is loading:
                the other arguments mean nothing then, and errors of the model come when it is needed.
            threads: processor cores for one picture; None = all that this process may use.
            device: "cpu", "cuda", or "auto": CUDA where it works, else the processor.
            quiet: show nothing on stderr while downloading.

        Raises:
            ModelError: the model is missing, is none of ours, is damaged, or is not for line drawings; or
                "cuda" was named and does not work here: the message says why.
        """
        self._places: dict[tuple[str, bytes | None], Places] = {}  # of the references that were used
        if isinstance(model, Session):
            self._session = model
        else:
            self._session = Session(model, threads=threads, device=device, quiet=quiet)
            _ = self.card

    @property
    def file(self) -> Path:
        """The ONNX file."""
        return self._session.file

    @property
    def card(self) -> ModelCard:
        """What the model reads, predicts and was made from."""
        return self._session.card

    @property
    def device(self) -> Device:
        """Where the model really runs, "cpu" or "cuda"."""
        return self._session.device

    @property
    def model_hash(self) -> str:
        """SHA-256 of the ONNX file."""
        return self._session.model_hash

    def colorize(
        self,
        picture: Image.Image | NDArray[Any] | Picture,
        *,
        hints: Sequence[Hint] = (),
        strokes: Sequence[Strokes] = (),
        palette: Sequence[Swatch] | NDArray[np.floating[Any]] = (),
        reference: Reference | None = None,
        exact: bool = False,
        saturation: float = 1.0,
        even: float = 0.8,
        lines: LineMode = "original",
        flat: bool = False,
        gap: int | None = None,
        clean: bool = True,
    ) -> Image.Image:
        """Color a drawing; all but the drawing is explained at `Settings`.

        Args:
            picture: the drawing, of any size and mode. An array is (H, W), (H, W, 3) or (H, W, 4) uint8.
            hints: colors at places.
            strokes: hints painted over the picture.
            palette: the colors to use, or what `palette.palette_code` returns: (N, 4) float, sRGB in [-1, 1] and
                share in [0, 1].
            reference: a finished picture of the character, see `reference.read_reference`.
            exact: use the colors of the palette only.
            saturation: how strong the colors are.
            even: how far patches inside a region are evened out.
            lines: whose lines the result shows.
            flat: one color per region.
            gap: pixels; lines with holes up to this wide are closed to find regions.
            clean: make white-on-black drawings and gray paper black on white first.

        Returns:
            The colored picture, RGB, or RGBA if the drawing has transparency other than between its lines, see
            ``line_layer.on_paper``; as large as the drawing (turned upright, if it says how).

        Raises:
            InputError: the picture or a hint cannot be used.
            ModelError: the model fails on this picture.
        """
        from pixelpainter.palette import swatches_of_code

        settings = Settings(
            hints=tuple(hints),
            strokes=tuple(strokes),
            palette=swatches_of_code(palette) if isinstance(palette, np.ndarray) else tuple(palette),
            reference=reference,
            exact=exact,
            saturation=saturation,
            even=even,
            lines=lines,
            flat=flat,
            gap=gap,
            clean=clean,
        )
        if isinstance(picture, Image.Image):
            picture = picture_from_image(picture)
        elif not isinstance(picture, Picture):
            picture = picture_from_array(picture)
        picture = on_paper(picture)
        result = Image.fromarray(self.colorize_picture(picture, settings))
        if picture.alpha is not None:
            result.putalpha(Image.fromarray(picture.alpha))
        if picture.dpi is not None:
            result.info["dpi"] = picture.dpi
        return result

    def colorize_picture(
        self, picture: Picture, settings: Settings, *, on_note: Callable[[str], None] | None = None
    ) -> NDArray[np.uint8]:
        """Color an opened drawing: `colorize` without PIL. Returns (H, W, 3) uint8 sRGB.

        ``on_note`` is told in one line what the user should know about a result.
        """
        return self._painting(picture, settings, on_note).picture(settings)

    def layer_picture(
        self, picture: Picture, settings: Settings, *, on_note: Callable[[str], None] | None = None
    ) -> tuple[Layer, ...]:
        """Color an opened drawing, as `colorize_picture` does, in layers: see `layers.build_layers`."""
        return self._painting(picture, settings, on_note).layers(settings)

    def network_picture(self, picture: Picture, settings: Settings) -> NDArray[np.uint8]:
        """Return what `colorize_picture` stands on: the network's own answer to the drawing, hints and palette.

        Returns:
            (H, W, 3) uint8 sRGB: not steered, with the network's own lines, scaled to the size of the drawing.
        """
        painting = self._painting(picture, settings, None, steered=False)
        return compose(painting.drawing.ink, painting.color, painting.box, lines="model")

    def _painting(
        self, picture: Picture, settings: Settings, on_note: Callable[[str], None] | None, *, steered: bool = True
    ) -> Painting:
        """Find the colors of a drawing."""
        if settings.clean:
            drawing = clean_drawing(picture.rgb)
        else:
            gray = np.asarray(cv2.cvtColor(picture.rgb, cv2.COLOR_RGB2GRAY), np.uint8)
            drawing = Drawing(gray, gray, picture.rgb)
        small, box = letterbox(drawing.network, self.card.size, PAPER)
        if settings.clean:
            small = strengthen(small)  # thin lines of a large drawing are faint now
        dots = np.zeros((4, self.card.size, self.card.size), np.float32)
        if settings.hints or settings.strokes:
            # Imported here and below, as all that only some runs need: every millisecond of a small picture counts.
            from pixelpainter.obey import open_paper

            size = picture.rgb.shape[1], picture.rgb.shape[0]
            dots, lost = draw_on_paper(settings.hints, settings.strokes, size, box, open_paper(small))
            if lost and on_note is not None:
                count = len(settings.hints)
                on_note(f"{lost} of {count} hints lie in lines, with no paper near them, and color nothing")
        color = self._steered(small, dots, settings) if steered else self._asked(small, dots, settings)[0]
        return Painting(drawing, picture.alpha, color, box, dots, self._exact(settings))

    def _steered(self, small: NDArray[np.uint8], dots: NDArray[np.float32], settings: Settings) -> NDArray[np.float32]:
        """Ask the network, and make its answer what the user wants, see `steer`.

        Args:
            small: (size, size) uint8, the drawing, 0 ink to 255 paper.
            dots: (4, size, size) float32, the hints as ``hints.draw_hints`` gives them.
            settings: what the user wants.

        Returns:
            (size, size, 3) float32 sRGB in [0, 1].
        """
        answer, plain = self._asked(small, dots, settings)
        palette, hinted = self._palette_code(settings.palette), bool(dots[3].any())
        exact = self._exact(settings)
        placed = None if settings.reference is None else self._placed(small, settings.reference, palette)
        if not (settings.even or placed or exact or settings.saturation != 1 or hinted):
            return answer
        from pixelpainter.steer import steer

        return steer(
            answer,
            small,
            dots,
            plain=plain,
            even=settings.even,
            placed=placed,
            exact=exact,
            saturation=settings.saturation,
        )

    def _asked(
        self, small: NDArray[np.uint8], dots: NDArray[np.float32], settings: Settings
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Return the network's answer, and the one without hints where it has some; see `_steered`."""
        palette = self._palette_code(settings.palette)
        if self.card.hints == "none" or not dots[3].any():
            return self._answer(small, dots, palette), None
        from pixelpainter.follow import palette_with_hints

        own = palette if settings.palette or palette is None else palette_with_hints(palette, dots)
        return self._answer(small, dots, own), self._answer(small, np.zeros_like(dots), palette)

    def _placed(
        self, small: NDArray[np.uint8], reference: Reference, palette: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.intp], list[tuple[int, int, int]]]:
        """Return which color of a finished picture each pixel (size, size) takes, and the colors: see `places`."""
        from pixelpainter.places import features_of, find_places

        codes = [None] if palette is None else [self._palette_code(()), palette]
        dots = np.zeros((4, self.card.size, self.card.size), np.float32)

        def features(drawing: NDArray[np.uint8]) -> NDArray[np.float32]:
            return features_of([self._answer(drawing, dots, code) for code in codes])

        colors = [*(swatch.color for swatch in reference.palette), (PAPER, PAPER, PAPER)]
        key = reference.digest, None if palette is None else palette.tobytes()
        if key not in self._places:  # two threads may both find them
            drawing, _ = letterbox(reference.drawing(), self.card.size, PAPER)
            truth, _ = letterbox(reference.rgb, self.card.size, (PAPER, PAPER, PAPER))
            self._places[key] = find_places(features(drawing), drawing, truth, colors)
        return self._places[key].choose(features(small), small), colors

    def _answer(
        self, small: NDArray[np.uint8], dots: NDArray[np.float32], palette: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """Return the network's answer (size, size, 3) float32 sRGB in [0, 1] for all that it reads."""
        channels = [small[None].astype(np.float32) / 127.5 - 1]
        if self.card.hints == "rgb-mask":
            channels.append(dots)
        inputs = {"picture": np.concatenate(channels)[None]}
        if palette is not None:
            inputs["palette"] = palette[None]
        return np.ascontiguousarray((self._session.run(inputs).transpose(1, 2, 0) + 1) / 2).clip(0, 1)

    def _exact(self, settings: Settings) -> Sequence[Swatch]:
        """Return the only colors to use, if there are such: a model that reads no palette is made to use one."""
        return settings.palette if settings.exact or not self.card.palette else ()

    def _palette_code(self, palette: Sequence[Swatch]) -> NDArray[np.float32] | None:
        """Return (card.palette, 4) float32: the user's palette, else the model's own, else zeros; None if not read."""
        if not self.card.palette:
            return None
        if palette:
            from pixelpainter.palette import code_of_swatches

            return code_of_swatches(palette, self.card.palette)
        if self.card.default_palette:
            return np.array(self.card.default_palette, np.float32)
        return np.zeros((self.card.palette, 4), np.float32)
