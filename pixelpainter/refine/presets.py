"""The diffusion models that have a name, and how others are written down."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pixelpainter.errors import ModelError
from pixelpainter.models import HubFile, is_bare_repository, local_path

DIFFUSION_SYNTAX = "owner/repo[@revision][:FILE.safetensors]"
PIPELINE_INDEX = "model_index.json"  # what makes a folder a pipeline of diffusers
NETWORK_CONFIG = "config.json"  # what makes it one network, such as a ControlNet
PICKLE_SUFFIXES = (".bin", ".ckpt", ".pt", ".pth")


class HubPlace(HubFile):
    """A place on the Hub as users write it: its file is `PIPELINE_INDEX` where the whole repository is meant."""

    def __str__(self) -> str:
        repository = f"{self.repo}@{self.revision}"
        return repository if self.file == PIPELINE_INDEX else f"{repository}:{self.file}"


_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_REFERENCE = re.compile(rf"(?P<repo>{_PART}/{_PART})(?:@(?P<revision>[^@:\s]+))?(?::(?P<file>[^@:]+))?")


# A single file holds weights only; the settings and the vocabulary around them are those of Stable Diffusion 1.5.
SINGLE_FILE_SETTINGS = HubPlace(repo="stable-diffusion-v1-5/stable-diffusion-v1-5", file=PIPELINE_INDEX)


@dataclass(frozen=True, kw_only=True)
class DiffusionPreset:
    """A row of the tables.

    Attributes:
        summary: what it is, in a few words.
        repo: "owner/repo" on the Hugging Face Hub.
        revision: branch, tag, or commit; only a commit always means the same weights.
        file: the single checkpoint to take from it; empty = the pipeline in the folders of diffusers.
    """

    summary: str
    repo: str
    revision: str = "main"
    file: str = ""


# To pin a row: `pixelpainter models pull --refine NAME --json` downloads what the branch has now, and prints the
# commit; try it, and give the row revision=COMMIT, all 40 digits. To move on, set it back to "main" and do it again.
PRESETS: dict[str, DiffusionPreset] = {
    "balanced": DiffusionPreset(summary="Anything v4.0, about 4.2 GB", repo="xyn-ai/anything-v4.0"),
    "quality": DiffusionPreset(summary="Counterfeit v3.0, about 4.8 GB", repo="stablediffusionapi/counterfeit-v30"),
}
CONTROLNETS: dict[str, DiffusionPreset] = {
    "lineart-anime": DiffusionPreset(
        summary="holds on to the lines of a drawing", repo="lllyasviel/control_v11p_sd15s2_lineart_anime"
    ),
}


def locate(name: str, *, option: str = "--model") -> Path | HubPlace:
    """Return where a diffusion model or ControlNet lies; the network is not asked.

    Args:
        name: of a row in the tables; path of a folder of diffusers or of a .safetensors file; or
            ``owner/repo[@revision][:FILE.safetensors]`` on the Hugging Face Hub.
        option: what the user named it with, for messages.

    Returns:
        A path that exists, or a place on the Hub.

    Raises:
        ModelError: it is none of these.
    """
    row = PRESETS.get(name) or CONTROLNETS.get(name)
    if row is not None:
        return HubPlace(repo=row.repo, revision=row.revision, file=row.file or PIPELINE_INDEX)
    path = local_path(name)
    if path.exists():
        return path
    match = _REFERENCE.fullmatch(name)
    names = ", ".join((*PRESETS, *CONTROLNETS))
    if match is None:
        raise ModelError(
            f"{name}: there is no such file or folder, and this is neither a name ({names}) nor {DIFFUSION_SYNTAX} on "
            f"the Hugging Face Hub; check {option}"
        )
    if is_bare_repository(name) and (path.suffix in (".safetensors", *PICKLE_SUFFIXES) or path.parent.is_dir()):
        raise ModelError(
            f"{name}: there is no such file or folder; if you mean the repository of this name on the Hugging Face "
            f"Hub, write {name}@main"
        )
    return HubPlace(
        repo=match["repo"], revision=match["revision"] or "main", file=checked_file(match["file"] or PIPELINE_INDEX)
    )


def checked_file(file: str) -> str:
    """Return the path of a file inside a repository.

    Raises:
        ModelError: it leads elsewhere.
    """
    parts = file.split("/")
    if not parts[0] or ".." in parts or "\\" in file:
        raise ModelError(f"{file}: this is no path of a file inside a repository; write {DIFFUSION_SYNTAX}")
    return file


def alternatives(name: str, option: str) -> str:
    """Say what can be used instead of a model that cannot be had, and was named with an option."""
    if name in CONTROLNETS or option == "--controlnet":
        return "go on without --controlnet, or give another one: owner/repo or a folder"
    others = " or ".join(f"--preset {preset}" for preset in PRESETS if preset != name)
    kinds = "(owner/repo, a folder, a .safetensors file)"
    if option == "--refine-model":  # of a server
        return f"try {others}, or another model with {option} {kinds}"
    return f"try {others}, another model with --model {kinds}, or --server URL"
