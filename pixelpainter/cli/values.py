"""Take plain values of the command line as they are.

Typer 0.27 and later gives every value to pydantic, whose import takes a fifth of the processor time in which a small
drawing is colored. Of what the bare imports of the libraries take, one drawing of 256x256 takes about 2.5 times as much
with it, about 2.0 times without. Texts, paths, choices and defaults need no conversion; all others, and all that are
wrong, go typer's own way. This replaces a function of typer that is not public: where anything in it is not as
expected, typer does all.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer.core


class NotPlain(Exception):  # noqa: N818 (says that somebody else has to do it)
    """The value needs a conversion, or is wrong."""


def plain_value(value: Any, annotation: Any) -> Any:
    """Return a value of the command line as its type asks for it.

    Args:
        value: text, list of texts, or a default, which has its type already.
        annotation: type of the parameter.

    Raises:
        NotPlain: this needs typer.
    """
    if get_origin(annotation) is list and isinstance(value, (list, tuple)):
        return [plain_value(item, get_args(annotation)[0]) for item in value]
    if annotation is Path and isinstance(value, str):
        if os.path.exists(value) and not os.access(value, os.R_OK):  # noqa: PTH110 (no Path until it is one)
            raise NotPlain
        return Path(value)
    if annotation in (str, int, float, bool, Path) and isinstance(value, annotation):
        return value
    if get_origin(annotation) is Literal and value in get_args(annotation):
        return value
    raise NotPlain


def skip_pydantic() -> None:
    """Let typer take plain values as they are; see above."""
    build: Any = getattr(typer.core, "build_runtime_param", None)
    try:
        from typer._coercion import RuntimeParam
    except ImportError:
        return
    if build is None or build.__module__ == __name__:  # another typer, or already done
        return

    def build_runtime_param(descriptor: Any) -> Any:
        information = descriptor.parameter_info
        converted = descriptor.file_annotation is not None or information.parser is not None
        if converted or information.exists or information.resolve_path or information.path_type is not None:
            return build(descriptor)
        return PlainParam(information, descriptor.annotation, descriptor)

    def build_or_leave(descriptor: Any) -> Any:
        try:
            return build_runtime_param(descriptor)
        except (AttributeError, TypeError):  # a typer with other parts than those of 0.29
            return build(descriptor)

    try:

        @dataclasses.dataclass(frozen=True)
        class PlainParam(RuntimeParam):
            descriptor: Any

            def _coerce_value(self, value: Any, *context: Any, **named: Any) -> Any:
                try:
                    return plain_value(value, self.annotation)
                except NotPlain:
                    return build(self.descriptor)._coerce_value(value, *context, **named)

    except TypeError:  # the same: no frozen dataclass, for one
        return
    typer.core.build_runtime_param = build_or_leave  # type: ignore[attr-defined]
