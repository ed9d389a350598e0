"""What stands before every request: who may ask, limits, one line in the log, and problems for all that fails."""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
import time
import traceback
from collections.abc import Callable, Collection
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from pixelpainter.server.limits import Exchange, Limits
from pixelpainter.server.problems import Problem, problem_response

OPEN_PATHS = frozenset({"/health", "/docs", "/docs/oauth2-redirect", "/openapi.json"})  # without a token
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(?::\d+)?")
_GONE = 499  # in the log: what nginx writes where nobody is left to answer


class Gate:
    """An ASGI application around another one."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: Limits,
        token: str | None,
        hosts: Collection[str] | None,
        log: Callable[[str], None],
    ) -> None:
        """Stand before an application.

        Args:
            app: the application.
            limits: what a request may cost.
            token: what clients must present; None = nothing.
            hosts: names of this server in lower case, without ports: a page that had its own name point here may
                not use it. None = any name.
            log: is given one line per request.
        """
        self._app, self._limits, self._hosts, self._log = app, limits, hosts, log
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, started = secrets.token_hex(4), time.monotonic()
        scope.setdefault("state", {})["request_id"] = request_id
        exchange = Exchange(scope, receive, send, self._limits, request_id)
        outcome = ""
        try:
            outcome = await self._answer(scope, exchange, request_id)
        except asyncio.CancelledError:  # the server has waited for long enough
            outcome = "dropped"
            if not exchange.status:
                await _tell(Problem(503, "the server is stopping", {"Retry-After": "5"}), scope, exchange)
            raise
        finally:
            client = (scope.get("client") or ["?"])[0]
            took_s = time.monotonic() - started
            status = outcome or exchange.status
            self._log(f"{request_id} {client} {scope['method']} {quote(scope['path'][:80])} {status} {took_s:.3f} s")

    async def _answer(self, scope: Scope, exchange: Exchange, request_id: str) -> str:
        """Answer a request whatever happens. Returns what the log says instead of the status, if anything."""
        try:
            try:
                self._check(Headers(scope=scope), scope["path"])
                await self._app(scope, exchange.receive, exchange.send)
            except Problem as problem:
                await _tell(problem, scope, exchange)
        except ClientDisconnect:
            return str(_GONE)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            self._log(f"{request_id} internal error: {type(error).__name__}: {error} ({place.filename}:{place.lineno})")
            if not exchange.status:
                detail = f"the server failed at this request; its log tells more under {request_id}"
                await _tell(Problem(500, detail), scope, exchange)
        return ""

    def _check(self, headers: Headers, path: str) -> None:
        """Refuse requests that this server does not serve. Raises Problem."""
        host = headers.get("host", "")
        name = _HOST.fullmatch(host.lower())
        if self._hosts is not None and (name is None or name[1].rstrip(".") not in self._hosts):
            raise Problem(421, "this server does not serve the name in the Host header; its owner can --allow-host it")
        origin = headers.get("origin")
        if origin is not None and origin.lower().partition("://")[2] != host.lower():
            raise Problem(403, "this server does not serve pages of other sites")
        if self._token is not None and path not in OPEN_PATHS:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            # Header values are Latin-1 for ASGI: this gives back their bytes.
            if not hmac.compare_digest(given.strip().encode("latin-1"), self._token) or scheme.lower() != "bearer":
                raise Problem(
                    401,
                    "the token is missing or wrong; send the header  Authorization: Bearer TOKEN",
                    {"WWW-Authenticate": 'Bearer realm="pixelpainter"'},
                )


async def _tell(problem: Problem, scope: Scope, exchange: Exchange) -> None:
    await problem_response(problem)(scope, exchange.receive, exchange.send)
