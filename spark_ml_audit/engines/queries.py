"""What runs the SQL of the embedded engine's frames, and the functions on their batches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb

from spark_ml_audit.engines.embedded_sql import plain_sql, sources_in
from spark_ml_audit.engines.threads import run_in_threads

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Batches, Frame

# Rows of a batch: large enough for NumPy, and a few megabytes even with a thousand classes.
_BATCH_ROWS = 16_384


class Queries:
    """Runs queries, each on a connection of its own.

    Maps hold on to this and never to the connection that they are registered with: what DuckDB holds, Python
    cannot see, and engine, maps and rows in memory would keep each other for ever.

    Args:
        spare: A connection that is asked for further ones alone: never busy when a map wants one.
        threads: How many run a function.

    Attributes:
        sources: Name of a registered source -> the source.
        failures: What functions on batches raised, of which DuckDB passes on the text alone.
    """

    def __init__(self, spare: duckdb.DuckDBPyConnection, threads: int) -> None:
        self._spare = spare
        self._threads = threads
        self._lock = threading.Lock()
        self.sources: dict[str, Any] = {}
        self.failures: list[BaseException] = []

    @contextmanager
    def running(self, frame: Frame | str) -> Iterator[tuple[Any, str]]:
        """A connection to run a frame's SQL on, and the SQL.

        Args:
            frame: The frame, or its SQL.

        Raises:
            BaseException: What a function on batches raised.
        """
        sql = frame if isinstance(frame, str) else plain_sql(frame.to_native())
        with self._lock:  # maps that are joined open theirs from threads of DuckDB
            cursor = self._spare.cursor()
        try:
            for name in sources_in(sql) & self.sources.keys():
                cursor.register(name, self.sources[name])
            yield cursor, sql
        except duckdb.Error as error:
            if not self.failures:
                raise
            first, *_ = self.failures
            self.failures.clear()
            raise first from error
        finally:
            cursor.close()

    def mapped(self, frame: Frame | str, function: Callable[[Batches], Any]) -> Iterator[Any]:
        """What a function makes of a frame's batches, called once per thread."""
        with self.running(frame) as (cursor, sql):
            yield from run_in_threads(cursor.sql(sql).to_arrow_reader(_BATCH_ROWS), function, self._threads)
