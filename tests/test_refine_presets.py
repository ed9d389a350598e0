"""Diffusion models by name: the tables, what users write, and downloads from a small Hub on 127.0.0.1."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from hub_server import COMMIT, HubHandler, serve_hub
from test_hub import settings
from test_lazy_imports import NEVER, loaded

from pixelpainter.errors import ModelError
from pixelpainter.refine.contents import components, needed_files
from pixelpainter.refine.presets import CONTROLNETS, DIFFUSION_SYNTAX, PIPELINE_INDEX, PRESETS, HubPlace, locate
from pixelpainter.refine.weights import find_weights

ROWS = """
import sys
from pixelpainter.refine import presets, weights
presets.PRESETS["balanced"] = presets.DiffusionPreset(summary="", repo="painter/models")
presets.CONTROLNETS["lineart-anime"] = presets.DiffusionPreset(summary="", repo="painter/models")
weights.SINGLE_FILE_SETTINGS = presets.HubPlace(repo="painter/models", file="model_index.json")
"""
COMMAND = """
from pixelpainter.cli import main
main()
"""
FIND = """
from pixelpainter.errors import ModelError
try:
    found = weights.find_weights(sys.argv[1], quiet=True)
    print(found.path, found.identity, sep="\\n")
except ModelError as error:
    print(error)
