"""Weights that others have published, from torch's cache or downloaded into it. The name of a file ends in a hash."""

from __future__ import annotations

import http.client
import urllib.request
from pathlib import Path

import torch
from torch import Tensor

from pixelpainter.errors import ModelError
from pixelpainter.hub import hash_file

TIMEOUT_S = 20.0


def weights_file(address: str) -> Path:
    """Return where torch keeps the weights of an address."""
    return Path(torch.hub.get_dir()) / "checkpoints" / address.rpartition("/")[2]


def fetch_weights(address: str, *, download: bool) -> dict[str, Tensor]:
    """Return published weights from torch's cache, downloading them first if need be.

    Args:
        address: of the file, whose name ends in the first digits of its SHA-256.
        download: fetch the file if it is not there.

    Raises:
        ModelError: they are not there and cannot be downloaded, or the file is damaged or another.
    """
    file, first_digits = weights_file(address), address.rpartition("-")[2].partition(".")[0]
    if not file.exists():
        if not download:
            raise ModelError(f"its weights are not here yet; put {address} into {file.parent}")
        _download(address, file, first_digits)
    found = hash_file(file)
    if not found.startswith(first_digits):
        raise ModelError(
            f"its weights in {file} are not the published ones (SHA-256 {found[:8]}..., not {first_digits}...); "
            "delete the file"
        )
    weights: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    return weights


def _download(address: str, file: Path, first_digits: str) -> None:
    try:
        request = urllib.request.Request(address, method="HEAD")  # torch's own download has no time limit: ask first
        urllib.request.urlopen(request, timeout=TIMEOUT_S).close()
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(address, str(file), first_digits)
    except (OSError, http.client.HTTPException, RuntimeError) as error:  # of urllib, and torch's for a wrong hash
        cause = getattr(error, "reason", error)
        reason = getattr(cause, "strerror", None) or str(cause).partition("\n")[0][:100]
        raise ModelError(f"its weights cannot be downloaded ({reason}); put {address} into {file.parent}") from error
