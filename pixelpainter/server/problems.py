"""Errors as the server's clients see them: problem details in JSON, without paths and traces.

Source: RFC 9457, "Problem Details for HTTP APIs"; type "about:blank" means that the status says what kind it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
# Python 3.13 changed two of the names; those of RFC 9110 for all.
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}

_SCHEMA = {
    "type": "object",
    "title": "Problem",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail"],
}
_WHEN = {
    400: "The request is no HTTP, or its form is damaged.",
    401: "The token is missing or wrong.",
    403: "A page of another site asks.",
    408: "The body came too slowly.",
    413: "The body has more bytes than this server takes.",
    415: "The body is not multipart/form-data.",
    421: "The Host header names another server.",
    422: "A field or a picture cannot be used.",
    500: "The model or the server fails.",
    501: "This server has no diffusion model.",
    503: "Too much is waiting, or the server is stopping; Retry-After says when to ask again.",
    504: "The work took longer than this server's limit.",
}


class Problem(Exception):  # noqa: N818 (the word of the RFC)
    """What a client is told instead of a picture.

    Attributes:
        status: of HTTP, 400 or more.
        detail: one or two sentences: what happened, what to do.
        headers: more headers of the answer.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


def problem_body(status: int, detail: str) -> bytes:
    """Return the JSON of a problem."""
    title = _TITLES.get(status) or HTTPStatus(status).phrase
    return json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail}).encode()


def problem_response(problem: Problem) -> Response:
    """Return the answer that tells of a problem."""
    return Response(problem_body(problem.status, problem.detail), problem.status, problem.headers, MEDIA_TYPE)


def describe_problems(statuses: Iterable[int]) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says of answers with these statuses."""
    content = {MEDIA_TYPE: {"schema": _SCHEMA}}
    described: dict[int | str, dict[str, Any]] = {
        status: {"description": _WHEN[status], "content": content} for status in statuses
    }
    for status, header in ((401, "WWW-Authenticate"), (503, "Retry-After")):
        if status in described:
            described[status]["headers"] = {header: {"schema": {"type": "string"}, "required": True}}
    return described
