"""One worker per device: pictures are worked on one after the other, and a bounded number of requests waits."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from pixelpainter.server.problems import Problem

Result = TypeVar("Result")

_LONGEST_RETRY_S = 60


class Worker:
    """Does one thing after the other in a thread of its own, in the order of asking.

    All methods belong to the thread of the event loop. The thread is a daemon, so that work whose result nobody
    waits for any more does not keep a process that was told to end.

    Attributes:
        limit: how many may wait besides the one that is worked on.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._turns: deque[asyncio.Future[None]] = deque()
        self._busy = self._stopping = False
        self._last_s = 0.0
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=self._work, name="pixelpainter-worker", daemon=True).start()

    @property
    def length(self) -> int:
        """How many are waiting."""
        return len(self._turns)

    def refuse_if_full(self) -> None:
        """Refuse what would have to wait for a place in the queue.

        Raises:
            Problem: 503 with the time after which a place may be free.
        """
        if self._stopping:
            raise _stopping()
        if self._busy and len(self._turns) >= self.limit:
            seconds = min(max(math.ceil(self._last_s), 1), _LONGEST_RETRY_S)
            raise Problem(
                503, f"{self.length} requests are waiting; ask again in {seconds} s", {"Retry-After": str(seconds)}
            )

    async def run(self, work: Callable[[], Result]) -> Result:
        """Wait for the turn, do the work in the thread, and return its result.

        A cancelled call gives its place in the queue to the next; work that has begun goes on to its end, and its
        result is dropped.

        Raises:
            Problem: 503, there is no place in the queue, or the server is stopping.
            Exception: what the work raises.
        """
        await self._take_turn()
        if self._stopping:  # the turn came just before; the thread takes nothing any more
            raise _stopping()
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Result] = loop.create_future()

        def job() -> None:
            value: Any = None
            failure: BaseException | None = None
            started = time.monotonic()
            try:
                value = work()
            except BaseException as error:  # whoever waits for the result gets it
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(self._finish, result, value, failure, time.monotonic() - started)

        self._jobs.put(job)
        await asyncio.wait({result})  # unlike the future itself, this can be cancelled while the thread works
        return result.result()

    def stop(self) -> None:
        """Send away those who wait, and refuse new ones; what is worked on ends as usual."""
        self._stopping = True
        for turn in self._turns:
            if not turn.done():
                turn.set_exception(_stopping())
        self._turns.clear()
        self._jobs.put(None)

    async def _take_turn(self) -> None:
        """Wait until the thread is free. Raises Problem."""
        self.refuse_if_full()
        if not self._busy:
            self._busy = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self._turns:
                self._turns.remove(turn)
            elif not turn.cancelled() and turn.exception() is None:  # it came at the same moment
                self._next()
            raise

    def _finish(self, result: asyncio.Future[Any], value: object, failure: BaseException | None, took_s: float) -> None:
        """Hand a result over, and begin the next work."""
        self._last_s = took_s
        if not result.done() and failure is not None:
            result.set_exception(failure)
            result.exception()  # asyncio shall not complain where nobody waits any more
        elif not result.done():
            result.set_result(value)
        self._next()

    def _next(self) -> None:
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._busy = False

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


async def run_for_client(
    worker: Worker, work: Callable[[threading.Event], Result], receive: Receive, *, time_limit_s: float
) -> Result:
    """Have work done for a client that may go away, or wait for too long.

    Args:
        worker: does it.
        work: what is done; it is given an event that is set as soon as nobody waits for the result, and should then
            end early, in whatever way.
        receive: of the request, whose body was read to its end.
        time_limit_s: for waiting and work together.

    Raises:
        ClientDisconnect: the client went away first.
        Problem: 503, see `Worker.run`; or 504, the limit is over.
        Exception: what the work raises.
    """
    unwanted = threading.Event()
    task = asyncio.ensure_future(worker.run(partial(work, unwanted)))
    gone = asyncio.ensure_future(_until_gone(receive))
    try:
        done, _ = await asyncio.wait({task, gone}, timeout=time_limit_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        unwanted.set()
        task.cancel()
        gone.cancel()
        await asyncio.wait({task, gone})  # the place in the queue is free before the client hears of it
    if task in done:
        return task.result()
    if gone in done:
        gone.result()
        raise ClientDisconnect
    raise Problem(
        504,
        f"waiting and work took longer than the limit of this server, {time_limit_s:g} s; ask again later, or with a "
        "smaller picture",
    )


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _stopping() -> Problem:
    return Problem(503, "the server is stopping; ask again later", {"Retry-After": "5"})
