"""A model's name becomes a file. Downloads go through the real client of the Hub, to a small Hub on 127.0.0.1."""

import dataclasses
import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import PLAIN_CARD, save_plain_model
from hub_server import COMMIT, serve_hub

from pixelpainter import external_data, hub, hub_errors, models
from pixelpainter.errors import ModelError

PROGRAM = """
import json, os, sys
from pixelpainter import models
from pixelpainter.errors import ModelError
from pixelpainter.hub import find_model
row = os.environ.get("TEST_ROW")
if row:
    models.KNOWN_MODELS["pix2pix"] = models.KnownModel(summary="", home=models.HubFile(**json.loads(row)))
try:
    print(find_model(sys.argv[1], download=sys.argv[2]))
except ModelError as error:
    print(error)
"""


def settings(home: Path, endpoint: str, **more: str) -> dict[str, str]:
    """Return an environment in which the client knows this Hub and this cache only."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PIXELPAINTER_"))}
    return own | {
        "HF_HOME": str(home),
        "HF_ENDPOINT": endpoint,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_ETAG_TIMEOUT": "60",  # the machine may be busy
        "HF_HUB_DOWNLOAD_TIMEOUT": "60",
        "NO_PROXY": "127.0.0.1,localhost",
        **more,
    }


class Client:
    """Starts programs that look for models at a Hub of their own."""

    def __init__(self, server, folder: Path):
        self.server, self.folder = server, folder

    def start(self, name: str, download: str = "missing", **more: str) -> subprocess.Popen:
        environment = settings(self.folder / "cache", self.server.address) | more
        call = [sys.executable, "-c", PROGRAM, name, download]
        return subprocess.Popen(
            call, cwd=self.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def find(self, name: str, download: str = "missing", **more: str) -> str:
        """Return the path that was found, or the message."""
        process = self.start(name, download, **more)
        out, self.err = process.communicate(timeout=300)
        assert process.returncode == 0, self.err
        assert out.count("\n") == 1, out
        return out.strip()

    def kept(self) -> list[str]:
        """Return the names of all files with content in the cache."""
        blobs = self.folder.glob("cache/hub/models--*/blobs/*")
        return [file.name for file in blobs]


@pytest.fixture
def client(tmp_path, plain_model):
    with serve_hub() as server:
        server.files = {"model.onnx": plain_model.read_bytes(), "small/other.onnx": b""}
        yield Client(server, tmp_path)


@pytest.fixture(scope="module")
def large_model(tmp_path_factory) -> bytes:
    """A model of several of the pieces that downloads come in."""
    card = dataclasses.replace(PLAIN_CARD, size=128)
    file = save_plain_model(tmp_path_factory.mktemp("large") / "x.onnx", card, answer=np.zeros((3, 128, 128), "f"))
    assert file.stat().st_size > 3 * hub._PIECE_BYTES
    return file.read_bytes()


def row(content: bytes, **more: str) -> str:
    """Return a row of the table as `PROGRAM` reads it."""
    fields = {"repo": "painter/models", "revision": COMMIT, "sha256": hashlib.sha256(content).hexdigest()}
    return json.dumps(fields | more)


def test_a_path_is_taken_as_it_is(tmp_path):
    model = tmp_path / "modèle 模型.onnx"
    model.touch()
    assert hub.find_model(model) == model
    assert hub.find_model(str(model)) == model


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.onnx").touch()
    assert hub.find_model("~/mine.onnx") == tmp_path / "mine.onnx"
    with pytest.raises(ModelError, match=r"~no-such-user/mine\.onnx: there is no such model file"):
        hub.find_model("~no-such-user/mine.onnx")  # there is no such user


def test_the_environment_names_the_default(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "BUNDLED_MODEL", tmp_path / "bundled.onnx")
    (tmp_path / "bundled.onnx").touch()
    (tmp_path / "other.onnx").touch()
    assert hub.find_model() == tmp_path / "bundled.onnx"
    monkeypatch.setenv("PIXELPAINTER_MODEL", "")
    assert hub.find_model() == tmp_path / "bundled.onnx"
    monkeypatch.setenv("PIXELPAINTER_MODEL", str(tmp_path / "other.onnx"))
    assert hub.find_model() == tmp_path / "other.onnx"
    assert hub.find_model("bundled") == tmp_path / "bundled.onnx"
    assert hub.find_model(tmp_path / "bundled.onnx") == tmp_path / "bundled.onnx"


def test_the_bundled_model_lies_in_the_package():
    import pixelpainter

    assert hub.BUNDLED_MODEL.relative_to(Path(pixelpainter.__file__).parent) == Path("weights/pixelpainter.onnx")


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    with pytest.raises(ModelError, match=r"nothing\.onnx: there is no such model file"):
        hub.find_model(tmp_path / "nothing.onnx")
    with pytest.raises(ModelError, match="is a folder"):
        hub.find_model(tmp_path)
    monkeypatch.setenv("PIXELPAINTER_MODEL", "lost.onnx")
    with pytest.raises(ModelError, match=r"lost\.onnx \(named by \$PIXELPAINTER_MODEL\)"):
        hub.find_model()
    monkeypatch.delenv("PIXELPAINTER_MODEL")
    monkeypatch.setattr(hub, "BUNDLED_MODEL", tmp_path / "bundled.onnx")
    with pytest.raises(ModelError, match="no bundled model"):
        hub.find_model()


@pytest.fixture
def no_network(monkeypatch):
    monkeypatch.setattr(hub, "_find_on_hub", lambda model, *others, **more: pytest.fail(f"{model} was asked for"))


@pytest.mark.parametrize("name", ["models/mine.onnx", "here/mine"])
def test_a_path_with_an_error_is_not_downloaded(name, tmp_path, monkeypatch, no_network):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    with pytest.raises(ModelError, match=rf"^{name}: there is no such model file; .*Hub, write {name}@main$"):
        hub.find_model(name)
    with pytest.raises(ModelError, match="there is no such model file"):
        hub.find_model(Path("there/mine"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./models/mine", "there is no such model file"),
        ("models\\mine.onnx", "there is no such model file"),
        ("a/b/c", "there is no such model file"),
        ("pix2pixel", "neither a name (bundled, pix2pix) nor owner/repo"),
        ("owner/repo@", "nor owner/repo"),
        ("owner/repo:", "nor owner/repo"),
        ("owner/repo:a.onnx@v1", "nor owner/repo"),
        ("owner/repo:weights.bin", "no path of an .onnx file"),
        ("owner/repo:../a.onnx", "no path of an .onnx file"),
        ("owner/repo:/a.onnx", "no path of an .onnx file"),
        ("https://huggingface.co/owner/repo", "not given by address"),
    ],
)
def test_names_that_mean_nothing(name, message, tmp_path, monkeypatch, no_network):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError) as caught:
        hub.find_model(name)
    assert str(caught.value).startswith(f"{name}: ") and message in str(caught.value)


def test_references():
    read = models.parse_reference
    assert read("a/b") == models.HubFile(repo="a/b", revision="main", file="model.onnx")
    assert read("a/b.c@refs/pr/1") == models.HubFile(repo="a/b.c", revision="refs/pr/1")
    assert read("a/b@v1:x/y z.onnx") == models.HubFile(repo="a/b", revision="v1", file="x/y z.onnx")
    assert read("a/b:y.onnx") == models.HubFile(repo="a/b", file="y.onnx")


def test_the_table_is_pinned():
    for name, model in models.KNOWN_MODELS.items():
        assert "/" not in name and name != models.BUNDLED_NAME
        if model.home is not None:
            assert models.parse_reference(str(model.home))


@pytest.mark.parametrize("careless", [{"revision": "main"}, {"sha256": ""}, {"sha256": "f" * 63}])
def test_a_home_that_is_not_pinned_does_not_start(careless):
    pinned = {"repo": "painter/models", "revision": COMMIT, "sha256": "f" * 64}
    models.KnownModel(summary="", home=models.HubFile(**pinned))
    with pytest.raises(AssertionError):
        models.KnownModel(summary="", home=models.HubFile(**pinned | careless))


def test_a_model_without_a_home(monkeypatch, no_network):
    with pytest.raises(ModelError, match=r"^pix2pix: .*not published yet.*_PIX2PIX_REPO=.* --model FILE.* train"):
        hub.find_model("pix2pix")
    monkeypatch.setenv("PIXELPAINTER_PIX2PIX_REPO", "nonsense")
    with pytest.raises(ModelError, match=r"nonsense \(named by \$PIXELPAINTER_PIX2PIX_REPO\)"):
        hub.find_model("pix2pix")
    monkeypatch.setenv("PIXELPAINTER_PIX2PIX_REPO", "a/b@v1:c.onnx")
    assert str(models.home_of("pix2pix")) == "a/b@v1:c.onnx"


def test_first_use_downloads_and_the_second_asks_nobody(client):
    file = Path(client.find("painter/models"))
    assert file.read_bytes() == client.server.files["model.onnx"]
    assert file.is_relative_to(client.folder / "cache" / "hub" / "models--painter--models" / "snapshots" / COMMIT)
    assert client.server.downloads == 1
    assert client.err.count("\n") == 1 and client.err.startswith("downloading painter/models@main:model.onnx (")
    client.server.requests.clear()
    assert client.find("painter/models") == client.find("painter/models", HF_HUB_OFFLINE="1") == str(file)
    assert client.err == ""
    assert client.server.requests == []
    assert client.find("painter/models", "always") == str(file)
    assert client.server.lookups >= 1 and client.server.downloads == 0


def test_a_row_of_the_table_with_a_home(client):
    pinned = row(client.server.files["model.onnx"])
    told = client.find("pix2pix", "never", TEST_ROW=pinned)
    assert told.endswith("not downloaded yet; run `pixelpainter models pull pix2pix`")
    assert client.server.requests == []
    file = client.find("pix2pix", TEST_ROW=pinned)
    assert Path(file).read_bytes() == client.server.files["model.onnx"]
    client.server.requests.clear()
    assert client.find("pix2pix", TEST_ROW=pinned) == file
    assert client.server.requests == []


def test_the_wrong_file_is_refused(client):
    content = client.server.files["model.onnx"]
    client.server.fault = "other"
    hashes = [hashlib.sha256(data).hexdigest() for data in (content, bytes(255 - byte for byte in content))]
    for _ in range(2):  # in the cache it is no better
        message = client.find("pix2pix", TEST_ROW=row(content))
        assert all(value in message for value in hashes) and "not used" in message
        assert "`pixelpainter models pull pix2pix` downloads it again" in message
    client.server.fault = ""
    file = client.find("pix2pix", "always", TEST_ROW=row(content))
    assert Path(file).read_bytes() == content


def test_no_network_and_no_file(client):
    for name in ("painter/models", "painter/models@" + COMMIT):
        message = client.find(name, HF_HUB_OFFLINE="1")
        assert str(client.folder / "cache") in message and "HF_HUB_OFFLINE" in message
    assert client.server.requests == []
    message = client.find("painter/models", HF_ENDPOINT="http://127.0.0.1:9")
    assert "http://127.0.0.1:9 cannot be reached" in message and client.err == ""


def test_the_token_is_sent(client):
    client.find("painter/models", HF_TOKEN="hf_secret")
    assert client.server.tokens == {"Bearer hf_secret"}
    assert client.server.cdn_tokens == {None}  # the host of the content is not the Hub


def test_nothing_is_sent_without_a_token(client):
    client.find("painter/models")
    assert client.server.tokens == {None}


@pytest.mark.parametrize(
    ("fault", "name", "message"),
    [
        ("401", "painter/models", "log in with `hf auth login` or set HF_TOKEN"),
        ("private", "painter/nothing", "no such repository, or it is private"),
        ("gated", "painter/models", "only to those who ask: visit http://127.0.0.1"),
        ("", "painter/nothing", "no such repository"),
        ("", "painter/models@v9", "no revision 'v9'"),
        ("", "painter/models:lost.onnx", "no file 'lost.onnx'"),
        ("", "pain--ter/models", "cannot be the name of a repository"),
        ("404", "painter/models", "refuses the request"),
        ("429", "painter/models", "too many requests"),
        ("500", "painter/models", "a fault of its own (500)"),
        ("503", "painter/models", "a fault of its own (503)"),
        ("no content", "painter/models", "a fault of its own (500)"),
        ("no hub", "painter/models", "does not answer like a Hugging Face Hub"),
        ("short", "painter/models", "broke off (Consistency check failed"),
        ("cut", "painter/models", "broke off (peer closed connection"),
        ("huge", "painter/models", "has room for"),
    ],
)
def test_a_failed_download_is_one_line(client, fault, name, message):
    client.server.fault = fault
    told = client.find(name)
    assert told.startswith(name.partition(":")[0]) and message in told
    assert "Traceback" not in client.err
    assert client.kept() == []


def test_a_hub_that_does_not_answer(client):
    client.server.fault = "silent"
    assert "did not answer in time" in client.find("painter/models", HF_HUB_ETAG_TIMEOUT="1")
    assert client.kept() == []


@pytest.mark.parametrize(("fault", "ranges"), [("slow", [None]), ("drop", [None, "bytes=131072-"])])
def test_a_bad_connection(client, large_model, fault, ranges):
    client.server.files["model.onnx"] = large_model
    client.server.fault = fault
    file = client.find("painter/models")
    assert Path(file).read_bytes() == large_model
    assert client.server.ranges == ranges  # what has come before a break is not asked for again
    assert client.err.count("\n") == 1 and client.err.startswith("downloading ")


def test_two_processes_at_once(client):
    client.server.together = 4  # both look up the file twice, before and in the client's own code
    both = [client.start("painter/models") for _ in range(2)]
    files = [process.communicate(timeout=300)[0].strip() for process in both]
    assert files[0] == files[1] and Path(files[0]).read_bytes() == client.server.files["model.onnx"]
    assert client.server.lookups == 4 and client.server.downloads == 1
    assert len(client.kept()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit on the size of files")
def test_a_disk_that_does_not_take_the_file(client):
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)); exec(sys.argv.pop(1))"
    call = [sys.executable, "-c", limit, PROGRAM, "painter/models", "missing"]
    environment = settings(client.folder / "cache", client.server.address)
    done = subprocess.run(call, env=environment, text=True, capture_output=True, timeout=300, check=False)
    assert done.stdout.startswith("painter/models@main:model.onnx: it cannot be kept in ")
    assert done.stdout.endswith("; choose another folder with HF_HOME\n") and done.stdout.count("\n") == 1
    assert client.kept() == []


def test_errors_of_the_system(tmp_path):
    def told(error):
        return hub_errors.explain(error, models.HubFile(repo="painter/models"))

    assert told(OSError(errno.ENOSPC, "x")).startswith("there is no room for it in ")
    assert told(PermissionError(errno.EACCES, "denied", "/there")).startswith("it cannot be kept in /there (denied)")
    assert told(RuntimeError("odd\nthing")) == "the transfer failed (RuntimeError: odd)"


def save_with_outside_data(path: Path, location: str) -> Path:
    """Write a model whose only weight lies in another file."""
    import onnx
    from onnx import external_data_helper, helper, numpy_helper

    tensor = numpy_helper.from_array(np.ones((64,), np.float32), "weight")
    external_data_helper.set_external_data(tensor, location)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    inner = helper.make_graph([helper.make_node("Constant", [], ["y"], value=tensor)], "inner", [], [])
    node = helper.make_node("If", ["condition"], ["y"], then_branch=inner, else_branch=inner)
    graph = helper.make_graph([node], "outer", [], [])
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


@pytest.mark.parametrize(("name", "words"), [("runs/a b", "'runs/a b'"), ("runs/a b/best.pt", "'runs/a b/best.pt'")])
def test_a_run_is_no_model_yet(tmp_path, monkeypatch, name, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "a b").mkdir(parents=True)
    with pytest.raises(ModelError, match="this is a folder" if name.endswith("b") else "this is a training run"):
        hub.find_model(name)
    (tmp_path / "runs" / "a b" / "best.pt").touch()
    with pytest.raises(ModelError, match=rf"pixelpainter export {words} -o FILE.onnx"):
        hub.find_model(name)


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "a/../../b"])
def test_weights_outside_the_folder_are_refused(tmp_path, location):
    model = save_with_outside_data(tmp_path / "model.onnx", location)
    with pytest.raises(ModelError, match=f"model.onnx: this model reads '{location}', outside its own folder"):
        hub.find_model(model)


def test_a_download_is_looked_into(client):
    save_with_outside_data(client.folder / "model.onnx", "../secret")
    client.server.files["model.onnx"] = (client.folder / "model.onnx").read_bytes()
    for _ in range(2):
        assert "reads '../secret', outside its own folder" in client.find("painter/models")


def test_weights_in_the_folder_are_found(tmp_path, plain_model):
    model = save_with_outside_data(tmp_path / "model.onnx", "weights/all.bin")
    assert set(external_data.external_locations(model)) == {"weights/all.bin"}
    assert hub.find_model(model) == model
    assert list(external_data.external_locations(plain_model)) == []
    content = model.read_bytes()
    for damaged in (content[:-3], b"\x0f" + content, b"\xff" * 20, b"no model"):
        model.write_bytes(damaged)
        with pytest.raises(ModelError, match=r"model\.onnx: this is no ONNX model, or a damaged one"):
            hub.find_model(model)


def test_links_out_of_the_folder_are_followed(tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "weights").symlink_to(tmp_path)
    model = save_with_outside_data(tmp_path / "inside" / "model.onnx", "weights/secret")
    with pytest.raises(ModelError, match="outside its own folder"):
        hub.find_model(model)
