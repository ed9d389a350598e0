import gc
import threading
import time
import weakref
from pathlib import Path

import pytest

from pixelpainter.batch import Job, JobResult, run_jobs
from pixelpainter.devices import share_cores
from pixelpainter.errors import InputError
from pixelpainter.plan import plan_folder


def test_an_empty_folder_is_a_failed_job(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "notes.txt").touch()
    (job,) = plan_folder([folder], tmp_path / "out")
    (result,) = run_jobs([job], work=lambda job: pytest.fail("there is nothing to do"))
    assert result.status == "failed"
    assert "there are no pictures in this folder" in str(result.error)


def test_one_bad_job_does_not_stop_the_rest():
    jobs = [Job(Path(name), Path(f"{name}_color.png")) for name in ("good", "bad", "bug", "huge", "last")]
    errors = {"bad": InputError("bad: is bad"), "bug": RuntimeError("oh"), "huge": MemoryError()}
    done = []

    def work(job: Job) -> JobResult:
        if job.source.name in errors:
            raise errors[job.source.name]
        done.append(job.target)
        return JobResult(job.source, job.target, "colored")

    results = list(run_jobs(jobs, work))
    assert done == [Path("good_color.png"), Path("last_color.png")]
    assert [result.status for result in results] == ["colored", "failed", "failed", "failed", "colored"]
    assert [result.output for result in results] == [done[0], None, None, None, done[1]]
    assert results[1].error is errors["bad"]
    assert results[2].error is errors["bug"]
    assert "huge: there is not enough memory" in str(results[3].error)
    assert all(result.seconds >= 0 for result in results)


def test_an_interrupt_is_no_failure():
    def work(job: Job) -> JobResult:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(run_jobs([Job(Path("a"), Path("b"))], work))


@pytest.mark.parametrize("workers", [1, 3])
def test_several_at_once_and_in_order(workers):
    threads = set()

    def work(job: Job) -> JobResult:
        threads.add(threading.get_ident())
        time.sleep(0.01)
        return JobResult(job.source, job.target, "colored")

    jobs = [Job(Path(name), Path("x")) for name in ("a", "b", "c.cbz", "d", "e.zip", "f", "g", "h")]
    results = list(run_jobs(jobs, work, workers))
    assert [result.source for result in results] == [job.source for job in jobs]
    assert (len(threads) > 1) == (workers > 1)


def test_archives_have_all_workers_to_themselves():
    running = []

    def work(job: Job) -> JobResult:
        running.append(job.source.name)
        if job.is_archive:
            assert running == [job.source.name]
            assert threading.current_thread() is threading.main_thread()
        time.sleep(0.01)
        running.remove(job.source.name)
        return JobResult(job.source, job.target, "colored")

    jobs = [Job(Path(name), Path("x")) for name in ("a", "b", "c.cbz", "d.cbz", "e", "f")]
    assert [result.error for result in run_jobs(jobs, work, 3)] == [None] * 6


@pytest.mark.parametrize("workers", [1, 2])
def test_failed_jobs_leave_no_garbage(workers):
    class Pixels:
        pass

    known = []

    def work(job: Job) -> JobResult:
        pixels = Pixels()
        known.append(weakref.ref(pixels))
        try:
            decode()
        except ValueError as error:
            raise InputError("bad") from error

    def decode() -> None:
        pixels = Pixels()
        known.append(weakref.ref(pixels))
        raise ValueError

    gc.disable()
    try:
        for result in run_jobs([Job(Path(str(number)), Path("x")) for number in range(20)], work, workers):
            assert result.error is not None
        del result
        assert [reference() for reference in known] == [None] * 40
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("cores", "pictures", "workers", "expected"),
    [
        (2, 300, None, (2, 1)),
        (16, 300, None, (16, 1)),
        (16, 1, None, (1, 16)),
        (16, 3, None, (3, 5)),
        (4, 300, 1, (1, 4)),
        (1, 300, 8, (8, 1)),
        (4, 0, None, (1, 4)),
    ],
)
def test_sharing_of_cores(cores, pictures, workers, expected):
    assert share_cores(cores, pictures, workers) == expected
