import contextlib
import csv
import dataclasses
import errno
import io
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import hints_config, make_cache, plain_config
from torch import nn

from pixelpainter.errors import DataError, TrainingError
from pixelpainter.export import export, make_card
from pixelpainter.systems import SYSTEMS
from pixelpainter.train import health, perceptual
from pixelpainter.train import run as run_module
from pixelpainter.train.checkpoint import load_checkpoint
from pixelpainter.train.folder import BEST, check_place, checkpoints
from pixelpainter.train.loop import make_state, train
from pixelpainter.train.run import Run, score
from pixelpainter.train.start import load_generator

CPU = torch.device("cpu")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def training():
    return make_cache(8, 128)


@pytest.fixture(scope="module")
def held_out():
    return make_cache(3, 128, seed=5)


CONFIG = hints_config(samples=0, epochs=2, checkpoint_every=1.0, batch_size=4)


def start(folder, training, config=CONFIG, validation=None, init=None, command="first command"):
    return Run(config, folder, training, validation, CPU, command, init)


def rows(file):
    with file.open(newline="") as stream:
        return list(csv.reader(stream))


def weights(folder):
    return load_checkpoint(checkpoints(folder)[-1]).states["generator"]


def assert_same_weights(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_run_writes_checkpoints_logs_and_a_grid(tmp_path, training, held_out):
    run = start(tmp_path, training, validation=held_out)
    steps = []
    run.on_step = steps.append
    reports = list(run)
    assert run.messages == []
    assert steps == [1, 2, 3, 4]
    assert [(report.step, report.total_steps) for report in reports] == [(2, 4), (4, 4)]
    assert [path.name for path in checkpoints(tmp_path)] == ["step_00000002.pt", "step_00000004.pt"]
    assert [report.checkpoint for report in reports] == checkpoints(tmp_path)
    assert set(reports[0].losses) == {"l1", "chroma", "gradient"}
    assert reports[0].images_per_s > 0

    losses = rows(tmp_path / "losses.csv")
    assert losses[0] == ["step", "l1", "chroma", "gradient", "images_per_s"]
    assert [row[0] for row in losses[1:]] == ["2", "4"]
    assert float(losses[2][1]) == pytest.approx(reports[1].losses["l1"], rel=1e-4)
    figures = rows(tmp_path / "metrics.csv")
    assert [row[0] for row in figures] == ["step", "2", "4"]
    expected = [
        f"{measure}_{way}" for way in ("plain", "hints_20", "palette") for measure in ("psnr", "ssim", "colorfulness")
    ]
    expected += [f"psnr_baseline_{name}" for name in ("white", "drawing", "gray", "mean")]
    assert set(figures[0][1:]) == set(expected)
    assert load_checkpoint(checkpoints(tmp_path)[-1]).metrics == reports[1].metrics

    assert list((tmp_path / "tensorboard").glob("events.out.tfevents.*"))
    with Image.open(tmp_path / "samples_00000004.png") as grid:
        assert grid.size == (5 * 128, 3 * 128)  # drawing, plain, hints, palette, truth
        drawn = np.asarray(grid)
    drawing, truth = held_out.lines[1, 0], held_out.color[1].transpose(1, 2, 0)
    assert np.array_equal(drawn[128:256, :128], np.repeat(drawing[..., None], 3, axis=2))
    assert np.array_equal(drawn[128:256, -128:], truth)


def test_tensorboard_can_read_the_log(tmp_path, training, held_out):
    list(start(tmp_path, training, validation=held_out))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tensorboard's own dependencies
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("losses/l1")] == [2, 4]
    assert [event.step for event in events.Scalars("metrics/psnr_plain")] == [2, 4]
    shown = events.Images("samples")
    assert [event.step for event in shown] == [2, 4]
    for event in shown:
        with (
            Image.open(io.BytesIO(event.encoded_image_string)) as image,
            Image.open(tmp_path / f"samples_{event.step:08d}.png") as grid,
        ):
            assert np.array_equal(image, grid)


def test_logged_losses_are_means_since_the_last_report(tmp_path, training):
    run = start(tmp_path, training)
    steps = train(make_state(CONFIG, CPU), CONFIG, run._make_batch, run.total_steps, CPU)
    each = [record.terms["l1"].item() for record in steps]
    reports = list(run)
    assert [report.losses["l1"] for report in reports] == pytest.approx([np.mean(each[:2]), np.mean(each[2:])])


