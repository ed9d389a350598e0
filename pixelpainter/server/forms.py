"""The forms that clients send: their fields, and how they are read without trusting them."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.json_schema import SkipJsonSchema
from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from pixelpainter.refine.settings import RefineSettings
from pixelpainter.server.problems import Problem

# It logs what is wrong with a form, which the client is told; without any handler Python would print it.
logging.getLogger("python_multipart").addHandler(logging.NullHandler())

MOST_HINTS = 1000  # each takes time
_MOST_FIELDS = 32
_TEXT_BYTES = 1 << 20  # of a text that comes as a file, as starlette limits the others
_SHOWN = 40  # letters of a client's own words in messages

_COLOR = "#?[0-9A-Fa-f]{6}(:[0-9]{0,3}[.]?[0-9]{1,6})?"


def _without_default(schema: dict[str, Any]) -> None:
    del schema["default"]


class Fields(BaseModel):
    """The fields of a form that are texts; `files` names the others, with whether they are needed."""

    model_config = ConfigDict(extra="forbid")
    files: ClassVar[Mapping[str, bool]]

    @classmethod
    def describe(cls) -> dict[str, Any]:
        """Return what OpenAPI says of the body of a request."""
        schema = cls.model_json_schema()
        pictures = {name: {"type": "string", "format": "binary", "title": name.capitalize()} for name in cls.files}
        schema["properties"] = pictures | schema["properties"]
        schema["required"] = [name for name, needed in cls.files.items() if needed]
        return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


class RefineFields(Fields):
    """A colored picture, and what is wanted of the diffusion pass."""

    files: ClassVar[Mapping[str, bool]] = {"image": True, "sketch": False}

    strength: float = Field(
        RefineSettings.strength, gt=0, le=1, description="How far the result may leave the picture."
    )
    steps: int = Field(RefineSettings.steps, ge=1, le=200, description="Of the whole schedule.")
    guidance: float = Field(RefineSettings.guidance, ge=0, le=100, description="How closely the prompt is followed.")
    prompt: str = Field(RefineSettings.prompt, max_length=4000)
    negative_prompt: str = Field(RefineSettings.negative_prompt, max_length=4000)
    seed: int = Field(RefineSettings.seed, ge=0, lt=1 << 63, description="Same seed, same picture.")


class ColorizeFields(Fields):
    """A drawing, and what is wanted of its coloring; the fields are the options of `pixelpainter colorize`."""

    files: ClassVar[Mapping[str, bool]] = {"sketch": True, "strokes": False}

    hints: str = Field("", description=f'JSON, up to {MOST_HINTS}: ["120,80,FFCC99", [200, 40, "3060C0", 12]].')
    palette: str = Field("", max_length=4000, pattern=f"^({_COLOR}(,{_COLOR})*)?$", description="RRGGBB[:share],...")
    exact: bool = Field(False, description="Use the colors of the palette only.")
    saturation: float = Field(1.0, ge=0, le=4)
    even: float = Field(0.8, ge=0, le=1, description="How far patches inside a region are evened out.")
    lines: Literal["original", "model", "none"] = "original"
    flat: bool = Field(False, description="One color per region.")
    gap: int | SkipJsonSchema[None] = Field(
        None, ge=0, le=1000, json_schema_extra=_without_default, description="Holes in lines to close, in pixels."
    )
    no_clean: bool = Field(False, description="Take the drawing as it is.")


AnyFields = TypeVar("AnyFields", bound=Fields)


@dataclass(frozen=True)
class Form(Generic[AnyFields]):
    """A form that was read.

    Attributes:
        fields: its texts, checked.
        files: its files by the names of their fields; open as long as `read_form` lasts.
    """

    fields: AnyFields
    files: Mapping[str, BinaryIO]


@asynccontextmanager
async def read_form(request: Request, kind: type[AnyFields]) -> AsyncIterator[Form[AnyFields]]:
    """Read the form of a request; its files are closed at the end. Names that clients give to files are not used.

    Raises:
        Problem: 400, 413, 408, 415 or 422: the form cannot be used.
        HTTPException: 400, the form is damaged.
        ClientDisconnect: the client went away.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "multipart/form-data":
        raise Problem(415, "send a form as multipart/form-data (curl does with -F)")
    try:
        form = await request.form(max_files=len(kind.files) + 1, max_fields=_MOST_FIELDS)
    except FormParserError as error:  # older versions of starlette do not translate it
        raise Problem(400, "the form is damaged") from error
    try:
        yield Form(await _read_fields(form, kind), _find_files(form, kind.files))
    finally:
        await form.close()


async def _read_fields(form: FormData, kind: type[AnyFields]) -> AnyFields:
    """Return the texts of a form, checked. Raises Problem."""
    given: dict[str, str] = {}
    for name, value in form.multi_items():
        if name in given or (name in kind.files and len(form.getlist(name)) > 1):
            raise Problem(422, f"{name[:_SHOWN]}: it is given twice")
        if name not in kind.files:
            given[name] = await _read_text(name, value)
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)
        wrong = [one for one in wrong if one["type"] != "none_required"]  # what a field means that is not given
        raise Problem(422, "; ".join(_explain(one["type"], one["loc"], one["msg"]) for one in wrong[:4])) from error


async def _read_text(name: str, value: str | UploadFile) -> str:
    """Return a field; it may come as a file too, as `curl -F hints=@NAME.hints.json` sends it. Raises Problem."""
    if isinstance(value, str):
        return value
    data = await value.read(_TEXT_BYTES + 1)
    if len(data) > _TEXT_BYTES:
        raise Problem(413, f"{name[:_SHOWN]}: a text may have {_TEXT_BYTES} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Problem(422, f"{name[:_SHOWN]}: this is no text in UTF-8") from error


def _explain(kind: str, place: tuple[int | str, ...], message: str) -> str:
    name = str(place[0])[:_SHOWN] if place else "form"
    return f"{name}: " + ("there is no such field" if kind == "extra_forbidden" else message)


def _find_files(form: FormData, wanted: Mapping[str, bool]) -> dict[str, BinaryIO]:
    """Return the files of a form. Raises Problem."""
    files: dict[str, BinaryIO] = {}
    for name, needed in wanted.items():
        value = form.get(name)
        if isinstance(value, UploadFile):
            files[name] = value.file
        elif needed or value is not None:
            what = "is missing" if value is None else "is no file"
            raise Problem(422, f"{name}: the picture {what}; curl sends one with  -F {name}=@picture.png")
    return files
