"""Names that come from data or config become columns of frames here, and nowhere else.

Neither narwhals nor the engines below it keep a dot or a backtick in a name apart from their own syntax
everywhere. So frames bear such names with stand-ins, and only what leaves them has the true ones.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import narwhals as nw
import pyarrow as pa

from spark_ml_audit.errors import InputError

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Frame

# From Unicode's private area: no keyboard makes them.
_STAND_INS = {".": "\uf8e0", "`": "\uf8e1", '"': "\uf8e2"}
_TO_FRAME = str.maketrans(_STAND_INS)
_FROM_FRAME = str.maketrans({value: key for key, value in _STAND_INS.items()})


def framed(native: Any) -> Frame:
    """A lazy frame of the library below as one of narwhals."""
    frame: Frame = nw.from_native(native)
    return frame


def in_frame(name: str) -> str:
    """The name that a column has in frames.

    >>> in_frame("title"), in_frame("a.b") == "a.b"
    ('title', False)
    """
    return name.translate(_TO_FRAME)


def true_name(name: str) -> str:
    """The name of a column as users know it.

    >>> true_name(in_frame("a.`b`"))
    'a.`b`'
    """
    return name.translate(_FROM_FRAME)


def column(name: str) -> nw.Expr:
    """The column of exactly this name, dots and backticks included."""
    return nw.col(in_frame(name))


def names_of(frame: Frame) -> list[str]:
    """Names of a frame's columns, as users know them."""
    return [true_name(name) for name in frame.collect_schema().names()]


def quote(name: str) -> str:
    """One identifier part in backticks, so that no character of it has a meaning."""
    return "`" + name.replace("`", "``") + "`"


def bin_of(values: nw.Expr, num_bins: int) -> nw.Expr:
    """Bin of each value, of equal bins over [0, 1]; what rounding put outside is in the nearest."""
    return (values * num_bins).floor().cast(nw.Int32).clip(0, num_bins - 1)


def field(schema: pa.Schema, name: str, key: str) -> Any:
    """The schema field of a source column.

    Args:
        schema: From `Engine.schema`.
        name: Of the column.
        key: Config key that names it, for messages.

    Raises:
        InputError: There is no such column; the message names those there are.
    """
    place = schema.get_field_index(name)
    if place < 0:
        raise InputError(
            f"the source has no column '{name}'.", key=key, fix=missing_column_fix(name, schema.names)
        )
    return schema.field(place)


def missing_column_fix(name: str, existing: Sequence[str], *, near: str | None = None) -> str:
    """What to do about a column that is not there.

    Args:
        name: Of the column.
        existing: The columns there are.
        near: The one that is probably meant; by default one of a similar name.
    """
    if near is None:
        near = next(iter(difflib.get_close_matches(name, existing, n=1, cutoff=0.6)), None)
    shown = ", ".join(f"'{other}'" for other in list(existing)[:30]) + (", ..." if len(existing) > 30 else "")
    hint = f"Did you mean '{near}'? " if near else ""
    return f"{hint}Its columns are: {shown}."
