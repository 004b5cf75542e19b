"""Tables that people hold in memory: their rows as Arrow, and results in the form in which the rows came.

Which library holds a table is narwhals' business, or that of Arrow's capsule interface; only the index, which
pandas alone has, is looked at here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import narwhals as nw
import pyarrow as pa
import pyarrow.compute as pc

from spark_ml_audit.arrow.types import is_binary, is_integral, is_list, is_string
from spark_ml_audit.config.source import ROW_NUMBER
from spark_ml_audit.errors import InputError, reason_of
from spark_ml_audit.text import enumerated, show

if TYPE_CHECKING:
    import pandas as pd

    from spark_ml_audit.engines.base import Engine, Frame

ID = "id"
NUMBERED = (
    "Rows have no id of their own: they are numbered from 0 in the order in which they were given (column "
    f"{ROW_NUMBER}), and what is said of a row holds for this order alone."
)
"""What a result says of such rows."""

_CLASSES = b"classes"


@dataclass(frozen=True)
class Held:
    """A table that somebody holds.

    Attributes:
        table: Its rows.
        backend: Library in whose form results go back, as narwhals names it.
        index: Name and values of an index that names the rows; None without one.
        unread: Column -> why its values cannot be read; `table` lacks it.
        notes: How it was understood, one sentence each.
        is_numbered: Whether its rows are named by their number.
    """

    table: pa.Table
    backend: Any
    index: tuple[str, Any] | None = None
    unread: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    is_numbered: bool = False

    def in_kind(self, table: pa.Table) -> Any:
        """A result in the form in which the rows came.

        Args:
            table: The result.

        Example:
            >>> held = hold(pa.table({"id": [1]}))
            >>> type(held.in_kind(pa.table({"tags": [["red"]]}))).__name__
            'Table'
        """
        if self.backend == "pandas":
            return to_pandas(table)
        return nw.DataFrame.from_arrow(table, backend=self.backend).to_native()

    def in_order(self, table: pa.Table, name: str) -> pa.Table:
        """Rows of a result in the order of the table's.

        Args:
            table: Rows that each belong to one of this table, or to one whose id is null.
            name: Column of the ids, of both.

        Example:
            >>> held = hold(pa.table({"id": ["b", "a"]}))
            >>> scores = pa.table({"id": ["a", "b"], "p": [0.1, 0.9]})
            >>> held.in_order(scores, "id").column("p").to_pylist()
            [0.9, 0.1]
        """
        known = self.table.column(name)
        if pa.types.is_dictionary(known.type):
            known = known.cast(known.type.value_type)
        if _rises(known):
            return table.sort_by(name)
        kind = pa.string() if is_string(known.type) else pa.binary() if is_binary(known.type) else known.type
        places = pc.index_in(table.column(name).cast(kind), value_set=known.cast(kind))
        return table.take(pc.sort_indices(places))

    def check(self, names: Iterable[str]) -> None:
        """Refuse columns that are asked for and cannot be read.

        Args:
            names: Of columns; others than those of the table are passed over.

        Raises:
            InputError: One cannot be read (key: its name).
        """
        for name in names:
            if name in self.unread:
                raise InputError(
                    f"the column cannot be read: {self.unread[name]}.",
                    key=name,
                    fix="Give it values of one type.",
                )

    def with_ids(self, name: str | None, *, numbered: bool = False) -> tuple[Held, str]:
        """The table with a column that names its rows, and the name of it.

        Args:
            name: The column or index asked for; None takes a column `id`, else the index, else numbers.
            numbered: Whether None takes numbers whatever else there is.

        Raises:
            InputError: The name of the column to be added is that of another one.

        Example:
            >>> held, name = hold(pa.table({"tags": ["a", "b"]})).with_ids(None)
            >>> name, held.table.column(name).to_pylist()
            ('row_number', [0, 1])
        """
        names = self.table.column_names
        if name is not None and (name in names or self.index is None or self.index[0] != name):
            return self._with_signed(name), name
        if name is None and ID in names and not numbered:
            return self._with_signed(ID), ID
        if self.index is not None and not numbered:
            return self._with_column(*self.index, f"Rows are named by the index '{self.index[0]}'.")
        if ROW_NUMBER in names:  # as an earlier result gave them
            return replace(self, is_numbered=True), ROW_NUMBER
        numbers = pa.array(range(self.table.num_rows), pa.int64())
        held, name = self._with_column(ROW_NUMBER, numbers, NUMBERED)
        return replace(held, is_numbered=True), name

    def _with_signed(self, name: str) -> Held:
        """The table, ids of an unsigned type that tables lack as whole numbers of theirs, where they fit."""
        place = self.table.schema.get_field_index(name)
        if place < 0 or self.table.schema.field(place).type != pa.uint64():
            return self
        try:
            signed = self.table.column(place).cast(pa.int64())
        except pa.ArrowInvalid:
            return self  # refused with its type where ids are looked at
        return replace(self, table=self.table.set_column(place, name, signed))

    def _with_column(self, name: str, values: Any, note: str) -> tuple[Held, str]:
        others = {other.casefold(): other for other in self.table.column_names}
        taken = others.get(name.casefold())
        if taken is not None:
            raise InputError(
                f"no column is named as id, and '{name}', which would be added, is there ('{taken}').",
                key="source.id",
                fix=f"Name the column that names a row: source.id='{taken}', or another one.",
            )
        table = self.table.add_column(0, name, values)
        return replace(self, table=table, notes=(*self.notes, note)), name

    def with_classes(self, column: str) -> Held:
        """The table, a class list that it has for its own noted with the column of the probabilities."""
        noted = (self.table.schema.metadata or {}).get(_CLASSES)
        place = self.table.schema.get_field_index(column)
        if noted is None or place < 0 or _CLASSES in (self.table.schema.field(place).metadata or {}):
            return self
        item = self.table.schema.field(place)
        named = item.with_metadata({**(item.metadata or {}), _CLASSES: noted})
        return replace(self, table=self.table.cast(self.table.schema.set(place, named)))


def _rises(ids: pa.ChunkedArray) -> bool:
    """Whether whole numbers rise from row to row, as row numbers do: sorting them gives the rows' order."""
    if not pa.types.is_integer(ids.type) or ids.null_count:
        return False
    values = ids.to_numpy()
    return bool((values[1:] > values[:-1]).all())


