"""`pixelpainter serve --refine` as a process with a real, tiny model, and `pixelpainter refine --server`."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import load
from diffusion import save_tiny_pipeline
from PIL import Image


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_tiny_pipeline(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def server(model, plain_model, tmp_path_factory):
    """Address of a running server with the token "geheim"."""
    log = tmp_path_factory.mktemp("server") / "log"
    program = [sys.executable, "-m", "pixelpainter", "serve", "--refine", "--refine-model", str(model)]
    program += ["--model", str(plain_model), "--port", "0", "--device", "cpu"]
    environment = {**os.environ, "PIXELPAINTER_TOKEN": "geheim", "HF_HUB_OFFLINE": "1"}
    with log.open("wb") as stream, subprocess.Popen(program, stdout=stream, stderr=stream, env=environment) as process:
        try:
            deadline = time.monotonic() + 120
            while "listening on http" not in log.read_text():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield log.read_text().partition("listening on ")[2].split()[0]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


@pytest.fixture
def pages(tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "pages").mkdir()
    for name, size in (("a", (33, 50)), ("b", (64, 64)), ("c", (20, 9))):
        pixels = random.integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pages" / f"{name}.png")
    return tmp_path / "pages"


def rgb(path):
    return np.asarray(load(path).convert("RGB"))


def test_a_server_gives_what_this_machine_gives(command, server, model, pages, tmp_path, monkeypatch):
    monkeypatch.setenv("PIXELPAINTER_TOKEN", "geheim")
    options = ["--steps", 5, "--strength", 0.4, "--seed", 3, "-o"]
    done = command("refine", pages, *options, tmp_path / "there", "--server", server)
    assert (done.status, done.err.splitlines()[-1]) == (0, "3 refined"), done.err
    again = command("refine", pages, *options, tmp_path / "there", "--server", server)
    assert again.err.splitlines()[-1] == "3 unchanged"
    here = command("refine", pages, *options, tmp_path / "here", "--model", model, "--device", "cpu")
    assert here.err.splitlines()[-1] == "3 refined"
    for page in sorted(pages.glob("*.png")):
        there = rgb(tmp_path / "there" / page.name)
        assert (there == rgb(tmp_path / "here" / page.name)).all()
        assert there.shape == rgb(page).shape
        assert (there != rgb(page)).any()
    first, second = (load(tmp_path / side / "a.png").info["Model"] for side in ("there", "here"))
    assert first == second


@pytest.mark.parametrize("token", ["", "wrong"])
def test_the_wrong_token(command, server, pages, tmp_path, monkeypatch, token):
    monkeypatch.setenv("PIXELPAINTER_TOKEN", token)
    done = command("refine", pages, "-o", tmp_path / "out", "--server", server)
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "refuses access (401" in done.err
    assert not (tmp_path / "out").exists()
