"""Every kind of picture in, every kind out, and every way in which a file can be bad."""

import io
import os
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from skimage.color import lab2xyz

from pixelpainter import imaging
from pixelpainter.errors import InputError

RANDOM = np.random.default_rng(7)
RGB = RANDOM.integers(0, 256, (6, 9, 3), dtype=np.uint8)
GRAY = RANDOM.integers(0, 256, (6, 9), dtype=np.uint8)
ALPHA = RANDOM.integers(0, 256, (6, 9), dtype=np.uint8)


def on_white(rgb, alpha):
    share = alpha[..., None] / 255
    return np.floor(rgb * share + 255 * (1 - share) + 0.5)


def stacked(gray):
    return np.stack([gray] * 3, axis=-1)


def file_of(image, format="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def read(data):
    return imaging.open_picture(io.BytesIO(data))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, color, rows, extra=b""):
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def pack_tiff(on, depth, zero_is_white=False, extra=()):
    """Return a gray TIFF of a mask (H, W): all bits where it is set, else none. PIL writes only some of these."""
    height, width = on.shape
    bits = np.pad(np.repeat(on, depth, axis=1), ((0, 0), (0, -width * depth % 8)))
    data = np.packbits(bits, axis=1).tobytes()
    tags = {256: width, 257: height, 258: depth, 259: 1, 262: 0 if zero_is_white else 1, 277: 1, 278: height}
    tags |= {279: len(data), **dict(extra)}
    start = 8 + 2 + 12 * (len(tags) + 1) + 4
    tags = sorted((tags | {273: start}).items())
    entries = b"".join(struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 1, value) for tag, value in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + data


# --- modes ---------------------------------------------------------------------------------------


def expect(image, rgb, alpha=None, tolerance=0):
    picture = imaging.picture_from_image(image)
    assert picture.rgb.dtype == np.uint8 and picture.rgb.flags.c_contiguous and picture.rgb.flags.writeable
    np.testing.assert_allclose(picture.rgb.astype(int), rgb, atol=tolerance)
    if alpha is None:
        assert picture.alpha is None
    else:
        np.testing.assert_array_equal(picture.alpha, alpha)


def test_plain_modes():
    bits = GRAY > 127
    expect(Image.fromarray(bits), stacked(bits * 255))
    expect(Image.fromarray(GRAY), stacked(GRAY))
    expect(Image.fromarray(RGB), RGB)
    expect(Image.fromarray(np.dstack([RGB, ALPHA]), "RGBX"), RGB)


def test_modes_with_alpha():
    gray_alpha = Image.fromarray(np.dstack([GRAY, ALPHA]), "LA")
    expect(gray_alpha, on_white(stacked(GRAY), ALPHA), ALPHA)
    expect(Image.fromarray(np.dstack([RGB, ALPHA])), on_white(RGB, ALPHA), ALPHA)
    # Premultiplied colors lose precision where alpha is small; on white that loss is small again.
    expect(gray_alpha.convert("La"), on_white(stacked(GRAY), ALPHA), ALPHA, tolerance=2)
    expect(Image.fromarray(np.dstack([RGB, ALPHA])).convert("RGBa"), on_white(RGB, ALPHA), ALPHA, tolerance=2)
    expect(Image.fromarray(np.dstack([RGB, np.full_like(ALPHA, 255)])), RGB)  # opaque: no alpha


def test_palette_modes():
    palette = RANDOM.integers(0, 256, (256, 3), dtype=np.uint8)
    image = Image.fromarray(GRAY)
    image.putpalette(palette.tobytes())
    assert image.mode == "P"
    expect(image, palette[GRAY])
    opacities = RANDOM.integers(0, 256, 256, dtype=np.uint8)
    data = file_of(image, transparency=opacities.tobytes())
    assert Image.open(io.BytesIO(data)).mode == "P"
    picture = read(data)
    np.testing.assert_array_equal(picture.alpha, opacities[GRAY])
    np.testing.assert_array_equal(picture.rgb, on_white(palette[GRAY], opacities[GRAY]))
    one = read(file_of(image, transparency=int(GRAY[2, 3])))
    np.testing.assert_array_equal(one.alpha, np.where(GRAY[2, 3] == GRAY, 0, 255))
    image.putalpha(Image.fromarray(ALPHA))
    assert image.mode == "PA"
    expect(image, on_white(palette[GRAY], ALPHA), ALPHA)


