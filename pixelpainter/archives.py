"""Comic archives (CBZ, ZIP): color the pages, copy everything else, page by page.

Nothing is unpacked to disk. Archives that are hostile or broken are refused as a whole, before work starts: encrypted
entries, two entries of one name, links, names that lead out of the folder, and zip bombs.
"""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pixelpainter.errors import InputError, PixelPainterError, ServerLostError
from pixelpainter.file_painter import FilePainter, Painted
from pixelpainter.pipeline import in_order
from pixelpainter.plan import FormatName, name_results, result_suffix
from pixelpainter.saving import short_reason, shown_name
from pixelpainter.suffixes import SAVE_SUFFIXES, is_picture, is_side_car

MAX_BYTES = 16 << 30  # unpacked; a thousand scanned pages have less
MAX_ENTRIES = 100_000
# Deflate packs nothing tighter than 1032 to 1. Real pages hardly shrink at all, white BMP pages up to about 500 to 1.
MAX_RATIO, RATIO_MATTERS_BYTES = 200, 1 << 30
_COPY_BYTES = 1 << 20
_DRIVE = re.compile("[A-Za-z]:")
_DENSE = frozenset({"PNG", "JPEG", "WEBP", "AVIF"})  # packing them again gains nothing

# zipfile unpacks the others without a limit: some kilobytes of bzip2 may become gigabytes, whatever the size declared.
ZIP_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
ZIP_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, KeyError, ValueError)


@dataclass(frozen=True)
class ArchiveResult:
    """What became of an archive.

    Attributes:
        pages: number of pictures in it.
        colored: how many were colored or refined; the others were copied.
        already: how many were copied because they are colored already.
        problems: one line for each page that could not be painted.
        notes: what else the user should know about pages, one line each.
    """

    pages: int = 0
    colored: int = 0
    already: int = 0
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def color_archive(
    source: Path,
    result: BinaryIO,
    painter: FilePainter,
    *,
    format: FormatName | None = None,
    workers: int = 1,
    on_page: Callable[[], None] | None = None,
) -> ArchiveResult:
    """Write a copy of an archive with its pages colored or refined; order, times, comments and other files stay.

    Args:
        source: the archive.
        result: an empty stream for the new archive; it is read and written at any place.
        painter: paints the pages. A page that it cannot use is copied as it is, and named in the result.
        format: kind of the colored pages; None or "keep" = that of each page (PNG where it cannot be written).
        workers: how many pages to work on at once.
        on_page: called for each page that is done, in the calling thread.

    Raises:
        InputError: the archive is damaged, encrypted or hostile.
        ServerLostError: a server that refines the pages is lost.
    """
    with _opened(source) as archive:
        names = _result_names(archive, format or "keep")
        pages = colored = already = 0
        problems: list[str] = []
        notes: list[str] = []
        with zipfile.ZipFile(result, "w") as target:
            target.comment = archive.comment
            work = partial(_paint_page, archive, names, painter)
            with closing(in_order(work, archive.infolist(), workers)) as done:
                for entry, page in done:
                    if page is not None:
                        pages += 1
                        if on_page is not None:
                            on_page()
                    if page is None:
                        _copy(archive, entry, target)
                    elif isinstance(page, str):
                        problems.append(f"{page}; the page was copied as it is")
                        _copy(archive, entry, target)
                    elif page.status == "skipped":  # an archive must not lose pages
                        already += 1
                        _copy(archive, entry, target)
                    else:
                        colored += page.status == painter.done
                        already += page.status == "copied"
                        notes += [f"{entry.filename}: {note}" for note in page.notes]
                        target.writestr(_page_entry(entry, names[entry.filename]), page.data)
    return ArchiveResult(pages, colored, already, tuple(problems), tuple(notes))


def read_first_page(path: Path, max_bytes: int) -> bytes | None:
    """Return the first picture file of an archive; None if there is none.

    Raises:
        InputError: the archive is damaged, encrypted or hostile, or the page has more bytes than this.
    """
    with _opened(path) as archive:
        entry = next((entry for entry in archive.infolist() if _is_page(entry)), None)
        return None if entry is None else _read(archive, entry, max_bytes)


def count_pages(path: Path) -> int:
    """Return the number of pictures in an archive. Raises InputError: damaged, encrypted or hostile."""
    with _opened(path) as archive:
        return sum(_is_page(entry) for entry in archive.infolist())


@contextmanager
def _opened(source: Path) -> Iterator[zipfile.ZipFile]:
    """Open and check an archive. Raises InputError."""
    name = shown_name(source)
    try:
        archive = zipfile.ZipFile(source)
    except zipfile.BadZipFile as error:
        raise InputError(f"{name}: no ZIP archive, or a damaged one ({short_reason(error)})") from error
    except (OSError, ValueError, NotImplementedError) as error:
        raise InputError(f"{name}: cannot be opened ({short_reason(error)})") from error
    with archive:
        _check(archive, source)
        yield archive


