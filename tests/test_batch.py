from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelpainter.batch import Job, _result_names, plan_file, plan_folder, run_jobs
from pixelpainter.errors import InputError, OutputError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def places(jobs: list[Job], source: Path, output: Path) -> dict[str, str]:
    return {job.source.relative_to(source).as_posix(): job.target.relative_to(output).as_posix() for job in jobs}


def test_one_file_goes_beside_itself_or_where_it_is_told():
    assert plan_file(Path("a/b.jpeg")).target == Path("a/b_color.png")
    assert plan_file(Path("a/b.jpeg"), Path("c.webp")).target == Path("c.webp")


def test_the_tree_is_mirrored_and_nothing_collides(tmp_path):
    source = touch(tmp_path / "in", "a.png", "a.jpg", "sub/a.png", "sub/deep/b.WEBP", "c.tiff")
    touch(source, "notes.txt", ".hidden.png", ".thumbs/x.png", "noending")
    jobs = plan_folder([source], tmp_path / "out")
    assert places(jobs, source, tmp_path / "out") == {
        "a.png": "a.png",
        "a.jpg": "a.jpg.png",
        "sub/a.png": "sub/a.png",
        "sub/deep/b.WEBP": "sub/deep/b.png",
        "c.tiff": "c.png",
    }
    assert not any(job.problem for job in jobs)


def test_the_output_inside_the_input_is_no_input(tmp_path):
    source = touch(tmp_path, "a.png", "sub/out/old.png", "sub/b.png")
    jobs = plan_folder([source], source / "sub" / "out")
    assert {job.source.name for job in jobs} == {"a.png", "b.png"}


def test_the_output_is_recognized_through_a_link(tmp_path):
    source = touch(tmp_path / "in", "a.png", "out/old.png")
    (tmp_path / "link").symlink_to(source / "out", target_is_directory=True)
    assert {job.source.name for job in plan_folder([source], tmp_path / "link")} == {"a.png"}


def test_the_output_must_not_be_the_input(tmp_path):
    source = touch(tmp_path / "in", "a.png")
    (tmp_path / "link").symlink_to(source, target_is_directory=True)
    with pytest.raises(OutputError, match="must not be the folder of the drawings"):
        plan_folder([source], tmp_path / "link")


def test_no_result_replaces_a_drawing(tmp_path):
    touch(tmp_path, "in/x.png", "in/in/x.png")
    jobs = plan_folder([tmp_path / "in"], tmp_path)  # in/in/x.png would become in/x.png
    problems = {job.source.relative_to(tmp_path).as_posix(): job.problem for job in jobs}
    assert problems["in/x.png"] is None
    assert isinstance(problems["in/in/x.png"], OutputError)


def test_several_sources(tmp_path):
    touch(tmp_path, "one/a.png", "two/a.png", "b.jpg", "other/b.jpg")
    sources = [tmp_path / name for name in ("one", "two", "b.jpg", "other/b.jpg", "b.jpg", "one/a.png")]
    assert places(plan_folder(sources, tmp_path / "out"), tmp_path, tmp_path / "out") == {
        "one/a.png": "one/a.png",
        "two/a.png": "two/a.png",
        "b.jpg": "b.jpg.png",
        "other/b.jpg": "b.jpg_2.png",
    }


def test_an_empty_folder_is_a_failed_job(tmp_path):
    (job,) = plan_folder([touch(tmp_path / "in", "notes.txt")], tmp_path / "out")
    (result,) = run_jobs([job], work=lambda job: pytest.fail("there is nothing to do"))
    assert result.status == "failed"
    assert "there are no pictures in this folder" in str(result.error)


PLACES = st.lists(
    st.tuples(
        st.sampled_from(["", "sub/"]),
        st.sampled_from(["a", "a.jpg", "a.jpg_2", "b", "é"]),
        st.sampled_from([".png", ".PNG", ".jpg", ".webp"]),
    ).map(lambda parts: Path("".join(parts))),
    max_size=30,
)


@given(PLACES)
def test_no_two_results_have_one_name(drawings):
    names = _result_names(drawings)
    assert len(set(names)) == len(drawings)
    for drawing, name in zip(drawings, names, strict=True):
        assert name.parent == drawing.parent
        assert name.suffix == ".png"
        if drawings.count(drawing) == 1 and drawing.suffix == ".png":
            assert name == drawing


@given(PLACES)
def test_the_names_do_not_depend_on_the_order(drawings):
    drawings = list(dict.fromkeys(drawings))
    forward = dict(zip(drawings, _result_names(drawings), strict=True))
    backward = dict(zip(drawings[::-1], _result_names(drawings[::-1]), strict=True))
    assert forward == backward


def test_one_bad_job_does_not_stop_the_rest():
    jobs = [Job(Path(name), Path(f"{name}_color.png")) for name in ("good", "bad", "bug", "huge", "last")]
    errors = {"bad": InputError("bad: is bad"), "bug": RuntimeError("oh"), "huge": MemoryError()}
    done = []

    def work(job: Job) -> None:
        if job.source.name in errors:
            raise errors[job.source.name]
        done.append(job.target)

    results = list(run_jobs(jobs, work))
    assert done == [Path("good_color.png"), Path("last_color.png")]
    assert [result.status for result in results] == ["done", "failed", "failed", "failed", "done"]
    assert [result.output for result in results] == [done[0], None, None, None, done[1]]
    assert results[1].error is errors["bad"]
    assert results[2].error is errors["bug"]
    assert "huge: there is not enough memory" in str(results[3].error)
    assert all(result.seconds >= 0 for result in results)


def test_an_interrupt_is_no_failure():
    def work(job: Job) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(run_jobs([Job(Path("a"), Path("b"))], work))
