import os
import subprocess
import sys
import threading
import time

import pytest

from pixelpainter import atomic
from pixelpainter.atomic import clean_leftovers, new_file


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a"
    with new_file(path, overwrite=False) as stream:
        stream.write(b"half")
        stream.flush()
        assert not path.exists()
        stream.write(b" and half")
    assert path.read_bytes() == b"half and half"
    with pytest.raises(RuntimeError), new_file(path, overwrite=True) as stream:
        stream.write(b"bad")
        raise RuntimeError
    assert path.read_bytes() == b"half and half"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("links", [True, False])
def test_an_existing_file_stays(tmp_path, monkeypatch, links):
    def no_links(*arguments):
        raise PermissionError

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    (tmp_path / "a").write_bytes(b"mine")
    with pytest.raises(FileExistsError), new_file(tmp_path / "a", overwrite=False) as stream:
        stream.write(b"new")
    assert (tmp_path / "a").read_bytes() == b"mine"
    with new_file(tmp_path / "a", overwrite=True) as stream:
        stream.write(b"new")
    with new_file(tmp_path / "b", overwrite=False) as stream:
        stream.write(b"other")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"new", "b": b"other"}


WRITER = """
import sys, time
from pathlib import Path
from pixelpainter import atomic
from pixelpainter.atomic import new_file
with new_file(Path(sys.argv[1]), overwrite=True) as stream:
    stream.write(b"half")
    stream.flush()
    print("writing", flush=True)
    time.sleep(60)
"""


def test_leftovers_of_the_dead_go_and_files_of_the_living_stay(tmp_path):
    (tmp_path / ".pixelpainter-mine").touch()
    (tmp_path / "other.tmp").touch()
    program = [sys.executable, "-c", WRITER, str(tmp_path / "a")]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"writing\n"
        (temporary,) = tmp_path.glob(".pixelpainter-*.tmp")
        clean_leftovers([tmp_path, tmp_path / "missing"])
        assert temporary.exists()
        writer.kill()
        writer.wait()
    assert temporary.exists()
    clean_leftovers([tmp_path])
    assert sorted(path.name for path in tmp_path.iterdir()) == [".pixelpainter-mine", "other.tmp"]


@pytest.mark.skipif(atomic.fcntl is None, reason="no locks")
def test_a_cleaner_may_come_between_making_and_locking(tmp_path, monkeypatch):
    """It has locked the new file first, and removes it a moment later."""
    lock, cleaned = atomic.fcntl.flock, []

    def cleaner_first(stream, flags):
        if not cleaned:
            cleaned.append(stream.name)
            cleaner = open(stream.name, "rb")  # noqa: PTH123, SIM115
            lock(cleaner, atomic.fcntl.LOCK_EX)
            threading.Timer(0.05, lambda: (os.unlink(cleaner.name), cleaner.close())).start()  # noqa: PTH108
        lock(stream, flags)

    monkeypatch.setattr(atomic.fcntl, "flock", cleaner_first)
    with new_file(tmp_path / "a", overwrite=False) as stream:
        time.sleep(0.1)
        stream.write(b"safe")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"safe"]
    assert cleaned


CLEANER = """
import sys
from pathlib import Path
from pixelpainter import atomic
from pixelpainter.atomic import clean_leftovers
while True:
    clean_leftovers([Path(sys.argv[1])])
"""


def test_cleaning_never_takes_a_file_from_its_writer(tmp_path):
    with subprocess.Popen([sys.executable, "-c", CLEANER, str(tmp_path)]) as cleaner:
        end = time.monotonic() + 1.5
        number = 0
        while time.monotonic() < end:
            with new_file(tmp_path / f"{number % 50}", overwrite=number % 3 == 0 or number >= 50) as stream:
                stream.write(b"%d" % number)
            assert (tmp_path / f"{number % 50}").read_bytes() == b"%d" % number
            number += 1
        cleaner.kill()
    assert number > 50
