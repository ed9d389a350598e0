import cv2
import numpy as np
import pytest
from conftest import load, save_figure
from PIL import Image

from pixelpainter.errors import InputError
from pixelpainter.palette import Swatch
from pixelpainter.places import features_of, find_places
from pixelpainter.reference import SIDE_PX, Reference, read_reference
from pixelpainter.settings import Settings

SKIN, HAIR, DRESS = (242, 205, 180), (60, 90, 200), (200, 40, 60)
SIDE = 128


def floors(*colors, left=24, right=104):
    """Return a drawing of a house, 0 line and 255 paper, and a picture with one color per floor, top to bottom."""
    drawing, color = np.full((SIDE, SIDE), 255, np.uint8), np.full((SIDE, SIDE, 3), 255, np.uint8)
    edges = np.linspace(16, 112, len(colors) + 1).round().astype(int)
    for top, bottom, fill in zip(edges, edges[1:], colors, strict=False):
        color[top:bottom, left:right] = fill
        drawing[top : bottom + 2, left:right] = 0
        drawing[top + 2 : bottom, left + 2 : right - 2] = 255
    return drawing, color


def painted(color, amount):
    """Return what a network may make of a picture: the same with other, pale colors."""
    return (255 - (255 - color[..., ::-1].astype(np.float32)) * amount) / 255


def test_a_reference_is_read_small_and_known_by_its_content(tmp_path):
    first, second = (
        read_reference(save_figure(tmp_path / "a.png", SKIN, HAIR, dress)) for dress in (DRESS, (90, 200, 40))
    )
    assert max(first.rgb.shape) == SIDE_PX and len(first.palette) == 3
    assert first.digest != second.digest == Reference(second.rgb, first.palette).digest
    assert Settings(reference=first).palette == first.palette
    own = (Swatch(SKIN, 1.0),)
    assert Settings(reference=first, palette=own, exact=True).palette == own
    assert Settings(reference=first).described()["reference"] == first.digest


def test_a_reference_needs_color(tmp_path, drawings):
    for path in (drawings / "cat.png", save_figure(tmp_path / "p.png", (90, 90, 90), (200, 200, 200))):
        with pytest.raises(InputError, match="has no colors to take over"):
            read_reference(path)
    with pytest.raises(InputError, match="cannot be opened"):
        read_reference(tmp_path / "none.png")


def test_the_lines_of_a_finished_picture():
    drawing, color = floors(SKIN, HAIR, DRESS)
    found = Reference(np.where(drawing[..., None] == 0, np.uint8(40), color), ()).drawing()
    assert cv2.erode(found, np.ones((5, 5), np.uint8))[drawing == 0].mean() < 100
    assert found[40, 60] > 250 and found[5, 5] > 250


def test_regions_take_the_color_of_what_they_look_like():
    colors = (HAIR, SKIN, DRESS)
    drawing, truth = floors(*colors)
    places = find_places(features_of([painted(truth, 0.4)]), drawing, truth, (*colors, (255, 255, 255)))
    other, wanted = floors(*colors, left=10, right=70)
    found = places.choose(features_of([painted(wanted, 0.4)]), other)
    for row, number in ((30, 0), (64, 1), (96, 2)):
        assert found[row, 40] == number
    assert found[30, 110] == len(colors) + 1 == places.colors  # the page
    assert (found[other == 0] == places.colors).all()  # lines stay


def test_height_tells_what_the_network_does_not():
    colors = (HAIR, SKIN, DRESS)
    drawing, truth = floors(*colors)
    gray = np.where(truth == 255, np.uint8(255), np.uint8(150))
    places = find_places(features_of([painted(gray, 1)]), drawing, truth, colors)
    found = places.choose(features_of([painted(gray, 1)]), drawing)
    assert [found[row, 60] for row in (30, 64, 96)] == [0, 1, 2]


def test_small_regions_stay(monkeypatch):
    colors = (HAIR, SKIN, DRESS, DRESS)
    drawing, truth = floors(*colors[:3])
    features = features_of([painted(truth, 0.4)])
    places = find_places(features, drawing, truth, colors)
    assert places.choose(features, drawing)[64, 40] == 1
    monkeypatch.setattr("pixelpainter.places.SMALLEST_REGION", 3000)
    assert (places.choose(features, drawing) == places.colors).all()


@pytest.mark.parametrize("value", [0, 255])
def test_drawings_without_regions(value):
    drawing, truth = floors(HAIR, SKIN)
    places = find_places(features_of([painted(truth, 0.4)]), drawing, truth, (HAIR, SKIN))
    empty = np.full_like(drawing, value)
    found = places.choose(features_of([np.ones((SIDE, SIDE, 3), np.float32)]), empty)
    assert (found == places.colors).all()


@pytest.mark.parametrize("model", ["plain_model", "hint_model"])
def test_the_command(command, drawings, request, tmp_path, model):
    reference = save_figure(tmp_path / "finished.png", HAIR, SKIN, DRESS)
    arguments = ["colorize", drawings / "girl.png", "--model", request.getfixturevalue(model), "--lines", "none"]
    assert command(*arguments, "-o", tmp_path / "plain.png").status == 0
    assert command(*arguments, "-o", tmp_path / "a.png", "--reference", reference, "--jobs", 1).status == 0
    assert command(*arguments, "-o", tmp_path / "b.png", "--reference", reference).status == 0
    plain, first, second = (np.asarray(load(tmp_path / name)) for name in ("plain.png", "a.png", "b.png"))
    np.testing.assert_array_equal(first, second)

    def away(picture):
        colors = (HAIR, SKIN, DRESS, (255, 255, 255))
        return np.min([np.abs(picture.astype(int) - color).max(axis=2) for color in colors], axis=0).mean()

    assert away(first) < 0.5 * away(plain)


def test_all_black_and_one_pixel_references(command, drawings, plain_model, tmp_path):
    Image.new("RGB", (1, 1), HAIR).save(tmp_path / "one.png")
    done = command("colorize", drawings / "girl.png", "--model", plain_model, "--reference", tmp_path / "one.png")
    assert done.status == 1 and "no colors to take over" in done.err
