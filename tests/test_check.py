import io
import re
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from pixelpainter.errors import DataError
from pixelpainter.train.check import KINDS, check_data
from pixelpainter.train.fit import find_misfits
from pixelpainter.train.synthetic import draw_pair, write_synthetic

COUNT = 12


@pytest.fixture
def data(tmp_path):
    """Pairs without a fault, in color/ and lines/."""
    write_synthetic(tmp_path / "data", COUNT, side=96)
    shutil.rmtree(tmp_path / "data" / "flats")
    return tmp_path / "data"


@pytest.fixture
def joined(tmp_path):
    """Joined pictures without a fault, color on the left."""
    folder = tmp_path / "joined"
    folder.mkdir()
    for seed in range(COUNT):
        pair = draw_pair(100 + seed, 96)
        save_joined(folder / f"{seed:02}.png", pair.color, pair.lines)
    return folder


def save_joined(file, left, right):
    halves = [half if half.ndim == 3 else np.repeat(half[..., None], 3, axis=2) for half in (left, right)]
    Image.fromarray(np.concatenate(halves, axis=1)).save(file)


def colors(data):
    return sorted((data / "color").iterdir())


def drawings(data):
    return sorted((data / "lines").iterdir())


def found(*roots, **options):
    """Return (kind, name) of all problems."""
    findings = check_data(list(roots), **options)
    assert sum(findings.counts().values()) == len(findings.problems)
    assert list(findings.counts()) == list(KINDS)
    return [(problem.kind, problem.name) for problem in findings.problems]


def name(number):
    return f"data/synthetic_{number:07}"


def test_good_data_have_no_faults(data, joined):
    seen = []
    findings = check_data([data, joined], progress=lambda *done: seen.append(done))
    assert findings.problems == []
    assert findings.training + findings.validation == 2 * COUNT == len(seen)
    assert seen[-1] == (2 * COUNT, 2 * COUNT)
    assert findings.without_drawing == 0


def test_pictures_without_drawing_are_counted_and_no_fault(data):
    shutil.rmtree(data / "lines")
    findings = check_data([data])
    assert (findings.problems, findings.without_drawing) == ([], COUNT)


