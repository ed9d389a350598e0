"""LPIPS and FID with weights made here: the published ones are not needed to prove the arithmetic."""

import hashlib
import http.server
import threading

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import nn

from pixelpainter.errors import ModelError
from pixelpainter.evaluate import perceptual
from pixelpainter.evaluate.inception import Inception, enlarge
from pixelpainter.evaluate.perceptual import (
    FeatureDistance,
    Lpips,
    frechet_distance,
    load_inception,
    load_lpips,
)
from pixelpainter.evaluate.perceptual import load_networks as load
from pixelpainter.nets.published import WeightsFile, fetch_weights, weights_file

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def pictures(count, side=96, seed=0):
    return torch.randint(0, 256, (count, 3, side, side), generator=torch.Generator().manual_seed(seed)).float()


# LPIPS


def test_lpips_is_torchmetrics_own(monkeypatch):
    """Theirs cannot be made without torchvision: it gets our layers in place of those."""
    from torchmetrics.functional.image import lpips as theirs

    torch.manual_seed(0)
    network = Lpips()
    layers = nn.Sequential(*network.features, nn.MaxPool2d(3, 2))
    monkeypatch.setattr(theirs, "_get_tv_model_features", lambda *_: layers)
    reference = theirs._LPIPS(pretrained=True, net="alex")
    one, other = pictures(3), pictures(3, seed=1)
    expected = reference(one / 127.5 - 1, other / 127.5 - 1).flatten()
    torch.testing.assert_close(network(one, other), expected)
    assert expected.min() > 0.001
    assert network(one, one).abs().max() == 0


def test_lpips_is_the_formula_of_the_paper():
    torch.manual_seed(0)
    heads = [torch.rand(1, channels, 1, 1) for channels in (64, 192, 384, 256, 256)]
    network = Lpips(heads)
    one, other = pictures(1, seed=2), pictures(1, seed=3)
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    x, y = (((part / 127.5 - 1) - shift[:, None, None]) / scale[:, None, None] for part in (one, other))
    expected, layer = 0.0, 0
    for part in network.features:
        x, y = part(x), part(y)
        if isinstance(part, nn.ReLU):
            units = [values[0].numpy() / np.sqrt((values[0].numpy() ** 2).sum(axis=0) + 1e-8) for values in (x, y)]
            weighted = (units[0] - units[1]) ** 2 * heads[layer][0].numpy()
            expected += weighted.sum(axis=0).mean()
            layer += 1
    assert layer == 5
    assert network(one, other).item() == pytest.approx(expected, rel=1e-5)


def test_lpips_counts_each_place_by_its_weight():
    torch.manual_seed(0)
    network = Lpips()
    one = pictures(2, 128)
    other = one.clone()
    other[..., :32] = pictures(2, 128, seed=1)[..., :32]
    left, right = torch.zeros(2, 1, 128, 128)
    left[..., :64] = right[..., 64:] = 1
    found = network(one, other)
    torch.testing.assert_close(network(one, other, torch.ones(1, 128, 128)), found)
    near, far = network(one, other, left), network(one, other, right)
    assert (near > 1.7 * found).all() and (far < 0.3 * found).all()
    torch.testing.assert_close(network(one, other, torch.cat([left, right])), torch.stack([near[0], far[1]]))


def test_lpips_takes_the_convolutions_of_torchvisions_file():
    torch.manual_seed(1)
    published = {f"features.{key}": torch.randn_like(value) for key, value in Lpips().features.state_dict().items()}
    published["classifier.1.weight"] = torch.zeros(2, 2)
    network = load_lpips(published)
    assert torch.equal(network.features[10].bias, published["features.10.bias"])
    del published["features.0.bias"]
    with pytest.raises(ModelError, match=r"alexnet-owt.* are of another network"):
        load_lpips(published)


# FID


class Means(nn.Module):
    """Four features of a picture."""

    def forward(self, shown):
        values = shown.float()
        return torch.cat([values.mean(dim=(2, 3)), values.std(dim=(1, 2, 3))[:, None]], dim=1)


