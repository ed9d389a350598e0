"""The diffusion pass, with a real pipeline that is tiny. It is loaded by the same code as a real one of 4 GB."""

import dataclasses
import importlib.util
import itertools
import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import torch
from diffusion import MULTIPLE, SIZE, save_tiny_checkpoint, save_tiny_controlnet, save_tiny_pipeline
from test_lazy_imports import NEVER, loaded

from pixelpainter.errors import MissingExtraError, ModelError
from pixelpainter.refine import engine, loading
from pixelpainter.refine.local import LocalRefiner
from pixelpainter.refine.settings import RefineSettings

pytestmark = pytest.mark.filterwarnings(  # torch's tensors in numpy's functions, in the schedulers of diffusers
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)
QUICK = RefineSettings(steps=4, strength=0.5, prompt="a cat", negative_prompt="")


@pytest.fixture(scope="session", autouse=True)
def one_core():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """The folder with all models; they are not written to."""
    folder = tmp_path_factory.mktemp("diffusion")
    save_tiny_pipeline(folder / "plain")
    save_tiny_pipeline(folder / "checked", safety_checker=True, scheduler="pndm")
    save_tiny_pipeline(folder / "flagging", flags_everything=True)
    save_tiny_pipeline(folder / "broken", broken_vae=True, safety_checker=True)
    save_tiny_pipeline(folder / "pickled", safetensors=False)
    save_tiny_pipeline(folder / "euler", scheduler="euler")
    save_tiny_controlnet(folder / "lines")
    return folder


@pytest.fixture(scope="session")
def plain(models):
    return LocalRefiner(str(models / "plain"), device="cpu", quiet=True)


def picture(height=64, width=64):
    """Return a picture of soft colors."""
    corners = np.array([[[230, 60, 90], [240, 200, 60]], [[60, 120, 220], [90, 200, 120]]], np.uint8)
    return cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR)


def change(refined, rgb):
    return np.abs(refined.astype(int) - rgb).mean()


def test_importing_it_is_light():
    modules = loaded("import pixelpainter.refine.local")
    assert "numpy" in modules
    assert not modules & (NEVER | {"huggingface_hub", "onnxruntime", "tqdm", "PIL"})


@pytest.mark.parametrize("size", [(1, 1), (63, 65), (200, 130), (700, 90), (1, 5000)])
def test_sizes(plain, size):
    rgb, notes = picture(*size), []
    refined = plain.refine(rgb, QUICK, on_note=notes.append)
    assert (refined.shape, refined.dtype) == (rgb.shape, np.uint8)
    assert 1 < change(refined, rgb) < 120
    expected = {(200, 130): "refined in 12 tiles of 64x64", (700, 90): "refined at ", (1, 5000): "refined at "}
    assert [note.startswith(expected[size]) for note in notes] == [True] * (size in expected)


def test_the_pipeline_is_asked_for_its_own_sizes(plain):
    plain.load()
    assert (plain._native(), plain._multiple()) == (SIZE, MULTIPLE)


def test_small_pictures_are_what_diffusers_makes_of_them(plain):
    """No tile, no padding: the same picture as from the pipeline by hand, with the seed as it is given."""
    from PIL import Image

    rgb = picture()
    refined = plain.refine(rgb, dataclasses.replace(QUICK, seed=7))
    answer = plain._pipeline(
        QUICK.prompt,
        image=Image.fromarray(rgb),
        strength=0.5,
        num_inference_steps=4,
        guidance_scale=QUICK.guidance,
        negative_prompt="",
        generator=torch.Generator().manual_seed(7),
    )
    assert np.array_equal(refined, np.asarray(answer.images[0]))


def test_every_setting_counts(plain, models):
    rgb = picture(70, 60)
    first = plain.refine(rgb, QUICK)
    assert np.array_equal(first, plain.refine(rgb, QUICK))
    assert np.array_equal(first, LocalRefiner(str(models / "plain"), device="cpu", quiet=True).refine(rgb, QUICK))
    for other in ({"seed": 1}, {"seed": -1}, {"prompt": "a dog"}, {"guidance": 1.0}, {"steps": 8}, {"strength": 0.8}):
        assert not np.array_equal(first, plain.refine(rgb, dataclasses.replace(QUICK, **other))), other
    assert not np.array_equal(first, plain.refine(rgb, dataclasses.replace(QUICK, negative_prompt="a frog")))


