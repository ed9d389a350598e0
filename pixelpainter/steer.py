"""Turns a network's answer into what the user asked for: even fills, exact colors, saturation, hints; in this order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pixelpainter.color import lab_from_srgb, srgb_from_lab
from pixelpainter.flats import even_out, network_regions, whiten_pages
from pixelpainter.obey import find_pages, obey, open_paper
from pixelpainter.palette import Swatch

Floats = NDArray[np.float32]


def steer(
    answer: Floats,
    drawing: NDArray[np.uint8],
    dots: Floats,
    *,
    plain: Floats | None = None,
    even: float = 0.0,
    placed: tuple[NDArray[np.intp], Sequence[tuple[int, int, int]]] | None = None,
    exact: Sequence[Swatch] = (),
    saturation: float = 1.0,
) -> Floats:
    """Return a network's answer as the user wants it.

    Args:
        answer: (S, S, 3) float32 sRGB in [0, 1].
        drawing: (S, S) uint8, the drawing it was given, 0 ink to 255 paper.
        dots: (4, S, S) float32, the hints as ``hints.draw_hints`` gives them; they have the last word.
        plain: (S, S, 3) float32, the answer without hints, if the network was told any: see ``follow.hold_back``, and
            ``obey``.
        even: how far patches inside a region are evened out, from 0 to 1; see ``flats.even_out``.
        placed: (S, S) the number of the color that each pixel is to have, and the colors; others stay.
        exact: if given, the only colors to use, see ``exact.use_palette``.
        saturation: factor for the CIE chroma; lightness and hue stay.

    Returns:
        (S, S, 3) float32 sRGB in [0, 1].

    Raises:
        ValueError: the saturation is below 0 or not finite.
    """
    if not 0 <= saturation < math.inf:
        raise ValueError(f"saturation is {saturation}, not 0 or more")
    labels = network_regions(drawing)
    if plain is not None:
        from pixelpainter.follow import hold_back

        answer = hold_back(answer, plain, dots, labels, open_paper(drawing))
    if even:
        answer = even_out(answer, drawing, labels, even)
        answer = whiten_pages(answer, drawing, labels, find_pages(answer, labels), even)
        if plain is not None:
            plain = even_out(plain, drawing, labels, even)
    if placed is not None:
        from pixelpainter.exact import move_parts  # here and elsewhere: what only some runs need

        answer, plain = move_parts(answer, open_paper(drawing), *placed), None  # how far the network went is undone
    if exact:
        from pixelpainter.exact import use_palette

        answer, plain = use_palette(answer, drawing, exact, labels), None
    if saturation != 1:
        scale = np.array([1, saturation, saturation], np.float32)
        answer = np.asarray(srgb_from_lab(lab_from_srgb(answer) * scale), np.float32)
    return obey(answer, drawing, dots, labels, plain)
