"""The command `pixelpainter`: one module per sub-command; they print, and leave the work to the package.

Exit status: 0 all done, 1 something failed, 2 wrong usage, 130 interrupted. What users asked for goes
to stdout, everything else to stderr. Nothing heavy is imported at the top of these modules: `--help`
must not wait for numpy.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

import pixelpainter
from pixelpainter.cli import colorize, export, refine, train
from pixelpainter.cli.messages import print_error, print_note

# typer exports BadParameter, but not the class of all usage errors, which is its direct base.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="pixelpainter",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("colorize")(colorize.colorize)
app.command("train")(train.train)
app.command("export")(export.export)
app.command("refine")(refine.refine)


@app.callback(invoke_without_command=True)
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
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`| head`) has gone. Python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)


def _run(arguments: Sequence[str] | None) -> int:
    """Run the command line and return the exit status; every error becomes one line on stderr."""
    try:
        # Typer itself makes 130 of KeyboardInterrupt.
        status = app(args=arguments, prog_name="pixelpainter", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except BrokenPipeError:
        raise
    except _UsageError as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "pixelpainter"
        message = getattr(error, "format_message", error.__str__)().rstrip(".")
        print_note(f"error: {message} (see `{command} --help`)")
        return 2
    except Exception as error:
        print_error(error)
        return 1
