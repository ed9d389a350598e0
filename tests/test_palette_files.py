import struct

import numpy as np
import pytest
from conftest import save_figure
from PIL import Image

from pixelpainter.errors import InputError
from pixelpainter.palette_files import parse_palette, picture_palette, read_palette

SKIN, HAIR, DRESS = (242, 205, 180), (60, 90, 200), (200, 40, 60)
LIST = "F2CDB4, #3C5AC8,c8283c"


def colors(palette):
    return [swatch.color for swatch in palette]


def shares(palette):
    return [swatch.share for swatch in palette]


def test_a_list_of_colors():
    palette = parse_palette(LIST)
    assert colors(palette) == [SKIN, HAIR, DRESS]
    assert shares(palette) == pytest.approx([6 / 11, 3 / 11, 2 / 11])
    assert read_palette(LIST) == palette


def test_a_list_with_shares():
    palette = parse_palette("F2CDB4:10,3C5AC8:30,C8283C")
    assert colors(palette) == [HAIR, DRESS, SKIN]
    assert shares(palette) == pytest.approx([0.5, 1 / 3, 1 / 6])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "neither a file nor a palette|no palette"),
        ("F2CDB4", "one color only"),
        ("F2CDB4,F2CDB4", "one color only"),
        ("F2CDB4,", "'' is not RRGGBB"),
        ("F2CDB4,3C5AC", "'3C5AC' is not RRGGBB"),
        ("F2CDB4,3C5AC8:x", "'3C5AC8:x' is not"),
        ("F2CDB4,3C5AC8:-1", "'3C5AC8:-1' is not"),
        ("F2CDB4,3C5AC8:0", "share is a number above 0"),
        ("F2CDB4,3C5AC8:1.2.3", "'3C5AC8:1.2.3' is not"),
        (f"F2CDB4,3C5AC8:{'9' * 400}", "share"),
        ("red", "'red' is neither a file nor a palette"),
        ("x" * 400, "neither a file nor a palette"),
    ],
)
def test_wrong_lists_say_what_was_expected(text, message):
    with pytest.raises((ValueError, InputError), match=message):
        read_palette(text)


def test_many_colors_are_reduced_to_different_ones():
    random = np.random.default_rng(0).integers(0, 256, (5000, 3))
    palette = parse_palette(",".join("{:02X}{:02X}{:02X}".format(*color) for color in random.tolist()))
    assert len(palette) == 64
    assert sum(shares(palette)) == pytest.approx(1)
    assert shares(palette) == sorted(shares(palette), reverse=True)


def test_gimp_palettes(tmp_path):
    path = tmp_path / "p.gpl"
    path.write_bytes(
        b"\xef\xbb\xbfGIMP Palette\r\nName: caf\xe9 1\r\nColumns: 3\r\n#\r\n242 205 180\tSkin 1 2 3\r\n\r\n"
        b" 60  90 200\r\n200\t40\t60\tdress\r\n"
    )
    assert colors(read_palette(str(path))) == [SKIN, HAIR, DRESS]


def aco(*swatches, version=1):
    data = struct.pack(">HH", version, len(swatches))
    for swatch in swatches:
        data += struct.pack(">5H", *swatch)
        if version == 2:
            data += struct.pack(">I", 3) + "ab\0".encode("utf-16-be")
    return data


@pytest.mark.parametrize("version", [1, 2])
def test_photoshop_swatches(tmp_path, version):
    path = tmp_path / "p.ACO"
    swatches = [
        (0, 242 * 257, 205 * 257, 180 * 257, 0),
        (1, 0, 65535, 65535, 0),  # pure red
        (2, 65535, 0, 65535, 65535),  # all magenta ink, no other
        (7, 5000, 0, 0, 0),  # L 50: middle gray
        (7, 5000, 4000, 65536 - 6000, 0),  # violet
        (8, 10000, 0, 0, 0),  # all ink: black
    ]
    path.write_bytes(aco(*swatches, version=version))
    found = colors(read_palette(str(path)))
    assert found[:3] == [SKIN, (255, 0, 0), (255, 0, 255)]
    assert {SKIN, (255, 0, 0), (255, 0, 255), (119, 119, 119), (0, 0, 0)} < set(found)
    (violet,) = set(found) - {SKIN, (255, 0, 0), (255, 0, 255), (119, 119, 119), (0, 0, 0)}
    assert violet[2] > violet[0] > violet[1]