@pytest.mark.parametrize(("count", "other_count", "width"), [(6, 9, 40), (200, 30, 12), (50, 50, 50)])
def test_the_frechet_distance_is_the_formula_of_the_paper(count, other_count, width):
    random = np.random.default_rng(count)
    mixed = random.normal(size=(width, width))
    one, other = random.normal(size=(count, width)) @ mixed, random.normal(1, 2, size=(other_count, width))
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = np.sqrt(np.maximum(np.linalg.eigvals(first @ second).real, 0)).sum()
    expected = ((one.mean(axis=0) - other.mean(axis=0)) ** 2).sum() + np.trace(first + second) - 2 * root
    found = frechet_distance(torch.from_numpy(one), torch.from_numpy(other))
    assert found == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(torch.from_numpy(one), torch.from_numpy(one)) == pytest.approx(0, abs=1e-9)


def test_fid_compares_the_features_of_sets():
    distance = FeatureDistance(Means())
    rows = {"truth": [], "dim": []}
    for index in range(12):
        truth = pictures(1, 8, seed=index)[0]
        shown = {"truth": truth.byte(), "dim": (truth * (0.5 + index / 100)).byte()}
        distance.add(shown)
        for name, picture in shown.items():
            rows[name].append(Means()(picture[None])[0].double().numpy())
    first, second = (np.cov(values, rowvar=False) for values in rows.values())
    means = [np.mean(values, axis=0) for values in rows.values()]
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(first + second - 2 * sqrtm(first @ second).real)
    assert expected > 100
    assert distance.distance("dim", "truth") == pytest.approx(expected, rel=1e-6)


def test_fid_of_one_picture_is_no_number():
    distance = FeatureDistance(Means())
    distance.add({"truth": torch.zeros(3, 8, 8, dtype=torch.uint8), "dim": torch.ones(3, 8, 8, dtype=torch.uint8)})
    assert np.isnan(distance.distance("dim", "truth"))


def test_inception_has_the_shape_of_the_published_one():
    torch.manual_seed(0)
    with torch.device("meta"):
        network = Inception().eval()
        assert network(torch.empty(2, 3, 64, 64, dtype=torch.uint8)).shape == (2, 2048)
    names = network.state_dict()
    assert sum(value.numel() for name, value in names.items() if "running" not in name and "batches" not in name) == (
        23_850_960  # counted in torch-fidelity's network
    )
    assert {"Mixed_7c.branch3x3dbl_3b.conv.weight", "Mixed_6e.branch7x7dbl_5.bn.running_var", "fc.bias"} <= set(names)
    with pytest.raises(ModelError, match=r"weights-inception.* are of another network"):
        load_inception({"fc.bias": torch.zeros(1008)})


def test_averages_leave_the_padding_out_and_the_last_block_takes_the_maximum():
    from pixelpainter.evaluate.inception import _average, _BlockE

    assert torch.equal(_average(torch.ones(1, 1, 4, 4)), torch.ones(1, 1, 4, 4))
    torch.manual_seed(0)
    first, last = _BlockE(8, by_maximum=False).eval(), _BlockE(8, by_maximum=True).eval()
    last.load_state_dict(first.state_dict())
    x = torch.randn(1, 8, 5, 5)
    assert torch.equal(first(x)[:, :1856], last(x)[:, :1856])
    assert not torch.equal(first(x)[:, 1856:], last(x)[:, 1856:])


def test_pictures_are_enlarged_as_tensorflow_1_did():
    row = torch.tensor([0.0, 10.0, 20.0])
    found = enlarge(row.expand(1, 1, 3, 3), 6)[0, 0, 0]
    assert found.tolist() == [0, 5, 10, 15, 20, 20]  # no half pixel, the last one repeated
    assert torch.equal(enlarge(row.expand(1, 1, 3, 3).transpose(2, 3), 6)[0, 0, :, 0], found)


# the weights


