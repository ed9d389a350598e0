import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelpainter.errors import OutputError
from pixelpainter.plan import (
    Job,
    name_results,
    parse_shard,
    plan_file,
    plan_folder,
    plan_variations,
    result_suffix,
    take_shard,
)


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


def test_hints_beside_drawings_are_no_drawings(tmp_path):
    source = touch(tmp_path / "in", "a.png", "a.hints.png", "sub/b.hints.PNG")
    assert places(plan_folder([source], tmp_path / "out"), source, tmp_path / "out") == {"a.png": "a.png"}
    files = [source / "a.png", source / "a.hints.png"]
    assert [job.source for job in plan_folder(files, tmp_path / "out")] == files[:1]
    (job,) = plan_folder([source / "sub"], tmp_path / "out")
    assert str(job.problem) == (
        f"{source}/sub: there are only hints in this folder (*.hints.json, *.hints.png); put the drawings beside them"
    )
    (job,) = plan_folder([source], tmp_path / "out", patterns=["a.h*"])
    assert "there are only hints that match a.h* in this folder" in str(job.problem)


def test_variations_are_numbered_and_replace_no_drawing(tmp_path):
    source = touch(tmp_path / "in", "a.png", "sub/b.jpg", "b.webp")
    jobs = plan_variations(plan_folder([source], tmp_path / "out", format="keep"), 2)
    assert [(job.place, job.variation) for job in jobs] == [
        *(("a_1.png", 0), ("a_2.png", 1), ("b_1.webp", 0), ("b_2.webp", 1)),
        *(("sub/b_1.jpg", 0), ("sub/b_2.jpg", 1)),
    ]
    assert all(job.target == tmp_path / "out" / job.place for job in jobs)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a_2.png").symlink_to(source / "a.png")
    again = plan_variations(plan_folder([source], tmp_path / "out", format="keep"), 2)
    assert [isinstance(job.problem, OutputError) for job in again] == [False, True, False, False, False, False]


def test_the_output_inside_the_input_is_no_input(tmp_path):
    source = touch(tmp_path, "a.png", "sub/out/old.png", "sub/b.png")
    jobs = plan_folder([source], source / "sub" / "out")
    assert {job.source.name for job in jobs} == {"a.png", "b.png"}


def test_the_output_is_recognized_through_a_link(tmp_path):
    source = touch(tmp_path / "in", "a.png", "out/old.png")
    (tmp_path / "link").symlink_to(source / "out", target_is_directory=True)
    assert {job.source.name for job in plan_folder([source], tmp_path / "link")} == {"a.png"}


def test_links_to_folders_are_followed_once(tmp_path):
    source = touch(tmp_path / "in", "a.png", "sub/b.png")
    touch(tmp_path / "scans", "c.png", "more/d.png")
    for link, target in (
        *(("in/scans", "scans"), ("in/zz", "scans"), ("in/up", "."), ("in/self", "in"), ("in/sub2", "in/sub")),
        *(("scans/back", "in"), ("scans/more/up", "scans"), ("in/lost", "nowhere")),
    ):
        (tmp_path / link).symlink_to(tmp_path / target, target_is_directory=True)
    jobs = plan_folder([source], tmp_path / "out")
    assert [job.place for job in jobs] == ["a.png", "scans/c.png", "scans/more/d.png", "sub/b.png"]


def test_no_run_waits_for_a_pipe(tmp_path):
    source = touch(tmp_path / "in", "a.png")
    os.mkfifo(source / "b.png")
    (source / "c.png").symlink_to("nowhere.png")  # a fault that the run names
    assert [job.source.name for job in plan_folder([source], tmp_path / "out")] == ["a.png", "c.png"]


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


def test_names_that_differ_in_capitals_only():
    places = [Path(name) for name in ("Ä.jpg", "ä.png", "B.jpg", "b.webp", "C.png", "c.png")]
    names = [str(name) for name in name_results(places, result_suffix)]
    assert names == ["Ä.jpg.png", "ä.png", "B.jpg.png", "b.webp.png", "C.png", "c.png"]


PLACES = st.lists(
    st.tuples(
        st.sampled_from(["", "sub/"]),
        st.sampled_from(["a", "A", "a.jpg", "a.jpg_2", "b", "é"]),
        st.sampled_from([".png", ".PNG", ".jpg", ".webp"]),
    ).map(lambda parts: Path("".join(parts))),
    max_size=30,
)


@given(PLACES)
def test_no_two_results_have_one_name(drawings):
    names = name_results(drawings, result_suffix)
    assert len(set(names)) == len(drawings)
    for drawing, name in zip(drawings, names, strict=True):
        assert name.parent == drawing.parent
        assert name.suffix == ".png"
        if drawings.count(drawing) == 1 and drawing.suffix == ".png":
            assert name == drawing


