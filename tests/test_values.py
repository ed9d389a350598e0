"""Values that skip typer's conversion are what typer would have made of them."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer
from test_lazy_imports import COMMAND, loaded

from pixelpainter.cli import values


def run(arguments, seen):
    """Parse a command line with every kind of parameter."""
    app = typer.Typer(add_completion=False)

    @app.command()
    def command(
        paths: list[Path],
        text: str | None = None,
        many: list[str] | None = None,
        mode: Literal["a", "b"] = "a",
        count: Annotated[int, typer.Option(min=1)] = 3,
        share: float = 0.5,
        file: Path | None = None,
        must: Annotated[Path | None, typer.Option(exists=True)] = None,
        flag: bool = False,
    ) -> None:
        seen.append((paths, text, many, mode, count, share, file, must, flag))

    try:
        app(args=arguments, standalone_mode=False)
    except Exception as error:
        seen.append((type(error).__name__, str(error)))


@pytest.mark.parametrize(
    "arguments",
    [
        ["a.png"],
        ["a.png", "dir/ü.png", "-"],
        ["a", "--text", "x y", "--many", "1", "--many", "", "--mode", "b", "--flag"],
        ["a", "--count", "7", "--share", "1e-3", "--file", "some where"],
        ["a", "--count", "0"],
        ["a", "--count", "seven"],
        ["a", "--share", "much"],
        ["a", "--mode", "c"],
        ["a", "--must", "/nowhere"],
        ["a", "--must", "/"],
        [],
    ],
)
def test_the_same_as_typer(arguments, monkeypatch):
    seen: list = []
    if hasattr(typer.core, "build_runtime_param"):
        monkeypatch.setattr(typer.core, "build_runtime_param", typer._coercion.build_runtime_param)
    run(arguments, seen)
    values.skip_pydantic()
    run(arguments, seen)
    assert seen[0] == seen[1]
    assert [type(value) for value in seen[0]] == [type(value) for value in seen[1]]


def test_a_missing_function_is_no_error(monkeypatch):
    monkeypatch.delattr(typer.core, "build_runtime_param", raising=False)
    values.skip_pydantic()
    assert not hasattr(typer.core, "build_runtime_param")


@dataclasses.dataclass(frozen=True)
class MoreNeeded:
    """What typer's class may look like one day."""

    parameter_info: object
    annotation: object
    descriptor: object
    more: object

    def coerce(self, value, param, ctx):
        raise AssertionError("this is never made")


@dataclasses.dataclass
class NotFrozen:
    """Another."""


@pytest.mark.skipif(not hasattr(typer.core, "build_runtime_param"), reason="this typer needs no pydantic")
@pytest.mark.parametrize("changed", [MoreNeeded, NotFrozen])
def test_a_typer_that_was_changed_does_all_itself(changed, monkeypatch):
    monkeypatch.setattr(typer.core, "build_runtime_param", typer._coercion.build_runtime_param)
    monkeypatch.setattr(typer._coercion, "RuntimeParam", changed)
    values.skip_pydantic()
    seen: list = []
    run(["a.png", "--count", "7"], seen)
    assert seen == [([Path("a.png")], None, None, "a", 7, 0.5, None, None, False)]


@pytest.mark.parametrize(("value", "annotation"), [("1", int), ("c", Literal["a"]), ([1], list[str]), (b"x", str)])
def test_what_is_not_plain(value, annotation):
    with pytest.raises(values.NotPlain):
        values.plain_value(value, annotation)


def test_coloring_needs_no_pydantic(drawings, plain_model, tmp_path):
    modules = loaded(COMMAND, "colorize", drawings / "cat.png", "-o", tmp_path / "out.png", "--model", plain_model)
    assert "pydantic" not in modules