def test_tiles_have_noise_of_their_own(plain):
    rgb = np.full((64, 176, 3), 128, np.uint8)  # three tiles
    refined = plain.refine(rgb, QUICK).astype(int)
    middles = refined[:, 8:56], refined[:, 64:112], refined[:, 120:168]
    assert all(np.abs(one - other).mean() > 3 for one, other in itertools.pairwise(middles))


@pytest.mark.parametrize("model", ["plain", "checked", "euler"])
def test_more_strength_changes_more(models, model):
    rgb, refiner = picture(48, 48), LocalRefiner(str(models / model), device="cpu", quiet=True)
    changes = [
        change(refiner.refine(rgb, dataclasses.replace(QUICK, steps=10, strength=strength)), rgb)
        for strength in (0.1, 0.3, 0.9)
    ]
    assert changes[0] * 1.5 < changes[1] and changes[1] * 1.2 < changes[2]


@pytest.mark.parametrize("model", ["plain", "checked", "euler"])
@pytest.mark.parametrize("strength", [1e-9, 0.01, 1 / 3, 1])
def test_at_least_one_step_runs(models, model, strength, monkeypatch):
    refiner = LocalRefiner(str(models / model), device="cpu", quiet=True)
    refiner.load()
    ran, network = [], refiner._pipeline.unet.forward
    monkeypatch.setattr(
        refiner._pipeline.unet, "forward", lambda *given, **named: ran.append(1) or network(*given, **named)
    )
    rgb = picture()
    refined = refiner.refine(rgb, dataclasses.replace(QUICK, steps=1, strength=strength))
    assert 1 <= len(ran) <= 2  # PNDM takes its first step twice
    assert strength > 0.01 or change(refined, rgb) < 20


@pytest.mark.parametrize("steps", [1, 2, 30, 999, 5000])
def test_schedules(steps):
    for strength in (*np.geomspace(1e-6, 1, 200), *(1 / part for part in range(1, 1000))):  # 1 / 161 * 161 is below 1
        used, wanted = engine.make_schedule(RefineSettings(strength=float(strength), steps=steps), 1000)
        assert 1 <= int(used * wanted) <= wanted <= 999
        if strength * steps >= 1 and steps < 1000:
            assert (used, wanted) == (max(strength, 1 / 999), steps)
        if strength > 1 / 999:
            assert used == strength
            assert int(used * wanted) == 1 or wanted == min(steps, 999)


class EndError(Exception):
    """Raised by a test."""


@pytest.mark.parametrize("model", ["plain", "checked", "euler", "lines"])
@pytest.mark.parametrize("error", [EndError("enough"), RuntimeError("out of memory"), KeyboardInterrupt()])
def test_a_run_that_is_ended_from_outside(models, model, error):
    """Neither is it tried again, nor does it leave anything behind; each scheduler remembers something else."""

    def make():
        if model != "lines":
            return LocalRefiner(str(models / model), device="cpu", quiet=True)
        return LocalRefiner(str(models / "plain"), controlnet=str(models / "lines"), device="cpu", quiet=True)

    rgb, settings, notes, count = picture(), dataclasses.replace(QUICK, steps=6), [], itertools.count(1)
    sketch = np.full(rgb.shape[:2], 255, np.uint8)
    sketch[20:24] = 0

    def end():
        if next(count) == 1:
            raise error

    refiner = make()
    with pytest.raises(type(error)) as raised:
        refiner.refine(rgb, settings, sketch=sketch, on_note=notes.append, on_step=end)
    assert raised.value is error and notes == [] and next(count) == 2
    after = refiner.refine(rgb, settings, sketch=sketch)
    assert np.array_equal(after, make().refine(rgb, settings, sketch=sketch))


def test_every_step_is_told_and_changes_nothing(plain):
    rgb, steps = picture(64, 176), []  # three tiles
    told = plain.refine(rgb, dataclasses.replace(QUICK, steps=6), on_step=lambda: steps.append(1))
    assert len(steps) == 3 * 3
    assert np.array_equal(told, plain.refine(rgb, dataclasses.replace(QUICK, steps=6)))


