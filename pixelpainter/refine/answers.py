"""What a server's answers mean, and what to do about those that are no success."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pixelpainter.errors import InputError, ServerError, ServerLostError
from pixelpainter.imaging import open_picture
from pixelpainter.refine.address import host_in

if TYPE_CHECKING:
    import httpx

CHECK_ADDRESS = "check the address in --server"
NO_SERVER = f"this is no PixelPainter server, or not its address; {CHECK_ADDRESS}"
NO_MODEL = "the server has no diffusion model; start it with `pixelpainter serve --refine`"
NOTE_LETTERS = 300  # of what a server says
_BUSY = (502, 503)  # the server, or what stands before it, does not take the request now
_NO_ORIGIN = 530  # Cloudflare's, for a tunnel at whose other end nobody is
_TOO_LONG = (504, 524)  # 524: Cloudflare's, which waits for 100 s


@dataclass(frozen=True)
class Answer:
    """What a server sent, without its status."""

    headers: httpx.Headers
    body: bytes


class PassingError(Exception):  # the client turns it into a ServerError
    """A fault that may be gone the next time.

    Attributes:
        pause_s: how long the server asks to wait; None = it does not say.
        lost: no connection came about.
    """

    def __init__(self, message: str, pause_s: float | None = None, *, lost: bool = False) -> None:
        super().__init__(message)
        self.pause_s, self.lost = pause_s, lost


def refusal(status: int, answer: Answer, host: str) -> ServerError | PassingError:
    """Return the error for an answer that is no success.

    Args:
        status: of HTTP.
        answer: what came.
        host: the server's name, for the message.
    """
    detail = _detail(answer)
    if status in _BUSY:
        return PassingError(f"takes no request now ({status}{detail}); try again later", _pause(answer))
    if status in (401, 403, 421):  # 421: it does not know itself by this name
        advice = "; give its token with --token or PIXELPAINTER_TOKEN" if status == 401 else ""
        return ServerLostError(f"{host}: refuses access ({status}{detail}){advice}")
    if status == 501:
        return ServerLostError(f"{host}: {NO_MODEL}")
    if status in (404, 405):
        return ServerLostError(f"{host}: {NO_SERVER}")
    if 300 <= status < 400:
        to = host_in(answer.headers.get("location", "")) or "another place"
        return ServerLostError(f"{host}: sends on to {to} ({status}); if that is your server, name it in --server")
    if status == _NO_ORIGIN:
        return PassingError(f"the tunnel leads to no server now ({status}); is it running? See --server", lost=True)
    if status in _TOO_LONG:
        return ServerError(
            f"{host}: the picture took too long for the server, or for a tunnel on the way ({status}{detail}); try "
            "fewer --steps"
        )
    if status == 413:
        return ServerError(f"{host}: the picture is too large for this server ({status}{detail})")
    if status >= 500:
        return ServerError(f"{host}: the server failed at this picture ({status}{detail}); see what it prints")
    return ServerError(f"{host}: refuses this picture ({status}{detail})")


def read_picture(answer: Answer, width: int, height: int, host: str) -> NDArray[np.uint8]:
    """Return the picture of an answer.

    Raises:
        ServerError: it is something else, or of another size.
        PassingError: it is damaged.
    """
    kind = answer.headers.get("content-type", "nothing that has a type").partition(";")[0].strip()
    if kind != "image/png":
        raise ServerError(f"{host}: answers with {kind[:60]}, not with a picture; {CHECK_ADDRESS}")
    size = None
    if answer.body[:8] == b"\x89PNG\r\n\x1a\n" and len(answer.body) >= 24:
        size = struct.unpack(">II", answer.body[16:24])  # of IHDR, always the first chunk
    if size in (None, (width, height)):
        try:
            rgb = open_picture(io.BytesIO(answer.body), max_pixels=width * height).rgb
        except InputError as error:
            raise PassingError("the picture came back damaged; try again") from error
        size = rgb.shape[1], rgb.shape[0]  # it may be no PNG, or one that is turned
        if size == (width, height):
            return rgb
    raise ServerError(
        f"{host}: answers with a picture of {size[0]}x{size[1]} pixels for one of {width}x{height}; "
        "does it run the same version of PixelPainter?"
    )


def _detail(answer: Answer) -> str:
    """Return what a problem's JSON says, as the end of a message; nothing of pages for browsers."""
    try:
        problem = json.loads(answer.body)
        text = problem.get("detail") or problem.get("title") or ""
    except (ValueError, AttributeError, RecursionError):
        return ""
    line = " ".join(str(text).split())[:NOTE_LETTERS]
    return f": {line}" if line else ""


def _pause(answer: Answer) -> float | None:
    """Return the seconds of a Retry-After; the other form, a date, needs clocks that agree and is passed over."""
    text = answer.headers.get("retry-after", "").strip()
    return float(text) if text.isdecimal() and len(text) < 10 else None
