"""The models that have a name, and how a file on the Hugging Face Hub is written down."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from pixelpainter.errors import ModelError

BUNDLED_NAME = "bundled"
REFERENCE_SYNTAX = "owner/repo[@revision][:file]"

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"  # "./x" and "~/x" are paths
_REFERENCE = re.compile(rf"(?P<repo>{_PART}/{_PART})(?:@(?P<revision>[^@:\s]+))?(?::(?P<file>[^@:]+))?")


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """One file of a repository on the Hugging Face Hub.

    Attributes:
        repo: "owner/repo".
        revision: branch, tag, or commit; only a commit always means the same file.
        file: its path in the repository.
        sha256: what its content must be; empty = whatever the repository has.
    """

    repo: str
    revision: str = "main"
    file: str = "model.onnx"
    sha256: str = ""

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision}:{self.file}"


@dataclass(frozen=True, kw_only=True)
class KnownModel:
    """A row of the table.

    Attributes:
        summary: what it is, in a few words.
        home: where it is published, pinned to a commit and a SHA-256; None = nowhere yet.
    """

    summary: str
    home: HubFile | None = None

    def __post_init__(self) -> None:
        if self.home is not None:
            assert re.fullmatch("[0-9a-f]{40}", self.home.revision), f"{self.home} is not pinned to a commit"
            assert re.fullmatch("[0-9a-f]{64}", self.home.sha256), f"{self.home} has no SHA-256"


# To publish a model: upload its file, and give its row a home, all four fields of it:
#     home=HubFile(repo=OWNER/REPO, revision=COMMIT, file=NAME.onnx, sha256=`sha256sum NAME.onnx`)
# with the 40 digits of the commit, not a branch. Never name a repository that does not exist yet: whoever
# registers the name first would decide what users run.
KNOWN_MODELS: dict[str, KnownModel] = {
    "pix2pix": KnownModel(summary="the full pix2pix network: 54 million parameters, 256x256, no hints"),
}


def home_variable(name: str) -> str:
    """Return the environment variable that says where a named model lies instead of its home."""
    return f"PIXELPAINTER_{name.upper()}_REPO"


def home_of(name: str) -> HubFile:
    """Return where a named model lies: what its environment variable says, or else its row of the table.

    Raises:
        ModelError: it is not published yet, or the variable cannot be read.
    """
    variable = home_variable(name)
    given = os.environ.get(variable)
    if given:
        return parse_reference(given, f" (named by ${variable})")
    home = KNOWN_MODELS[name].home
    if home is None:
        raise ModelError(
            f"{name}: this model is not published yet, so it cannot be downloaded; say where a copy lies with "
            f"{variable}=owner/repo, give a file with --model FILE.onnx, or train it with "
            f"`pixelpainter train --system {name}`"
        )
    return home


def local_path(name: str | Path) -> Path:
    """Return the path that a name stands for; a ~ is a home folder, unless there is no such user."""
    return Path(os.path.expanduser(name))  # noqa: PTH111 (Path.expanduser raises RuntimeError)


def is_bare_repository(text: str) -> bool:
    """Tell whether this is "owner/repo" and nothing else, which can just as well be the path of a file."""
    match = _REFERENCE.fullmatch(text)
    return match is not None and not match["revision"] and not match["file"]


def parse_reference(text: str, origin: str = "") -> HubFile:
    """Read ``owner/repo[@revision][:file]``.

    Args:
        text: revision is "main" and file "model.onnx" if they are left out.
        origin: where the text comes from, for messages.

    Raises:
        ModelError: this is something else.
    """
    if "://" in text:
        raise ModelError(f"{text}{origin}: models are not given by address; write {REFERENCE_SYNTAX} or a file")
    match = _REFERENCE.fullmatch(text)
    if match is None:
        names = ", ".join((BUNDLED_NAME, *KNOWN_MODELS))
        raise ModelError(
            f"{text}{origin}: there is no such model file, and this is neither a name ({names}) "
            f"nor {REFERENCE_SYNTAX} on the Hugging Face Hub"
        )
    reference = HubFile(**{part: value for part, value in match.groupdict().items() if value})
    parts = reference.file.split("/")
    if not reference.file.endswith(".onnx") or not parts[0] or ".." in parts:
        raise ModelError(f"{text}{origin}: {reference.file!r} is no path of an .onnx file inside a repository")
    return reference
