import dataclasses
import math
from collections import Counter

import numpy as np
import pytest
import torch
from tiny import hints_config, make_cache, plain_config
from torch.nn import functional

from pixelpainter.systems import SYSTEMS
from pixelpainter.train.augment import (
    MAX_HINTS,
    draw_hint_counts,
    drop_palettes,
    hue_matrix,
    jitter_lines,
    place,
    recolor,
    scatter_hints,
    warp,
)
from pixelpainter.train.batches import BatchMaker
from pixelpainter.train.sampling import Sampler, step_generator

CPU = torch.device("cpu")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def cache():
    return make_cache(4, 128)


def maker(cache, config):
    return BatchMaker(cache, SYSTEMS[config.system].card, config, CPU)


def random():
    return torch.Generator().manual_seed(0)


def crop_of(cache, index):
    return torch.from_numpy(cache.color[index]).float() / 127.5 - 1


# steps


@pytest.mark.parametrize("zoom", [0.0, 1.0])
def test_a_step_makes_the_same_batch_every_time(cache, zoom):
    batches = maker(cache, hints_config(zoom=zoom, size=64, load_size=128))
    one, again, other = (batches.training([2, 0, 1], step) for step in (7, 7, 8))
    for name in ("picture", "palette", "truth"):
        assert torch.equal(getattr(one, name), getattr(again, name))
    assert not torch.equal(one.picture, other.picture)
    another_seed = maker(cache, hints_config(zoom=zoom, size=64, load_size=128, seed=1)).training([2, 0, 1], 7)
    assert not torch.equal(one.picture, another_seed.picture)


def test_a_step_leaves_the_global_generator_alone(cache):
    state = torch.get_rng_state()
    maker(cache, hints_config()).training([0, 1], 3)
    assert torch.equal(torch.get_rng_state(), state)


def test_layout_of_a_hint_batch(cache):
    batch = maker(cache, hints_config(zoom=0.5)).training([0, 1, 2, 3], 5)
    assert (batch.picture.shape, batch.truth.shape) == ((4, 5, 128, 128), (4, 3, 128, 128))
    assert batch.palette.shape == (4, 6, 4)
    assert batch.picture.abs().max() <= 1
    assert batch.truth.abs().max() <= 1
    hints, mask = batch.picture[:, 1:4], batch.picture[:, 4:]
    assert set(mask.unique().tolist()) <= {0.0, 1.0}
    assert (hints * (1 - mask)).abs().max() == 0
    assert torch.equal(batch.drawing, batch.picture[:, :1])


def test_layout_of_a_plain_batch(cache):
    config = plain_config(size=64, load_size=100)
    batch = maker(make_cache(3, 100), config).training([0, 1], 5)
    assert (batch.picture.shape, batch.truth.shape) == ((2, 1, 64, 64), (2, 3, 64, 64))
    assert batch.palette is None


def test_a_training_picture_is_a_crop_of_its_source_drawing_and_color_alike():
    """Without jitter, hints and zoom a sample is a crop, flipped or not, at the same place in drawing and color."""
    cache = make_cache(1, 40)
    config = plain_config(size=32, load_size=40, line_jitter=0.0)
    seen = set()
    for step in range(6):
        batch = maker(cache, config).training([0], step)
        color = torch.from_numpy(cache.color[0]).float() / 127.5 - 1
        found = []
        for variant in range(2):
            lines = torch.from_numpy(cache.lines[0, variant][None]).float() / 127.5 - 1
            source = torch.cat([color, lines])
            sample = torch.cat([batch.truth[0], batch.drawing[0]])
            for flipped in (False, True):
                windows = (source.flip(2) if flipped else source).unfold(1, 32, 1).unfold(2, 32, 1)
                difference = (windows - sample[:, None, None]).abs().amax((0, 3, 4))
                found += [(variant, flipped, *place) for place in (difference < 1e-5).nonzero().tolist()]
        assert found, f"step {step}: no crop of the source"
        seen |= {place[:2] for place in found}
    assert len(seen) > 2  # both line variants, both directions


# hints


