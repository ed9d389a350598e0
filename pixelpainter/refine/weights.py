"""From the name of a diffusion model to its files on this machine; downloads them from the Hugging Face Hub."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pixelpainter.errors import ModelError
from pixelpainter.hub import announce_download, check_room, download_bar, hub_client
from pixelpainter.refine.contents import half_variant, needed_files, read_index
from pixelpainter.refine.presets import (
    NETWORK_CONFIG,
    PICKLE_SUFFIXES,
    PIPELINE_INDEX,
    SINGLE_FILE_SETTINGS,
    HubPlace,
    alternatives,
    checked_file,
    locate,
)

_WHOLE = 1 << 24  # larger files are hashed by samples
_SAMPLES, _SAMPLE = 256, 1 << 12


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The files of a model.

    Attributes:
        path: a folder of diffusers, or a single checkpoint.
        identity: name and commit, or name and hash.
        commit: on the Hub; empty for local files.
        variant: "fp16" where the weights are kept under such names.
        settings: for a single checkpoint, the folder with the settings around it.
        is_controlnet: it is a network that steers a model.
    """

    path: Path
    identity: str
    commit: str = ""
    variant: str | None = None
    settings: Path | None = None
    is_controlnet: bool = False


def find_weights(
    name: str,
    *,
    option: str = "--model",
    allow_pickle: bool = False,
    newest: bool = False,
    quiet: bool = False,
) -> Weights:
    """Return the files of a diffusion model or ControlNet, and download them if they lie on the Hub only.

    Args:
        name: see `presets.locate`.
        option: what the user named it with, for messages.
        allow_pickle: take weights that are pickles where there are no safetensors.
        newest: also look whether a branch has moved; otherwise the network is asked only for what the Hub's cache
            does not hold.
        quiet: say and show nothing on stderr while downloading.

    Raises:
        ModelError: there is no such model, it cannot be downloaded, it is of another kind, or its weights are pickles.
    """
    with _say_what_else(name, option):
        place = locate(name, option=option)
        found = _on_disk(place, allow_pickle) if isinstance(place, Path) else None
        if isinstance(place, HubPlace):
            found = None if newest else _in_cache(place, allow_pickle)
            found = found or _from_hub(place, allow_pickle, quiet=quiet)
        assert found is not None
        return replace(found, settings=_find_settings(quiet=quiet)) if found.path.is_file() else found


def _find_settings(*, quiet: bool) -> Path:
    """Return the folder with the settings that a single checkpoint comes without."""
    cached = _cached_folder(SINGLE_FILE_SETTINGS)
    if cached is not None and (cached / "unet" / NETWORK_CONFIG).is_file():
        return cached
    try:
        names, commit = _list_files(SINGLE_FILE_SETTINGS)
        wanted = {name: size for name, size in names.items() if name.endswith((".json", ".txt"))}
        return _fetch(SINGLE_FILE_SETTINGS, commit, wanted, quiet=quiet)
    except ModelError as error:
        raise ModelError(f"a single file needs the settings of Stable Diffusion 1.5 around it: {error}") from error


@contextmanager
def _say_what_else(name: str, option: str) -> Iterator[None]:
    """Add to a message what can be used instead."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{error} ({alternatives(name, option)})") from error


def _on_disk(path: Path, allow_pickle: bool) -> Weights:
    """Look at a folder or a file of the user's."""
    if path.is_file():
        _check_suffix(path.name, str(path), allow_pickle)
        return Weights(path=path, identity=f"{path.name} {_fingerprint(path.parent, [path.name])}")
    index = next((path / file for file in (PIPELINE_INDEX, NETWORK_CONFIG) if (path / file).is_file()), None)
    if index is None:
        raise ModelError(f"{path}: this folder has no {PIPELINE_INDEX}; give the one that diffusers saved, or a file")
    needed = _whole(path, index, allow_pickle)
    return Weights(
        path=path,
        identity=f"{path.resolve().name} {_fingerprint(path, needed)}",
        variant=half_variant(needed),
        is_controlnet=index.name == NETWORK_CONFIG,
    )


def _whole(folder: Path, index: Path, allow_pickle: bool) -> list[str]:
    """Return the files of a model in a folder.

    Raises:
        ModelError: some are missing, or pickles.
    """
    content = read_index(index)
    names = [file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()]
    try:
        return needed_files(names, content, allow_pickle=allow_pickle)
    except ModelError as error:
        raise ModelError(f"{folder}: {error}") from error


def _check_suffix(file: str, place: str, allow_pickle: bool) -> None:
    """Raise ModelError for a single file that is no checkpoint, or that is a pickle."""
    suffix = Path(file).suffix
    if suffix in PICKLE_SUFFIXES and not allow_pickle:
        raise ModelError(
            f"{place}: this file is a pickle, which can run code when it is loaded; give a .safetensors file, or trust "
            "it with --allow-pickle"
        )
    if suffix not in (".safetensors", *PICKLE_SUFFIXES):
        raise ModelError(f"{place}: this is no diffusion model; give a folder of diffusers or a .safetensors file")


