"""Nothing about the user's file is lost on the way through `pixelpainter colorize`."""

import hashlib
import json

import numpy as np
import pytest
from conftest import load, save_copy_model
from PIL import Image, PngImagePlugin
from test_imaging import pack_tiff, swapped_profile

from pixelpainter import Colorizer
from pixelpainter.imaging import open_picture
from pixelpainter.suffixes import SAVE_SUFFIXES

WIDTH, HEIGHT = 45, 28
PAGE = np.full((HEIGHT, WIDTH), 255, np.uint8)
PAGE[5:8, 4:-4] = PAGE[5:-5, 4:7] = 0  # the top and the left side of a frame: no orientation looks like another
INK = PAGE == 0
ALPHA = np.tile(np.linspace(128, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
ALPHA[-3:] = 0
NAME = "Übung 線画 ñ"
TURNED = {  # how a camera stores the page for each EXIF orientation; the inverse of what shows it upright
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.rot90(np.fliplr(a), 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(np.fliplr(a), -1),
    8: lambda a: np.rot90(a, -1),
}


def with_transparency(image, value):
    image.info["transparency"] = value
    return image


def in_mode(mode):
    """Return the page as an image of a mode."""
    gray = Image.fromarray(PAGE)
    if mode == "I;16":
        return Image.fromarray(PAGE.astype(np.uint16) * 257)
    if mode == "I":
        return Image.fromarray(PAGE.astype(np.int32) * 257)
    if mode == "F":
        return Image.fromarray((PAGE / 255).astype(np.float32))
    if mode in ("LAB", "HSV", "CMYK", "YCbCr", "RGBX"):
        if mode == "LAB":  # PIL converts to it by profile only
            return Image.fromarray(np.dstack([PAGE, np.zeros_like(PAGE), np.zeros_like(PAGE)]), "LAB")
        return gray.convert("RGB").convert(mode)
    if mode in ("LA", "RGBA", "PA", "La", "RGBa"):
        with_alpha = gray.convert({"La": "LA", "PA": "LA", "RGBa": "RGBA"}.get(mode, mode))
        with_alpha.putalpha(Image.fromarray(ALPHA))
        return with_alpha.convert(mode)
    return gray.convert(mode)


def assert_colored(result):
    """The result has the size of the page, black lines where it has them, and color elsewhere."""
    assert result.size == (WIDTH, HEIGHT)
    pixels = np.asarray(result.convert("RGB"), int)
    assert pixels[INK].max() <= 3
    assert pixels[~INK].max(axis=1).min() > 90
    assert np.ptp(pixels[~INK], axis=1).mean() > 20


@pytest.fixture
def colored(command, plain_model, tmp_path):
    """Run `colorize` on a file in a folder of its own and return the result."""

    def run(source, *arguments, suffix=".png"):
        target = tmp_path / f"Ergebnis 色{suffix}"
        done = command("colorize", source, "-o", target, "--model", plain_model, "--colored", "force", *arguments)
        assert (done.status, done.out) == (0, ""), done.err
        assert open_picture(target).format == SAVE_SUFFIXES[suffix]
        return load(target)

    return run


FILES = {
    ".png": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
    ".tif": ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F", "LAB"],
    ".jpg": ["L", "RGB", "CMYK"],
    ".webp": ["RGB", "RGBA"],
    ".bmp": ["1", "L", "P", "RGB"],
    ".gif": ["L", "P"],
    ".pbm": ["1"],
    ".pgm": ["L", "I;16"],
    ".ppm": ["RGB"],
    ".pfm": ["F"],
} | ({".avif": ["RGB", "RGBA"]} if ".avif" in SAVE_SUFFIXES else {})


@pytest.mark.parametrize(("suffix", "mode"), [(suffix, mode) for suffix, modes in FILES.items() for mode in modes])
def test_every_kind_of_file(colored, tmp_path, suffix, mode):
    source = tmp_path / (NAME + suffix)
    in_mode(mode).save(source, **({"quality": 95} if suffix in (".jpg", ".avif") else {}))
    result = colored(source, "--no-clean")  # which would hide a picture that is read as its negative
    if suffix in (".jpg", ".avif", ".webp"):  # their noise is no reason to fail
        assert result.size == (WIDTH, HEIGHT)
        pixels = np.asarray(result.convert("L"), int)
        assert pixels[INK].mean() < 40 and pixels[~INK].mean() > 90
    else:
        assert_colored(result)
    assert result.mode == ("RGBA" if mode in ("LA", "RGBA") else "RGB")


@pytest.mark.parametrize(
    "mode",
    ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "I;16", "I", "F"],
)
def test_every_mode_of_pil(plain_model, mode):
    image = in_mode(mode)
    assert image.mode == mode
    assert_colored(Colorizer(plain_model, threads=1).colorize(image))


def test_half_transparent_lines_stay_as_dark(plain_model):
    """Black ink with an opacity, around white paper: on white the result looks as it did."""
    drawing = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    drawing[..., 3] = np.where(INK, 100, 0)
    drawing[8:-5, 7:-4] = 255
    result = np.asarray(Colorizer(plain_model, threads=1).colorize(drawing))
    np.testing.assert_array_equal(result[..., 3], drawing[..., 3])
    assert result[INK][:, :3].max() <= 2


@pytest.mark.parametrize("transparent", [b"\xff\x00", 1], ids=["opacities", "one color"])
def test_palettes_with_transparency(colored, tmp_path, transparent):
    image = Image.fromarray((PAGE > 0).astype(np.uint8))
    image.putpalette([0, 0, 0, 255, 255, 255])
    image.save(tmp_path / "page.png", transparency=transparent)
    result = colored(tmp_path / "page.png")
    assert result.mode == "RGB"  # nothing but lines is opaque: they lie on paper now
    assert_colored(result)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 12, 16])
