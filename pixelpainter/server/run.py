"""The process around the application: its socket, its connections, its signals, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import math
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from pixelpainter.errors import ServerError
from pixelpainter.saving import short_reason
from pixelpainter.server.limits import LINGER_S, Limits
from pixelpainter.server.problems import MEDIA_TYPE, problem_body

_GRACE_S = 5  # beyond the time limit of a request


def bind(host: str, port: int) -> socket.socket:
    """Return a socket with an address; it takes no connections before `serve` listens on it.

    Raises:
        ServerError: there is no such address here, or it is in use.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # The protocol is named, or asyncio would not know that it is TCP, and small answers would take 40 ms longer.
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(socket.socket(family, kind, protocol))
            if os.name == "posix":  # elsewhere it would let two servers share a port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            stack.pop_all()
    except (OSError, OverflowError, UnicodeError) as error:
        raise ServerError(f"{host}:{port}: cannot listen there ({short_reason(error)})") from error
    return listener


def is_loopback(listener: socket.socket) -> bool:
    """Tell whether only this machine can reach a socket."""
    return ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def url_of(listener: socket.socket) -> str:
    """Return the address of a socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: FastAPI, listener: socket.socket, limits: Limits, on_ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; requests that are worked on then are answered, those that wait are sent away.

    Args:
        app: what `app.make_app` returns.
        listener: what `bind` returns.
        limits: what a request may cost.
        on_ready: called when requests are answered.
    """
    config = uvicorn.Config(
        app,
        http=_protocol(limits),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=math.ceil(limits.header_time_s) + _GRACE_S,  # for connections that our own timer missed
        timeout_graceful_shutdown=math.ceil(limits.time_limit_s) + _GRACE_S,
    )
    # uvicorn raises the signals again that ended it, for whoever handled them before; being told to stop is no failure.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: None)
    _Server(config, app, on_ready).run(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn, with something to do at the beginning and at the end."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._workers, self._on_ready = app.state.workers, on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for worker in self._workers:
            worker.stop()
        await super().shutdown(sockets)


def _protocol(limits: Limits) -> type[asyncio.Protocol]:
    """Return uvicorn's HTTP, with limits of connections, of the time for a head, and of that to take an answer."""

    class TimedProtocol(H11Protocol):
        _head_timer: asyncio.TimerHandle | None = None
        _stall_timer: asyncio.TimerHandle | None = None
        _refused = False

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > limits.connections:
                self._refuse(503, "too many connections are open", (b"retry-after", b"5"))
                self.transport.close()
            else:
                self._await_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop(self._head_timer)
            self._stop(self._stall_timer)
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            """Be told that the client does not take what is sent to it as fast as that comes."""
            super().pause_writing()
            patience_s = limits.send_time_s + self.transport.get_write_buffer_size() / limits.rate
            self._stall_timer = self.loop.call_later(patience_s, self.transport.abort)

        def resume_writing(self) -> None:
            self._stop(self._stall_timer)
            super().resume_writing()

        def data_received(self, data: bytes) -> None:
            if not self._refused:
                super().data_received(data)

        def on_response_complete(self) -> None:
            self._await_head()
            super().on_response_complete()

        def send_400_response(self, msg: str) -> None:
            self._refuse(400, msg)

        def _await_head(self) -> None:
            self._stop(self._head_timer)
            self._head_timer = self.loop.call_later(limits.header_time_s, self._check_head)

        def _stop(self, timer: asyncio.TimerHandle | None) -> None:
            if timer is not None:
                timer.cancel()

        def _check_head(self) -> None:
            """Close a connection on which no request has begun."""
            if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
                return
            if self.conn.trailing_data[0]:
                self._refuse(408, "the head of the request came too slowly")
            else:  # nothing was asked
                self.transport.close()

        def _refuse(self, status: int, detail: str, *headers: tuple[bytes, bytes]) -> None:
            """Answer without the application, and close the connection, but not before the client could read that."""
            self._refused = True
            if self.cycle is not None and not self.cycle.response_complete:  # the application is at it
                self.cycle.disconnected = True
                self.cycle.message_event.set()
            if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                body = problem_body(status, detail)
                fields = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
                answer = h11.Response(status_code=status, headers=[*fields, (b"connection", b"close"), *headers])
                for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
                    self.transport.write(self.conn.send(event) or b"")
            self.transport.write_eof()
            self.loop.call_later(LINGER_S, self.transport.close)

    return TimedProtocol
