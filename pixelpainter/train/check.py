"""Look at training data before training on them: what is unreadable, does not fit together, or is there twice."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from pixelpainter.devices import available_cpus
from pixelpainter.errors import DataError
from pixelpainter.figure import figure_mask
from pixelpainter.imaging import letterbox
from pixelpainter.train.fit import SIDE, edges, find_misfits
from pixelpainter.train.pairs import ASPECT_TOLERANCE, MIN_SIDE_PX, Layout, Pair, TooSmallError, chroma, read_rgb
from pixelpainter.train.sources import find_lone_drawings, find_training_data

Kind = Literal["unreadable", "mis-sized", "mismatched", "blank", "duplicate", "leaked", "swapped"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Pixels = NDArray[np.uint8]

INK = 200  # a pixel of a drawing below this belongs to a line
GRAY, COLORED = 4.0, 6.0  # mean chroma, 0-255: JPEG leaves a trace of color in gray
LEAK_RMS = 3.0  # of 255 at 16x16: copies at half the size or as JPEG 50 differ by up to 3, different pictures by 9


@dataclass(frozen=True)
class Problem:
    """What is wrong with a pair: its kind, the pair's name, and the reason."""

    kind: Kind
    name: str
    reason: str


@dataclass(frozen=True)
class Look:
    """What is remembered of a pair.

    Attributes:
        pair: the pair.
        problems: what is wrong with it alone.
        aspect: width by height of a joined picture; 0 of others.
        digest: hash of the color picture's pixels.
        signature: (768,) float32, the color picture at 16x16.
        edges: (2, S/2, S/2) uint8, edges of picture and drawing; None without drawing.
    """

    pair: Pair
    problems: tuple[Problem, ...]
    aspect: float = 0.0
    digest: str = ""
    signature: NDArray[np.float32] | None = None
    edges: Pixels | None = None


@dataclass(frozen=True)
class Findings:
    """What was found.

    Attributes:
        problems: sorted by kind and name.
        training: number of training pictures.
        validation: number of validation pictures.
        without_drawing: those of both for which lines would be extracted.
    """

    problems: list[Problem]
    training: int
    validation: int
    without_drawing: int

    def counts(self) -> dict[Kind, int]:
        """Return the number of problems of every kind."""
        found = Counter(problem.kind for problem in self.problems)
        return {kind: found[kind] for kind in KINDS}


