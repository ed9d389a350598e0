"""What may be loaded when: --help must be quick, and coloring must not need the training packages."""

import subprocess
import sys

import pytest

NEVER = {"torch", "torchvision", "diffusers", "transformers", "onnx", "skimage", "scipy", "tensorboard", "fastapi"}
NOT_FOR_HELP = NEVER | {"numpy", "onnxruntime", "cv2", "PIL", "huggingface_hub", "tqdm"}


def loaded(code: str, *arguments: object) -> set[str]:
    """Run code in a new Python and return the top-level names of all modules it loaded."""
    tell = "print('\\nloaded', *{name.partition('.')[0] for name in sys.modules})"
    program = f"import sys\ntry:\n    {code}\nfinally:\n    {tell}"
    call = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(call, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("loaded")[2].split())


COMMAND = "from pixelpainter.cli import main; main()"


@pytest.mark.parametrize("command", ["colorize", "train", "export", "refine"])
def test_help_of_a_command_is_light(command):
    assert not loaded(COMMAND, command, "--help") & NOT_FOR_HELP


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_the_program_itself_is_light(option):
    assert not loaded(COMMAND, option) & NOT_FOR_HELP


def test_the_package_is_light():
    modules = loaded("import pixelpainter")
    assert "pixelpainter" in modules
    assert not modules & (NOT_FOR_HELP | {"typer", "rich"})


def test_coloring_needs_no_training_package(drawings, plain_model, tmp_path):
    modules = loaded(COMMAND, "colorize", drawings / "cat.png", "-o", tmp_path / "out.png", "--model", plain_model)
    assert {"numpy", "onnxruntime"} <= modules
    assert not modules & (NEVER | {"huggingface_hub", "tqdm"})
    assert (tmp_path / "out.png").exists()
