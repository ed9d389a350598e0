import hashlib
import threading
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler

import pytest
import torch
from torch.nn import functional

from pixelpainter.errors import TrainingError
from pixelpainter.nets.vgg import VGGFeatures
from pixelpainter.train import perceptual
from pixelpainter.train.objectives import Batch, ReconstructAndFool

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    perceptual.load_features.cache_clear()
    yield
    perceptual.load_features.cache_clear()


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Small weights on a server, under a name that holds their hash; with the classifier that we do not need."""
    folder = tmp_path / "server"
    folder.mkdir()
    torch.manual_seed(0)
    weights = {**VGGFeatures(2).state_dict(), "classifier.0.weight": torch.zeros(3)}
    torch.save(weights, folder / "new")
    digest = hashlib.sha256((folder / "new").read_bytes()).hexdigest()[:8]
    file = (folder / "new").rename(folder / f"vgg16-{digest}.pth")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(perceptual, "WEIGHTS", f"http://127.0.0.1:{server.server_port}/{file.name}")
        yield file
        server.shutdown()


def test_weights_are_downloaded_once(published, tmp_path, capsys):
    features = perceptual.load_features(CPU)
    assert capsys.readouterr().out == ""
    assert not features.training
    picture = torch.rand(1, 3, 8, 8)
    before = features(picture)[2]
    assert (tmp_path / "torch" / "hub" / "checkpoints" / published.name).is_file()
    published.unlink()
    perceptual.load_features.cache_clear()  # as in the next process
    torch.testing.assert_close(perceptual.load_features(CPU)(picture)[2], before)


def test_the_perceptual_term_is_the_mean_distance_of_the_features(published):
    fake, truth = torch.rand(2, 3, 16, 16) * 2 - 1, torch.rand(2, 3, 16, 16) * 2 - 1
    batch = Batch(picture=torch.zeros(2, 1, 16, 16), palette=None, truth=truth)
    objective = ReconstructAndFool(adversarial="none", lambda_l1=1.0, lambda_perceptual=3.0)
    features = perceptual.load_features(CPU)
    expected = [functional.l1_loss(one, other) for one, other in zip(features(fake), features(truth), strict=True)]
    assert objective.generator_terms(fake, batch, None)["perceptual"].item() == pytest.approx(sum(expected).item())
    assert objective.generator_terms(truth, batch, None)["perceptual"].item() == 0


def test_no_network(monkeypatch):
    monkeypatch.setattr(perceptual, "WEIGHTS", "http://127.0.0.1:1/vgg16-00000000.pth")
    with pytest.raises(TrainingError, match=r"^--lambda-perceptual needs .*put http://127\.0\.0\.1:1/.* into .*hub"):
        perceptual.load_features(CPU)


@pytest.mark.parametrize("content", [b"torn", b"\x80\x02torn", b"PK\x03\x04torn"])
def test_a_damaged_file_in_the_cache_is_named(published, tmp_path, content):
    perceptual.load_features(CPU)
    (tmp_path / "torch" / "hub" / "checkpoints" / published.name).write_bytes(content)
    perceptual.load_features.cache_clear()
    with pytest.raises(TrainingError, match=rf"{published.name} are damaged .*; delete the file"):
        perceptual.load_features(CPU)


@pytest.mark.parametrize("content", [{"a": torch.zeros(1)}, [1], {"features.0.weight": torch.zeros(2, 2)}])
def test_weights_of_another_network_in_the_cache(published, tmp_path, content):
    perceptual.load_features(CPU)
    torch.save(content, tmp_path / "torch" / "hub" / "checkpoints" / published.name)
    perceptual.load_features.cache_clear()
    with pytest.raises(TrainingError, match=rf"{published.name}: these are not the weights of VGG-16; delete the file"):
        perceptual.load_features(CPU)


def test_a_file_that_is_not_the_published_one(published):
    published.write_bytes(b"something else")
    with pytest.raises(TrainingError, match=r"cannot be downloaded .*invalid hash"):
        perceptual.load_features(CPU)


def test_a_server_without_the_file(published):
    published.unlink()
    with pytest.raises(TrainingError, match=r"cannot be downloaded .*[Nn]ot found"):
        perceptual.load_features(CPU)
