import csv
import resource
import signal
import warnings

import pytest

from pixelpainter.train.journal import Journal


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.reader(stream))


def test_rows_of_steps_that_will_come_again_are_struck_out(tmp_path):
    first = Journal(tmp_path, 0)
    for step in (10, 20, 30):
        first.write("losses", step, {"l1": step / 7, "gan": 1.0})
    first.write("metrics", 20, {"psnr": 12.0})
    first.close()
    before = (tmp_path / "metrics.csv").stat().st_mtime_ns
    second = Journal(tmp_path, 20)
    assert [row[0] for row in rows(tmp_path / "losses.csv")] == ["step", "10", "20", "30"]  # only when it goes on
    second.write("losses", 25, {"l1": 0.5, "gan": 2.0})
    second.close()
    assert rows(tmp_path / "losses.csv") == [
        ["step", "l1", "gan"],
        ["10", "1.42857", "1"],
        ["20", "2.85714", "1"],
        ["25", "0.5", "2"],
    ]
    assert (tmp_path / "metrics.csv").stat().st_mtime_ns == before
    assert not list(tmp_path.glob(".*"))


def test_nothing_to_write_writes_nothing(tmp_path):
    journal = Journal(tmp_path / "run", 0)
    journal.write("metrics", 5, {})
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_a_full_disk_left_empty_gets_its_head(tmp_path):
    (tmp_path / "losses.csv").touch()
    journal = Journal(tmp_path, 0)
    journal.write("losses", 20, {"l1": 0.25})
    journal.close()
    assert rows(tmp_path / "losses.csv") == [["step", "l1"], ["20", "0.25"]]


def test_a_torn_row_is_struck_out(tmp_path):
    (tmp_path / "losses.csv").write_text("step,l1\n10,0.5\n2")
    journal = Journal(tmp_path, 10)
    journal.write("losses", 20, {"l1": 0.25})
    journal.close()
    assert rows(tmp_path / "losses.csv") == [["step", "l1"], ["10", "0.5"], ["20", "0.25"]]


def test_tables_of_others_in_the_folder_stay_as_they_are(tmp_path):
    (tmp_path / "figures.csv").write_bytes(b"picture,psnr\npl\xe4tzchen.png,12\n7,3\n")
    before = (tmp_path / "figures.csv").read_bytes()
    journal = Journal(tmp_path, 0)
    journal.write("losses", 5, {"l1": 0.5})
    journal.close()
    assert (tmp_path / "figures.csv").read_bytes() == before


def test_a_full_disk_while_rows_are_struck_out_costs_none(tmp_path):
    table = tmp_path / "losses.csv"
    table.write_text("step,l1\n10,0.5\n20,0.25\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            Journal(tmp_path, 10).write("losses", 20, {"l1": 0.125})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert table.read_text() == "step,l1\n10,0.5\n20,0.25\n"
    assert list(tmp_path.iterdir()) == [table]


def test_tensorboard_forgets_what_comes_again(tmp_path):
    for done, steps in ((0, (10, 20, 30)), (10, (20,))):
        journal = Journal(tmp_path, done)
        for step in steps:
            journal.write("losses", step, {"l1": done + step})
        journal.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tensorboard's own dependencies
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("losses/l1")] == [(10, 10.0), (20, 30.0)]
