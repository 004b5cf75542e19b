"""A function on batches, run by several threads that share one stream of them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

Item = TypeVar("Item")

# How long a thread waits for room before it looks whether anybody still reads.
_LOOK_SECONDS = 0.2


def run_in_threads(
    batches: Iterable[Any], function: Callable[[Iterator[Any]], Iterable[Item]], threads: int
) -> Iterator[Item]:
    """What a function makes of the batches of a stream, in any order.

    Every thread calls the function once and hands it what it takes from the stream. Libraries below it use
    one thread each meanwhile, so that together they never use more than were given.

    Args:
        batches: The stream; taken from under a lock.
        function: Called by every thread.
        threads: Their number.

    Raises:
        BaseException: The first one that the stream or the function raised; the others stop.
    """
    if threads == 1:
        with _LIMITS.held():
            yield from function(iter(batches))
        return
    run = _Run(batches, threads)
    workers = [threading.Thread(target=run.work, args=(function,), daemon=True) for _ in range(threads)]
    with _LIMITS.held():
        for worker in workers:
            worker.start()
        try:
            yield from run.results(threads)
        finally:
            run.stopped.set()
            for worker in workers:
                worker.join()


class _Limits:
    """One thread each for the libraries below, as long as any stream is worked on.

    Streams overlap in any order and begin in threads of DuckDB, but OpenBLAS obeys one thread at a time
    (threadpoolctl 3.8): so one thread of our own sets the limit with the first stream and takes it back with
    the last.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams = 0
        self._keeper: ThreadPoolExecutor | None = None
        self._limit: threadpool_limits | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the limit."""
        with self._lock:
            self._streams += 1
            if self._streams == 1:
                self._do(self._set)
        try:
            yield
        finally:
            with self._lock:
                self._streams -= 1
                if not self._streams:
                    self._do(self._take_back)

    def _do(self, step: Callable[[], None]) -> None:
        if self._keeper is None:
            self._keeper = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spark-ml-audit-limits")
        self._keeper.submit(step).result()

    def _set(self) -> None:
        self._limit = threadpool_limits(1)
        self._limit.__enter__()

    def _take_back(self) -> None:
        if self._limit is not None:
            self._limit.__exit__(None, None, None)
            self._limit = None


_LIMITS = _Limits()


class _Done:
    """Put by a thread that has nothing more to give."""


class _Run:
    """One run: the shared stream, the results, and whether to stop."""

    def __init__(self, batches: Iterable[Any], threads: int) -> None:
        self.stopped = threading.Event()
        self._batches = iter(batches)
        self._lock = threading.Lock()
        self._results: queue.Queue[Any] = queue.Queue(maxsize=2 * threads)
        self._failure: BaseException | None = None

    def work(self, function: Callable[[Iterator[Any]], Iterable[Any]]) -> None:
        """What a thread does."""
        try:
            for item in function(self._shared()):
                if not self._put(item):
                    return
        except BaseException as error:  # noqa: BLE001 - raised again where the results are read
            self._failure = self._failure or error
            self.stopped.set()
        finally:
            self._put(_Done())

    def _shared(self) -> Iterator[Any]:
        while not self.stopped.is_set():
            with self._lock:
                batch = next(self._batches, None)
            if batch is None:
                return
            yield batch

    def _put(self, item: Any) -> bool:
        while not self._has_room(item):
            if self.stopped.is_set():
                return False
        return True

    def _has_room(self, item: Any) -> bool:
        try:
            self._results.put(item, timeout=_LOOK_SECONDS)
        except queue.Full:
            return False
        return True

    def results(self, threads: int) -> Iterator[Any]:
        """All results, until every thread is done or one has failed."""
        running = threads
        while running and self._failure is None:
            try:
                item = self._results.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
            if isinstance(item, _Done):
                running -= 1
            else:
                yield item
        if self._failure is not None:
            raise self._failure