@pytest.fixture
def server(tmp_path):
    """A web server on this machine; returns its address, its folder, and the requests that came."""
    folder, asked = tmp_path / "web", []
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_):
            asked.append(self.command)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", folder, asked
        running.shutdown()
        thread.join()


def publish(folder, weights):
    torch.save(weights, folder / "new")
    digest = hashlib.sha256((folder / "new").read_bytes()).hexdigest()
    return (folder / "new").rename(folder / f"tiny-{digest[:8]}.pth").name


def test_weights_are_downloaded_once(server, capfd):
    address, folder, asked = server
    name = publish(folder, {"a": torch.arange(3)})
    assert fetch_weights(f"{address}/{name}", download=True)["a"].tolist() == [0, 1, 2]
    assert asked.count("GET") == 1
    assert fetch_weights(f"{address}/{name}", download=True)["a"].tolist() == [0, 1, 2]
    assert fetch_weights(f"{address}/{name}", download=False)["a"].tolist() == [0, 1, 2]
    assert asked.count("GET") == 1
    assert capfd.readouterr().out == ""


def test_weights_that_are_not_the_published_ones_are_refused(server, tmp_path):
    address, folder, _ = server
    name = publish(folder, {"a": torch.arange(3)})
    (folder / name).rename(folder / "tiny-00000000.pth")
    with pytest.raises(ModelError, match="invalid hash"):
        fetch_weights(f"{address}/tiny-00000000.pth", download=True)
    assert not [path for path in (tmp_path / "torch").rglob("*") if path.is_file()]


def test_a_damaged_file_is_named(tmp_path):
    file = weights_file("https://nowhere.invalid/tiny-12345678.pth")
    assert tmp_path in file.parents
    file.parent.mkdir(parents=True)
    file.write_bytes(b"half")
    with pytest.raises(ModelError, match=r"tiny-12345678\.pth are damaged .*delete the file"):
        fetch_weights("https://nowhere.invalid/tiny-12345678.pth", download=True)


def test_what_cannot_be_had_is_unavailable_by_name(server, monkeypatch, tmp_path):
    address, _, _ = server
    monkeypatch.setattr(perceptual, "ALEXNET", f"{address}/alexnet-00000000.pth")  # 404
    monkeypatch.setattr(perceptual, "INCEPTION", "http://127.0.0.1:9/inception-00000000.pth")  # nobody there
    found = load(CPU)
    assert (found.lpips, found.features) == (None, None)
    assert list(found.unavailable) == ["LPIPS", "FID"]
    assert "cannot be downloaded (File not found); put http" in found.unavailable["LPIPS"]
    assert "cannot be downloaded (Connection refused); put http" in found.unavailable["FID"]
    assert str(tmp_path / "torch") in found.unavailable["FID"]


def test_without_download_nothing_is_asked(server, monkeypatch):
    address, folder, asked = server
    monkeypatch.setattr(perceptual, "ALEXNET", f"{address}/{publish(folder, {})}")
    monkeypatch.setattr(perceptual, "INCEPTION", f"{address}/other-00000000.pth")
    assert "its weights are not here yet" in load(CPU, download=False).unavailable["LPIPS"]
    assert asked == []


@pytest.mark.parametrize("published", [True, False])
def test_weights_that_are_there_are_used_and_identified(monkeypatch, tmp_path, published):
    torch.manual_seed(0)
    weights = {f"features.{key}": value for key, value in Lpips().features.state_dict().items()}
    made = publish(tmp_path, weights)
    name = made if published else "alexnet-00000000.pth"
    monkeypatch.setattr(perceptual, "ALEXNET", f"https://nowhere.invalid/{name}")
    file = weights_file(perceptual.ALEXNET)
    file.parent.mkdir(parents=True)
    (tmp_path / made).rename(file)
    found = load(CPU, download=False)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert list(found.unavailable) == ["FID"]
    assert found.weights == {"LPIPS": WeightsFile(name, digest, published)}
    assert torch.equal(found.lpips.features[0].weight, weights["features.0.weight"])
    assert not any(value.requires_grad for value in found.lpips.parameters())
