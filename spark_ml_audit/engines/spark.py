"""The engine that Spark is: classic sessions, Spark Connect, Databricks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_ml_audit.arrow.records import RECORD_SCHEMA, partial_sums, to_records
from spark_ml_audit.engines.base import Batches, BatchMap, BatchReduction, Found
from spark_ml_audit.engines.columns import framed, in_frame, true_name
from spark_ml_audit.engines.plain_strings import plain_strings
from spark_ml_audit.engines.ranking import ranked_frame
from spark_ml_audit.engines.spark_files import folder_of, scan_files, with_row_numbers
from spark_ml_audit.engines.streams import same_types
from spark_ml_audit.engines.transfer import (
    arrow_schema,
    from_arrow,
    is_vector,
    spark_column,
    spark_fields,
    to_arrow,
)
from spark_ml_audit.kernels.records import Records

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from spark_ml_audit.engines.base import Frame


@dataclass(frozen=True)
class SparkEngine:
    """Runs frames in a Spark session; see `base.Engine` for what its methods promise.

    Only what every kind of session has is used: no RDD, no JVM handle, no cache, no setting.

    Attributes:
        session: The session.
    """

    session: SparkSession

    @property
    def kind(self) -> str:
        """Its name."""
        return "spark"

    def scan_parquet(self, path: str, *, row_number: str | None = None) -> Frame:
        """The rows of Parquet files; folders named `column=value` become columns."""
        rows = scan_files(self.session, path)
        return to_frame(rows if row_number is None else with_row_numbers(rows, row_number))

    def own_folder(self) -> Path | None:
        """A folder of this process where its tasks run on this machine; None where they may not."""
        return folder_of(self.session)

    def scan_table(self, name: str) -> Frame:
        """The rows of a table or view of the catalog, its name quoted."""
        return to_frame(self.session.table(name))

    def from_arrow(self, table: pa.Table) -> Frame:
        """A small Arrow table as a frame."""
        renamed = table.rename_columns([in_frame(name) for name in table.column_names])
        return framed(from_arrow(self.session, renamed))

    def collect(self, frame: Frame) -> pa.Table:
        """The rows of a small frame."""
        table = to_arrow(frame.to_native())
        return table.rename_columns([true_name(name) for name in table.column_names])

    def schema(self, frame: Frame) -> pa.Schema:
        """Names, Arrow types and metadata of the columns."""
        return arrow_schema(frame.to_native().schema)

    def with_arrays(self, frame: Frame, names: Sequence[str]) -> Frame:
        """The frame with these columns, where they are vectors, as arrays."""
        native = frame.to_native()
        wanted = {in_frame(name) for name in names}
        vectors = {item.name for item in native.schema.fields if is_vector(item.dataType)} & wanted
        if not vectors:
            return frame
        from pyspark.ml.functions import vector_to_array

        columns = []
        for name in native.columns:
            value = spark_column(name)
            # the function itself fails on null
            array = F.when(value.isNotNull(), vector_to_array(value)).alias(name)
            columns.append(array if name in vectors else value)
        return framed(native.select(*columns))

    def native(self, frame: Frame, column_metadata: Mapping[str, Mapping[str, str]] | None = None) -> Any:
        """The frame as a DataFrame."""
        return with_notes(from_frame(frame), column_metadata or {})

    def map_batches(self, frame: Frame, function: BatchMap, *, keep: Sequence[str], add: pa.Schema) -> Frame:
        """Put every row through a function, called once per task."""
        native = frame.to_native()
        kept = [T.StructField(name, native.schema[name].dataType) for name in keep]
        schema = T.StructType([*kept, *spark_fields(add)])
        mapped = native.mapInArrow(_checked(function, tuple(keep), add), schema)
        return framed(plain_strings(mapped, schema))

    def reduce_batches(self, frame: Frame, function: BatchReduction) -> Records:
        """Reduce every task's rows to records and add them up."""

        def run(batches: Batches) -> Batches:
            yield from partial_sums(function(batches))

        summed = (
            frame.to_native()
            .mapInArrow(run, T.StructType(spark_fields(RECORD_SCHEMA)))
            .groupBy("class_index", "slot")
            .agg(F.sum("a").alias("a"), F.sum("b").alias("b"))
        )
        return to_records(to_arrow(summed))

    def ranked(self, frame: Frame, by: tuple[str, str], rank: str, histogram: npt.NDArray[np.int64]) -> Frame:
        """Number rows in an order; one shuffle by ranges of it."""
        return framed(ranked_frame(frame.to_native(), by, rank, histogram, self._spread_keys))

    def lists(self, frame: Frame, keys: Sequence[str], value: str) -> Frame:
        """One row per combination of keys, its values as one ascending list."""
        grouped = frame.to_native().groupBy(*[spark_column(name) for name in keys])
        return framed(grouped.agg(F.sort_array(F.collect_list(spark_column(value))).alias(value)))

    def run_groups(
        self,
        rows: Frame,
        key: str,
        keys: Sequence[int],
        function: Callable[[int, pa.Table], pa.Table],
        schema: pa.Schema,
    ) -> pa.Table:
        """Call a function once per group, each in a task of its own."""
        spread = F.lit(None).cast("int")
        for number, place in zip(keys, self._spread_keys(len(keys)), strict=True):
            spread = F.when(F.col(key) == number, F.lit(place)).otherwise(spread)
        apart = rows.to_native().withColumn("spread", spread).repartition(len(keys), "spread")

        def run(batches: Batches) -> Batches:
            # not by applyInArrow, which Spark 3.5 lacks: a partition holds all rows of its groups
            if not (kept := list(batches)):
                return
            table = pa.Table.from_batches(kept)
            kept.clear()
            groups: list[Any] = pc.unique(table.column(key)).to_pylist()
            for number in sorted(groups):
                own = table if len(groups) == 1 else table.filter(pc.equal(table.column(key), number))
                yield from function(number, own).to_batches()

        return to_arrow(apart.mapInArrow(run, T.StructType(spark_fields(schema))))

    def _spread_keys(self, count: int) -> list[int]:
        """Numbers that hash to different partitions, so that no two groups share a task."""
        hashed = self.session.range(64 * count).select(
            F.col("id").cast("int").alias("key"),
            F.pmod(F.hash(F.col("id").cast("int")), F.lit(count)).alias("part"),
        )
        found = hashed.groupBy("part").agg(F.min("key").alias("key")).orderBy("part").collect()
        keys = [row["key"] for row in found]
        free = (number for number in range(64 * count) if number not in keys)
        return keys + [next(free) for _ in range(count - len(keys))]

    def beside(self, work: Callable[[], Found]) -> Callable[[], Found]:
        """Begin work in a thread of its own: Spark plans one query while it runs another."""
        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spark-ml-audit")
        future = pool.submit(work)
        pool.shutdown(wait=False)
        return future.result

    def close(self) -> None:
        """Nothing: sessions belong to others, and a local one to the process."""


