"""The command `pixelpainter`: one module per sub-command; they print, and leave the work to the package.

Exit status: 0 all done, 1 something failed, 2 wrong usage, 130 interrupted. What users asked for goes
to stdout, everything else to stderr. Nothing heavy is imported at the top of these modules: `--help`
must not wait for numpy; and a command does not wait for the options of the others.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

import pixelpainter
from pixelpainter.cli.messages import DEBUG_VARIABLE, print_error, print_note
from pixelpainter.cli.values import skip_pydantic

# Each in the module of its name.
COMMANDS = ("colorize", "train", "export", "evaluate", "refine", "serve", "models", "doctor")

# typer exports BadParameter, but not the class of all usage errors, which is its direct base.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def make_app(commands: Sequence[str] = COMMANDS) -> typer.Typer:
    """Return the program with some of its commands."""
    skip_pydantic()
    app = typer.Typer(
        name="pixelpainter",
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_pixelpainter)
    for name in commands:
        command = getattr(importlib.import_module(f"pixelpainter.cli.{name}"), name)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def _pixelpainter(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Color line art.

    [bold]pixelpainter colorize sketch.png[/bold] writes sketch_color.png: same size, the drawing's own lines.

    `pixelpainter COMMAND --help` explains a command.
    """
    if version:
        typer.echo(f"pixelpainter {pixelpainter.__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Args:
        arguments: what follows the program's name; None = those of this process.

    Raises:
        SystemExit: always.
    """
    own_process = arguments is None
    if own_process:
        gc.set_threshold(50_000)  # starting makes many objects that stay; looking for garbage among them takes 7 ms
    if own_process and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C: no half-written file stays
    if own_process and os.environ.get(DEBUG_VARIABLE, "0") in ("", "0") and not sys.warnoptions:
        warnings.simplefilter("ignore")  # remarks of libraries to programmers
    try:
        status = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`| head`) has gone. Python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    if own_process:
        _leave(status)
    sys.exit(status)


def _leave(status: int) -> None:
    """End the process without taking it down piece by piece, which costs a tenth of the time of a small drawing."""
    if any(not thread.daemon and thread is not threading.main_thread() for thread in threading.enumerate()):
        return  # they have something to finish
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # closed: nobody to tell
        pass
    os._exit(status)


def _run(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit status; every error becomes one line on stderr."""
    first = arguments[0] if arguments else ""
    needed = [first] if first in COMMANDS else [] if first == "--version" else COMMANDS
    try:
        # Typer itself makes 130 of KeyboardInterrupt.
        status = make_app(needed)(args=list(arguments), prog_name="pixelpainter", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except BrokenPipeError:
        raise
    except _UsageError as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else f"pixelpainter {first if first in COMMANDS else ''}".strip()
        message = getattr(error, "format_message", error.__str__)().rstrip(".").replace("Value error, ", "")  # pydantic
        print_note(f"error: {message} (see `{command} --help`)")
        return 2
    except Exception as error:
        print_error(error)
        return 1
