"""Look for the packages of the extra `train`, which several commands need."""

from __future__ import annotations

from pixelpainter.extras import require


def require_training_packages(command: str, *modules: str) -> None:
    """Look for modules, see `extras.require`. Raises MissingExtraError."""
    require(command, "train", *modules)