def _fingerprint(folder: Path, names: list[str]) -> str:
    """Return a hash of files: of small ones the content, of large ones their size and samples from all over them."""
    total = hashlib.sha256()
    for name in sorted(set(names)):
        try:
            with (folder / name).open("rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                total.update(f"{name} {size} ".encode())
                if size <= _WHOLE:
                    total.update(hashlib.file_digest(stream, "sha256").digest())
                    continue
                for sample in range(_SAMPLES):
                    stream.seek(sample * (size - _SAMPLE) // (_SAMPLES - 1))
                    total.update(stream.read(_SAMPLE))
        except OSError as error:
            raise ModelError(f"{folder / name}: the model cannot be read ({error.strerror or error})") from error
    return f"sha256:{total.hexdigest()[:16]}"


def _root(path: str, file: str) -> Path:
    """Return the folder of a repository in the cache, from the path of one of its files."""
    return Path(path).parents[file.count("/")]


def _cached_folder(place: HubPlace) -> Path | None:
    """Return the folder in the Hub's cache; None if the revision is not there. The network is not asked."""
    with hub_client(place):
        from huggingface_hub import try_to_load_from_cache

        for file in (place.file, NETWORK_CONFIG) if place.file == PIPELINE_INDEX else (place.file,):
            cached = try_to_load_from_cache(place.repo, file, revision=place.revision)
            if isinstance(cached, str):
                return _root(cached, file)
    return None


def _in_cache(place: HubPlace, allow_pickle: bool) -> Weights | None:
    """Return what the Hub's cache has; None if anything is missing."""
    folder = _cached_folder(place)
    if folder is None:
        return None
    if place.file != PIPELINE_INDEX:
        return _checkpoint(place, folder, allow_pickle)
    index = next(folder / file for file in (PIPELINE_INDEX, NETWORK_CONFIG) if (folder / file).is_file())
    try:
        needed = _whole(folder, index, allow_pickle)
    except ModelError:
        return None  # a download that broke off, or one of another kind: the Hub tells which
    return _snapshot(place, folder, needed)


def _snapshot(place: HubPlace, folder: Path, needed: list[str]) -> Weights:
    return Weights(
        path=folder,
        identity=f"{place.repo}@{folder.name}",
        commit=folder.name,
        variant=half_variant(needed),
        is_controlnet=NETWORK_CONFIG in needed,
    )


def _checkpoint(place: HubPlace, folder: Path, allow_pickle: bool) -> Weights:
    _check_suffix(place.file, str(place), allow_pickle)
    identity = f"{place.repo}@{folder.name}:{place.file}"
    return Weights(path=folder / place.file, identity=identity, commit=folder.name)


def _from_hub(place: HubPlace, allow_pickle: bool, *, quiet: bool) -> Weights:
    """Download a model."""
    names, commit = _list_files(place)
    if place.file != PIPELINE_INDEX:
        if place.file not in names:
            raise ModelError(f"{place}: the repository has no such file; {_checkpoints(names)}")
        _check_suffix(place.file, str(place), allow_pickle)
        folder = _fetch(place, commit, {place.file: names[place.file]}, quiet=quiet)
        return _checkpoint(place, folder, allow_pickle)
    index = next((file for file in (PIPELINE_INDEX, NETWORK_CONFIG) if file in names), None)
    if index is None:
        raise ModelError(f"{place}: the repository has no pipeline of diffusers; {_checkpoints(names)}")
    content = read_index(_fetch(replace(place, revision=commit), commit, {index: 0}, quiet=True) / index)
    try:
        needed = needed_files(names, content, allow_pickle=allow_pickle)
    except ModelError as error:
        raise ModelError(f"{place}: {error}") from error
    folder = _fetch(place, commit, {name: names[name] for name in needed}, quiet=quiet)
    return _snapshot(place, folder, needed)


def _checkpoints(names: dict[str, int]) -> str:
    """Say which single files a repository has."""
    files = [name for name in names if name.endswith(".safetensors") and "/" not in name]
    return f"name one of its files: {', '.join(f':{name}' for name in files[:3])}" if files else "check the name"


def _list_files(place: HubPlace) -> tuple[dict[str, int], str]:
    """Return the sizes of a repository's files by their names, and the commit that its revision means now."""
    with hub_client(place):
        from huggingface_hub import HfApi, constants

        # It asks once; the downloads ask six times, for 20 s and more, before they say that there is no connection.
        info: Any = HfApi().model_info(
            place.repo, revision=place.revision, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT
        )
        return {checked_file(file.rfilename): file.size or 0 for file in info.siblings or ()}, str(info.sha)


def _fetch(place: HubPlace, commit: str, names: dict[str, int], *, quiet: bool) -> Path:
    """Download files of a repository that the cache does not have, and return their folder there."""
    with hub_client(place), download_bar(quiet=quiet):
        from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

        missing = [
            name for name in names if not isinstance(try_to_load_from_cache(place.repo, name, revision=commit), str)
        ]
        size = sum(names[name] for name in missing)
        check_room(place, size, Path(constants.HF_HUB_CACHE))
        if missing and not quiet:
            announce_download(place, size, constants.ENDPOINT, constants.HF_HUB_CACHE)
        for name in missing:
            hf_hub_download(place.repo, name, revision=commit)
        # Last, and by the name of the branch: the cache notes what it means, for those who are offline.
        first = next(iter(names))
        path = hf_hub_download(place.repo, first, revision=place.revision)
        return _root(path, first)
