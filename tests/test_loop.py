import contextlib
import copy
import dataclasses
import importlib.util
import math
import platform
import threading
from pathlib import Path

import pytest
import torch
from tiny import hints_config, make_batch, plain_config
from torch import nn

from pixelpainter.errors import TrainingError
from pixelpainter.nets.pix2pix import PatchCritic
from pixelpainter.systems import SYSTEMS
from pixelpainter.train import fast, loop
from pixelpainter.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from pixelpainter.train.fast import number_format, pays_bf16, pays_compiling
from pixelpainter.train.loop import average_weight, learning_rate, make_state, train
from pixelpainter.train.objectives import Batch, ReconstructAndFool, fooling_loss

CPU = torch.device("cpu")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def small_critic(monkeypatch):
    """Make pix2pix's critic small: as published it would take most of the time here."""
    small = dataclasses.replace(SYSTEMS["pix2pix"], make_critic=lambda config: PatchCritic(width=2))
    monkeypatch.setitem(SYSTEMS, "pix2pix", small)


CONFIGS = {
    "pix2pix": plain_config(),
    "hints": hints_config(adversarial="hinge", ema=0.9),
    "hints without critic": hints_config(ema=0.0, schedule="constant"),
    "attention, two critics": hints_config(
        adversarial="lsgan", attention=True, critics=2, schedule="linear", lambda_tv=0.1
    ),
}


def run_steps(state, config, until, total_steps=6):
    """Train up to a step and return the records."""
    records = []
    for record in train(state, config, lambda step: make_batch(config, step), total_steps, CPU):
        records.append(record)
        if record.step == until:
            break
    return records


def flat(value, name=""):
    """Yield (name, tensor or number) of nested state dicts."""
    if isinstance(value, dict | list | tuple):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from flat(item, f"{name}/{key}")
    else:
        yield name, value


def assert_equal_states(one, other):
    left, right = dict(flat(one.state_dicts())), dict(flat(other.state_dicts()))
    assert left.keys() == right.keys()
    for name, value in left.items():
        same = torch.equal(value, right[name]) if isinstance(value, torch.Tensor) else value == right[name]
        assert same, name


@pytest.mark.parametrize("name", CONFIGS)
def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(name, tmp_path):
    config = CONFIGS[name]
    whole = make_state(config, CPU)
    all_records = run_steps(whole, config, 6)

    first = make_state(config, CPU)
    run_steps(first, config, 3)
    stored = Checkpoint(
        config=config, manifest="", command="", step=3, samples=6, metrics={}, states=first.state_dicts()
    )
    path = save_checkpoint(stored, tmp_path)
    del first, stored
    torch.manual_seed(99)  # whatever the new process starts with
    second = make_state(config, CPU)
    loaded = load_checkpoint(path)
    second.load(loaded.states, loaded.step)
    records = run_steps(second, config, 6)

    assert second.step == 6
    assert_equal_states(whole, second)
    for one, other in zip(all_records[3:], records, strict=True):
        assert one.step == other.step
        assert {key: value.item() for key, value in one.terms.items()} == {
            key: value.item() for key, value in other.terms.items()
        }


def test_what_resuming_needs_is_not_the_start():
    """The comparison above can fail: skipping the optimizer's state or a step gives other weights."""
    config = CONFIGS["hints"]
    one, other = make_state(config, CPU), make_state(config, CPU)
    run_steps(one, config, 3)
    run_steps(other, config, 2)
    with pytest.raises(AssertionError):
        assert_equal_states(one, other)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_seed_alone_decides_the_first_weights(name):
    config = CONFIGS[name]
    torch.manual_seed(1)
    one = make_state(config, CPU)
    torch.manual_seed(2)
    assert_equal_states(one, make_state(config, CPU))
    other = make_state(dataclasses.replace(config, seed=1), CPU)
    with pytest.raises(AssertionError):
        assert_equal_states(one, other)


def test_parts_of_a_state():
    with_all = make_state(CONFIGS["hints"], CPU)
    assert [name for name, part in with_all.parts().items() if part is None] == ["scaler"]  # that is for float16
    assert with_all.inference_generator is with_all.ema
    without = make_state(CONFIGS["hints without critic"], CPU)
    assert (without.critic, without.critic_optimizer, without.ema) == (None, None, None)
    assert without.inference_generator is without.generator