def test_color_space_modes():
    cyan, magenta, yellow, key = (RANDOM.integers(0, 256, (6, 9)) for _ in range(4))
    cmyk = np.stack([cyan, magenta, yellow, key], axis=-1).astype(np.uint8)
    expected = (255 - cmyk[..., :3].astype(float)) * (255 - cmyk[..., 3:].astype(float)) / 255
    expect(Image.fromarray(cmyk, "CMYK"), expected, tolerance=1)
    expect(Image.fromarray(RGB).convert("YCbCr"), RGB, tolerance=3)
    hues = np.array([[[0, 255, 255], [85, 255, 255], [170, 255, 255], [0, 0, 128]]], np.uint8)
    expect(Image.fromarray(hues, "HSV"), [[[255, 0, 0], [0, 255, 0], [0, 0, 255], [128, 128, 128]]], tolerance=3)
    lab = np.array([[[50, 20, -30], [80, -10, 40], [30, 0, 0]]], float)
    stored = np.round(lab * [2.55, 1, 1]).astype(int) % 256  # PIL keeps a and b as signed bytes
    image = Image.frombytes("LAB", (3, 1), stored.astype(np.uint8).tobytes())
    # Lab in files is relative to D50; the matrix adapts to sRGB's D65 (Bradford; brucelindbloom.com).
    adapted = [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
    light = np.clip(lab2xyz(lab, illuminant="D50") @ np.transpose(adapted), 0, 1)
    expect(image, 255 * np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light), tolerance=2)


def test_deep_modes():
    deep = RANDOM.integers(0, 65536, (6, 9), dtype=np.uint16)
    deep[0, :2] = 0, 65535
    expected = stacked(deep >> 8)
    assert Image.fromarray(deep).mode == "I;16"
    expect(Image.fromarray(deep), expected)
    big_endian = Image.frombytes("I;16B", (9, 6), deep.astype(">u2").tobytes())
    expect(big_endian, expected)
    expect(Image.fromarray(deep.astype(np.int32)), expected)
    expect(Image.fromarray(GRAY.astype(np.int32)), stacked(GRAY))
    expect(Image.fromarray(np.int32([[-5, 0, 2_000_000_000]])), [[[0] * 3, [0] * 3, [255] * 3]])
    expect(Image.fromarray((GRAY / 255).astype(np.float32)), stacked(GRAY))
    expect(Image.fromarray(GRAY.astype(np.float32)), stacked(GRAY))
    strange = np.float32([[np.nan, -1, 0.5, 1.01, np.inf, -np.inf]])
    expect(Image.fromarray(strange), stacked(np.array([[0, 0, 128, 255, 255, 0]])))


def test_tiff_depths():
    """PIL leaves samples of 12 bits and signed ones as they are, and does not turn white-is-zero of 16 bits."""
    on = np.array([[True, False, True]])
    for depth, zero_is_white in [(8, 0), (8, 1), (12, 0), (16, 0), (16, 1)]:
        rgb = read(pack_tiff(on, depth, zero_is_white)).rgb
        np.testing.assert_array_equal(rgb[..., 0], on * 255 if not zero_is_white else 255 - on * 255)
    half = pack_tiff(on, 12)[:-5] + bytes([0x80, 0x0F, 0xFF, 0x40, 0x00])  # samples 0x800, 0xFFF, 0x400
    assert read(half).rgb[0, :, 0].tolist() == [0x80, 0xFF, 0x40]
    signed = pack_tiff(on, 16, extra={339: 2})[:-6] + struct.pack("<3h", 0, 16384, 32767)
    assert read(signed).rgb[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("color, names", [(0, "gray"), (2, "rgb"), (4, "gray-alpha"), (6, "rgb-alpha")])
def test_sixteen_bit_png(color, names):
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[color]
    deep = RANDOM.integers(0, 65536, (5, 4, channels), dtype=np.uint16)
    picture = read(png(4, 5, 16, color, [row.astype(">u2").tobytes() for row in deep]))
    high = (deep >> 8).astype(np.uint8)
    rgb = stacked(high[..., 0]) if channels < 3 else high[..., :3]
    if channels in (2, 4):
        np.testing.assert_array_equal(picture.alpha, high[..., -1])
        rgb = on_white(rgb, high[..., -1])
    np.testing.assert_array_equal(picture.rgb, rgb)


@pytest.mark.parametrize(
    "depth, color, row, transparent",
    [
        (1, 0, b"\x40", [1]),
        (2, 0, b"\x18", [1]),
        (4, 0, b"\x05\xa0", [5]),
        (8, 0, b"\x05\x07\x05", [7]),
        (16, 0, struct.pack(">3H", 300, 9000, 300), [9000]),
        (8, 2, bytes([1, 2, 3, 9, 8, 7, 1, 2, 3]), [9, 8, 7]),
        (16, 2, struct.pack(">9H", 1, 2, 3, 900, 800, 700, 1, 2, 3), [900, 800, 700]),
    ],
)
def test_transparent_color_of_png(depth, color, row, transparent):
    extra = chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent))
    picture = read(png(3, 1, depth, color, [row], extra))
    np.testing.assert_array_equal(picture.alpha, [[255, 0, 255]])
    assert (picture.rgb[0, 1] == 255).all()


