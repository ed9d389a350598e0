import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny import hints_config, make_cache

from pixelpainter.errors import TrainingError
from pixelpainter.train import processes as processes_module
from pixelpainter.train.checkpoint import load_checkpoint
from pixelpainter.train.folder import checkpoints
from pixelpainter.train.processes import ALONE, Processes, join_processes
from pixelpainter.train.run import Run

CPU = torch.device("cpu")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1")
PROGRAM = Path(__file__).parent / "without_norms.py"
# Nothing by chance: each process draws its own crops and flips, which one alone would not.
EXACT = ("--size", "64", "--load-size", "64", "--line-styles", "1", "--line-jitter", "0", "--flip", "0")
DATA = ("--synthetic", "9", "--cache", "cache", "--device", "cpu")
LENGTH = ("--batch-size", "4", "--samples", "40", "--checkpoint-every", "2", "--ema", "0.9", "--learning-rate", "1e-3")


def run(folder, *arguments):
    done = subprocess.run(
        [*map(str, arguments)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return done.stderr


def test_two_processes_equal_one_with_the_same_global_batch(tmp_path):
    said = run(tmp_path, sys.executable, PROGRAM, "train", *DATA, *EXACT, *LENGTH, "--run=one")
    assert "processes" not in said
    said = run(tmp_path, *TORCHRUN, PROGRAM, "--", "train", *DATA, *EXACT, *LENGTH, "--run=two")
    assert "in float32, 2 processes." in said
    assert said.count("Done. ") == 1  # one of the two speaks, and writes
    names = [path.name for path in checkpoints(tmp_path / "one")]
    assert [path.name for path in checkpoints(tmp_path / "two")] == names
    assert names == ["step_00000004.pt", "step_00000008.pt", "step_00000010.pt"]
    one, two = (load_checkpoint(tmp_path / run / names[-1]) for run in ("one", "two"))
    start = load_checkpoint(tmp_path / "one" / names[0])
    for network in ("generator", "critic", "ema"):
        for name, value in one.states[network].items():
            torch.testing.assert_close(value, two.states[network][name], rtol=1e-4, atol=2e-6, msg=f"{network} {name}")
    moved = one.states["generator"]["0.weight"] - start.states["generator"]["0.weight"]
    assert moved.abs().max() > 1e-3  # a hundred times what may differ
    assert one.samples == two.samples == 40
    losses = [(tmp_path / run / "losses.csv").read_text().split() for run in ("one", "two")]
    assert losses[0][0] == losses[1][0] and len(losses[0]) == len(losses[1]) == 4
    for rows in zip(losses[0][1:], losses[1][1:], strict=True):
        mine, theirs = ([float(value) for value in row.split(",")[:-1]] for row in rows)  # the last is the speed
        assert mine == pytest.approx(theirs, rel=1e-3)


ASKING = """
import sys
from torch import distributed
from pixelpainter.train.processes import Processes

rank = int(sys.argv[1])
distributed.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
two = Processes(rank, 2)
print(two.any(rank == 1), two.any(False), two.mean({"l1": rank, "gan": 3}))
distributed.destroy_process_group()
"""


def test_what_processes_tell_each_other(tmp_path):
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo"}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", ASKING, str(rank), str(tmp_path / "meet")],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    assert [each.communicate(timeout=120)[0] for each in both] == ["True False {'l1': 0.5, 'gan': 3.0}\n"] * 2


def test_a_run_stops_where_another_process_was_asked_to(tmp_path):
    class Told(Processes):
        def any(self, mine):
            return True

    run = Run(hints_config(), tmp_path, make_cache(4, 128), None, CPU, "", None, Told())
    assert [report.checkpoint for report in run] == [tmp_path / "step_00000001.pt"]


def test_alone():
    assert join_processes(CPU) == (ALONE, CPU)
    assert ALONE.any(True)
    assert not ALONE.any(False)
    assert ALONE.mean({"l1": 2.0}) == {"l1": 2.0}
    ALONE.wait()


def test_more_processes_than_gpus(monkeypatch):
    monkeypatch.setattr(processes_module.distributed, "is_torchelastic_launched", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(TrainingError, match="more processes than there are GPUs; use --nproc-per-node 1"):
        join_processes(torch.device("cuda"))


def test_each_process_takes_its_part_of_every_batch(tmp_path):
    training, config = make_cache(10, 128), hints_config(batch_size=6)
    runs = [Run(config, tmp_path, training, None, CPU, "", None, Processes(rank, 3)) for rank in range(3)]
    seen = []
    for part in runs:
        make = part._batches.training
        part._batches.training = lambda indices, step, process, make=make: (
            seen.append(indices) or make(indices, step, process)
        )
        assert len(part._make_batch(2).truth) == 2
    assert sorted(index for part in seen for index in part) == sorted(runs[0]._sampler(2))


def test_a_batch_that_cannot_be_shared(tmp_path):
    with pytest.raises(TrainingError, match="--batch-size 2 cannot be shared by 3 processes"):
        Run(hints_config(), tmp_path, make_cache(4, 128), None, CPU, "", None, Processes(0, 3))
