"""Which files of a diffusion model are needed, judged by their names: configurations, and weights without pickles."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pixelpainter.errors import ModelError
from pixelpainter.refine.presets import NETWORK_CONFIG, PIPELINE_INDEX

# diffusers would also load classes from Python files beside the weights.
LIBRARIES = ("diffusers", "transformers", "stable_diffusion")
PIPELINE_CLASSES = ("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline")

_WITHOUT_WEIGHTS = re.compile(r"Tokenizer|Scheduler|FeatureExtractor|Processor")
_STEMS = r"(?:model|diffusion_pytorch_model|pytorch_model)"
_SHARD = r"(?:-\d{5}-of-\d{5})?"
_SAFE = re.compile(rf"{_STEMS}{_SHARD}\.safetensors")
_SAFE_HALF = re.compile(rf"{_STEMS}\.fp16{_SHARD}\.safetensors|{_STEMS}{_SHARD}\.fp16\.safetensors")
_PICKLE = re.compile(rf"{_STEMS}{_SHARD}\.bin")
_HALF_WEIGHTS = re.compile(r"\.fp16[.-]")
_TEXTS = (".json", ".txt", ".model")


def read_index(file: Path) -> dict[str, Any]:
    """Return the index of a pipeline or the configuration of a network.

    Raises:
        ModelError: it is damaged, or not of a kind that this program runs.
    """
    try:
        index = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{file}: it cannot be read ({error}); download the model again") from error
    if not isinstance(index, dict):
        raise ModelError(f"{file}: it does not describe a diffusion model; download the model again")
    name = index.get("_class_name")
    if file.name == NETWORK_CONFIG:
        if name != "ControlNetModel":
            raise ModelError(f"{file.parent}: this is no ControlNet, but a {name}; give one made for Stable Diffusion")
    elif name not in PIPELINE_CLASSES:
        raise ModelError(
            f"{file.parent}: this is a pipeline of another kind ({name}); give one of Stable Diffusion 1 or 2"
        )
    return index


def components(index: Mapping[str, Any]) -> dict[str, bool]:
    """Return the parts of a pipeline by name of their folder, and whether they have weights.

    Raises:
        ModelError: one of them would run foreign code.
    """
    found = {}
    for name, value in index.items():
        if not (isinstance(value, list) and len(value) == 2) or None in value:
            continue
        library, kind = map(str, value)
        if library not in LIBRARIES:
            raise ModelError(
                f"{name} in {PIPELINE_INDEX} is of {library!r}, code that does not come with diffusers; it is not run: "
                "give another model"
            )
        found[name] = not _WITHOUT_WEIGHTS.search(kind)
    return found


def needed_files(names: Collection[str], index: Mapping[str, Any], *, allow_pickle: bool) -> list[str]:
    """Return which files of a repository or folder a model consists of.

    Args:
        names: all its files, with "/" between folders.
        index: of the pipeline, or the configuration of the network, whose weights lie at the top.
        allow_pickle: take pickles where there are no safetensors.

    Raises:
        ModelError: weights are missing, or they are pickles.
    """
    if index.get("_class_name") not in PIPELINE_CLASSES:
        return [NETWORK_CONFIG, *_weights(names, "", allow_pickle)]
    parts = components(index)
    needed = [PIPELINE_INDEX]
    for part, has_weights in parts.items():
        needed += [name for name in names if _folder(name) == part and name.endswith(_TEXTS)]
        if has_weights:
            needed += _weights(names, part, allow_pickle)
    return needed


def half_variant(names: Collection[str]) -> str | None:
    """Return what diffusers calls the variant of these weights: "fp16" if any part has no other."""
    return "fp16" if any(_HALF_WEIGHTS.search(name) for name in names if not name.endswith(_TEXTS)) else None


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _weights(names: Collection[str], part: str, allow_pickle: bool) -> list[str]:
    """Return the files with the weights of one part, the best kind that is there."""
    inside = {name.rpartition("/")[2]: name for name in names if _folder(name) == part}
    kinds = [_SAFE, _SAFE_HALF, _PICKLE] if allow_pickle else [_SAFE, _SAFE_HALF]
    for kind in kinds:
        if found := [name for file, name in sorted(inside.items()) if kind.fullmatch(file)]:
            return found
    what = f"its part {part}" if part else "it"
    if any(_PICKLE.fullmatch(file) for file in inside):
        raise ModelError(
            f"the weights of {what} are a pickle (.bin), which can run code when it is loaded, and not safetensors; "
            "--allow-pickle trusts it"
        )
    raise ModelError(f"the weights of {what} are missing")