@pytest.mark.parametrize("zero_is_white", [False, True])
def test_gray_tiff_of_every_depth(colored, tmp_path, depth, zero_is_white):
    if depth == 12 and zero_is_white:
        pytest.skip("PIL does not read these")
    (tmp_path / "scan.tif").write_bytes(pack_tiff((0 if zero_is_white else 255) == PAGE, depth, zero_is_white))
    assert_colored(colored(tmp_path / "scan.tif", "--no-clean"))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_and_resolution(colored, tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x011A], exif[0x011B], exif[0x0128] = 300.0, 150.0, 2
    stored = Image.fromarray(np.ascontiguousarray(TURNED[orientation](PAGE))).convert("RGB")
    quality = (
        {"lossless": True} if suffix == ".webp" else {"quality": 100, "subsampling": 0} if suffix == ".jpg" else {}
    )
    stored.save(tmp_path / f"photo{suffix}", exif=exif, dpi=(300, 150), **quality)
    result = colored(tmp_path / f"photo{suffix}")
    assert_colored(result)
    assert result.info["dpi"] == pytest.approx((150, 300) if orientation >= 5 else (300, 150), abs=0.02)
    assert result.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".bmp", ".avif"])
def test_resolution_in_every_format(colored, tmp_path, suffix):
    if suffix not in SAVE_SUFFIXES:
        pytest.skip("this Pillow cannot write AVIF")
    Image.fromarray(PAGE).save(tmp_path / "page.png", dpi=(600, 600))
    colored(tmp_path / "page.png", suffix=suffix)
    assert open_picture(tmp_path / f"Ergebnis 色{suffix}").dpi == pytest.approx((600, 600), abs=0.02)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".avif", ".jpg"])
def test_alpha_in_every_format(colored, tmp_path, suffix):
    if suffix not in SAVE_SUFFIXES:
        pytest.skip("this Pillow cannot write AVIF")
    in_mode("LA").save(tmp_path / "page.png")
    result = colored(tmp_path / "page.png", suffix=suffix)
    if suffix == ".jpg":  # without transparency: on white
        assert np.asarray(result)[-2:].min() > 245
    else:
        tolerance = 2 if suffix == ".avif" else 0
        np.testing.assert_allclose(np.asarray(result)[..., 3].astype(int), ALPHA, atol=tolerance)


def test_profiles_become_srgb(command, tmp_path):
    """The profile exchanges red and blue: what is stored as red is shown blue, and that is darker."""
    model = save_copy_model(tmp_path / "copy.onnx")
    page = np.full((40, 40, 3), 255, np.uint8)
    page[10:30, 10:30] = [255, 0, 0]
    Image.fromarray(page).save(tmp_path / "page.png", icc_profile=swapped_profile())
    arguments = ["--no-clean", "--lines", "model", "--colored", "force", "--model", model]
    assert command("colorize", tmp_path / "page.png", "-o", tmp_path / "out.png", *arguments).status == 0
    result = load(tmp_path / "out.png")
    assert "icc_profile" not in result.info  # which means sRGB
    np.testing.assert_allclose(np.asarray(result)[20, 20], 29, atol=3)  # red: 76


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (3, 200), (12000, 400), (400, 12000)])
def test_sizes(colored, tmp_path, size):
    pixels = np.full(size[::-1], 255, np.uint8)
    pixels[::50, :] = 0
    Image.fromarray(pixels).save(tmp_path / "page.png")
    assert colored(tmp_path / "page.png").size == size


def test_a_poster(command, plain_model, tmp_path):
    page = Image.new("1", (8000, 8000), 1)
    page.paste(0, (100, 4000, 7900, 4020))
    page.save(tmp_path / "page.png")
    done = command("colorize", tmp_path / "page.png", "-o", tmp_path / "out.png", "--model", plain_model)
    assert done.status == 0, done.err
    with Image.open(tmp_path / "out.png") as result:
        assert result.size == page.size


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_the_file_says_how_it_was_made(colored, plain_model, tmp_path, suffix):
    Image.fromarray(PAGE).save(tmp_path / "page.png")
    result = colored(tmp_path / "page.png", "--lines", "none", "--no-clean", suffix=suffix)
    if suffix == ".png":
        assert isinstance(result, PngImagePlugin.PngImageFile)
        texts = dict(result.text)
    else:
        exif = open_exif(tmp_path / f"Ergebnis 色{suffix}")
        texts = dict(line.split(": ", 1) for line in exif[0x010E].splitlines()) | {"Software": exif[0x0131]}
    assert texts["Software"].startswith("PixelPainter ")
    assert texts["Model"] == plain_model.name
    assert texts["Model-SHA256"] == hashlib.sha256(plain_model.read_bytes()).hexdigest()
    settings = json.loads(texts["Settings"])
    assert settings["lines"] == "none" and settings["clean"] is False and settings["hints"] == []


def open_exif(path):
    with Image.open(path) as image:
        return dict(image.getexif())
