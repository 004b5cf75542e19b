"""Rows that Python makes, as a source that DuckDB reads: opened anew each time it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from spark_ml_audit.arrow.types import nullable


class Stream:
    """A source by Arrow's capsule interface, which DuckDB scans like a table.

    Args:
        schema: Of the rows.
        open_batches: Gives the batches; called each time that the rows are read.
        failures: Takes what goes wrong, of which DuckDB passes on the text alone.
    """

    def __init__(
        self,
        schema: pa.Schema,
        open_batches: Callable[[], Iterator[Any]],
        failures: list[BaseException],
    ) -> None:
        self._schema = pa.schema([pa.field(item.name, nullable(item.type)) for item in schema])
        self._open = open_batches
        self._failures = failures

    def __arrow_c_schema__(self) -> object:
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        reader = pa.RecordBatchReader.from_batches(self._schema, self._checked())
        return reader.__arrow_c_stream__(requested_schema)

    def _checked(self) -> Iterator[Any]:
        try:
            for batch in self._open():
                yield conformed(batch, self._schema)
        except GeneratorExit:
            raise
        except BaseException as error:
            self._failures.append(error)
            raise


def conformed(batch: Any, schema: pa.Schema) -> Any:
    """A batch, its columns and types checked: what was declared is what comes, without a silent cast.

    Raises:
        TypeError: It has other columns or types.
    """
    if batch.schema.names != schema.names or not same_types(batch.schema.types, schema.types):
        found, declared = _listed(batch.schema), _listed(schema)
        raise TypeError(f"a function gave batches of ({found}), declared were ({declared})")
    return pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def same_types(found: Sequence[Any], declared: Sequence[Any]) -> bool:
    """Whether types are the same but for promises that what is in them is never null."""
    return [nullable(kind) for kind in found] == [nullable(kind) for kind in declared]


def _listed(schema: pa.Schema) -> str:
    return ", ".join(f"{item.name} {item.type}" for item in schema)