def test_every_part_is_trained():
    config = CONFIGS["hints"]
    state = make_state(config, CPU)
    before = copy.deepcopy(state.state_dicts())
    records = run_steps(state, config, 2)
    for part in ("generator", "ema", "critic"):
        for name, value in getattr(state, part).named_parameters():
            # hinge: at the start all verdicts lie within the margin, where real and fake pull the last bias alike
            if (part, name) != ("critic", "layers.8.bias"):
                assert not torch.equal(value, before[part][name.removeprefix("module.")]), f"{part} {name}"
    assert list(records[0].terms) == ["critic_real", "critic_fake", "l1", "chroma", "gradient", "gan"]
    assert not any(value.requires_grad for value in records[0].terms.values())


def test_averaged_weights():
    """The average starts as a copy of the first step and follows, quickly at first; running statistics too."""
    config = CONFIGS["hints"]
    state = make_state(config, CPU)
    steps = [
        {name: value.clone() for name, value in state.generator.state_dict().items()}
        for _ in train(state, config, lambda step: make_batch(config, step), 3, CPU)
    ]
    for name, value in state.ema.state_dict().items():
        if value.is_floating_point():
            after_two = 2 / 11 * steps[0][name] + 9 / 11 * steps[1][name]
            torch.testing.assert_close(value, 3 / 12 * after_two + 9 / 12 * steps[2][name], rtol=1e-5, atol=1e-6)
        else:
            assert torch.equal(value, steps[2][name])


@pytest.mark.parametrize(("done", "weight"), [(0, 1.0), (1, 9 / 11), (8, 0.5), (80, 0.1), (1000, 0.1)])
def test_averages_ramp_up_to_their_decay(done, weight):
    assert average_weight(0.9, done) == pytest.approx(weight)


@pytest.mark.parametrize("name", ["pix2pix", "hints"])
def test_the_generator_runs_once_per_step(name):
    config = CONFIGS[name]
    state = make_state(config, CPU)
    calls = []
    state.generator.register_forward_hook(lambda *_: calls.append(state.step))
    run_steps(state, config, 2)
    assert calls == [0, 1]


@pytest.mark.parametrize("name", ["pix2pix", "hints"])
def test_neither_network_learns_from_the_others_loss(name):
    config = CONFIGS[name]
    state = make_state(config, CPU)
    seen = {}

    def after_critic_step(*_):
        seen["generator"] = [value.grad for value in state.generator.parameters()]
        seen["critic"] = [value.grad.clone() for value in state.critic.parameters()]

    state.critic_optimizer.register_step_post_hook(after_critic_step)
    run_steps(state, config, 1)
    assert all(gradient is None for gradient in seen["generator"])
    now = [value.grad for value in state.critic.parameters()]
    assert all(torch.equal(one, other) for one, other in zip(seen["critic"], now, strict=True))
    assert all(value.requires_grad for value in state.critic.parameters())
    assert all(value.grad is not None for value in state.generator.parameters())


def test_the_generator_is_judged_by_the_updated_critic():
    """Not by low-precision copies of its weights from before the update, which autocast may keep."""
    config = dataclasses.replace(CONFIGS["pix2pix"], learning_rate=0.05)
    state = make_state(config, CPU)
    answers, old = [], copy.deepcopy(state.critic)
    state.generator.register_forward_hook(lambda _, __, output: answers.append(output.detach()))
    record = run_steps(state, config, 1)[0]
    batch = make_batch(config, 0)

    def verdict(critic):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=pays_bf16(CPU)):
            return fooling_loss(config.adversarial, critic(batch.drawing, answers[0].float())).item()

    found = record.terms["gan"].item()
    assert found == pytest.approx(verdict(state.critic), rel=0.02)
    assert found != pytest.approx(verdict(old), rel=0.02)


def test_dropout_differs_from_step_to_step_and_not_from_run_to_run():
    config = dataclasses.replace(CONFIGS["pix2pix"], learning_rate=1e-12)
    batch = make_batch(config, 0)

    def answers():
        state = make_state(config, CPU)
        found = []
        state.generator.register_forward_hook(lambda _, __, output: found.append(output.detach()))
        for _ in train(state, config, lambda step: batch, 2, CPU):
            torch.rand(5)  # somebody else draws
        return found

    one, other = answers(), answers()
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])
    assert (one[0] - one[1]).abs().max() > 0.1  # all that differs but the rounding of a tiny update


