import os
import pickle

import pytest
import torch
from tiny import hints_config

from pixelpainter.errors import TrainingError
from pixelpainter.train.checkpoint import (
    Checkpoint,
    find_checkpoint,
    keep_newest,
    load_checkpoint,
    mark_best,
    save_checkpoint,
)
from pixelpainter.train.folder import BEST, checkpoints, has_checkpoints


def checkpoint(step=3, **changes):
    fields = {
        "config": hints_config(mix={"nova": 2.0}),
        "manifest": "a" * 64,
        "command": "pixelpainter train --synthetic 5",
        "step": step,
        "samples": 2 * step,
        "metrics": {"psnr_plain": 17.25},
        "states": {
            "generator": {"weight": torch.arange(4.0)},
            "ema": {"weight": torch.arange(4.0) + step},
            "critic": None,
            "generator_optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-3}]},
            "critic_optimizer": None,
        },
    }
    return Checkpoint(**{**fields, **changes})


def test_everything_comes_back(tmp_path):
    saved = checkpoint()
    path = save_checkpoint(saved, tmp_path / "new" / "run")
    assert path == tmp_path / "new" / "run" / "step_00000003.pt"
    found = load_checkpoint(path)
    for name in ("config", "manifest", "command", "step", "samples", "metrics"):
        assert getattr(found, name) == getattr(saved, name), name
    assert torch.equal(found.states["generator"]["weight"], torch.arange(4.0))
    assert found.states["generator_optimizer"]["param_groups"] == [{"lr": 1e-3}]
    assert found.states["critic"] is None


def test_inference_uses_the_averaged_weights_where_kept():
    kept = checkpoint()
    assert kept.inference_weights is kept.states["ema"]
    plain = checkpoint(states={**kept.states, "ema": None})
    assert plain.inference_weights is plain.states["generator"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("PytorchStreamWriter failed")])
