import dataclasses
from pathlib import Path

import pytest

from pixelpainter.colorize import Colorizer
from pixelpainter.errors import InputError, OutputError
from pixelpainter.painter import Painter
from pixelpainter.plan import Job
from pixelpainter.records import Records
from pixelpainter.results import Results


@pytest.fixture
def painter(plain_model):
    return Painter(colorizer=Colorizer(plain_model, threads=1))


@pytest.fixture
def job(tmp_path):
    (tmp_path / "a.png").write_bytes(b"drawing")
    return Job(tmp_path / "a.png", tmp_path / "out" / "a.png", "a.png")


def store(results: Results, job: Job, painter: Painter, **settings) -> None:
    results.store(
        job,
        [lambda stream: stream.write(b"result") > 0],
        **{"replace": False, "source": "", "painter": painter} | settings,
    )


def test_what_a_job_finds(job, painter, tmp_path):
    with Records(tmp_path / "out") as records:
        results = Results(records=records)
        assert results.state(job, painter) == "missing"
        store(results, job, painter, source="hash of the drawing")
        assert results.state(job, painter, "hash of the drawing") == "current"
        assert results.state(job, painter) == "outdated"  # the drawing's own hash is another one
        changed = dataclasses.replace(painter, quality=10)
        assert results.state(job, changed, "hash of the drawing") == "outdated"
        assert dataclasses.replace(results, overwrite=True).state(job, painter, "hash of the drawing") == "outdated"
        job.target.write_bytes(b"mine")
        with pytest.raises(OutputError, match="exists already"):
            results.state(job, painter)
    assert Results(overwrite=True).state(job, painter) == "outdated"
    with pytest.raises(OutputError, match="exists already"):
        Results().state(job, painter)


def test_what_cannot_be_done_is_an_error(job, painter):
    with pytest.raises(InputError, match="is bad"):
        Results().state(dataclasses.replace(job, problem=InputError("it is bad")), painter)
    itself = dataclasses.replace(job, target=job.source)
    with pytest.raises(OutputError, match="replace the drawing itself"):
        Results(overwrite=True).state(itself, painter)
    assert Results(overwrite=True).state(dataclasses.replace(itself, data=b"from stdin"), painter) == "outdated"


def test_the_pages_of_archives_have_a_format(painter):
    book, page = Job(Path("a.cbz"), Path("b.cbz")), Job(Path("a.png"), Path("b.png"))
    usual, jpeg = Results(), Results(format="jpg")
    assert usual.made_by(book, painter) != jpeg.made_by(book, painter)
    assert usual.made_by(page, painter) == jpeg.made_by(page, painter) == f"colored {painter.fingerprint}"


def test_only_what_is_meant_is_replaced(job, painter):
    store(Results(), job, painter)
    assert job.target.read_bytes() == b"result"
    job.target.write_bytes(b"mine")
    with pytest.raises(OutputError, match="appeared meanwhile"):
        store(Results(), job, painter)
    assert job.target.read_bytes() == b"mine"
    store(Results(), job, painter, replace=True)
    assert job.target.read_bytes() == b"result"
    job.target.write_bytes(b"appeared meanwhile")
    store(Results(overwrite=True), job, painter)
    assert job.target.read_bytes() == b"result"
