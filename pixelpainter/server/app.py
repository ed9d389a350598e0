"""The HTTP interface: which addresses there are, what they read, and what they answer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, FastAPI
from fastapi.security import HTTPBearer
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from pixelpainter import __version__
from pixelpainter.colorize import Colorizer
from pixelpainter.errors import InputError, PixelPainterError
from pixelpainter.painter import Painter
from pixelpainter.refine.settings import Refiner
from pixelpainter.server.forms import AnyFields, ColorizeFields, Form, RefineFields, read_form
from pixelpainter.server.gate import Gate
from pixelpainter.server.limits import Limits
from pixelpainter.server.pictures import Result, colorize_form, refine_form
from pixelpainter.server.problems import Problem, describe_problems, problem_response
from pixelpainter.server.work import Worker, run_for_client

Handler = Callable[[Request], Awaitable[Response]]

_DESCRIPTION = "Colors line drawings, and polishes colored ones with a diffusion model."
_NOTES = 20  # of a picture that are passed on
_HEADER_LETTERS = 1000  # of each, before they are encoded
_ADVICE = ("raise it with --max-pixels", "only the owner of this server can raise it")  # clients have other options
_ALWAYS = (403, 421, 500, 503)
_PICTURE_PROBLEMS = describe_problems((400, 401, 408, 413, 415, 422, *_ALWAYS, 504))
_HEADERS = {
    "X-PixelPainter-Note": {"description": "What else is to be known; percent-encoded.", "schema": {"type": "string"}},
    "X-PixelPainter-Identity": {"description": "The diffusion model.", "schema": {"type": "string"}},
}


class Health(BaseModel):
    """What anybody may know."""

    status: Literal["ok"] = "ok"
    model_loaded: bool = True
    refine_loaded: bool
    device: str


class ColorizeModel(BaseModel):
    """The model that colors drawings."""

    name: str
    sha256: str


class RefineModel(BaseModel):
    """The diffusion model."""

    identity: str


class Models(BaseModel):
    """The models of a server."""

    colorize: ColorizeModel
    refine: RefineModel | None


class Queue(BaseModel):
    """Requests that wait, and how many may."""

    length: int
    limit: int


class RequestLimits(BaseModel):
    """What a request may cost."""

    max_bytes: int
    max_pixels: int
    time_limit_s: float


class Status(BaseModel):
    """What a server is and does."""

    version: str
    models: Models
    device: str
    queue: Queue
    limits: RequestLimits


@dataclass(frozen=True, kw_only=True)
class Engines:
    """What answers requests: models, and one worker for each device.

    Attributes:
        colorizer: colors drawings.
        refiner: the diffusion pass, if there is one.
        limits: what a request may cost.
        log: is given what failed, one line each.
        colorize_worker: runs the colorizer.
        refine_worker: runs the refiner; the same one where both use one device.
        painter: colors files.
        identity: of the refiner.
    """

    colorizer: Colorizer
    refiner: Refiner | None
    limits: Limits
    log: Callable[[str], None]
    colorize_worker: Worker
    refine_worker: Worker
    painter: Painter = field(init=False)
    identity: str = field(init=False)

    def __post_init__(self) -> None:
        """Make what all colorings share; ask the refiner once, for it may have to read files."""
        painter = Painter(colorizer=self.colorizer, max_pixels=self.limits.max_pixels)
        object.__setattr__(self, "painter", painter)
        object.__setattr__(self, "identity", "" if self.refiner is None else self.refiner.identity)

    @property
    def workers(self) -> set[Worker]:
        """One or two."""
        return {self.colorize_worker, self.refine_worker}

    async def answer(
        self,
        request: Request,
        kind: type[AnyFields],
        worker: Worker,
        work: Callable[[Form[AnyFields], threading.Event], Result],
    ) -> Response:
        """Read a form, have it worked on, and return the answer. Raises Problem, HTTPException, ClientDisconnect."""
        worker.refuse_if_full()  # before the pictures travel
        async with read_form(request, kind) as form:
            try:
                result = await run_for_client(
                    worker, partial(work, form), request.receive, time_limit_s=self.limits.time_limit_s
                )
            except InputError as error:
                raise Problem(422, str(error).replace(*_ADVICE)) from error
            except PixelPainterError as error:
                self.log(f"{request.state.request_id} {error}")
                raise Problem(500, _harmless(error, request.state.request_id)) from error
        response = Response(result.png, media_type="image/png")
        if result.identity:
            response.headers["X-PixelPainter-Identity"] = _encoded(result.identity)
        for note in result.notes[:_NOTES]:
            response.headers.append("X-PixelPainter-Note", _encoded(note))
        return response

    def health(self) -> Health:
        """Return what anybody may know."""
        return Health(refine_loaded=self.refiner is not None, device=self.colorizer.device)

    def status(self) -> Status:
        """Return what those may know who may have pictures colored."""
        refine = None if self.refiner is None else RefineModel(identity=self.identity)
        workers = self.workers
        return Status(
            version=__version__,
            models=Models(
                colorize=ColorizeModel(name=self.colorizer.file.name, sha256=self.colorizer.model_hash), refine=refine
            ),
            device=self.colorizer.device,
            queue=Queue(length=sum(worker.length for worker in workers), limit=sum(worker.limit for worker in workers)),
            limits=RequestLimits(
                max_bytes=self.limits.max_bytes,
                max_pixels=self.limits.max_pixels,
                time_limit_s=self.limits.time_limit_s,
            ),
        )


_log = logging.getLogger(__name__).info


def make_app(
    colorizer: Colorizer,
    refiner: Refiner | None = None,
    *,
    limits: Limits | None = None,
    token: str | None = None,
    hosts: Collection[str] | None = None,
    own_refine_device: bool = False,
    log: Callable[[str], None] = _log,
) -> FastAPI:
    """Return the server as an ASGI application; ``app.state.workers`` are to be stopped at its end.

    Args:
        colorizer: the model for /colorize, loaded.
        refiner: the engine for /refine, loaded; None = /refine answers 501.
        limits: what a request may cost.
        token: what clients must present, ``Authorization: Bearer TOKEN``; None = nothing.
        hosts: names in the Host header that are served; None = any.
        own_refine_device: the refiner does not run where the colorizer runs, and has a worker of its own.
        log: is given one line per request, and of what failed.
    """
    limits = limits or Limits()
    worker = Worker(limits.queue)
    engines = Engines(
        colorizer=colorizer,
        refiner=refiner,
        limits=limits,
        log=log,
        colorize_worker=worker,
        refine_worker=Worker(limits.queue) if refiner is not None and own_refine_device else worker,
    )
    app = FastAPI(title="PixelPainter", version=__version__, description=_DESCRIPTION, redoc_url=None)
    app.state.workers = engines.workers
    app.include_router(_routes(engines, needs_token=token is not None))
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_middleware(Gate, limits=limits, token=token, hosts=hosts, log=log)
    return app


def _routes(engines: Engines, *, needs_token: bool) -> APIRouter:
    """Return the addresses of the server."""
    router = APIRouter()
    # The gate looks at the token, before anything is read; this only says so in OpenAPI.
    protected: list[Any] = [Depends(HTTPBearer(auto_error=False))] if needs_token else []

    def picture(
        path: str, kind: type[ColorizeFields] | type[RefineFields], problems: dict[int | str, Any]
    ) -> Callable[[Handler], Handler]:
        answers = {200: {"description": "The picture.", "content": {"image/png": {}}, "headers": _HEADERS}} | problems
        return router.post(
            path,
            response_class=Response,
            responses=answers,
            dependencies=protected,
            openapi_extra={"requestBody": kind.describe()},
        )

    @picture("/colorize", ColorizeFields, _PICTURE_PROBLEMS)
    async def colorize(request: Request) -> Response:
        """Color a drawing."""

        def work(form: Form[ColorizeFields], unwanted: threading.Event) -> Result:
            return colorize_form(engines.painter, form)  # done before it could be stopped

        return await engines.answer(request, ColorizeFields, engines.colorize_worker, work)

    @picture("/refine", RefineFields, _PICTURE_PROBLEMS | describe_problems((501,)))
    async def refine(request: Request) -> Response:
        """Paint over a colored picture with a diffusion model."""
        if engines.refiner is None:
            raise Problem(501, "this server has no diffusion model; its owner can start it with  serve --refine")
        work = partial(refine_form, engines.refiner, engines.identity, engines.limits.max_pixels)
        return await engines.answer(request, RefineFields, engines.refine_worker, work)

    @router.get("/health", responses=describe_problems(_ALWAYS))
    async def health() -> Health:
        """Tell whether the server works."""
        return engines.health()

    @router.get("/status", responses=describe_problems((401, *_ALWAYS)), dependencies=protected)
    async def status() -> Status:
        """Tell what the server is and does."""
        return engines.status()

    return router


async def _answer_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem_response(error)


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    """Give errors of the framework, such as an unknown address, the form of all others."""
    assert isinstance(error, HTTPException)
    return problem_response(Problem(error.status_code, str(error.detail), error.headers))


def _harmless(error: Exception, request_id: str) -> str:
    """Return a message for a client; one that may name files stays in the log."""
    text = str(error)
    if "/" in text or "\\" in text:
        return f"the model failed at this picture; the log of the server tells more under {request_id}"
    return text


def _encoded(text: str) -> str:
    """Return a text as the value of a header."""
    return quote(text[:_HEADER_LETTERS], safe=" /:;,@+=()")