def test_losses_between_checkpoints_are_written_and_watched(tmp_path, training, monkeypatch):
    monkeypatch.setattr(run_module, "LOG_EVERY", 2)
    run = start(tmp_path, training, dataclasses.replace(CONFIG, samples=20, checkpoint_every=9.0))
    assert [(report.step, report.checkpoint is None) for report in run] == [(2, True), (4, True), (5, False)]
    assert [row[0] for row in rows(tmp_path / "losses.csv")] == ["step", "2", "4", "5"]


def test_the_averaged_network_is_what_is_measured(tmp_path, training, held_out, monkeypatch):
    asked = []
    for name in ("validate", "save_grid"):
        monkeypatch.setattr(run_module, name, lambda generator, *_: asked.append(generator))
    run = start(tmp_path, training, validation=held_out)
    run.measure()
    assert [each is run.state.ema for each in asked] == [True, True]


def test_pictures_to_validate_on_are_spread_over_all(tmp_path, training, held_out, monkeypatch):
    monkeypatch.setattr(run_module, "VALIDATION_PICTURES", 2)
    assert start(tmp_path, training, validation=held_out)._validation_pictures == [0, 2]


def test_without_validation_there_are_no_figures(tmp_path, training):
    reports = list(start(tmp_path, training))
    assert [report.metrics for report in reports] == [{}, {}]
    assert not (tmp_path / "metrics.csv").exists()
    assert not list(tmp_path.glob("samples_*"))


@pytest.mark.parametrize(
    ("options", "total_steps", "steps_between"),
    [
        ({"samples": 0, "epochs": 35, "batch_size": 4, "checkpoint_every": 7.0}, 70, 14),
        ({"samples": 0, "epochs": 1, "batch_size": 3, "checkpoint_every": 0.01}, 2, 1),
        ({"samples": 100, "batch_size": 8, "checkpoint_every": 1.5}, 12, 2),
        ({"samples": 3, "batch_size": 8}, 1, 1),
        ({"samples": 12, "batch_size": 2, "checkpoint_every": 1e308}, 6, 6),
    ],
)
def test_steps_of_a_run(tmp_path, training, options, total_steps, steps_between):
    run = start(tmp_path, training, hints_config(**options))
    assert (run.total_steps, run._steps_between) == (total_steps, steps_between)


def test_samples_are_counted_over_all_runs(tmp_path, training):
    list(start(tmp_path / "one", training))
    assert load_checkpoint(checkpoints(tmp_path / "one")[-1]).samples == 4 * 4
    list(start(tmp_path / "two", training, dataclasses.replace(CONFIG, epochs=1), init=tmp_path / "one"))
    assert load_checkpoint(checkpoints(tmp_path / "two")[-1]).samples == 16 + 8
    again = start(tmp_path / "two", training, dataclasses.replace(CONFIG, epochs=1))
    assert again.save({}).name == "step_00000002.pt"
    assert load_checkpoint(checkpoints(tmp_path / "two")[-1]).samples == 16 + 8


# continuing


def test_a_stopped_run_goes_on_as_if_nothing_had_happened(tmp_path, training, held_out):
    list(start(tmp_path / "whole", training, validation=held_out))
    stopped = start(tmp_path / "parts", training, validation=held_out)
    stopped.stop_requested = True
    reports = list(stopped)
    assert [report.step for report in reports] == [1]  # the step under way is finished and saved
    assert reports[0].checkpoint == tmp_path / "parts" / "step_00000001.pt"
    resumed = start(tmp_path / "parts", training, validation=held_out, command="second command")
    assert resumed.messages == [f"continues {tmp_path / 'parts'} at step 1 of 4"]
    assert [report.step for report in resumed] == [2, 4]
    assert_same_weights(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    whole, parts = (load_checkpoint(checkpoints(tmp_path / name)[-1]) for name in ("whole", "parts"))
    assert whole.metrics == parts.metrics
    assert parts.samples == 16
    assert parts.command == "first command"


def test_a_finished_run_has_nothing_left_to_do(tmp_path, training):
    list(start(tmp_path, training))
    finished = start(tmp_path, training)
    assert finished.state.step == finished.total_steps
    assert list(finished) == []


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("learning_rate", 5e-4, r"--learning-rate 0\.0005 \(was 0\.001\)"),
        ("epochs", 3, r"--epochs 3 \(was 2\)"),
        ("mix", {"odd": 2.0}, r"--mix \{'odd': 2\.0\} \(was \{\}\)"),
        ("seed", 4, r"--seed 4 \(was 0\)"),
    ],
)
def test_another_configuration_is_refused(tmp_path, training, option, value, words):
    list(start(tmp_path, training))
    with pytest.raises(TrainingError, match=rf"holds a run that differs in: {words}; repeat its options"):
        start(tmp_path, training, dataclasses.replace(CONFIG, **{option: value}))