def test_dots_have_the_true_color():
    truth = torch.rand(3, 3, 64, 64, generator=random())
    counts = torch.tensor([0, 1, MAX_HINTS])
    hints = scatter_hints(truth, torch.ones(3, 1, 64, 64), counts, random())
    mask = hints[:, 3] > 0
    assert hints[:, 3].unique().tolist() == [0.0, 1.0]
    assert not mask[0].any()
    assert hints[0].abs().max() == 0
    assert mask[1].sum() in (1, 9, 49)  # dots of 1, 3 or 7 pixels
    smooth = functional.avg_pool2d(truth, 3, 1, 1, count_include_pad=False) * 2 - 1
    # one dot, one color: that of the truth at its middle
    rows, columns = mask[1].nonzero().float().mean(0).round().long().tolist()
    dot = hints[1, :3, mask[1]]
    assert (dot - dot[:, :1]).abs().max() == 0
    torch.testing.assert_close(dot[:, 0], smooth[1, :, rows, columns])


def test_more_hints_than_pixels():
    """Every pixel is hinted once; nothing breaks."""
    truth = torch.rand(1, 3, 4, 4, generator=random())
    hints = scatter_hints(truth, torch.ones(1, 1, 4, 4), torch.tensor([MAX_HINTS]), random())
    assert hints[:, 3].min() == 1


def test_every_dot_is_centered_on_its_color():
    """A truth that tells its own coordinates: every hinted color names a place at most 3 pixels away."""
    ramp = torch.linspace(0, 1, 64)
    truth = torch.stack([ramp[None].expand(64, 64), ramp[:, None].expand(64, 64), torch.zeros(64, 64)])[None]
    hints = scatter_hints(truth, torch.ones(1, 1, 64, 64), torch.tensor([20]), random())[0]
    rows, columns = (hints[3] > 0).nonzero().T
    said_column, said_row = (hints[:2, rows, columns] + 1) / 2 * 63
    assert len(rows) > 20
    assert (said_column - columns).abs().max() < 3.6  # the smoothed ramp bends by half a pixel at the border
    assert (said_row - rows).abs().max() < 3.6


def test_dots_are_few_and_many_small_and_large():
    truth = torch.rand(32, 3, 64, 64, generator=random())
    one_each = scatter_hints(truth, torch.ones(32, 1, 64, 64), torch.ones(32, dtype=torch.int64), random())
    areas = Counter(one_each[:, 3].sum((1, 2)).int().tolist())
    border_clips = {area for area in areas if area not in (1, 9, 49)}
    assert {1, 9, 49} <= set(areas)
    assert all(area < 49 for area in border_clips)


def test_most_dots_lie_in_the_figure():
    truth, figure = torch.rand(200, 3, 32, 32, generator=random()), torch.zeros(200, 1, 32, 32)
    figure[:, :, 8:24, 8:24] = 1  # a quarter of the picture
    hints = scatter_hints(truth, figure, torch.ones(200, dtype=torch.int64), random())
    rows = (hints[:, 3:] * torch.arange(32.0)[:, None]).sum((1, 2, 3)) / hints[:, 3].sum((1, 2))
    columns = (hints[:, 3:] * torch.arange(32.0)).sum((1, 2, 3)) / hints[:, 3].sum((1, 2))
    inside = ((rows > 7) & (rows < 24) & (columns > 7) & (columns < 24)).float().mean().item()
    assert 0.8 < inside < 0.98  # 0.85 + 0.15 / 4 expected