def test_unreadable(data):
    colors(data)[1].write_bytes(b"no picture")
    whole = drawings(data)[4].read_bytes()
    drawings(data)[4].write_bytes(whole[: len(whole) // 2])
    assert found(data) == [("unreadable", name(1)), ("unreadable", name(4))]


def test_missized(data):
    Image.open(drawings(data)[0]).crop((0, 0, 96, 60)).save(drawings(data)[0])
    Image.open(colors(data)[2]).resize((4, 4)).save(colors(data)[2])
    assert found(data) == [("mis-sized", name(0)), ("mis-sized", name(2))]


def test_a_drawing_of_the_same_shape_in_another_size_fits(data):
    Image.open(drawings(data)[0]).resize((192, 192)).save(drawings(data)[0])
    assert found(data) == []


def test_missized_joined_pictures(joined):
    for file, box in (("03.png", (0, 0, 150, 96)), ("05.png", (0, 0, 191, 96))):
        Image.open(joined / file).crop(box).save(joined / file)
    kinds = found(joined)
    assert ("mis-sized", "joined/03") in kinds  # its halves show different things as well
    assert ("mis-sized", "joined/05") in kinds
    assert {name for _, name in kinds} == {"joined/03", "joined/05"}


def test_joined_pictures_are_held_against_those_of_their_folder(joined, tmp_path):
    (tmp_path / "narrow").mkdir()
    for file in joined.iterdir():
        halves = np.split(np.asarray(Image.open(file)), 2, axis=1)
        save_joined(tmp_path / "narrow" / file.name, *(half[:, 16:80] for half in halves))
    assert found(joined, tmp_path / "narrow", layout="color-left") == []


def test_mismatched(data):
    one, other = drawings(data)[3], drawings(data)[8]
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    assert found(data) == [("mismatched", name(3)), ("mismatched", name(8))]


def test_mismatched_among_few(tmp_path):
    """Too few to hold a drawing against other pictures."""
    write_synthetic(tmp_path / "data", 4, side=96)
    Image.open(drawings(tmp_path / "data")[2]).rotate(180).save(drawings(tmp_path / "data")[2])
    assert found(tmp_path / "data") == [("mismatched", name(2))]


def test_all_mismatched(data):
    """Where everything is wrong, nothing is unusual."""
    files = drawings(data)
    contents = [file.read_bytes() for file in files]
    for place, file in enumerate(files):
        file.write_bytes(contents[place - 1])
    assert found(data) == [("mismatched", name(index)) for index in range(COUNT)]


def test_a_drawing_of_a_look_alike(tmp_path, monkeypatch):
    """It fits by three quarters, but the picture that it belongs to fits better."""
    write_synthetic(tmp_path / "data", 12)
    files = drawings(tmp_path / "data")
    files[2].write_bytes(files[3].read_bytes())
    problems = check_data([tmp_path / "data"]).problems
    assert [(problem.kind, problem.name) for problem in problems] == [("mismatched", name(2))]
    fit, better = re.search(r"fit (0\.\d\d) of 1; more like .*0000003\.png, (0\.\d\d)\)", problems[0].reason).groups()
    assert 0.6 < float(fit) < 0.9 < float(better)
    monkeypatch.setattr("pixelpainter.train.fit.CHUNK", 5)
    assert check_data([tmp_path / "data"]).problems == problems


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_drawings_that_are_like_no_picture(share):
    """Where all are, and where one is among right ones."""
    random = np.random.default_rng(0)
    pictures, noise = random.integers(0, 200, (2, 6, 64, 64)).astype(np.uint8)
    drawings = (share * pictures + (1 - share) * noise).astype(np.uint8)
    wrong = range(6)
    if share:
        drawings[3:] = pictures[3:]
        drawings[:2] = pictures[:2]
        wrong = range(2, 3)
    assert [(misfit.place, misfit.like) for misfit in find_misfits(pictures, drawings)] == [(k, None) for k in wrong]


def test_lines_in_other_styles_fit(data):
    """Thick, faint, broken, shifted by a pixel, and with filled areas."""
    random = np.random.default_rng(0)
    for place, file in enumerate(drawings(data)):
        lines = np.asarray(Image.open(file)).copy()
        if place % 4 == 0:
            lines = np.minimum(lines, np.roll(lines, 1, axis=1))
        elif place % 4 == 1:
            lines = (128 + lines // 2).astype(np.uint8)
        elif place % 4 == 2:
            lines[random.random(lines.shape) < 0.3] = 255
        else:
            lines = np.roll(lines, (1, 1), axis=(0, 1))
        Image.fromarray(lines).save(file)
    assert found(data) == []


def test_a_drawing_without_picture(data, tmp_path):
    drawings(data)[0].rename(data / "lines" / "misspelled.png")
    findings = check_data([data])
    assert [(problem.kind, problem.name) for problem in findings.problems] == [("mismatched", "data/lines/misspelled")]
    assert "a drawing without a color picture of its name" in findings.problems[0].reason
    assert findings.without_drawing == 1
    write_synthetic(tmp_path / "others", 2, first_seed=900, side=96)
    assert check_data([tmp_path / "others"], validation=data).problems == findings.problems


def test_a_joined_picture_among_plain_ones(data):
    shutil.rmtree(data / "lines")
    pair = draw_pair(30, 96)
    save_joined(data / "color" / "odd.png", pair.color, pair.lines)
    assert found(data) == [("mismatched", "data/odd")]


def test_blank(data, joined):
    Image.new("RGB", (96, 96), "white").save(colors(data)[0])
    Image.new("L", (96, 96), 255).save(drawings(data)[2])
    Image.new("RGB", (96, 96), "black").save(colors(data)[4])
    save_joined(joined / "07.png", draw_pair(107, 96).color, np.full((96, 96), 255, np.uint8))
    assert found(data, joined) == [("blank", name(0)), ("blank", name(2)), ("blank", name(4)), ("blank", "joined/07")]


def test_duplicates(data):
    for kind in ("color", "lines"):
        # a copy in another format: the pixels count, not the bytes
        Image.open(data / kind / "synthetic_0000005.png").save(data / kind / "copy.bmp")
    findings = check_data([data])
    kinds = [(problem.kind, problem.name) for problem in findings.problems]
    # where chance holds one of both out it is a leak
    assert kinds in ([("duplicate", name(5))], [("leaked", name(5))], [("leaked", "data/copy")])
    assert "copy.bmp" in findings.problems[0].reason


def test_duplicates_among_pictures_to_validate_on(data, tmp_path):
    write_synthetic(tmp_path / "held", 2, first_seed=900, side=96)
    for kind in ("color", "lines"):
        shutil.copy(tmp_path / "held" / kind / "synthetic_0000901.png", tmp_path / "held" / kind / "twice.png")
    assert found(data, validation=tmp_path / "held") == [("duplicate", "held/twice")]


@pytest.mark.parametrize("how", ["same", "jpeg", "half", "mirrored", "another face"])
def test_leaked(data, tmp_path, how):
    write_synthetic(tmp_path / "held", 3, first_seed=900, side=96)
    leaked = Image.open(colors(data)[6])
    if how == "jpeg":
        stream = io.BytesIO()
        leaked.save(stream, "JPEG", quality=60)
        leaked = Image.open(stream)
    elif how == "half":
        leaked = leaked.resize((48, 48))
    elif how == "mirrored":
        leaked = leaked.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    elif how == "another face":
        leaked.paste("red", (40, 40, 52, 52))
    leaked.save(tmp_path / "held" / "color" / "synthetic_0000901.png")
    Image.open(drawings(data)[6]).save(tmp_path / "held" / "lines" / "synthetic_0000901.png")
    findings = check_data([data], validation=tmp_path / "held")
    assert (findings.training, findings.validation) == (COUNT, 3)
    leaks = [problem for problem in findings.problems if problem.kind == "leaked"]
    if how in ("mirrored", "another face"):  # other pictures to this check
        assert leaks == []
        return
    assert [problem.name for problem in leaks] == ["held/synthetic_0000901"]
    assert ("the same as" if how == "same" else "hardly different from") in leaks[0].reason
    assert findings.problems == leaks


def test_swapped(data, joined):
    color, lines = colors(data)[2], drawings(data)[2]
    content = color.read_bytes()
    color.write_bytes(lines.read_bytes())
    lines.write_bytes(content)
    pair = draw_pair(104, 96)
    save_joined(joined / "04.png", pair.lines, pair.color)
    assert found(data, joined) == [("swapped", name(2)), ("swapped", "joined/04")]


def test_a_drawing_on_yellowed_paper_is_not_swapped(data):
    lines = np.asarray(Image.open(drawings(data)[2]).convert("RGB"))
    Image.fromarray(np.minimum(lines, np.array((255, 245, 225), np.uint8))).save(drawings(data)[2])
    assert found(data) == []


def test_a_folder_with_all_sketches_on_the_left_is_not_swapped(joined):
    for file in sorted(joined.iterdir()):
        picture = np.asarray(Image.open(file))
        save_joined(file, picture[:, 96:], picture[:, :96])
    assert found(joined) == []
    assert {kind for kind, _ in found(joined, layout="color-left")} == {"swapped"}


def test_zip_files(data, tmp_path):
    Image.new("RGB", (96, 96), "white").save(colors(data)[0])
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for file in data.rglob("*.png"):
            archive.write(file, file.relative_to(data))
    assert found(tmp_path / "data.zip") == [("blank", name(0))]


def test_missing_data(tmp_path):
    with pytest.raises(DataError, match="no such folder or ZIP file"):
        check_data([tmp_path / "nothing"])


# the command


def test_the_command_lists_and_counts(command, data):
    done = command("train", data, "--check-data")
    assert done.status == 0
    assert done.out == "0 unreadable, 0 mis-sized, 0 mismatched, 0 blank, 0 duplicate, 0 leaked, 0 swapped\n"
    colors(data)[1].write_bytes(b"no picture")
    Image.new("RGB", (96, 96), "white").save(colors(data)[0])
    done = command("train", data, "--check-data")
    assert done.status == 1
    first, second, counts = done.out.splitlines()
    assert first.startswith("unreadable: ") and str(colors(data)[1]) in first
    assert second.startswith("blank: ") and str(colors(data)[0]) in second
    assert counts == "1 unreadable, 0 mis-sized, 0 mismatched, 1 blank, 0 duplicate, 0 leaked, 0 swapped"
    assert "training and" in done.err and "0 have no drawing" in done.err


def test_the_command_takes_layout_and_validation(command, data, joined):
    for given, counted in (((), "0 leaked, 0 swapped"), (("--validation", data), f"{COUNT} leaked, 0 swapped")):
        assert command("train", data, "--check-data", *given).out.splitlines()[-1].endswith(counted)
    done = command("train", joined, "--check-data", "--layout", "sketch-left")
    assert done.out.splitlines()[-1].endswith(f"{COUNT} swapped")


def test_the_command_writes_nothing(command, data, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert command("train", data, "--check-data").status == 0
    assert list((tmp_path / "here").iterdir()) == []


def test_the_command_without_data(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command("train", "--check-data")
    assert (done.status, done.out) == (1, "")
    assert "no DATA given and there is no folder ./data" in done.err