def test_a_flagged_picture_is_no_result(models):
    refiner, notes = LocalRefiner(str(models / "flagging"), device="cpu", quiet=True), []
    with pytest.raises(ModelError, match=r"flagged its own picture as unsafe, and flagged .* try another --seed"):
        refiner.refine(picture(), QUICK, on_note=notes.append)
    assert notes == ["the model flagged its own picture as unsafe: tried once more in float32 with other noise"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_nan_is_no_result(models, dtype):
    refiner, notes = LocalRefiner(str(models / "broken"), device="cpu", dtype=dtype, quiet=True), []
    with pytest.raises(ModelError, match=r"numbers that are none \(NaN\), and answered with numbers") as raised:
        refiner.refine(picture(), QUICK, on_note=notes.append)
    assert "\n" not in str(raised.value)
    assert notes[0].endswith("once more in float32" + " with other noise" * (dtype == "float32"))


def spoil(refiner, monkeypatch, when, value):
    """Let the decoder of a refiner answer one value as long as the condition holds; return what it was asked in."""
    refiner.load()
    vae, asked = refiner._pipeline.vae, []

    def decode(latents, **options):
        asked.append(latents.dtype)
        (decoded,) = type(vae).decode(vae, latents, **options)
        return (torch.full_like(decoded, value),) if when(asked) else (decoded,)

    monkeypatch.setattr(vae, "decode", decode)
    return asked


def test_a_second_try_has_other_noise(models, monkeypatch):
    refiner, rgb = LocalRefiner(str(models / "plain"), device="cpu", quiet=True), picture()
    first = refiner.refine(rgb, QUICK)
    asked = spoil(refiner, monkeypatch, lambda asked: len(asked) == 1, -1.0)
    again = refiner.refine(rgb, QUICK)
    assert len(asked) == 2 and not np.array_equal(again, first)


@pytest.mark.parametrize(
    ("value", "what"), [(-1.0, "a black picture"), (-0.95, "a black picture"), (np.nan, "numbers")]
)
def test_what_fails_in_half_precision_is_tried_in_float32(models, monkeypatch, value, what):
    refiner, notes = LocalRefiner(str(models / "checked"), device="cpu", dtype="bfloat16", quiet=True), []
    asked = spoil(refiner, monkeypatch, lambda asked: asked[-1] != torch.float32, value)
    rgb = picture()
    refined = refiner.refine(rgb, QUICK, on_note=notes.append)
    assert asked == [torch.bfloat16, torch.float32] and change(refined, rgb) < 100
    assert len(notes) == 1 and notes[0].startswith(f"the model answered with {what}")
    assert refiner._pipeline.unet.dtype == refiner._pipeline.vae.dtype == torch.bfloat16  # for the next picture


def test_black_twice_is_no_result(models, monkeypatch):
    refiner = LocalRefiner(str(models / "plain"), device="cpu", quiet=True)
    asked = spoil(refiner, monkeypatch, lambda asked: True, -1.0)
    with pytest.raises(ModelError, match="black picture, and answered with a black picture when"):
        refiner.refine(picture(), QUICK)
    assert len(asked) == 2
    night = np.full((64, 64, 3), 20, np.uint8)
    assert refiner.refine(night, QUICK).max() == 0  # a black answer to a black picture is none
    assert len(asked) == 3


def test_one_bad_tile_is_tried_alone(models, monkeypatch):
    refiner, notes = LocalRefiner(str(models / "plain"), device="cpu", dtype="bfloat16", quiet=True), []
    asked = spoil(refiner, monkeypatch, lambda asked: len(asked) == 2, np.nan)
    refiner.refine(picture(64, 176), QUICK, on_note=notes.append)
    half, whole = torch.bfloat16, torch.float32
    assert asked == [half, half, whole, half] and len(notes) == 2


def test_half_precision_is_near(models, plain):
    rgb = picture()
    for dtype in ("bfloat16", "float16"):
        half = LocalRefiner(str(models / "plain"), device="cpu", dtype=dtype, quiet=True)
        # Noise is drawn in the number format, so that it is another one; its size is what can be compared.
        assert change(half.refine(rgb, QUICK), rgb) == pytest.approx(change(plain.refine(rgb, QUICK), rgb), rel=0.3)
        assert dtype in half.identity


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), MemoryError()]
)
def test_too_little_memory(models, monkeypatch, error):
    refiner = LocalRefiner(str(models / "plain"), device="cpu", quiet=True)
    refiner.load()

    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(refiner._pipeline.unet, "forward", fail)
    with pytest.raises(ModelError, match=r"memory .* try --dtype float16, a smaller picture, --device cpu"):
        refiner.refine(picture(), QUICK)
    monkeypatch.undo()
    monkeypatch.setattr("diffusers.StableDiffusionImg2ImgPipeline.to", fail)
    with pytest.raises(ModelError, match="memory of the device is too small"):
        LocalRefiner(str(models / "plain"), device="cpu", quiet=True).load()


