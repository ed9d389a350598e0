"""What the commands say on stderr."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable

import typer

from pixelpainter.errors import PixelPainterError, shorten

DEBUG_VARIABLE = "PIXELPAINTER_DEBUG"
LONGEST_REASON = 300  # letters of what an internal error says


def one_line(text: str) -> str:
    """Return the text as one harmless line: names of files may hold line breaks and terminal codes."""
    return "".join(letter if letter.isprintable() else " " if letter.isspace() else "?" for letter in text).strip()


def print_note(text: str) -> None:
    """Print one line on stderr."""
    typer.echo(one_line(text), err=True)


def note_printer(quiet: bool) -> Callable[[str], None]:
    """Return what prints notes: nothing does where the user wants it quiet."""
    return (lambda _: None) if quiet else print_note


def print_error(error: Exception, about: str = "") -> None:
    """Print an error as one line on stderr, and with PIXELPAINTER_DEBUG=1 its traceback before that.

    Args:
        error: meant for the user (PixelPainterError), of the system (OSError), or a bug (anything else).
        about: what a bug shows up with, such as the name of a file.
    """
    debug = os.environ.get(DEBUG_VARIABLE, "0") not in ("", "0")
    if debug:
        typer.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    if isinstance(error, PixelPainterError):
        print_note(f"error: {error}")
        return
    if isinstance(error, OSError):  # the machine's fault, such as a name that is too long: no bug
        print_note(f"error: {error.filename or about or 'system'}: {error.strerror or error}")
        return
    what = f"{about}: " if about else ""
    advice = "report it with the traceback above" if debug else f"run again with {DEBUG_VARIABLE}=1 and report it"
    reason = shorten(str(error), LONGEST_REASON)  # that of torch may fill pages
    print_note(f"{what}internal error: {type(error).__name__}: {reason}; please {advice}")