def test_arrays():
    np.testing.assert_array_equal(imaging.picture_from_array(GRAY).rgb, stacked(GRAY))
    picture = imaging.picture_from_array(RGB)
    assert not np.shares_memory(picture.rgb, RGB) and picture.alpha is None and picture.format == ""
    np.testing.assert_array_equal(picture.rgb, RGB)
    picture = imaging.picture_from_array(np.dstack([RGB, ALPHA])[:, ::-1])
    np.testing.assert_array_equal(picture.alpha, ALPHA[:, ::-1])
    for bad in (RGB.astype(float), RGB[..., :2], RGB[None], RGB[:0]):
        with pytest.raises(ValueError, match="expected uint8"):
            imaging.picture_from_array(bad)
    with pytest.raises(ValueError, match=r"got str; PIL's Image\.open makes"):
        imaging.picture_from_array("sketch.png")


# --- formats and what they carry -------------------------------------------------------------------


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "PPM", "GIF", "WEBP"])
def test_lossless_formats(format):
    pixels = np.array([[[255, 0, 0], [0, 0, 255]], [[9, 90, 200], [0, 0, 0]]], np.uint8)
    options = {"lossless": True} if format == "WEBP" else {}
    picture = read(file_of(Image.fromarray(pixels), format, **options))
    np.testing.assert_array_equal(picture.rgb, pixels)
    assert picture.format == format and picture.alpha is None


def test_gray_and_bitmap_ppm():
    assert (read(file_of(Image.fromarray(GRAY), "PPM")).rgb == stacked(GRAY)).all()
    assert (read(file_of(Image.fromarray(GRAY > 99), "PPM")).rgb == stacked((GRAY > 99) * 255)).all()
    assert (read(b"P5 2 1 65535\n" + struct.pack(">2H", 65535, 256)).rgb[0, :, 0] == [255, 1]).all()


