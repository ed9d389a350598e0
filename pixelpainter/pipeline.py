"""Work on several things at once, with bounded memory and results in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Generator[Result, None, None]:
    """Yield ``work(item)`` for each item, in order, while other items are being worked on in threads.

    One thread takes one picture from its file to its result: while it encodes, another one runs the
    network. That keeps all cores busy without a queue between the steps. At most three times as many
    items as workers are underway or waiting to be fetched.

    Args:
        work: may be called from several threads at once.
        items: read as they are needed, in the calling thread.
        workers: number of threads; with 1, everything happens in the calling thread.

    Raises:
        BaseException: what ``work`` raises; items that were not begun are dropped, the others end first.
    """
    if workers == 1:
        yield from map(work, items)
        return
    from concurrent.futures import ThreadPoolExecutor  # costs a single picture some milliseconds

    underway: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, "pixelpainter") as pool:
        try:
            for item in items:
                underway.append(pool.submit(work, item))
                if len(underway) == 3 * workers:  # one slow item shall not stop the others at once
                    yield underway.popleft().result()
            while underway:
                yield underway.popleft().result()
        finally:
            for future in underway:
                future.cancel()


class Room:
    """A limit on how much several threads work on at once, such as a number of pixels."""

    def __init__(self, limit: int) -> None:
        self._limit = self._free = limit
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, amount: int) -> Iterator[None]:
        """Wait until there is room for the amount, and take it for the block. More than the limit takes all."""
        amount = min(amount, self._limit)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= amount)
            self._free -= amount
        try:
            yield
        finally:
            with self._changed:
                self._free += amount
                self._changed.notify_all()
