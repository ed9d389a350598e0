"""A saved picture comes back as it was, and a failed save leaves everything as it was."""

import errno
import io
import os
import resource
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from pixelpainter import saving
from pixelpainter.errors import OutputError
from pixelpainter.imaging import open_picture
from pixelpainter.suffixes import PICTURE_SUFFIXES

RANDOM = np.random.default_rng(7)
RGB = RANDOM.integers(0, 256, (6, 9, 3), dtype=np.uint8)
ALPHA = RANDOM.integers(0, 256, (6, 9), dtype=np.uint8)


def read(data):
    return open_picture(io.BytesIO(data))


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("suffix", sorted(saving.SAVE_SUFFIXES))
def test_saved_pictures_come_back(suffix, tmp_path):
    smooth = np.stack(np.broadcast_arrays(*np.ogrid[0:48, 0:64], 90), axis=-1).astype(np.uint8) * 2
    path = tmp_path / f"Übung 線画{suffix.upper()}"
    saving.save_picture(smooth, path, dpi=(300, 200), overwrite=False, metadata={"Software": "PixelPainter"})
    picture = open_picture(path)
    tolerance = 8 if suffix in (".jpg", ".jpeg", ".webp", ".avif") else 0
    assert np.abs(picture.rgb.astype(int) - smooth).max() <= tolerance
    assert picture.format == saving.SAVE_SUFFIXES[suffix]
    assert suffix in PICTURE_SUFFIXES
    assert picture.dpi == (None if suffix == ".ppm" else pytest.approx((300, 200), abs=0.02))
    assert names_in(tmp_path) == [path.name]


@pytest.mark.parametrize("format", sorted(set(saving.SAVE_SUFFIXES.values())))
def test_alpha_is_kept_or_flattened(format):
    alpha = np.repeat(np.uint8([[0, 255]]), 32, axis=0).repeat(32, axis=1)
    black = np.zeros((32, 64, 3), np.uint8)
    picture = read(saving.encode_picture(black, format=format, alpha=alpha))
    assert np.abs(picture.rgb[:, :24].astype(int) - 255).max() <= 3 and picture.rgb[:, 40:].max() <= 3
    if format in ("PNG", "WEBP", "TIFF", "AVIF"):
        np.testing.assert_allclose(picture.alpha.astype(int), alpha, atol=2)
    else:
        assert picture.alpha is None


def test_jpeg_keeps_color_resolution():
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[:, ::2, 0] = 255
    data = saving.encode_picture(stripes, format="JPEG")
    assert Image.open(io.BytesIO(data)).layer[0][1:3] == (1, 1)
    assert len(saving.encode_picture(RGB, format="JPEG", quality=30)) < len(saving.encode_picture(RGB, format="JPEG"))


def test_webp_quality_100_is_lossless():
    np.testing.assert_array_equal(read(saving.encode_picture(RGB, format="WEBP", quality=100)).rgb, RGB)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_metadata(format):
    if format not in saving.SAVE_SUFFIXES.values():
        pytest.skip("this Pillow cannot write AVIF")
    texts = {"Software": "PixelPainter 1", "Title": "線画", "Source": "a.png"}
    with Image.open(io.BytesIO(saving.encode_picture(RGB, format=format, metadata=texts))) as image:
        if format == "PNG":
            image.load()
            assert isinstance(image, PngImagePlugin.PngImageFile) and image.text == texts
        else:
            exif = image.getexif()
            assert exif[0x0131] == "PixelPainter 1"
            description = exif[0x010E]
            assert description.encode("latin-1").decode() == "Title: 線画\nSource: a.png"


def failed(path, *parts, **options):
    with pytest.raises(OutputError) as caught:
        saving.save_picture(RGB, path, **{"overwrite": False, **options})
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def test_existing_files(tmp_path):
    path = tmp_path / "old.png"
    path.write_text("mine")
    failed(path, "exists already", "--overwrite")
    assert path.read_text() == "mine"
    saving.save_picture(RGB, path, overwrite=True)
    np.testing.assert_array_equal(open_picture(path).rgb, RGB)
    link = tmp_path / "link.png"
    link.symlink_to(tmp_path / "nowhere.png")
    failed(link, "--overwrite")
    assert names_in(tmp_path) == ["link.png", "old.png"]


