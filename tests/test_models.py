"""`pixelpainter models`, and a whole first run with a model of the Hub."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import save_plain_model
from hub_server import COMMIT, serve_hub
from test_hub import settings
from test_lazy_imports import COMMAND, NOT_FOR_HELP, loaded

FILLED = """
import os
from pixelpainter import models
home = models.HubFile(repo="painter/models", revision=os.environ["TEST_COMMIT"], sha256=os.environ["TEST_HASH"])
models.KNOWN_MODELS["pix2pix"] = models.KnownModel(summary="a row with a home", home=home)
from pixelpainter.cli import main
main()
"""


@pytest.fixture
def pixelpainter(tmp_path, plain_model):
    """Run the command where the table's pix2pix lies at a Hub on this machine."""
    with serve_hub() as server:
        server.files = {"model.onnx": plain_model.read_bytes()}
        given = {"TEST_COMMIT": COMMIT, "TEST_HASH": hashlib.sha256(server.files["model.onnx"]).hexdigest()}

        def run(*arguments, **more):
            environment = settings(tmp_path / "cache", server.address) | given | more
            call = [sys.executable, "-c", FILLED, *map(str, arguments)]
            return subprocess.run(call, env=environment, text=True, capture_output=True, timeout=300, check=False)

        run.server = server
        yield run


def test_a_first_run(pixelpainter, drawings, tmp_path):
    output = tmp_path / "cat.png"
    call = ("colorize", drawings / "cat.png", "-o", output, "--overwrite", "--model", "pix2pix")
    for fault, lines in (("", 2), ("500", 1)):  # the second run needs no Hub
        pixelpainter.server.fault = fault
        pixelpainter.server.requests.clear()
        done = pixelpainter(*call)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert len(done.stderr.splitlines()) == lines, done.stderr
        assert (done.stderr.startswith("downloading painter/models@")) == (lines == 2)
        assert output.exists()
        output.unlink()
    assert pixelpainter.server.requests == []
    done = pixelpainter(*call, HF_HOME=str(tmp_path / "elsewhere"))
    assert done.returncode == 1 and not output.exists()
    assert done.stderr.count("\n") == 1 and done.stderr.startswith(f"error: painter/models@{COMMIT}:model.onnx: http:")


def test_pull_path_list_verify(pixelpainter, tmp_path):
    done = pixelpainter("models", "path", "pix2pix")
    assert done.returncode == 1 and "not downloaded yet" in done.stderr
    assert json.loads(pixelpainter("models", "list", "--json").stdout)["models"][1]["state"] == "not downloaded"
    assert pixelpainter.server.requests == []
    done = pixelpainter("models", "pull", "pix2pix")
    file = done.stdout.removesuffix("\n")
    assert done.returncode == 0 and COMMIT in file
    pixelpainter.server.requests.clear()
    assert pixelpainter("models", "path", "pix2pix").stdout == f"{file}\n"
    listed = json.loads(pixelpainter("models", "list", "--json").stdout)["models"][1]
    assert (listed["name"], listed["state"], listed["file"]) == ("pix2pix", "here", file)
    assert listed["home"] == f"painter/models@{COMMIT}:model.onnx"
    checked = json.loads(pixelpainter("models", "verify", "--json", "pix2pix").stdout)["models"]
    assert [(result["file"], result["problem"]) for result in checked] == [(file, None)]
    assert pixelpainter.server.requests == []
    with Path(file).open("r+b") as stream:
        stream.write(b"other")
    done = pixelpainter("models", "verify", "pix2pix")
    assert done.returncode == 1 and "bad" in done.stdout
    assert done.stderr.startswith(f"error: painter/models@{COMMIT}:model.onnx: the file has SHA-256 ")
    assert pixelpainter("models", "pull", "pix2pix").stdout == f"{file}\n"
    assert pixelpainter("models", "verify", "pix2pix").returncode == 0


def test_pull_refuses_what_colorize_cannot_use(pixelpainter, tmp_path):
    content = save_plain_model(tmp_path / "foreign.onnx", card=None).read_bytes()
    pixelpainter.server.files = {"foreign.onnx": content}
    done = pixelpainter("models", "pull", "painter/models:foreign.onnx")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no PixelPainter model card" in done.stderr.splitlines()[-1]


def test_list(command):
    done = command("models", "list")
    assert done.status == 0
    assert "bundled" in done.out and "pix2pix" in done.out
    assert done.err.startswith("pix2pix: this model is not published yet") and done.err.count("\n") == 1


def test_info(command, plain_model):
    record = json.loads(command("models", "info", plain_model, "--json").out)
    assert record["file"] == str(plain_model) and record["card"]["size"] == 64
    assert record["sha256"] == hashlib.sha256(plain_model.read_bytes()).hexdigest()
    done = command("models", "info", plain_model)
    assert done.status == 0
    for words in ("pix2pix", record["sha256"], str(plain_model), "fp32"):
        assert words in done.out


def test_files_are_models_too(command, plain_model, tmp_path):
    assert command("models", "path", plain_model).out == f"{plain_model}\n"
    assert command("models", "verify", plain_model).status == 0
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    done = command("models", "verify", plain_model, tmp_path / "bad.onnx")
    assert done.status == 1
    assert done.err.startswith(f"error: {tmp_path / 'bad.onnx'}: this is no ONNX model") and done.err.count("\n") == 1


def test_usage(command):
    assert command("models").status == 2
    assert command("models", "pull").status == 2


@pytest.mark.parametrize("arguments", [("models", "--help"), ("models", "pull", "--help"), ("models", "list")])
def test_it_is_light(arguments):
    assert not loaded(COMMAND, *arguments) & NOT_FOR_HELP


def test_local_models_need_no_client(plain_model):
    assert "huggingface_hub" not in loaded(COMMAND, "models", "verify", plain_model)
