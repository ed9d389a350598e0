"""`pixelpainter models`, and a whole first run with a model of the Hub."""

import codecs
import dataclasses
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import PLAIN_CARD, save_plain_model
from hub_server import COMMIT, serve_hub
from test_hub import save_with_outside_data, settings
from test_lazy_imports import COMMAND, NOT_FOR_HELP, loaded

from pixelpainter.models import REFERENCE_SYNTAX

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
            return subprocess.run(
                call,
                env=environment,
                text=True,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=300,
                check=False,
            )

        def start_on_terminal(*arguments, whole=False, **more):
            environment = settings(tmp_path / "cache", server.address) | given | more
            return Terminal([sys.executable, "-c", FILLED, *map(str, arguments)], environment, whole=whole)

        run.server, run.start_on_terminal = server, start_on_terminal
        yield run


class Terminal:
    """A program whose stderr, and stdout if it is `whole`, is a terminal of 80 columns."""

    def __init__(self, call: list[str], environment: dict[str, str], *, whole: bool) -> None:
        import fcntl
        import pty
        import struct
        import termios

        self.terminal, end = pty.openpty()
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 80, 0, 0))
        environment = {name: value for name, value in environment.items() if name != "COLUMNS"} | {"TERM": "xterm"}
        self.process = subprocess.Popen(
            call, env=environment, stdout=end if whole else subprocess.PIPE, stderr=end, text=True
        )
        os.close(end)
        self.shown = ""
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")()
        while True:
            try:
                data = os.read(self.terminal, 65536)
            except OSError:  # Linux says the end of a terminal so
                return
            if not data:
                return
            self.shown += decoder.decode(data)

    def wait_for(self, text: str) -> None:
        """Wait until the program has shown a text."""
        end = time.monotonic() + 120
        while text not in self.shown:
            assert time.monotonic() < end and self.process.poll() is None, self.shown
            time.sleep(0.02)

    def finish(self) -> tuple[int, str, list[str]]:
        """Wait for the end. Returns exit status, stdout, and the lines shown, with their past, without style."""
        out, _ = self.process.communicate(timeout=300)
        self.reader.join()
        os.close(self.terminal)
        return self.process.returncode, out, re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", self.shown).split("\r\n")


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


def save_large_model(path: Path) -> bytes:
    """Write a model of several of the pieces that downloads come in; return its content."""
    card = dataclasses.replace(PLAIN_CARD, size=128)
    return save_plain_model(path, card, answer=np.zeros((3, 128, 128), np.float32)).read_bytes()


on_terminals = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")


@on_terminals
def test_first_use_on_a_terminal(pixelpainter, drawings, tmp_path):
    pixelpainter.server.files = {"model.onnx": save_large_model(tmp_path / "large.onnx")}
    pixelpainter.server.fault = "slow"
    call = ("colorize", drawings / "cat.png", "-o", tmp_path / "cat.png", "--overwrite", "--model", "painter/models")
    status, out, (announced, bar, result, *rest) = pixelpainter.start_on_terminal(*call).finish()
    assert (status, out, rest) == (0, "", [""])
    assert announced.startswith("downloading painter/models@main:model.onnx (0.2 MB) from http://127.0.0.1:")
    states = [state for state in bar.split("\r") if state]
    assert all(state.startswith("model.onnx: ") and len(state) <= 80 for state in states)
    percents = [int(percent) for state in states for percent in re.findall(r"(\d+)%", state)]
    assert percents[0] == 0 and percents[-1] == 100 and any(0 < percent < 100 for percent in percents)
    assert result.startswith(f"{drawings / 'cat.png'} -> {tmp_path / 'cat.png'} (")
    status, _, lines = pixelpainter.start_on_terminal(*call).finish()  # the second use shows nothing of the Hub
    assert status == 0 and len(lines) == 2 and lines[0].startswith(str(drawings))


@on_terminals
def test_a_download_that_breaks_off_on_a_terminal(pixelpainter, drawings, tmp_path):
    pixelpainter.server.fault = "short"
    call = ("colorize", drawings / "cat.png", "-o", tmp_path / "cat.png", "--model", "pix2pix")
    status, _, (announced, bar, error, *rest) = pixelpainter.start_on_terminal(*call).finish()
    assert (status, rest) == (1, [""])
    assert announced.startswith("downloading ") and "model.onnx: " in bar
    assert error.startswith(f"error: painter/models@{COMMIT}:model.onnx: the connection to ")
    assert not (tmp_path / "cat.png").exists()