def test_other_errors_are_not_hidden(models, monkeypatch):
    refiner = LocalRefiner(str(models / "plain"), device="cpu", quiet=True)
    refiner.load()
    monkeypatch.setattr(refiner._pipeline.unet, "forward", lambda *given, **named: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        refiner.refine(picture(), QUICK)


def test_threads_share_one(models):
    """The scheduler of this one remembers what it was given before."""
    refiner = LocalRefiner(str(models / "checked"), device="cpu", quiet=True)
    rgb = [picture(40 + 10 * index, 70) for index in range(4)]
    settings = [dataclasses.replace(QUICK, seed=index, strength=0.9, steps=5 + index) for index in range(4)]
    alone = [refiner.refine(*given) for given in zip(rgb, settings, strict=True)]
    together = threading.Barrier(4)

    def refine(given):
        together.wait()
        return refiner.refine(*given)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(refine, zip(rgb, settings, strict=True)))
    assert all(np.array_equal(one, other) for one, other in zip(alone, results, strict=True))


def test_the_first_pictures_in_threads_load_once(models, monkeypatch):
    refiner, count, load = LocalRefiner(str(models / "plain"), device="cpu", quiet=True), [], loading.load_pipeline
    monkeypatch.setattr(
        "pixelpainter.refine.local.load_pipeline", lambda *given, **named: count.append(1) or load(*given, **named)
    )
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: refiner.refine(picture(), QUICK), range(4)))
    assert len(count) == 1 and all(np.array_equal(results[0], other) for other in results)


def test_a_controlnet_sees_white_lines_on_black(models, monkeypatch):
    refiner = LocalRefiner(str(models / "plain"), controlnet=str(models / "lines"), device="cpu", quiet=True)
    refiner.load()
    seen, look = [], refiner._pipeline.controlnet.forward

    def forward(*given, controlnet_cond, **named):
        seen.append((controlnet_cond[0], named["conditioning_scale"]))
        return look(*given, controlnet_cond=controlnet_cond, **named)

    monkeypatch.setattr(refiner._pipeline.controlnet, "forward", forward)
    rgb, sketch, notes = picture(), np.full((64, 64), 255, np.uint8), []
    sketch[20:24] = 0
    held = refiner.refine(rgb, QUICK, sketch=sketch, on_note=notes.append)
    lines, scale = seen[0]
    assert lines.shape == (3, 64, 64) and (lines[:, 20:24] == 1).all() and (lines[:, :20] == 0).all() and scale > 0.5
    assert notes == []
    assert not np.array_equal(held, refiner.refine(rgb, QUICK, sketch=sketch.T.copy()))
    seen.clear()
    free = refiner.refine(rgb, QUICK, on_note=notes.append)
    assert seen[0][1] == 0 and notes == ["the ControlNet was not used: it needs a drawing to hold on to"]
    assert np.array_equal(free, LocalRefiner(str(models / "plain"), device="cpu", quiet=True).refine(rgb, QUICK))
    wide = refiner.refine(picture(60, 176), QUICK, sketch=np.full((60, 176), 255, np.uint8))
    assert wide.shape == (60, 176, 3)


def test_engines_without_a_controlnet_ignore_the_sketch(plain):
    rgb = picture()
    sketch = np.zeros((64, 64), np.uint8)
    assert np.array_equal(plain.refine(rgb, QUICK, sketch=sketch), plain.refine(rgb, QUICK))


def test_a_controlnet_of_another_family(models, tmp_path):
    shutil.copytree(models / "lines", tmp_path / "other")
    config = tmp_path / "other" / "config.json"
    from diffusers import ControlNetModel

    ControlNetModel.from_config(json.loads(config.read_text()) | {"cross_attention_dim": 24}).save_pretrained(
        tmp_path / "other"
    )
    refiner = LocalRefiner(str(models / "plain"), controlnet=str(tmp_path / "other"), device="cpu", quiet=True)
    with pytest.raises(ModelError, match=r"made for another family of models \(24, not 16 features of text\)"):
        refiner.load()


