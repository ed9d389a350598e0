"""Finding training pictures in folders and ZIP files.

A DATA root is a folder or a ZIP file that holds one of

* joined pictures: color and drawing side by side in one file (the Kaggle set of the source project),
* a folder ``color/`` and beside it ``lines/``, ``sketch/`` or ``sketches/``, matched by relative path without suffix,
* color pictures alone, in any nesting; their lines are extracted later.

``train/`` and ``val/`` may lie above or below these folders, whose names may have capitals.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from pixelpainter.errors import DataError
from pixelpainter.finding import is_pipe
from pixelpainter.suffixes import PICTURE_SUFFIXES
from pixelpainter.train.folder import is_drawn_by_run
from pixelpainter.train.pairs import ASPECT_TOLERANCE, NAME_ENCODING, Layout, Location, Pair, chroma, open_zip, read_rgb

Pictures = dict[str, Location]  # path inside the root, with forward slashes -> where it lies

LINE_FOLDERS = ("lines", "sketch", "sketches")
BESIDE_COLOR = frozenset({*LINE_FOLDERS, "flats"})  # never color pictures
HERE = "\0"  # stands in paths for the folder by which color and drawings differ; no file can be called so
PROBES = 16  # files looked at to tell joined pictures from plain ones


def find_pairs(data: Sequence[Path], layout: Layout | None = None) -> list[Pair]:
    """Return all training pairs below the DATA roots, sorted by name.

    Args:
        data: folders and ZIP files.
        layout: how joined pictures lie in roots without ``color/``; None: look at some and decide.

    Raises:
        DataError: a root is missing, damaged, or holds no color picture.
    """
    roots = _name_roots(data)
    return sorted((pair for name, root in roots for pair in _pair_up(name, root, _list(root), layout)), key=_by_name)


def find_training_data(
    data: Sequence[Path], layout: Layout | None = None, validation: Path | None = None
) -> tuple[list[Pair], list[Pair]]:
    """Return the pairs to train on and the pairs to validate on.

    A root with ``train/`` and ``val/`` brings its own validation pictures. Of other roots a stable 5 % is
    held out. Where ``validation`` is given, it alone is validated on: other roots are trained on as a whole,
    and ``val/`` is not used.

    Raises:
        DataError: as ``find_pairs``, for ``validation`` too.
    """
    train: list[Pair] = []
    held_out: list[Pair] = [] if validation is None else find_pairs([validation], layout)
    for name, root in _name_roots(data):
        pictures = _list(root)
        parts = _train_and_val(pictures)
        if parts is not None:
            train += _pair_up(name, root, parts[0], layout)
            if validation is None:
                held_out += _pair_up(f"{name}-val", root, parts[1], layout)
        elif validation is not None:
            train += _pair_up(name, root, pictures, layout)
        else:
            kept, split = split_validation(_pair_up(name, root, pictures, layout))
            train += kept
            held_out += split
    return sorted(train, key=_by_name), sorted(held_out, key=_by_name)


def find_lone_drawings(data: Sequence[Path], pairs: Sequence[Pair]) -> list[tuple[str, Location]]:
    """Return name and place of the drawings below ``lines/`` and the like that belong to none of the pairs."""
    used = {pair.lines for pair in pairs}
    return [
        (f"{name}/{_without_suffix(path)}", place)
        for name, root in _name_roots(data)
        for path, place in _list(root).items()
        if place not in used and any(folder in LINE_FOLDERS for folder in _folders(path))
    ]


def split_validation(pairs: Sequence[Pair], fraction: float = 0.05) -> tuple[list[Pair], list[Pair]]:
    """Split pairs into training and validation by a hash of their names.

    A picture's side does not depend on the others, so adding pictures moves none; only where chance selects
    no picture at all (few pictures) the one with the smallest hash is held out. A single pair is trained on.
    """

    def position(pair: Pair) -> float:
        digest = hashlib.sha256(_without_suffix(pair.name).encode(*NAME_ENCODING)).digest()
        return int.from_bytes(digest[:8], "big") / 2**64

    if len(pairs) < 2:
        return list(pairs), []
    positions = [position(pair) for pair in pairs]
    limit = max(fraction, np.nextafter(min(positions), 1.0))
    train = [pair for pair, place in zip(pairs, positions, strict=True) if place >= limit]
    held_out = [pair for pair, place in zip(pairs, positions, strict=True) if place < limit]
    return (train, held_out) if train else (held_out[1:], held_out[:1])


def mix_weights(names: Sequence[str], sources: Sequence[str], mix: Mapping[str, float]) -> NDArray[np.float64]:
    """Return how often each picture is to be drawn: float64 (N,), sum 1.

    Args:
        names: of the pictures' pairs.
        sources: of the same.
        mix: factor per picture (default 1) by source, ``root/source`` or root; of several that fit, the
            narrowest counts.

    Raises:
        DataError: a key names nothing, or the weights are negative, not finite or all 0.
    """
    keys = [_mix_keys(name, source) for name, source in zip(names, sources, strict=True)]
    known = {key for group in keys for key in group}
    for key, weight in mix.items():
        if key not in known:
            listed = ", ".join(sorted({key for group in keys for key in (group[-1], group[len(group) // 2])}))
            raise DataError(f"--mix {key}: no such source; the data have {listed}")
        if not 0 <= weight < float("inf"):
            raise DataError(f"--mix {key}={weight}: the weight must be 0 or a positive number")
    weights = np.array([next((mix[key] for key in group if key in mix), 1.0) for group in keys], np.float64)
    if not weights.sum() > 0:
        raise DataError("--mix: every source has weight 0; leave at least one with a positive weight")
    return np.asarray(weights / weights.sum(), np.float64)


def _pair_up(name: str, root: Path, pictures: Pictures, layout: Layout | None) -> list[Pair]:
    """Return the pairs of one root. Raises DataError where there is none."""
    colored = dict(_below(pictures, "color"))
    lines: Pictures = {}
    found_out = False
    if colored:
        layout = None
        for folder in reversed(LINE_FOLDERS):  # the first one wins
            lines |= {_without_suffix(place): pictures[path] for path, place in _below(pictures, folder)}
    else:
        colored = {path: path for path in pictures if not BESIDE_COLOR.intersection(_folders(path))}
        found_out = layout is None
        layout = layout or _detect_layout([pictures[path] for path in colored])
    if not colored:
        if not pictures and root.is_dir() and any(root.glob("*.zip")):
            raise DataError(f"{root}: no pictures, but ZIP files; name these instead of the folder")
        found = "drawings but no color pictures" if pictures else "no pictures"
        raise DataError(f"{root}: {found} (looked for color/ with lines/, joined pictures, or pictures alone)")
    pairs: dict[str, Pair] = {}
    for path, place in sorted(colored.items()):
        below = place.replace(f"{HERE}/", "", 1)
        unique = f"{name}/{_without_suffix(below)}"
        if unique in pairs:  # a.png beside a.jpg
            unique = f"{name}/{below}"
        source = str(PurePosixPath(below).parent)
        pairs[unique] = Pair(
            name=unique,
            source=name if source == "." else source,
            color=pictures[path],
            lines=lines.get(_without_suffix(place)),
            layout=layout,
            square_halves=found_out and layout is not None,
        )
    return list(pairs.values())


def _below(pictures: Pictures, folder: str) -> Iterator[tuple[str, str]]:
    """Yield the paths that lie in such a folder, each with the same path in which the folder is called HERE."""
    for path in pictures:
        folders = _folders(path)
        if folder in folders:
            parts = path.split("/")
            parts[folders.index(folder)] = HERE
            yield path, "/".join(parts)


def _detect_layout(places: Sequence[Location]) -> Layout | None:
    """Tell joined pictures (most are 2:1 with one gray half) from plain ones (None)."""
    step = max(1, len(places) // PROBES)
    probes = places[::step][:PROBES]
    votes: Counter[Layout] = Counter()
    for place in probes:
        try:
            rgb = read_rgb(place)
        except DataError:
            continue  # named later, when it is read for training
        height, width = rgb.shape[:2]
        if abs(width / (2 * height) - 1) > ASPECT_TOLERANCE:
            continue
        left, right = chroma(rgb[:, : width // 2]), chroma(rgb[:, -(width // 2) :])
        if min(left, right) < 4 and max(left, right) > 6:  # JPEG leaves a trace of color in gray
            votes["color-left" if left > right else "sketch-left"] += 1
    if not votes:
        return None
    layout, count = votes.most_common(1)[0]
    return layout if count > len(probes) / 2 else None


def _train_and_val(pictures: Pictures) -> tuple[Pictures, Pictures] | None:
    """Return the pictures below ``train/`` and ``val/``, paths without these two, or None without them."""
    if not pictures:
        return None
    common = os.path.commonpath([str(PurePosixPath(path).parent) for path in pictures]).replace(os.sep, "/")
    start = len(common) + 1 if common else 0
    parts: dict[str, Pictures] = {"train": {}, "val": {}}
    for path, place in pictures.items():
        inner = path[start:].split("/")
        folders = _folders(path[start:])
        at = 1 if folders and folders[0] in ("color", *BESIDE_COLOR) else 0  # color/train/ is as good as train/color/
        if len(folders) > at and folders[at] in parts:
            parts[folders[at]]["/".join(inner[:at] + inner[at + 1 :])] = place
    return (parts["train"], parts["val"]) if all(parts.values()) else None


def _list(root: Path) -> Pictures:
    """Return all picture files of a folder or ZIP file. Raises DataError where it cannot be listed."""
    if root.is_dir():
        found = {path.relative_to(root).as_posix(): Location(path) for path in _walk(root)}
    elif not root.exists():
        raise DataError(f"{root}: no such folder or ZIP file; give folders or ZIP files with color pictures")
    else:
        names = open_zip(root).namelist()  # some programs write backslashes, or a slash at the start
        found = {name.replace("\\", "/").lstrip("/"): Location(root, name) for name in names if name[-1:] not in "/\\"}
    return {path: found[path] for path in sorted(found) if _is_picture(path)}


def _walk(root: Path) -> Iterator[Path]:
    """Yield all files below a folder but pipes and what runs drew, through links too, each real folder once."""

    def stop(error: OSError) -> None:
        raise DataError(f"{error.filename}: cannot be listed ({error.strerror})") from error

    seen: set[str] = set()
    for folder, subfolders, files in os.walk(root, followlinks=True, onerror=stop):
        seen.add(os.path.realpath(folder))
        subfolders[:] = sorted(
            name for name in subfolders if os.path.realpath(Path(folder, name)) not in seen and not _is_hidden(name)
        )
        for file in (Path(folder, name) for name in files):
            if not is_pipe(file) and not is_drawn_by_run(file):
                yield file


def _name_roots(data: Sequence[Path]) -> list[tuple[str, Path]]:
    """Give every root a name of its own: that of its folder or ZIP file, numbered where two agree."""
    if not data:
        raise DataError("no training data given; give folders or ZIP files with color pictures")
    seen: Counter[str] = Counter()
    named = []
    for root in {root.resolve(): root for root in data}.values():  # a root given twice counts once
        resolved = root.resolve()
        name = (resolved.stem if resolved.suffix.lower() == ".zip" else resolved.name) or "data"
        seen[name] += 1
        named.append((name if seen[name] == 1 else f"{name}-{seen[name]}", root))
    return named


def _mix_keys(name: str, source: str) -> list[str]:
    """Return the keys of ``--mix`` that fit a picture, narrowest first."""
    root = name.split("/", 1)[0]
    if source == root:
        return [root]
    folders = source.split("/")
    sources = ["/".join(folders[:count]) for count in range(len(folders), 0, -1)]
    return [*(f"{root}/{part}" for part in sources), *sources, root]


def _is_picture(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in PICTURE_SUFFIXES and not any(map(_is_hidden, path.split("/")))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _folders(path: str) -> list[str]:
    return [part.lower() for part in path.split("/")[:-1]]


def _without_suffix(path: str) -> str:
    suffix = PurePosixPath(path).suffix
    return path.removesuffix(suffix) if suffix.lower() in PICTURE_SUFFIXES else path


def _by_name(pair: Pair) -> str:
    return pair.name
