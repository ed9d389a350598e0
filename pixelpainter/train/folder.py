"""The folder of a run: what is in it, whether it can be written, is free, and is nobody else's at the moment."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from pixelpainter.atomic import only_here
from pixelpainter.errors import TrainingError

BEST = "best.pt"
LOSSES, METRICS, PROGRESS = "losses.png", "metrics.png", "progress.png"
_CHECKPOINT = re.compile(r"step_\d{8}\.pt")
_SAMPLE_GRID = re.compile(r"samples_\d{8}\.png")


def checkpoint_file(run: Path, step: int) -> Path:
    """Return the file of the checkpoint at a step."""
    return run / f"step_{step:08d}.pt"


def sample_grid(run: Path, step: int) -> Path:
    """Return the file of the sample grid at a step."""
    return run / f"samples_{step:08d}.png"


def checkpoints(run: Path) -> list[Path]:
    """Return the run's checkpoints, oldest first."""
    return sorted(path for path in run.glob("step_*.pt") if _CHECKPOINT.fullmatch(path.name))


def has_checkpoints(run: Path) -> bool:
    """Tell whether a folder holds checkpoints, readable or not."""
    return bool(checkpoints(run)) or (run / BEST).exists()


def is_drawn_by_run(picture: Path) -> bool:
    """Tell whether a picture shows how a run went: who trains on the folder above ``runs`` does not mean these."""
    named = picture.name in (LOSSES, METRICS, PROGRESS) or _SAMPLE_GRID.fullmatch(picture.name)
    return bool(named) and has_checkpoints(picture.parent)


def first_free(folder: Path) -> Path:
    """Return the first of folder, folder-2, folder-3 ... that holds no run."""
    number, candidate = 1, folder
    while has_checkpoints(candidate):
        number += 1
        candidate = (folder if folder.name else folder.resolve()).with_name(f"{folder.resolve().name}-{number}")
    return candidate


def only_run(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Keep other runs out of a folder. Raises TrainingError while one is at work there."""
    busy = TrainingError(f"{folder}: another training is at work in this folder; choose another --run")
    return only_here(folder, busy)


def check_place(folder: Path) -> None:
    """Raise TrainingError if a folder cannot be made or written; nothing is made yet."""
    nearest = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    if not nearest.is_dir():
        raise _write_error(folder, NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)))
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise _write_error(folder, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


@contextlib.contextmanager
def write_errors(folder: Path) -> Iterator[None]:
    """Turn what the system says about a run's folder into a TrainingError."""
    try:
        yield
    except OSError as error:
        raise _write_error(folder, error) from error


def _write_error(folder: Path, error: OSError) -> TrainingError:
    reason = error.strerror or error
    return TrainingError(f"{folder}: cannot be written ({reason}); free space or choose another --run")
