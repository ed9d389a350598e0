import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pixelpainter.errors import OutputError
from pixelpainter.records import Record, Records, hash_bytes, hash_file


def made(place: str = "a.png", result: bytes = b"result", *, whole: bool = True) -> Record:
    return Record(place, hash_bytes(result), hash_bytes(b"drawing"), "settings", whole, "../pages/" + place)


def state(records: Records, folder, place: str = "a.png", drawing: bytes = b"drawing", settings="settings", path=None):
    return records.state(
        folder / place, Record(place, "", hash_bytes(drawing), settings, drawing=path or "../pages/" + place)
    )


def test_what_made_a_result_is_remembered(tmp_path):
    with Records(tmp_path) as records:
        assert state(records, tmp_path) == "missing"
        assert list(tmp_path.iterdir()) == []  # nothing is written before there is something to say
        records.add(made())
        assert state(records, tmp_path) == "missing"
        (tmp_path / "a.png").write_bytes(b"result")
        assert state(records, tmp_path) == "current"
    again = Records(tmp_path)
    assert state(again, tmp_path) == "current"
    assert state(again, tmp_path, drawing=b"another") == "outdated"
    assert state(again, tmp_path, settings="others") == "outdated"
    (tmp_path / "b.png").write_bytes(b"result")
    assert state(again, tmp_path, "b.png") == "foreign"
    (tmp_path / "a.png").write_bytes(b"Result")  # same size, and the time could be set back
    assert state(again, tmp_path) == "foreign"


def test_a_drawing_is_known_by_its_path_or_its_content(tmp_path):
    records = Records(tmp_path)
    (tmp_path / "a.png").write_bytes(b"result")
    records.add(made())
    assert state(records, tmp_path, path="../moved/a.png") == "current"
    assert state(records, tmp_path, path="../moved/a.png", settings="others") == "outdated"
    assert state(records, tmp_path, drawing=b"changed") == "outdated"
    assert state(records, tmp_path, drawing=b"another", path="../others/a.png") == "foreign"


def test_records_of_older_versions_do_not_know_the_path(tmp_path):
    (tmp_path / "a.png").write_bytes(b"result")
    older = dataclasses.asdict(made())
    del older["drawing"]
    (tmp_path / ".pixelpainter").mkdir()
    (tmp_path / ".pixelpainter" / "records.jsonl").write_text(json.dumps(older) + "\n")
    assert state(Records(tmp_path), tmp_path) == "current"
    assert state(Records(tmp_path), tmp_path, settings="others") == "outdated"
    assert state(Records(tmp_path), tmp_path, drawing=b"another") == "foreign"


def test_the_path_of_a_drawing_is_seen_from_the_output(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "out", target_is_directory=True)
    assert Records(tmp_path / "link").path_of(tmp_path / "pages" / "a.png") == "../../pages/a.png"


def test_a_result_that_is_not_whole_is_never_up_to_date(tmp_path):
    records = Records(tmp_path)
    (tmp_path / "a.png").write_bytes(b"result")
    records.add(made(whole=False))
    assert state(records, tmp_path) == "outdated"
    records.add(made())
    assert state(records, tmp_path) == "current"


def test_an_older_result_is_still_ours(tmp_path):
    """A process killed between record and rename leaves the older file with two records."""
    records = Records(tmp_path)
    records.add(made())
    (tmp_path / "a.png").write_bytes(b"result")
    records.add(Record("a.png", hash_bytes(b"new"), hash_bytes(b"new drawing"), "settings", drawing="../pages/a.png"))
    assert state(records, tmp_path, drawing=b"new drawing") == "outdated"
    assert state(records, tmp_path) == "current"


def test_a_reserved_name_is_ours(tmp_path):
    records = Records(tmp_path)
    (tmp_path / "a.png").touch()
    assert state(records, tmp_path) == "foreign"
    records.add(made())
    assert state(records, tmp_path) == "outdated"


def test_what_is_no_file_is_foreign(tmp_path):
    (tmp_path / "a.png").mkdir()
    (tmp_path / "b.png").symlink_to(tmp_path / "nowhere")
    records = Records(tmp_path)
    records.add(made())
    assert state(records, tmp_path) == "foreign"
    assert state(records, tmp_path, "b.png") == "foreign"


