"""The engine in this process: DuckDB for relations, threads for functions on batches. No Java, no server.

A frame is a DuckDB relation. What runs, runs its SQL on a connection of its own: DuckDB runs one query per
connection, and a map reads its rows while the query that asks for them runs.
"""

from __future__ import annotations

import functools
import itertools
import secrets
import shutil
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_ml_audit.arrow.records import RECORD_SCHEMA, partial_sums, to_records
from spark_ml_audit.config.paths import local_path
from spark_ml_audit.engines.base import Batches, BatchMap, BatchReduction, Found
from spark_ml_audit.engines.columns import framed, in_frame, true_name
from spark_ml_audit.engines.duckdb_types import known_schema, plain_type
from spark_ml_audit.engines.embedded_sql import (
    by_column,
    copy_sql,
    files_sql,
    lists_sql,
    no_rows_of,
    number_of,
    numbered_sql,
    plain_sql,
    ranked_sql,
    split_sql,
    under_frame_names,
    under_true_names,
)
from spark_ml_audit.engines.files import parquet_files, root_of
from spark_ml_audit.engines.limits import Limits
from spark_ml_audit.engines.processes import run_in_processes
from spark_ml_audit.engines.queries import Queries
from spark_ml_audit.engines.streams import Stream
from spark_ml_audit.kernels.records import Records, sum_records

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Frame

_FILE_BYTES = 128 << 20