def test_a_failure_in_the_middle_leaves_the_old_file(tmp_path, monkeypatch, error):
    path = save_checkpoint(checkpoint(), tmp_path)
    before = path.read_bytes()

    def torn_save(record, file):
        file.write(before[:100])
        raise error

    monkeypatch.setattr(torch, "save", torn_save)
    with pytest.raises(TrainingError, match=r"step_00000003\.pt: cannot write the checkpoint .*another --run"):
        save_checkpoint(checkpoint(), tmp_path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_an_interrupt_while_saving_leaves_no_part(tmp_path, monkeypatch):
    def interrupted(record, file):
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(checkpoint(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="cannot write the checkpoint"):
        save_checkpoint(checkpoint(), tmp_path / "file")


def broken_files(good):
    """Return broken contents by name."""
    return {
        "empty": b"",
        "text": b"these are no weights\n",
        "png": b"\x89PNG\r\n\x1a\n" + bytes(100),
        **{f"cut at {share}": good[: int(len(good) * share)] for share in (0.1, 0.5, 0.9, 0.99)},
        "zeros at the end": good[: len(good) // 2] + bytes(len(good) // 2),
        "pickle": pickle.dumps({"pixelpainter_checkpoint": 1}),
    }


def test_torn_and_foreign_files_are_named(tmp_path):
    good = save_checkpoint(checkpoint(), tmp_path).read_bytes()
    bad = tmp_path / "bad.pt"
    for name, content in broken_files(good).items():
        bad.write_bytes(content)
        with pytest.raises(TrainingError, match=r"bad\.pt: not a ") as caught:
            load_checkpoint(bad)
        assert "\n" not in str(caught.value), name


@pytest.mark.parametrize(
    "record",
    [
        {"model": {"weight": torch.zeros(2)}},
        torch.zeros(3),
        [1, 2],
        "text",
        {"pixelpainter_checkpoint": 1, "config": "{}"},
        {"pixelpainter_checkpoint": 1, "config": "no json"},
        {"pixelpainter_checkpoint": 1, "config": '{"system": "pix2pix"}', "manifest": ""},
    ],
)
def test_checkpoints_of_other_programs(tmp_path, record):
    torch.save(record, tmp_path / "other.pt")
    with pytest.raises(TrainingError, match=r"other\.pt: not a checkpoint of PixelPainter"):
        load_checkpoint(tmp_path / "other.pt")


def test_a_newer_format_is_refused(tmp_path):
    torch.save({"pixelpainter_checkpoint": 2}, tmp_path / "newer.pt")
    with pytest.raises(TrainingError, match=r"newer\.pt: checkpoint format 2, this program reads 1"):
        load_checkpoint(tmp_path / "newer.pt")


class Harmful:
    """Runs code when unpickled."""

    def __reduce__(self):
        return (print, ("code has run",))


def test_pickled_code_does_not_run(tmp_path, capsys):
    torch.save({"pixelpainter_checkpoint": 1, "config": Harmful()}, tmp_path / "harmful.pt")
    with pytest.raises(TrainingError, match=r"harmful\.pt: not a checkpoint of PixelPainter \(UnpicklingError\)"):
        load_checkpoint(tmp_path / "harmful.pt")
    assert "code has run" not in capsys.readouterr().out


def test_a_missing_file(tmp_path):
    with pytest.raises(TrainingError, match=r"nothing\.pt: no such checkpoint"):
        find_checkpoint(tmp_path / "nothing.pt")


def test_the_newest_is_found_by_its_step(tmp_path):
    for step in (9, 100, 20):
        save_checkpoint(checkpoint(step), tmp_path)
    (tmp_path / "step_of_mine.pt").write_text("not ours")
    (tmp_path / "step_00000200.pt.part").write_text("not ours")
    assert [path.name for path in checkpoints(tmp_path)] == [f"step_{step:08d}.pt" for step in (9, 20, 100)]
    assert find_checkpoint(tmp_path)[0].step == 100
    assert find_checkpoint(tmp_path / "step_00000009.pt")[0].step == 9


def test_a_torn_newest_checkpoint_gives_way_to_the_one_before(tmp_path):
    for step in (1, 2, 3):
        save_checkpoint(checkpoint(step), tmp_path)
    newest = tmp_path / "step_00000003.pt"
    newest.write_bytes(newest.read_bytes()[:200])
    found, messages = find_checkpoint(tmp_path)
    assert found.step == 2
    assert len(messages) == 1
    assert "step_00000003.pt: not a readable checkpoint" in messages[0]
    assert messages[0].endswith("trying another")


def test_the_best_one_is_taken_where_no_other_can_be_read(tmp_path):
    mark_best(save_checkpoint(checkpoint(1), tmp_path))
    save_checkpoint(checkpoint(2), tmp_path)
    assert find_checkpoint(tmp_path)[0].step == 2
    for path in checkpoints(tmp_path):
        path.unlink()
    assert has_checkpoints(tmp_path)
    assert find_checkpoint(tmp_path)[0].step == 1
    (tmp_path / "step_00000002.pt").write_bytes(b"torn")
    found, messages = find_checkpoint(tmp_path)
    assert (found.step, len(messages)) == (1, 1)


def test_the_best_one_is_another_name_of_a_checkpoint(tmp_path):
    """Whatever a killed run left of the one before."""
    first, second = (save_checkpoint(checkpoint(step), tmp_path) for step in (1, 2))
    os.link(first, tmp_path / ".best.pt.part")
    mark_best(second)
    assert (tmp_path / BEST).samefile(second)
    assert [load_checkpoint(path).step for path in (first, second)] == [1, 2]
    assert not list(tmp_path.glob(".*"))


def test_the_best_one_is_a_copy_where_files_have_one_name(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = save_checkpoint(checkpoint(1), tmp_path)
    mark_best(path)
    assert (tmp_path / BEST).read_bytes() == path.read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_bytes_that_changed_on_the_disk_are_found(tmp_path):
    path = save_checkpoint(checkpoint(), tmp_path)
    content = bytearray(path.read_bytes())
    weights = checkpoint().states["generator"]["weight"].numpy().tobytes()
    at = content.index(weights)
    content[at : at + len(weights)] = bytes(len(weights))
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"not a readable checkpoint, .* \(.*data/\d+ in it is damaged"):
        load_checkpoint(path)


def test_a_folder_without_readable_checkpoint_names_each(tmp_path):
    with pytest.raises(TrainingError, match="no readable checkpoint in this folder; name that of a run"):
        find_checkpoint(tmp_path)
    for step in (1, 2):
        (tmp_path / f"step_{step:08d}.pt").write_bytes(b"torn")
    with pytest.raises(TrainingError, match=r"step_00000002\.pt.*step_00000001\.pt.*no readable checkpoint.*--fresh"):
        find_checkpoint(tmp_path)


def test_the_newest_are_kept(tmp_path):
    for step in (1, 2, 3, 4):
        save_checkpoint(checkpoint(step), tmp_path)
    (tmp_path / "step_of_mine.pt").write_text("not ours")
    (tmp_path / "step_99999999.pt").write_text("not ours")
    keep_newest(tmp_path, 2, step=4)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step_00000003.pt",
        "step_00000004.pt",
        "step_99999999.pt",
        "step_of_mine.pt",
    ]
    keep_newest(tmp_path, 5, step=4)
    assert len(checkpoints(tmp_path)) == 3
