"""Look for the packages that only some installations have."""

from __future__ import annotations

import importlib.util

from pixelpainter.errors import MissingExtraError


def require_training_packages(command: str, *modules: str) -> None:
    """Look for modules of the extra `train` now, without importing them, and not after hours of work.

    Raises:
        MissingExtraError: one is not installed.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(command, "train", module)