@given(PLACES)
def test_the_names_do_not_depend_on_the_order(drawings):
    drawings = list(dict.fromkeys(drawings))
    forward = dict(zip(drawings, name_results(drawings, result_suffix), strict=True))
    backward = dict(zip(drawings[::-1], name_results(drawings[::-1], result_suffix), strict=True))
    assert forward == backward


def test_archives_are_input_and_stay_archives(tmp_path):
    source = touch(tmp_path / "in", "book.cbz", "book.png", "more/BOOK.ZIP")
    assert places(plan_folder([source], tmp_path / "out", format="jpg"), source, tmp_path / "out") == {
        "book.cbz": "book.cbz",
        "book.png": "book.jpg",
        "more/BOOK.ZIP": "more/BOOK.ZIP",
    }
    assert plan_file(Path("book.cbz"), None).target == Path("book_color.cbz")
    assert plan_file(Path("book.cbz"), Path("other.ZIP")).problem is None
    assert isinstance(plan_file(Path("book.cbz"), Path("book.png")).problem, OutputError)
    assert isinstance(plan_file(Path("book.png"), Path("book.cbz")).problem, OutputError)


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        (None, {"a.png": "a.png", "b.JPG": "b.png", "c.gif": "c.png", "d.jfif": "d.png", "e.tif": "e.png"}),
        ("webp", {"a.png": "a.webp", "b.JPG": "b.webp", "c.gif": "c.webp", "d.jfif": "d.webp", "e.tif": "e.webp"}),
        ("keep", {"a.png": "a.png", "b.JPG": "b.JPG", "c.gif": "c.png", "d.jfif": "d.jpg", "e.tif": "e.tif"}),
    ],
)
def test_formats(tmp_path, format, expected):
    source = touch(tmp_path / "in", *expected)
    assert places(plan_folder([source], tmp_path / "out", format=format), source, tmp_path / "out") == expected
    assert plan_file(Path("x.gif"), None, "tiff").target == Path("x_color.tiff")


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["p*.png"], {"p1.png", "ch1/p2.png"}),
        (["ch1/*"], {"ch1/p2.png", "ch1/q.jpg", "ch1/deep/r.png"}),
        (["*.jpg", "p1*"], {"ch1/q.jpg", "p1.png"}),
        (["*.txt"], set()),
    ],
)
def test_patterns(tmp_path, patterns, expected):
    source = touch(tmp_path / "in", "p1.png", "ch1/p2.png", "ch1/q.jpg", "ch1/deep/r.png", "p.txt")
    jobs = plan_folder([source], tmp_path / "out", patterns=patterns)
    if expected:
        assert set(places(jobs, source, tmp_path / "out")) == expected
    else:
        assert "no pictures that match *.txt" in str(jobs[0].problem)


def test_patterns_are_for_folders_only(tmp_path):
    touch(tmp_path, "a.png", "in/b.png", "in/c.png")
    jobs = plan_folder([tmp_path / "a.png", tmp_path / "in"], tmp_path / "out", patterns=["b*"])
    assert [job.source.name for job in jobs] == ["a.png", "b.png"]


def test_a_contact_sheet_is_no_drawing(tmp_path):
    source = touch(tmp_path / "in", "a.png", "sheet.png")
    jobs = plan_folder([source], tmp_path / "out", exclude=[tmp_path / "out" / ".." / "in" / "sheet.png"])
    assert [job.source.name for job in jobs] == ["a.png"]


def test_shards_share_out_everything_and_do_not_move(tmp_path):
    names = [f"{number % 7}/{number}.png" for number in range(200)]
    jobs = plan_folder([touch(tmp_path / "in", *names)], tmp_path / "out")
    parts = [take_shard(jobs, (index, 4)) for index in range(1, 5)]
    assert sorted(job.place for part in parts for job in part) == sorted(names)
    assert all(30 <= len(part) <= 70 for part in parts)
    # Stable: the same on every machine and in every version, whatever else is in the folder.
    assert [job.place for job in take_shard(sorted(jobs, key=lambda job: job.place)[:20], (1, 4))] == FIRST_OF_FOUR
    assert take_shard(jobs, (1, 1)) == jobs


FIRST_OF_FOUR = ["0/119.png", "0/140.png", "0/154.png", "0/161.png", "0/21.png", "0/35.png"]


@pytest.mark.parametrize("text", ["", "1", "0/4", "5/4", "1/0", "-1/4", "1/4/2", "a/b", "1/ 4"])
def test_what_is_no_shard(text):
    with pytest.raises(ValueError, match="I/N"):
        parse_shard(text)


def test_shard_text():
    assert parse_shard("2/8") == (2, 8)
