"""Whether two audits wrote the same tables: every cell of every row, whatever the order of rows."""

from __future__ import annotations

from pathlib import Path

import duckdb
from deltalake import DeltaTable

COMPARED = ("examples", "issues", "tag_issues", "classes", "quarantine")


def differing_rows(first: Path, second: Path) -> dict[str, int]:
    """Rows that only one of two outputs has, by table; each output holds one run.

    Args:
        first: Folder of an output.
        second: Folder of the other.
    """
    return {name: _differing(first / name, second / name) for name in COMPARED}


def _differing(first: Path, second: Path) -> int:
    connection = duckdb.connect()
    one, other = (_rows(place) for place in (first, second))
    return sum(
        _count(connection, query) for query in (f"{one} EXCEPT ALL {other}", f"{other} EXCEPT ALL {one}")
    )


def _count(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM ({query})").fetchone()
    return row[0] if row else 0


def _rows(place: Path) -> str:
    table = DeltaTable(str(place))
    names = [field.name for field in table.schema().fields if field.name != "run_id"]
    columns = ", ".join(f'"{name}"' for name in names)
    files = ", ".join(f"'{uri.removeprefix('file://')}'" for uri in table.file_uris())
    if not files:
        return f"SELECT {', '.join('NULL' for _ in names)} WHERE false"
    return f"SELECT {columns} FROM read_parquet([{files}], union_by_name = true)"
