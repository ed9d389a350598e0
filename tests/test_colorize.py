import dataclasses
import hashlib
import math
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import HINT_CARD, PLAIN_CARD, RAMP, SIZE, load, save_copy_model, save_hint_model, save_plain_model
from PIL import Image

from pixelpainter import Colorizer, ModelError
from pixelpainter.color import lab_from_bytes
from pixelpainter.devices import available_cpus, cgroup_cpus
from pixelpainter.errors import InputError
from pixelpainter.hints import Hint
from pixelpainter.imaging import open_picture, picture_from_array
from pixelpainter.palette import Swatch
from pixelpainter.session import Session
from pixelpainter.settings import Settings
from pixelpainter.strokes import Strokes


def page(width: int, height: int) -> Image.Image:
    """White paper with a black frame line at a quarter of the size from each edge."""
    pixels = np.full((height, width), 255, np.uint8)
    top, left = height // 4, width // 4
    pixels[top:-top, [left, -left]] = 0
    pixels[[top, -top], left:-left] = 0
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def plain(plain_model):
    return Colorizer(plain_model, threads=1)


@pytest.fixture(scope="module")
def hinted(hint_model):
    return Colorizer(hint_model, threads=1)


@pytest.mark.parametrize("size", [(300, 300), (400, 200), (90, 360), (64, 64), (37, 23)])
def test_the_answer_lies_where_the_drawing_lies(plain, size):
    width, height = size
    result = np.asarray(plain.colorize(page(*size), even=0), float)
    assert result.shape == (height, width, 3)
    scale = SIZE / max(size)
    for x, y in ((0.1, 0.1), (0.9, 0.1), (0.5, 0.5), (0.1, 0.9), (0.9, 0.9)):
        column = (x - 0.5) * width * scale + SIZE / 2 - 0.5
        row = (y - 0.5) * height * scale + SIZE / 2 - 0.5
        wanted = [np.interp(column, range(SIZE), RAMP[0, 0]), np.interp(row, range(SIZE), RAMP[1, :, 0]), 0.25]
        found = result[int(y * height), int(x * width)]
        np.testing.assert_allclose(found, (np.array(wanted) + 1) * 127.5, atol=8)


