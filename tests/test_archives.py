import errno
import io
import stat
import threading
import time
import zipfile

import numpy as np
import pytest
from conftest import load
from PIL import Image

from pixelpainter import archives
from pixelpainter.archives import color_archive, read_first_page
from pixelpainter.colorize import Colorizer
from pixelpainter.errors import InputError
from pixelpainter.hints import Hint
from pixelpainter.painter import Painter
from pixelpainter.settings import Settings

TIME = (2001, 2, 3, 4, 5, 6)


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def page(number: int = 0) -> Image.Image:
    """A white page with a few lines."""
    pixels = np.full((90, 60), 255, np.uint8)
    pixels[10:12, 5:50] = pixels[20 + number : 80, 30:32] = 0
    return Image.fromarray(pixels)


def painting() -> Image.Image:
    """A page that already is colored."""
    y, x = np.mgrid[:90, :60]
    return Image.fromarray(np.stack([x * 4, 255 - y * 2, (x + y) % 256], axis=-1).astype(np.uint8))


def pack(path, entries: dict[str, bytes], **settings):
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = b"a book"
        for name, data in entries.items():
            entry = zipfile.ZipInfo(name, TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            for key, value in settings.items():
                setattr(entry, key, value)
            archive.writestr(entry, data)
    return path


@pytest.fixture(scope="module")
def painter(plain_model):
    return Painter(colorizer=Colorizer(plain_model, threads=1))


@pytest.fixture
def book(tmp_path):
    entries = {
        "page10.png": encoded(page(10)),
        "page2.jpg": encoded(page(2), "JPEG"),
        "ch1/page1.webp": encoded(page(1), "WEBP"),
        "ch1/": b"",
        "ComicInfo.xml": b"<ComicInfo>" + b"x" * 3_000_000 + b"</ComicInfo>",
        "cover.png": encoded(painting()),
        "old.gif": encoded(page(3), "GIF"),
        "__MACOSX/._page10.png": b"no picture",
        "page10.hints.png": encoded(page(4)),
        "inner.zip": b"PK whatever",
    }
    return pack(tmp_path / "book.cbz", entries)


@pytest.mark.parametrize("workers", [1, 3])
def test_pages_are_colored_and_the_rest_is_copied(book, painter, tmp_path, workers):
    with (tmp_path / "out.cbz").open("x+b") as stream:
        done = color_archive(book, stream, painter, workers=workers)
    assert (done.pages, done.colored, done.already, done.problems) == (5, 4, 1, ())
    assert done.notes == ("hints in it are not read (files: 1); unpack it to use them",)
    with zipfile.ZipFile(book) as before, zipfile.ZipFile(tmp_path / "out.cbz") as after:
        assert after.testzip() is None
        assert after.comment == b"a book"
        assert after.namelist() == [name.replace(".gif", ".png") for name in before.namelist()]
        for name in ("ch1/", "ComicInfo.xml", "cover.png", "__MACOSX/._page10.png", "page10.hints.png", "inner.zip"):
            assert after.read(name) == before.read(name)
        assert {entry.date_time for entry in after.infolist()} == {TIME}
        kinds = {"page10.png": "PNG", "page2.jpg": "JPEG", "ch1/page1.webp": "WEBP", "old.png": "PNG"}
        for name, kind in kinds.items():
            with Image.open(io.BytesIO(after.read(name))) as image:
                assert (image.format, image.size) == (kind, (60, 90))
                assert np.ptp(np.asarray(image.convert("RGB")).astype(int), axis=-1).max() > 60
        assert after.getinfo("page10.png").compress_type == zipfile.ZIP_STORED
        assert after.getinfo("ComicInfo.xml").compress_type == zipfile.ZIP_DEFLATED


def test_the_number_of_workers_does_not_show(book, painter):
    results = []
    for workers in (1, 2, 5):
        stream = io.BytesIO()
        color_archive(book, stream, painter, workers=workers)
        results.append(stream.getvalue())
    assert results[0] == results[1] == results[2]


def test_another_format_and_names_that_would_collide(painter, tmp_path):
    entries = {"a.png": encoded(page()), "a.jpg": encoded(page(1), "JPEG"), "b.webp": b"folder entries may be odd"}
    stream = io.BytesIO()
    done = color_archive(pack(tmp_path / "b.zip", entries), stream, painter, format="png")
    with zipfile.ZipFile(stream) as after:
        assert after.namelist() == ["a.png", "a.jpg.png", "b.webp"]  # b.webp cannot be read: it stays as it is
    assert len(done.problems) == 1


def test_a_bad_page_is_copied_and_named(painter, tmp_path):
    good = encoded(page())
    book = pack(tmp_path / "book.cbz", {"1.png": good, "2.png": good[:100], "3.png": b"", "4.png": good})
    stream = io.BytesIO()
    done = color_archive(book, stream, painter)
    assert (done.pages, done.colored) == (4, 2)
    for number, problem in zip((2, 3), done.problems, strict=True):
        assert problem.startswith(f"{book}/{number}.png: ")
    assert "copied as it is" in done.problems[0]
    with zipfile.ZipFile(stream) as after:
        assert after.namelist() == ["1.png", "2.png", "3.png", "4.png"]
        assert after.read("2.png") == good[:100]
        assert after.read("1.png") != good


def test_skipping_colored_pages_loses_none(plain_model, tmp_path):
    painter = Painter(colorizer=Colorizer(plain_model, threads=1), colored="skip")
    stream = io.BytesIO()
    done = color_archive(pack(tmp_path / "b.zip", {"a.png": encoded(painting())}), stream, painter)
    assert (done.pages, done.colored, done.already) == (1, 0, 1)
    with zipfile.ZipFile(stream) as after:
        assert after.read("a.png") == encoded(painting())


def refused(path, painter, *words: str) -> None:
    stream = io.BytesIO()
    with pytest.raises(InputError) as error:
        color_archive(path, stream, painter)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    for word in words:
        assert word in message
    assert stream.getvalue() == b""


@pytest.mark.parametrize(
    "name", ["../evil.png", "/etc/evil.png", "a/../../evil.png", "..\\evil.png", "C:\\evil.png", "c:evil", ".."]
)
def test_names_that_lead_out(painter, tmp_path, name):
    refused(pack(tmp_path / "b.cbz", {"1.png": encoded(page()), name: b"x"}), painter, "leads out")


def test_names_with_dots_and_colons_are_fine(painter, tmp_path):
    entries = dict.fromkeys(["a..b/...c.png", "..d.png", "1: cover.txt", "ab:c.txt"], b"x")
    done = color_archive(pack(tmp_path / "b.cbz", entries), io.BytesIO(), painter)
    assert done.problems == ()


def test_links(painter, tmp_path):
    refused(
        pack(tmp_path / "b.cbz", {"1.png": b"/etc/passwd"}, external_attr=(stat.S_IFLNK | 0o777) << 16), painter, "link"
    )


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name(painter, tmp_path):
    with zipfile.ZipFile(tmp_path / "b.cbz", "w") as archive:
        archive.writestr("1.png", encoded(page()))
        archive.writestr("1.png", b"hidden")
    refused(tmp_path / "b.cbz", painter, "2 entries named 1.png")


def patched(path, field: int, value: bytes):
    """Change a field of every entry's record in the archive's directory."""
    data = bytearray(path.read_bytes())
    position = data.find(b"PK\x01\x02")
    while position >= 0:
        data[position + field : position + field + len(value)] = value
        position = data.find(b"PK\x01\x02", position + 4)
    path.write_bytes(data)
    return path


def test_encrypted_entries(painter, tmp_path):
    book = patched(pack(tmp_path / "b.cbz", {"1.png": b"secret"}), 8, b"\x01\x00")
    refused(book, painter, "1.png", "encrypted")


@pytest.mark.parametrize("method", [9, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_of_packing(painter, tmp_path, method):
    packed = patched(pack(tmp_path / "b.cbz", {"1.png": b"x"}), 10, bytes([method, 0]))
    refused(packed, painter, f"method {method}", "deflate")


def test_zip_bombs(painter, tmp_path, monkeypatch):
    huge = patched(pack(tmp_path / "a.cbz", {f"{number}": b"x" for number in range(5)}), 24, b"\xff\xff\xff\xf0")
    refused(huge, painter, "unpacks to", "more than the limit")
    dense = pack(tmp_path / "b.cbz", {"1.bmp": bytes(4_000_000)})
    assert color_archive(dense, io.BytesIO(), painter).pages == 1  # so little harms nobody
    monkeypatch.setattr(archives, "RATIO_MATTERS_BYTES", 1_000_000)
    refused(dense, painter, "times its size", "zip bomb")
    monkeypatch.setattr(archives, "MAX_ENTRIES", 4)
    refused(huge, painter, "5 entries")


def test_a_page_larger_than_any_picture(plain_model, tmp_path, monkeypatch):
    monkeypatch.setattr(Painter, "max_file_bytes", 1000)
    painter = Painter(colorizer=Colorizer(plain_model, threads=1))
    done = color_archive(pack(tmp_path / "b.cbz", {"1.bmp": bytes(4000)}), io.BytesIO(), painter)
    assert "1.bmp: 4000 bytes are more than any picture" in done.problems[0]


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x05\x06" + bytes(10)])
def test_no_archive(painter, tmp_path, data):
    (tmp_path / "b.cbz").write_bytes(data)
    refused(tmp_path / "b.cbz", painter, "no ZIP archive, or a damaged one")


def test_missing(painter, tmp_path):
    refused(tmp_path / "b.cbz", painter, "No such file")
    (tmp_path / "c.cbz").mkdir()
    refused(tmp_path / "c.cbz", painter, "cannot be opened")


def test_what_is_noted_about_a_page_names_it(plain_model, tmp_path):
    black = io.BytesIO()
    Image.fromarray(np.pad(np.zeros((60, 60), np.uint8), 12, constant_values=255)).save(black, "PNG")
    book = pack(tmp_path / "book.cbz", {"1.png": encoded(page(1)), "ch/2.png": black.getvalue()})
    settings = Settings(hints=(Hint(42, 42, (9, 9, 9)),), clean=False)
    with (tmp_path / "out.cbz").open("x+b") as stream:
        done = color_archive(book, stream, Painter(colorizer=Colorizer(plain_model, threads=1), settings=settings))
    (note,) = done.notes
    assert note.startswith("ch/2.png: 1 of 1 hints lie in lines")


@pytest.mark.parametrize("name", ["notes.txt", "1.png"])
def test_damage_that_cannot_be_copied(painter, tmp_path, name):
    book = pack(tmp_path / "b.cbz", {name: b"x" * 100, "2.png": encoded(page())}, compress_type=zipfile.ZIP_STORED)
    book.write_bytes(book.read_bytes().replace(b"x" * 100, b"x" * 50 + b"y" * 50))
    with pytest.raises(InputError, match=rf"b\.cbz/{name}: damaged \(Bad CRC-32"):
        color_archive(book, io.BytesIO(), painter)


def test_any_cut_is_an_error_in_one_line(painter, book):
    data = book.read_bytes()
    for length in range(0, len(data), len(data) // 40):
        book.write_bytes(data[:length])
        refused(book, painter)


@pytest.mark.parametrize("room", [0, 500, 3000, 4_500])
def test_a_full_disk_is_not_the_fault_of_the_archive(book, painter, room):
    class Full(io.BytesIO):
        def write(self, data):
            if self.tell() + len(data) > room:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    with pytest.raises(OSError, match="No space left"):
        color_archive(book, Full(), painter, workers=2)


def test_first_page(book, tmp_path):
    with Image.open(io.BytesIO(read_first_page(book, 10_000) or b"")) as image:
        assert image.size == (60, 90)
    assert read_first_page(pack(tmp_path / "b.zip", {"a.txt": b""}), 1000) is None
    with pytest.raises(InputError):
        read_first_page(book, 10)


def test_pages_are_not_all_in_memory_at_once(painter, tmp_path, monkeypatch):
    """Pages come from the archive only as fast as they are written."""
    book = pack(tmp_path / "b.cbz", {f"{number:03}.png": encoded(page(number % 20)) for number in range(60)})
    lock, read, most, written = threading.Lock(), 0, 0, 0
    paint, write = Painter.paint, zipfile.ZipFile.writestr

    def counting_paint(self, *arguments):
        nonlocal read, most
        with lock:
            read += 1
            most = max(most, read - written)
        return paint(self, *arguments)

    def slow_write(self, *arguments):
        nonlocal written
        time.sleep(0.005)
        write(self, *arguments)
        written += 1

    monkeypatch.setattr(Painter, "paint", counting_paint)
    monkeypatch.setattr(zipfile.ZipFile, "writestr", slow_write)
    assert color_archive(book, io.BytesIO(), painter, workers=2).colored == 60
    assert 2 <= most <= 7


def test_through_the_command(command, book, plain_model, tmp_path):
    done = command("colorize", book, "--model", plain_model)
    assert (done.status, done.out) == (0, "")
    assert "1 of 5 pages already colored" in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["book.cbz", "book_color.cbz"]
    assert command("colorize", book, "--model", plain_model).status == 1
    (tmp_path / "in" / "sub").mkdir(parents=True)
    book.rename(tmp_path / "in" / "sub" / "book.cbz")
    page().save(tmp_path / "in" / "p.png")
    arguments = ["colorize", tmp_path / "in", "-o", tmp_path / "out", "--model", plain_model]
    assert command(*arguments).err.splitlines()[-1] == "2 colored"
    assert (tmp_path / "out" / "sub" / "book.cbz").read_bytes() == (tmp_path / "book_color.cbz").read_bytes()
    assert load(tmp_path / "out" / "p.png").size == (60, 90)
    assert command(*arguments).err.splitlines()[-1] == "2 unchanged"
    dry = command(*arguments, "--format", "png", "--dry-run").out.splitlines()
    assert [line.partition(":")[0] for line in dry] == ["up to date", "color again"]
    assert command(*arguments, "--format", "png").err.splitlines()[-1] == "1 unchanged, 1 colored"
    dry = command(*arguments, "--format", "png", "--dry-run").out.splitlines()
    assert [line.partition(":")[0] for line in dry] == ["up to date", "up to date"]


def test_pages_move_the_bar(command, book, plain_model, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    done = command("colorize", book, "--model", plain_model)
    assert done.status == 0
    assert "5/5" in done.err
    (tmp_path / "broken.cbz").write_bytes(b"broken")
    done = command("colorize", book, tmp_path / "broken.cbz", "-o", tmp_path / "out", "--model", plain_model)
    assert done.status == 1
    assert "6/6" in done.err


def test_an_archive_with_a_bad_page_fails_every_time(command, plain_model, tmp_path):
    book = pack(tmp_path / "book.cbz", {"1.png": encoded(page()), "2.png": b"bad", "3.png": encoded(painting())})
    for _ in range(2):
        done = command("colorize", book, tmp_path / "none.png", "-o", tmp_path / "out", "--model", plain_model)
        assert done.status == 1
        assert done.err.startswith(f"{book}: 1 of 3 pages already colored, copied as they are\n")  # and no error
        assert f"error: {book}/2.png: not a picture" in done.err
        assert f"error: {book}: 1 of 3 pages could not be colored" in done.err
        with zipfile.ZipFile(tmp_path / "out" / "book.cbz") as result:
            assert result.read("2.png") == b"bad"


def test_an_archive_without_pictures(command, plain_model, tmp_path):
    fonts = pack(tmp_path / "fonts.zip", {"a.ttf": b"a font"})
    done = command("colorize", fonts, "-o", tmp_path / "out" / "fonts.zip", "--model", plain_model)
    assert done.status == 0
    assert "there are no pictures in it, copied as it is" in done.err
    assert zipfile.ZipFile(tmp_path / "out" / "fonts.zip").read("a.ttf") == b"a font"


def test_a_refused_archive_leaves_nothing(command, plain_model, tmp_path):
    book = pack(tmp_path / "book.cbz", {"../1.png": encoded(page())})
    done = command("colorize", book, "--model", plain_model)
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert list(tmp_path.iterdir()) == [book]
