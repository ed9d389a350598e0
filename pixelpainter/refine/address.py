"""Where a server is: addresses that users write down, and those that a server announces."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from pixelpainter.errors import ServerError

_STALE = timedelta(days=1)  # tunnels of notebooks live for hours
_MILLISECONDS = 1e11  # a time in seconds reaches this in the year 5138, one in milliseconds did in 1973
_MAX_BYTES = 1 << 16
_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Address:
    """Address of a server.

    Attributes:
        url: with its scheme, without a slash at its end.
        host: the server's name and port, for messages.
        is_loopback: the server is on this machine.
        is_encrypted: it is reached by https.
    """

    url: str
    host: str
    is_loopback: bool
    is_encrypted: bool


def parse_address(text: str) -> Address:
    """Read the address of a server, such as http://gpu-box:8000.

    Raises:
        ValueError: it cannot be one; the message says why.
    """
    text = text.strip().rstrip("/")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{text!r} is no address of a server: write it as http://HOST:PORT or https://HOST")
    try:
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{text!r} is no address of a server ({error})") from error
    if "@" in parts.netloc:
        raise ValueError("an address with a name or password in it is not taken; use --token or PIXELPAINTER_TOKEN")
    if not host or not text.isprintable() or " " in text or parts.query or parts.fragment:
        raise ValueError(f"{text!r} is no address of a server: write it as http://HOST:PORT or https://HOST")
    shown = f"[{host}]" if ":" in host else host
    return Address(text, shown if port is None else f"{shown}:{port}", names_loopback(host), parts.scheme == "https")


def names_loopback(host: str) -> bool:
    """Say whether a host, without its port, is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def host_in(url: str) -> str:
    """Return the host and port in an address that a server names; empty if there is none."""
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


def read_announcement(text: str, *, on_note: Callable[[str], None] | None = None) -> Address:
    """Fetch the address of a server from where it was announced: JSON with "url" and "timestamp".

    Args:
        text: address of the announcement. Its query may hold a key: messages show only the host.
        on_note: is told in one line if the announcement is an old one.

    Raises:
        ValueError: this is no address.
        ServerError: it cannot be read, is none, or names an address that is not encrypted.
    """
    place = parse_address(text.partition("?")[0].partition("#")[0])
    if not (place.is_encrypted or place.is_loopback):
        raise ValueError(f"{place.host}: an announcement is read by https only, for it says where pictures go")
    found = _fetch(text.strip(), place)
    try:
        server = parse_address(found["url"])
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise ServerError(
            f"{place.host}: there is no announcement of a server there (JSON with url and timestamp); "
            "start one with `pixelpainter serve --announce URL`"
        ) from error
    if not (server.is_encrypted or server.is_loopback):
        raise ServerError(
            f"{place.host}: the server announced there, {server.host}, is not reached by https; "
            "if you trust the way to it, name it with --server"
        )
    age = _age(found.get("timestamp"))
    if on_note is not None and (age is None or age > _STALE):
        old = "does not say when it was made" if age is None else f"is {age.days} days old"
        on_note(f"the announcement of {server.host} {old}; the server may be gone")
    return server


def _fetch(url: str, place: Address) -> Any:
    """Return the JSON at an address. Raises ServerError."""
    import httpx

    try:
        # No redirects: whoever may redirect may name a server.
        with (
            httpx.Client(timeout=_TIMEOUT_S, trust_env=not place.is_loopback) as client,
            client.stream("GET", url, headers={"Accept": "application/json"}) as response,
        ):
            body = b""
            for piece in response.iter_raw():
                body += piece
                if len(body) > _MAX_BYTES:
                    break
    except httpx.InvalidURL as error:
        raise ValueError(f"{place.host}: this address cannot be used ({error})") from error
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise ServerError(f"{place.host}: the announcement cannot be read ({reason}); check --server-from") from error
    if response.status_code != 200:
        where = response.headers.get("location")
        to = f", a redirect to {host_in(where) or 'another place'}" if where else ""
        raise ServerError(
            f"{place.host}: the announcement cannot be read (answer {response.status_code}{to}); check --server-from"
        )
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _age(timestamp: Any) -> timedelta | None:
    """Return how long ago a time was, in seconds or milliseconds since 1970 or as ISO 8601; None if it is none."""
    try:
        if isinstance(timestamp, str) and not timestamp.replace(".", "", 1).isdecimal():
            then = datetime.fromisoformat(timestamp)
            return datetime.now(UTC) - (then if then.tzinfo else then.replace(tzinfo=UTC))
        seconds = float(timestamp)
        return datetime.now(UTC) - datetime.fromtimestamp(seconds / (1000 if seconds > _MILLISECONDS else 1), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
