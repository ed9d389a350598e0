"""Layers give the picture again, in our own compositor, in one written from the specification, and in psd-tools."""

import io
import sys
import zipfile
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from psd_tools import PSDImage
from psd_tools.psd import PSD

from pixelpainter.errors import MissingExtraError, OutputError
from pixelpainter.imaging import open_picture
from pixelpainter.layers import LAYER_FILES, Layer, build_layers, composite, encode_layers

RANDOM = np.random.default_rng(3)
NAMES = ["flats", "shading", "light", "lines"]
EDGES = [0, 1, 2, 3, 127, 128, 252, 253, 254, 255]


def noise(*shape):
    return RANDOM.integers(0, 256, shape, dtype=np.uint8)


def darkened(color, ink):
    """Multiply lines over color, as the colorizer does."""
    return ((color.astype(int) * ink[..., None] * 2 + 255) // 510).astype(np.uint8)


def largest_difference(first, second):
    return int(np.abs(first.astype(int) - second).max(initial=0))


def drawing(height=40, width=30):
    """Return picture, ink, flats, color: soft shading and lines of every strength, over four regions."""
    color = noise(height, width, 3) // 4 + 150
    ink = np.where(RANDOM.random((height, width)) < 0.4, noise(height, width), 255).astype(np.uint8)
    flats = noise(2, 2, 3).repeat(height // 2, axis=0).repeat(width // 2, axis=1)
    return darkened(color, ink), ink, flats, color


def soft_alpha(height=40, width=30):
    alpha = np.full((height, width), 255, np.uint8)
    alpha[:, :4], alpha[:, 4], alpha[:, 5] = 0, 60, 200
    return alpha


def stored(layers, format, **options):
    (data,) = encode_layers(layers, format, **options)
    return io.BytesIO(data)


def by_the_specification(layers, rounding):
    """Composite (operator, (H, W, 4) uint8) from bottom to top by the formulas that OpenRaster refers to, in double.

    Source: W3C Compositing and Blending Level 1, 5.8 (source over with blending) and 9.1.14 (lighter).
    """
    height, width = layers[0][1].shape[:2]
    color, cover = np.zeros((height, width, 3)), np.zeros((height, width, 1))
    for operator, pixels in layers:
        source, opacity = pixels[..., :3] / 255, pixels[..., 3:] / 255
        if operator == "svg:plus":
            total = np.minimum(1, opacity + cover)
            premultiplied = np.minimum(1, opacity * source + cover * color)
        else:
            blended = {"svg:src-over": source, "svg:multiply": source * color}[operator]
            total = opacity + cover * (1 - opacity)
            premultiplied = opacity * (1 - cover) * source + opacity * cover * blended + (1 - opacity) * cover * color
        color = premultiplied / np.where(total > 0, total, 1)
        if rounding == "after each layer":
            color = np.floor(color * 255 + 0.5) / 255
        cover = total
    down = 1e-9 if rounding == "down" else 0.5
    return np.floor(np.dstack([color, cover]) * 255 + down).astype(int)


def operators_of(layers):
    names = {"normal": "svg:src-over", "multiply": "svg:multiply", "add": "svg:plus"}
    for layer in layers:
        alpha = np.full(layer.rgb.shape[:2], 255, np.uint8) if layer.alpha is None else layer.alpha
        yield names[layer.blend], np.dstack([layer.rgb, alpha])


def assert_gives(layers, rgb, alpha=None):
    """Every way of rounding gives the picture within one level; ours, after each layer, gives it exactly."""
    visible = np.ones(rgb.shape[:2], bool) if alpha is None else alpha > 0
    ours, cover = composite(layers)
    assert np.array_equal(ours[visible], rgb[visible])
    assert cover is None if alpha is None else np.array_equal(cover, alpha)
    for rounding, tolerance in (("after each layer", 0), ("at the end", 1), ("down", 1)):
        theirs = by_the_specification(list(operators_of(layers)), rounding)
        assert largest_difference(theirs[visible][:, :3], rgb[visible]) <= tolerance, rounding
        assert np.array_equal(theirs[..., 3], np.full(rgb.shape[:2], 255) if alpha is None else alpha)


@pytest.mark.parametrize("flat", EDGES)
def test_every_level_over_every_ink(flat):
    value, ink = np.mgrid[:256, :256].astype(np.uint8)
    rgb = np.dstack([value, value, value])
    flats = np.full_like(rgb, flat)
    assert_gives(build_layers(rgb, ink, flats), rgb)


@given(st.data())
@settings(max_examples=40)
def test_any_arrays(data):
    size = data.draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    levels = st.one_of(st.sampled_from(EDGES), st.integers(0, 255))

    def picture(*shape):
        return data.draw(arrays(np.uint8, shape, elements=levels))

    rgb, ink, flats, color = picture(*size, 3), picture(*size), picture(*size, 3), picture(*size, 3)
    alpha = data.draw(st.none() | arrays(np.uint8, size, elements=levels))
    assert_gives(build_layers(rgb, ink, flats, alpha, color=color), rgb, alpha)


def test_what_the_layers_are():
    rgb, ink, flats, _ = drawing()
    layers = build_layers(rgb, ink, flats)
    assert [(layer.name, layer.blend) for layer in layers] == list(
        zip(NAMES, ["normal", "multiply", "add", "normal"], strict=True)
    )
    assert layers[0].alpha is None and np.array_equal(layers[0].rgb, flats)
    assert np.array_equal(layers[3].alpha, 255 - ink) and not layers[3].rgb.any()  # black, as dark as drawn
    for layer, nothing in ((layers[1], 255), (layers[2], 0)):
        assert np.array_equal(layer.alpha == 255, (layer.rgb != nothing).any(axis=2))
        assert set(np.unique(layer.alpha)) == {0, 255}
    assert_gives(layers, rgb)


def test_a_known_color_goes_on_under_lines():
    rgb, ink, flats, color = drawing()
    assert (ink < 60).any()
    layers = build_layers(rgb, ink, flats, color=color)
    assert np.array_equal(composite(layers[:3])[0], color)
    assert largest_difference(composite(build_layers(rgb, ink, flats)[:3])[0], color) > 20  # flats under dark lines


def test_flats_go_on_under_black():
    ink, flats = np.zeros((1, 1), np.uint8), np.uint8([[[200, 100, 50]]])
    layers = build_layers(np.zeros((1, 1, 3), np.uint8), ink, flats)
    assert np.array_equal(composite(layers[:3])[0], flats)


def test_colored_lines_keep_their_color():
    rgb, flats = np.uint8([[[180, 30, 20]]]), np.uint8([[[250, 240, 230]]])
    layers = build_layers(rgb, np.uint8([[0]]), flats)
    assert np.array_equal(layers[3].rgb, rgb) and np.array_equal(composite(layers[:3])[0], flats)
    layers = build_layers(rgb, np.uint8([[100]]), flats)
    assert layers[3].rgb[0, 0, 0] > layers[3].rgb[0, 0, 1]
    assert_gives(layers, rgb)


def test_transparent_drawings():
    rgb, ink, flats, color = drawing()
    alpha = soft_alpha()
    layers = build_layers(rgb, ink, flats, alpha, color=color)
    outside, partly = alpha == 0, (alpha > 0) & (alpha < 255)
    assert all(not layer.alpha[outside].any() for layer in layers)
    assert not layers[1].alpha[partly].any() and not layers[2].alpha[partly].any()
    assert np.array_equal(layers[3].alpha[partly] > 0, ink[partly] < 255)
    assert np.array_equal(layers[0].alpha[partly] > 0, ink[partly] == 255)
    assert_gives(layers, rgb, alpha)


def test_the_arguments_are_left_alone():
    given = [*drawing()[:3], soft_alpha()]
    kept = [array.copy() for array in given]
    composite(build_layers(*given))
    assert all(np.array_equal(one, other) for one, other in zip(given, kept, strict=True))


def test_composite_of_partly_transparent_layers():
    rgb = noise(9, 8, 3)
    layers = [
        Layer("a", "normal", rgb),
        Layer("b", "multiply", noise(9, 8, 3), noise(9, 8)),
        Layer("c", "add", noise(9, 8, 3)),
        Layer("d", "normal", noise(9, 8, 3), noise(9, 8)),
    ]
    theirs = by_the_specification(list(operators_of(layers)), "after each layer")
    assert largest_difference(composite(layers)[0], theirs[..., :3]) == 0


@pytest.mark.parametrize("alpha", [None, soft_alpha()], ids=["opaque", "transparent"])
def test_openraster(alpha):
    rgb, ink, flats, color = drawing()
    layers = build_layers(rgb, ink, flats, alpha, color=color)
    with zipfile.ZipFile(stored(layers, "ora", dpi=(300, 150.4))) as archive:
        assert archive.testzip() is None
        first = archive.infolist()[0]
        assert (first.filename, first.compress_type, first.header_offset) == ("mimetype", zipfile.ZIP_STORED, 0)
        assert archive.read("mimetype") == b"image/openraster" and not first.extra
        image = ElementTree.fromstring(archive.read("stack.xml"))
        assert image.tag == "image" and image.attrib == {
            "version": "0.0.3", "w": "30", "h": "40", "xres": "300", "yres": "150",
        }  # fmt: skip
        entries = list(image.find("stack"))
        assert [entry.get("name") for entry in entries] == NAMES[::-1]  # top first
        assert all((entry.get("x"), entry.get("y"), float(entry.get("opacity"))) == ("0", "0", 1) for entry in entries)
        assert {entry.get("src") for entry in entries} == {
            name for name in archive.namelist() if name.startswith("data/")
        }
        read = [
            (entry.get("composite-op"), np.asarray(Image.open(archive.open(entry.get("src"))).convert("RGBA")))
            for entry in reversed(entries)
        ]
        theirs = by_the_specification(read, "at the end")
        merged = np.asarray(Image.open(archive.open("mergedimage.png")).convert("RGBA"))
        thumbnail = Image.open(archive.open("Thumbnails/thumbnail.png"))
    visible = slice(None) if alpha is None else alpha > 0
    assert largest_difference(theirs[..., :3][visible], rgb[visible]) <= 1
    assert np.array_equal(merged[..., :3][visible], rgb[visible])
    assert np.array_equal(merged[..., 3], theirs[..., 3])
    assert thumbnail.size == (30, 40) and thumbnail.mode == ("RGB" if alpha is None else "RGBA")


@pytest.mark.parametrize(("size", "small"), [((600, 300), (256, 128)), ((1, 1000), (1, 256)), ((256, 20), (256, 20))])
def test_thumbnails_are_as_large_as_may_be(size, small):
    width, height = size
    flats = np.full((height, width, 3), 90, np.uint8)
    with zipfile.ZipFile(stored([Layer("flats", "normal", flats)], "ora")) as archive:
        thumbnail = Image.open(archive.open("Thumbnails/thumbnail.png"))
    assert thumbnail.size == small and thumbnail.getpixel((0, 0)) == (90, 90, 90)


@pytest.mark.parametrize("alpha", [None, soft_alpha()], ids=["opaque", "transparent"])
def test_photoshop(alpha):
    rgb, ink, flats, color = drawing()
    layers = build_layers(rgb, ink, flats, alpha, color=color)
    stream = stored(layers, "psd", dpi=(300, 150))
    document = PSDImage.open(stream)
    modes = ["NORMAL", "MULTIPLY", "LINEAR_DODGE", "NORMAL"]
    assert [(layer.name, layer.blend_mode.name) for layer in document] == list(zip(NAMES, modes, strict=True))
    assert all(layer.visible and layer.opacity == 255 for layer in document)
    theirs = np.asarray(document.composite(force=True).convert("RGBA"))
    visible = np.ones(ink.shape, bool) if alpha is None else alpha > 0
    assert largest_difference(theirs[visible][:, :3], rgb[visible]) <= 1
    assert largest_difference(theirs[..., 3], 255 if alpha is None else alpha) <= 1
    for layer, pixels in zip(document, layers, strict=True):
        read = layer.numpy()  # 0 to 1
        assert np.array_equal(np.rint(read[..., :3] * 255), pixels.rgb)
        assert np.array_equal(
            np.rint(read[..., 3] * 255), np.full(ink.shape, 255) if pixels.alpha is None else pixels.alpha
        )
    stream.seek(0)
    count = PSD.read(stream).layer_and_mask_information.layer_info.layer_count
    assert count == (4 if alpha is None else -4)  # negative: the merged picture's fourth channel is its transparency
    # PIL reads the merged picture, by code of its own; what is transparent is mixed with white there.
    merged = Image.open(stream)
    assert merged.format == "PSD" and merged.size == (30, 40)
    opaque = visible if alpha is None else alpha == 255
    assert np.array_equal(np.asarray(merged.convert("RGB"))[opaque], rgb[opaque])
    if alpha is not None:
        assert np.array_equal(np.asarray(merged)[..., 3], alpha)
        assert (np.asarray(merged)[alpha == 0][:, :3] == 255).all()
    assert document.image_resources[1005].data.horizontal == 300 << 16
    assert document.image_resources[1005].data.vertical == 150 << 16


def test_one_pixel_in_every_format():
    layers = build_layers(np.uint8([[[9, 8, 7]]]), np.uint8([[255]]), np.uint8([[[1, 8, 90]]]))
    assert [len(encode_layers(layers, format)) for format in ("ora", "psd", "png")] == [1, 1, 4]
    assert PSDImage.open(stored(layers, "psd")).composite(force=True).getpixel((0, 0))[:3] == (9, 8, 7)
    assert_gives(layers, np.uint8([[[9, 8, 7]]]))


def test_png_files():
    rgb, ink, flats, _ = drawing()
    layers = build_layers(rgb, ink, flats, soft_alpha())
    names = [f"{number}_{layer.name}" for number, layer in enumerate(layers, 1)]
    assert [name.removesuffix(".png").removesuffix("_multiply").removesuffix("_add") for name in LAYER_FILES] == names
    for data, layer in zip(encode_layers(layers, "png", dpi=(300, 300)), layers, strict=True):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), np.dstack([layer.rgb, layer.alpha]))
        assert open_picture(io.BytesIO(data)).dpi == pytest.approx((300, 300), abs=0.02)
    opaque = encode_layers(build_layers(255 - rgb, ink, flats), "png")
    assert open_picture(io.BytesIO(opaque[0])).alpha is None


