"""Finding training pictures in folders and ZIP files, and reading them.

A DATA root is a folder or a ZIP file that holds one of

* joined pictures: color and drawing side by side in one file (the Kaggle set of the source project),
* a folder ``color/`` and beside it ``lines/`` or ``sketch/``, matched by relative path without suffix,
* color pictures alone, in any nesting; their lines are extracted later.
"""

from __future__ import annotations

import functools
import hashlib
import io
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pixelpainter.errors import DataError

Layout = Literal["color-left", "sketch-left"]
Pictures = dict[str, "Location"]  # path inside the root, with forward slashes -> where it lies

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
LINE_FOLDERS = ("lines", "sketch")
BESIDE_COLOR = frozenset({*LINE_FOLDERS, "sketches", "flats"})  # never color pictures
MAX_FILE_BYTES = 256 * 2**20  # a bigger member of a ZIP is no training picture but a bomb
MIN_SIDE_PX = 8
ASPECT_TOLERANCE = 0.02
PROBES = 16  # files looked at to tell joined pictures from plain ones


@dataclass(frozen=True)
class Location:
    """A file, or a member of a ZIP file."""

    file: Path
    member: str | None = None

    def __str__(self) -> str:
        return str(self.file) if self.member is None else f"{self.file}:{self.member}"

    def read(self) -> bytes:
        """Return the content. Raises DataError where it cannot be read."""
        try:
            if self.member is None:
                return self.file.read_bytes()
            archive = _open_zip(self.file)
            if archive.getinfo(self.member).file_size > MAX_FILE_BYTES:
                raise DataError(f"{self}: larger than {MAX_FILE_BYTES >> 20} MiB unpacked; leave it out of the ZIP")
            return archive.read(self.member)
        except (
            OSError,
            zipfile.BadZipFile,
            zlib.error,
            RuntimeError,
            NotImplementedError,
            KeyError,
            EOFError,
        ) as error:
            raise DataError(f"{self}: cannot be read ({_one_line(error)})") from error

    def fingerprint(self) -> str:
        """Return size and hash of the content (of a ZIP's member its CRC, which needs no reading)."""
        if self.member is not None:
            info = _open_zip(self.file).getinfo(self.member)
            return f"{info.file_size} crc {info.CRC:08x}"
        try:
            with self.file.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            return f"{self.file.stat().st_size} sha256 {digest}"
        except OSError:
            return "unreadable"  # read_pair names it; a fingerprint must not stop the others


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A color picture and, where there is one, its drawing.

    Attributes:
        name: unique and stable: root, path inside it without suffix; forward slashes.
        source: sub-folder below ``color/`` (or below the root) that ``--mix`` names; else the root's name.
        color: the color picture.
        lines: the true drawing; None: extract one (or it lies in the joined picture).
        layout: where the halves of a joined picture lie; None: not joined.
    """

    name: str
    source: str
    color: Location
    lines: Location | None = None
    layout: Layout | None = None

    @property
    def root(self) -> str:
        """Name of the DATA root that the pair comes from."""
        return self.name.split("/", 1)[0]


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
    held out, unless ``validation`` is given: then all of them are trained on.

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
            held_out += _pair_up(f"{name}-val", root, parts[1], layout)
        elif validation is not None:
            train += _pair_up(name, root, pictures, layout)
        else:
            kept, split = split_validation(_pair_up(name, root, pictures, layout))
            train += kept
            held_out += split
    return sorted(train, key=_by_name), sorted(held_out, key=_by_name)


def split_validation(pairs: Sequence[Pair], fraction: float = 0.05) -> tuple[list[Pair], list[Pair]]:
    """Split pairs into training and validation by a hash of their names.

    A picture's side does not depend on the others, so adding pictures moves none; only where chance selects
    no picture at all (few pictures) the one with the smallest hash is held out. A single pair is trained on.
    """

    def position(pair: Pair) -> float:
        digest = hashlib.sha256(_without_suffix(pair.name).encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64

    if len(pairs) < 2:
        return list(pairs), []
    positions = [position(pair) for pair in pairs]
    limit = max(fraction, np.nextafter(min(positions), 1.0))
    train = [pair for pair, place in zip(pairs, positions, strict=True) if place >= limit]
    held_out = [pair for pair, place in zip(pairs, positions, strict=True) if place < limit]
    return (train, held_out) if train else (held_out[1:], held_out[:1])


def sampling_weights(pairs: Sequence[Pair], mix: Mapping[str, float]) -> NDArray[np.float64]:
    """Return how often each picture is to be drawn: float64 (N,), sum 1.

    Args:
        pairs: the pictures.
        mix: factor per picture (default 1) by source, ``root/source`` or root; of several that fit, the
            narrowest counts.

    Raises:
        DataError: a key names nothing, or the weights are negative, not finite or all 0.
    """
    return mix_weights([pair.name for pair in pairs], [pair.source for pair in pairs], mix)


def mix_weights(names: Sequence[str], sources: Sequence[str], mix: Mapping[str, float]) -> NDArray[np.float64]:
    """As ``sampling_weights``, from the names and sources of a cache."""
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


def data_manifest(pairs: Iterable[Pair]) -> str:
    """Return the SHA-256 over the sorted names, sizes and contents of all files."""
    digest = hashlib.sha256()
    for pair in sorted(pairs, key=_by_name):
        lines = "" if pair.lines is None else pair.lines.fingerprint()
        digest.update(f"{pair.name}\n{pair.layout}\n{pair.color.fingerprint()}\n{lines}\n".encode())
    return digest.hexdigest()


def read_pair(pair: Pair) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Read a pair.

    Returns:
        The color picture on white, uint8 (H, W, 3), and its drawing at the same size, uint8 (H, W), 255 =
        paper, or None.

    Raises:
        DataError: a file cannot be read, or picture and drawing do not fit each other.
    """
    color = _read_rgb(pair.color)
    if pair.layout is not None:
        color, drawing = _cut(color, pair)
    elif pair.lines is not None:
        drawing = _read_rgb(pair.lines)
    else:
        return color, None
    lines = cv2.cvtColor(drawing, cv2.COLOR_RGB2GRAY)
    (height, width), (lines_height, lines_width) = color.shape[:2], lines.shape
    if abs(lines_width * height / (lines_height * width) - 1) > ASPECT_TOLERANCE:
        raise DataError(
            f"{pair.lines}: {lines_width}x{lines_height} does not fit its color picture {pair.color}, {width}x{height}"
        )
    if (height, width) != lines.shape:
        shrinks = lines_width > width
        lines = cv2.resize(lines, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return color, np.asarray(lines, np.uint8)


def _cut(joined: NDArray[np.uint8], pair: Pair) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Cut a joined picture (H, 2W, 3) into color and drawing, uint8 (H, W, 3) each."""
    half = joined.shape[1] // 2
    left, right = joined[:, :half], joined[:, -half:]
    color, drawing = (left, right) if pair.layout == "color-left" else (right, left)
    if _chroma(drawing) > max(20.0, 2 * _chroma(color)):
        other = "sketch-left" if pair.layout == "color-left" else "color-left"
        raise DataError(f"{pair.color}: the half that should be the drawing is the colored one; try --layout {other}")
    return np.ascontiguousarray(color), np.ascontiguousarray(drawing)


def _chroma(rgb: NDArray[np.uint8]) -> float:
    """Return the mean distance from gray, 0-255."""
    return float((rgb.max(axis=2) - rgb.min(axis=2)).mean())


def _read_rgb(place: Location) -> NDArray[np.uint8]:
    """Return a picture upright and on white, uint8 (H, W, 3)."""
    content = place.read()
    try:
        with Image.open(io.BytesIO(content)) as opened:
            image = ImageOps.exif_transpose(opened)
            if "A" in image.getbands() or "transparency" in image.info:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            rgb = np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(f"{place}: cannot be read as a picture ({_one_line(error)})") from error
    if min(rgb.shape[:2]) < MIN_SIDE_PX:
        raise DataError(f"{place}: {rgb.shape[1]}x{rgb.shape[0]} pixels are too few to learn from")
    return rgb


def _pair_up(name: str, root: Path, pictures: Pictures, layout: Layout | None) -> list[Pair]:
    """Return the pairs of one root. Raises DataError where there is none."""
    colored = dict(_below_color(pictures))
    lines: Pictures = {}
    if colored:
        lines = {
            _without_suffix(path): place
            for path, place in pictures.items()
            if any(part in LINE_FOLDERS for part in _folders(path))
        }
        layout = None
    else:
        colored = {path: path for path in pictures if not BESIDE_COLOR.intersection(_folders(path))}
        layout = layout or _detect_layout([pictures[path] for path in colored])
    if not colored:
        found = "drawings but no color pictures" if pictures else "no pictures"
        raise DataError(f"{root}: {found} (looked for color/ with lines/, joined pictures, or pictures alone)")
    pairs: dict[str, Pair] = {}
    for path, below in sorted(colored.items()):
        unique = f"{name}/{_without_suffix(below)}"
        if unique in pairs:  # a.png beside a.jpg
            unique = f"{name}/{below}"
        source = str(PurePosixPath(below).parent)
        pairs[unique] = Pair(
            name=unique,
            source=name if source == "." else source,
            color=pictures[path],
            lines=_matching_lines(path, lines),
            layout=layout,
        )
    return list(pairs.values())


def _below_color(pictures: Pictures) -> Iterator[tuple[str, str]]:
    """Yield the paths that lie in a folder ``color``, each with the same path without that folder."""
    for path in pictures:
        folders = _folders(path)
        if "color" in folders:
            parts = path.split("/")
            at = folders.index("color")
            yield path, "/".join(parts[:at] + parts[at + 1 :])


def _matching_lines(color_path: str, lines: Pictures) -> Location | None:
    """Return the drawing at the same place below ``lines/`` or ``sketch/`` beside ``color/``."""
    if not lines:
        return None
    parts = _without_suffix(color_path).split("/")
    at = parts.index("color")
    candidates = ("/".join([*parts[:at], folder, *parts[at + 1 :]]) for folder in LINE_FOLDERS)
    return next((lines[path] for path in candidates if path in lines), None)


def _detect_layout(places: Sequence[Location]) -> Layout | None:
    """Tell joined pictures (most are 2:1 with one gray half) from plain ones (None)."""
    step = max(1, len(places) // PROBES)
    probes = places[::step][:PROBES]
    votes: Counter[Layout] = Counter()
    for place in probes:
        try:
            rgb = _read_rgb(place)
        except DataError:
            continue  # named later, when it is read for training
        height, width = rgb.shape[:2]
        if abs(width / (2 * height) - 1) > ASPECT_TOLERANCE:
            continue
        left, right = _chroma(rgb[:, : width // 2]), _chroma(rgb[:, -(width // 2) :])
        if min(left, right) < 4 and max(left, right) > 6:  # JPEG leaves a trace of color in gray
            votes["color-left" if left > right else "sketch-left"] += 1
    if not votes:
        return None
    layout, count = votes.most_common(1)[0]
    return layout if count > len(probes) / 2 else None


def _train_and_val(pictures: Pictures) -> tuple[Pictures, Pictures] | None:
    """Return the pictures below ``train/`` and ``val/``, paths relative to these, or None without them."""
    if not pictures:
        return None
    common = os.path.commonpath([str(PurePosixPath(path).parent) for path in pictures]).replace(os.sep, "/")
    prefix = f"{common}/" if common else ""
    parts = [
        {path.removeprefix(start): place for path, place in pictures.items() if path.startswith(start)}
        for start in (f"{prefix}train/", f"{prefix}val/")
    ]
    return (parts[0], parts[1]) if all(parts) else None


def _list(root: Path) -> Pictures:
    """Return all picture files of a folder or ZIP file. Raises DataError where it cannot be listed."""
    if root.is_dir():
        found = {path.relative_to(root).as_posix(): Location(path) for path in _walk(root)}
    elif not root.exists():
        raise DataError(f"{root}: no such folder or ZIP file; give folders or ZIP files with color pictures")
    else:
        found = {name: Location(root, name) for name in _open_zip(root).namelist() if not name.endswith("/")}
    return {path: found[path] for path in sorted(found) if _is_picture(path)}


def _walk(root: Path) -> Iterator[Path]:
    """Yield all files below a folder, through links too, each real folder once."""

    def stop(error: OSError) -> None:
        raise DataError(f"{error.filename}: cannot be listed ({error.strerror})") from error

    seen: set[str] = set()
    for folder, subfolders, files in os.walk(root, followlinks=True, onerror=stop):
        seen.add(os.path.realpath(folder))
        subfolders[:] = sorted(
            name for name in subfolders if os.path.realpath(Path(folder, name)) not in seen and not _is_hidden(name)
        )
        yield from (Path(folder, name) for name in files)


@functools.lru_cache(maxsize=8)
def _open_zip_version(file: Path, changed_ns: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(file)


def _open_zip(file: Path) -> zipfile.ZipFile:
    """Return an open ZIP file; it stays open, reading its index for every picture would cost more."""
    try:
        return _open_zip_version(file, file.stat().st_mtime_ns)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{file}: neither a folder nor a readable ZIP file ({_one_line(error)})") from error


def _name_roots(data: Sequence[Path]) -> list[tuple[str, Path]]:
    """Give every root a name of its own: that of its folder or ZIP file, numbered where two agree."""
    if not data:
        raise DataError("no training data given; give folders or ZIP files with color pictures")
    seen: Counter[str] = Counter()
    named = []
    for root in data:
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
    return PurePosixPath(path).suffix.lower() in SUFFIXES and not any(map(_is_hidden, path.split("/")))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _folders(path: str) -> list[str]:
    return [part.lower() for part in path.split("/")[:-1]]


def _without_suffix(path: str) -> str:
    suffix = PurePosixPath(path).suffix
    return path.removesuffix(suffix) if suffix.lower() in SUFFIXES else path


def _by_name(pair: Pair) -> str:
    return pair.name


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
