"""Tell a JSON store on the network where this server can be reached."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx

_PAUSES_S = (1.0, 5.0, 30.0, 120.0)  # before further attempts
_TIMEOUT_S = 10.0


def announce(
    endpoint: str, public_url: str, *, on_note: Callable[[str], None], pauses_s: Sequence[float] = _PAUSES_S
) -> threading.Thread:
    """PUT ``{"url", "timestamp"}`` to an address, again after failures, in a thread that keeps no process alive.

    Args:
        endpoint: takes JSON by PUT.
        public_url: where clients reach this server.
        on_note: is told in one line what failed for good, or that it was done. The address may be a secret; only
            its host is named.
        pauses_s: before the second and each further attempt.

    Returns:
        The thread, started.
    """
    thread = threading.Thread(
        target=_announce, args=(endpoint, public_url, on_note, pauses_s), name="pixelpainter-announce", daemon=True
    )
    thread.start()
    return thread


def _announce(endpoint: str, public_url: str, on_note: Callable[[str], None], pauses_s: Sequence[float]) -> None:
    host = urlsplit(endpoint).hostname
    reason = ""
    for pause_s in (0.0, *pauses_s):
        time.sleep(pause_s)
        timestamp = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        try:
            answer = httpx.put(endpoint, json={"url": public_url, "timestamp": timestamp}, timeout=_TIMEOUT_S)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = type(error).__name__
            continue
        if answer.is_success:
            on_note(f"announced at {host}")
            return
        reason = f"it answered {answer.status_code}"
    on_note(f"warning: {host} does not take the address of this server ({reason}); clients cannot find it there")