def test_numbers_of_hints():
    counts = draw_hint_counts(6000, random())
    assert counts.min() == 0
    assert (counts == 0).float().mean().item() == pytest.approx(1 / 3, abs=0.02)
    some = counts[counts > 0]
    assert (some.min(), some.max()) == (1, MAX_HINTS - 1)
    # log-uniform: as many with 1-8 as with 9-79
    assert (some < math.sqrt(MAX_HINTS)).float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_hinted_colors_are_those_of_the_recolored_truth(cache):
    """Before and after recoloring: every pixel of a dot shows the smoothed truth that the loss compares with."""
    hinted = recolored = 0
    batches = maker(cache, hints_config(hue_jitter=1.0, line_jitter=0.0, zoom=0.0, warp=0.0, palette_dropout=1.0))
    for step in range(4):
        batch = batches.training([0, 1, 2, 3], step)
        smooth = functional.avg_pool2d(batch.truth, 3, 1, 1, count_include_pad=False)
        for index in range(4):
            mask = batch.picture[index, 4] > 0
            if mask.any():
                hinted += 1
                dots = batch.picture[index, 1:4, mask].T.unique(dim=0)
                apart = (dots[:, None] - smooth[index].flatten(1).T.unique(dim=0)[None]).abs().amax(2)
                assert apart.amin(1).max() < 1e-5
            source = crop_of(cache, index)
            same = any(torch.allclose(batch.truth[index], way, atol=1e-5) for way in (source, source.flip(2)))
            recolored += not same
            if not mask.any():
                assert same, "a sample without hints and palette must keep its colors"
    assert 4 < hinted < 16
    assert recolored == hinted  # hue_jitter = 1


def test_without_hue_jitter_nothing_is_recolored(cache):
    batches = maker(cache, hints_config(hue_jitter=0.0, zoom=0.0, warp=0.0))
    for step in range(4):
        truth = batches.training([1], step).truth[0]
        source = crop_of(cache, 1)
        assert any(torch.allclose(truth, way, atol=1e-5) for way in (source, source.flip(2)))


def test_a_palette_alone_tells_the_recolored_colors(cache):
    """Most samples are recolored where palettes are always given, and each palette is that of the recolored picture."""
    batches = maker(cache, hints_config(hue_jitter=1.0, line_jitter=0.0, zoom=0.0, warp=0.0, palette_dropout=0.0))
    recolored_without_hints = 0
    for step in range(4):
        batch = batches.training([0, 1, 2, 3], step)
        for index in range(4):
            source = crop_of(cache, index)
            assert not any(torch.allclose(batch.truth[index], way, atol=1e-5) for way in (source, source.flip(2)))
            recolored_without_hints += not bool(batch.picture[index, 4].any())
            told = batch.palette[index, :1, :3]  # the largest color of the figure
            assert (batch.truth[index].flatten(1).T - told).abs().amax(1).min() < 0.02
    assert recolored_without_hints >= 2


# recoloring