@pytest.mark.parametrize("format", ["ora", "psd"])
def test_equal_layers_give_equal_files(format):
    layers = build_layers(*drawing()[:3])
    assert encode_layers(layers, format, dpi=(72, 72)) == encode_layers(layers, format, dpi=(72, 72))


def test_what_psd_cannot_hold(monkeypatch):
    wide = [Layer("flats", "normal", np.zeros((1, 30_001, 3), np.uint8))]
    with pytest.raises(OutputError, match=r"30001x1 pixels are too many for PSD.*use ora"):
        encode_layers(wide, "psd")
    monkeypatch.setattr("pixelpainter.layers.photoshop._MOST_BYTES", 1000)
    with pytest.raises(OutputError, match=r"layers of 30x40 pixels take more than .*use ora"):
        encode_layers(build_layers(*drawing()[:3]), "psd")


def test_psd_without_psd_tools(monkeypatch):
    monkeypatch.setitem(sys.modules, "psd_tools.constants", None)
    layers = build_layers(*drawing()[:3])
    with pytest.raises(
        MissingExtraError, match=r"`pixelpainter colorize --layers psd` needs .* psd-tools: .*\[layers\]"
    ):
        encode_layers(layers, "psd")
    encode_layers(layers, "ora")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rgb": noise(4, 5)}, "rgb is uint8 (4, 5)"),
        ({"rgb": noise(4, 5, 3).astype(float)}, "rgb is float64"),
        ({"rgb": noise(0, 5, 3)}, "rgb is uint8 (0, 5, 3)"),
        ({"ink": noise(4, 6)}, "ink is uint8 (4, 6), not uint8 (4, 5)"),
        ({"flats": noise(4, 5, 4)}, "flats is uint8 (4, 5, 4), not uint8 (4, 5, 3)"),
        ({"alpha": noise(5, 4)}, "alpha is uint8 (5, 4), not uint8 (4, 5)"),
        ({"color": noise(4, 5)}, "color is uint8 (4, 5), not uint8 (4, 5, 3)"),
    ],
)
def test_wrong_arrays(change, message):
    arguments = {"rgb": noise(4, 5, 3), "ink": noise(4, 5), "flats": noise(4, 5, 3)} | change
    with pytest.raises(ValueError) as caught:
        build_layers(**arguments)
    assert message in str(caught.value)


def test_wrong_arguments():
    layers = build_layers(*drawing()[:3])
    with pytest.raises(ValueError, match="of one size are needed"):
        encode_layers([], "ora")
    with pytest.raises(ValueError, match="of one size are needed"):
        composite([*layers, Layer("more", "normal", noise(4, 5, 3))])
    with pytest.raises(ValueError, match="alpha is"):
        Layer("wrong", "normal", noise(4, 5, 3), noise(4, 6))