@on_terminals
@pytest.mark.parametrize("command", ["colorize", "pull"])
def test_quiet_shows_no_download(pixelpainter, drawings, tmp_path, command):
    calls = {
        "colorize": ("colorize", drawings / "cat.png", "-o", tmp_path / "cat.png", "--quiet", "--model", "pix2pix"),
        "pull": ("models", "pull", "--quiet", "pix2pix"),
    }
    status, _, lines = pixelpainter.start_on_terminal(*calls[command]).finish()
    assert (status, lines) == (0, [""])
    assert pixelpainter.server.downloads == 1


@on_terminals
def test_a_download_can_be_stopped(pixelpainter, tmp_path):
    pixelpainter.server.fault = "stuck"
    started = pixelpainter.start_on_terminal("models", "pull", "painter/models")
    started.wait_for("model.onnx:   0%")
    started.process.send_signal(signal.SIGINT)
    status, out, (_, _, *rest) = started.finish()
    assert (status, out, rest) == (130, "", [""])
    assert list(tmp_path.glob("cache/hub/models--*/blobs/*")) == []
    pixelpainter.server.fault = ""
    assert pixelpainter("models", "pull", "painter/models").returncode == 0


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
    assert json.loads(pixelpainter("models", "path", "pix2pix", "--json").stdout) == {"name": "pix2pix", "file": file}
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


@pytest.mark.parametrize("command", ["colorize", "pull"])
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("without card", "has no PixelPainter model card"),
        ("other inputs", "the graph's inputs are picture, the model card asks for picture, palette"),
        ("outside data", "reads '../secret', outside its own folder"),
    ],
)
def test_what_cannot_be_used_is_refused(pixelpainter, drawings, tmp_path, command, kind, message):
    file = tmp_path / "foreign.onnx"
    if kind == "outside data":
        save_with_outside_data(file, "../secret")
    else:
        save_plain_model(file, card=None if kind == "without card" else dataclasses.replace(PLAIN_CARD, palette=6))
    pixelpainter.server.files = {"foreign.onnx": file.read_bytes()}
    name, result = "painter/models:foreign.onnx", tmp_path / "cat.png"
    calls = {
        "colorize": ("colorize", drawings / "cat.png", "-o", result, "--model", name),
        "pull": ("models", "pull", name),
    }
    done = pixelpainter(*calls[command])
    assert (done.returncode, done.stdout, result.exists()) == (1, "", False)
    _, error = done.stderr.splitlines()
    assert error.startswith("error: ") and message in error


def test_the_bundled_model_asks_nobody(pixelpainter, drawings, tmp_path):
    done = pixelpainter("colorize", drawings / "cat.png", "-o", tmp_path / "cat.png")
    assert done.returncode == 0 and len(done.stderr.splitlines()) == 1, done.stderr
    assert pixelpainter.server.requests == [] and not (tmp_path / "cache").exists()
    done = pixelpainter("colorize", drawings / "cat.png", "-o", tmp_path / "2.png", PIXELPAINTER_MODEL="pix2pix")
    assert done.returncode == 0 and pixelpainter.server.downloads == 1


def test_list(command):
    done = command("models", "list")
    assert done.status == 0
    assert "bundled" in done.out and "pix2pix" in done.out
    assert done.err.startswith("pix2pix: this model is not published yet") and done.err.count("\n") == 1
    assert all(line == line.rstrip() != "" for line in done.out.splitlines())  # it is read by programs


@on_terminals
def test_a_table_fits_the_terminal(pixelpainter):
    status, _, lines = pixelpainter.start_on_terminal("models", "list", whole=True).finish()
    table = [line for line in lines if line.strip()]
    assert status == 0 and "bundled" in table[2] and max(map(len, table)) <= 80
    assert not any(COMMIT in line for line in table)  # the name of its home is folded


def test_info(command, plain_model):
    record = json.loads(command("models", "info", plain_model, "--json").out)
    assert record["file"] == str(plain_model) and record["card"]["size"] == 64
    assert record["sha256"] == hashlib.sha256(plain_model.read_bytes()).hexdigest()
    done = command("models", "info", plain_model)
    assert done.status == 0
    shown = dict(re.split(r" {2,}", line.strip(), maxsplit=1) for line in done.out.splitlines())
    size = f"{plain_model.stat().st_size / 1e6:.1f} MB"
    wanted = {
        "file": str(plain_model),
        "file size": size,
        "SHA-256": record["sha256"],
        "size": "64",
        "precision": "fp32",
    }
    assert wanted.items() <= shown.items()


def test_help_shows_how_names_are_written(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert re.search(rf"--model +MODEL .*{re.escape(REFERENCE_SYNTAX)} on", command("colorize", "--help").out)
    assert re.search(rf" NAME .*{re.escape(REFERENCE_SYNTAX)} on", command("models", "pull", "--help").out)


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
