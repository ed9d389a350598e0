import io
import json
from contextlib import contextmanager, suppress

import numpy as np
import pytest
from PIL import Image

import pixelpainter
from pixelpainter.colorize import Colorizer
from pixelpainter.errors import InputError, ModelError
from pixelpainter.file_painter import writable_format
from pixelpainter.hints import Hint
from pixelpainter.painter import Painter
from pixelpainter.pipeline import Room
from pixelpainter.settings import Settings
from pixelpainter.strokes import Strokes


def drawing(kind: str = "PNG", size: tuple[int, int] = (60, 90)) -> bytes:
    pixels = np.full(size[::-1], 255, np.uint8)
    pixels[::9, 5:50] = 0
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def painting(kind: str = "PNG") -> bytes:
    y, x = np.mgrid[:90, :60]
    stream = io.BytesIO()
    Image.fromarray(np.stack([x * 4, 255 - y * 2, (x + y) % 256], axis=-1).astype(np.uint8)).save(stream, kind)
    return stream.getvalue()


def strokes(value: int) -> Strokes:
    return Strokes("s.png", np.full((90, 60, 3), value, np.uint8), np.ones((90, 60), bool))


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.fixture(scope="module")
def colorizer(plain_model):
    return Colorizer(plain_model, threads=1)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_drawing_is_colored(colorizer, format):
    painted = Painter(colorizer=colorizer, settings=Settings(even=0)).paint(drawing(), "a.png", format)
    assert (painted.status, painted.size) == ("colored", (60, 90))
    image = opened(painted.data)
    assert (image.format, image.size) == (format, (60, 90))
    assert np.ptp(np.asarray(image.convert("RGB")).astype(int), axis=-1).max() > 60


def test_the_format_of_the_drawing_can_be_kept(colorizer):
    painter = Painter(colorizer=colorizer)
    assert opened(painter.paint(drawing("JPEG"), "a.png", None).data).format == "JPEG"
    assert opened(painter.paint(drawing("GIF"), "a.gif", None).data).format == "PNG"
    assert writable_format("") == "PNG"


def test_what_is_colored_already(colorizer):
    copy, skip, force = (Painter(colorizer=colorizer, colored=mode) for mode in ("copy", "skip", "force"))
    data = painting()
    assert copy.paint(data, "a.png", "PNG").data == data
    assert copy.paint(data, "a.png", None).data == data
    other = copy.paint(painting("GIF"), "a.gif", "WEBP")
    assert (other.status, opened(other.data).format) == ("copied", "WEBP")
    difference = np.asarray(opened(other.data).convert("RGB")).astype(int) - np.asarray(opened(data))
    assert np.abs(difference).mean() < 12  # it is the same picture, in another format
    skipped = skip.paint(data, "a.png", "PNG")
    assert (skipped.status, skipped.data, skipped.size) == ("skipped", b"", (60, 90))
    forced = force.paint(data, "a.png", "PNG")
    assert (forced.status, forced.data == data) == ("colored", False)
    assert skip.paint(drawing(), "a.png", "PNG").status == "colored"


def test_a_copy_lacks_further_pictures_only_in_another_format(colorizer):
    stream = io.BytesIO()
    opened(painting()).save(stream, "TIFF", save_all=True, append_images=[opened(painting())])
    painter = Painter(colorizer=colorizer)
    assert painter.paint(stream.getvalue(), "a.tiff", "TIFF").notes == ()
    assert "first of 2" in painter.paint(stream.getvalue(), "a.tiff", "PNG").notes[0]


def test_quality(colorizer):
    small, large = (
        Painter(colorizer=colorizer, quality=value).paint(drawing(), "a.png", "JPEG").data for value in (10, 100)
    )
    assert len(small) < len(large) / 2


def test_metadata_says_what_made_the_picture(colorizer, plain_model):
    import hashlib

    painter = Painter(colorizer=colorizer, settings=Settings(lines="none", clean=False))
    texts = opened(painter.paint(drawing(), "a.png", "PNG").data).info
    assert texts["Software"] == f"PixelPainter {pixelpainter.__version__}"
    assert texts["Model"] == plain_model.name
    assert texts["Model-SHA256"] == hashlib.sha256(plain_model.read_bytes()).hexdigest()
    assert json.loads(texts["Settings"]) == {"lines": "none", "clean": False, "hints": []}
    assert painter.paint(drawing(), "a.png", "PNG").data == painter.paint(drawing(), "b.png", "PNG").data


def test_the_fingerprint_changes_with_all_that_changes_the_result(colorizer, hint_model):
    changes = [
        {},
        {"settings": Settings(lines="none")},
        {"settings": Settings(hints=(Hint(1, 2, (3, 4, 5)),))},
        {"colored": "force"},
        {"quality": 50},
        {"colorizer": Colorizer(hint_model, threads=1)},
    ]
    prints = [Painter(**{"colorizer": colorizer, **changed}).fingerprint for changed in changes]
    assert len(set(prints)) == len(changes)
    assert Painter(colorizer=colorizer, max_pixels=10).fingerprint == prints[0]


def test_reading(colorizer, tmp_path):
    painter = Painter(colorizer=colorizer, max_pixels=1)
    path = tmp_path / "a.png"
    path.write_bytes(bytes(painter.max_file_bytes))
    assert len(painter.read(path)) == painter.max_file_bytes
    with path.open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(InputError, match="larger than any picture"):
        painter.read(path)
    with pytest.raises(InputError, match="cannot be opened"):
        painter.read(tmp_path / "none.png")
    with pytest.raises(InputError, match="folder"):
        painter.read(tmp_path)


