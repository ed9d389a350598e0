import sys

import cv2
import numpy as np
import pytest

from pixelpainter import metrics
from pixelpainter.errors import MissingExtraError

LEFT, RIGHT, SHADE = (230, 120, 110), (80, 110, 210), (190, 90, 84)


def two_boxes():
    """A white page with a figure of two boxes side by side, a line between and around; the left one has a shade."""
    truth = np.full((120, 160, 3), 255, np.uint8)
    drawing = np.full((120, 160), 255, np.uint8)
    truth[20:100, 20:80], truth[20:100, 80:140] = LEFT, RIGHT
    truth[20:100, 20:40] = SHADE
    cv2.rectangle(drawing, (20, 20), (140, 100), 0, 2)
    cv2.line(drawing, (80, 20), (80, 100), 0, 2)
    truth[drawing < 128] = 20
    return truth, drawing


def test_figure_mask_keeps_white_inside_and_drops_the_page():
    truth, _ = two_boxes()
    truth[50:60, 50:60] = 255
    figure = metrics.figure_mask(truth)
    expected = np.zeros((120, 160), bool)
    expected[19:102, 19:142] = True
    assert (figure == expected).mean() > 0.999 and figure[50:60, 50:60].all() and not figure[0].any()


def test_figure_mask_of_colored_background_is_everything_and_of_white_nothing():
    truth, _ = two_boxes()
    truth[(truth == 255).all(axis=2)] = (240, 230, 140)
    assert metrics.figure_mask(truth).all()
    assert not metrics.figure_mask(np.full((9, 9, 3), 250, np.uint8)).any()


def test_figure_mask_finds_page_that_touches_the_border_in_parts():
    picture = np.full((40, 40, 3), 255, np.uint8)
    picture[18:22] = picture[:, 18:22] = (10, 200, 10)  # a cross parts the page in four
    assert (metrics.figure_mask(picture) == (picture[..., 0] == 10)).all()


def test_psnr_against_a_hand_computed_number_and_the_mask():
    truth, _ = two_boxes()
    result = np.clip(truth.astype(int) - 5, 0, 255).astype(np.uint8)
    result[:, 100:] = 0
    left = np.zeros((120, 160), bool)
    left[:, :100] = True
    assert metrics.psnr(result, truth, left) == pytest.approx(10 * np.log10(255**2 / 25))
    assert metrics.psnr(result, truth) < 15
    assert metrics.psnr(truth, truth) == np.inf
    assert np.isnan(metrics.psnr(result, truth, np.zeros_like(left)))


def test_ssim_is_one_for_equal_pictures_and_sees_the_mask():
    truth, _ = two_boxes()
    result = truth.copy()
    result[:, 80:] = np.random.default_rng(0).integers(0, 256, (120, 80, 3), dtype=np.uint8)
    left = np.zeros((120, 160), bool)
    left[:, :70] = True
    assert metrics.ssim(truth, truth) == pytest.approx(1)
    assert metrics.ssim(result, truth, left) == pytest.approx(1)
    assert metrics.ssim(result, truth, ~left) < 0.3
    assert np.isnan(metrics.ssim(result, truth, np.zeros_like(left)))


def test_without_scikit_image_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.metrics", None)
    truth, _ = two_boxes()
    for measure in (metrics.psnr, metrics.ssim):
        with pytest.raises(MissingExtraError, match="train"):
            measure(truth, truth)


def test_colorfulness_against_a_hand_computed_number():
    picture = np.zeros((2, 4, 3), np.uint8)
    picture[:, :2] = (100, 0, 0)  # rg 100, yb 50
    picture[:, 2:] = (0, 100, 0)  # rg -100, yb 50
    assert metrics.colorfulness(picture) == pytest.approx(100 + 0.3 * 50)
    left = np.zeros((2, 4), bool)
    left[:, :2] = True
    assert metrics.colorfulness(picture, left) == pytest.approx(0.3 * np.hypot(100, 50))
    assert metrics.colorfulness(np.full((5, 5, 3), 77, np.uint8)) == 0
    assert np.isnan(metrics.colorfulness(picture, np.zeros_like(left)))


