"""From the name of a model to its file: the bundled one, a path, or a file on the Hugging Face Hub.

The Hub is reached through its own client, with its cache and its environment variables. The client is imported
only when a model of the Hub is asked for.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pixelpainter.errors import ModelError
from pixelpainter.external_data import refuse_outside_data
from pixelpainter.hub_errors import explain
from pixelpainter.models import (
    BUNDLED_NAME,
    KNOWN_MODELS,
    HubFile,
    home_of,
    is_bare_repository,
    local_path,
    parse_reference,
)

Download = Literal["missing", "never", "always"]

MODEL_VARIABLE = "PIXELPAINTER_MODEL"
# The client's bar moves, and a connection that broke is taken up again, by pieces of 10 MB: too long to look at 0 %.
_PIECE_BYTES = 1 << 16
# Not importlib.resources: its import costs 20 ms, and onnxruntime needs a real file anyway.
BUNDLED_MODEL = Path(__file__).parent / "weights" / "pixelpainter.onnx"


def find_model(name: str | Path | None = None, *, download: Download = "missing", quiet: bool = False) -> Path:
    """Return the file of a model, and download it if it lies on the Hub only.

    Args:
        name: path of an ONNX file; "bundled" or a name in `pixelpainter.models.KNOWN_MODELS`; or
            ``owner/repo[@revision][:file]`` on the Hugging Face Hub. None = what the environment variable
            ``PIXELPAINTER_MODEL`` names, or else the model that comes with the package. A `Path` is always a path.
        download: "missing" asks the network only for what the Hub's cache does not hold, "never" does not ask it,
            "always" also looks whether a branch has moved, and replaces a damaged file.
        quiet: say and show nothing on stderr while downloading.

    Raises:
        ModelError: there is no such file, it cannot be downloaded, it is not the one that the table names, or it
            reads files outside its own folder.
    """
    origin = ""
    if name is None:
        name = os.environ.get(MODEL_VARIABLE) or BUNDLED_NAME
        origin = f" (named by ${MODEL_VARIABLE})"
    if name == BUNDLED_NAME:
        return _find_bundled()
    if isinstance(name, str) and name in KNOWN_MODELS:
        return _find_on_hub(home_of(name), name, download, quiet=quiet)
    path = local_path(name)
    if path.suffix == ".pt" or (path.is_dir() and any(path.glob("*.pt"))):
        raise ModelError(
            f"{name}{origin}: this is a training run, and no model yet; make one with  "
            f"pixelpainter export {shlex.quote(str(path))} -o FILE.onnx"
        )
    if path.is_dir():
        raise ModelError(f"{name}{origin}: this is a folder; give the .onnx file inside it")
    if path.is_file():
        refuse_outside_data(path)
        return path
    if isinstance(name, Path):
        raise ModelError(f"{name}{origin}: there is no such model file; give one made by `pixelpainter export`")
    if is_bare_repository(name) and (name.endswith(".onnx") or path.parent.is_dir()):
        raise ModelError(
            f"{name}{origin}: there is no such model file; if you mean the repository of this name on the Hugging "
            f"Face Hub, write {name}@main"
        )
    return _find_on_hub(parse_reference(name, origin), name, download, quiet=quiet)


def hash_model(file: Path) -> str:
    """Return the SHA-256 of a model file, 64 hexadecimal digits.

    Raises:
        ModelError: it cannot be read.
    """
    import hashlib  # 4 ms, which `--help` need not wait for

    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{file}: the model cannot be read ({error.strerror or error})") from error


def _find_bundled() -> Path:
    if not BUNDLED_MODEL.is_file():
        raise ModelError(
            "this installation of PixelPainter has no bundled model; give one with --model FILE, or install "
            "PixelPainter again"
        )
    return BUNDLED_MODEL


def cached_file(model: HubFile) -> Path | None:
    """Return a file in the Hub's cache, not looked into; None if it is not there. The network is not asked."""
    with hub_client(model):
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(model.repo, model.file, revision=model.revision)
    return Path(cached) if isinstance(cached, str) else None  # it may also be a mark "there is no such file"