def test_small_files_take_little_memory(colorizer):
    class Stream(io.BytesIO):
        def read(self, size=-1):
            assert 0 < size <= 1 << 20
            return super().read(size)

    data = bytes(range(256)) * 5000
    assert Painter(colorizer=colorizer).read_stream(Stream(data), "a.png") == data


def test_endless_files_are_not_read_to_their_end(colorizer):
    with open("/dev/zero", "rb") as stream, pytest.raises(InputError, match="larger than any picture"):  # noqa: PTH123
        Painter(colorizer=colorizer, max_pixels=1).read_stream(stream, "zero")


def test_errors_name_the_picture(colorizer, monkeypatch):
    painter = Painter(colorizer=colorizer, settings=Settings(hints=(Hint(1, 99, (1, 2, 3)),)))
    with pytest.raises(InputError, match=r"^a\.png: the hint at 1,99 lies outside"):
        painter.paint(drawing(), "a.png", "PNG")
    with pytest.raises(InputError, match=r"^a\.png: not a picture"):
        painter.paint(b"nothing", "a.png", "PNG")

    def no_memory(*arguments, **settings):
        raise MemoryError

    monkeypatch.setattr(Colorizer, "colorize_picture", no_memory)
    with pytest.raises(InputError, match=r"^a\.png: there is not enough memory"):
        Painter(colorizer=colorizer).paint(drawing(), "a.png", "PNG")


def test_memory_is_taken_before_a_picture_is_decoded(colorizer, monkeypatch):
    events: list[object] = []

    class Watched(Room):
        @contextmanager
        def taken(self, amount):
            events.append(amount)
            yield
            events.append("given back")

    def color(_, picture, *arguments, **options):
        events.append("colored")
        return picture.rgb

    monkeypatch.setattr(Colorizer, "colorize_picture", color)
    painter = Painter(colorizer=colorizer, settings=Settings(flat=True), room=Watched(1))
    painter.paint(drawing(), "a.png", "PNG")
    assert events == [4 * 60 * 90, "colored", "given back"]
    events.clear()
    with suppress(InputError):
        painter.paint(drawing()[:60], "a.png", "PNG")
    assert events == [4 * 60 * 90]


def test_a_model_error_stays_one(colorizer, monkeypatch):
    def broken(*arguments, **settings):
        raise ModelError("model.onnx: no")

    monkeypatch.setattr(Colorizer, "colorize_picture", broken)
    with pytest.raises(ModelError):
        Painter(colorizer=colorizer).paint(drawing(), "a.png", "PNG")


def test_a_picture_too_wide_for_the_format(colorizer):
    from pixelpainter.errors import OutputError

    wide = drawing(size=(17_000, 10))
    with pytest.raises(OutputError, match=r"^a\.png: a picture of 17000x10 pixels does not fit WEBP"):
        Painter(colorizer=colorizer).paint(wide, "a.png", "WEBP")


def test_hints_beside_a_drawing_are_found(colorizer, tmp_path):
    painter = Painter(colorizer=colorizer, settings=Settings(hints=(Hint(1, 1, (1, 2, 3)),), lines="none"))
    source = tmp_path / "a.page.png"
    assert painter.beside(source) is painter
    (tmp_path / "a.page.hints.json").write_text('["20,30,FA0A64"]')
    (tmp_path / "a.hints.json").write_text("no list of this drawing")
    found = painter.beside(source)
    assert found.settings.hints == (Hint(20, 30, (250, 10, 100)), Hint(1, 1, (1, 2, 3)))
    assert (found.settings.lines, found.room is painter.room) == ("none", True)
    assert found.fingerprint != painter.fingerprint
    rgba = np.full((90, 60, 4), 255, np.uint8)
    Image.fromarray(rgba - np.array([0, 0, 0, 1], np.uint8)).save(tmp_path / "a.page.hints.png")
    assert [layer.digest for layer in painter.beside(source).settings.strokes] == [strokes(255).digest]
    for spelling in ("a.page.hints.PNG", "a.page.HINTS.PNG"):
        next(tmp_path.glob("*.[Pp][Nn][Gg]")).rename(tmp_path / spelling)
        assert len(painter.beside(source).settings.strokes) == 1
    (tmp_path / "a.page.hints.json").write_text("none")
    with pytest.raises(InputError, match=r"a\.page\.hints\.json: no list of hints"):
        painter.beside(source)
    assert painter.beside(tmp_path / ("x" * 251 + ".png")) is painter  # too long with the new suffix


def test_ten_thousand_hints_fit_every_format(colorizer):
    random = np.random.default_rng(0)
    hints = [Hint(*random.uniform(0, 60, 2), tuple(random.integers(0, 256, 3).tolist())) for _ in range(10_000)]
    painter = Painter(colorizer=colorizer, settings=Settings(hints=tuple(hints)))
    for format in ("JPEG", "PNG", "WEBP"):
        painted = painter.paint(drawing(), "a.png", format)
        assert (painted.status, painted.notes) == ("colored", ())


def test_hints_in_lines_are_noted(colorizer):
    page = np.full((90, 60), 255, np.uint8)
    page[10:80, 10:50] = 0
    stream = io.BytesIO()
    Image.fromarray(page).save(stream, "PNG")
    settings = Settings(hints=(Hint(30, 45, (9, 9, 9)), Hint(3, 3, (9, 9, 9))))
    painted = Painter(colorizer=colorizer, settings=settings).paint(stream.getvalue(), "a.png", "PNG")
    assert painted.notes == ("1 of 2 hints lie in lines, with no paper near them, and color nothing",)
