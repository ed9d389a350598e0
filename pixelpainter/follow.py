"""How far that which has no hint follows the hints.

One hint says what one region looks like, and nothing else may change. Many hints tell the colors of the whole picture:
then the network is told them as its palette as well, and its answer counts everywhere. In between both grow.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pixelpainter.color import lab_from_srgb, srgb_from_lab
from pixelpainter.obey import dot_numbers
from pixelpainter.palette import main_colors

ALL_FOLLOW = 9  # hints from which the network's answer to them counts in every region
PALETTE_HALF = 5  # hints that weigh as much as the model's default palette

Floats = NDArray[np.float32]


def hint_colors(dots: Floats) -> Floats:
    """Return (N, 3) float32, sRGB in [0, 1]: the color of each dot or stroke of (4, S, S) hints; strokes count once."""
    count, numbers = cv2.connectedComponents(dot_numbers(dots), connectivity=4, ltype=cv2.CV_32S)
    inside = np.flatnonzero(numbers)
    found, first = np.unique(numbers.ravel()[inside], return_index=True)
    assert len(found) == count - 1
    return np.asarray((dots[:3].reshape(3, -1)[:, inside[first]].T + 1) / 2, np.float32)


def palette_with_hints(palette: Floats, dots: Floats) -> Floats:
    """Return a palette code in which the colors of hints take their share.

    Args:
        palette: (P, 4) float32, the code used without hints: sRGB in [-1, 1] and share in [0, 1].
        dots: (4, S, S) float32, the hints as ``hints.draw_hints`` gives them.

    Returns:
        (P, 4) float32, the same code for no hint or a single one; largest share first.
    """
    colors = hint_colors(dots)
    share = max(len(colors) - 1, 0) / (len(colors) + PALETTE_HALF - 2)
    if share <= 0:
        return palette
    lab = np.asarray(lab_from_srgb(colors), np.float32)
    centers, shares = main_colors(lab, len(palette))
    hinted = np.column_stack([srgb_from_lab(centers) * 2 - 1, shares * share])
    usual = palette[np.argsort(-palette[:, 3], kind="stable")] * np.array([1, 1, 1, 1 - share])
    rows = np.concatenate([hinted, usual[: len(palette) - len(hinted)]])
    rows[: len(hinted), 3] += (1 - rows[:, 3].sum()) * shares  # what the usual colors that are left out had
    return np.asarray(rows[np.argsort(-rows[:, 3], kind="stable")], np.float32)


def hold_back(
    answer: Floats, plain: Floats, dots: Floats, labels: NDArray[np.int32], paper: NDArray[np.bool_]
) -> Floats:
    """Return a network's answer to hints, in which regions without a hint change only as far as there are many.

    Args:
        answer: (S, S, 3) float32, sRGB in [0, 1], the answer to the hints.
        plain: (S, S, 3) float32, the answer to no hints.
        dots: (4, S, S) float32, the hints.
        labels: (S, S) int32, the regions of the drawing, see ``flats.network_regions``.
        paper: (S, S) bool, where no line is.

    Returns:
        (S, S, 3) float32, sRGB in [0, 1].
    """
    share = follow_share(dots)
    if share >= 1:
        return answer
    hinted = np.isin(labels, np.unique(labels[(dots[3] > 0) & paper]))
    weight = np.where(hinted, np.float32(1), np.float32(share))[..., None]
    return np.asarray(plain + weight * (answer - plain), np.float32)


def follow_share(dots: Floats) -> float:
    """Return how far regions without a hint follow these hints, from 0 for one hint to 1 for many."""
    return float(np.clip((len(hint_colors(dots)) - 1) / (ALL_FOLLOW - 1), 0, 1))
