"""Write files that are either whole or not there, and clean up what killed runs have left.

A file is written under a temporary name beside its own and renamed when it is whole. The writer holds a
lock on the temporary file, which the system releases when the process dies, however it dies: a temporary
file that can be locked belongs to nobody any more.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from io import BufferedRandom
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PREFIX, _SUFFIX = ".pixelpainter-", ".tmp"


@contextlib.contextmanager
def new_file(path: Path, *, overwrite: bool) -> Iterator[BufferedRandom]:
    """Give a stream for reading and writing that becomes the file when the block ends without an exception.

    Args:
        path: the file; its folder must exist.
        overwrite: whether an existing file is replaced; if not, a file that appears meanwhile is safe too.

    Raises:
        FileExistsError: the file appeared, and is not to be replaced.
        OSError: the file cannot be written.
    """
    temporary, stream = _open_temporary(path.parent)
    try:
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            if fcntl is not None:  # named while the lock is held, or else clean_leftovers might be faster
                _name(temporary, path, overwrite)
        if fcntl is None:  # Windows renames no open file
            _name(temporary, path, overwrite)
    finally:  # also on KeyboardInterrupt
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def only_here(folder: Path, busy: Exception) -> Iterator[None]:
    """Let one process at a time work in a folder, which must exist; where folders cannot be locked, all may.

    Args:
        folder: the folder.
        busy: raised while another one is in this block.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(handle)


def clean_leftovers(folders: Iterable[Path]) -> None:
    """Remove the temporary files of dead processes from these folders; those of living ones stay.

    Where files cannot be locked (Windows, some network file systems) nothing is removed.
    """
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                names = [entry.path for entry in entries if entry.name.startswith(_PREFIX)]
        except OSError:  # the folder does not exist yet, or may not be read
            continue
        for name in names:
            if name.endswith(_SUFFIX):
                _remove_if_dead(Path(name))


def _remove_if_dead(temporary: Path) -> None:
    with contextlib.suppress(OSError), temporary.open("rb") as stream:
        if _lock(stream):
            temporary.unlink()


def _open_temporary(folder: Path) -> tuple[Path, BufferedRandom]:
    """Make and lock a temporary file."""
    while True:
        temporary = folder / f"{_PREFIX}{os.urandom(8).hex()}{_SUFFIX}"
        stream = temporary.open("x+b")
        _lock(stream, wait=True)  # clean_leftovers may just be looking at it
        if fcntl is None or os.fstat(stream.fileno()).st_nlink:
            return temporary, stream
        stream.close()  # it was locked by clean_leftovers first, which has removed it


def _lock(stream: BinaryIO, *, wait: bool = False) -> bool:
    """Lock a file until it is closed. Returns whether that worked."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # locked by its writer, or a file system without locks
        return False
    return True


def _name(temporary: Path, path: Path, overwrite: bool) -> None:
    """Give a whole file its name. Raises FileExistsError if that is taken and not to be replaced."""
    if overwrite:
        temporary.replace(path)
        return
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # FAT, exFAT and some network folders know no links: reserve the name, then fill it
        path.open("xb").close()
        try:
            temporary.replace(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
