"""Weights that others have published, from torch's cache or downloaded into it. The name of a file ends in a hash."""

from __future__ import annotations

import http.client
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pixelpainter.errors import ModelError
from pixelpainter.hub import hash_model

TIMEOUT_S = 20.0


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights that was used.

    Attributes:
        file: its name.
        sha256: of its content.
        published: whether this is the content that the name promises; saved again, the same weights have another hash.
    """

    file: str
    sha256: str
    published: bool


def weights_file(address: str) -> Path:
    """Return where torch keeps the weights of an address."""
    return Path(torch.hub.get_dir()) / "checkpoints" / address.rpartition("/")[2]


def fetch_weights(address: str, *, download: bool) -> dict[str, Tensor]:
    """Return published weights from torch's cache, downloading them first if need be.

    Args:
        address: of the file, whose name ends in the first digits of its SHA-256; a download is compared with them.
        download: fetch the file if it is not there.

    Raises:
        ModelError: they are not there and cannot be downloaded, or the file is damaged.
    """
    file = weights_file(address)
    if not file.exists():
        if not download:
            raise ModelError(f"its weights are not here yet; put {address} into {file.parent}")
        _download(address, file)
    try:
        weights: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
        return weights
    except Exception as error:  # torch reports a damaged file by half a dozen exceptions
        reason = str(error).partition("\n")[0][:100]
        raise ModelError(f"its weights in {file} are damaged ({reason}); delete the file") from error


def _first_digits(address: str) -> str:
    """Return the digits of the SHA-256 that the name of a published file ends in."""
    return address.rpartition("-")[2].partition(".")[0]


def identify(address: str) -> WeightsFile:
    """Tell what the file of an address in torch's cache is."""
    file = weights_file(address)
    digest = hash_model(file)
    return WeightsFile(file.name, digest, digest.startswith(_first_digits(address)))


def _download(address: str, file: Path) -> None:
    try:
        request = urllib.request.Request(address, method="HEAD")  # torch's own download has no time limit: ask first
        urllib.request.urlopen(request, timeout=TIMEOUT_S).close()
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(address, str(file), _first_digits(address))
    except (OSError, http.client.HTTPException, RuntimeError) as error:  # of urllib, and torch's for a wrong hash
        cause = getattr(error, "reason", error)
        reason = getattr(cause, "strerror", None) or str(cause).partition("\n")[0][:100]
        raise ModelError(f"its weights cannot be downloaded ({reason}); put {address} into {file.parent}") from error
