"""Weights that an ONNX file keeps in other files: where they lie, read without the package onnx.

An ONNX file can name any file of the machine as its weights. Whether onnxruntime refuses that depends on its
version, so it is done here.
Source: https://protobuf.dev/programming-guides/encoding (wire format), onnx.proto (numbers of the fields).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from pixelpainter.errors import ModelError

# Message -> number of a field -> message in it; only fields that tensors can be inside of.
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_VARINT, _EIGHT_BYTES, _COUNTED, _FOUR_BYTES = 0, 1, 2, 5


def refuse_outside_data(file: Path) -> None:
    """Raise ModelError if an ONNX file keeps weights outside its own folder, or cannot be read to tell."""
    folder = file.parent.resolve()
    try:
        for location in external_locations(file):
            if not (folder / location).resolve().is_relative_to(folder):
                raise ModelError(
                    f"{file}: this model reads {location!r}, outside its own folder; it is not used: take a model of "
                    "one file, as `pixelpainter export` makes them"
                )
    except ValueError as error:  # NUL in a location, too
        raise ModelError(f"{file}: this is no ONNX model, or a damaged one ({error})") from error
    except OSError as error:
        raise ModelError(f"{file}: the model cannot be read ({error.strerror or error})") from error


def external_locations(file: Path) -> Iterator[str]:
    """Yield the files that an ONNX file names as weights, relative to its folder.

    Raises:
        ValueError: the file is not what protobuf writes.
        OSError: it cannot be read.
    """
    with file.open("rb") as stream:
        if not file.stat().st_size:
            return  # cannot be mapped, and onnxruntime refuses it
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            waiting = [("model", 0, len(data))]
            while waiting:
                message, start, end = waiting.pop()
                if message == "entry":
                    fields = [(number, data[begin:stop]) for number, begin, stop in _fields(data, start, end)]
                    if (1, b"location") in fields:
                        yield from (value.decode() for number, value in fields if number == 2)
                    continue
                inside = _FIELDS[message]
                found = _fields(data, start, end)
                waiting += [(inside[number], begin, stop) for number, begin, stop in found if number in inside]


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of all fields with a length in a message."""
    place = start
    while place < end:
        tag, place = _varint(data, place, end)
        number, kind = (tag & 0xFFFFFFFF) >> 3, tag & 7
        if kind == _COUNTED:
            length, place = _varint(data, place, end)
            if place + length > end:
                raise ValueError("it ends too early")
            yield number, place, place + length
            place += length
        elif kind == _VARINT:
            _, place = _varint(data, place, end)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            place += 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError("its content makes no sense")
    if place != end:
        raise ValueError("it ends too early")


def _varint(data: mmap.mmap, place: int, end: int) -> tuple[int, int]:
    """Return an integer of variable length, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= end:
            raise ValueError("it ends too early")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("its content makes no sense")