def test_a_controlnet_that_cannot_be_had(models, tmp_path):
    shutil.copytree(models / "lines", tmp_path / "lines")
    cut(tmp_path / "lines" / "diffusion_pytorch_model.safetensors")
    for name, message in (
        ("lines", r"^lines sha256:\w+: the model cannot be loaded \("),
        ("none", r"check --controlnet \(go on without --controlnet, or"),
    ):
        controlnet = str(tmp_path / name)
        with pytest.raises(ModelError, match=message):
            LocalRefiner(str(models / "plain"), controlnet=controlnet, device="cpu", quiet=True).load()


def test_models_and_controlnets_are_told_apart(models):
    for model, controlnet, message in (
        ("lines", None, "this is a ControlNet; name it with --controlnet"),
        ("plain", "plain", "this is no ControlNet, but a whole model"),
    ):
        with pytest.raises(ModelError, match=message):
            LocalRefiner(
                str(models / model), controlnet=controlnet and str(models / controlnet), device="cpu", quiet=True
            ).load()


def test_identity(models, plain, tmp_path):
    known = plain.identity
    assert known.startswith("plain sha256:") and known.endswith(", float32, cpu") and str(models) not in known
    shutil.copytree(models / "plain", tmp_path / "plain")
    copy = str(tmp_path / "plain")
    (tmp_path / "plain" / "README.md").write_text("none of the model")
    assert LocalRefiner(copy, device="cpu").identity == known
    steered = LocalRefiner(copy, controlnet=str(models / "lines"), device="cpu", dtype="bfloat16").identity
    assert ", ControlNet lines sha256:" in steered and steered.endswith(", bfloat16, cpu")
    weights = tmp_path / "plain" / "unet" / "diffusion_pytorch_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert LocalRefiner(copy, device="cpu").identity not in (known, steered)


def test_large_files_are_hashed_by_samples(tmp_path, monkeypatch):
    from pixelpainter.refine import weights

    monkeypatch.setattr(weights, "_WHOLE", 1 << 10)
    monkeypatch.setattr(weights, "_SAMPLES", 16)
    monkeypatch.setattr(weights, "_SAMPLE", 8)
    file = tmp_path / "a"
    prints = set()
    for content in (bytes(2048), bytes(2049), bytes(2047) + b"a", b"a" + bytes(2047)):
        file.write_bytes(content)
        prints.add(weights._fingerprint(tmp_path, ["a"]))
    assert len(prints) == 4


def test_pickles_are_trusted_only_when_told(models):
    pickled = str(models / "pickled")
    with pytest.raises(ModelError, match=r"a pickle \(.bin\), which can run code .* --allow-pickle trusts it"):
        LocalRefiner(pickled, device="cpu", quiet=True).load()
    refined = LocalRefiner(pickled, device="cpu", quiet=True, allow_pickle=True).refine(picture(), QUICK)
    plain = LocalRefiner(str(models / "plain"), device="cpu", quiet=True).refine(picture(), QUICK)
    assert np.array_equal(refined, plain)


def test_safetensors_come_before_pickles(models, tmp_path):
    shutil.copytree(models / "pickled", tmp_path / "both")
    for file in models.glob("plain/*/*.safetensors"):
        shutil.copy(file, tmp_path / "both" / file.parent.name)
    for file in tmp_path.glob("both/*/*.bin"):
        file.write_bytes(b"not looked at")
    LocalRefiner(str(tmp_path / "both"), device="cpu", quiet=True, allow_pickle=True).load()