def hold(data: Any) -> Held | None:
    """A table in memory; None for what an engine itself holds, as frames of Spark and relations of DuckDB.

    Args:
        data: pandas or Polars DataFrame, Arrow table, or anything that narwhals or Arrow's capsule interface
            reads.

    Raises:
        InputError: Two columns bear one name, or a column cannot be read.
    """
    if nw.dependencies.is_pandas_dataframe(data):
        return _of_pandas(data)
    if is_of_engine(data) or not is_table(data):
        return None
    try:
        return _of_others(data)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputError(
            f"the rows cannot be read: {reason_of(error)}.",
            key="data",
            fix="Give each column values of one type.",
        ) from error


def is_table(data: Any) -> bool:
    """Whether something is a table, of whatever library.

    >>> is_table(pa.table({"id": [1]})), is_table([[0, 1], [2]])
    (True, False)
    """
    if hasattr(type(data), "__arrow_c_stream__") and not _is_series(data):
        return True
    return is_of_engine(data) or _understood(data) is not None


def is_of_engine(data: Any) -> bool:
    """Whether something is a frame of Spark or a relation of DuckDB."""
    known = _understood(data)
    return known is not None and known.implementation.value in ("pyspark", "pyspark[connect]", "duckdb")


def _is_series(data: Any) -> bool:
    return isinstance(nw.from_native(data, allow_series=True, pass_through=True), nw.Series)


def _understood(data: Any) -> Any:
    """The frame as narwhals has it; None for what it does not know."""
    found = nw.from_native(data, pass_through=True)
    return found if isinstance(found, nw.DataFrame | nw.LazyFrame) else None


def _of_others(data: Any) -> Held:
    found = _understood(data)
    if isinstance(found, nw.LazyFrame):
        found = found.collect()
    if found is None:
        return Held(pa.table(data), "pyarrow")
    backend = found.implementation.value
    if backend == "pandas":  # of what a lazy frame became
        return _of_pandas(found.to_native())
    return Held(found.to_arrow(), backend)


# ---- pandas ----------------------------------------------------------------------------------------


def _of_pandas(data: pd.DataFrame) -> Held:
    names = [str(name) for name in data.columns]
    twice = names if len(set(names)) < len(names) else []
    if twice:
        name = next(name for name in twice if twice.count(name) > 1)
        raise InputError(
            f"two columns are named {show(name)}.", key="data", fix="Give every column a name of its own."
        )
    read = {name: _read(data.iloc[:, place]) for place, name in enumerate(names)}
    unread = {name: values for name, values in read.items() if isinstance(values, str)}
    table = pa.table({name: values for name, values in read.items() if name not in unread})
    classes = data.attrs.get("classes")
    if classes is not None:
        table = table.replace_schema_metadata({_CLASSES: json.dumps(list(classes))})
    return Held(table, "pandas", _index_of(data.index), unread, _notes_on(unread))


