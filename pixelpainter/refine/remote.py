"""RemoteRefiner: the diffusion pass on another machine, where `pixelpainter serve --refine` runs."""

from __future__ import annotations

import functools
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from pixelpainter import __version__
from pixelpainter.errors import ServerError, ServerLostError
from pixelpainter.imaging import encode_picture
from pixelpainter.refine.address import Address, parse_address
from pixelpainter.refine.answers import (
    CHECK_ADDRESS,
    NO_MODEL,
    NO_SERVER,
    NOTE_LETTERS,
    Answer,
    PassingError,
    read_picture,
    refusal,
)
from pixelpainter.refine.settings import RefineSettings

if TYPE_CHECKING:
    import httpx

_CONNECT_S, _WRITE_S = 10.0, 60.0
_MOST_PAUSE_S = 60.0  # whatever a server asks for
_STATUS_BYTES, _PROBLEM_BYTES = 1 << 20, 1 << 16
_NOTES = 10  # are passed on


class RemoteRefiner:
    """A client of one server; see `settings.Refiner`. Use it in a ``with`` block, which closes its connections."""

    def __init__(
        self,
        address: Address | str,
        *,
        token: str | None = None,
        timeout_s: float = 600.0,
        attempts: int = 5,
        pause_s: float = 0.5,
    ) -> None:
        """Note where the server is; nothing is sent yet.

        Args:
            address: such as http://gpu-box:8000.
            token: what the server asks for, if it asks for one.
            timeout_s: time for one picture, with its way there and back and its place in the server's queue.
            attempts: how often a request is sent that the server does not take, or whose connection breaks.
            pause_s: before the second attempt; each further pause is about twice as long, or as the server asks.

        Raises:
            ValueError: the address is none, or the token has letters that no token can have.
        """
        if token and not (token.isascii() and token.isprintable() and " " not in token):
            raise ValueError("the token has letters that cannot be in one: spaces, line breaks, or beyond ASCII")
        self.address = parse_address(address) if isinstance(address, str) else address
        self._token, self._timeout_s, self._attempts, self._pause_s = token, timeout_s, attempts, pause_s
        self._lock = threading.Lock()
        self._opened: httpx.Client | None = None

    def __enter__(self) -> Self:
        """Return the refiner."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        if self._opened is not None:
            self._opened.close()

    @functools.cached_property
    def identity(self) -> str:
        """What the server says about its model; asked for once.

        Raises:
            ServerError: the server cannot be reached, refuses, or has no diffusion model.
        """
        body = self._ask("GET", "/status", limit=_STATUS_BYTES, retry_lost=False).body
        try:
            refine = json.loads(body)["models"]["refine"]
            identity = None if refine is None else str(refine["identity"])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ServerLostError(f"{self.address.host}: {NO_SERVER}") from error
        if identity is None:
            raise ServerLostError(f"{self.address.host}: {NO_MODEL}")
        return identity

    def refine(
        self,
        rgb: NDArray[np.uint8],
        settings: RefineSettings,
        *,
        sketch: NDArray[np.uint8] | None = None,
        on_note: Callable[[str], None] | None = None,
        on_step: Callable[[], None] | None = None,
    ) -> NDArray[np.uint8]:
        """Have a picture painted over; see `settings.Refiner.refine`.

        ``on_step`` is never called: nothing is heard of the server before its answer.

        Raises:
            ServerLostError: no further picture can be refined there now: the server is away, refuses the token, has
                no diffusion model, or another one than before.
            ServerError: it fails at this picture.
        """
        files = {"image": ("image.png", encode_picture(rgb, format="PNG"), "image/png")}
        if sketch is not None:
            gray = np.repeat(sketch[..., None], 3, axis=2)
            files["sketch"] = ("sketch.png", encode_picture(gray, format="PNG"), "image/png")
        fields = {name: str(value) for name, value in settings.described().items()}
        identity = self.identity
        answers: list[NDArray[np.uint8]] = []

        def keep(answer: Answer) -> None:
            answers[:] = [read_picture(answer, rgb.shape[1], rgb.shape[0], self.address.host)]

        limit = rgb.shape[0] * rgb.shape[1] * 4 + (1 << 20)  # a PNG is never larger than its pixels by much
        answer = self._ask("POST", "/refine", limit=limit, check=keep, on_note=on_note, files=files, data=fields)
        found = unquote(answer.headers.get("X-PixelPainter-Identity", "")) or identity
        if found != identity:
            raise ServerLostError(
                f"{self.address.host}: the server runs {found} now, and ran {identity} before; run the command again"
            )
        for note in answer.headers.get_list("X-PixelPainter-Note")[:_NOTES]:
            if on_note is not None:
                on_note(unquote(note)[:NOTE_LETTERS])
        return answers[0]

    @property
    def _client(self) -> httpx.Client:
        """The client of this object; made when it is needed."""
        import httpx

        with self._lock:
            if self._opened is None:
                headers = {"User-Agent": f"pixelpainter/{__version__}", "Accept-Encoding": "identity"}
                if self._token:
                    headers["Authorization"] = f"Bearer {self._token}"
                self._opened = httpx.Client(
                    headers=headers,
                    timeout=httpx.Timeout(self._timeout_s, connect=_CONNECT_S, write=_WRITE_S),
                    trust_env=not self.address.is_loopback,  # a proxy leads elsewhere
                )
            return self._opened

    def _ask(
        self,
        method: str,
        path: str,
        *,
        limit: int,
        check: Callable[[Answer], None] | None = None,
        on_note: Callable[[str], None] | None = None,
        retry_lost: bool = True,
        **body: Any,
    ) -> Answer:
        """Send a request, again after faults that may pass, and return an answer that the check has let through."""
        for attempt in range(1, self._attempts + 1):
            try:
                answer = self._send(method, path, limit, body)
                if check is not None:
                    check(answer)
            except PassingError as fault:
                if attempt == self._attempts or (fault.lost and not retry_lost):
                    kind = ServerLostError if fault.lost else ServerError
                    tried = f" ({attempt} attempts)" if attempt > 1 else ""
                    raise kind(f"{self.address.host}: {fault}{tried}") from fault
                pause_s = self._pause_s * 2 ** (attempt - 1) * random.uniform(0.75, 1.25)
                time.sleep(min(max(pause_s, fault.pause_s or 0.0), _MOST_PAUSE_S))
                reason = str(fault)
            else:
                if attempt > 1 and on_note is not None:
                    on_note(f"{self.address.host} answered at attempt {attempt} ({reason.partition(';')[0]})")
                return answer
        raise AssertionError("there is at least one attempt")

    def _send(self, method: str, path: str, limit: int, body: Mapping[str, Any]) -> Answer:
        """Send a request once.

        Raises:
            ServerError: it is refused, or takes too long.
            PassingError: it may be taken another time.
        """
        deadline = time.monotonic() + self._timeout_s
        with self._faults(), self._client.stream(method, self.address.url + path, **body) as response:
            good = response.status_code == 200
            pieces, size = [], 0
            for piece in response.iter_raw():
                size += len(piece)
                if size > (limit if good else _PROBLEM_BYTES):
                    if good:
                        raise ServerError(f"{self.address.host}: the answer is too long; {CHECK_ADDRESS}")
                    break
                if time.monotonic() > deadline:
                    raise ServerError(f"{self.address.host}: {self._too_slow}")
                pieces.append(piece)
        answer = Answer(response.headers, b"".join(pieces))
        if not good:
            raise refusal(response.status_code, answer, self.address.host)
        return answer

    @property
    def _too_slow(self) -> str:
        return f"there was no whole answer within {self._timeout_s:g} s; allow more with --timeout, or see what it does"

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Turn what the HTTP library raises into errors that say what to do."""
        import httpx

        host = self.address.host
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            reason = str(error) or "no answer"
            raise PassingError(
                f"cannot be reached ({reason}); is the server running? See --server", lost=True
            ) from error
        except httpx.TimeoutException as error:
            raise ServerError(f"{host}: {self._too_slow}") from error
        except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
            reason = str(error) or type(error).__name__
            raise PassingError(f"the connection broke off ({reason}); see what the server prints") from error
        except httpx.ProxyError as error:
            raise ServerLostError(f"{host}: the proxy does not lead there ({error}); check HTTPS_PROXY") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ServerLostError(f"{host}: the request cannot be sent ({error}); {CHECK_ADDRESS}") from error