@pytest.mark.parametrize(
    ("change_folder", "message"),
    [
        (
            lambda folder: (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink(),
            "its part unet are missing",
        ),
        (lambda folder: (folder / "model_index.json").unlink(), "has no model_index.json"),
        (lambda folder: (folder / "model_index.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "model_index.json").write_text("[]"), "does not describe a diffusion model"),
        (lambda folder: set_index(folder, _class_name="StableDiffusionXLPipeline"), "a pipeline of another kind"),
        (lambda folder: set_index(folder, _class_name=["pipeline", "Mine"]), "a pipeline of another kind"),
        (lambda folder: set_index(folder, unet=["unet", "Mine"]), "code that does not come with diffusers"),
        (lambda folder: cut(folder / "vae" / "diffusion_pytorch_model.safetensors"), "the model cannot be loaded"),
    ],
)
def test_folders_that_cannot_be_used(models, tmp_path, change_folder, message):
    shutil.copytree(models / "plain", tmp_path / "model")
    change_folder(tmp_path / "model")
    with pytest.raises(ModelError, match=message) as raised:
        LocalRefiner(str(tmp_path / "model"), device="cpu", quiet=True).load()
    assert "\n" not in str(raised.value)


def set_index(folder, **values):
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | values))


def cut(file):
    file.write_bytes(file.read_bytes()[:-100])


def test_single_files(models, plain, tmp_path, monkeypatch):
    monkeypatch.setattr("pixelpainter.refine.weights._find_settings", lambda **options: models / "checked")
    file = save_tiny_checkpoint(models / "checked", tmp_path / "whole.safetensors")
    refiner = LocalRefiner(str(file), device="cpu", quiet=True)
    folder = LocalRefiner(str(models / "checked"), device="cpu", quiet=True)
    assert np.array_equal(refiner.refine(picture(), QUICK), folder.refine(picture(), QUICK))
    assert refiner.identity.startswith("whole.safetensors sha256:")
    cut(file)
    with pytest.raises(ModelError, match="the model cannot be loaded"):
        LocalRefiner(str(file), device="cpu", quiet=True).load()
    lora = models / "plain" / "unet" / "diffusion_pytorch_model.safetensors"
    with pytest.raises(ModelError, match=r"no whole checkpoint of .* 1 \(nothing in it is called model\."):
        LocalRefiner(str(lora), device="cpu", quiet=True).load()
    for name, message in (("a.ckpt", "this file is a pickle"), ("a.png", "this is no diffusion model")):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(ModelError, match=message):
            LocalRefiner(str(tmp_path / name), device="cpu", quiet=True).load()


def test_half_precision_files(models, tmp_path):
    """Folders that have their weights in files called fp16 only, partly or wholly."""
    shutil.copytree(models / "plain", tmp_path / "model")
    for part, name in (("unet", "diffusion_pytorch_model"), ("text_encoder", "model")):
        (tmp_path / "model" / part / f"{name}.safetensors").rename(
            tmp_path / "model" / part / f"{name}.fp16.safetensors"
        )
    refined = LocalRefiner(str(tmp_path / "model"), device="cpu", quiet=True).refine(picture(), QUICK)
    plain = LocalRefiner(str(models / "plain"), device="cpu", quiet=True).refine(picture(), QUICK)
    assert np.array_equal(refined, plain)


def test_nothing_is_said(models, capfd, caplog):
    import diffusers

    diffusers.utils.logging.set_verbosity_info()
    try:
        refiner = LocalRefiner(str(models / "flagging"), device="cpu", dtype="float16", quiet=True)
        with pytest.raises(ModelError):
            refiner.refine(picture(), dataclasses.replace(QUICK, prompt="cat " * 100))
        assert diffusers.utils.logging.get_verbosity() == diffusers.logging.INFO  # as its owner wants it
    finally:
        diffusers.utils.logging.set_verbosity_warning()
    assert capfd.readouterr() == ("", "") and caplog.records == []


def test_long_prompts(plain):
    notes = []
    plain.refine(picture(), dataclasses.replace(QUICK, prompt="cat " * 100), on_note=notes.append)
    assert notes == ["the model reads the first 75 of 300 tokens of the prompt"]


def test_a_device_that_is_not_there(models):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ModelError, match=r"--device cuda cannot be used: .*; use cpu, or refine on another machine"):
        LocalRefiner(str(models / "plain"), device="cuda").load()
    assert LocalRefiner(str(models / "plain")).device in ("cpu", "mps")


def test_wrong_arguments(plain):
    rgb = picture()
    for wrong in ({"strength": 0}, {"strength": 1.1}, {"strength": np.nan}, {"steps": 0}, {"guidance": np.inf}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            plain.refine(rgb, dataclasses.replace(QUICK, **wrong))
    for array in (rgb[..., 0], rgb.astype(np.float32), rgb[:0], np.dstack([rgb, rgb])):
        with pytest.raises(ValueError, match="the picture is"):
            plain.refine(array, QUICK)
    with pytest.raises(ValueError, match="the sketch is"):
        plain.refine(rgb, QUICK, sketch=np.zeros((64, 63), np.uint8))
    for name in ("device", "dtype"):
        with pytest.raises(ValueError, match=f"{name} is 'tpu'"):
            LocalRefiner("balanced", **{name: "tpu"})


def test_packages_that_are_not_installed(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "diffusers" else find(name))
    with pytest.raises(MissingExtraError, match=r"`pixelpainter refine` needs the package diffusers.*\[refine\]"):
        LocalRefiner("balanced")