def test_the_network_sees_ink_and_paper(tmp_path):
    copy = Colorizer(save_copy_model(tmp_path / "copy.onnx"))
    drawing = np.full((SIZE // 2, SIZE), 255, np.uint8)
    drawing[5:20, 30:40], drawing[10, :] = 0, 128
    result = np.asarray(copy.colorize(drawing, lines="model", even=0, clean=False))
    np.testing.assert_allclose(result, drawing[..., None].repeat(3, axis=2), atol=1)


def test_the_network_sees_thin_lines_of_a_large_drawing(tmp_path):
    copy = Colorizer(save_copy_model(tmp_path / "copy.onnx"))
    drawing = np.full((SIZE * 8, SIZE * 8), 255, np.uint8)
    drawing[66:68, 100:400] = 0  # a quarter of the network's pixels there
    seen, untouched = (
        np.asarray(copy.colorize(drawing, lines="model", even=0, clean=clean))[67, 250, 0] for clean in (True, False)
    )
    assert seen < 90 and untouched > 160


def test_lines_are_the_drawings_own(plain):
    drawing = page(400, 200)
    result = np.asarray(plain.colorize(drawing))
    ink = np.asarray(drawing)
    assert (result[ink == 0] == 0).all()
    assert result[ink == 255].max(axis=-1).min() > 100
    assert np.asarray(plain.colorize(drawing, lines="none")).min() > 20
    assert np.asarray(plain.colorize(drawing, lines="model")).min() > 20  # this model draws no lines


def test_white_on_black_is_turned_unless_told_otherwise(plain):
    drawing = page(400, 200)
    negative = Image.fromarray(255 - np.asarray(drawing))
    turned = np.asarray(plain.colorize(negative), int)
    assert np.abs(turned - np.asarray(plain.colorize(drawing), int)).mean() < 3
    assert np.asarray(plain.colorize(negative, clean=False)).mean() < 20  # nearly everything is ink


def test_pictures_files_and_arrays_are_the_same(plain, drawings):
    image = load(drawings / "cat.png")
    wanted = np.asarray(plain.colorize(image))
    assert wanted.shape == (image.height, image.width, 3)
    for other in (np.asarray(image.convert("L")), np.asarray(image.convert("RGB")), open_picture(drawings / "cat.png")):
        np.testing.assert_array_equal(wanted, np.asarray(plain.colorize(other)))


def test_transparency_comes_back(plain):
    drawing = page(120, 80)
    alpha = Image.fromarray(np.tile(np.arange(120, dtype=np.uint8), (80, 1)))
    drawing = Image.merge("LA", (drawing, alpha))
    result = plain.colorize(drawing)
    assert result.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(result)[..., 3], np.asarray(alpha))


def test_a_turned_photograph_comes_back_upright(plain):
    drawing = page(120, 80)
    exif = drawing.getexif()
    exif[0x0112] = 6
    drawing.info["exif"] = exif.tobytes()
    assert plain.colorize(drawing).size == (80, 120)


def test_hints_reach_the_network(hinted):
    """The model paints everything in the mean color of its hints."""
    drawing = page(400, 200)
    no_hint = np.asarray(hinted.colorize(drawing))[5, 5]
    np.testing.assert_allclose(no_hint, 127.5, atol=1.5)
    hints = [Hint(30 + 30 * column, 20, (250, 10, 100)) for column in range(12)]
    one, few, many = (np.asarray(hinted.colorize(drawing, hints=hints[:count]), float) for count in (1, 5, 12))
    for result in (one, few, many):
        np.testing.assert_allclose(result[20, 30], hints[0].color, atol=2)
    np.testing.assert_allclose(one[100, 200], no_hint, atol=2)  # another region: one hint says nothing about it
    np.testing.assert_allclose(few[100, 200], (no_hint + hints[0].color) / 2, atol=2)
    np.testing.assert_allclose(many[100, 200], hints[0].color, atol=2)
    with pytest.raises(InputError, match="400 pixels wide and 200 high"):
        hinted.colorize(drawing, hints=[Hint(400, 0, (0, 0, 0))])


def test_a_model_without_hints_obeys_them(plain):
    hint = Hint(20, 20, (250, 10, 100))
    result = np.asarray(plain.colorize(page(40, 40), hints=[hint], lines="none"))
    np.testing.assert_allclose(result[20, 20], hint.color, atol=4)


def test_hints_are_places_of_the_upright_picture(plain):
    drawing = page(120, 80)
    exif = drawing.getexif()
    exif[0x0112] = 6
    drawing.info["exif"] = exif.tobytes()
    hint = Hint(20, 110, (250, 10, 100))
    result = np.asarray(plain.colorize(drawing, hints=[hint], lines="none"))
    np.testing.assert_allclose(result[110, 20], hint.color, atol=8)
    with pytest.raises(InputError, match="80 pixels wide and 120 high"):
        plain.colorize(drawing, hints=[Hint(110, 20, (0, 0, 0))])


def test_hints_cover_strokes(hinted, plain):
    rgb, mask = np.zeros((200, 400, 3), np.uint8), np.zeros((200, 400), bool)
    rgb[:], mask[20:180, 40:360] = (20, 200, 60), True
    strokes = [Strokes("s.png", rgb, mask)]
    drawing = page(400, 200)
    np.testing.assert_allclose(np.asarray(hinted.colorize(drawing, strokes=strokes))[5, 5], rgb[0, 0], atol=2)
    hint = Hint(200, 100, (250, 10, 100), 400)
    result = np.asarray(hinted.colorize(drawing, strokes=strokes, hints=[hint]))
    np.testing.assert_allclose(result[5, 5], hint.color, atol=2)
    with pytest.raises(InputError, match=r"s\.png: the strokes are 400x200 pixels, the drawing 30x40"):
        plain.colorize(page(30, 40), strokes=strokes)


def test_the_networks_own_picture_is_not_steered(hinted, plain):
    drawing = picture_from_array(np.full((SIZE, SIZE), 255, np.uint8))
    ramp = np.rint((RAMP.transpose(1, 2, 0) + 1) * 127.5)
    red = Settings(hints=(Hint(x=20, y=20, color=(255, 0, 0)),))
    assert np.abs(plain.network_picture(drawing, red) - ramp).max() <= 1  # it reads no hints
    assert np.array_equal(np.unique(hinted.network_picture(drawing, red).reshape(-1, 3), axis=0), [(255, 0, 0)])


def test_the_palette_reaches_the_network(hinted, plain, tmp_path):
    red = ((1.0, -1.0, -1.0, 0.75), (0.0, 0.0, 0.0, 0.25))
    drawing = page(40, 40)
    result = np.asarray(hinted.colorize(drawing, palette=np.array(red)))
    np.testing.assert_allclose(result[2, 2], [255, 0, 0], atol=1)
    swatches = [Swatch((255, 0, 0), 0.75), Swatch((128, 128, 128), 0.25)]
    np.testing.assert_array_equal(np.asarray(hinted.colorize(drawing, palette=swatches)), result)
    default = Colorizer(save_hint_model(tmp_path / "red.onnx", dataclasses.replace(HINT_CARD, default_palette=red)))
    np.testing.assert_array_equal(np.asarray(default.colorize(drawing)), result)
    blue = np.asarray(default.colorize(drawing, palette=[Swatch((0, 0, 255), 1)]))  # the user's own wins
    np.testing.assert_allclose(blue[2, 2], [0, 0, 255], atol=1)
    for wrong in (np.zeros((3, 3)), np.zeros(4), np.full((2, 4), np.nan)):
        with pytest.raises(ValueError, match="shape"):
            hinted.colorize(drawing, palette=wrong)


def test_a_model_without_palettes_uses_the_colors_all_the_same(plain, hinted):
    palette = [Swatch((200, 40, 60), 0.5), Swatch((60, 90, 200), 0.5)]
    drawing = Image.new("L", (64, 64), 255)
    wanted = np.array([swatch.color for swatch in palette], float)
    wanted -= wanted.mean(axis=1, keepdims=True)

    def distances(colorizer, **settings):
        rgb = np.asarray(colorizer.colorize(drawing, **settings)).astype(float)
        hue = rgb - rgb.mean(axis=2, keepdims=True)
        return np.linalg.norm(hue[:, :, None] - wanted, axis=3).min(axis=2)

    usual, without, exact = (
        distances(plain, **settings) for settings in ({}, {"palette": palette}, {"palette": palette, "exact": True})
    )
    assert np.median(without) < 0.6 * np.median(usual)
    np.testing.assert_array_equal(without, exact)
    for exact in (False, True):
        assert distances(hinted, palette=palette, exact=exact).max() < 3
    hint = Hint(32, 32, (10, 200, 10), 100)
    result = np.asarray(hinted.colorize(drawing, palette=palette, exact=True, hints=[hint]))
    np.testing.assert_allclose(result[32, 32], hint.color, atol=3)  # the hint wins
    with pytest.raises(ValueError, match="no colors to use"):
        plain.colorize(drawing, exact=True)


def test_saturation_changes_chroma_alone(plain):
    def lab(**settings):
        return lab_from_bytes(np.asarray(plain.colorize(page(64, 64), lines="model", even=0, **settings)))

    before, weak, gray = lab(), lab(saturation=0.5), lab(saturation=0)
    np.testing.assert_allclose(weak[..., 0], before[..., 0], atol=0.6)
    np.testing.assert_allclose(weak[..., 1:], before[..., 1:] / 2, atol=0.9)
    assert np.abs(gray[..., 1:]).max() < 0.5
    assert (
        np.hypot(*np.moveaxis(lab(saturation=1.5), 2, 0)[1:]).mean()
        > 1.1 * np.hypot(before[..., 1], before[..., 2]).mean()
    )
    hint = Hint(32, 32, (250, 10, 100), 100)
    hinted_gray = np.asarray(plain.colorize(page(64, 64), lines="model", saturation=0, hints=[hint]))
    np.testing.assert_allclose(hinted_gray[32, 32], hint.color, atol=8)
    for wrong in (-1, math.nan, math.inf):
        with pytest.raises(ValueError, match="saturation"):
            plain.colorize(page(9, 9), saturation=wrong)


def test_many_threads_at_once(hinted):
    jobs = [(page(60 + 7 * number, 80), Hint(3, 3, (9 * number, 255 - 9 * number, 128))) for number in range(24)]
    alone = [np.asarray(hinted.colorize(drawing, hints=[hint])) for drawing, hint in jobs]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda job: np.asarray(hinted.colorize(job[0], hints=[job[1]])), jobs))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_card_is_there(hinted, hint_model):
    assert hinted.card == HINT_CARD
    assert hinted.file == hint_model


