"""Look for the packages that only some installations have."""

from __future__ import annotations

import importlib.util

from pixelpainter.errors import MissingExtraError

_PACKAGES = {"psd_tools": "psd-tools", "python_multipart": "python-multipart"}


def require(command: str, extra: str, *modules: str) -> None:
    """Look for modules of an extra now, without importing them, and not after hours of work.

    Raises:
        MissingExtraError: one is not installed.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(command, extra, _PACKAGES.get(module, module))
