"""One pair of files turned into one row of the training cache, alone or by many processes."""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pixelpainter.errors import DataError
from pixelpainter.figure import figure_mask
from pixelpainter.imaging import letterbox
from pixelpainter.palette import palette_code
from pixelpainter.train.extract import EXTRACTORS, extract_lines
from pixelpainter.train.pairs import NAME_ENCODING, Pair, read_pair

PALETTE_COLORS = 6
WORKING_SIDE_PX = 640  # lines are extracted at most at this size: more costs time, and is shrunk away
EXTRACTOR_SHARES = {"region-borders": 0.5}  # drawn half as often: it draws shadows as if they were shapes
CHUNK = 16  # pictures handed to a worker at once

Sample = dict[str, NDArray[Any]]


def make_sample(pair: Pair, side: int, variants: int) -> Sample:
    """Read a pair and return its row of each array of the cache. Raises DataError for a bad file."""
    color, lines = read_pair(pair)
    color, lines = _to_working_size(color, lines, side)
    random = np.random.default_rng(int.from_bytes(hashlib.sha256(pair.name.encode(*NAME_ENCODING)).digest()[:8], "big"))
    drawings = [] if lines is None else [lines, _with_other_width(lines, random)]
    shares = np.array([EXTRACTOR_SHARES.get(name, 1.0) for name in EXTRACTORS])
    names = random.choice(list(EXTRACTORS), len(EXTRACTORS), replace=False, p=shares / shares.sum())
    missing = itertools.islice(itertools.cycle(names), max(0, variants - len(drawings)))
    drawings += [extract_lines(color, str(name), random) for name in missing]
    small, _ = letterbox(color, side, 255)
    figure = figure_mask(small)
    if not figure.any():
        raise DataError(f"{pair.color}: a blank page; leave it out")
    return {
        "color": np.ascontiguousarray(small.transpose(2, 0, 1)),
        "lines": np.stack([letterbox(drawing, side, 255)[0] for drawing in drawings[:variants]]),
        "figure": figure.astype(np.uint8),
        "palette": palette_code(small, figure, colors=PALETTE_COLORS).astype(np.float32),
    }


def _resize(picture: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    height, width = (max(1, round(length * scale)) for length in picture.shape[:2])
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (width, height), interpolation=kind), np.uint8)


def _to_working_size(
    color: NDArray[np.uint8], lines: NDArray[np.uint8] | None, side: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Shrink large pictures to the size that lines are extracted at, and enlarge small ones to the cache's side."""
    longest = max(color.shape[:2])
    target = min(max(longest, side), max(side, WORKING_SIDE_PX))
    if target == longest:
        return color, lines
    scale = target / longest
    return _resize(color, scale), None if lines is None else _resize(lines, scale)


def _with_other_width(lines: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Return the drawing with lines a pixel or two thicker, or up to a pixel thinner, uint8 (H, W)."""
    if random.random() < 0.5:
        width = int(random.integers(2, 4))
        return np.asarray(cv2.erode(lines, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))), np.uint8)
    height, width = lines.shape
    double = cv2.resize(lines, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)
    thinner = cv2.dilate(double, np.ones((2, 2), np.uint8))  # half a pixel, so hairlines get lighter, not lost
    return np.asarray(cv2.resize(thinner, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def make_samples(
    pairs: Sequence[Pair], side: int, variants: int, workers: int | None
) -> Generator[Sample | str, None, None]:
    """Yield the sample of each pair in order, or the message why there is none.

    Args:
        pairs: the pictures.
        side: height and width of the samples.
        variants: drawings per picture.
        workers: processes; None: one per core. The samples do not depend on it.

    Raises:
        DataError: a process was killed.
    """
    chunks = [pairs[start : start + CHUNK] for start in range(0, len(pairs), CHUNK)]
    workers = min(len(chunks), workers or os.cpu_count() or 1)
    if workers <= 1:
        for chunk in chunks:
            yield from _make_chunk(chunk, side, variants)
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker)
    try:
        waiting: deque[Future[list[Sample | str]]] = deque()
        for chunk in chunks:
            waiting.append(pool.submit(_make_chunk, chunk, side, variants))
            if len(waiting) >= 3 * workers:  # bounds memory when the disk is slower than the workers
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool as error:
        raise DataError(
            "a process that reads training pictures was killed (out of memory?); try with fewer workers"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _make_chunk(pairs: Sequence[Pair], side: int, variants: int) -> list[Sample | str]:
    results: list[Sample | str] = []
    for pair in pairs:
        try:
            results.append(make_sample(pair, side, variants))
        except DataError as error:
            results.append(str(error))
    return results


def _start_worker() -> None:
    """Set up a worker: one thread of its own, and an end when the main process is killed."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process, which ends this one
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()
