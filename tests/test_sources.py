import dataclasses
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixelpainter.errors import DataError
from pixelpainter.train.pairs import Location, Pair, data_manifest, read_pair
from pixelpainter.train.sources import (
    find_pairs,
    find_training_data,
    mix_weights,
    split_validation,
)

RED, GRAY = (220, 30, 40), (128, 128, 128)


def save(file: Path, width: int = 24, height: int = 24, color: tuple[int, int, int] = RED) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), color).save(file)
    return file


def save_joined(file: Path, color_left: bool = True, half: int = 24, height: int = 24) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    joined = np.empty((height, 2 * half, 3), np.uint8)
    joined[:, :half], joined[:, half:] = (RED, GRAY) if color_left else (GRAY, RED)
    Image.fromarray(joined).save(file)


def names(pairs: list[Pair]) -> list[str]:
    return [pair.name for pair in pairs]


def pack(folder: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                packed.write(file, file.relative_to(folder))
    return archive


def pretend_pairs(count: int) -> list[Pair]:
    return [Pair(name=f"root/{k:05d}", source="root", color=Location(Path(f"{k}.png"))) for k in range(count)]


@pytest.fixture
def two_folders(tmp_path: Path) -> Path:
    root = tmp_path / "art"
    save(root / "color/nova/a.png")
    save(root / "color/nova/b.webp")
    save(root / "color/deep/er/a.png")
    save(root / "color/c.jpg")
    save(root / "lines/nova/a.jpg")
    save(root / "sketch/deep/er/a.png")
    save(root / "flats/nova/a.png")
    save(root / "sketches/z.png")
    save(root / "color/.hidden.png")
    save(root / "__MACOSX/color/nova/q.png")
    (root / "color/nova/notes.txt").write_text("no picture")
    return root


def check_two_folders(pairs: list[Pair]) -> None:
    assert names(pairs) == ["art/c", "art/deep/er/a", "art/nova/a", "art/nova/b"]
    assert [pair.source for pair in pairs] == ["art", "deep/er", "nova", "nova"]
    assert [str(pair.lines).rpartition("art")[2].lstrip("/.zip:") for pair in pairs] == [
        "None",
        "sketch/deep/er/a.png",
        "lines/nova/a.jpg",
        "None",
    ]


def test_two_folders_match_by_relative_path(two_folders: Path) -> None:
    check_two_folders(find_pairs([two_folders]))


def test_zip_equals_folder(two_folders: Path, tmp_path: Path) -> None:
    archive = pack(two_folders, tmp_path / "art.zip")
    check_two_folders(find_pairs([archive]))
    from_folder, from_zip = (read_pair(find_pairs([root])[2]) for root in (two_folders, archive))
    assert np.array_equal(from_folder[0], from_zip[0]) and np.array_equal(from_folder[1], from_zip[1])


def test_pictures_alone_and_equal_stems(tmp_path: Path) -> None:
    for name in ("x/1.png", "x/1.jpg", "y/z/2.png", "lines/3.png", "flats/4.png"):
        save(tmp_path / "art" / name)
    pairs = find_pairs([tmp_path / "art"])
    assert names(pairs) == ["art/x/1", "art/x/1.png", "art/y/z/2"]
    assert all(pair.lines is None and pair.layout is None for pair in pairs)


@pytest.mark.parametrize("color_left", [True, False])
def test_joined_pictures_are_recognised_and_cut(tmp_path: Path, color_left: bool) -> None:
    for k in range(3):
        save_joined(tmp_path / f"art/{k}.png", color_left)
    save(tmp_path / "art/odd.png")
    pair = find_pairs([tmp_path / "art"])[0]
    assert pair.layout == ("color-left" if color_left else "sketch-left")
    color, lines = read_pair(pair)
    assert color.shape == (24, 24, 3) and (color == RED).all()
    assert lines is not None and lines.shape == (24, 24) and (lines == 128).all()


def test_plain_pictures_among_joined_ones_are_not_cut(tmp_path: Path) -> None:
    for k in range(5):
        save_joined(tmp_path / f"art/{k}.png")
    save(tmp_path / "art/high.png", 24, 48)
    save(tmp_path / "art/wide.png", 48, 24)
    pairs = {pair.name: pair for pair in find_pairs([tmp_path / "art"])}
    with pytest.raises(DataError, match=r"high.png: 24x48 is no color picture beside a sketch.*--layout color-left"):
        read_pair(pairs["art/high"])
    with pytest.raises(DataError, match=r"wide.png: both halves are colored"):
        read_pair(pairs["art/wide"])
    told = {pair.name: pair for pair in find_pairs([tmp_path / "art"], "color-left")}
    save_joined(tmp_path / "art/high.png", half=12, height=48)
    assert read_pair(told["art/high"])[0].shape == (48, 12, 3)


def test_capitals_and_plurals_in_folder_names(tmp_path: Path) -> None:
    for k, (color, lines) in enumerate([("Color", "Lines"), ("color", "Lines"), ("COLOR", "Sketches")]):
        save(tmp_path / f"art-{k}/part/{color}/nova/a.png")
        drawing = save(tmp_path / f"art-{k}/part/{lines}/nova/a.png")
        (pair,) = find_pairs([tmp_path / f"art-{k}"])
        assert (pair.name, pair.lines) == (f"art-{k}/part/nova/a", Location(drawing))


def test_lines_go_before_sketches(tmp_path: Path) -> None:
    for folder in ("color", "lines", "sketch"):
        save(tmp_path / folder / "a.png")
    assert find_pairs([tmp_path])[0].lines == Location(tmp_path / "lines/a.png")


@pytest.mark.parametrize(
    "paths",
    [
        ("Train/a.png", "Val/b.png"),
        ("color/train/a.png", "lines/train/a.png", "color/val/b.png"),
        ("x/train/color/a.png", "x/train/lines/a.png", "x/val/color/b.png"),
    ],
)
def test_train_and_val_above_and_below_color(tmp_path: Path, paths: tuple[str, ...]) -> None:
    for path in paths:
        save(tmp_path / "art" / path)
    train, held_out = find_training_data([tmp_path / "art"])
    assert (names(train), names(held_out)) == (["art/a"], ["art-val/b"])
    assert (train[0].lines is None) == (len(paths) == 2)


def test_validation_given_takes_the_place_of_val(tmp_path: Path) -> None:
    for name in ("art/train/1.png", "art/val/2.png", "other/3.png"):
        save(tmp_path / name)
    train, held_out = find_training_data([tmp_path / "art"], validation=tmp_path / "other")
    assert (names(train), names(held_out)) == (["art/1"], ["other/3"])


def test_zip_files_of_other_programs(tmp_path: Path) -> None:
    picture = save(tmp_path / "a.png").read_bytes()
    with zipfile.ZipFile(tmp_path / "art.zip", "w") as packed:
        packed.writestr("/color/a.png", picture)
        packed.writestr("\\lines\\a.png", picture)
        packed.writestr("lines\\", b"")
    (pair,) = find_pairs([tmp_path / "art.zip"])
    assert (pair.name, pair.lines is None) == ("art/a", False)
    assert read_pair(pair)[0].shape == (24, 24, 3)


def test_zip_files_that_cannot_be_unpacked_within_bounds(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "art.zip", "w", zipfile.ZIP_BZIP2) as packed:
        packed.write(save(tmp_path / "a.png"), "a.png")
    with pytest.raises(DataError, match=r"art.zip:a.png: packed by method 12; pack the ZIP file as deflate"):
        read_pair(find_pairs([tmp_path / "art.zip"])[0])
    content = bytearray((tmp_path / "art.zip").read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 99  # the version needed to unpack it
    (tmp_path / "newer.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"newer.zip: neither a folder nor a readable ZIP file"):
        find_pairs([tmp_path / "newer.zip"])


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
def test_pipes_are_no_pictures(tmp_path: Path) -> None:
    save(tmp_path / "art/a.png")
    os.mkfifo(tmp_path / "art/b.png")
    assert names(find_pairs([tmp_path / "art"])) == ["art/a"]


def test_pictures_of_runs_are_none(tmp_path: Path) -> None:
    root = tmp_path / "art"
    drawn = ["losses.png", "metrics.png", "progress.png", "samples_00000002.png"]
    for name in ["girl.png", *drawn, *(f"runs/pix2pix/{name}" for name in ["mine.png", *drawn])]:
        save(root / name)
    (root / "runs/pix2pix/step_00000002.pt").touch()
    assert names(find_pairs([root])) == [
        f"art/{name}" for name in ("girl", "losses", "metrics", "progress", "runs/pix2pix/mine", "samples_00000002")
    ]


def test_wide_color_pictures_are_not_joined_unless_told(tmp_path: Path) -> None:
    save(tmp_path / "art/a.png", 48, 24)
    assert find_pairs([tmp_path / "art"])[0].layout is None
    assert find_pairs([tmp_path / "art"], "sketch-left")[0].layout == "sketch-left"


def test_wrong_layout_is_named(tmp_path: Path) -> None:
    save_joined(tmp_path / "art/a.png", color_left=False)
    with pytest.raises(DataError, match="try --layout sketch-left"):
        read_pair(find_pairs([tmp_path / "art"], "color-left")[0])


def test_two_roots_of_one_name_stay_apart_and_a_repeated_root_counts_once(tmp_path: Path) -> None:
    one, two = tmp_path / "1/art", tmp_path / "2/art"
    save(one / "a.png")
    save(two / "a.png")
    assert names(find_pairs([one, two, one])) == ["art-2/a", "art/a"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "no such folder"),
        (lambda root: root.mkdir(), "no pictures"),
        (lambda root: save(root / "lines/a.png"), "drawings but no color"),
        (lambda root: root.write_bytes(b"no archive"), "neither a folder nor a readable ZIP"),
        (lambda root: pack(save(root / "a/b.png").parent, root / "b.zip") and (root / "a/b.png").unlink(), "ZIP files"),
    ],
)
def test_wrong_roots_are_one_clear_line(tmp_path: Path, make, message: str) -> None:
    root = tmp_path / "art"
    make(root)
    with pytest.raises(DataError, match=message) as caught:
        find_pairs([root])
    assert str(root) in str(caught.value) and "\n" not in str(caught.value)


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    save(tmp_path / "art/a.png")
    (tmp_path / "art/loop").symlink_to(tmp_path / "art")
    save(tmp_path / "elsewhere/b.png")
    (tmp_path / "art/link").symlink_to(tmp_path / "elsewhere")
    assert names(find_pairs([tmp_path / "art"])) == ["art/a", "art/link/b"]


def test_lines_are_brought_to_the_size_of_the_color(tmp_path: Path) -> None:
    save(tmp_path / "art/color/a.png", 40, 60)
    save(tmp_path / "art/lines/a.png", 20, 30)
    color, lines = read_pair(find_pairs([tmp_path / "art"])[0])
    assert color.shape == (60, 40, 3) and lines is not None and lines.shape == (60, 40)


def test_bad_pairs_name_their_file(tmp_path: Path) -> None:
    root = tmp_path / "art"
    save(root / "color/mismatch.png", 40, 60)
    save(root / "lines/mismatch.png", 40, 50)
    save(root / "color/tiny.png", 3, 3)
    (root / "color/text.png").write_text("no picture")
    (root / "color/empty.png").write_bytes(b"")
    whole = save(root / "color/cut.png").read_bytes()
    (root / "color/cut.png").write_bytes(whole[:-30])
    for pair in find_pairs([root]):
        with pytest.raises(DataError) as caught:
            read_pair(pair)
        assert pair.name.removeprefix("art/") in str(caught.value) and "\n" not in str(caught.value)


def test_damaged_zip_member_is_named(tmp_path: Path) -> None:
    save(tmp_path / "art/broken.png")
    archive = pack(tmp_path / "art", tmp_path / "art.zip")
    content = bytearray(archive.read_bytes())
    content[45:60] = bytes(15)
    archive.write_bytes(content)
    with pytest.raises(DataError, match="broken"):
        read_pair(find_pairs([archive])[0])


def test_transparent_pictures_lie_on_white(tmp_path: Path) -> None:
    (tmp_path / "art").mkdir()
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(tmp_path / "art/a.png")
    assert (read_pair(find_pairs([tmp_path / "art"])[0])[0] == 255).all()


def test_split_is_stable_when_pictures_are_added() -> None:
    few, many = pretend_pairs(2000), pretend_pairs(3000)
    train, held_out = split_validation(few)
    assert 60 < len(held_out) < 140 and sorted(names(train + held_out)) == names(few)
    later_train, later_held_out = split_validation(many)
    assert set(names(train)) <= set(names(later_train)) and set(names(held_out)) <= set(names(later_held_out))


def test_equal_stems_are_held_out_together() -> None:
    """They are most often the same picture."""
    pairs = pretend_pairs(200)
    _, held_out = split_validation([*pairs, *(dataclasses.replace(pair, name=f"{pair.name}.jpg") for pair in pairs)])
    stems = {name.removesuffix(".jpg") for name in names(held_out)}
    assert len(held_out) == 2 * len(stems) > 2


@pytest.mark.parametrize(("count", "held_out"), [(0, 0), (1, 0), (2, 1), (5, 1)])
def test_split_of_few_pictures_leaves_both_sides(count: int, held_out: int) -> None:
    train, validation = split_validation(pretend_pairs(count))
    assert (len(train), len(validation)) == (count - held_out, held_out)


def test_training_data_uses_val_folder_then_validation_then_split(tmp_path: Path) -> None:
    kaggle, plain, other = tmp_path / "data", tmp_path / "plain", tmp_path / "other"
    save_joined(kaggle / "train/1.png")
    save_joined(kaggle / "val/1.png")
    for k in range(4):
        save(plain / f"{k}.png")
    save(other / "v.png")
    train, held_out = find_training_data([kaggle])
    assert (names(train), names(held_out)) == (["data/1"], ["data-val/1"])
    assert train[0].layout == "color-left"
    train, held_out = find_training_data([pack(tmp_path / "data", tmp_path / "kaggle.zip")])
    assert (names(train), names(held_out)) == (["kaggle/1"], ["kaggle-val/1"])
    train, held_out = find_training_data([plain], validation=other)
    assert (len(train), names(held_out)) == (4, ["other/v"])
    train, held_out = find_training_data([plain])
    assert (len(train), len(held_out)) == (3, 1)
    for k, folder in enumerate(("train", "train", "train", "test")):
        save(tmp_path / "no val" / folder / f"{k}.png")
    train, held_out = find_training_data([tmp_path / "no val"])
    assert (len(train), len(held_out)) == (3, 1)


def test_mix_weights_take_the_narrowest_key() -> None:
    given = ["real/nova/1", "real/nova/2", "real/deep/er/1", "drawn/1"]
    sources = ["nova", "nova", "deep/er", "drawn"]
    assert mix_weights(given, sources, {}).tolist() == [0.25] * 4
    assert mix_weights(given, sources, {"nova": 5}).tolist() == pytest.approx([5 / 12, 5 / 12, 1 / 12, 1 / 12])
    weights = mix_weights(given, sources, {"real": 3, "real/nova": 2, "deep": 0})
    assert weights.tolist() == pytest.approx([2 / 5, 2 / 5, 0, 1 / 5])
    assert weights.dtype == np.float64
    assert mix_weights(given, sources, {"deep": 9, "deep/er": 1, "drawn": 0}).tolist() == pytest.approx(
        [1 / 3] * 3 + [0]
    )


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ({"nowa": 2.0}, "no such source.*root"),
        ({"root": -1.0}, "must be"),
        ({"root": 0.0}, "every source has weight 0"),
    ],
)
def test_wrong_mix_is_named(mix: dict[str, float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        mix_weights([pair.name for pair in pretend_pairs(3)], ["root"] * 3, mix)


def test_manifest_knows_names_and_contents(tmp_path: Path) -> None:
    save(tmp_path / "art/color/a.png")
    lines = save(tmp_path / "art/lines/a.png")
    before = data_manifest(find_pairs([tmp_path / "art"]))
    assert before == data_manifest(find_pairs([tmp_path / "art"])[::-1])
    shutil.copytree(tmp_path / "art", tmp_path / "elsewhere" / "art")
    assert before == data_manifest(find_pairs([tmp_path / "elsewhere" / "art"]))
    save(lines, color=GRAY)
    changed = data_manifest(find_pairs([tmp_path / "art"]))
    (tmp_path / "art/lines").rename(tmp_path / "art/flats")
    assert len({before, changed, data_manifest(find_pairs([tmp_path / "art"]))}) == 3


def test_manifest_knows_on_which_side_the_color_is(tmp_path: Path) -> None:
    save_joined(tmp_path / "art/a.png")
    assert len({data_manifest(find_pairs([tmp_path / "art"], layout)) for layout in ("color-left", "sketch-left")}) == 2


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_names_need_not_be_unicode(tmp_path: Path) -> None:
    save(tmp_path / "art/a.png").rename(tmp_path / "art" / os.fsdecode(b"\xff.png"))
    pairs = find_pairs([tmp_path / "art"])
    assert len(data_manifest(pairs)) == 64 and len(split_validation([*pairs, *pretend_pairs(1)])[0]) == 1
    assert str(pairs[0].color).isprintable()