@dataclass(frozen=True)
class WrittenFile:
    """A Parquet file as written.

    Attributes:
        path: Absolute path.
        num_rows: Its rows.
        num_bytes: Its size.
        statistics: Column -> what DuckDB says of it, as texts: min, max, null_count.
    """

    path: str
    num_rows: int
    num_bytes: int
    statistics: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class EmbeddedEngine:
    """Runs frames by DuckDB; see `base.Engine` for what its methods promise.

    Args:
        limits: Threads, memory and where to spill; what is free by default.
    """

    kind = "embedded"

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits.of_machine()
        self._connection = duckdb.connect(":memory:", config=self.limits.settings())
        self._connection.execute("SET GLOBAL TimeZone = 'UTC'")
        self._queries = Queries(self._connection.cursor(), self.limits.threads)
        self._numbers = itertools.count()
        self._folder: Path | None = None
        # relations in users' hands outlive the engine, and the queries with them
        weakref.finalize(self._queries, self.limits.remove)

    # ---- frames in and out -------------------------------------------------------------------------

    def scan_parquet(self, path: str, *, row_number: str | None = None) -> Frame:
        """The rows of Parquet files; folders named `column=value` become columns."""
        files = parquet_files(path)
        if not files:
            raise FileNotFoundError(f"there is no Parquet file in '{path}'")
        sql = files_sql(files, root_of(str(local_path(path) or path)))
        return self.sql_frame(sql if row_number is None else numbered_sql(files, sql, row_number))

    def own_folder(self) -> Path:
        """A folder beside what spills, gone with this engine."""
        if self._folder is None or not self._folder.is_dir():
            self._folder = self.limits.own_folder("sources")
        return self._folder

    def scan_table(self, name: str) -> Frame:
        """Refused: there is no catalog."""
        raise LookupError(f"{name} is a table of a catalog, which only Spark knows")

    def sql_frame(self, sql: str) -> Frame:
        """A query as a frame, its columns under the names that frames use."""
        relation = self._bound(sql)
        if any(in_frame(name) != name for name in relation.columns):
            relation = self._bound(under_frame_names(sql, relation.columns))
        return framed(relation)

    def from_arrow(self, table: pa.Table) -> Frame:
        """An Arrow table as a frame."""
        renamed = table.rename_columns([in_frame(name) for name in table.column_names])
        return self._registered(renamed.cast(known_schema(renamed.schema)))

    def from_stream(self, open_stream: Callable[[], pa.RecordBatchReader], schema: pa.Schema) -> Frame:
        """A stream as a frame; opened anew each time that the frame is read."""
        names = [in_frame(name) for name in schema.names]
        renamed = pa.schema([item.with_name(name) for item, name in zip(schema, names, strict=True)])

        def batches() -> Iterator[Any]:
            for batch in open_stream():
                yield batch.rename_columns(names)

        return self._registered(Stream(renamed, batches, self._queries.failures))

    def collect(self, frame: Frame) -> pa.Table:
        """The rows of a small frame."""
        with self._queries.running(frame) as (cursor, sql):
            table = cursor.sql(sql).to_arrow_table()
        return table.rename_columns([true_name(name) for name in table.column_names])

    def schema(self, frame: Frame) -> pa.Schema:
        """Names and Arrow types of the columns; relations know no metadata."""
        found = self._arrow_schema(frame)
        return pa.schema([item.with_name(true_name(item.name)) for item in found])

    def with_arrays(self, frame: Frame, names: Sequence[str]) -> Frame:
        """The frame: there are no vectors here."""
        return frame

    def native(self, frame: Frame, column_metadata: Mapping[str, Mapping[str, str]] | None = None) -> Any:
        """The frame as a relation of DuckDB, which knows no metadata."""
        relation = frame.to_native()
        return self._connection.sql(under_true_names(plain_sql(relation), relation.columns))

    # ---- work on batches ---------------------------------------------------------------------------

    def map_batches(self, frame: Frame, function: BatchMap, *, keep: Sequence[str], add: pa.Schema) -> Frame:
        """Put every row through a function, called once per thread each time that the result is read."""
        source = self._arrow_schema(frame)
        schema = pa.schema([*[source.field(name) for name in keep], *add])
        # asked now: while users read a relation of ours, it answers nothing
        sql = plain_sql(frame.to_native())
        queries = self._queries
        return self._registered(Stream(schema, lambda: queries.mapped(sql, function), queries.failures))

    def reduce_batches(self, frame: Frame, function: BatchReduction) -> Records:
        """Reduce every thread's rows to records and add them up."""

        def run(batches: Batches) -> Batches:
            yield from partial_sums(function(batches))

        return sum_records(to_records(pa.Table.from_batches(self._queries.mapped(frame, run), RECORD_SCHEMA)))

    def ranked(self, frame: Frame, by: tuple[str, str], rank: str, histogram: npt.NDArray[np.int64]) -> Frame:
        """Number rows in an order, by a sort that spills."""
        order = [in_frame(name) for name in by]
        return self.sql_frame(ranked_sql(frame.to_native().sql_query(), order, rank))

    def lists(self, frame: Frame, keys: Sequence[str], value: str) -> Frame:
        """One row per combination of keys, its values as one ascending list."""
        return self.sql_frame(lists_sql(frame.to_native().sql_query(), keys, value))

    def run_groups(
        self,
        rows: Frame,
        key: str,
        keys: Sequence[int],
        function: Callable[[int, pa.Table], pa.Table],
        schema: pa.Schema,
    ) -> pa.Table:
        """Call a function once per group, groups in processes beside each other."""
        with self.limits.spill_folder("groups") as folder:
            # in one go: a function on batches would run once per group else
            with self._queries.running(rows) as (cursor, sql):
                cursor.execute(split_sql(sql, folder, key))
            files = {number: sorted(map(str, Path(folder).glob(f"{key}={number}/*"))) for number in keys}
            return run_in_processes(function, files, schema, self.limits)

    # ---- files -------------------------------------------------------------------------------------

    def write_parquet(self, frame: Frame, folder: str, *, in_order: bool = False) -> list[WrittenFile]:
        """Write a frame's rows as Parquet files with names of their own.

        Args:
            frame: The rows.
            folder: Where to; created if missing.
            in_order: Whether the files shall follow each other in the order of the rows.

        Returns:
            The files; none where there are no rows.
        """
        named = f"part-{secrets.token_hex(16)}"
        # names that begin so are no data to any reader of Delta
        staged = Path(folder, f"_staged-{named}")
        Path(folder).mkdir(parents=True, exist_ok=True)
        try:
            with self._queries.running(frame) as (cursor, sql):
                query = under_true_names(sql, frame.to_native().columns)
                written = self._copy(cursor, query, str(staged), in_order=in_order)
            found = []
            for place, (file, num_rows, num_bytes, statistics) in enumerate(written):
                if num_rows:
                    final = Path(folder, f"{named}-{place:05}.parquet")
                    Path(file).rename(final)
                    found.append(WrittenFile(str(final), num_rows, num_bytes, statistics))
            return found
        finally:
            shutil.rmtree(staged, ignore_errors=True)

    def _copy(self, cursor: Any, query: str, folder: str, *, in_order: bool) -> list[Any]:
        """Write a query's rows below a folder; the files, in their order, with what is known of each."""
        command = copy_sql(query, folder, file_bytes=_FILE_BYTES, in_order=in_order)
        found = cursor.execute(command).fetchall()
        files = [(row[0], row[1], row[2], by_column(row[4])) for row in found]
        return sorted(files, key=lambda item: number_of(item[0]))

    def beside(self, work: Callable[[], Found]) -> Callable[[], Found]:
        """Leave work until its result is asked for: all cores are at work for every query."""
        return functools.cache(work)

    def close(self) -> None:
        """Close the connection and remove its files."""
        self._connection.close()
        self._queries.sources.clear()
        self.limits.remove()

    # ---- queries -----------------------------------------------------------------------------------

    def _bound(self, sql: str) -> Any:
        relation = self._connection.sql(sql)
        return self._connection.sql(plain_sql(relation)) if any(map(plain_type, relation.types)) else relation

    def _registered(self, source: Any) -> Frame:
        name = f"frame_{next(self._numbers)}"
        self._queries.sources[name] = source
        self._connection.register(name, source)
        return framed(self._connection.view(name))

    def _arrow_schema(self, frame: Frame) -> pa.Schema:
        with self._queries.running(frame) as (cursor, sql):
            return cursor.sql(no_rows_of(sql)).to_arrow_table().schema
