"""What an engine can do. Code above asks for this and for no engine by name.

Frames are narwhals' lazy frames and belong to the engine that made them. Functions that engines run on
batches are pure: what they give must not depend on the order of rows or on how rows are split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_ml_audit.kernels.records import Records

if TYPE_CHECKING:
    from pathlib import Path

    import narwhals as nw
    from pyspark.sql import SparkSession

    Frame: TypeAlias = nw.LazyFrame[Any]
    Session: TypeAlias = SparkSession

Found = TypeVar("Found")

Batches: TypeAlias = Iterator[Any]
"""Arrow record batches."""

BatchMap: TypeAlias = Callable[[Batches], Batches]

BatchReduction: TypeAlias = Callable[[Batches], Iterator[Records]]


FEW_ROWS = 100_000
"""Rows that any engine sorts in one place without a thought."""

VECTOR = b"spark_ml_audit.vector"
"""Key of a field's metadata that marks a column of pyspark.ml vectors, which `Engine.schema` calls arrays."""


class Engine(Protocol):
    """Runs the audit's frames."""

    @property
    def kind(self) -> str:
        """`embedded` or `spark`: to be shown, never to be asked."""

    # ---- frames in and out -------------------------------------------------------------------------

    def scan_parquet(self, path: str, *, row_number: str | None = None) -> Frame:
        """The rows of the Parquet files at an absolute path, address or pattern.

        Folders named `column=value` below it (below the fixed part of a pattern) are columns.

        Args:
            path: File, folder or pattern.
            row_number: Column to add: number of the row, from 0, in the order of files by path and of rows.
        """

    def own_folder(self) -> Path | None:
        """A folder for files of ours that frames read, gone with the engine.

        None where tasks see no folder of this machine.
        """

    def scan_table(self, name: str) -> Frame:
        """The rows of a table or view of the catalog, its name quoted."""

    def from_arrow(self, table: pa.Table) -> Frame:
        """A small Arrow table as a frame."""

    def collect(self, frame: Frame) -> pa.Table:
        """The rows of a small frame."""

    def schema(self, frame: Frame) -> pa.Schema:
        """Names of the columns as users know them, their Arrow types, and their metadata.

        A vector of pyspark.ml is an array of doubles with `VECTOR` in its metadata.
        """

    def with_arrays(self, frame: Frame, names: Sequence[str]) -> Frame:
        """The frame with these columns, where they are vectors of pyspark.ml, as arrays of doubles."""

    def native(self, frame: Frame, column_metadata: Mapping[str, Mapping[str, str]] | None = None) -> Any:
        """The frame as users hold it: that of the library below, its columns under their true names.

        Args:
            frame: The frame.
            column_metadata: Column -> what is noted with it, where frames of the library know such notes.
        """

    # ---- work on batches ---------------------------------------------------------------------------

    def map_batches(self, frame: Frame, function: BatchMap, *, keep: Sequence[str], add: pa.Schema) -> Frame:
        """Put every row through a function; lazy, and run anew each time that the result is read.

        Args:
            frame: What the function gets, in batches; columns bear the names that they have in the frame.
            function: Gives batches of the columns `keep`, then those of `add`, of exactly their types; with
                as many rows as it likes.
            keep: Columns of `frame` that it hands on, their types unchanged.
            add: Columns that it adds.
        """

    def reduce_batches(self, frame: Frame, function: BatchReduction) -> Records:
        """Add up small integer records of all rows by (class_index, slot).

        Args:
            frame: What the function gets, in batches.
            function: Gives records: columns class_index, slot, a, b.
        """

    def ranked(self, frame: Frame, by: tuple[str, str], rank: str, histogram: npt.NDArray[np.int64]) -> Frame:
        """Number rows 1..n in an order and lay them out in it: files written of them follow each other.

        Args:
            frame: The rows.
            by: A column of doubles in [0, 1] and one that tells rows of the same value apart; ascending.
            rank: Column to add.
            histogram: Rows by the first column, in equal bins over [0, 1] (see `bin_of`): exact, so that no
                place need sort or count them all.
        """

    def lists(self, frame: Frame, keys: Sequence[str], value: str) -> Frame:
        """One row per combination of keys, with all its values that are not null as one ascending list.

        Args:
            frame: The rows.
            keys: Columns of the key, as the frame names them.
            value: Column of the values; the list bears its name.
        """

    def run_groups(
        self,
        rows: Frame,
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
            function: Of a group and its rows; picklable; holds them in memory, in any order.
            schema: What it gives.
        """

    def beside(self, work: Callable[[], Found]) -> Callable[[], Found]:
        """Begin work beside other work, where two queries at once are more than one after the other.

        Args:
            work: Only reads: Spark 3.5 does not know its session's catalog where a thread of ours writes.

        Returns:
            Waits for its result, or raises its error; does the work now where it was not begun.
        """

    def close(self) -> None:
        """Let go of what this engine opened itself: files, connections; a session given stays."""


def from_records(engine: Engine, rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> Frame:
    """A small frame from records of the driver; missing keys become nulls."""
    columns = {name: [row.get(name) for row in rows] for name in schema.names}
    return engine.from_arrow(pa.table(columns, schema=schema))


def rows_of(engine: Engine, frame: Frame) -> list[dict[str, Any]]:
    """The rows of a small frame as records."""
    found: list[dict[str, Any]] = engine.collect(frame).to_pylist()
    return found


def count_rows(engine: Engine, frame: Frame) -> int:
    """How many rows a frame has."""
    import narwhals as nw

    return int(engine.collect(frame.select(nw.len().alias("num_rows"))).column(0)[0].as_py())


def is_empty(engine: Engine, frame: Frame) -> bool:
    """Whether a frame has no row."""
    return not engine.collect(frame.head(1)).num_rows
