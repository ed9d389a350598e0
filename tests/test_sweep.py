import csv

import pytest
from tiny import make_cache

from pixelpainter.cli import train as train_module
from pixelpainter.cli.training_runs import finish_sweep
from pixelpainter.errors import TrainingError
from pixelpainter.train.config import make_config
from pixelpainter.train.folder import checkpoints
from pixelpainter.train.processes import Processes
from pixelpainter.train.sweep import parse_sweep, save_rows, sweep_rows, text_table

CONFIG = make_config("pix2pix", width=8)


def test_a_configuration_for_each_value():
    found = parse_sweep("lambda_l1=10,50, 100", CONFIG)
    assert list(found) == ["lambda_l1=10", "lambda_l1=50", "lambda_l1=100"]
    assert [config.lambda_l1 for config in found.values()] == [10.0, 50.0, 100.0]
    for config in found.values():
        assert len(config.differences(CONFIG)) == 1


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("batch-size=4,8", "batch_size", {"batch_size=4": 4, "batch_size=8": 8}),
        ("--learning_rate=2e-4,1e-3", "learning_rate", {"learning_rate=0.0002": 2e-4, "learning_rate=0.001": 1e-3}),
        ("line-styles=1,0", "line_styles", {"line_styles=1": 1, "line_styles=0": 0}),
        ("adversarial=none,hinge", "adversarial", {"adversarial=none": "none", "adversarial=hinge": "hinge"}),
        ("attention=no,yes", "attention", {"attention=False": False, "attention=True": True}),
    ],
)
def test_values_are_of_the_options_kind(text, name, values):
    found = {folder: getattr(config, name) for folder, config in parse_sweep(text, CONFIG).items()}
    assert found == values
    assert [type(value) for value in found.values()] == [type(value) for value in values.values()]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lambda_l1", "write OPTION=VALUE,VALUE"),
        ("lambda_l2=1", "write OPTION=VALUE,VALUE"),
        ("size=128,256", "write OPTION=VALUE,VALUE"),  # other pictures would have to be decoded
        ("load_size=256,286", "write OPTION=VALUE,VALUE"),
        ("lambda_l1=", "'' is no value of lambda_l1"),
        ("lambda_l1=10,much", "'much' is no value of lambda_l1, whose value now is 400.0"),
        ("batch_size=2.5", "'2.5' is no value of batch_size"),
        ("adversarial=none,wgan", "'wgan' is no value of adversarial"),
    ],
)
def test_what_cannot_be_swept(text, words):
    with pytest.raises(ValueError, match=words):
        parse_sweep(text, CONFIG)


def test_epochs_are_not_swept_where_samples_decide():
    with pytest.raises(ValueError, match="--samples 1600 says how long to train"):
        parse_sweep("epochs=1,2", make_config(preset="character"))
    assert [each.epochs for each in parse_sweep("epochs=1,2", make_config(preset="mun")).values()] == [1, 2]


def test_values_out_of_range():
    with pytest.raises(TrainingError, match="--lambda-l1 is -1"):
        parse_sweep("lambda_l1=10,-1", CONFIG)


def test_the_table_is_of_the_last_figures(tmp_path):
    for name, value in (("lambda_l1=10", 11.25), ("lambda_l1=50", 12.5)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "losses.csv").write_text("step,l1\n5,9\n")
        (tmp_path / name / "metrics.csv").write_text(f"step,psnr_plain,ssim_plain\n5,9,0.1\n10,{value},0.25\n")
    rows = sweep_rows(tmp_path, ["lambda_l1=10", "lambda_l1=50"], {})
    assert text_table(rows).splitlines() == [
        "lambda_l1       10      50",
        "step            10      10",
        "psnr plain  11.250  12.500",
        "ssim plain   0.250   0.250",
    ]
    with save_rows(rows, tmp_path).open(newline="") as stream:
        assert list(csv.reader(stream)) == [
            ["run", "step", "psnr_plain", "ssim_plain"],
            ["lambda_l1=10", "10", "11.25", "0.25"],
            ["lambda_l1=50", "10", "12.5", "0.25"],
        ]


def test_without_validation_the_table_is_of_losses(tmp_path):
    (tmp_path / "ema=0.5").mkdir()
    (tmp_path / "ema=0.5" / "losses.csv").write_text("step,l1\n5,9\n")
    assert sweep_rows(tmp_path, ["ema=0.5"], {}) == [{"run": "ema=0.5", "step": "5", "l1": "9"}]
    with pytest.raises(TrainingError, match=r"ema=0\.9: there are no figures of this run"):
        sweep_rows(tmp_path, ["ema=0.9"], {})


# the command

OPTIONS = ("--system", "pix2pix-hints", "--size", 128, "--load-size", 128, "--width", 4, "--device", "cpu")
SHORT = (*OPTIONS, "--batch-size", 4, "--samples", 8, "--checkpoint-every", 100)


