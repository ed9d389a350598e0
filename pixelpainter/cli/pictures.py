"""Training pictures for `train` and `export`: found, drawn or decoded, with a bar."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pixelpainter.cli.messages import print_note
from pixelpainter.errors import DataError

if TYPE_CHECKING:
    from pixelpainter.train.cache import Cache

DEFAULT_DATA = Path("data")
CALIBRATION_PICTURES = 48
CALIBRATION_SEED = 1_000_000  # training draws seeds from 0 up


def load_training_data(
    data: list[Path] | None,
    synthetic: int,
    layout: Literal["color-left", "sketch-left"] | None,
    validation: Path | None,
    strict: bool,
    side: int,
    cache_folder: Path,
) -> tuple[Cache, Cache | None]:
    """Find the pictures and decode them, or take them from the cache of an earlier run.

    Args:
        data: folders or ZIP files; None = ./data, unless pictures are drawn.
        synthetic: number of pictures to draw.
        layout: of joined pictures; None = find out.
        validation: folder or ZIP file of its own; None = DATA/val, or a share of the data.
        strict: an unreadable picture is an error.
        side: of the decoded pictures, in pixels.
        cache_folder: where decoded pictures lie.

    Returns:
        Training and validation pictures; None where there is nothing to validate on.

    Raises:
        DataError: there are no usable pictures.
    """
    from pixelpainter.train.cache import build_cache
    from pixelpainter.train.sources import find_training_data

    drawn: Path | None = None
    try:
        if synthetic:
            from pixelpainter.train.synthetic import write_synthetic

            drawn = Path(tempfile.mkdtemp(prefix="pixelpainter-")) / "synthetic"
            write_synthetic(drawn, synthetic)
            data = [*(data or []), drawn]
        elif not data:
            data = [DEFAULT_DATA]
            if not DEFAULT_DATA.is_dir():
                raise DataError(
                    "no DATA given and there is no folder ./data: name folders or ZIP files with pictures, "
                    "or try the chain with --synthetic 1000"
                )
        train_pairs, validation_pairs = find_training_data(data, layout, validation)
        caches: list[Cache | None] = []
        for name, pairs in (("training", train_pairs), ("validation", validation_pairs)):
            if not pairs:
                caches.append(None)
                continue
            built, messages = build_cache(pairs, side, cache_folder, strict=strict, progress=_bar(f"decode {name}"))
            for message in messages:
                print_note(f"left out: {message}")
            left_out = f", {len(messages)} left out" if messages else ""
            print_note(f"{len(built.names)} {name} picture{'s' * (len(built.names) > 1)}{left_out}.")
            caches.append(built)
    finally:
        if drawn is not None:
            shutil.rmtree(drawn.parent, ignore_errors=True)
    if caches[0] is None:
        raise DataError("no training pictures are left; look at the messages above")
    return caches[0], caches[1]


def _bar(name: str) -> Any:
    """Return a callback (done, total) that shows a bar."""
    from tqdm import tqdm

    bar: Any = None

    def update(done: int, total: int) -> None:
        nonlocal bar
        if bar is None:
            bar = tqdm(total=total, desc=name, unit="picture", file=sys.stderr, mininterval=1.0)
        bar.update(done - bar.n)
        if done >= total:
            bar.close()

    return update


def load_calibration(calibration: Path | None, side: int) -> Cache:
    """Return the pictures to calibrate and prove an export with, decoded in a temporary folder.

    Args:
        calibration: folder or ZIP file, as for training; None = the program draws some.
        side: of the decoded pictures, in pixels.

    Raises:
        DataError: there are no usable pictures.
    """
    from pixelpainter.train.cache import build_cache
    from pixelpainter.train.sources import find_pairs
    from pixelpainter.train.synthetic import write_synthetic

    # The arrays stay readable after the folder is gone: they are mapped into memory.
    with tempfile.TemporaryDirectory(prefix="pixelpainter-", ignore_cleanup_errors=True) as folder:
        if calibration is None:
            calibration = Path(folder) / "synthetic"
            write_synthetic(calibration, CALIBRATION_PICTURES, first_seed=CALIBRATION_SEED)
        cache, messages = build_cache(find_pairs([calibration]), side, Path(folder) / "cache")
    for message in messages:
        print_note(f"left out: {message}")
    return cache
