import cv2
import numpy as np
import pytest
from tiny import LEFT, RIGHT, SHADE, two_boxes

from pixelpainter.color import ciede2000, lab_from_bytes
from pixelpainter.evaluate.regions import find_regions, region_neighbors
from pixelpainter.figure import figure_mask


def regions_of(truth, drawing):
    return find_regions(truth, drawing, figure_mask(truth))


def difference(result, truth):
    return ciede2000(lab_from_bytes(result), lab_from_bytes(truth))


def test_regions_are_the_areas_of_one_color_largest_first():
    truth, drawing = two_boxes()
    labels = regions_of(truth, drawing).labels
    assert labels.dtype == np.int32 and labels.max() == 3
    colors = [tuple(np.median(truth[labels == label], axis=0).astype(int)) for label in (1, 2, 3)]
    assert colors == [RIGHT, LEFT, SHADE]
    assert not labels[:, 77:84].any() and not labels[:19].any()  # not beside the line, not on the page


def test_soft_shading_is_one_region_and_specks_are_none():
    truth, drawing = two_boxes()
    truth[25:95, 25:77] = np.linspace(0, 12, 52).astype(np.uint8)[None, :, None] + np.array(SHADE, np.uint8)
    truth[60:66, 100:106] = (10, 250, 10)
    assert regions_of(truth, drawing).labels.max() == 2


def test_a_few_pixels_are_no_region_in_a_small_picture_either():
    truth, drawing = np.full((50, 50, 3), LEFT, np.uint8), np.full((50, 50), 255, np.uint8)
    truth[10:15, 10:15] = RIGHT
    assert regions_of(truth, drawing).labels.max() == 1
    truth[10:20, 10:20] = RIGHT
    assert regions_of(truth, drawing).labels.max() == 2


def test_a_white_page_has_no_regions():
    page, drawing = np.full((50, 50, 3), 255, np.uint8), np.full((50, 50), 255, np.uint8)
    regions = regions_of(page, drawing)
    assert not regions.labels.any()
    assert regions.color_errors(difference(page, page)).shape == (0,)
    assert region_neighbors(regions.labels, drawing) == []
    assert np.isnan(regions.bleeding(difference(page, page)))
    assert np.isnan(regions.halo(page))


def test_neighbors_are_parted_by_a_line_not_by_a_shade():
    truth, drawing = two_boxes()
    labels = regions_of(truth, drawing).labels  # 1 right, 2 left, 3 shade of the left
    assert region_neighbors(labels, drawing) == [(1, 2)]
    assert region_neighbors(labels, np.full_like(drawing, 255)) == []


def test_region_error_is_the_median_and_only_of_its_region():
    truth, drawing = two_boxes()
    regions = regions_of(truth, drawing)
    result = truth.copy()
    result[regions.labels == 1] = 255
    result[50:60, 60:66] = 0  # a stray patch of region 2
    errors = regions.color_errors(difference(result, truth))
    assert errors.dtype == np.float32 and errors.shape == (3,)
    assert errors[0] > 30 and errors[1] == errors[2] == 0


def test_bleeding_is_excess_error_beside_lines():
    truth, drawing = two_boxes()
    regions = regions_of(truth, drawing)
    assert regions.bleeding(difference(truth, truth)) == 0
    tinted = truth.copy()
    tinted[20:101, 20:141] = np.clip(truth[20:101, 20:141].astype(int) - 30, 0, 255)  # wrong, the same everywhere
    assert abs(regions.bleeding(difference(tinted, truth))) < 0.3
    spilled = truth.copy()
    spilled[22:99, 78:86] = LEFT  # the left color runs over the line
    assert regions.bleeding(difference(spilled, truth)) > 2


def test_the_truths_own_blurred_lines_are_no_bleeding():
    truth, drawing = two_boxes()
    truth[22:99, [78, 82]] = truth[22:99, [78, 82]] // 2  # beside the line between the boxes
    regions = regions_of(truth, drawing)
    assert regions.beside[50, 83:85].all() and not regions.beside[:, [78, 82]].any()
    clean = truth.copy()
    clean[22:99, 78], clean[22:99, 82] = LEFT, RIGHT
    assert regions.bleeding(difference(clean, truth)) == 0
    assert regions.halo(clean) == 0


def test_halo_is_dark_below_zero_and_light_above():
    truth, drawing = two_boxes()
    assert regions_of(truth, drawing).halo(truth) == pytest.approx(0)
    near = cv2.dilate((drawing < 128).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    for change, sign in ((-25, -1), (25, 1)):
        result = truth.astype(int)
        result[near] += change
        result = np.clip(result, 0, 255).astype(np.uint8)
        assert regions_of(truth, drawing).halo(result) * sign > 4
    tinted = np.clip(truth.astype(int) - 20, 0, 255).astype(np.uint8)  # darker everywhere is no halo
    assert abs(regions_of(truth, drawing).halo(tinted)) < 0.3