def test_baselines_are_the_four_trivial_answers():
    truth, drawing = two_boxes()
    figure = metrics.figure_mask(truth)
    answers = metrics.baselines(truth, drawing, figure)
    assert set(answers) == {"white", "drawing", "gray", "mean"}
    assert (answers["white"] == 255).all()
    assert (answers["drawing"] == drawing[..., None]).all()
    assert (answers["gray"][figure] == 128).all() and (answers["gray"][~figure] == 255).all()
    np.testing.assert_allclose(answers["mean"][figure].mean(axis=0), truth[figure].mean(axis=0), atol=0.5)
    scores = {name: metrics.psnr(answer, truth, figure) for name, answer in answers.items()}
    assert max(scores, key=scores.__getitem__) == "mean"
    assert (metrics.baselines(truth, drawing, np.zeros_like(figure))["mean"] == 255).all()


def test_regions_are_the_areas_of_one_color_largest_first():
    truth, drawing = two_boxes()
    labels = metrics.region_labels(truth, drawing)
    assert labels.dtype == np.int32 and labels.max() == 3
    colors = [tuple(np.median(truth[labels == label], axis=0).astype(int)) for label in (1, 2, 3)]
    assert colors == [RIGHT, LEFT, SHADE]
    assert not labels[:, 77:84].any() and not labels[:19].any()  # not beside the line, not on the page


def test_soft_shading_is_one_region_and_specks_are_none():
    truth, drawing = two_boxes()
    truth[25:95, 25:77] = np.linspace(0, 12, 52).astype(np.uint8)[None, :, None] + np.array(SHADE, np.uint8)
    truth[60:66, 100:106] = (10, 250, 10)
    assert metrics.region_labels(truth, drawing).max() == 2


def test_a_few_pixels_are_no_region_in_a_small_picture_either():
    truth, drawing = np.full((50, 50, 3), LEFT, np.uint8), np.full((50, 50), 255, np.uint8)
    truth[10:15, 10:15] = RIGHT
    assert metrics.region_labels(truth, drawing).max() == 1
    truth[10:20, 10:20] = RIGHT
    assert metrics.region_labels(truth, drawing).max() == 2


def test_a_white_page_has_no_regions():
    page, drawing = np.full((50, 50, 3), 255, np.uint8), np.full((50, 50), 255, np.uint8)
    labels = metrics.region_labels(page, drawing)
    assert not labels.any()
    assert metrics.region_ciede2000(page, page, labels).shape == (0,)
    assert metrics.region_neighbors(labels, drawing) == []
    assert np.isnan(metrics.bleeding(page, page, drawing))
    assert np.isnan(metrics.halo(page, page, drawing))


def test_neighbors_are_parted_by_a_line_not_by_a_shade():
    truth, drawing = two_boxes()
    labels = metrics.region_labels(truth, drawing)  # 1 right, 2 left, 3 shade of the left
    assert metrics.region_neighbors(labels, drawing) == [(1, 2)]
    assert metrics.region_neighbors(labels, np.full_like(drawing, 255)) == []


def test_region_error_is_the_median_and_only_of_its_region():
    truth, drawing = two_boxes()
    labels = metrics.region_labels(truth, drawing)
    result = truth.copy()
    result[labels == 1] = 255
    result[50:60, 60:66] = 0  # a stray patch of region 2
    errors = metrics.region_ciede2000(result, truth, labels)
    assert errors.dtype == np.float32 and errors.shape == (3,)
    assert errors[0] > 30 and errors[1] == errors[2] == 0


def test_bleeding_is_excess_error_beside_lines():
    truth, drawing = two_boxes()
    assert metrics.bleeding(truth, truth, drawing) == pytest.approx(0)
    tinted = truth.copy()
    tinted[20:101, 20:141] = np.clip(truth[20:101, 20:141].astype(int) - 30, 0, 255)  # wrong, the same everywhere
    assert abs(metrics.bleeding(tinted, truth, drawing)) < 0.3
    spilled = truth.copy()
    spilled[22:99, 78:86] = LEFT  # the left color runs over the line
    assert metrics.bleeding(spilled, truth, drawing) > 2


def test_halo_is_dark_below_zero_and_light_above():
    truth, drawing = two_boxes()
    assert metrics.halo(truth, truth, drawing) == pytest.approx(0)
    near = cv2.dilate((drawing < 128).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    for change, sign in ((-25, -1), (25, 1)):
        result = truth.astype(int)
        result[near] += change
        result = np.clip(result, 0, 255).astype(np.uint8)
        assert metrics.halo(result, truth, drawing) * sign > 4
    tinted = np.clip(truth.astype(int) - 20, 0, 255).astype(np.uint8)  # darker everywhere is no halo
    assert abs(metrics.halo(tinted, truth, drawing)) < 0.3