def check_data(
    data: Sequence[Path],
    layout: Layout | None = None,
    validation: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Findings:
    """Look at every picture that `train` would use.

    Args:
        data: folders and ZIP files, as for ``find_training_data``.
        layout: of joined pictures; None: what most of them show.
        validation: folder or ZIP file to validate on; None: as `train` splits the data.
        progress: called with the number of pairs done and in all.

    Raises:
        DataError: a root is missing, damaged, or holds no color picture.
    """
    training, held_out = find_training_data(data, layout, validation)
    pairs = [*training, *held_out]
    looks: list[Look] = []
    with ThreadPoolExecutor(available_cpus()) as pool:
        for look in pool.map(_look, pairs):
            looks.append(look)
            if progress is not None:
                progress(len(looks), len(pairs))
    problems = [problem for look in looks for problem in look.problems]
    problems += _of_unusual_shape(looks)
    problems += _that_do_not_fit(looks)
    problems += _duplicates(looks[: len(training)]) + _duplicates(looks[len(training) :])
    problems += _leaks(looks[: len(training)], looks[len(training) :])
    roots = [*data, *([] if validation is None else [validation])]
    for name, place in find_lone_drawings(roots, pairs):
        problems.append(Problem("mismatched", name, f"{place}: a drawing without a color picture of its name"))
    lone = sum(pair.lines is None and pair.layout is None for pair in pairs)
    ordered = sorted(problems, key=lambda problem: (KINDS.index(problem.kind), problem.name))
    return Findings(ordered, len(training), len(held_out), lone)


def _look(pair: Pair) -> Look:
    """Read a pair and say what is wrong with it alone."""
    problems: list[Problem] = []

    def fault(kind: Kind, reason: str) -> None:
        problems.append(Problem(kind, pair.name, reason))

    try:
        color = read_rgb(pair.color)
        drawing = None if pair.lines is None else read_rgb(pair.lines)
    except TooSmallError as error:
        fault("mis-sized", str(error))
        return Look(pair, tuple(problems))
    except DataError as error:
        fault("unreadable", str(error))
        return Look(pair, tuple(problems))
    aspect = 0.0
    if pair.layout is not None:
        aspect = color.shape[1] / color.shape[0]
        if color.shape[1] % 2:
            fault("mis-sized", f"{pair.color}: {color.shape[1]} pixels wide, which cannot be halved")
        color, drawing = _halves(color, pair.layout)
        if min(color.shape[1], color.shape[0]) < MIN_SIDE_PX:
            fault("mis-sized", f"{pair.color}: halves of {color.shape[1]}x{color.shape[0]} pixels")
            return Look(pair, tuple(problems), aspect)
    elif drawing is None and _looks_joined(color):
        fault("mismatched", f"{pair.color}: looks like color beside a sketch, unlike most pictures of its folder")
    for reason, kind in _faults(pair, color, drawing):
        fault(kind, reason)
    small = cv2.resize(letterbox(color, SIDE, 255)[0], (16, 16), interpolation=cv2.INTER_AREA)
    return Look(
        pair,
        tuple(problems),
        aspect,
        hashlib.sha256(f"{color.shape}".encode() + color.tobytes()).hexdigest(),
        small.astype(np.float32).ravel(),
        None if drawing is None or problems else np.stack([edges(color), edges(drawing)]),
    )


def _faults(pair: Pair, color: Pixels, drawing: Pixels | None) -> list[tuple[str, Kind]]:
    """Return what is wrong with the contents of a pair."""
    found: list[tuple[str, Kind]] = []
    if drawing is not None:
        (height, width), (lines_height, lines_width) = color.shape[:2], drawing.shape[:2]
        if abs(lines_width * height / (lines_height * width) - 1) > ASPECT_TOLERANCE:
            found.append((f"{pair.lines}: {lines_width}x{lines_height}, its picture is {width}x{height}", "mis-sized"))
        if chroma(drawing) > COLORED and chroma(drawing) > 2 * chroma(color):
            place = pair.lines or pair.color
            found.append((f"{place}: the drawing is colored, and the color picture is gray", "swapped"))
            return found  # a drawing in the place of the picture would be called blank as well
        if drawing.min() >= INK:
            found.append((f"{pair.lines or pair.color}: a drawing without lines", "blank"))
    if not figure_mask(color).any() or not np.ptp(color.reshape(-1, 3), axis=0).any():
        found.append((f"{pair.color}: a page of one color", "blank"))
    return found


def _halves(joined: Pixels, layout: Layout) -> tuple[Pixels, Pixels]:
    """Return color and drawing of a joined picture."""
    half = joined.shape[1] // 2
    left, right = np.ascontiguousarray(joined[:, :half]), np.ascontiguousarray(joined[:, -half:])
    return (left, right) if layout == "color-left" else (right, left)


def _looks_joined(rgb: Pixels) -> bool:
    """Tell whether a picture is twice as wide as high, with one gray and one colored half."""
    if abs(rgb.shape[1] / (2 * rgb.shape[0]) - 1) > ASPECT_TOLERANCE:
        return False
    halves = [chroma(half) for half in _halves(rgb, "color-left")]
    return min(halves) < GRAY and max(halves) > COLORED


def _of_unusual_shape(looks: Sequence[Look]) -> list[Problem]:
    """Return the joined pictures whose shape is not that of most of their root: one half is cut or missing."""
    shapes: dict[str, list[float]] = defaultdict(list)
    for look in looks:
        if look.aspect:
            shapes[_root(look)].append(look.aspect)
    return [
        Problem("mis-sized", look.pair.name, f"{look.pair.color}: joined, but not as wide for its height as the others")
        for look in looks
        if look.aspect and abs(look.aspect / float(np.median(shapes[_root(look)])) - 1) > ASPECT_TOLERANCE
    ]


def _that_do_not_fit(looks: Sequence[Look]) -> list[Problem]:
    """Return the pairs whose drawing shows something else than their picture."""
    drawn: dict[str, list[tuple[Pair, Pixels]]] = defaultdict(list)
    for look in looks:
        if look.edges is not None:
            drawn[_root(look)].append((look.pair, look.edges))
    problems = []
    for group in drawn.values():
        pictures, drawings = np.stack([both for _, both in group], axis=1)
        for misfit in find_misfits(pictures, drawings):
            pair = group[misfit.place][0]
            like = "" if misfit.like is None else f"; more like {group[misfit.like][0].color}, {misfit.better:.2f}"
            reason = f"the drawing does not show what the picture shows (fit {misfit.fit:.2f} of 1{like})"
            problems.append(Problem("mismatched", pair.name, f"{pair.lines or pair.color}: {reason}"))
    return problems


def _duplicates(looks: Sequence[Look]) -> list[Problem]:
    """Return the pairs whose picture was there before, pixel by pixel; faces of one character are none."""
    first: dict[str, Look] = {}
    return [
        Problem("duplicate", look.pair.name, f"{look.pair.color}: the same as {first[look.digest].pair.color}")
        for look in looks
        if look.digest and first.setdefault(look.digest, look) is not look
    ]


def _leaks(training: Sequence[Look], validation: Sequence[Look]) -> list[Problem]:
    """Return the validation pairs whose picture is trained on: the same, or hardly different."""
    known = [look for look in training if look.signature is not None]
    if not known:
        return []
    table = np.stack([look.signature for look in known if look.signature is not None])
    problems = []
    for look in validation:
        if look.signature is not None:
            difference = np.sqrt(np.square(table - look.signature).mean(axis=1))
            nearest = int(difference.argmin())
            if difference[nearest] <= LEAK_RMS:
                how = "the same as" if known[nearest].digest == look.digest else "hardly different from"
                reason = f"{look.pair.color}: {how} {known[nearest].pair.color}, which is trained on"
                problems.append(Problem("leaked", look.pair.name, reason))
    return problems


def _root(look: Look) -> str:
    return look.pair.name.partition("/")[0]
