"""A few daemon threads for blocking work, so that one that never returns cannot keep the process alive.

`ThreadPoolExecutor` joins its threads at exit; native code that hangs would hang the shutdown with it.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

T = TypeVar("T")


class DaemonThreads:
    """`count` threads that run jobs for an event loop, in the order given."""

    def __init__(self, name: str, count: int) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            for number in range(count)
        ]

    def start(self) -> None:
        """Start the threads; once."""
        for thread in self._threads:
            thread.start()

    async def run(self, job: Callable[[], T]) -> T:
        """The job's result, or what it raised. When the caller is cancelled the job still runs to its end."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            try:
                settle = partial(_succeed, future, job())
            except BaseException as error:  # SystemExit too: it must not end the thread
                settle = partial(_fail, future, error)
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
                loop.call_soon_threadsafe(settle)

        self._jobs.put(work)
        return await future

    def stop(self, grace_s: float) -> bool:
        """Let the threads end after their current job; whether all did within `grace_s` seconds. Blocks."""
        for _ in self._threads:
            self._jobs.put(None)
        deadline = time.monotonic() + grace_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


def _succeed(future: "asyncio.Future[T]", result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: "asyncio.Future[T]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error if isinstance(error, Exception) else RuntimeError(type(error).__name__))
