"""Doctor tells what is there and what is wrong; a device that was asked for is used or the reason is given."""

import hashlib
import json
import sys

import onnxruntime
import pytest
from conftest import PLAIN_CARD
from test_lazy_imports import COMMAND, NEVER, loaded

import pixelpainter
from pixelpainter import Colorizer, ModelError, devices, doctor

HAS_CUDA_BUILD = devices.CUDA_PROVIDER in onnxruntime.get_available_providers()
HAS_DRIVER = not devices.driver_problem().startswith("there is no NVIDIA driver")


def examined(command, *arguments):
    done = command("doctor", "--json", *arguments)
    assert done.err == ""
    return done.status, json.loads(done.out)


def test_a_healthy_installation(command, plain_model):
    status, report = examined(command, "--model", plain_model)
    assert (status, report["problems"]) == (0, [])
    assert report["versions"]["pixelpainter"] == pixelpainter.__version__
    assert report["versions"]["python"] == sys.version.split()[0]
    assert report["versions"]["onnxruntime"] == onnxruntime.__version__
    assert report["onnxruntime"]["providers_available"] == onnxruntime.get_available_providers()
    assert report["onnxruntime"]["device_active"] == ("cuda" if HAS_CUDA_BUILD and HAS_DRIVER else "cpu")
    assert report["model"]["sha256"] == hashlib.sha256(plain_model.read_bytes()).hexdigest()
    assert report["model"]["card"]["size"] == PLAIN_CARD.size
    assert 1 <= report["machine"]["threads_used"] <= report["machine"]["cpus_by_affinity"]


def test_the_report_can_be_read(command, plain_model, monkeypatch):
    monkeypatch.setenv("PIXELPAINTER_MODEL", str(plain_model))
    monkeypatch.setenv("HF_HOME", "~no-such-user/somewhere")
    done = command("doctor")
    assert (done.status, done.err) == (0, "")
    for words in (f"{plain_model} (named by $PIXELPAINTER_MODEL", "numpy ", "CPUExecutionProvider", "/somewhere/hub"):
        assert words in done.out
    assert done.out.endswith("colorize works.\n")


@pytest.mark.parametrize("content", [None, b"no model"])
def test_a_model_that_cannot_be_used(command, tmp_path, content):
    model = tmp_path / "model.onnx"
    if content:
        model.write_bytes(content)
    status, report = examined(command, "--model", model)
    assert status == 1
    assert len(report["problems"]) == 1 and str(model) in report["problems"][0]
    done = command("doctor", "--model", model)
    assert done.status == 1
    assert f"Problem: {model}" in done.out and "works" not in done.out


def test_a_broken_onnxruntime(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    report = doctor.examine()
    assert "onnxruntime cannot be loaded" in report["problems"][0]


def test_doctor_imports_no_training_package(plain_model):
    assert not loaded(COMMAND, "doctor", "--model", plain_model) & NEVER


def make_wheel(folder, name):
    """Make a package look installed."""
    information = folder / f"{name.replace('-', '_')}-9.9.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n")


def test_two_wheels_of_onnxruntime(monkeypatch, tmp_path, plain_model):
    assert len(devices.onnxruntime_wheels()) == 1
    make_wheel(tmp_path, "onnxruntime-gpu" if "onnxruntime" in devices.onnxruntime_wheels() else "onnxruntime")
    monkeypatch.syspath_prepend(tmp_path)
    assert devices.why_no_cuda().startswith("onnxruntime and onnxruntime-gpu are both installed")
    report = doctor.examine(str(plain_model))
    assert any("both installed" in remark for remark in report["remarks"])
    assert report["problems"] == []


@pytest.mark.skipif(HAS_CUDA_BUILD, reason="needs a build without CUDA")
def test_cuda_in_a_build_without_it(command, plain_model):
    with pytest.raises(ModelError, match=r"CUDA cannot be used: .* was built without CUDA; run  pip uninstall onnxr"):
        Colorizer(plain_model, device="cuda")
    status, report = examined(command, "--model", plain_model, "--device", "cuda")
    assert status == 1 and "built without CUDA" in report["problems"][0]


@pytest.mark.skipif(HAS_CUDA_BUILD or HAS_DRIVER, reason="pretends, which needs a machine without CUDA")
def test_cuda_without_a_driver(monkeypatch, plain_model, capfd):
    """What onnxruntime lists is what it was built with; only the session knows what works."""
    names = [devices.CUDA_PROVIDER, devices.CPU_PROVIDER]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    with pytest.raises(ModelError, match="there is no NVIDIA driver here"):
        Colorizer(plain_model, device="cuda")
    assert Colorizer(plain_model, device="auto").device == "cpu"
    assert doctor.examine(str(plain_model))["remarks"] == [f"CUDA cannot be used: {devices.driver_problem()}"]
    assert capfd.readouterr() == ("", "")  # onnxruntime's own fallback prints


def test_the_processor_always_works(plain_model):
    assert Colorizer(plain_model, device="cpu").device == "cpu"
    with pytest.raises(ValueError, match="device is 'tpu'"):
        Colorizer(plain_model, device="tpu")