def _read(values: pd.Series[Any]) -> Any:
    """A column as Arrow, or why it cannot be read; sets, which Arrow does not know, become lists in order."""
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError) as error:
        if values.dtype != object or not any(isinstance(value, set | frozenset) for value in values):
            return _why_unread(values, error)
    try:
        plain = [sorted(value) if isinstance(value, set | frozenset) else value for value in values]
        return pa.array(plain, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError) as error:
        return _why_unread(values, error)


def _why_unread(values: pd.Series[Any], error: Exception) -> str:
    """What is wrong with a column, by the types of what it holds where these differ."""
    first: dict[str, int] = {}
    for number, value in enumerate(values):
        if value is not None and value == value:  # noqa: PLR0124 - not NaN
            first.setdefault(type(value).__name__, number)
        if len(first) > 1:
            kinds = [f"{kind} (row {number})" for kind, number in first.items()]
            return f"it holds values of more than one type, such as {enumerated(kinds)}"
    return reason_of(error)


def _notes_on(unread: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"Column '{name}' was left out: {why}." for name, why in unread.items())


def _index_of(index: pd.Index[Any]) -> tuple[str, Any] | None:
    """An index that names rows: one of a single level, unique, without gaps, and not the numbers from 0."""
    if index.nlevels > 1 or not index.is_unique or index.hasnans:
        return None
    name = "index" if index.name is None else str(index.name)
    is_numbered = index.dtype.kind == "i" and len(index) and index[0] == 0 and index[-1] == len(index) - 1
    if index.name is None and (not len(index) or (is_numbered and index.is_monotonic_increasing)):
        return None
    try:
        values = pa.array(index, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError):
        return None
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    kind = values.type
    fits = is_string(kind) or is_integral(kind) or is_binary(kind) or pa.types.is_date(kind)
    return (name, values) if fits else None


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """An Arrow table as pandas users have theirs: lists as lists, not as arrays.

    Example:
        >>> to_pandas(pa.table({"id": [7], "tags": [["red", "green"]]})).to_dict("records")
        [{'id': 7, 'tags': ['red', 'green']}]
    """
    import pandas as pd

    columns = {
        name: _lists_of(column.combine_chunks()) if is_list(column.type) else column.to_pandas()
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    frame = pd.DataFrame(columns, columns=table.column_names)
    noted = [item.metadata[_CLASSES] for item in table.schema if _CLASSES in (item.metadata or {})]
    if noted:  # pandas knows no notes of columns
        frame.attrs["classes"] = json.loads(noted[0])
    return frame


def _lists_of(lists: Any) -> list[list[Any] | None]:
    """Lists of Python; equal texts are one object."""
    if pa.types.is_nested(lists.type.value_type):
        found: list[list[Any] | None] = lists.to_pylist()
        return found
    flat, end, rows = lists.flatten().to_pandas().tolist(), 0, []
    for size in lists.value_lengths().to_pylist():
        begin, end = end, end + (size or 0)
        rows.append(None if size is None else flat[begin:end])
    return rows


# ---- results ---------------------------------------------------------------------------------------


def result_of(
    engine: Engine, frame: Frame, held: Held | None, order: Callable[[pa.Table], pa.Table] | None = None
) -> Any:
    """A frame as the one who asked has the rows: in the form in which they came, or as the engine's own.

    Args:
        engine: What runs the frame.
        frame: The result.
        held: The rows asked about; None where the engine holds them.
        order: Puts the rows of a result in hand in order; frames of engines have none.
    """
    if held is None:
        return engine.native(frame)
    found = engine.collect(frame)
    return held.in_kind(found if order is None else order(found))


def named_in(options: Any) -> set[str]:
    """All texts in options, nested ones included: columns may be among them.

    >>> sorted(named_in({"text": ["title", "body"], "threshold": 0.8}))
    ['body', 'title']
    """
    if isinstance(options, str):
        return {options}
    if isinstance(options, Mapping):
        options = list(options.values())
    return set().union(*map(named_in, options)) if isinstance(options, list | tuple | set) else set()