def test_hue_matrix_turns_about_the_gray_axis():
    angle, saturation = torch.tensor([0.0, 1.0, -2.5, 2 * math.pi / 3]), torch.ones(4)
    matrix = hue_matrix(angle, saturation)
    gray = torch.full((3,), 0.4)
    torch.testing.assert_close(matrix @ gray, gray.expand(4, 3))
    torch.testing.assert_close(matrix @ matrix.transpose(1, 2), torch.eye(3).expand(4, 3, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.linalg.det(matrix), torch.ones(4))
    torch.testing.assert_close(matrix[0], torch.eye(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(matrix[3] @ torch.eye(3)[0], torch.eye(3)[1], atol=1e-6, rtol=0)  # red to green


def test_hue_matrix_scales_saturation():
    color = torch.tensor([0.9, 0.3, 0.3])
    half = hue_matrix(torch.zeros(1), torch.full((1,), 0.5))[0] @ color
    torch.testing.assert_close(half, color.mean() + (color - color.mean()) / 2)
    gray = torch.full((3,), 0.7)
    torch.testing.assert_close(hue_matrix(torch.ones(1), torch.full((1,), 0.5))[0] @ gray, gray)


def test_picture_and_palette_are_recolored_alike():
    colors = 0.3 + 0.4 * torch.rand(6, 6, 3, generator=random())  # mild, so that nothing is clipped
    truth = colors.transpose(1, 2)[..., None].expand(6, 3, 6, 4).contiguous()
    palette = torch.cat([colors * 2 - 1, torch.full((6, 6, 1), 1 / 6)], dim=2)
    palette[:, 5] = 0  # an unused row
    hinted = torch.tensor([True, True, True, True, False, False])
    shifted, codes = recolor(truth, palette, hinted, 1.0, random())
    torch.testing.assert_close(codes[:, :5, :3], shifted[..., 0].transpose(1, 2)[:, :5] * 2 - 1)
    assert torch.equal(codes[..., 3], palette[..., 3])
    assert codes[:, 5].abs().max() == 0
    changed = (shifted - truth).abs().amax((1, 2, 3)) > 0.02
    assert changed.tolist() == hinted.tolist()
    torch.testing.assert_close(shifted[4:], truth[4:])
    hues = (shifted - truth)[:4]
    assert not torch.allclose(hues[0], hues[1], atol=0.01)  # each sample its own shift


def test_recoloring_without_palette():
    truth = torch.rand(2, 3, 4, 4, generator=random())
    shifted, codes = recolor(truth, None, torch.tensor([True, True]), 1.0, random())
    assert codes is None
    assert shifted.min() >= 0
    assert shifted.max() <= 1


def test_share_of_recolored_pictures():
    truth = torch.rand(1000, 3, 1, 1, generator=random())
    shifted, _ = recolor(truth, None, torch.ones(1000, dtype=torch.bool), 0.3, random())
    changed = ((shifted - truth).abs().amax((1, 2, 3)) > 1e-4).float().mean().item()
    assert changed == pytest.approx(0.3, abs=0.05)


def test_palettes_are_dropped_and_shortened():
    palette = torch.full((4000, 6, 4), 0.5)
    dropped = drop_palettes(palette, 0.25, random())
    lengths = (dropped[..., 3] > 0).sum(1)
    share = {int(length): (lengths == length).float().mean().item() for length in lengths.unique()}
    assert set(share) == {0, 2, 3, 4, 5, 6}
    assert share[0] == pytest.approx(0.25, abs=0.03)
    assert share[6] == pytest.approx(0.75 * (0.8 + 0.2 / 5), abs=0.03)
    kept = torch.arange(6)[None] < lengths[:, None]
    assert torch.equal(dropped, palette * kept[..., None])  # the largest stay, the rest is zero
    assert drop_palettes(None, 0.25, random()) is None


# lines


def test_line_jitter_keeps_the_range_and_leaves_the_others():
    drawing = torch.ones(60, 1, 48, 48)
    drawing[..., 10:12, 5:40] = 0
    drawing[..., 5:40, 20] = 0.4
    before = drawing.clone()
    rough = jitter_lines(drawing, 0.5, random())
    assert torch.equal(drawing, before)
    assert rough.shape == drawing.shape
    assert rough.min() >= 0
    assert rough.max() <= 1
    changed = (rough != drawing).flatten(1).any(1)
    assert 20 <= changed.sum() <= 40
    assert torch.equal(jitter_lines(drawing, 0.0, random()), drawing)
    assert (jitter_lines(drawing, 1.0, random()) != drawing).flatten(1).any(1).all()


def test_line_jitter_varies_width_strength_and_leaves_gaps():
    drawing = torch.ones(60, 1, 64, 64)
    drawing[..., 30:32, :] = 0
    ink = (1 - jitter_lines(drawing, 1.0, random())).squeeze(1)
    widths = (ink > 0.25).float().sum(1)  # (60, 64): of each column
    assert widths.amax(1).unique().numel() > 1
    strongest = ink.amax((1, 2))
    assert strongest.min() < 0.7
    assert strongest.max() == 1
    assert 0.1 < (widths.amin(1) == 0).float().mean() < 0.9  # some with gaps, some without
    assert ink[:, :20].mean() < 0.03  # paper stays paper but for the grain


@pytest.mark.parametrize(("styles", "expected"), [(0, {0, 1}), (1, {0}), (2, {0, 1}), (4, {0, 1})])
def test_the_given_drawing_alone_or_all_of_them(cache, styles, expected):
    config = plain_config(size=128, load_size=128, line_jitter=0.0, flip=0.0, line_styles=styles)
    seen = set()
    for step in range(8):
        drawing = maker(cache, config).training([0], step).drawing[0, 0]
        variants = torch.from_numpy(cache.lines[0]).float() / 127.5 - 1
        seen |= {number for number in range(2) if torch.allclose(drawing, variants[number], atol=1e-5)}
    assert seen == expected


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_share_of_mirrored_pictures(cache, share):
    config = plain_config(size=128, load_size=128, line_jitter=0.0, flip=share)
    truths = maker(cache, config).training([0] * 80, 0).truth
    source = crop_of(cache, 0)
    mirrored = sum(torch.allclose(truth, source.flip(2), atol=1e-5) for truth in truths)
    straight = sum(torch.allclose(truth, source, atol=1e-5) for truth in truths)
    assert mirrored + straight == 80
    assert mirrored / 80 == pytest.approx(share, abs=0.12 if 0 < share < 1 else 0)


def test_processes_draw_differently(cache):
    batches = maker(cache, hints_config(size=64, load_size=128))
    alone, first, second = (batches.training([2, 0], 7, *process) for process in ((), (0,), (1,)))
    assert torch.equal(alone.picture, first.picture)
    assert not torch.equal(first.picture, second.picture)


# warping


def page_with_boxes(count):
    """(count, 5, 64, 64): a white page with a red figure in the middle, its drawing an outline."""
    pictures = torch.ones(count, 5, 64, 64)
    pictures[:, 4] = 0
    inside = np.s_[:, :, 24:40, 20:44]
    pictures[:, 1:3][inside] = 0  # red
    pictures[:, 3:4][inside] = 0
    pictures[:, 3, 26:38, 22:42] = 1
    pictures[:, 4:][inside] = 1
    return pictures


def test_warping_turns_and_stretches_a_share_and_leaves_the_others():
    pictures = page_with_boxes(60)
    before = pictures.clone()
    warped = warp(pictures, 0.5, random())
    assert torch.equal(pictures, before)
    changed = (warped != pictures).flatten(1).any(1)
    assert 20 <= changed.sum() <= 40
    assert torch.equal(warp(pictures, 0.0, random()), pictures)
    everything = warp(pictures, 1.0, random())
    assert (everything != pictures).flatten(1).any(1).all()
    assert everything.min() >= 0
    assert everything.max() <= 1
    # each picture its own way, and mildly: the area of the figure changes, by a quarter or so at most
    areas = everything[:, 4].sum((1, 2)) / pictures[:, 4].sum((1, 2))
    assert len({round(area.item(), 3) for area in areas}) > 50
    assert 0.7 < areas.min() < 0.9
    assert 1.1 < areas.max() < 1.4


def test_color_drawing_and_figure_are_warped_alike():
    warped = warp(page_with_boxes(20), 1.0, random())
    red, figure = 1 - warped[:, 1], warped[:, 4]
    torch.testing.assert_close(red, figure, atol=1e-4, rtol=0)
    ink = 1 - warped[:, 3]
    assert (ink > 0.5).flatten(1).any(1).all()
    assert (ink <= figure + 1e-4).all()  # lines stay within the figure they outline
    # the middle of the figure stays the middle of the picture
    places = torch.arange(64.0) - 31.5
    middle_row = (figure.sum(2) * places).sum(1) / figure.sum((1, 2))
    assert middle_row.abs().max() < 1


def test_what_comes_in_from_outside_is_white_page():
    """A page full of black figure: corners that turn out of it leave white, and no figure."""
    full = torch.zeros(30, 5, 64, 64)
    full[:, 4] = 1
    warped = warp(full, 1.0, random())
    outside = warped[:, 4] == 0
    assert outside.flatten(1).any(1).sum() > 15
    assert (warped[:, :4].amin(1)[outside] == 1).all()


# zoom


def test_margins_are_white_paper_and_no_figure():
    """A page full of black figure: what the zoom adds around it is white, bare and outside the figure."""
    cache = make_cache(2, 64)
    full = np.zeros_like
    cache = dataclasses.replace(
        cache, color=full(cache.color), lines=full(cache.lines), figure=np.ones_like(cache.figure)
    )
    batches = maker(cache, hints_config(size=64, load_size=64, zoom=1.0, line_jitter=0.0, hue_jitter=0.0, warp=0.0))
    with_margin = 0
    for step in range(12):
        batch = batches.training([0, 1], step)
        white = batch.truth.amin(1) == 1
        assert torch.equal(batch.drawing[:, 0] == 1, white)
        with_margin += bool(white.any())
        sides = (~white[0]).any(1).sum().item(), (~white[0]).any(0).sum().item()
        assert sides[0] == sides[1]  # never squashed
        assert 64 / 1.5 - 1 <= sides[0] <= 64
    assert 2 <= with_margin <= 10  # a part of the picture has none


def test_a_margin_is_not_figure():
    pictures = torch.zeros(3, 5, 64, 64)
    pictures[:, 4] = 1
    for seed in range(8):
        placed = place(pictures, hints_config(size=64, load_size=64, zoom=1.0), torch.Generator().manual_seed(seed))
        assert torch.equal(placed[:, 4] == 0, placed[:, 0] == 1)


def test_without_zoom_a_multiple_of_the_size_is_halved_exactly(cache):
    batch = maker(cache, plain_config(size=64, load_size=128, line_jitter=0.0)).training([2], 0)
    half = functional.avg_pool2d(crop_of(cache, 2)[None], 2)[0]
    assert any(torch.allclose(batch.truth[0], way, atol=1e-5) for way in (half, half.flip(2)))


# validation


def test_validation_batches_are_plain_and_stable(cache):
    batches = maker(cache, hints_config(zoom=1.0, hue_jitter=1.0, line_jitter=1.0))
    batch, figures = batches.validation([1, 3])
    torch.testing.assert_close(batch.truth, torch.stack([crop_of(cache, 1), crop_of(cache, 3)]))
    torch.testing.assert_close(batch.drawing[:, 0], torch.from_numpy(cache.lines[[1, 3], 0]).float() / 127.5 - 1)
    assert batch.picture[:, 1:].abs().max() == 0
    assert batch.palette.abs().max() == 0
    assert torch.equal(figures, torch.from_numpy(cache.figure[[1, 3]]).bool())
    hinted, _ = batches.validation([1, 3], hints=20, with_palette=True)
    again, _ = batches.validation([1, 3], hints=20, with_palette=True)
    assert torch.equal(hinted.picture, again.picture)
    assert (hinted.picture[:, 4].sum((1, 2)) >= 20).all()
    assert torch.equal(hinted.palette, torch.from_numpy(cache.palette[[1, 3]]))


def test_validation_scales_the_whole_picture_down(cache):
    batch, figures = maker(cache, plain_config(size=64, load_size=128)).validation([0])
    assert batch.truth.shape == (1, 3, 64, 64)
    assert figures.shape == (1, 64, 64)
    half = functional.avg_pool2d(crop_of(cache, 0)[None], 2)
    assert (batch.truth - half).abs().mean() < 0.05


# the order of pictures


def test_every_picture_once_an_epoch():
    sampler = Sampler(10, None, 4, seed=3)
    drawn = [index for step in range(10) for index in sampler(step)]
    epochs = [drawn[start : start + 10] for start in range(0, 40, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_batches_larger_than_the_data():
    drawn = Sampler(3, None, 8, seed=0)(1)
    assert len(drawn) == 8
    assert max(Counter(drawn).values()) <= 4


@pytest.mark.parametrize("weights", [None, np.array([0.5, 0.2, 0.2, 0.05, 0.05])])
def test_a_sampler_can_start_anywhere(weights):
    whole = Sampler(5, weights, 3, seed=1)
    expected = [whole(step) for step in range(8)]
    assert [Sampler(5, weights, 3, seed=1)(step) for step in range(8)] == expected
    backwards = Sampler(5, weights, 3, seed=1)
    assert [backwards(step) for step in reversed(range(8))] == expected[::-1]
    assert [Sampler(5, weights, 3, seed=2)(step) for step in range(8)] != expected


def test_weights_are_respected():
    sampler = Sampler(4, np.array([0.6, 0.3, 0.1, 0.0]), 100, seed=0)
    drawn = Counter(index for step in range(30) for index in sampler(step))
    assert drawn[3] == 0
    assert [drawn[index] / 3000 for index in range(3)] == pytest.approx([0.6, 0.3, 0.1], abs=0.03)


def test_step_generators_differ_in_every_argument():
    values = {
        torch.rand((), generator=step_generator(*key)).item()
        for key in ((0, 0, "a"), (1, 0, "a"), (0, 1, "a"), (0, 0, "b"))
    }
    assert len(values) == 4
    assert step_generator(0, 5, "a").initial_seed() == step_generator(0, 5, "a").initial_seed()
