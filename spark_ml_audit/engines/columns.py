"""Names that come from data or config become columns and SQL identifiers here, and nowhere else."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StructField

from spark_ml_audit.errors import InputError


def quote(name: str) -> str:
    """One identifier part in backticks, so that no character of it has a meaning."""
    return "`" + name.replace("`", "``") + "`"


def column(name: str) -> Column:
    """The column of exactly this name, dots and backticks included."""
    return F.col(quote(name))


def split_text(text: Column, delimiter: str) -> Column:
    """Parts of a text between delimiters, which are text and no pattern; empty parts stay."""
    quoted = r"\Q" + delimiter.replace(r"\E", r"\E\\E\Q") + r"\E"
    return F.split(text, quoted)


def row_as_json(struct: Column) -> Column:
    """A struct as JSON, nulls written out."""
    return F.to_json(struct, {"ignoreNullFields": "false"})


def unit_hash(*values: Column) -> Column:
    """A double in [0, 1) that follows from some values alone: draws by it never depend on order."""
    return F.shiftrightunsigned(F.xxhash64(*values), 11).cast("double") / F.lit(float(1 << 53))


def bin_of(values: Column, num_bins: int) -> Column:
    """Bin of each value, of equal bins over [0, 1]; what rounding put outside is in the nearest."""
    place = F.floor(values * num_bins)
    return F.greatest(F.least(place, F.lit(num_bins - 1)), F.lit(0)).cast("int")


def field(frame: DataFrame, name: str, key: str) -> StructField:
    """The schema field of a source column.

    Raises:
        InputError: There is no such column; the message names those there are.
    """
    for candidate in frame.schema.fields:
        if candidate.name == name:
            return candidate
    raise InputError(
        f"the source has no column '{name}'.", key=key, fix=missing_column_fix(name, frame.schema.names)
    )


def missing_column_fix(name: str, existing: Sequence[str]) -> str:
    """What to do about a column that is not there."""
    near = difflib.get_close_matches(name, existing, n=1, cutoff=0.6)
    shown = ", ".join(f"'{other}'" for other in list(existing)[:30]) + (", ..." if len(existing) > 30 else "")
    hint = f"Did you mean '{near[0]}'? " if near else ""
    return f"{hint}Its columns are: {shown}."


def type_name(data_type: DataType) -> str:
    """A type as SQL writes it."""
    return data_type.simpleString()
