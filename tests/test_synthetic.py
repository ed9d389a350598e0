import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from pixelpainter.errors import OutputError
from pixelpainter.train.pairs import read_pair
from pixelpainter.train.sources import find_pairs
from pixelpainter.train.synthetic import SKINS, draw_pair, write_synthetic


def test_a_seed_is_one_picture_on_every_machine() -> None:
    pair = draw_pair(7, 96)
    digest = hashlib.sha256(pair.color.tobytes() + pair.lines.tobytes() + pair.flats.tobytes()).hexdigest()
    assert digest[:16] == "023a0733934638e4"
    assert not np.array_equal(pair.color, draw_pair(8, 96).color)


def test_shapes_and_background() -> None:
    for side in (16, 100, 288):
        pair = draw_pair(0, side)
        assert pair.color.shape == pair.flats.shape == (side, side, 3) and pair.lines.shape == (side, side)
        assert {pair.color.dtype, pair.lines.dtype, pair.flats.dtype} == {np.dtype(np.uint8)}
    assert (pair.color[0, 0] == 255).all() and pair.lines[0, 0] == 255


def test_lines_run_between_flats_and_color_agrees_with_flats() -> None:
    characters = 0
    for seed in range(12):
        pair = draw_pair(seed, 256)
        flats = pair.flats.astype(int)
        border = np.zeros((256, 256), bool)
        border[:, 1:] |= (flats[:, 1:] != flats[:, :-1]).any(axis=2)
        border[1:] |= (flats[1:] != flats[:-1]).any(axis=2)
        inked = cv2.dilate((pair.lines < 128).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        assert inked[border].mean() > 0.98
        # away from lines the picture is the flat color, or its shade
        away = ~(cv2.dilate((pair.lines < 255).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0) & ~border
        assert (pair.color[away] <= pair.flats[away]).all()
        assert (pair.color[away] == pair.flats[away]).all(axis=1).mean() > 0.7
        assert (pair.color[pair.lines == 0].max(axis=1) <= 60).all()
        characters += any((pair.flats == skin).all(axis=2).mean() > 0.02 for skin in SKINS)
    assert characters >= 8


def test_written_pairs_are_found(tmp_path: Path) -> None:
    write_synthetic(tmp_path / "synthetic", 3, first_seed=40, side=64)
    pairs = find_pairs([tmp_path / "synthetic"])
    assert [pair.name for pair in pairs] == [f"synthetic/synthetic_00000{seed}" for seed in (40, 41, 42)]
    color, lines = read_pair(pairs[1])
    truth = draw_pair(41, 64)
    assert np.array_equal(color, truth.color) and np.array_equal(lines, truth.lines)


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 16"):
        draw_pair(0, 8)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_synthetic(tmp_path / "file", 1)