def ase(*swatches):
    def block(kind, content):
        return struct.pack(">HI", kind, len(content)) + content

    name = struct.pack(">H", 2) + "a\0".encode("utf-16-be")
    blocks = [block(0xC001, name)]
    for model, *values in swatches:
        blocks.append(block(1, name + model + struct.pack(f">{len(values)}fH", *values, 2)))
    blocks.append(block(0xC002, b""))
    return b"ASEF" + struct.pack(">HHI", 1, 0, len(blocks)) + b"".join(blocks)


def test_adobe_swatch_exchange(tmp_path):
    path = tmp_path / "p.ase"
    swatches = [
        (b"RGB ", 1.0, 0.5, 0.0),
        (b"CMYK", 1.0, 0.0, 0.0, 0.5),
        (b"LAB ", 0.5, 0.0, 0.0),
        (b"Gray", 1.0),
    ]
    path.write_bytes(ase(*swatches))
    assert set(colors(read_palette(str(path)))) == {(255, 128, 0), (0, 128, 128), (119, 119, 119), (255, 255, 255)}


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("p.gpl", b"", "no palette, or a damaged one"),
        ("p.gpl", b"\x00\xff" * 50, "the first line is not 'GIMP Palette'"),
        ("p.gpl", b"GIMP Palette\n1 2\n", "line 2 is no color"),
        ("p.gpl", b"GIMP Palette\n1 2 256\n", "line 2 is no color"),
        ("p.gpl", b"GIMP Palette\n# none\n", "there are no colors in it"),
        ("p.gpl", b"GIMP Palette\n1 2 3\n1 2 3\n", "there is one color in it"),
        ("p.aco", b"", "cut off"),
        ("p.aco", b"\0\7\0\1", "version 7"),
        ("p.aco", aco((0, 1, 1, 1, 1), (0, 9, 9, 9, 9))[:-3], "cut off"),
        ("p.aco", aco((3, 1, 1, 1, 1)), "color space 3"),
        ("p.aco", b"\0\2\0\2" + bytes(10) + b"\xff" * 4, "cut off"),
        ("p.ase", b"none at all", "does not begin with ASEF"),
        ("p.ase", ase((b"RGB ", 1.0, 0.5, 0.0))[:-20], "cut off"),
        ("p.ase", ase((b"HSV ", 1.0, 0.5, 0.0)), "color model 'HSV' is unknown"),
        ("p.ase", ase((b"RGB ", float("nan"), 0.5, 0.0)), "not a number"),
        ("p.ase", b"ASEF\0\1\0\0\xff\xff\xff\xff", "cut off"),
        ("p.txt", b"F2CDB4,3C5AC8", "no palette of a known kind"),
        ("p.png", b"F2CDB4,3C5AC8", "not a picture"),
    ],
)
def test_wrong_files_are_one_clear_error(tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as raised:
        read_palette(str(path))
    assert str(raised.value).startswith(str(path))


@pytest.mark.parametrize("name", ["p.gpl", "p.png"])
def test_missing_files(tmp_path, name):
    with pytest.raises(InputError, match="cannot be opened"):
        read_palette(str(tmp_path / name))


def test_the_palette_of_a_picture_is_that_of_its_figure(tmp_path):
    path = save_figure(tmp_path / "p.png", SKIN, HAIR, HAIR, DRESS)
    for palette in (read_palette(str(path)), picture_palette(np.asarray(Image.open(path)))):
        assert np.abs(np.array(colors(palette)[0]) - HAIR).max() <= 1
        assert len(palette) == 3
        assert shares(palette) == pytest.approx([0.5, 0.25, 0.25], abs=0.02)


def test_a_picture_of_one_color_is_no_palette(tmp_path):
    with pytest.raises(InputError, match=r"p\.png: there is one color in it"):
        read_palette(str(save_figure(tmp_path / "p.png", SKIN)))