def test_bf16_pays_only_where_the_hardware_has_it(monkeypatch):
    """A T4 emulates bf16, slowly: torch calls that supported unless asked not to."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert not pays_bf16(torch.device("cuda"))
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True, raising=False)
    for amx, intel, pays in ((True, True, True), (False, True, False), (False, False, True)):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda amx=amx: amx)
        monkeypatch.setattr(fast, "_is_intel", lambda intel=intel: intel)
        assert pays_bf16(CPU) == pays
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not pays_bf16(CPU)


LINUX, WINDOWS = "processor\t: 0\nvendor_id\t: {}\n", "Family 6 Model 207 Stepping 2, {}"


@pytest.mark.parametrize("vendor", ["GenuineIntel", "AuthenticAMD"])
def test_intel_is_known_by_its_name(vendor, monkeypatch):
    def missing(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", lambda *_, **__: LINUX.format(vendor))
    assert fast._is_intel() == (vendor == "GenuineIntel")
    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(platform, "processor", lambda: WINDOWS.format(vendor))
    assert fast._is_intel() == (vendor == "GenuineIntel")


def test_compiling_is_for_long_runs_on_one_gpu(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 0))
    cuda = torch.device("cuda")
    assert pays_compiling(cuda, 2000)
    assert not pays_compiling(CPU, 1_000_000)
    assert not pays_compiling(cuda, 100)
    assert not pays_compiling(cuda, 2000, processes=2)


def test_learning_rates():
    constant, cosine = plain_config(), hints_config(learning_rate=1e-3)
    linear = plain_config(learning_rate=1e-3, schedule="linear")
    assert [learning_rate(linear, step, 100) for step in (0, 20, 50)] == [1e-3] * 3
    assert [learning_rate(linear, step, 100) for step in (75, 90, 100, 120)] == pytest.approx([5e-4, 2e-4, 0, 0])
    assert [learning_rate(constant, step, 10) for step in (0, 5, 10)] == [2e-4] * 3
    assert learning_rate(cosine, 0, 100) == 1e-3
    assert learning_rate(cosine, 25, 100) == pytest.approx(1e-3 * (2 + math.sqrt(2)) / 4)
    assert learning_rate(cosine, 50, 100) == pytest.approx(5e-4)
    assert learning_rate(cosine, 100, 100) == pytest.approx(0)
    assert learning_rate(cosine, 120, 100) == pytest.approx(0)


def test_the_optimizers_use_the_schedule():
    config = CONFIGS["hints"]
    state = make_state(config, CPU)
    used = []
    for optimizer in (state.generator_optimizer, state.critic_optimizer):
        optimizer.register_step_pre_hook(lambda changed, *_: used.append(changed.param_groups[0]["lr"]))
        assert optimizer.param_groups[0]["betas"] == (config.beta1, config.beta2)
    run_steps(state, config, 2, total_steps=4)
    first, second = config.learning_rate, learning_rate(config, 1, 4)
    assert used == [first, first, second, second]


def test_nothing_is_left_to_do():
    config = CONFIGS["hints without critic"]
    state = make_state(config, CPU)
    state.step = 4
    assert list(train(state, config, lambda step: pytest.fail("no batch is needed"), 4, CPU)) == []


def test_states_of_other_networks_are_refused():
    stored = make_state(CONFIGS["hints without critic"], CPU).state_dicts()
    wider = make_state(dataclasses.replace(CONFIGS["hints without critic"], width=8), CPU)
    with pytest.raises(TrainingError, match=r"^the checkpoint's generator does not fit .*--fresh$") as caught:
        wider.load(stored, 1)
    assert "\n" not in str(caught.value)
    with pytest.raises(TrainingError, match="holds no critic"):
        make_state(hints_config(adversarial="hinge", ema=0.0), CPU).load(stored, 1)


def test_the_loop_takes_any_objective(monkeypatch):
    """The sum of whatever terms an objective names is what falls."""

    class Whitening:
        uses_critic = False

        def generator_terms(self, fake, batch, critic):
            assert critic is None
            return {"darkness": (1 - fake).mean(), "zero": fake.sum() * 0}

    config = hints_config(learning_rate=0.01, schedule="constant")
    row = dataclasses.replace(SYSTEMS["pix2pix-hints"], make_objective=lambda config: Whitening())
    monkeypatch.setitem(SYSTEMS, "pix2pix-hints", row)
    losses = [record.terms["darkness"].item() for record in run_steps(make_state(config, CPU), config, 6)]
    assert losses[-1] < losses[0] - 0.1
    assert not isinstance(Whitening(), ReconstructAndFool)
    assert isinstance(make_state(config, CPU).generator, nn.Module)


class FakeStream:
    """Stands for a CUDA stream; remembers what waited on it."""

    def __init__(self, device, priority):
        self.waited = []

    def record_event(self):
        return f"event {id(self)}"

    def wait_event(self, event):
        self.waited.append(event)


class FakeTensor:
    def __init__(self, step):
        self.step, self.streams = step, []

    def record_stream(self, stream):
        self.streams.append(stream)


def test_on_a_gpu_batches_are_made_ahead_in_threads_and_come_in_order(monkeypatch):
    """The order of things alone, with no GPU: each batch is waited for, and its memory kept for the training."""
    training = FakeStream("cuda", 0)
    monkeypatch.setattr(torch.cuda, "Stream", FakeStream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: training)
    made, threads = [], set()

    def make(step):
        made.append(step)
        threads.add(threading.current_thread())
        return Batch(picture=FakeTensor(step), palette=None, truth=FakeTensor(step))

    batches = loop._ahead(make, range(3, 9), torch.device("cuda"))
    for step in range(3, 6):
        batch = next(batches)
        assert (batch.picture.step, batch.truth.step) == (step, step)
        assert batch.picture.streams == batch.truth.streams == [training]
        assert len(training.waited) == step - 2
        assert max(made) <= step + loop.AHEAD
    assert threading.current_thread() not in threads
    batches.close()
    assert not any(thread.is_alive() for thread in threads)
    assert [batch.picture.step for batch in loop._ahead(make, range(4), torch.device("cuda"))] == [0, 1, 2, 3]


def test_an_error_while_a_batch_is_made_ahead_comes_out(monkeypatch):
    monkeypatch.setattr(torch.cuda, "Stream", FakeStream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    with pytest.raises(ZeroDivisionError):
        next(loop._ahead(lambda step: 1 / 0, range(5), torch.device("cuda")))


# float16, for GPUs that have no bf16


@pytest.fixture
def in_float16(monkeypatch):
    """Losses are scaled as for float16; arithmetic in float16 itself takes minutes on a CPU, and is left out."""
    monkeypatch.setattr(loop, "number_format", lambda device: torch.float16)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())


def test_a_resumed_run_in_float16_equals_the_uninterrupted_one(in_float16, tmp_path):
    config = hints_config(adversarial="hinge")
    whole, parts = make_state(config, CPU), make_state(config, CPU)
    whole.scaler.load_state_dict({**whole.scaler.state_dict(), "growth_interval": 2})
    parts.scaler.load_state_dict(whole.scaler.state_dict())
    run_steps(whole, config, 6)
    run_steps(parts, config, 3)
    assert parts.scaler.get_scale() != make_state(config, CPU).scaler.get_scale()
    again = make_state(config, CPU)
    again.load(copy.deepcopy(parts.state_dicts()), 3)
    run_steps(again, config, 6)
    assert_equal_states(whole, again)


def test_an_overflow_in_float16_leaves_the_step_out_and_scales_less(in_float16):
    config = hints_config(ema=0.0, lambda_l1=10.0)
    state = make_state(config, CPU)
    before, scale = copy.deepcopy(state.generator.state_dict()), 2.0**127
    state.scaler.load_state_dict({**state.scaler.state_dict(), "scale": scale})
    run_steps(state, config, 1)
    assert all(torch.equal(value, before[name]) for name, value in state.generator.named_parameters())
    assert state.scaler.get_scale() == scale / 2


def test_a_run_goes_on_in_other_numbers(monkeypatch):
    """A run begun on a CPU can be finished on a T4, and the other way round."""
    config = hints_config()
    begun = make_state(config, CPU)
    run_steps(begun, config, 1)
    monkeypatch.setattr(loop, "number_format", lambda device: torch.float16)
    halves = make_state(config, CPU)
    halves.load(begun.state_dicts(), 1)
    without = begun.state_dicts()
    del without["scaler"]  # older checkpoints
    halves.load(without, 1)
    monkeypatch.undo()
    make_state(config, CPU).load(halves.state_dicts(), 1)


@pytest.mark.parametrize(
    ("capability", "has_bf16", "expected"),
    [((9, 0), True, torch.bfloat16), ((7, 5), False, torch.float16), ((6, 0), False, torch.float32)],
)
def test_numbers_by_gpu(monkeypatch, capability, has_bf16, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: has_bf16)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert number_format(torch.device("cuda")) == expected
