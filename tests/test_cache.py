import dataclasses
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixelpainter.errors import DataError
from pixelpainter.figure import figure_mask
from pixelpainter.palette import palette_code
from pixelpainter.train.cache import Cache, build_cache
from pixelpainter.train.pairs import data_manifest
from pixelpainter.train.sources import find_pairs
from pixelpainter.train.synthetic import draw_pair, write_synthetic


@pytest.fixture
def art(tmp_path: Path) -> Path:
    write_synthetic(tmp_path / "art", 4, side=64)
    (tmp_path / "art/lines/synthetic_0000003.png").unlink()
    return tmp_path / "art"


def same(one: Cache, two: Cache) -> bool:
    pairs = zip(dataclasses.astuple(one), dataclasses.astuple(two), strict=True)
    return all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in pairs)


def entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.exists() else []


def test_arrays_hold_the_pictures(art: Path, tmp_path: Path) -> None:
    pairs = find_pairs([art])
    cache, left_out = build_cache(pairs, 64, tmp_path / "cache")
    assert left_out == [] and cache.names == [pair.name for pair in pairs] and cache.sources == ["art"] * 4
    assert cache.color.shape == (4, 3, 64, 64) and cache.lines.shape == (4, 4, 64, 64)
    assert cache.figure.shape == (4, 64, 64) and cache.palette.shape == (4, 6, 4)
    assert {cache.color.dtype, cache.lines.dtype, cache.figure.dtype} == {np.dtype(np.uint8)}
    assert cache.manifest == data_manifest(pairs)
    for seed in range(4):
        truth = draw_pair(seed, 64)
        figure = figure_mask(truth.color)
        assert np.array_equal(cache.color[seed].transpose(1, 2, 0), truth.color)
        assert np.array_equal(cache.figure[seed], figure)
        assert np.array_equal(cache.palette[seed], palette_code(truth.color, figure, colors=6))
        assert np.array_equal(cache.lines[seed, 0], truth.lines) == (seed != 3)  # 3 has no true lines
        assert len({drawing.tobytes() for drawing in cache.lines[seed]}) == 4


def test_variant_one_has_other_widths(tmp_path: Path) -> None:
    write_synthetic(tmp_path / "art", 8, side=64)
    cache, _ = build_cache(find_pairs([tmp_path / "art"]), 64, tmp_path / "cache", variants=2)
    assert cache.lines.shape[1] == 2
    ink = (255.0 - cache.lines).sum(axis=(2, 3))
    ratio = ink[:, 1] / ink[:, 0]
    assert (ratio > 1.1).any() and (ratio < 0.9).any() and ratio.min() > 0.2 and ratio.max() < 4


def test_pictures_are_letterboxed_not_squashed(tmp_path: Path) -> None:
    (tmp_path / "art").mkdir()
    Image.new("RGB", (40, 80), (200, 20, 20)).save(tmp_path / "art/tall.png")
    Image.new("RGB", (900, 300), (200, 20, 20)).save(tmp_path / "art/wide.png")
    cache, _ = build_cache(find_pairs([tmp_path / "art"]), 60, tmp_path / "cache", variants=1)
    expected = np.zeros((2, 60, 60), bool)
    expected[0, :, 15:45] = expected[1, 20:40] = True
    assert np.array_equal(cache.color[:, 1] == 20, expected) and (cache.color[:, 1][~expected] == 255).all()
    assert np.array_equal(cache.figure > 0, expected)


def test_result_does_not_depend_on_workers_or_order(tmp_path: Path) -> None:
    write_synthetic(tmp_path / "art", 40, side=32)
    pairs = find_pairs([tmp_path / "art"])
    seen: list[tuple[int, int]] = []
    one, _ = build_cache(pairs, 32, tmp_path / "1", workers=1)
    two, _ = build_cache(pairs[::-1], 32, tmp_path / "2", workers=2, progress=lambda *step: seen.append(step))
    assert same(one, two) and [p.name for p in entries(tmp_path / "1")] == [p.name for p in entries(tmp_path / "2")]
    assert seen == [(done, 40) for done in range(1, 41)]


def test_second_call_opens_and_changed_files_build_anew(art: Path, tmp_path: Path) -> None:
    def build(side: int = 64, **options: int) -> Cache:
        return build_cache(find_pairs([art]), side, tmp_path / "cache", **options)[0]

    first = build()
    stamp = entries(tmp_path / "cache")[0].stat().st_mtime_ns
    assert same(first, build()) and entries(tmp_path / "cache")[0].stat().st_mtime_ns == stamp
    assert build(variants=2).lines.shape[1] == 2 and build(32).color.shape[2:] == (32, 32)
    assert len(entries(tmp_path / "cache")) == 3
    shutil.copy(art / "color/synthetic_0000001.png", art / "color/synthetic_0000000.png")
    changed = build()
    assert len(entries(tmp_path / "cache")) == 4
    assert np.array_equal(changed.color[0], first.color[1]) and changed.manifest != first.manifest


def spoil(art: Path) -> None:
    (art / "color/synthetic_0000000.png").write_bytes(b"no picture")
    Image.new("L", (64, 30), 255).save(art / "lines/synthetic_0000002.png")
    Image.new("RGB", (64, 64), "white").save(art / "color/synthetic_0000003.png")


