"""Every error that PixelPainter raises on purpose.

PixelPainterError
├── InputError            a picture, hint or palette of the user cannot be used
├── OutputError           a result cannot be written, or would replace a file
├── ModelError            an ONNX model is missing, foreign, damaged, too new, or its device does not work
├── DataError             training data cannot be used
├── TrainingError         a run cannot start, continue or finish
├── ExportError           an exported model does not equal the trained one
├── ServerError           a server cannot be reached, refuses, or fails
│   └── ServerLostError   and no further picture can be refined there now
└── MissingExtraError     a command needs packages that are not installed

A message is one line: what happened, which file or value, what to do about it. Wrong arguments of
a Python caller are ``ValueError``; a broken assumption of our own is an ``AssertionError``.
"""

from __future__ import annotations


class PixelPainterError(Exception):
    """Base of all errors that are meant for the user; the command line prints them as one line."""


class InputError(PixelPainterError):
    """A picture, hint or palette of the user cannot be read or used."""


class OutputError(PixelPainterError):
    """A result cannot be written, or writing it would replace an existing file."""


class ModelError(PixelPainterError):
    """A model file is missing, is none of ours, is damaged, or is newer than this program."""


class DataError(PixelPainterError):
    """Training or validation data cannot be found, read or matched."""


class TrainingError(PixelPainterError):
    """A training run cannot start, continue or finish."""


class ExportError(PixelPainterError):
    """The exported model does not answer like the trained one, so it was not kept."""


class ServerError(PixelPainterError):
    """A PixelPainter server cannot be reached, refuses a request, or fails at it."""


class ServerLostError(ServerError):
    """A server is away, or refuses everything: the pictures that are left need not be tried."""


class MissingExtraError(PixelPainterError):
    """A command needs packages of an extra that is not installed."""

    def __init__(self, command: str, extra: str, missing: str) -> None:
        super().__init__(
            f"`pixelpainter {command}` needs the package {missing}: install the extra from a checkout "
            f"of PixelPainter with  pip install '.[{extra}]'"
        )


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message that has text, or its type."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def shorten(text: str, letters: int) -> str:
    """Return a text as one line, cut to so many letters: after a word, but within one that is most of it."""
    line = " ".join(text.split())
    if len(line) <= letters:
        return line
    room = letters - len(" ...")
    words = line[: room + 1].rpartition(" ")[0]
    return f"{words if len(words) > room // 2 else line[:room]} ..."
