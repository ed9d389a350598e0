from pathlib import Path

import pytest

from pixelpainter import hub
from pixelpainter.errors import ModelError


def test_a_path_is_taken_as_it_is(tmp_path):
    model = tmp_path / "modèle 模型.onnx"
    model.touch()
    assert hub.find_model(model) == model
    assert hub.find_model(str(model)) == model


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.onnx").touch()
    assert hub.find_model("~/mine.onnx") == tmp_path / "mine.onnx"


def test_the_environment_names_the_default(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "BUNDLED_MODEL", tmp_path / "bundled.onnx")
    (tmp_path / "bundled.onnx").touch()
    (tmp_path / "other.onnx").touch()
    assert hub.find_model() == tmp_path / "bundled.onnx"
    monkeypatch.setenv("PIXELPAINTER_MODEL", "")
    assert hub.find_model() == tmp_path / "bundled.onnx"
    monkeypatch.setenv("PIXELPAINTER_MODEL", str(tmp_path / "other.onnx"))
    assert hub.find_model() == tmp_path / "other.onnx"
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
