"""Training pictures decoded once into memory-mapped arrays; the training loop never opens a picture."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelpainter.errors import DataError
from pixelpainter.train.config import LINE_STYLES
from pixelpainter.train.pairs import Pair, data_manifest
from pixelpainter.train.sample import PALETTE_COLORS, make_samples

FORMAT = 2  # raise it when the same files would give other arrays
STALE_S = 24 * 3600.0  # a half-built cache of a killed run is removed after a day
INDEX = "index.json"


@dataclass(frozen=True)
class Cache:
    """N pictures at side S with V drawings each.

    Attributes:
        names: names of the pairs, sorted.
        sources: their sources, for ``--mix``.
        color: uint8 (N, 3, S, S), sRGB, letterboxed on white.
        lines: uint8 (N, V, S, S), 255 = paper. With true lines 0 is the drawing, 1 the drawing with thinner or
            thicker lines, the others are extracted; without them all are extracted, each in another style.
        figure: uint8 (N, S, S), 1 inside the figure.
        palette: float32 (N, 6, 4), ``palette_code`` of the picture.
        manifest: SHA-256 over names and contents of the files.
    """

    names: list[str]
    sources: list[str]
    color: NDArray[np.uint8]
    lines: NDArray[np.uint8]
    figure: NDArray[np.uint8]
    palette: NDArray[np.float32]
    manifest: str


def build_cache(
    pairs: Sequence[Pair],
    side: int,
    folder: Path,
    *,
    variants: int = LINE_STYLES,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
) -> tuple[Cache, list[str]]:
    """Decode all pairs into a cache, or open the cache of an earlier run over the same files.

    Args:
        pairs: the pictures; their order does not matter.
        side: height and width of the cached pictures.
        folder: where caches lie, each in a sub-folder named by its key.
        variants: drawings per picture.
        strict: stop at the first bad file instead of leaving it out.
        progress: called with the number of pictures done and in all.
        workers: processes; None: one per core. The result does not depend on it.

    Returns:
        The cache, and one message for each pair that was left out.

    Raises:
        DataError: no pair is usable, one is not and ``strict`` is set, or the cache cannot be written.
    """
    if side < 1 or variants < 1:
        raise ValueError(f"side is {side} and variants {variants}; both must be at least 1")
    pairs = sorted(pairs, key=lambda pair: pair.name)
    if not pairs:
        raise DataError("no training pictures to cache")
    key = hashlib.sha256(f"{FORMAT} {side} {variants} {data_manifest(pairs)}".encode()).hexdigest()[:32]
    place = folder / key
    index = _read_index(place)
    if index is None:
        try:
            _build(pairs, place, side, variants, strict, progress, workers)
        except OSError as error:
            raise DataError(_write_error(error, place, len(pairs), side, variants)) from error
        index = _read_index(place)
        if index is None:
            raise DataError(f"{place}: the cache vanished while it was built; start again")
    if strict and index["left_out"]:
        raise DataError(index["left_out"][0])
    return _open(place, index), index["left_out"]


def _build(
    pairs: Sequence[Pair],
    place: Path,
    side: int,
    variants: int,
    strict: bool,
    progress: Callable[[int, int], None] | None,
    workers: int | None,
) -> None:
    """Write a cache beside its place and move it there when it is whole."""
    place.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(place)
    building = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        kept: list[Pair] = []
        left_out: list[str] = []
        with contextlib.ExitStack() as files:
            streams = {name: files.enter_context((building / name).open("wb")) for name in _shapes(0, side, variants)}
            results = make_samples(pairs, side, variants, workers)
            files.callback(results.close)  # ends the workers, after an error too
            for done, (pair, result) in enumerate(zip(pairs, results, strict=True), start=1):
                if isinstance(result, str):
                    if strict:
                        raise DataError(result)
                    left_out.append(result)
                else:
                    kept.append(pair)
                    for name, stream in streams.items():
                        stream.write(result[name].tobytes())
                if progress is not None:
                    progress(done, len(pairs))
        if not kept:
            raise DataError(f"none of {len(pairs)} training pictures can be used; the first: {left_out[0]}")
        index = {
            "names": [pair.name for pair in kept],
            "sources": [pair.source for pair in kept],
            "side": side,
            "variants": variants,
            "manifest": data_manifest(kept),
            "left_out": left_out,
        }
        (building / INDEX).write_text(json.dumps(index), encoding="utf-8")
        if _read_index(place) is None:  # else another run was faster, and its cache is as good
            shutil.rmtree(place, ignore_errors=True)  # damaged
            try:
                building.rename(place)
            except OSError:
                if _read_index(place) is None:
                    raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _shapes(count: int, side: int, variants: int) -> dict[str, tuple[tuple[int, ...], type[np.generic]]]:
    """Return shape and type of each array of a cache."""
    return {
        "color": ((count, 3, side, side), np.uint8),
        "lines": ((count, variants, side, side), np.uint8),
        "figure": ((count, side, side), np.uint8),
        "palette": ((count, PALETTE_COLORS, 4), np.float32),
    }


def _size_bytes(count: int, side: int, variants: int) -> int:
    return sum(int(np.prod(shape)) * np.dtype(kind).itemsize for shape, kind in _shapes(count, side, variants).values())


def _read_index(place: Path) -> dict[str, Any] | None:
    """Return the index of a whole cache, or None where there is none."""
    try:
        index: dict[str, Any] = json.loads((place / INDEX).read_text(encoding="utf-8"))
        for name, (shape, kind) in _shapes(len(index["names"]), index["side"], index["variants"]).items():
            if (place / name).stat().st_size != int(np.prod(shape)) * np.dtype(kind).itemsize:
                return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return index


def _open(place: Path, index: dict[str, Any]) -> Cache:
    shapes = _shapes(len(index["names"]), index["side"], index["variants"])
    try:
        arrays = {name: np.memmap(place / name, kind, "r", shape=shape) for name, (shape, kind) in shapes.items()}
    except OSError as error:
        raise DataError(f"{place}: the cache cannot be opened ({error.strerror})") from error
    return Cache(
        names=index["names"],
        sources=index["sources"],
        color=arrays["color"],
        lines=arrays["lines"],
        figure=arrays["figure"],
        palette=np.array(arrays["palette"]),
        manifest=index["manifest"],
    )


def _remove_stale(place: Path) -> None:
    """Remove what killed runs left of this cache."""
    for left in place.parent.glob(f".{place.name}-*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > STALE_S:
                shutil.rmtree(left, ignore_errors=True)


def _write_error(error: OSError, place: Path, count: int, side: int, variants: int) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        size = f"{np.ceil(_size_bytes(count, side, variants) / 2**20):.0f} MiB"
        return f"{place.parent}: no room for the training cache ({size}); free some or choose another folder"
    return f"{place.parent}: the training cache cannot be written ({error.strerror or error}); choose another folder"
