"""What an engine can do. Code above asks for this and for no engine by name.

A frame is lazy and belongs to the engine that made it. Functions that engines run on batches are pure: what
they give must not depend on the order of rows or on how rows are split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_ml_audit.kernels.records import Records

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Batches: TypeAlias = Iterator[Any]
"""Arrow record batches."""

BatchMap: TypeAlias = Callable[[Batches], Batches]

BatchReduction: TypeAlias = Callable[[Batches], Iterator[Records]]


FEW_ROWS = 100_000
"""Rows that any engine sorts in one place without a thought."""


class Engine(Protocol):
    """Runs the audit's frames."""

    # ---- frames in and out -------------------------------------------------------------------------

    def scan_files(
        self,
        path: str,
        file_format: str,
        version: str | int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> DataFrame:
        """The rows below an absolute path.

        Args:
            path: Absolute path or address.
            file_format: delta, parquet or csv.
            version: Version to read, of a format that has versions.
            options: Of the reader, such as `header` for csv.
        """

    def scan_table(self, name: str) -> DataFrame:
        """The rows of a table or view of the catalog, its name quoted."""

    def from_arrow(self, table: pa.Table) -> DataFrame:
        """A small Arrow table as a frame."""

    def collect(self, frame: DataFrame) -> pa.Table:
        """The rows of a small frame."""

    # ---- work on batches ---------------------------------------------------------------------------

    def map_batches(
        self, frame: DataFrame, function: BatchMap, *, keep: Sequence[str], add: pa.Schema
    ) -> DataFrame:
        """Put every row through a function.

        Args:
            frame: What the function gets, in batches.
            function: Gives batches of the columns `keep`, then those of `add`; with as many rows as it likes.
            keep: Columns of `frame` that it hands on, their types unchanged.
            add: Columns that it adds.
        """

    def reduce_batches(self, frame: DataFrame, function: BatchReduction) -> Records:
        """Add up small integer records of all rows by (class_index, slot).

        Args:
            frame: What the function gets, in batches.
            function: Gives records: columns class_index, slot, a, b.
        """

    def ranked(
        self, frame: DataFrame, by: tuple[str, str], rank: str, histogram: npt.NDArray[np.int64]
    ) -> DataFrame:
        """Number rows 1..n in an order and lay them out in it: files written of them follow each other.

        Args:
            frame: The rows.
            by: A column of doubles in [0, 1] and one that tells rows of the same value apart; ascending.
            rank: Column to add.
            histogram: Rows by the first column, in equal bins over [0, 1] (see `bin_of`): exact, so that no
                place need sort or count them all.
        """

    def run_groups(
        self,
        rows: DataFrame,
        key: str,
        keys: Sequence[int],
        function: Callable[[int, pa.Table], pa.Table],
        schema: pa.Schema,
    ) -> pa.Table:
        """Call a function once for all rows of each group, groups beside each other; collect what it gives.

        Args:
            rows: Rows of all groups.
            key: Column that tells the group.
            keys: The groups there are.
            function: Of a group and its rows; holds them in memory, in any order.
            schema: What it gives.
        """

    def plain(self, frame: DataFrame) -> DataFrame:
        """The frame with types that every reader of Delta knows."""


def from_records(engine: Engine, rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> DataFrame:
    """A small frame from records of the driver; missing keys become nulls."""
    columns = {name: [row.get(name) for row in rows] for name in schema.names}
    return engine.from_arrow(pa.table(columns, schema=schema))
