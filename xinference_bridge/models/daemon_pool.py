"""Threads for several requests at once that no exit of the program waits for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import Any, TypeVar

Result = TypeVar("Result")


class DaemonPool:
    """What `ThreadPoolExecutor` does, but with daemon threads.

    An executor's threads are joined at the interpreter's exit, so that Ctrl-C during a bulk job waited for each
    request that hung: 24 s, where `timeout` was 24.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._most = threads
        self._name = name
        self._started = 0
        self._tasks: queue.SimpleQueue[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]] | None] = (
            queue.SimpleQueue()
        )

    def submit(self, task: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Run `task(*arguments)` on one of the threads; return its future."""
        future: Future[Result] = Future()
        self._tasks.put((future, task, arguments))
        if self._started < self._most:
            self._started += 1
            threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()
        return future

    def stop(self) -> None:
        """Cancel what has not begun; what has ends by itself, and its thread with it."""
        while True:
            try:
                waiting = self._tasks.get_nowait()
            except queue.Empty:
                break
            if waiting is not None:
                waiting[0].cancel()
        for _ in range(self._started):
            self._tasks.put(None)

    def _work(self) -> None:
        while (todo := self._tasks.get()) is not None:
            future, task, arguments = todo
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(task(*arguments))
            except BaseException as error:  # noqa: BLE001 - whoever waits for the future gets it
                future.set_exception(error)
            del future, task, arguments, todo


def results_of(tasks: list[Callable[[], Result]], threads: int, name: str) -> list[Result]:
    """Return the results of all tasks, in order.

    Raises:
        BaseException: The first failure there is, at once; what has not begun is left out.
    """
    pool = DaemonPool(threads, name)
    try:
        futures = [pool.submit(task) for task in tasks]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            if future in done and future.exception() is not None:
                future.result()
        return [future.result() for future in futures]
    finally:
        pool.stop()
