"""The SQL text that the embedded engine runs, and what DuckDB says of files that it wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from spark_ml_audit.engines.columns import in_frame, true_name
from spark_ml_audit.engines.duckdb_types import literal, plain_type, quoted
from spark_ml_audit.engines.files import partitions_of

_SOURCE = re.compile(r'"?(frame_\d+)"?')


def sources_in(sql: str) -> set[str]:
    """Names of registered sources (frame_<number>) that a query may read."""
    return set(_SOURCE.findall(sql))


def plain_sql(relation: Any) -> str:
    """The SQL of a relation, types that Delta lacks replaced."""
    sql: str = relation.sql_query()
    casts = [plain_type(kind) for kind in relation.types]
    if not any(casts):
        return sql
    columns = [
        quoted(name) if cast is None else f"CAST({quoted(name)} AS {cast}) AS {quoted(name)}"
        for name, cast in zip(relation.columns, casts, strict=True)
    ]
    return f"SELECT {', '.join(columns)} FROM ({sql})"


def under_frame_names(sql: str, columns: Sequence[str]) -> str:
    """A query, its columns under the names that frames use."""
    named = [f"{quoted(name)} AS {quoted(in_frame(name))}" for name in columns]
    return f"SELECT {', '.join(named)} FROM ({sql})"


def under_true_names(sql: str, columns: Sequence[str]) -> str:
    """A query, its columns under the names that users know."""
    named = [f"{quoted(name)} AS {quoted(true_name(name))}" for name in columns]
    return f"SELECT {', '.join(named)} FROM ({sql})"


def read_files(files: Sequence[str], options: str) -> str:
    """A query of the rows of Parquet files."""
    # DuckDB takes brackets and stars in file names for patterns
    listed = ", ".join(literal(re.sub(r"([\[*?])", r"[\1]", file)) for file in files)
    return f"SELECT * FROM read_parquet([{listed}], {options})"


def ranked_sql(sql: str, order: Sequence[str], rank: str) -> str:
    """A query, its rows numbered in an order and in that order.

    They are numbered as they come out of one sort: a window with an order of its own would sort them again.
    """
    by = ", ".join(map(quoted, order))
    return f"SELECT *, row_number() OVER () AS {quoted(rank)} FROM (SELECT * FROM ({sql}) ORDER BY {by})"


def files_sql(files: Sequence[Path], root: str) -> str:
    """A query of the rows of Parquet files; folders named `column=value` below a root are columns."""
    names = [str(file) for file in files]
    below = {name for file in files for name in partitions_of(root, file)}
    if not below:
        return read_files(names, "hive_partitioning = false")
    sql = read_files(names, "hive_partitioning = true")
    # DuckDB takes those of the folders above too
    above = {name for file in files for name in partitions_of("/", file)} - below
    if not above:
        return sql
    return sql.replace("SELECT *", f"SELECT * EXCLUDE ({', '.join(map(quoted, sorted(above)))})", 1)


def numbered_sql(files: Sequence[Path], sql: str, row_number: str) -> str:
    """A query of `files_sql`, its rows numbered from 0 in the order of the files and of their rows."""
    first, firsts = 0, []
    for file in files:
        firsts.append(first)
        first += pq.read_metadata(file).num_rows
    listed = ", ".join(literal(str(file)) for file in files)
    number = f"CAST(file_row_number + MAP([{listed}], {firsts})[filename] AS BIGINT)"
    head, rest = sql.split(" FROM ", 1)
    return f"{head}, {number} AS {quoted(row_number)} FROM {rest}"


def lists_sql(sql: str, keys: Sequence[str], value: str) -> str:
    """One row per combination of keys, the values that are not null as one ascending list."""
    named, listed = ", ".join(map(quoted, keys)), quoted(value)
    values = f"list({listed} ORDER BY {listed}) FILTER (WHERE {listed} IS NOT NULL)"
    return f"SELECT {named}, coalesce({values}, []) AS {listed} FROM ({sql}) GROUP BY {named}"


def no_rows_of(sql: str) -> str:
    """A query without its rows."""
    return f"SELECT * FROM ({sql}) LIMIT 0"


def copy_sql(sql: str, folder: str, *, file_bytes: int, in_order: bool) -> str:
    """A command that writes the rows of a query as Parquet files."""
    options = ["FORMAT parquet", "COMPRESSION snappy", "RETURN_STATS", f"FILE_SIZE_BYTES {file_bytes}"]
    # of one thread each, so that none waits for another
    options.append("FILENAME_PATTERN 'part-{i}'" if in_order else "PER_THREAD_OUTPUT")
    return f"COPY ({sql}) TO {literal(folder)} ({', '.join(options)})"


def split_sql(sql: str, folder: str, key: str) -> str:
    """A command that writes the rows of a query as Parquet files, a folder `key=value` for each value."""
    options = [
        "FORMAT parquet",
        "COMPRESSION snappy",
        f"PARTITION_BY ({quoted(key)})",
        "WRITE_PARTITION_COLUMNS",
    ]
    return f"COPY ({sql}) TO {literal(folder)} ({', '.join(options)})"


def by_column(statistics: Mapping[str, Mapping[str, str]]) -> dict[str, Mapping[str, str]]:
    """Statistics of a file by the names of its columns; parts of nested ones are left out.

    >>> by_column({'"id"': {"min": "1"}, '"l"."element"': {"min": "2"}})
    {'id': {'min': '1'}}
    """
    names = {name: re.fullmatch(r'"((?:[^"]|"")*)"', name) for name in statistics}
    return {
        found[1].replace('""', '"'): statistics[name] for name, found in names.items() if found is not None
    }


def number_of(file: str) -> tuple[int, str]:
    """Place of a file among those of one command."""
    found = re.search(r"(\d+)\D*$", Path(file).name)
    return (int(found[1]) if found else 0, file)