def _check(archive: zipfile.ZipFile, source: Path) -> None:
    """Raise InputError if an archive is hostile or encrypted."""
    name = shown_name(source)
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise InputError(f"{name}: the archive has {len(entries)} entries, more than the limit of {MAX_ENTRIES}")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > MAX_BYTES:
        raise InputError(f"{name}: the archive unpacks to {unpacked} bytes, more than the limit of {MAX_BYTES}")
    packed = source.stat().st_size
    if unpacked > RATIO_MATTERS_BYTES and unpacked > MAX_RATIO * packed:
        raise InputError(
            f"{name}: the archive unpacks to {unpacked // packed} times its size (the limit is {MAX_RATIO}); "
            "this looks like a zip bomb"
        )
    for filename, uses in Counter(entry.filename for entry in entries).items():
        if uses > 1:
            raise InputError(f"{name}: the archive has {uses} entries named {shown_name(filename)}; pack it again")
    for entry in entries:
        shown = shown_name(entry.filename)
        if entry.flag_bits & 0x1:
            raise InputError(f"{name}: the entry {shown} is encrypted; unpack the archive with its password first")
        if entry.compress_type not in ZIP_METHODS:
            raise InputError(f"{name}: the entry {shown} is packed by method {entry.compress_type}; pack it as deflate")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise InputError(f"{name}: the entry {shown} is a symbolic link; archives with links are refused")
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or _DRIVE.match(entry.filename) or not path.parts:
            raise InputError(
                f"{name}: the entry {shown!r} leads out of the archive's folder; such archives are refused"
            )


def _is_page(entry: zipfile.ZipInfo) -> bool:
    """Tell whether an entry is a picture to color. macOS adds files that are called like one and are none."""
    path = PurePosixPath(entry.filename)
    hidden = path.name.startswith(".") or "__MACOSX" in path.parts
    return not entry.is_dir() and is_picture(path) and not hidden and not is_side_car(path)


def _result_names(archive: zipfile.ZipFile, format: FormatName) -> dict[str, str]:
    """Return the new name of each page."""
    pages = [entry.filename for entry in archive.infolist() if _is_page(entry)]
    others = [Path(entry.filename) for entry in archive.infolist() if not _is_page(entry)]
    names = name_results([Path(page) for page in pages], partial(result_suffix, format=format), others)
    return {page: name.as_posix() for page, name in zip(pages, names, strict=True)}


def _paint_page(
    archive: zipfile.ZipFile, names: dict[str, str], painter: FilePainter, entry: zipfile.ZipInfo
) -> tuple[zipfile.ZipInfo, Painted | str | None]:
    """Color one page. None for what is no page; the message of an error (which itself would hold the picture)."""
    if entry.filename not in names:
        return entry, None
    name = f"{archive.filename}/{entry.filename}"
    suffix = PurePosixPath(names[entry.filename]).suffix.lower()
    try:
        data = _read(archive, entry, painter.max_file_bytes)
        return entry, painter.paint(data, shown_name(name), SAVE_SUFFIXES[suffix])
    except ServerLostError:  # no page can be refined now; what is there shall stay
        raise
    except PixelPainterError as error:
        return entry, str(error)


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, max_bytes: int) -> bytes:
    """Return the content of an entry; zipfile gives no more than its declared size. Raises InputError."""
    name = shown_name(f"{archive.filename}/{entry.filename}")
    if entry.file_size > max_bytes:
        raise InputError(f"{name}: {entry.file_size} bytes are more than any picture within --max-pixels has")
    try:
        return archive.read(entry)
    except ZIP_DAMAGE as error:
        raise InputError(f"{name}: damaged ({short_reason(error)}); make or fetch the archive again") from error


def _page_entry(entry: zipfile.ZipInfo, name: str) -> zipfile.ZipInfo:
    """Return what the directory of the new archive says about a page."""
    page = zipfile.ZipInfo(name, entry.date_time)
    page.create_system, page.external_attr, page.comment = entry.create_system, entry.external_attr, entry.comment
    dense = SAVE_SUFFIXES.get(PurePosixPath(name).suffix.lower()) in _DENSE
    page.compress_type = zipfile.ZIP_STORED if dense else zipfile.ZIP_DEFLATED
    return page


def _copy(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: zipfile.ZipFile) -> None:
    """Copy an entry as it is, in pieces."""
    copy = zipfile.ZipInfo(entry.filename, entry.date_time)
    copy.create_system, copy.external_attr, copy.comment = entry.create_system, entry.external_attr, entry.comment
    copy.compress_type, copy.file_size = entry.compress_type, entry.file_size
    with target.open(copy, "w") as stream:
        for piece in _pieces(archive, entry):
            stream.write(piece)


def _pieces(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield the content of an entry. Raises InputError if it is damaged; errors in writing are not caught here."""
    try:
        with archive.open(entry) as content:
            while piece := content.read(_COPY_BYTES):
                yield piece
    except ZIP_DAMAGE as error:
        name = shown_name(f"{archive.filename}/{entry.filename}")
        raise InputError(f"{name}: damaged ({short_reason(error)}); make or fetch the archive again") from error