@pytest.fixture
def here(tmp_path, monkeypatch, one_thread):
    """A folder of its own, pictures that are decoded already, and one thread."""
    caches = make_cache(8, 128), make_cache(2, 128, seed=3)
    monkeypatch.setattr(train_module, "load_training_data", lambda *_: caches)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_trains_all_ends_with_a_table_and_skips_what_is_done(command, here):
    done = command("train", *SHORT, "--sweep", "lambda_l1=1,5", "--run", "runs")
    assert done.status == 0, done.err
    assert done.out.splitlines()[0].split() == ["lambda_l1", "1", "5"]
    assert "psnr plain" in done.out
    names = ["lambda_l1=1", "lambda_l1=5"]
    for name in names:
        assert [path.name for path in checkpoints(here / "runs" / name)] == ["step_00000002.pt"]
        for plot in ("losses.png", "metrics.png", "progress.png"):
            assert (here / "runs" / name / plot).stat().st_size > 1000
    assert len((here / "runs" / "sweep.csv").read_text().splitlines()) == 3
    before = [checkpoints(here / "runs" / name)[-1].stat().st_mtime_ns for name in names]

    again = command("train", *SHORT, "--sweep", "lambda_l1=1,5,20", "--run", "runs")
    assert again.status == 0, again.err
    assert again.err.count("is already trained to the end") == 2
    assert again.out.splitlines()[0].split() == ["lambda_l1", "1", "5", "20"]
    assert [checkpoints(here / "runs" / name)[-1].stat().st_mtime_ns for name in names] == before


def test_a_run_that_fails_costs_its_own_column_alone(command, here):
    """The learning rate of the first is one that no network survives."""
    done = command("train", *SHORT, "--sweep", "learning_rate=1e30,0.001", "--run", "runs")
    assert done.status == 1
    assert "learning_rate=1e+30: " in done.err and "is no longer a number" in done.err
    table = [line.split() for line in done.out.splitlines()]
    assert table[:2] == [["learning_rate", "1e+30", "0.001"], ["step", "failed", "2"]]
    assert [len(row) for row in table if row[0] == "psnr"] and "error" not in done.out
    saved = list(csv.DictReader((here / "runs" / "sweep.csv").read_text().splitlines()))
    assert "is no longer a number" in saved[0]["error"]
    assert (saved[0]["psnr_plain"], saved[1]["error"]) == ("", "")


def test_a_run_that_cannot_begin_costs_its_own_column_alone(command, here):
    assert command("train", *SHORT, "--sweep", "lambda_l1=1", "--run", "runs").status == 0
    done = command("train", *SHORT, "--seed", 5, "--sweep", "lambda_l1=1,5", "--run", "runs")
    assert done.status == 1
    assert "lambda_l1=1: " in done.err and "differs in: --seed 5 (was 0)" in done.err
    assert done.out.splitlines()[1].split() == ["step", "failed", "2"]


def test_one_of_several_processes_that_fails_does_not_go_on_alone(tmp_path):
    def fail(config, folder):
        raise TrainingError(f"{folder.name} fails")

    with pytest.raises(TrainingError, match="lambda_l1=1 fails"):
        finish_sweep(fail, parse_sweep("lambda_l1=1,5", CONFIG), tmp_path, Processes(0, 2))


def test_a_run_killed_before_its_plots_gets_them(command, here):
    done = command("train", *SHORT, "--run", "run")
    assert done.status == 0 and "Done. best.pt is step 2 with " in done.err
    (here / "run" / "losses.png").unlink()
    done = command("train", *SHORT, "--run", "run")
    assert (done.status, "is already trained to the end" in done.err) == (0, True)
    assert (here / "run" / "losses.png").exists()


def test_names_of_runs_are_short_and_differ():
    assert list(parse_sweep("learning_rate=1e-3,0.00012345678,0.00012345679", CONFIG)) == [
        "learning_rate=0.001",
        "learning_rate=0.00012345678",
        "learning_rate=0.00012345679",
    ]


def test_a_dry_run_prints_all(command, here):
    done = command("train", *SHORT, "--sweep", "lambda_l1=1,5", "--dry-run")
    assert done.status == 0
    assert "--lambda-l1 1.0\n" in done.out and "--lambda-l1 5.0\n" in done.out
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--sweep", "lambda_l1=a"), "'a' is no value of lambda_l1"),
        (("--sweep", "lambda_l1=1", "--fresh"), "a sweep starts over in another --run folder"),
    ],
)
def test_wrong_usage(command, here, arguments, words):
    done = command("train", *SHORT, *arguments)
    assert done.status == 2
    assert len(done.err.splitlines()) == 1
    assert words in done.err
    assert not list(here.iterdir())