def no_links(*_):
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_meanwhile_is_safe(links, tmp_path, monkeypatch):
    path = tmp_path / "new.png"
    encode = saving.encode_picture

    def slow_encode(*arguments, **options):
        path.write_text("theirs")
        return encode(*arguments, **options)

    if not links:
        monkeypatch.setattr(os, "link", no_links)
        saving.save_picture(RGB, tmp_path / "other.png", overwrite=False)
        np.testing.assert_array_equal(open_picture(tmp_path / "other.png").rgb, RGB)
        (tmp_path / "other.png").unlink()
    monkeypatch.setattr(saving, "encode_picture", slow_encode)
    failed(path, "--overwrite")
    assert path.read_text() == "theirs" and names_in(tmp_path) == ["new.png"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError(errno.ENOSPC, "No space left on device")])
@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_interrupted_write(stop, where, tmp_path, monkeypatch):
    path = tmp_path / "old.png"
    path.write_text("mine")

    def interrupt(*_):
        raise stop

    monkeypatch.setattr(*((os, "fsync") if where == "fsync" else (Path, "replace")), interrupt)
    if stop is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            saving.save_picture(RGB, path, overwrite=True)
    else:
        failed(path, "No space left", overwrite=True)
    assert path.read_text() == "mine" and names_in(tmp_path) == ["old.png"]


def test_interrupted_write_without_links(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        saving.save_picture(RGB, tmp_path / "a.png", overwrite=False)
    assert names_in(tmp_path) == []


def test_full_disk(tmp_path):
    path = tmp_path / "old.bmp"
    path.write_text("mine")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        failed(path, "cannot be written", overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == "mine" and names_in(tmp_path) == ["old.bmp"]


def test_encoder_failure_leaves_nothing(tmp_path):
    strip = np.zeros((1, 16384, 3), np.uint8)
    with pytest.raises(OutputError, match=r"strip\.webp: a picture of 16384x1 pixels does not fit WEBP"):
        saving.save_picture(strip, tmp_path / "strip.webp", overwrite=False)
    assert names_in(tmp_path) == []
    strip = np.zeros((1, 70000, 3), np.uint8)
    with pytest.raises(OutputError, match="does not fit JPEG"):
        saving.encode_picture(strip, format="JPEG")


def test_unwritable_places(tmp_path):
    failed(tmp_path / "a.gif", ".png", ".webp")
    failed(tmp_path / "a", ".png")
    failed(tmp_path / "none" / "a.png", "No such file")
    (tmp_path / "file").touch()
    failed(tmp_path / "file" / "a.png", "Not a directory")
    (tmp_path / "folder.png").mkdir()
    failed(tmp_path / "folder.png", overwrite=True)
    assert names_in(tmp_path) == ["file", "folder.png"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to become nobody")
def test_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    os.seteuid(65534)
    try:
        failed(tmp_path / "a.png", "Permission denied")
    finally:
        os.seteuid(0)
    assert names_in(tmp_path) == []


def test_new_files_have_usual_permissions(tmp_path):
    (tmp_path / "plain").touch()
    saving.save_picture(RGB, tmp_path / "a.png", overwrite=False)
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(
    "options",
    [{"dpi": (0, 0)}, {"quality": 0}, {"alpha": ALPHA[1:]}, {"format": "GIF"}, {"alpha": ALPHA.astype(float)}],
)
def test_wrong_arguments(options):
    with pytest.raises(ValueError):
        saving.encode_picture(RGB, **{"format": "PNG", **options})
    with pytest.raises(ValueError):
        saving.encode_picture(ALPHA, format="PNG")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "ValueError"),
        ("two\n lines", "two lines"),
        ("x" * 200, "x" * 200),
        ("word " * 60, "word " * 39 + "..."),
        ("x" * 300, "x" * 196 + " ..."),
        ("a word of " + "x" * 300, "a word of " + "x" * 186 + " ..."),
    ],
)
def test_reasons_are_cut_after_a_word_but_not_to_nothing(text, reason):
    assert saving.short_reason(ValueError(text)) == reason
