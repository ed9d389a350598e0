"""What a request may cost: bytes, pixels and time. The bytes are counted while they come in."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from pixelpainter.server.problems import Problem


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a request may cost.

    Attributes:
        max_bytes: of a request's body.
        max_pixels: of each picture in it.
        time_limit_s: for waiting and work together.
        queue: requests that wait for a device besides the one that is worked on.
        header_time_s: for the head of a request, or its beginning on an open connection.
        body_time_s: for a body of no bytes, and between two pieces of it.
        send_time_s: for a client to take an answer of no bytes.
        rate: bytes per second that a body must bring, and a client take, on the average after that.
        connections: that are open at once.
    """

    max_bytes: int = 64 << 20
    max_pixels: int = 64_000_000
    time_limit_s: float = 300.0
    queue: int = 16
    header_time_s: float = 10.0
    body_time_s: float = 20.0
    send_time_s: float = 20.0
    rate: int = 8 << 10
    connections: int = 256


LINGER_S = 2.0  # for a client that sends on although it was refused: it reads the answer only after that


class Exchange:
    """One request and its answer, within the limits; it offers the two functions that an ASGI application calls.

    A request that is answered before its body was read to the end is read on for a moment, and then the connection
    is closed: closed at once, the client's system could throw the answer away with what it still had to send.

    Attributes:
        status: of the answer; 0 before there is one.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: Limits, request_id: str) -> None:
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        self.status = 0
        self._length = int(length) if length.isascii() and length.isdecimal() else 0
        self._receive, self._send, self._limits, self._id = receive, send, limits, request_id
        self._waits_for_us = headers.get("expect", "").lower() == "100-continue"
        self._whole = self._length == 0 and "transfer-encoding" not in headers
        self._early = False
        self._received = 0
        self._deadline: float | None = None

    async def receive(self) -> Message:
        """Receive the next piece of the body, or of what comes after it.

        Raises:
            Problem: 413, the body is too large; 408, it comes too slowly.
        """
        if self._whole:
            return await self._receive()
        if self._length > self._limits.max_bytes:
            raise self._too_large()
        self._waits_for_us = False
        now = asyncio.get_running_loop().time()
        if self._deadline is None:
            self._deadline = now + self._limits.body_time_s
        earned_s = self._received / self._limits.rate
        patience_s = min(self._limits.body_time_s, self._deadline + earned_s - now)
        try:
            async with asyncio.timeout(max(patience_s, 0)):
                message = await self._receive()
        except TimeoutError as error:
            raise Problem(408, "the body of the request came too slowly; send it again") from error
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            if self._received > self._limits.max_bytes:
                raise self._too_large()
            self._whole = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send a piece of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._early = not self._whole
            more = [(b"x-request-id", self._id.encode()), *([(b"connection", b"close")] if self._early else [])]
            message = {**message, "headers": [*message.get("headers", ()), *more]}
        elif self._early and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._read_on()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def _read_on(self) -> None:
        """Read and forget what a refused client still sends, for a moment."""
        if self._waits_for_us:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while (message := await self._receive())["type"] == "http.request" and message.get("more_body"):
                    pass

    def _too_large(self) -> Problem:
        return Problem(413, f"the body of the request is larger than this server takes, {self._limits.max_bytes} bytes")