def test_any_cut_leaves_the_earlier_records_and_room_for_new_ones(tmp_path):
    with Records(tmp_path) as records:
        records.add(made("ü.png"))
        records.add(made("b.png"))
    file = tmp_path / ".pixelpainter" / "records.jsonl"
    whole = file.read_bytes()
    first = whole.index(b"\n") + 1
    for name in ("ü.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(b"result")
    for length in {*range(0, len(whole), 9), first - 2, first - 1, first, first + 1, len(whole) - 1, len(whole)}:
        file.write_bytes(whole[:length])
        with Records(tmp_path) as cut:
            # A line that lacks nothing but its end is whole.
            assert (state(cut, tmp_path, "ü.png") == "current") == (length >= first - 1)
            assert (state(cut, tmp_path, "b.png") == "current") == (length >= len(whole) - 1)
            cut.add(made("c.png"))
        assert state(Records(tmp_path), tmp_path, "c.png") == "current"
        assert (state(Records(tmp_path), tmp_path, "ü.png") == "current") == (length >= first - 1)


NO_PLACE = b'{"place": [1], "result": "", "source": "", "made_by": ""}'
NO_MAKER = b'{"place": "a.png", "result": "", "source": "", "made_by": 5}'


@pytest.mark.parametrize(
    "line",
    [b"[]", b"1", b"{}", b'{"place": 1}', b"\xff\xfe", b"", b'{"later": "version"}', NO_PLACE, NO_MAKER, b"[" * 9999],
    ids=range(10),
)
def test_foreign_lines_are_passed_over(tmp_path, line):
    with Records(tmp_path) as records:
        records.add(made())
    (tmp_path / "a.png").write_bytes(b"result")
    file = tmp_path / ".pixelpainter" / "records.jsonl"
    file.write_bytes(line + b"\n" + file.read_bytes() + line + b"\n")
    assert state(Records(tmp_path), tmp_path) == "current"
    assert Records(tmp_path).wrote("a.png", tmp_path / "a.png")


def test_every_shard_writes_its_own_file_and_reads_all(tmp_path):
    for number in (1, 2):
        with Records(tmp_path, (number, 2)) as records:
            records.add(made(f"{number}.png"))
        (tmp_path / f"{number}.png").write_bytes(b"result")
    names = sorted(path.name for path in (tmp_path / ".pixelpainter").iterdir())
    assert names == ["records-1-of-2.jsonl", "records-2-of-2.jsonl"]
    assert [state(Records(tmp_path), tmp_path, f"{number}.png") for number in (1, 2)] == ["current", "current"]


def test_what_another_process_adds_is_found(tmp_path):
    mine, other = Records(tmp_path, (1, 2)), Records(tmp_path, (2, 2))
    for number in range(3):
        place = f"{number}.png"
        (tmp_path / place).write_bytes(b"result")
        assert state(mine, tmp_path, place) == "foreign"
        other.add(made(place))
        assert state(mine, tmp_path, place) == "current"
    file = tmp_path / ".pixelpainter" / "records-2-of-2.jsonl"
    whole = file.read_bytes()
    late = whole.replace(b"0.png", b"9.png").splitlines(keepends=True)[0]
    (tmp_path / "9.png").write_bytes(b"result")
    file.write_bytes(whole + late[:30])  # seen in the middle of a write
    assert state(mine, tmp_path, "9.png") == "foreign"
    file.write_bytes(whole + late)
    assert state(mine, tmp_path, "9.png") == "current"


WRITER = """
import sys, threading
from pathlib import Path
from pixelpainter.records import Record, Records
with Records(Path(sys.argv[1])) as records:
    def add(start):
        for number in range(start, start + 50):
            records.add(Record(f"{sys.argv[2]}-{number}" + "x" * 2000, "r", "s", "m"))
    threads = [threading.Thread(target=add, args=(start,)) for start in (0, 50)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
"""


def test_processes_and_threads_may_write_at_once(tmp_path):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name]) for name in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    lines = (tmp_path / ".pixelpainter" / "records.jsonl").read_bytes().splitlines()
    # Who opens the file while another one writes may take that line for cut, and leaves an empty one.
    places = {json.loads(line)["place"].rstrip("x") for line in lines if line}
    assert places == {f"{name}-{number}" for name in "ab" for number in range(100)}


def test_records_that_cannot_be_written(tmp_path):
    (tmp_path / ".pixelpainter").touch()
    with pytest.raises(OutputError, match=r"records\.jsonl: cannot be written"):
        Records(tmp_path).add(made())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk(tmp_path):
    records = Records(tmp_path)
    (tmp_path / ".pixelpainter").mkdir()
    (tmp_path / ".pixelpainter" / "records.jsonl").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="No space left"):
        records.add(made())


def test_after_a_record_that_a_full_disk_cut_the_next_ones_count(tmp_path, monkeypatch):
    whole = os.write
    with Records(tmp_path) as records:
        monkeypatch.setattr(os, "write", lambda descriptor, data: whole(descriptor, data[:20]))
        with pytest.raises(OutputError, match="the disk is full"):
            records.add(made("a.png"))
        monkeypatch.undo()
        records.add(made("b.png"))
        records.add(made("c.png"))
    for place in ("a.png", "b.png", "c.png"):
        (tmp_path / place).write_bytes(b"result")
    again = Records(tmp_path)
    assert [state(again, tmp_path, place) for place in ("a.png", "b.png", "c.png")] == ["foreign", "current", "current"]


def test_hashes(tmp_path):
    data = bytes(range(256)) * 10_000
    (tmp_path / "a").write_bytes(data)
    assert hash_file(tmp_path / "a") == hash_bytes(data)
    assert hash_bytes(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hash_file(tmp_path / "none") == ""
