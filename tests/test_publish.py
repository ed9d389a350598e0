"""An exported model goes to the Hub in one commit, with a README; the client's own interface is replaced."""

import dataclasses
import hashlib
import importlib
from inspect import signature

import huggingface_hub
import pytest
import torch
import typer
from conftest import HINT_CARD, PLAIN_CARD
from tiny import hints_config, make_cache

from pixelpainter.colorize import Colorizer
from pixelpainter.errors import ModelError
from pixelpainter.models import HubFile
from pixelpainter.publish import make_readme, publish
from pixelpainter.train.checkpoint import Checkpoint, save_checkpoint
from pixelpainter.train.loop import make_state

COMMIT = "5" * 40
REAL = huggingface_hub.HfApi  # it must take what its stand-in is given


class Recorder:
    """Stands in for huggingface_hub.HfApi; `calls` is what was asked of it."""

    calls: list

    def create_repo(self, repo_id, *, private, exist_ok):
        signature(REAL.create_repo).bind(self, repo_id, private=private, exist_ok=exist_ok)
        self.calls.append(("repo", repo_id, private, exist_ok))

    def create_commit(self, repo_id, operations, *, commit_message):
        signature(REAL.create_commit).bind(self, repo_id, operations, commit_message=commit_message)
        contents = {operation.path_in_repo: self.content(operation) for operation in operations}
        self.calls.append(("commit", repo_id, contents))
        page = f"{huggingface_hub.constants.ENDPOINT}/{repo_id}/commit/{COMMIT}"
        return huggingface_hub.CommitInfo(
            commit_url=page, commit_message=commit_message, commit_description="", oid=COMMIT
        )

    @staticmethod
    def content(operation):
        with operation.as_file() as stream:
            return stream.read()


@pytest.fixture
def hub_calls(monkeypatch):
    Recorder.calls = []
    monkeypatch.setattr(huggingface_hub, "HfApi", Recorder)
    return Recorder.calls


def test_one_commit_in_a_private_repository(plain_model, hub_calls):
    publication = publish(plain_model, PLAIN_CARD, "painter/models")
    content = plain_model.read_bytes()
    hash_of_it = hashlib.sha256(content).hexdigest()
    assert publication.home == HubFile(repo="painter/models", revision=COMMIT, file="plain.onnx", sha256=hash_of_it)
    assert publication.address.endswith(COMMIT)
    readme = make_readme(PLAIN_CARD, publication.home).encode()
    assert hub_calls == [
        ("repo", "painter/models", True, True),
        ("commit", "painter/models", {"plain.onnx": content, "README.md": readme}),
    ]
    publish(plain_model, PLAIN_CARD, "painter/models", private=False)
    assert hub_calls[2] == ("repo", "painter/models", False, True)


def test_the_readme_says_what_the_card_says():
    card = dataclasses.replace(
        HINT_CARD,
        licence="CC BY 4.0",
        sources=("one: Jane, CC0", "two: Joe, MIT"),
        metrics={"psnr": 21.53, "a|b": 1.0},
        samples_seen=1234,
        data_manifest="d" * 64,
        command="pixelpainter train --size 64",
        program_version="9.8",
    )
    text = make_readme(card, HubFile(repo="painter/models"))
    front = huggingface_hub.ModelCard(text).data
    assert (front.license, front.pipeline_tag) == ("cc-by-4.0", "image-to-image")
    words = (
        "--model painter/models\n",
        "* two: Joe, MIT",
        "| psnr | 21.53 |",
        "CC BY 4.0",
        "1234",
        "d" * 64,
        "--size 64",
    )
    assert [word for word in words if word not in text] == []
    other = make_readme(dataclasses.replace(card, licence="Ask me"), HubFile(repo="painter/models", file="b.onnx"))
    front = huggingface_hub.ModelCard(other).data
    assert (front.license, front.license_name) == ("other", "ask-me")
    assert "--model painter/models:b.onnx\n" in other


def test_a_bare_card_has_a_readme():
    text = make_readme(PLAIN_CARD, HubFile(repo="painter/models"))
    assert huggingface_hub.ModelCard(text).data.license is None
    for words in ("None were recorded", "sources were not recorded", "None was given"):
        assert words in text


def test_a_refused_upload_is_one_line(plain_model, hub_calls, monkeypatch):
    def refuse(*arguments, **options):
        raise TimeoutError("too slow")

    monkeypatch.setattr(Recorder, "create_commit", refuse)
    with pytest.raises(ModelError, match=r"^painter/models@main:plain\.onnx: .* did not answer in time"):
        publish(plain_model, PLAIN_CARD, "painter/models")


@pytest.fixture
def run_folder(tmp_path):
    config = hints_config()
    states = make_state(config, torch.device("cpu")).state_dicts()
    checkpoint = Checkpoint(
        config=config, manifest="d" * 64, command="train", step=1, samples=2, metrics={}, states=states
    )
    save_checkpoint(checkpoint, tmp_path / "run")
    return tmp_path / "run"


def test_export_uploads_what_it_wrote(command, run_folder, hub_calls, tmp_path, monkeypatch):
    # Drawing pictures to calibrate with takes half a minute, and is tested with the export.
    module = importlib.import_module("pixelpainter.cli.export")
    monkeypatch.setattr(module, "load_calibration", lambda calibration, side: make_cache(2, side))
    output = tmp_path / "net.onnx"
    options = ("--licence", "MIT", "--default-palette", "3C5AC8:1,FF8000:3")
    done = command("export", run_folder, "-o", output, "--push-to-hub", "painter/models", *options)
    assert done.status == 0, done.err
    first, second, *rest = Colorizer(output, threads=1).card.default_palette
    assert first == pytest.approx((1, 128 / 127.5 - 1, -1, 0.75), abs=1e-6) and second[3] == 0.25
    assert set(rest) == {(0, 0, 0, 0)}
    assert hub_calls[0] == ("repo", "painter/models", True, True)
    assert hub_calls[1][2]["net.onnx"] == output.read_bytes()
    assert b"license: mit" in hub_calls[1][2]["README.md"]
    assert f"--model painter/models@{COMMIT}:net.onnx" in done.err.replace("\n", " ")
    assert hashlib.sha256(output.read_bytes()).hexdigest() in done.err


@pytest.mark.parametrize("arguments", [("--push-to-hub", "models"), ("--push-to-hub", "a/b", "-o", "net.bin")])
def test_export_refuses_before_it_works(command, tmp_path, arguments, hub_calls):
    done = command("export", tmp_path / "none", *arguments)
    assert done.status == 2 and hub_calls == []


@pytest.mark.parametrize(("text", "colors"), [("3C5AC8,nothing", 6), ("nothing", 6), ("3C5AC8,FF8000", 0)])
def test_a_default_palette_that_is_none(text, colors):
    module = importlib.import_module("pixelpainter.cli.export")
    assert module._read_palette("", colors) == ()
    with pytest.raises(typer.BadParameter):
        module._read_palette(text, colors)
