from pathlib import Path

import pytest

from pixelpainter.batch import Job, JobResult, run_jobs
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