def test_another_system_is_refused(tmp_path, training):
    list(start(tmp_path, training, dataclasses.replace(CONFIG, epochs=1)))
    with pytest.raises(TrainingError, match=r"--system pix2pix \(was pix2pix-hints\)"):
        start(tmp_path, training, plain_config())


def test_other_pictures_are_refused(tmp_path, training):
    list(start(tmp_path, training))
    with pytest.raises(TrainingError, match="differs in: the training pictures;"):
        start(tmp_path, dataclasses.replace(training, manifest="n" * 64))


def test_a_torn_newest_checkpoint_costs_only_its_steps(tmp_path, training):
    list(start(tmp_path, training))
    expected = weights(tmp_path)
    newest = tmp_path / "step_00000004.pt"
    newest.write_bytes(newest.read_bytes()[:1000])
    run = start(tmp_path, training)
    assert len(run.messages) == 2
    assert "step_00000004.pt: not a readable checkpoint" in run.messages[0]
    assert "at step 2 of 4" in run.messages[1]
    list(run)
    assert_same_weights(expected, weights(tmp_path))


def test_a_torn_checkpoint_crowds_out_no_whole_one(tmp_path, training):
    run = start(tmp_path, training, dataclasses.replace(CONFIG, keep=1))
    (tmp_path / "step_00000003.pt").write_bytes(b"torn")
    with contextlib.closing(iter(run)) as reports:
        next(reports)
    assert load_checkpoint(tmp_path / "step_00000002.pt").step == 2


def test_what_a_killed_run_was_writing_goes(tmp_path, training):
    (tmp_path / ".pixelpainter-0123456789abcdef.tmp").write_bytes(b"torn")
    (tmp_path / "notes.part").write_text("mine")
    start(tmp_path, training)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.part"]


def test_two_runs_do_not_work_in_one_folder(tmp_path, training):
    one = iter(start(tmp_path, training))
    next(one)
    with pytest.raises(TrainingError, match="another training is at work in this folder; choose another --run"):
        list(start(tmp_path, training))
    one.close()
    assert len(list(start(tmp_path, training))) == 1