def _find_on_hub(model: HubFile, name: str, download: Download, *, quiet: bool) -> Path:
    """Return the file in the Hub's cache, after downloading it if need be; it is the right one."""
    file = cached_file(model)
    if download == "always" or (file is None and download == "missing"):
        damaged = file is not None and bool(model.sha256) and hash_model(file) != model.sha256
        file = _download(model, again=damaged, quiet=quiet)
    if file is None:
        raise ModelError(f"{model}: not downloaded yet; run `pixelpainter models pull {name}`")
    if model.sha256 and (found := hash_model(file)) != model.sha256:
        raise ModelError(
            f"{model}: the file has SHA-256 {found}, and should have {model.sha256}; it is not used: it is damaged or "
            f"was replaced. `pixelpainter models pull {name}` downloads it again ({file})"
        )
    refuse_outside_data(file)
    return file


def _download(model: HubFile, *, again: bool, quiet: bool) -> Path:
    """Download a file into the Hub's cache.

    Args:
        model: what to download.
        again: also if the cache has it.
        quiet: say nothing, and show no bar.
    """
    with hub_client(model), download_bar(quiet=quiet):
        from huggingface_hub import (
            constants,
            get_hf_file_metadata,
            hf_hub_download,
            hf_hub_url,
            try_to_load_from_cache,
        )

        # Asked here first: the client asks six times, for 20 s and more, before it says that there is no connection.
        address = hf_hub_url(model.repo, model.file, revision=model.revision)
        answer = get_hf_file_metadata(address, timeout=constants.HF_HUB_ETAG_TIMEOUT)
        present = try_to_load_from_cache(model.repo, model.file, revision=answer.commit_hash)
        if again or not isinstance(present, str):
            check_room(model, answer.size or 0, Path(constants.HF_HUB_CACHE))
            if not quiet:
                announce_download(model, answer.size or 0, constants.ENDPOINT, constants.HF_HUB_CACHE)
        return Path(hf_hub_download(model.repo, model.file, revision=model.revision, force_download=again))


def check_room(model: HubFile, size: int, cache: Path) -> None:
    """Raise ModelError if the disk is too full; the client would find that out at the end of a long download."""
    folder = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(folder).free
    if free < size:
        raise ModelError(
            f"{model}: the file has {size / 1e6:.1f} MB, and {cache} has room for {free / 1e6:.1f} MB; make some, or "
            "choose another folder with HF_HOME"
        )


def announce_download(model: HubFile, size: int, host: str, cache: str) -> None:
    """Say on stderr what is downloaded, where the client shows a progress bar."""
    if sys.stderr is not None:  # it is None in a program without a console
        megabytes = f" ({size / 1e6:.1f} MB)" if size else ""
        sys.stderr.write(f"downloading {model}{megabytes} from {host} to {cache}\n")
        sys.stderr.flush()


@contextmanager
def download_bar(*, quiet: bool) -> Iterator[None]:
    """Make the client's progress bar move in small steps, or keep it away unless its environment variable wants it."""
    from huggingface_hub import constants
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    before = constants.DOWNLOAD_CHUNK_SIZE
    hide = quiet and constants.HF_HUB_DISABLE_PROGRESS_BARS is None and not are_progress_bars_disabled()
    constants.DOWNLOAD_CHUNK_SIZE = _PIECE_BYTES
    if hide:
        disable_progress_bars()
    try:
        yield
    finally:
        constants.DOWNLOAD_CHUNK_SIZE = before
        if hide:
            enable_progress_bars()


@contextmanager
def hub_client(model: HubFile) -> Iterator[None]:
    """Turn what the Hub's client raises to ModelError, and keep its log from the terminal."""
    from logging import ERROR

    from huggingface_hub.utils import logging

    before = logging.get_verbosity()
    if not os.environ.get("HF_HUB_VERBOSITY"):
        logging.set_verbosity(ERROR)
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # those of the HTTP library share no base with the client's own
        raise ModelError(f"{model}: {explain(error, model)}") from error
    finally:
        logging.set_verbosity(before)
