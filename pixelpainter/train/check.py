"""Look at training data before training on them: what is unreadable, does not fit together, or is there twice."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
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
from pixelpainter.train.pairs import ASPECT_TOLERANCE, MIN_SIDE_PX, Layout, Pair, chroma, read_rgb
from pixelpainter.train.sources import find_lone_drawings, find_training_data

Kind = Literal["unreadable", "mis-sized", "mismatched", "blank", "duplicate", "leaked", "swapped"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Pixels = NDArray[np.uint8]

SIDE = 128  # pixels; pictures are compared at this size
INK = 200  # a pixel of a drawing below this belongs to a line
GRAY, COLORED = 4.0, 6.0  # mean chroma, 0-255: JPEG leaves a trace of color in gray
LEAK_RMS = 3.0  # of 255 at 16x16: copies at half the size or as JPEG 50 differ by up to 3, different pictures by 9
# Fit of a drawing with its picture, measured on 1,400 pairs of seven kinds: at least 0.44, mostly above 0.85; of a
# drawing with another's picture: about 0.3, seldom above 0.6.
LOWEST_FIT, SHARE_OF_USUAL_FIT, DOUBTFUL_FIT = 0.2, 0.5, 0.8
# A doubtful drawing is held against all other pictures. Of 14,899 right pairs of three sets 15 are called wrong, half
# of them versions of one drawing in other colors; of 1,200 wrong ones 3 are not found, 30 where the right picture is
# absent.
CLEARLY_BETTER = 0.1
CHUNK = 1024  # drawings, and pictures, that are compared at once


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
    except DataError as error:
        fault("mis-sized" if "are too few" in str(error) else "unreadable", str(error))
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
        None if drawing is None or problems else np.stack([_edges(color), _edges(drawing)]),
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


def _edges(rgb: Pixels) -> Pixels:
    """Return (S/2, S/2) uint8, how strong edges are."""
    lab = cv2.cvtColor(letterbox(rgb, SIDE, 255)[0], cv2.COLOR_RGB2LAB)
    soft = cv2.GaussianBlur(lab, (0, 0), 0.7).astype(np.float32)
    slope = np.hypot(cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)).max(axis=2)
    broad = cv2.GaussianBlur(np.minimum(slope, 80), (0, 0), 1.0)  # strokes of a hand lie a pixel beside the color
    half = cv2.resize(broad, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(np.rint(half), np.uint8)


def _centered(edges: Pixels) -> NDArray[np.float32]:
    """Return (N, S/2, S/2) uint8 edges as (N, S*S/4) float32 rows of mean 0 and length 1: their products are fits."""
    rows = edges.reshape(len(edges), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6), np.float32)


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
    """Return the pairs whose drawing shows something else than their picture.

    The fit is the correlation of the edges of both, from 0 to 1.
    """
    drawn: dict[str, list[tuple[Look, Pixels]]] = defaultdict(list)
    for look in looks:
        if look.edges is not None:
            drawn[_root(look)].append((look, look.edges))
    problems = []
    for group in drawn.values():
        pictures, drawings = np.stack([edges for _, edges in group], axis=1)
        fits = np.concatenate(
            [
                (_centered(pictures[start : start + CHUNK]) * _centered(drawings[start : start + CHUNK])).sum(axis=1)
                for start in range(0, len(group), CHUNK)
            ]
        )
        lowest = max(LOWEST_FIT, SHARE_OF_USUAL_FIT * float(np.median(fits)))
        doubtful = np.flatnonzero(fits < DOUBTFUL_FIT)
        for place, (other, better) in zip(doubtful, _best_pictures(pictures, drawings, doubtful), strict=True):
            clearly = better > fits[place] + CLEARLY_BETTER
            if fits[place] < lowest or clearly:
                pair = group[place][0].pair
                like = f"; more like {group[other][0].pair.color}, {better:.2f}" if clearly else ""
                reason = f"the drawing does not show what the picture shows (fit {fits[place]:.2f} of 1{like})"
                problems.append(Problem("mismatched", pair.name, f"{pair.lines or pair.color}: {reason}"))
    return problems


def _best_pictures(pictures: Pixels, drawings: Pixels, chosen: NDArray[np.intp]) -> Iterator[tuple[int, float]]:
    """Yield the picture that each of the chosen drawings fits best, and how well.

    Args:
        pictures: (N, S/2, S/2) uint8, edges.
        drawings: the same of their drawings.
        chosen: (M,) numbers of drawings.
    """
    for first in range(0, len(chosen), CHUNK):
        part = chosen[first : first + CHUNK]
        rows = _centered(drawings[part])
        best, which = np.full(len(part), -1.0, np.float32), np.zeros(len(part), np.intp)
        for start in range(0, len(pictures), CHUNK):
            fits = rows @ _centered(pictures[start : start + CHUNK]).T
            found = fits.max(axis=1) > best
            best[found], which[found] = fits.max(axis=1)[found], fits.argmax(axis=1)[found] + start
        yield from zip(which.tolist(), best.tolist(), strict=True)


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
