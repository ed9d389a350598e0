import dataclasses

import numpy as np
import pytest

from pixelpainter.finish import Painting
from pixelpainter.hints import Hint, draw_hints
from pixelpainter.imaging import Letterbox
from pixelpainter.layers import composite
from pixelpainter.lines import Drawing
from pixelpainter.palette import Swatch
from pixelpainter.settings import Settings

SIDE = 96
BOX = Letterbox(side=64, top=0, left=0, height=64, width=64)


def painting(alpha=None, lines=lambda ink: ink):
    """Return two boxes side by side, each with a slope of light, the left one reddish and the right one bluish."""
    ink = np.full((SIDE, SIDE), 255, np.uint8)
    ink[8:11, 8:88] = ink[85:88, 8:88] = 0
    for x in (8, 46, 85):
        ink[8:88, x : x + 3] = 0
    color = np.ones((64, 64, 3), np.float32)
    color[6:58, 6:32], color[6:58, 32:58] = (0.9, 0.5, 0.4), (0.3, 0.4, 0.8)
    color[6:58] *= np.linspace(0.85, 1, 52, dtype=np.float32)[:, None, None]
    return Painting(Drawing(ink, ink, lines(ink)), alpha, color, BOX)


def soft_alpha():
    alpha = np.full((SIDE, SIDE), 255, np.uint8)
    alpha[:, :4], alpha[:, 4:6] = 0, 120
    return alpha


@pytest.mark.parametrize("lines", ["original", "none"])
@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("alpha", [None, soft_alpha()], ids=["opaque", "transparent"])
def test_the_layers_give_the_picture(lines, flat, alpha):
    settings, one = Settings(lines=lines, flat=flat), painting(alpha)
    layers = one.layers(settings)
    assert [layer.name for layer in layers] == ["flats", "shading", "light", "lines"]
    rgb, cover = composite(layers)
    seen = np.ones((SIDE, SIDE), bool) if alpha is None else alpha > 0
    np.testing.assert_array_equal(rgb[seen], one.picture(settings)[seen])
    if alpha is not None:
        np.testing.assert_array_equal(cover, alpha)
    assert bool(layers[3].alpha.any()) == (lines == "original")
    assert bool(layers[1].alpha.any() or layers[2].alpha.any()) == (not flat)


@pytest.mark.parametrize("alpha", [None, soft_alpha()], ids=["opaque", "transparent"])
def test_colored_lines_keep_their_color(alpha):
    sepia = np.array([112, 66, 20])
    one = painting(alpha, lambda ink: np.where(ink[..., None] < 255, sepia, 255).astype(np.uint8))
    inked = (one.drawing.ink == 0) & (alpha is None or alpha == 255)
    for settings in (Settings(), Settings(flat=True)):
        colors = one.picture(Settings(lines="none", flat=settings.flat))[inked]
        np.testing.assert_allclose(one.picture(settings)[inked], colors * (sepia / 255), atol=1)
        np.testing.assert_array_equal(composite(one.layers(settings))[0][inked], one.picture(settings)[inked])


def test_flat_is_one_color_per_region():
    one = painting()
    flat = one.picture(Settings(flat=True, lines="none"))
    assert len(np.unique(flat.reshape(-1, 3), axis=0)) == 3
    assert len(np.unique(one.picture(Settings(lines="none")).reshape(-1, 3), axis=0)) > 20
    lined = one.picture(Settings(flat=True))
    np.testing.assert_array_equal(lined[one.drawing.ink == 255], flat[one.drawing.ink == 255])
    assert not lined[one.drawing.ink == 0].any()


def test_flats_have_the_colors_of_hints_and_palettes():
    hint, blue, unused = (228, 130, 104), (70, 100, 210), (20, 200, 40)
    dots = draw_hints([Hint(20, 20, hint)], (SIDE, SIDE), BOX)
    found = flat_colors(dataclasses.replace(painting(), dots=dots))
    assert hint in found and blue not in found and len(found) == 3
    exact = dataclasses.replace(painting(), dots=dots, exact=[Swatch(blue, 0.5), Swatch(unused, 0.5)])
    assert flat_colors(exact) == {hint, blue, (255, 255, 255)}
    assert flat_colors(exact, saturation=0.9) == flat_colors(painting())


def flat_colors(one, **settings):
    flat = one.picture(Settings(flat=True, lines="none", **settings))
    return {tuple(color) for color in np.unique(flat.reshape(-1, 3), axis=0).tolist()}


def test_the_gap_decides_what_a_region_is():
    one = painting()
    one.drawing.ink[40:48, 46:49] = 255
    one.color[...] = 1 - (1 - one.color) * 0.12  # too pale to be told apart by color
    closed, open_ = (one.picture(Settings(flat=True, lines="none", gap=gap)) for gap in (12, 0))
    assert (closed[60, 20] != closed[60, 60]).any() and (open_[60, 20] == open_[60, 60]).all()
    assert (one.layers(Settings(gap=0))[0].rgb == open_).all()


def test_lines_of_the_network_are_in_no_layer():
    with pytest.raises(ValueError, match="own lines"):
        painting().layers(Settings(lines="model"))
