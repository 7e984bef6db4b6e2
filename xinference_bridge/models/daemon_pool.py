"""A thread pool for concurrent requests that does not delay the program's exit."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import Any, TypeVar

from xinference_bridge.client.sync_driver import given_up

Result = TypeVar("Result")


class DaemonPool:
    """Like `ThreadPoolExecutor`, but with daemon threads.

    The interpreter joins an executor's threads at exit, so Ctrl-C during a bulk job would wait for every
    hanging request: 24 s with a `timeout` of 24.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._most = threads
        self._name = name
        self._started = 0
        self._stopped = threading.Event()
        self._tasks: queue.SimpleQueue[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]] | None] = (
            queue.SimpleQueue()
        )

    def submit(self, task: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Run `task(*arguments)` on a thread and return its future."""
        future: Future[Result] = Future()
        self._tasks.put((future, task, arguments))
        if self._started < self._most:
            self._started += 1
            threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()
        return future

    def stop(self) -> None:
        """Cancel pending tasks. Running tasks finish their request, and make no further one."""
        self._stopped.set()
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
        given_up.set(self._stopped)
        while (todo := self._tasks.get()) is not None:
            future, task, arguments = todo
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(task(*arguments))
            except BaseException as error:  # noqa: BLE001 - passed on through the future
                future.set_exception(error)
            del future, task, arguments, todo


def results_of(tasks: list[Callable[[], Result]], threads: int, name: str) -> list[Result]:
    """Return the results of all tasks, in order.

    Raises:
        BaseException: The first failure, immediately. Pending tasks are cancelled.
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