def test_a_kill_between_table_and_checkpoint_costs_no_row(tmp_path, training, held_out, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    list(start(tmp_path / "whole", training, validation=held_out))
    for name in ("save_checkpoint", "mark_best"):
        folder = tmp_path / name
        with monkeypatch.context() as patch:
            patch.setattr(run_module, name, killed)
            with pytest.raises(KeyboardInterrupt):
                list(start(folder, training, validation=held_out))
        list(start(folder, training, validation=held_out))
        for table in ("metrics.csv", "losses.csv"):
            ours, theirs = rows(folder / table), rows(tmp_path / "whole" / table)
            assert [row[:4] for row in ours] == [row[:4] for row in theirs]


def test_what_decides_nothing_that_is_learned_may_change(tmp_path, training):
    run = start(tmp_path, training)
    run.stop_requested = True
    list(run)
    again = start(tmp_path, training, dataclasses.replace(CONFIG, keep=1, checkpoint_every=0.5))
    assert "continues" in again.messages[0]
    list(again)
    assert [path.name for path in checkpoints(tmp_path)] == ["step_00000004.pt"]


def test_only_the_newest_checkpoints_stay(tmp_path, training):
    list(start(tmp_path, training, dataclasses.replace(CONFIG, epochs=4, keep=2)))
    assert [path.name for path in checkpoints(tmp_path)] == ["step_00000006.pt", "step_00000008.pt"]


# starting from other networks


def test_init_takes_the_averaged_networks_and_nothing_else(tmp_path, training):
    list(start(tmp_path / "one", training))
    stored = load_checkpoint(checkpoints(tmp_path / "one")[-1])
    run = start(tmp_path / "two", training, init=tmp_path / "one", command="next command")
    assert_same_weights(stored.states["ema"], run.state.generator.state_dict())
    assert run.state.step == 0
    assert run.state.generator_optimizer.state_dict()["state"] == {}
    assert run.messages == [f"starts from {tmp_path / 'one'}, step 4"]
    list(run)
    final = load_checkpoint(checkpoints(tmp_path / "two")[-1])
    assert final.command == "first command && next command"
    # what it continues by itself is the new run, not --init again
    assert "continues" in start(tmp_path / "two", training, init=tmp_path / "one").messages[0]


def test_init_brings_a_critic_where_there_is_one(tmp_path, training):
    with_critic = dataclasses.replace(CONFIG, adversarial="hinge", epochs=1)
    list(start(tmp_path / "one", training, with_critic))
    stored = load_checkpoint(checkpoints(tmp_path / "one")[-1])
    run = start(tmp_path / "two", training, with_critic, init=tmp_path / "one")
    assert_same_weights(stored.states["critic"], run.state.critic.state_dict())
    several = dataclasses.replace(with_critic, critics=2)
    run = start(tmp_path / "two", training, several, init=tmp_path / "one")
    assert run.messages[0].endswith("step 2, with a new critic: its own is another network")
    assert_same_weights(stored.states["ema"], run.state.generator.state_dict())


def test_init_of_another_network_is_refused(tmp_path, training):
    list(start(tmp_path / "one", training))
    for change, words in (({"width": 8}, r"--width 8 \(was 4\)"), ({"attention": True}, r"--attention True \(was F")):
        with pytest.raises(TrainingError, match=rf"--init .*one: its network is another one than this .* \({words}"):
            start(tmp_path / "two", training, dataclasses.replace(CONFIG, **change), init=tmp_path / "one")
    with pytest.raises(TrainingError, match="nothing: no such checkpoint"):
        start(tmp_path / "two", training, init=tmp_path / "nothing")


def test_init_from_an_exported_model(tmp_path, training):
    list(start(tmp_path / "one", training))
    generator, stored, _ = load_generator(tmp_path / "one")
    file = tmp_path / "one.onnx"
    export(generator, stored, make_card(stored, "fp32"), training, file)
    with_critic = dataclasses.replace(CONFIG, adversarial="hinge")
    run = start(tmp_path / "two", training, with_critic, init=file, command="next command")
    assert run.messages == [f"starts from {file}"]
    inputs = run._batch_of_all(0).inputs
    with torch.no_grad():
        found, expected = run.state.generator.eval()(*inputs), generator(*inputs)
        normed = run.state.generator.train()(*inputs)
    assert (found - expected).abs().max() < 1e-4
    assert (normed - expected).abs().mean() < 0.5 * expected.std()  # its norms know these pictures
    list(run)
    final = load_checkpoint(checkpoints(tmp_path / "two")[-1])
    assert final.command == "first command && next command"
    assert final.samples == stored.samples + run.total_steps * with_critic.batch_size
    with pytest.raises(TrainingError, match=r"one.onnx: this is a model of pix2pix-hints; add --system pix2pix-hints"):
        start(tmp_path / "three", training, plain_config(), init=file)
    with pytest.raises(TrainingError, match=r"one.onnx: its network is another one .*\(encoder.0.*--width"):
        start(tmp_path / "three", training, dataclasses.replace(CONFIG, width=8), init=file)


# trouble


def test_a_loss_that_is_no_number_ends_the_run_and_is_not_saved(tmp_path, training):
    run = start(tmp_path, training)
    make = run._batches.training

    def broken(indices, step, *process):
        batch = make(indices, step, *process)
        return dataclasses.replace(batch, truth=batch.truth * (float("nan") if step == 2 else 1.0))

    run._batches.training = broken
    with pytest.raises(TrainingError, match="loss l1, chroma, gradient is no longer a number at step 4") as caught:
        list(run)
    assert "--learning-rate" in str(caught.value)
    assert [path.name for path in checkpoints(tmp_path)] == ["step_00000002.pt"]


def test_networks_that_memory_does_not_hold(tmp_path, training, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(run_module, "make_state", full)
    with pytest.raises(TrainingError, match="not enough memory for --batch-size 4"):
        start(tmp_path, training)


def test_weights_of_a_loss_that_cannot_be_had_are_missed_before_a_folder_is_made(tmp_path, training, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(perceptual, "WEIGHTS", "http://127.0.0.1:9/vgg16-00000000.pth")
    with pytest.raises(TrainingError, match="--lambda-perceptual needs VGG-16"):
        start(tmp_path / "run", training, dataclasses.replace(CONFIG, lambda_perceptual=1.0))
    assert not (tmp_path / "run").exists()


def test_mix_names_are_checked(tmp_path, training):
    with pytest.raises(DataError, match="--mix nowhere: no such source"):
        start(tmp_path, training, dataclasses.replace(CONFIG, mix={"nowhere": 2.0}))


def test_the_seed_decides_the_order(tmp_path, training):
    orders = [start(tmp_path, training, dataclasses.replace(CONFIG, seed=seed))._sampler(0) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


def test_mix_decides_what_is_seen(tmp_path, training):
    run = start(tmp_path, training, dataclasses.replace(CONFIG, mix={"odd": 0.0}))
    assert {index % 2 for step in range(10) for index in run._sampler(step)} == {0}


def test_a_critic_that_has_won_ends_the_run(tmp_path, training, monkeypatch):
    """It is looked at each time losses are logged; the last checkpoint stays."""
    monkeypatch.setattr(health, "PATIENCE_STEPS", 2)
    config = dataclasses.replace(CONFIG, adversarial="hinge", epochs=9)
    run = start(tmp_path, training, config)

    class Objective:
        uses_critic = True

        def critic_terms(self, fake, batch, critic):
            zero = 0 * critic(batch.drawing, fake).mean()
            return {"real": zero + 1e-6, "fake": zero}

        def generator_terms(self, fake, batch, critic):
            return {"l1": fake.abs().mean()}

    row = dataclasses.replace(SYSTEMS[config.system], make_objective=lambda config: Objective())
    monkeypatch.setitem(SYSTEMS, config.system, row)
    with pytest.raises(TrainingError, match=r"the critic has collapsed: its loss is below 0.0001 since step 2,"):
        list(run)
    assert [path.name for path in checkpoints(tmp_path)] == ["step_00000002.pt"]


@pytest.mark.parametrize("network", ["generator", "critic"])
def test_weights_that_are_no_numbers_are_not_saved(tmp_path, training, network):
    run = start(tmp_path, training, dataclasses.replace(CONFIG, adversarial="hinge"))
    with torch.no_grad():
        next(getattr(run.state, network).parameters())[0] = float("inf")
    with pytest.raises(TrainingError, match=f"a weight of the {network} is no longer a number at step 0"):
        run.measure()
    assert checkpoints(tmp_path) == []


def test_nothing_is_written_before_the_first_checkpoint_but_an_empty_folder(tmp_path, training):
    start(tmp_path / "run", training)
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.filterwarnings("ignore")  # of the tracer
def test_a_compiled_run_learns_the_same(tmp_path, training, monkeypatch):
    """With the compiler that only traces: what it makes of it is not ours to test."""
    with_critic = dataclasses.replace(CONFIG, adversarial="hinge")
    plain = [report.losses for report in start(tmp_path / "plain", training, with_critic)]
    traced = []

    def trace(graph, inputs):
        traced.append(graph)
        return graph.forward

    monkeypatch.setattr(
        nn.Module, "compile", lambda self: setattr(self, "forward", torch.compile(self.forward, backend=trace))
    )
    run = Run(with_critic, tmp_path / "compiled", training, None, CPU, "", compiled=True)
    compiled = [report.losses for report in run]
    assert len(traced) == 3  # the generator, and the critic learning and judging: translating each takes long
    for one, other in zip(plain, compiled, strict=True):
        assert one == pytest.approx(other, rel=1e-2)
    assert (
        load_checkpoint(tmp_path / "compiled" / "step_00000004.pt").states["generator"].keys()
        == weights(tmp_path / "plain").keys()
    )


def test_a_folder_that_cannot_be_written(tmp_path, training):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(TrainingError, match=r"cannot be written .*another --run"):
        list(start(tmp_path / "file" / "run", training))
    assert (tmp_path / "file").read_text() == "mine"


def test_a_place_without_write_access(tmp_path, monkeypatch):
    check_place(tmp_path / "new" / "run")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(TrainingError, match=r"run: cannot be written \(Permission denied\)"):
        check_place(tmp_path / "new" / "run")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_while_logging(tmp_path, training, held_out, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run_module, "save_grid", full)
    with pytest.raises(TrainingError, match=r"cannot be written .No space left on device"):
        list(start(tmp_path, training, validation=held_out))


# the generator for export


def test_load_generator(tmp_path, training):
    list(start(tmp_path, training))
    generator, checkpoint, messages = load_generator(tmp_path)
    assert not generator.training
    assert (checkpoint.step, messages) == (4, [])
    assert_same_weights(checkpoint.states["ema"], generator.state_dict())
    assert load_generator(tmp_path / "step_00000002.pt")[1].step == 2
    (tmp_path / "step_00000009.pt").write_bytes(b"torn")
    _, checkpoint, messages = load_generator(tmp_path)
    assert checkpoint.step == 4
    assert "step_00000009.pt" in messages[0]


def test_load_generator_of_weights_that_do_not_fit(tmp_path, training):
    list(start(tmp_path, training))
    path = tmp_path / "step_00000004.pt"
    record = torch.load(path, weights_only=True)
    record["states"]["ema"].popitem()
    torch.save(record, path)
    with pytest.raises(TrainingError, match="the weights do not fit their network"):
        load_generator(path)


def test_the_best_checkpoint_outlives_the_newest(tmp_path, training, held_out, monkeypatch):
    figures = iter([{"psnr_plain": 10.0}, {"psnr_plain": 12.0}, {"psnr_plain": 11.0}, {"psnr_plain": 9.0}])
    monkeypatch.setattr(run_module, "validate", lambda *_: next(figures))
    config = dataclasses.replace(CONFIG, epochs=4, keep=1)
    for _ in start(tmp_path, training, config, held_out):
        pass
    assert [load_checkpoint(path).step for path in checkpoints(tmp_path)] == [8]
    assert load_checkpoint(tmp_path / BEST).step == 4
    assert not list(tmp_path.glob(".*"))


def test_a_run_that_goes_on_remembers_its_best(tmp_path, training, held_out, monkeypatch):
    figures = iter([{"psnr_plain": 12.0}, {"psnr_plain": 11.0}])
    monkeypatch.setattr(run_module, "validate", lambda *_: next(figures))
    first = start(tmp_path, training, CONFIG, held_out)
    first.stop_requested = True
    for _ in first:
        pass
    second = start(tmp_path, training, CONFIG, held_out)
    second.stop_requested = True
    for _ in second:
        pass
    assert second.state.step == 2
    assert load_checkpoint(tmp_path / BEST).step == 1


def test_the_best_of_other_validation_pictures_does_not_count(tmp_path, training, held_out, monkeypatch):
    figures = iter([{"psnr_plain": 12.0}, {"psnr_plain": 11.0}, {"psnr_plain": 10.0}])
    monkeypatch.setattr(run_module, "validate", lambda *_: next(figures))
    first = start(tmp_path, training, CONFIG, held_out)
    first.stop_requested = True
    list(first)
    second = start(tmp_path, training, CONFIG, dataclasses.replace(held_out, manifest="v" * 64))
    assert second.messages[1] == "validates on other pictures than before: best.pt is chosen anew"
    list(second)
    assert load_checkpoint(tmp_path / BEST).step == 2


def test_score_is_the_mean_over_the_ways_of_asking_and_leaves_baselines_out():
    assert score({"psnr_plain": 10.0, "psnr_palette": 14.0, "psnr_baseline_gray": 99.0, "ssim_plain": 0.5}) == 12.0