def test_bad_files_are_named_and_left_out(art: Path, tmp_path: Path) -> None:
    good, _ = build_cache(find_pairs([art])[1:2], 64, tmp_path / "good")
    spoil(art)
    pairs = find_pairs([art])
    cache, left_out = build_cache(pairs, 64, tmp_path / "cache")
    assert same(cache, good) and cache.manifest == data_manifest(pairs[1:2])
    assert [next(n for n in "023" if f"000000{n}" in message) for message in left_out] == ["0", "2", "3"]
    assert build_cache(pairs, 64, tmp_path / "cache")[1] == left_out  # from the finished cache, too
    for folder in ("cache", "fresh"):
        with pytest.raises(DataError, match="synthetic_0000000"):
            build_cache(pairs, 64, tmp_path / folder, strict=True)
    assert entries(tmp_path / "fresh") == []


def test_nothing_usable_is_an_error(art: Path, tmp_path: Path) -> None:
    spoil(art)
    with pytest.raises(DataError, match=r"none of 1 .* the first: .*synthetic_0000000"):
        build_cache(find_pairs([art])[:1], 64, tmp_path / "cache")
    with pytest.raises(DataError, match="no training pictures"):
        build_cache([], 64, tmp_path / "cache")
    assert entries(tmp_path / "cache") == []


@pytest.mark.parametrize("damage", ["no index", "short array", "torn index"])
def test_a_damaged_cache_is_built_again(art: Path, tmp_path: Path, damage: str) -> None:
    pairs = find_pairs([art])
    first, _ = build_cache(pairs, 64, tmp_path / "cache")
    expected = Cache(
        **{
            f.name: np.array(v) if isinstance(v := getattr(first, f.name), np.memmap) else v
            for f in dataclasses.fields(first)
        }
    )
    place = entries(tmp_path / "cache")[0]
    if damage == "no index":
        (place / "index.json").unlink()
    elif damage == "torn index":
        (place / "index.json").write_text(json.dumps({"names": []})[:-3])
    else:
        content = (place / "color").read_bytes()
        (place / "color").unlink()
        (place / "color").write_bytes(content[:-1])
    assert same(build_cache(pairs, 64, tmp_path / "cache")[0], expected)
    assert entries(tmp_path / "cache") == [place]


def test_two_builds_at_once_give_one_cache(art: Path, tmp_path: Path) -> None:
    pairs = find_pairs([art])
    with ThreadPoolExecutor(4) as pool:
        caches = list(pool.map(lambda _: build_cache(pairs, 64, tmp_path / "cache")[0], range(4)))
    assert all(same(caches[0], other) for other in caches[1:])
    assert len(entries(tmp_path / "cache")) == 1


@pytest.mark.parametrize("at", ["while decoding", "while renaming"])
def test_the_cache_of_a_faster_run_stays(art: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    pairs, rename, inodes = find_pairs([art]), Path.rename, list[int]()

    def run_past(*_: int) -> None:
        if not inodes:
            inodes.append(0)  # the other one is at work
            build_cache(pairs, 64, tmp_path / "cache")
            inodes.append(entries(tmp_path / "cache")[-1].stat().st_ino)

    def late(path: Path, target: Path) -> Path:
        run_past()
        return rename(path, target)

    if at == "while renaming":
        monkeypatch.setattr(Path, "rename", late)
    cache, _ = build_cache(pairs, 64, tmp_path / "cache", progress=run_past if at == "while decoding" else None)
    (place,) = entries(tmp_path / "cache")
    assert len(cache.names) == 4 and [0, place.stat().st_ino] == inodes


def test_an_interrupted_build_leaves_nothing(art: Path, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_cache(find_pairs([art]), 64, tmp_path / "cache", progress=interrupt)
    assert entries(tmp_path / "cache") == []


KILLED = """
import os, signal, sys
from pathlib import Path
from pixelpainter.train.cache import build_cache
from pixelpainter.train.sources import find_pairs

def progress(done, total):
    if done == 3:
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    build_cache(find_pairs([Path(sys.argv[1])]), 64, Path(sys.argv[2]), progress=progress)
"""


def test_a_killed_build_is_not_taken_for_whole_and_swept_later(art: Path, tmp_path: Path) -> None:
    (tmp_path / "killed.py").write_text(KILLED)
    command = [sys.executable, str(tmp_path / "killed.py"), str(art), str(tmp_path / "cache")]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    (rest,) = entries(tmp_path / "cache")
    cache, _ = build_cache(find_pairs([art]), 64, tmp_path / "cache")
    assert len(cache.names) == 4 and rest in entries(tmp_path / "cache")  # it may still be at work
    (place,) = [path for path in entries(tmp_path / "cache") if path != rest]
    shutil.rmtree(place)
    yesterday = time.time() - 25 * 3600
    os.utime(rest, (yesterday, yesterday))
    build_cache(find_pairs([art]), 64, tmp_path / "cache")
    assert entries(tmp_path / "cache") == [place]


def test_a_full_disk_is_one_line_and_leaves_nothing(art: Path, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(DataError, match=r"no room for the training cache \(1 MiB\)") as caught:
            build_cache(find_pairs([art]), 64, tmp_path / "cache")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert "\n" not in str(caught.value) and entries(tmp_path / "cache") == []


def test_a_folder_that_cannot_be_made_is_one_line(art: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        build_cache(find_pairs([art]), 64, tmp_path / "cache")


def test_a_dead_worker_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_synthetic(tmp_path / "art", 40, side=32)
    from pixelpainter.train import sample

    monkeypatch.setattr(sample, "_start_worker", os.abort)
    with pytest.raises(DataError, match="was killed"):
        build_cache(find_pairs([tmp_path / "art"]), 32, tmp_path / "cache", workers=2)
    assert entries(tmp_path / "cache") == []


def test_wrong_sizes_are_the_callers_mistake(art: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        build_cache(find_pairs([art]), 0, tmp_path / "cache")
