import pytest
import torch
from tiny import hints_config

from pixelpainter.errors import TrainingError
from pixelpainter.train.health import PATIENCE_STEPS, WON, Health, memory_in_words


def look(health, losses, steps):
    for step in steps:
        health.check(losses, step)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_is_no_number(value):
    with pytest.raises(TrainingError, match=r"^loss chroma is no longer a number at step 40; .*--learning-rate"):
        Health().check({"l1": 1.0, "chroma": value}, 40)


WINNING = {"critic_real": WON / 3, "critic_fake": WON / 3, "gan": 20.0, "l1": 3.0}


def test_a_critic_that_has_won_for_long_ends_the_run():
    health = Health()
    look(health, WINNING, range(100, 100 + PATIENCE_STEPS, 20))
    with pytest.raises(TrainingError, match=r"^the critic has collapsed: its loss is below 0.0001 since step 100,"):
        health.check(WINNING, 100 + PATIENCE_STEPS)


def test_a_critic_that_comes_back_has_not_collapsed():
    health = Health()
    look(health, WINNING, range(0, PATIENCE_STEPS, 20))
    health.check({**WINNING, "critic_fake": 2 * WON}, PATIENCE_STEPS)
    look(health, WINNING, range(PATIENCE_STEPS + 20, 2 * PATIENCE_STEPS, 20))


def test_without_critic_nothing_collapses():
    look(Health(), {"l1": 0.0}, range(0, 10 * PATIENCE_STEPS, 20))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        MemoryError(),
    ],
)
@pytest.mark.parametrize(("batch_size", "advice"), [(32, "try --batch-size 16,"), (1, "try a smaller --width or")])
def test_too_little_memory_says_what_to_try(error, batch_size, advice):
    config = hints_config(batch_size=batch_size)
    said = f"not enough memory for --batch-size {batch_size} .*{advice}"
    with pytest.raises(TrainingError, match=said) as caught, memory_in_words(config):
        raise error
    assert "\n" not in str(caught.value)


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="size mismatch"), memory_in_words(hints_config()):
        raise RuntimeError("size mismatch")


def test_the_cpu_says_it_so():
    """The words that `memory_in_words` looks for are those of this torch."""
    with pytest.raises(TrainingError, match="not enough memory"), memory_in_words(hints_config()):
        torch.empty(2**60, dtype=torch.uint8)
