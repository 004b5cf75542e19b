"""The rows of a Delta table without Spark: by DuckDB from its files, else by delta-rs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import narwhals as nw
import pyarrow as pa
import pyarrow.parquet as pq

from spark_ml_audit.engines.columns import in_frame
from spark_ml_audit.engines.duckdb_types import literal, quoted
from spark_ml_audit.engines.embedded_sql import read_files
from spark_ml_audit.lake.delta_rs_log import added_files, fields_of, is_mapped
from spark_ml_audit.lake.delta_types import UnsupportedError, arrow_schema, to_duckdb

if TYPE_CHECKING:
    import deltalake

    from spark_ml_audit.engines.base import Frame
    from spark_ml_audit.engines.embedded import EmbeddedEngine

# What a reader need know nothing of, casts (files of older types), or sees by the types of columns.
_HARMLESS = {
    "variantType",
    "variantType-preview",
    "timestampNtz",
    "typeWidening",
    "typeWidening-preview",
    "v2Checkpoint",
    "vacuumProtocolCheck",
    "columnMapping",
    "deletionVectors",
}
_FILE = "spark_ml_audit_file"


def frame_of(engine: EmbeddedEngine, table: deltalake.DeltaTable, folder: Path, run_id: str | None) -> Frame:
    """The rows of a table at the version that was opened.

    Args:
        engine: What reads the files.
        table: The table.
        folder: Where it is.
        run_id: The run whose rows are wanted, by the column run_id; None: all rows.

    Raises:
        UnsupportedError: The table needs what is not known here.
    """
    needed = set(table.protocol().reader_features or ())
    if needed - _HARMLESS:
        raise UnsupportedError(f"it uses {', '.join(sorted(needed - _HARMLESS))}")
    schema = arrow_schema(fields_of(table))
    if is_mapped(table) or ("deletionVectors" in needed and _has_deletion_vectors(table)):
        frame = _streamed(engine, table, schema, run_id)
    else:
        frame = _scanned(engine, _live_files(table, folder, run_id), schema)
    return frame if run_id is None else frame.filter(nw.col("run_id") == run_id)


def _has_deletion_vectors(table: deltalake.DeltaTable) -> bool:
    found = pa.RecordBatchReader.from_stream(table.deletion_vectors())
    return any(batch.num_rows for batch in found)


# ---- from files ------------------------------------------------------------------------------------


def _live_files(table: deltalake.DeltaTable, folder: Path, run_id: str | None) -> pa.Table:
    """The files of a table, without those that their statistics show to hold no row of a run.

    Returns:
        Their absolute paths, in the column `_FILE`, and their partition values.
    """
    found = added_files(table)
    paths = pa.array([_absolute(path, folder) for path in found.column("path").to_pylist()], pa.string())
    names = table.metadata().partition_columns
    values = found.column("partition").combine_chunks() if names else None
    columns = [] if values is None else [values.field(name) for name in names]
    files = pa.table([paths, *columns], names=[_FILE, *map(in_frame, names)])
    least, largest = _statistic(found, "min", "run_id"), _statistic(found, "max", "run_id")
    if run_id is None or least is None or largest is None:
        return files
    may_hold = [
        low is None or high is None or low <= run_id <= high for low, high in zip(least, largest, strict=True)
    ]
    return files.filter(pa.array(may_hold, pa.bool_()))


def _statistic(files: pa.Table, kind: str, column: str) -> list[Any] | None:
    """A statistic of a column, by file; None where no file has it."""
    if kind not in files.column_names:
        return None
    structs = files.column(kind).combine_chunks()
    if structs.type.get_field_index(column) < 0:
        return None
    values: list[Any] = structs.field(column).to_pylist()
    return values


def _absolute(path: str, folder: Path) -> str:
    """The place of a file that the log names: below the table's folder, or anywhere after a shallow clone."""
    if path.startswith("file:"):
        return unquote(urlsplit(path).path)
    return str(folder / unquote(path))


def _scanned(engine: EmbeddedEngine, files: pa.Table, schema: pa.Schema) -> Frame:
    """The rows of files as the log says they are: missing columns null, older types cast.

    Files of the same columns and types are scanned together: DuckDB then looks at the first alone before it
    reads.
    """
    partitioned = [name for name in files.column_names if name != _FILE]
    stored = [item for item in schema if in_frame(item.name) not in partitioned]
    alike: dict[tuple[Any, ...], list[str]] = {}
    for path in files.column(_FILE).to_pylist():
        found = pq.read_schema(path)
        key = tuple((name, str(kind)) for name, kind in zip(found.names, found.types, strict=True))
        alike.setdefault(key, []).append(path)
    queries = [
        _query(paths, [name for name, _ in key], stored, with_file=bool(partitioned))
        for key, paths in alike.items()
    ]
    rows = engine.sql_frame(" UNION ALL ".join(queries) or _no_rows(schema))
    if not partitioned or not queries:
        return rows
    kinds = pa.schema([(_FILE, pa.string()), *[(in_frame(item.name), item.type) for item in schema]])
    values = files.cast(pa.schema([kinds.field(name) for name in files.column_names]))
    joined = rows.join(engine.from_arrow(values), on=_FILE, how="left")
    return joined.select([nw.col(in_frame(name)) for name in schema.names])


def _query(paths: Sequence[str], there: Sequence[str], columns: Sequence[Any], *, with_file: bool) -> str:
    """The query of files that all have the same columns."""
    known = {name.lower(): name for name in there}
    chosen = []
    for item in columns:
        name = known.get(item.name.lower())
        value = "NULL" if name is None else quoted(name)
        chosen.append(f"CAST({value} AS {to_duckdb(item.type)}) AS {quoted(in_frame(item.name))}")
    options = "hive_partitioning = false" + (f", filename = '{_FILE}'" if with_file else "")
    selected = ", ".join([*chosen, *([_FILE] if with_file else [])])
    return f"SELECT {selected} FROM ({read_files(paths, options)})"


def _no_rows(schema: pa.Schema) -> str:
    chosen = [f"CAST(NULL AS {to_duckdb(item.type)}) AS {quoted(in_frame(item.name))}" for item in schema]
    return f"SELECT {', '.join(chosen)} WHERE false"


# ---- by delta-rs -----------------------------------------------------------------------------------


def _streamed(
    engine: EmbeddedEngine, table: deltalake.DeltaTable, schema: pa.Schema, run_id: str | None
) -> Frame:
    """The rows as delta-rs reads them: it knows deleted rows of files, and columns under other names."""
    wanted = None if run_id is None else f"run_id = {literal(run_id)}"

    def batches() -> Iterator[Any]:
        for batch in pa.RecordBatchReader.from_stream(table.scan(predicate=wanted)):
            columns = [column.cast(kind) for column, kind in zip(batch.columns, schema.types, strict=True)]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    return engine.from_stream(lambda: pa.RecordBatchReader.from_batches(schema, batches()), schema)
