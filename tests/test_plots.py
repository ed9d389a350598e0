import sys

import numpy as np
import pytest
from PIL import Image

from pixelpainter.errors import MissingExtraError, TrainingError
from pixelpainter.train import plots
from pixelpainter.train.plots import CELL, LABEL, draw_progress, read_curves, save_plots

SIDE = 32


def write_tables(run):
    (run / "losses.csv").write_text("step,l1,gan,images_per_s\n10,2.5,0.7,50\n20,1.5,0.6,55\n")
    (run / "metrics.csv").write_text(
        "step,psnr_plain,ssim_plain,colorfulness_plain,psnr_baseline_gray\n10,9,0.2,0.1,10\n20,11,0.3,0.2,10\n"
    )


def write_grid(run, step, value, rows=3):
    """A grid of black drawings, answers of one value, and white truths."""
    cells = [np.full((SIDE * rows, SIDE, 3), shade, np.uint8) for shade in (0, value, 200, 255)]
    Image.fromarray(np.concatenate(cells, axis=1)).save(run / f"samples_{step:08d}.png")


def test_curves_are_the_columns_of_the_table(tmp_path):
    write_tables(tmp_path)
    assert read_curves(tmp_path / "losses.csv") == {
        "l1": [(10, 2.5), (20, 1.5)],
        "gan": [(10, 0.7), (20, 0.6)],
        "images_per_s": [(10, 50.0), (20, 55.0)],
    }
    assert read_curves(tmp_path / "nothing.csv") == {}


def test_torn_rows_are_left_out(tmp_path):
    (tmp_path / "losses.csv").write_text("step,l1,gan\n10,2.5,0.7\n20,1.5\nx,1,1\n30,1.0,0.5\n4")
    assert read_curves(tmp_path / "losses.csv")["l1"] == [(10, 2.5), (30, 1.0)]


def test_every_curve_is_drawn(tmp_path):
    write_tables(tmp_path)
    losses = plots._plot_losses(read_curves(tmp_path / "losses.csv"))
    assert [panel.get_title() for panel in losses.axes] == ["l1", "gan", "images_per_s"]
    assert losses.axes[0].lines[0].get_xydata().tolist() == [[10, 2.5], [20, 1.5]]
    metrics = plots._plot_metrics(read_curves(tmp_path / "metrics.csv"))
    assert [len(panel.lines) for panel in metrics.axes] == [2, 1, 1]
    psnr = metrics.axes[0]
    assert [line.get_label() for line in psnr.lines] == ["plain", "baseline gray"]
    assert [line.get_linestyle() for line in psnr.lines] == ["-", "--"]
    assert psnr.lines[0].get_xydata().tolist() == [[10, 9], [20, 11]]


def test_legends_lie_over_no_curve(tmp_path):
    (tmp_path / "metrics.csv").write_text(
        "step,psnr_plain,psnr_hints_20,psnr_palette,psnr_baseline_white,psnr_baseline_drawing,psnr_baseline_gray\n"
        "10,9,9,12,4,5,10\n20,11,11,10,4,5,10\n"
    )
    figure = plots._plot_metrics(read_curves(tmp_path / "metrics.csv"))
    figure.draw_without_rendering()
    (panel,) = figure.axes
    legend = panel.get_legend().get_window_extent()
    assert not legend.overlaps(panel.get_window_extent())
    assert not legend.overlaps(panel.xaxis.label.get_window_extent())
    assert figure.bbox.containsx(legend.x0) and figure.bbox.containsx(legend.x1) and legend.y0 >= 0


def test_progress_shows_drawing_steps_and_truth(tmp_path):
    for step, value in ((10, 40), (20, 80), (30, 120)):
        write_grid(tmp_path, step, value)
    found = np.asarray(draw_progress(sorted(tmp_path.glob("samples_*.png")), SIDE))
    assert found.shape == (LABEL + 3 * SIDE, 5 * SIDE, 3)
    middles = found[LABEL + SIDE // 2, SIDE // 2 :: SIDE, 0]
    assert middles.tolist() == [0, 40, 80, 120, 255]
    assert (found[:LABEL] < 128).any()  # the names of the columns


def test_progress_of_many_large_grids_stays_small(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "SIDE", 200)
    for step in range(1, 21):
        write_grid(tmp_path, step, step, rows=6)
    found = np.asarray(draw_progress(sorted(tmp_path.glob("samples_*.png")), 200))
    assert found.shape == (LABEL + 4 * CELL, 8 * CELL, 3)
    middles = found[LABEL + CELL // 2, CELL // 2 :: CELL, 0]
    assert middles.tolist() == [0, 1, 4, 8, 12, 16, 20, 255]


def test_torn_grids_are_left_out(tmp_path):
    whole = tmp_path / "samples_00000001.png"
    Image.effect_noise((30, 10), 50).convert("RGB").save(whole)
    torn = [tmp_path / f"samples_0000000{step}.png" for step in (2, 3)]
    torn[0].write_bytes(whole.read_bytes()[:200])
    torn[1].write_bytes(b"")
    assert draw_progress([whole, *torn], 10) is not None
    assert draw_progress(torn, 10) is None


def test_grids_of_another_validation_are_left_out(tmp_path):
    write_grid(tmp_path, 10, 40, rows=2)
    write_grid(tmp_path, 20, 80)
    assert np.asarray(draw_progress(sorted(tmp_path.glob("samples_*.png")), SIDE)).shape[1] == 3 * SIDE
    assert draw_progress([], SIDE) is None


def test_save_plots_writes_what_there_is(tmp_path):
    assert save_plots(tmp_path, SIDE) == []
    write_tables(tmp_path)
    write_grid(tmp_path, 10, 40)
    written = save_plots(tmp_path, SIDE)
    assert [path.name for path in written] == ["losses.png", "metrics.png", "progress.png"]
    for path in written:
        with Image.open(path) as image:
            image.load()
    with Image.open(tmp_path / "losses.png") as image:
        assert len(image.convert("RGB").getcolors(1 << 24)) > 10  # something is drawn


def test_a_run_without_validation_has_losses_only(tmp_path):
    write_tables(tmp_path)
    (tmp_path / "metrics.csv").unlink()
    assert [path.name for path in save_plots(tmp_path, SIDE)] == ["losses.png"]


def test_a_place_that_cannot_be_written(tmp_path):
    write_tables(tmp_path)
    (tmp_path / "losses.png").mkdir()
    with pytest.raises(TrainingError, match=r"the plots cannot be written .Is a directory"):
        save_plots(tmp_path, SIDE)


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    write_tables(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"matplotlib: install the extra .*\[train\]"):
        save_plots(tmp_path, SIDE)