def test_loading_in_the_background(hinted, hint_model, tmp_path):
    drawing = page(90, 60)
    colorizer = Colorizer(Session(hint_model))
    np.testing.assert_array_equal(np.asarray(colorizer.colorize(drawing)), np.asarray(hinted.colorize(drawing)))
    assert (colorizer.card, colorizer.device) == (hinted.card, hinted.device)
    with pytest.raises(ModelError, match=r"none\.onnx"):
        Session(tmp_path / "none.onnx")
    damaged = Colorizer(Session(save_plain_model(tmp_path / "foreign.onnx", None)))
    for _ in range(2):
        with pytest.raises(ModelError, match="has no PixelPainter model card"):
            damaged.colorize(drawing)


def test_the_hash_is_that_of_the_file(tmp_path):
    model = save_plain_model(tmp_path / "model.onnx")
    colorizer, digest = Colorizer(model), hashlib.sha256(model.read_bytes()).hexdigest()
    assert colorizer.model_hash == digest
    late = Colorizer(model)
    model.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        _ = late.model_hash


def test_the_hash_is_ready_when_it_is_asked_for(tmp_path):
    model = save_plain_model(tmp_path / "model.onnx")
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    session = Session(model, hashed=True)
    deadline = time.monotonic() + 30
    while "model_hash" not in vars(session) and time.monotonic() < deadline:
        time.sleep(0.01)
    model.unlink()
    assert Colorizer(session).model_hash == digest


