"""Probabilities that are in another file or table than the tags, joined by id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import narwhals as nw
import pyarrow as pa

from spark_ml_audit.arrow.types import is_integral, is_string, type_name
from spark_ml_audit.engines.base import count_rows, rows_of
from spark_ml_audit.engines.columns import column, missing_column_fix
from spark_ml_audit.errors import InputError

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine, Frame

KEY = "source.pred_probs_from"
_THEIR_ID, _OUR_ID = "__probs_id", "__join_id"


@dataclass(frozen=True)
class Side:
    """One of the two: its name as configured, its rows, its columns."""

    name: str
    frame: Frame
    schema: pa.Schema


@dataclass(frozen=True)
class Joined:
    """Both in one.

    Attributes:
        frame: All rows of the source, with their probabilities; null where there are none.
        schema: Its columns with their metadata.
        look: Counts what has no match, in one sentence; runs queries.
    """

    frame: Frame
    schema: pa.Schema
    look: Callable[[], tuple[str, ...]]


def join_probabilities(
    engine: Engine, source: Side, other: Side, id_name: str, names: Sequence[str]
) -> Joined:
    """Put the probabilities of another table beside the rows of a source.

    Args:
        engine: What runs both.
        source: The rows.
        other: The probabilities.
        id_name: Column that names a row in both.
        names: Columns of the probabilities; those that the source has of these names give way.

    Raises:
        InputError: A column is missing, the ids are of types that do not compare, or one of the other
            table's occurs twice.
    """
    for name in (id_name, *names):
        if name not in other.schema.names:
            raise InputError(
                f"'{other.name}' has no column '{name}'.",
                key=KEY,
                fix=missing_column_fix(name, other.schema.names)
                + " Its columns must be called as source.id and source.pred_probs say.",
            )
    if id_name not in source.schema.names:
        return Joined(source.frame, source.schema, tuple)  # what inspects the source refuses it
    ours, theirs, note = _comparable(source, other, id_name)
    right = other.frame.select(theirs.alias(_THEIR_ID), *[column(name) for name in names])
    right = right.filter(~nw.col(_THEIR_ID).is_null())
    _refuse_repeated(engine, right, other.name, id_name)
    kept = [name for name in source.schema.names if name not in names]
    left = source.frame.select(*[column(name) for name in kept], ours.alias(_OUR_ID))
    both = left.join(right, left_on=_OUR_ID, right_on=_THEIR_ID, how="left")
    frame = both.select(*[column(name) for name in (*kept, *names)])
    fields = [source.schema.field(name) for name in kept] + [other.schema.field(name) for name in names]
    replaced = [name for name in names if name in source.schema.names]

    def look() -> tuple[str, ...]:
        said = [_said_of_matches(engine, left, right, other.name, id_name), *note]
        if replaced:
            said.append(
                f"pred_probs_from: column '{replaced[0]}' of the source gives way to that of '{other.name}'"
            )
        return tuple(said)

    return Joined(frame, pa.schema(fields, source.schema.metadata), look)


def _comparable(source: Side, other: Side, id_name: str) -> tuple[nw.Expr, nw.Expr, list[str]]:
    """The ids of both in a form that compares, exactly; and what is to be said of that."""
    ours, theirs = (side.schema.field(id_name).type for side in (source, other))
    mine, own = column(id_name), column(id_name)
    if _kind(ours) == _kind(theirs) is not None:
        return mine, own, []
    if {_kind(ours), _kind(theirs)} == {"number", "text"}:
        # a number has one way to be written: 12 meets '12', never '012'
        said = [
            f"pred_probs_from: '{id_name}' is {type_name(ours)} in the source and {type_name(theirs)} there: "
            "compared as text"
        ]
        if _kind(ours) == "number":
            return mine.cast(nw.String), own, said
        return mine, own.cast(nw.String), said
    raise InputError(
        f"'{id_name}' is {type_name(theirs)} in '{other.name}', but {type_name(ours)} in '{source.name}'.",
        key=KEY,
        fix="Write both with ids of one type, such as text.",
    )


def _kind(kind: Any) -> str | None:
    if is_integral(kind):
        return "number"
    return "text" if is_string(kind) else str(kind)


def _refuse_repeated(engine: Engine, right: Frame, shown: str, id_name: str) -> None:
    times = right.select(_THEIR_ID).group_by(_THEIR_ID).agg(nw.len().alias("times"))
    found = rows_of(engine, times.filter(nw.col("times") > 1).sort(_THEIR_ID).head(1))
    if found:
        raise InputError(
            f"'{id_name}' {found[0][_THEIR_ID]!r} occurs {found[0]['times']} times in '{shown}'.",
            key=KEY,
            fix="Give every row its probabilities once.",
        )


def _said_of_matches(engine: Engine, left: Frame, right: Frame, shown: str, id_name: str) -> str:
    ids = right.select(_THEIR_ID)
    named = left.select(_OUR_ID).filter(~nw.col(_OUR_ID).is_null())
    without = count_rows(engine, named.join(ids, left_on=_OUR_ID, right_on=_THEIR_ID, how="anti"))
    beyond = count_rows(engine, ids.join(named.unique(), left_on=_THEIR_ID, right_on=_OUR_ID, how="anti"))
    said = f"pred_probs_from: joined by '{id_name}' with '{shown}'"
    if not without and not beyond:
        return f"{said}: every row has a match"
    parts = []
    if without:
        parts.append(f"{without} rows of the source have none there and will be in quarantine (probs_null)")
    if beyond:
        parts.append(f"{beyond} rows there belong to no row of the source and are left out")
    return f"{said}: {'; '.join(parts)}"