"""


class _HubWithLists(HubHandler):
    """Also answers which files a repository has."""

    def do_GET(self):  # noqa: N802 (the name that http.server calls)
        match = re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/([^?]+)(\?.*)?", self.path)
        if match is None:
            return super().do_GET()
        hub = self.server
        hub.requests.append((self.command, self.path))
        if hub.fault.isdigit():
            return self._reply(int(hub.fault))
        if match[1] != "painter/models":
            return self._reply(404, X_Error_Code="RepoNotFound")
        if unquote(match[2]) not in ("main", COMMIT):
            return self._reply(404, X_Error_Code="RevisionNotFound")
        size = 10**18 if hub.fault == "full" else 1000
        files = [{"rfilename": name, "size": size} for name in hub.files]
        body = json.dumps({"id": match[1], "sha": COMMIT, "siblings": files}).encode()
        self._reply(200, len(body), Content_Type="application/json")
        self.wfile.write(body)


def made_of(*parts, weights="diffusion_pytorch_model.safetensors"):
    """Return the files of a pipeline with these parts; nobody looks into its weights here."""
    index = {"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.40.0", "safety_checker": [None, None]}
    files = {PIPELINE_INDEX: b""}
    for part in parts:
        index[part] = ["diffusers", "AutoencoderKL"]
        files |= {f"{part}/config.json": b"{}", f"{part}/{weights}": part.encode() * 100}
    index["tokenizer"] = ["transformers", "CLIPTokenizer"]
    files |= {"tokenizer/vocab.json": b"{}", "tokenizer/merges.txt": b"#version"}
    return files | {PIPELINE_INDEX: json.dumps(index).encode()}


WHOLE = made_of("unet", "vae")
PICKLED = made_of("unet", "vae", weights="diffusion_pytorch_model.bin")
LINES = {"config.json": b'{"_class_name": "ControlNetModel"}', "diffusion_pytorch_model.safetensors": b"lines"}


def content_of(folder):
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def pixelpainter(tmp_path):
    """Run the command where the rows of the tables lie at a Hub on this machine."""
    with serve_hub() as server:
        server.RequestHandlerClass = _HubWithLists

        def run(*arguments, program=COMMAND, **more):
            call = [sys.executable, "-c", ROWS + program, *map(str, arguments)]
            environment = settings(tmp_path / "cache", server.address) | more
            return subprocess.run(
                call,
                env=environment,
                text=True,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=300,
                check=False,
            )

        def find(name, **more):
            """Return path and identity as `refine` finds them, or the message."""
            done = run(name, program=FIND, **more)
            assert (done.returncode, done.stderr) == (0, "")
            return done.stdout.splitlines()

        run.server, run.find, run.cache = server, find, tmp_path / "cache"
        yield run


def test_the_rows_are_those_of_the_source():
    assert PRESETS["balanced"].repo == "xyn-ai/anything-v4.0"
    assert PRESETS["quality"].repo == "stablediffusionapi/counterfeit-v30"
    assert CONTROLNETS["lineart-anime"].repo == "lllyasviel/control_v11p_sd15s2_lineart_anime"


def test_names_and_places(tmp_path):
    assert locate("balanced") == HubPlace(repo="xyn-ai/anything-v4.0", revision="main", file=PIPELINE_INDEX)
    assert locate("lineart-anime").repo == CONTROLNETS["lineart-anime"].repo
    assert locate("a/b") == HubPlace(repo="a/b", file=PIPELINE_INDEX)
    assert locate("a/b@v1") == HubPlace(repo="a/b", revision="v1", file=PIPELINE_INDEX)
    assert locate("a/b@v1:x/y.safetensors") == HubPlace(repo="a/b", revision="v1", file="x/y.safetensors")
    assert [str(locate(name)) for name in ("a/b", "a/b@v1:c.safetensors")] == ["a/b@main", "a/b@v1:c.safetensors"]
    assert locate(str(tmp_path)) == tmp_path


@pytest.mark.parametrize(
    "name", ["nothing", "./here", "~no-such-user/x", "https://huggingface.co/a/b", "a/b/c", "", "a/b@:x"]
)
def test_what_is_no_name(name):
    if name == "":
        name = "..x"
    with pytest.raises(ModelError, match=r"check --model") as raised:
        locate(name)
    assert DIFFUSION_SYNTAX in str(raised.value)


def test_paths_that_are_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    for name in ("models/mine", "models/mine.safetensors"):
        with pytest.raises(ModelError, match=f"no such file or folder; .* write {name}@main"):
            locate(name)
    with pytest.raises(ModelError, match="no path of a file inside a repository"):
        locate("a/b:../../x.safetensors")


@pytest.mark.parametrize(
    ("files", "allow_pickle", "chosen"),
    [
        (["model.safetensors", "model.bin"], True, ["model.safetensors"]),
        (["model.fp16.safetensors", "model.safetensors"], False, ["model.safetensors"]),
        (["model.fp16.safetensors", "pytorch_model.bin"], True, ["model.fp16.safetensors"]),
        (["pytorch_model.bin", "flax_model.msgpack"], True, ["pytorch_model.bin"]),
        (
            [f"model-0000{part}-of-00002.safetensors" for part in (1, 2)],
            False,
            [f"model-0000{part}-of-00002.safetensors" for part in (1, 2)],
        ),
        (["model.non_ema.safetensors", "openvino_model.bin"], True, "missing"),
        (["pytorch_model.bin"], False, "a pickle"),
        ([], False, "missing"),
    ],
)
def test_which_weights_are_taken(files, allow_pickle, chosen):
    index = {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}
    names = [PIPELINE_INDEX, "unet/config.json", *(f"unet/{file}" for file in files), "whole.safetensors", "vae/x.json"]
    if isinstance(chosen, str):
        with pytest.raises(ModelError, match=chosen):
            needed_files(names, index, allow_pickle=allow_pickle)
    else:
        wanted = [PIPELINE_INDEX, "unet/config.json", *(f"unet/{file}" for file in chosen)]
        assert needed_files(names, index, allow_pickle=allow_pickle) == wanted


def test_foreign_code_is_not_loaded():
    index = {"unet": ["diffusers", "UNet"], "safety_checker": [None, None], "scheduler": ["diffusers", "DDIMScheduler"]}
    assert components(index) == {"unet": True, "scheduler": False}
    with pytest.raises(ModelError, match="'my_unet', code that does not come with diffusers"):
        components({"unet": ["my_unet", "UNet"]})


def test_it_is_light():
    assert not loaded("import pixelpainter.refine.weights") & (NEVER | {"huggingface_hub", "tqdm"})


def test_a_preset_is_fetched_ahead_of_time(pixelpainter):
    """Only what is needed is downloaded, and it is used without a Hub afterwards."""
    unwanted = {"all.safetensors", "unet/diffusion_pytorch_model.bin", "vae/diffusion_pytorch_model.fp16.safetensors"}
    pixelpainter.server.files = WHOLE | dict.fromkeys([*unwanted, "script.py"], b"unwanted")
    done = pixelpainter("models", "pull", "--refine", "balanced")
    folder = Path(done.stdout.removesuffix("\n"))
    assert done.returncode == 0 and folder.name == COMMIT, done.stderr
    assert content_of(folder) == WHOLE
    assert done.stderr.startswith("downloading painter/models@main (") and "MB) from http" in done.stderr
    assert not any(name in path for name in unwanted for _, path in pixelpainter.server.requests)
    pixelpainter.server.requests.clear()
    record = json.loads(pixelpainter("models", "pull", "--refine", "balanced", "--json").stdout)
    assert record == {
        "name": "balanced",
        "path": str(folder),
        "commit": COMMIT,
        "identity": f"painter/models@{COMMIT}",
    }
    # It only looked whether there is a newer one.
    assert pixelpainter.server.downloads == 0 and pixelpainter.server.count("/api/models/") == 1
    pixelpainter.server.requests.clear()
    found = pixelpainter.find("balanced")
    assert found == [str(folder), f"painter/models@{COMMIT}"] and pixelpainter.server.requests == []
    assert pixelpainter.find("balanced", HF_HUB_OFFLINE="1") == found


def test_the_refiner_fetches_what_it_lacks(pixelpainter):
    pixelpainter.server.files = LINES
    path, identity = pixelpainter.find("lineart-anime")
    assert content_of(Path(path)) == LINES and identity == f"painter/models@{COMMIT}"
    pixelpainter.server.requests.clear()
    assert pixelpainter.find(f"painter/models@{COMMIT}") == [path, identity]
    assert pixelpainter.server.requests == []


def test_a_download_that_broke_off_is_finished(pixelpainter):
    pixelpainter.server.files = WHOLE
    pixelpainter.server.fault = "short"
    (message,) = pixelpainter.find("balanced")
    assert "the connection to http" in message and "broke off" in message
    pixelpainter.server.fault = ""
    path, _ = pixelpainter.find("balanced")
    assert content_of(Path(path)) == WHOLE
    next(Path(path).glob("unet/*.safetensors")).unlink()
    path, _ = pixelpainter.find("balanced")
    assert content_of(Path(path)) == WHOLE


ELSE = "(try --preset quality, another model with --model (owner/repo, a folder, a .safetensors file), or --server URL)"


@pytest.mark.parametrize(
    ("name", "fault", "message"),
    [
        ("nobody/nothing", "", "has no such repository, or it is private"),
        ("balanced", "404", "refuses the request"),
        ("balanced", "403", "refuses access (403)"),
        ("balanced", "500", "has a fault of its own (500)"),
        ("balanced", "gated", "its owner gives it only to those who ask"),
        ("painter/models@v9", "", "the repository has no revision 'v9'"),
        ("balanced", "offline", "HF_HUB_OFFLINE forbids to go online"),
        ("balanced", "nobody there", "cannot be reached"),
        ("balanced", "full", "error: painter/models@main: the file has 6000000000000.0 MB"),
    ],
)
def test_models_that_cannot_be_had(pixelpainter, name, fault, message):
    pixelpainter.server.files = WHOLE
    pixelpainter.server.fault = fault
    more = {"offline": {"HF_HUB_OFFLINE": "1"}, "nobody there": {"HF_ENDPOINT": "http://127.0.0.1:9"}}.get(fault, {})
    done = pixelpainter("models", "pull", "--quiet", "--refine", name, **more)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert done.stderr.startswith("error: ") and message in done.stderr
    assert done.stderr.endswith(f"{ELSE}\n" if name == "balanced" else "or --server URL)\n")


@pytest.mark.parametrize("option", ["--model", "--refine-model"])
def test_advice_names_options_of_the_command(tmp_path, option):
    with pytest.raises(ModelError, match=f"another model with {option} ") as raised:
        find_weights(str(tmp_path), option=option)
    assert ("--server" in str(raised.value)) == (option == "--model")


def test_repositories_that_are_of_no_use(pixelpainter):
    for files, message in (
        (PICKLED, r"its part \w+ are a pickle"),
        (
            {"one.safetensors": b"", "deep/two.safetensors": b""},
            r"no pipeline of diffusers; .* files: :one.safetensors \(",
        ),
        ({"README.md": b""}, r"no pipeline of diffusers; check the name"),
        ({PIPELINE_INDEX: b'{"_class_name": "FluxPipeline"}'}, r"a pipeline of another kind \(FluxPipeline\)"),
        ({"config.json": b'{"_class_name": "AutoencoderKL"}'}, r"this is no ControlNet, but a AutoencoderKL"),
    ):
        pixelpainter.server.files = files
        shutil.rmtree(pixelpainter.cache, ignore_errors=True)
        done = pixelpainter("models", "pull", "--quiet", "--refine", "balanced")
        assert done.returncode == 1 and done.stderr.count("\n") == 1 and re.search(message, done.stderr), done.stderr
        assert not any(path.endswith(".bin") for _, path in pixelpainter.server.requests)
    pixelpainter.server.files = PICKLED
    shutil.rmtree(pixelpainter.cache)
    done = pixelpainter("models", "pull", "--quiet", "--refine", "balanced", "--allow-pickle")
    assert content_of(Path(done.stdout.strip())) == PICKLED


def test_single_files(pixelpainter, tmp_path):
    """A file of the Hub, and one of the user's: what lies around the weights comes from Stable Diffusion 1.5."""
    file = tmp_path / "whole.safetensors"
    file.write_bytes(b"all weights")
    pixelpainter.server.files = WHOLE | {"x/whole.safetensors": file.read_bytes()}
    path, identity = pixelpainter.find("painter/models:x/whole.safetensors")
    assert Path(path).read_bytes() == file.read_bytes() and identity == f"painter/models@{COMMIT}:x/whole.safetensors"
    assert not any("diffusion_pytorch_model" in path for _, path in pixelpainter.server.requests)
    pixelpainter.server.requests.clear()
    path, identity = pixelpainter.find(str(file), HF_HUB_OFFLINE="1")
    assert path == str(file) and re.fullmatch(r"whole\.safetensors sha256:[0-9a-f]{16}", identity)
    assert pixelpainter.server.requests == []
    (message,) = pixelpainter.find(str(file), HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "other"))
    assert message.startswith("a single file needs the settings of Stable Diffusion 1.5 around it: painter/models")
    (message,) = pixelpainter.find("painter/models:y.safetensors")
    assert "the repository has no such file; check the name" in message
    (message,) = pixelpainter.find("painter/models:y.ckpt")
    assert "the repository has no such file" in message


def test_usage(pixelpainter):
    for arguments in ((), ("pix2pix", "--refine", "balanced")):
        done = pixelpainter("models", "pull", *arguments)
        assert done.returncode == 2 and "give the name of one model, or --refine" in done.stderr