def test_the_resolution_comes_back(plain):
    drawing = page(60, 40)
    drawing.info["dpi"] = (300, 150)
    assert plain.colorize(drawing).info["dpi"] == (300, 150)


def test_wrong_threads_are_the_callers_mistake(plain_model):
    with pytest.raises(ValueError, match="threads"):
        Colorizer(plain_model, threads=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reads": "luminance"}, "reads luminance"),
        ({"predicts": "ab"}, "predicts ab"),
        ({"hints": "rgb-mask"}, "input 'picture' is tensor"),
        ({"size": 32}, r"output 'color' is tensor\(float\) \[None, 3, 64, 64\]"),
        ({"palette": 6}, "inputs are picture, the model card asks for picture, palette"),
    ],
)
def test_card_and_graph_must_agree(tmp_path, changes, message):
    model = save_plain_model(tmp_path / "model.onnx", dataclasses.replace(PLAIN_CARD, **changes))
    with pytest.raises(ModelError, match=message):
        Colorizer(model)


def test_an_answer_without_numbers_is_refused(tmp_path):
    model = save_plain_model(tmp_path / "model.onnx", answer=np.full_like(RAMP, np.nan))
    with pytest.raises(ModelError, match="answer is no picture"):
        Colorizer(model).colorize(page(40, 40))


def test_foreign_files_are_no_models(tmp_path, drawings):
    with pytest.raises(ModelError, match="has no PixelPainter model card"):
        Colorizer(save_plain_model(tmp_path / "foreign.onnx", None))
    with pytest.raises(ModelError, match=r"girl\.png: this is no ONNX model"):
        Colorizer(drawings / "girl.png")
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(ModelError, match=r"empty\.onnx"):
        Colorizer(tmp_path / "empty.onnx")


@pytest.mark.parametrize(
    ("membership", "files", "cpus"),
    [
        ("0::/box\n", {"box/cpu.max": "150000 100000\n"}, 1.5),
        ("0::/box/inner\n", {"box/inner/cpu.max": "max 100000\n", "box/cpu.max": "200000 100000\n"}, 2),
        ("0::/elsewhere\n", {"cpu.max": "300000 100000\n"}, 3),  # a container sees its own group as the root
        ("0::/\n", {}, math.inf),
        ("0::/box\n", {"box/cpu.max": "nonsense"}, math.inf),
        ("4:cpu,cpuacct:/box\n", {"cpu/box/cpu.cfs_quota_us": "50000\n", "cpu/box/cpu.cfs_period_us": "100000\n"}, 0.5),
        ("4:cpu:/\n3:memory:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
    ],
)
def test_quotas_of_control_groups(tmp_path, membership, files, cpus):
    (tmp_path / "membership").write_text(membership)
    for name, text in files.items():
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).write_text(text)
    assert cgroup_cpus(tmp_path / "membership", tmp_path / "root") == cpus


def test_threads_respect_affinity(monkeypatch):
    assert available_cpus() >= 1
    monkeypatch.setattr("os.process_cpu_count", lambda: 1, raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {3}, raising=False)
    assert available_cpus() == 1
