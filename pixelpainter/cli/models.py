"""`pixelpainter models`: which models there are, where their files lie, and whether these are the right ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from pixelpainter.cli.messages import one_line, print_note
from pixelpainter.errors import ModelError
from pixelpainter.hub import BUNDLED_MODEL, cached_file, find_model, hash_model
from pixelpainter.models import BUNDLED_NAME, KNOWN_MODELS, home_of

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Name = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME",  # the backslash: [@...] would be rich's markup
        help="A name of `pixelpainter models list`, or owner/repo\\[@revision][:file] on the Hub.",
        show_default=False,
    ),
]
Refine = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="Instead, a model for `pixelpainter refine`: balanced, quality, lineart-anime, or owner/repo on the Hub.",
    ),
]
AllowPickle = Annotated[
    bool,
    typer.Option("--allow-pickle", help="With --refine: take weights that can run code, if there are no others."),
]
NameOrFile = Annotated[
    str, typer.Argument(metavar="NAME|FILE", help="An .onnx file, or what `pixelpainter models pull` takes.")
]

models = typer.Typer(help="List, download and check models.")


@models.callback(invoke_without_command=True)
def _models(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


@models.command("list")
def list_models(as_json: Json = False) -> None:
    """List the models that have a name, without asking the network."""
    rows = [_row(name) for name in (BUNDLED_NAME, *KNOWN_MODELS)]
    if as_json:
        typer.echo(json.dumps({"models": [{**row, "state": _state(row)} for row in rows]}, indent=2))
        return
    shown = [(row["name"], _state(row), row["home"] or "-", row["summary"]) for row in rows]
    _print_table(("Name", "State", "Home", "What it is"), shown)
    for row in rows:
        if row["problem"]:
            print_note(row["problem"])


@models.command()
def pull(
    name: Name = None,
    refine: Refine = None,
    allow_pickle: AllowPickle = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Download a model, or its newer version, check it, and print the path of its file."""
    if (name is None) == (refine is None):
        raise typer.BadParameter("give the name of one model, or --refine with one of diffusion")
    if name is None:
        assert refine is not None
        return _pull_diffusion(refine, allow_pickle=allow_pickle, as_json=as_json, quiet=quiet)
    from pixelpainter.colorize import Colorizer

    file = find_model(name, download="always", quiet=quiet)
    Colorizer(file, threads=1, device="cpu")
    if as_json:
        typer.echo(json.dumps({"name": name, "file": str(file), "sha256": hash_model(file)}))
    else:
        typer.echo(str(file))


def _pull_diffusion(name: str, *, allow_pickle: bool, as_json: bool, quiet: bool) -> None:
    """Download a model for `pixelpainter refine`, and print the path of its folder or file, or all that is known."""
    from pixelpainter.refine.weights import find_weights

    found = find_weights(name, option="--refine", allow_pickle=allow_pickle, newest=True, quiet=quiet)
    if as_json:
        record = {"name": name, "path": str(found.path), "commit": found.commit, "identity": found.identity}
        typer.echo(json.dumps(record))
    else:
        typer.echo(str(found.path))


@models.command()
def path(name: NameOrFile, as_json: Json = False) -> None:
    """Print the path of a model's file, without asking the network."""
    file = find_model(name, download="never")
    typer.echo(json.dumps({"name": name, "file": str(file)}) if as_json else str(file))


@models.command()
def info(name: NameOrFile, as_json: Json = False) -> None:
    """Show what a model reads and predicts, and what it was made from, without asking the network."""
    import dataclasses

    from pixelpainter.colorize import Colorizer

    file = find_model(name, download="never")
    card = dataclasses.asdict(Colorizer(file, threads=1, device="cpu").card)
    record: dict[str, Any] = {"file": str(file), "bytes": file.stat().st_size, "sha256": hash_model(file), "card": card}
    if as_json:
        typer.echo(json.dumps(record, indent=2))
        return
    facts = {"file": file, "file size": f"{record['bytes'] / 1e6:.1f} MB", "SHA-256": record["sha256"], **card}
    shown = [(key.replace("_", " "), _in_words(value)) for key, value in facts.items() if value not in ("", (), {})]
    _print_table(("", ""), shown)


@models.command()
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME|FILE", help="Default: the named models that are here.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check that models are whole, are those of the table, and can be used, without asking the network.

    Exit status 1: one is not.
    """
    wanted = names or [BUNDLED_NAME, *(name for name in KNOWN_MODELS if _row(name)["file"])]
    results = [_verified(name) for name in wanted]
    if as_json:
        typer.echo(json.dumps({"models": results}, indent=2))
    else:
        table = [
            (result["name"], "bad" if result["problem"] else "good", result["sha256"] or "-") for result in results
        ]
        _print_table(("Name", "State", "SHA-256"), table)
        for result in results:
            if result["problem"]:
                print_note(f"error: {result['problem']}")
    if any(result["problem"] for result in results):
        raise typer.Exit(1)


def _row(name: str) -> dict[str, Any]:
    """Return what is known of a named model, without looking into its file."""
    row: dict[str, Any] = {"name": name, "summary": "comes with the package", "home": None, "file": None}
    row["problem"] = None
    if name == BUNDLED_NAME:
        row["file"] = str(BUNDLED_MODEL) if BUNDLED_MODEL.is_file() else None
        return row
    row["summary"] = KNOWN_MODELS[name].summary
    try:
        home = home_of(name)
    except ModelError as error:
        row["problem"] = str(error)
        return row
    file = cached_file(home)
    return row | {"home": str(home), "file": str(file) if file else None}


def _state(row: dict[str, Any]) -> str:
    """Say in a word whether a named model can be used."""
    if row["file"]:
        return "here"
    if row["name"] == BUNDLED_NAME:
        return "missing"
    return "unavailable" if row["problem"] else "not downloaded"


def _verified(name: str) -> dict[str, Any]:
    """Return hash and problem of a model; the problem is None if a tiny drawing can be colored with it."""
    import numpy as np

    from pixelpainter.colorize import Colorizer

    result: dict[str, Any] = {"name": name, "file": None, "sha256": None, "problem": None}
    try:
        file = find_model(name, download="never")
        result |= {"file": str(file), "sha256": hash_model(file)}
        Colorizer(file, threads=1, device="cpu").colorize(np.full((16, 16), 255, np.uint8))
    except ModelError as error:
        result["problem"] = one_line(str(error))
    return result


def _in_words(value: Any) -> str:
    """Return a value of a model card as a person reads it."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {number:g}" for key, number in value.items())
    if isinstance(value, list | tuple):
        return "\n".join(row if isinstance(row, str) else " ".join(f"{number:g}" for number in row) for row in value)
    return str(value)


def _print_table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on stdout; in whole lines without blanks at their ends if that is no terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_header=any(titles), pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))  # Text: a bracket in a name is no markup
    console = Console()
    if console.is_terminal:
        console.print(table)
        return
    wide = Console(width=10_000)
    with wide.capture() as capture:
        wide.print(table)
    typer.echo("\n".join(line.rstrip() for line in capture.get().splitlines() if line.strip()))