def test_adobe_cmyk_jpeg():
    """The file stores inverted ink amounts; red must stay red."""
    ink = np.zeros((16, 16, 4), np.uint8)
    ink[..., 1:3] = 255
    data = file_of(Image.fromarray(ink, "CMYK"), "JPEG", quality=100)
    assert b"Adobe" in data
    assert np.abs(read(data).rgb.astype(int) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_first_frame_of_animations(format):
    frames = [Image.new("RGB", (5, 4), color) for color in ("#ff0000", "#0000ff")]
    data = file_of(
        frames[0], format, save_all=True, append_images=frames[1:], **({"lossless": True} if format == "WEBP" else {})
    )
    assert Image.open(io.BytesIO(data)).n_frames == 2
    assert (read(data).rgb == [255, 0, 0]).all()


UPRIGHT = {  # by the definition in EXIF: where row 0 and column 0 of the stored picture are shown
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.fliplr(np.rot90(a, -1)),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.fliplr(np.rot90(a, 1)),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(orientation, format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = read(file_of(Image.fromarray(np.dstack([RGB, ALPHA])), format, exif=exif))
    np.testing.assert_array_equal(picture.alpha, UPRIGHT[orientation](ALPHA))
    np.testing.assert_array_equal(picture.rgb, UPRIGHT[orientation](on_white(RGB, ALPHA)))


@pytest.mark.parametrize("format", ["JPEG", "TIFF", "PNG"])
@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 8])
def test_orientation_turns_the_resolution_too(format, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    dpi = read(file_of(Image.fromarray(RGB), format, exif=exif, dpi=(300, 150))).dpi
    assert dpi == pytest.approx((150, 300) if orientation >= 5 else (300, 150), abs=0.02)


def test_a_tiff_without_resolution_gets_none():
    assert read(file_of(Image.fromarray(RGB), "TIFF")).dpi is None


@pytest.mark.parametrize("hidden", ["getexif", "xmp", "raw profile"])
def test_orientation_in_other_places(hidden):
    image = Image.fromarray(RGB)
    exif = Image.Exif()
    exif[0x0112] = 6
    if hidden == "getexif":
        image.getexif()[0x0112] = 6
    elif hidden == "xmp":
        image.info["xmp"] = b'<x xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    else:
        image.info["Raw profile type exif"] = "\nexif\n 0\n" + exif.tobytes().hex()
    assert imaging.picture_from_image(image).rgb.shape == (9, 6, 3)


def swapped_profile():
    """The sRGB profile with the columns of red and blue exchanged."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert data.count(b"rXYZ") == data.count(b"bXYZ") == 1
    return data.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_icc_profile_is_applied(format):
    pixels = np.dstack([RGB, np.full_like(ALPHA, 255)])
    pixels[0, 0, 3] = 100
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    picture = read(file_of(Image.fromarray(pixels), format, icc_profile=swapped_profile(), **options))
    expected = on_white(RGB[..., ::-1], pixels[..., 3])
    assert np.abs(picture.rgb - expected).max() <= 1
    np.testing.assert_array_equal(picture.alpha, pixels[..., 3])


def test_an_icc_profile_that_is_nearly_srgb_is_applied():
    """One with a curve of 2.3 instead of 2.4, by 5 levels at most; held against the library that applies it."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    curve = struct.pack(">4sIHHi", b"para", 0, 3, 0, round(2.4 * 65536))
    assert data.count(curve) >= 1
    data = data.replace(curve, struct.pack(">4sIHHi", b"para", 0, 3, 0, round(2.3 * 65536)))
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    profiles = ImageCms.ImageCmsProfile(io.BytesIO(data)), ImageCms.createProfile("sRGB")
    expected = np.asarray(ImageCms.profileToProfile(Image.fromarray(ramp), *profiles)).astype(int)
    assert 3 <= np.abs(expected - ramp).max() <= 5
    assert np.abs(read(file_of(Image.fromarray(ramp), icc_profile=data)).rgb - expected).max() <= 1


def test_gray_icc_profile():
    """A profile of gamma 1.0 brightens mid gray to the sRGB code of 0.2 light."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    data[16:20] = b"GRAY"
    tags = [b"desc", b"wtpt", b"kTRC"]
    curve = b"curv" + bytes(8)  # no entries: the identity
    text = b"desc\0\0\0\0\0\0\0\x02x\0" + bytes(12 + 67)
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    offset, table, body = 132 + 12 * len(tags), b"", b""
    for tag, content in zip(tags, (text, white, curve), strict=True):
        content += bytes(-len(content) % 4)
        table += tag + struct.pack(">2I", offset + len(body), len(content))
        body += content
    profile = bytes(data[:128]) + struct.pack(">I", len(tags)) + table + body
    profile = struct.pack(">I", len(profile)) + profile[4:]
    picture = read(file_of(Image.new("L", (2, 2), 51), icc_profile=profile))
    assert np.abs(picture.rgb.astype(int) - 124).max() <= 1  # 0.2 in linear light is 124 in sRGB


@pytest.mark.parametrize("kind", ["sRGB", "broken", "empty", "gray on color"])
def test_icc_profiles_that_change_nothing(kind):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = {"sRGB": srgb, "broken": srgb[:200], "empty": b"x", "gray on color": srgb[:16] + b"GRAY" + srgb[20:]}[
        kind
    ]
    np.testing.assert_array_equal(read(file_of(Image.fromarray(RGB), icc_profile=profile)).rgb, RGB)


# --- bad files -------------------------------------------------------------------------------------


def refused(path, *parts, **options):
    with pytest.raises(InputError) as caught:
        imaging.open_picture(path, **options)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    for part in parts:
        assert part in message


def test_bad_paths(tmp_path):
    refused(tmp_path / "none.png", "No such file")
    refused(tmp_path, "folder")
    (tmp_path / "text.png").write_text("P\nthis is no picture")
    refused(tmp_path / "text.png", "not a picture")
    (tmp_path / "empty.png").touch()
    refused(tmp_path / "empty.png", "empty")
    with pytest.raises(InputError, match=r"a\\nb"):
        imaging.open_picture(tmp_path / "a\nb.png")
    with pytest.raises(InputError, match=r"\\x00"):
        imaging.open_picture(Path("a\0b.png"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to become nobody")
def test_permission_denied(tmp_path):
    path = tmp_path / "secret.png"
    path.write_bytes(file_of(Image.fromarray(RGB)))
    path.chmod(0o600)
    os.seteuid(65534)
    try:
        refused(path, "Permission denied")
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM"])
def test_truncated(format, tmp_path):
    image = Image.fromarray(RANDOM.integers(0, 256, (30, 40, 3), dtype=np.uint8))
    data = file_of(image, format)
    path = tmp_path / "cut.png"
    for kept in [*range(1, len(data) - 3, len(data) // 30), len(data) - 3]:
        path.write_bytes(data[:kept])
        refused(path)
    if format in ("PNG", "JPEG"):  # elsewhere the last two bytes hold no pixels
        for kept in range(len(data) - 40, len(data)):
            path.write_bytes(data[:kept])
            refused(path)


def test_too_many_pixels(tmp_path):
    path = tmp_path / "large.png"
    path.write_bytes(file_of(Image.fromarray(RGB)))
    refused(path, "54 pixels", "limit of 53", "--max-pixels", max_pixels=53)
    assert imaging.open_picture(path, max_pixels=54).rgb.shape == (6, 9, 3)
    path.write_bytes(png(100_000, 100_000, 8, 0, [b""]))
    refused(path, "10000000000 pixels", "150000000")


def test_limit_of_pil_is_not_ours(monkeypatch):
    """PIL warns above its global limit and refuses above twice that; only max_pixels counts here."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read(file_of(Image.fromarray(RGB))).rgb.shape == (6, 9, 3)


def test_large_frames_are_no_reason_to_warn(monkeypatch):
    """Where a frame of a GIF is larger than its screen PIL looks at its own limit, which warns or refuses."""
    data = bytearray(file_of(Image.fromarray(GRAY), "GIF"))
    data[6:10] = b"\1\0\1\0"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    assert read(bytes(data)).rgb.shape == (6, 9, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(InputError, match="too large for the library"):
        read(bytes(data))


@pytest.mark.skipif(not (Path(Image.__file__).parents[1] / "pillow.libs").exists(), reason="libtiff lies elsewhere")
def test_reading_prints_nothing(tmp_path):
    """libtiff, PIL's log and PIL's warnings would each write to stderr; pytest catches two of them, so: a process."""
    tiff = file_of(Image.fromarray(RGB), "TIFF", compression="tiff_adobe_deflate")
    samples = b"\x15\x01\x03\0\x01\0\0\0"
    assert tiff[8:10] == b"\x78\x9c" and samples + b"\x03" in tiff
    files = {
        "strip.tif": tiff[:12] + b"????" + tiff[16:],
        "samples.tif": tiff.replace(samples + b"\x03", samples + b"\xff"),
        "exif.png": png_with_damaged_exif(),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    program = (
        "import sys, pathlib\nfrom pixelpainter import errors, imaging\nfor name in sys.argv[1:]:\n"
        "    try: imaging.open_picture(pathlib.Path(name))\n    except errors.InputError: print('refused', name)"
    )
    command = [sys.executable, "-W", "always::UserWarning", "-c", program, *files]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("refused strip.tif\nrefused samples.tif\n", "")


def png_with_damaged_exif():
    exif = Image.Exif()
    exif[0x010E] = "a description that is long enough to lie outside the directory"
    return file_of(Image.fromarray(RGB), "PNG", exif=exif.tobytes()[:-30])


def test_damaged_metadata_is_no_reason_to_refuse():
    damaged = png_with_damaged_exif()
    with (
        pytest.warns(UserWarning, match="orrupt EXIF|Tag data larger|Truncated"),
        Image.open(io.BytesIO(damaged)) as image,
    ):
        image.getexif()
    np.testing.assert_array_equal(read(damaged).rgb, RGB)


VALID = [
    file_of(Image.fromarray(np.dstack([RGB, ALPHA])), dpi=(72, 72), icc_profile=swapped_profile()),
    file_of(Image.fromarray(GRAY).convert("P"), transparency=b"\x10\x20"),
    file_of(
        Image.fromarray(RGB), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    ),
    file_of(Image.fromarray(RGB), "JPEG", progressive=True),
    file_of(Image.fromarray(np.dstack([RGB, ALPHA])), "WEBP"),
    file_of(Image.fromarray(RGB), "TIFF", compression="tiff_adobe_deflate", dpi=(72, 72)),
    file_of(Image.fromarray(RGB), "TIFF"),
    file_of(Image.fromarray(GRAY.astype(np.uint16)), "TIFF", compression="tiff_lzw"),
    file_of(Image.fromarray(RGB), "GIF"),
    file_of(Image.fromarray(RGB), "BMP"),
    file_of(Image.fromarray(RGB), "PPM"),
    file_of(Image.fromarray(RGB).convert("1"), "PPM"),
    b"Pf 2 1 -1.0\n" + struct.pack("<2f", 0.5, 1),
]


def picture_or_refusal(data):
    try:
        picture = imaging.open_picture(io.BytesIO(data), max_pixels=1_000_000)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        height, width, channels = picture.rgb.shape
        assert channels == 3 and height * width >= 1 and picture.rgb.dtype == np.uint8
        assert picture.alpha is None or picture.alpha.shape == (height, width)


STARTS = [b"", *(data[:16] for data in VALID)]


@settings(max_examples=150)
@given(st.sampled_from(STARTS), st.binary(max_size=200))
def test_random_bytes(start, rest):
    picture_or_refusal(start + rest)


@settings(max_examples=500)
@given(st.sampled_from(VALID), st.data())
def test_mutated_files(data, draw):
    mutated = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        place = draw.draw(st.integers(0, len(mutated) - 1))
        mutated[place : place + draw.draw(st.integers(0, 4))] = draw.draw(st.binary(max_size=4))
        if not mutated:
            break
    picture_or_refusal(bytes(mutated))


def test_many_threads():
    wrong = []

    def work(number):
        for _ in range(20):
            data = VALID[number % 2]
            if not np.array_equal(read(data).rgb, expected[number % 2]):
                wrong.append(number)

    expected = [read(VALID[0]).rgb, read(VALID[1]).rgb]
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# --- letterbox -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "height, width, box",
    [
        (1, 1, imaging.Letterbox(64, 0, 0, 64, 64)),
        (10, 20000, imaging.Letterbox(64, 31, 0, 1, 64)),
        (20000, 10, imaging.Letterbox(64, 0, 31, 64, 1)),
        (100, 50, imaging.Letterbox(64, 0, 16, 64, 32)),
        (30, 40, imaging.Letterbox(64, 8, 0, 48, 64)),
        (64, 64, imaging.Letterbox(64, 0, 0, 64, 64)),
    ],
)
@pytest.mark.parametrize("shape", [(), (1,), (3,), (4,)])
def test_letterbox(height, width, box, shape):
    square, where = imaging.letterbox(np.full((height, width, *shape), 40, np.uint8), 64, 200)
    assert where == box and square.shape == (64, 64, *shape) and square.dtype == np.uint8
    inside = np.zeros((64, 64), bool)
    inside[box.top : box.top + box.height, box.left : box.left + box.width] = True
    assert (square[inside] == 40).all() and (square[~inside] == 200).all()


def test_letterbox_averages_area():
    """A one-pixel line, shrunk four times, keeps a quarter of its ink wherever it lies."""
    for column in range(4):
        page = np.full((64, 64), 255, np.uint8)
        page[:, 32 + column] = 0
        square, _ = imaging.letterbox(page, 16, 255)
        assert (square[:, 8] == 191).all() and (np.delete(square, 8, axis=1) == 255).all()


def test_letterbox_fill_and_arguments():
    square, _ = imaging.letterbox(RGB[:, ::-1], 9, (1, 2, 3))
    assert (square[0] == [1, 2, 3]).all() and (square[1:7] == RGB[:, ::-1]).all()
    for array, side in ((RGB, 0), (RGB[:0], 9), (RGB / 255, 9), (RGB[0, 0], 9), (RGB.repeat(2, axis=2), 9)):
        with pytest.raises(ValueError, match="expected uint8"):
            imaging.letterbox(array, side, 0)
