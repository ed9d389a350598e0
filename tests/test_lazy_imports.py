"""What may be loaded when: --help must be quick, and coloring must not need the training packages."""

import subprocess
import sys

import pytest

NEVER = {"torch", "torchvision", "diffusers", "transformers", "onnx", "skimage", "scipy", "tensorboard", "fastapi"}
NEVER |= {"torchmetrics", "matplotlib", "psd_tools", "httpx"}
NOT_FOR_HELP = NEVER | {"numpy", "onnxruntime", "cv2", "PIL", "huggingface_hub", "tqdm"}


def loaded(code: str, *arguments: object, whole: bool = False) -> set[str]:
    """Run code in a new Python and return the top-level (or whole) names of all modules it loaded."""
    tell = f"print('\\nloaded', *{{name if {whole} else name.partition('.')[0] for name in sys.modules}})"
    program = f"import sys\ntry:\n    {code}\nfinally:\n    {tell}"
    call = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(call, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    before, found, modules = done.stdout.rpartition("\nloaded ")
    assert found, before
    return set(modules.split())


COMMAND = "from pixelpainter.cli import main; main(sys.argv[1:])"


@pytest.mark.parametrize("command", ["colorize", "train", "export", "evaluate", "refine", "serve", "doctor", "models"])
def test_help_of_a_command_is_light(command):
    assert not loaded(COMMAND, command, "--help") & NOT_FOR_HELP


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_the_program_itself_is_light(option):
    assert not loaded(COMMAND, option) & NOT_FOR_HELP


def test_the_package_is_light():
    modules = loaded("import pixelpainter")
    assert "pixelpainter" in modules
    assert not modules & (NOT_FOR_HELP | {"typer", "rich"})


def test_a_command_does_not_load_the_others():
    modules = loaded("from pixelpainter.cli import main; main(sys.argv[1:])", "colorize", "--help", whole=True)
    assert "pixelpainter.cli.colorize" in modules
    assert not modules & {"pixelpainter.cli.train", "pixelpainter.cli.export", "pixelpainter.cli.doctor"}


def test_coloring_needs_no_training_package(drawings, plain_model, tmp_path):
    modules = loaded(COMMAND, "colorize", drawings / "cat.png", "-o", tmp_path / "out.png", "--model", plain_model)
    assert {"numpy", "onnxruntime"} <= modules
    assert not modules & (NEVER | {"huggingface_hub", "tqdm"})
    assert "rich" not in modules  # 40 ms that a single drawing has no use for
    assert (tmp_path / "out.png").exists()