def to_frame(frame: DataFrame) -> Frame:
    """A DataFrame as a frame, its columns under the names that frames use."""
    names = frame.columns
    if any(in_frame(name) != name for name in names):
        metadata = {item.name: item.metadata for item in frame.schema.fields}
        frame = frame.select(
            *[spark_column(name).alias(in_frame(name), metadata=metadata[name]) for name in names]
        )
    return framed(frame)


def from_frame(frame: Frame) -> DataFrame:
    """A frame as a DataFrame, its columns under their true names."""
    native: DataFrame = frame.to_native()
    if all(true_name(name) == name for name in native.columns):
        return native
    fields = native.schema.fields
    return native.select(
        *[spark_column(item.name).alias(true_name(item.name), metadata=item.metadata) for item in fields]
    )


def with_notes(rows: DataFrame, notes: Mapping[str, Mapping[str, str]]) -> DataFrame:
    """The rows with more noted in the metadata of their columns.

    Args:
        rows: The rows.
        notes: Column -> what is to be noted.
    """
    if not notes:
        return rows
    return rows.select(
        *[
            spark_column(item.name).alias(
                item.name, metadata={**(item.metadata or {}), **notes.get(item.name, {})}
            )
            for item in rows.schema.fields
        ]
    )


def _checked(function: BatchMap, keep: tuple[str, ...], add: pa.Schema) -> BatchMap:
    """The function, its columns and added types checked: Spark casts what was declared otherwise."""

    def run(batches: Batches) -> Batches:
        for batch in function(batches):
            found = batch.schema
            if found.names != [*keep, *add.names] or not same_types(found.types[len(keep) :], add.types):
                raise TypeError(f"a function gave batches of ({found}), declared were {keep} and ({add})")
            yield batch

    return run
