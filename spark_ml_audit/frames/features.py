"""Feature columns of a source: which they are, as tasks get them, a sample of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from spark_ml_audit.arrow.hashes import Hashes, hash_rows, hash_values
from spark_ml_audit.arrow.types import is_binary, is_list, is_string, type_name
from spark_ml_audit.engines.columns import column, field, true_name
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.comparable import EMBEDDING_TYPES
from spark_ml_audit.frames.formats import is_vector
from spark_ml_audit.models.features import FeatureSpec, detect_features

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Batches, Engine, Frame

SAMPLE_ROWS = 1000
"""Rows by which columns are sorted into kinds, and by which a given model is tried."""


@dataclass(frozen=True)
class Features:
    """What models see of a row.

    Attributes:
        spec: Columns by kind.
        sample: Their values for some rows, chosen by a hash: the same whatever the partitioning.
    """

    spec: FeatureSpec
    sample: pd.DataFrame

    @property
    def names(self) -> tuple[str, ...]:
        """Feature columns, in the order in which they travel."""
        return self.spec.columns


# ---- which columns ---------------------------------------------------------------------------------


def find_features(
    engine: Engine,
    frame: Frame,
    schema: pa.Schema,
    wanted: Any,
    id_name: str,
    exclude: set[str],
    notes: list[str],
) -> Features:
    """Which columns are features and of which kind.

    Args:
        engine: What runs the frame.
        frame: The source.
        schema: Its schema.
        wanted: "auto", or kind -> columns as in ``source.features``.
        id_name: Column by whose hash the sample is chosen.
        exclude: Columns that are no features: id, labels, group.
        notes: Gets a sentence on what was found.

    Raises:
        InputError: A column is missing or of the wrong type, or there is no feature at all.
    """
    if wanted == "auto" or wanted is None:
        types = [(item.name, type_name(item.type)) for item in schema]
        candidates = [name for name, _ in types if name not in exclude]
        sample = sample_of(engine, frame, schema, candidates, id_name)
        spec = detected_features(types, exclude, sample)
        notes.append(f"features: {describe(spec)}")
        return Features(spec, sample[list(spec.columns)])
    spec = named_features(schema, wanted, exclude)
    return Features(spec, sample_of(engine, frame, schema, spec.columns, id_name))


def detected_features(
    types: Sequence[tuple[str, str]], exclude: set[str], sample: pd.DataFrame
) -> FeatureSpec:
    """All columns that can serve as features.

    Args:
        types: Name and type of each column.
        exclude: Columns that are no features: id, labels, group.
        sample: Some rows.

    Raises:
        InputError: There is none.
    """
    spec = detect_features(types, exclude, sample)
    if not spec.columns:
        raise InputError(
            "the source has no text or feature column beside id and labels.",
            key="source.features",
            fix="Give a table with text, numeric, categorical, boolean, date or embedding columns.",
        )
    return spec


def named_features(
    schema: pa.Schema, wanted: Mapping[str, Sequence[str] | None], exclude: set[str]
) -> FeatureSpec:
    """The features that a config names, their types checked; no row is read.

    Args:
        schema: Of the source.
        wanted: Kind -> columns as in ``source.features``.
        exclude: Columns that are no features: id, labels, group.

    Raises:
        InputError: A column is missing or of the wrong type, or none is named.
    """
    kinds = {kind: tuple(wanted.get(kind) or ()) for kind in _FITTING}
    spec = FeatureSpec(**kinds)
    if not spec.columns:
        raise InputError("names no column.", key="source.features", fix="Name at least one feature column.")
    for kind, listed in kinds.items():
        for name in listed:
            _check_feature(schema, name, kind, exclude)
    return spec


_NUMBER = ("tinyint", "smallint", "int", "bigint", "float", "double", "decimal")


_FITTING: dict[str, tuple[str, ...]] = {
    "text": ("string", "array<string>"),
    "numeric": (*_NUMBER, "boolean"),
    "categorical": ("string", "boolean", *_NUMBER),
    "boolean": ("boolean", "tinyint", "smallint", "int", "bigint"),
    "date": ("date", "timestamp", "timestamp_ntz"),
    "embedding": EMBEDDING_TYPES,
    "image": ("string", "binary"),
}


def _check_feature(schema: pa.Schema, name: str, kind: str, exclude: set[str]) -> None:
    key = f"source.features.{kind}"
    if name in exclude:
        raise InputError(
            f"column '{name}' is the id, the group or the labels.",
            key=key,
            fix="A model that sees it would not be out of sample: leave it out.",
        )
    found = type_name(field(schema, name, key).type).partition("(")[0]
    if found not in _FITTING[kind]:
        raise InputError(
            f"column '{name}' is {found}, which is no {kind} column.",
            key=key,
            fix=f"Use a column of type {', '.join(_FITTING[kind])}.",
        )


def describe(spec: FeatureSpec) -> str:
    """The columns by kind, in one line."""
    kinds = {kind: getattr(spec, kind) for kind in _FITTING}
    return "; ".join(
        f"{kind}: {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}"
        for kind, names in kinds.items()
        if names
    )


# ---- their values ----------------------------------------------------------------------------------


def feature_struct(names: Sequence[str]) -> nw.Expr:
    """Columns as they are, as one struct; `to_pandas` makes of its fields what models take."""
    return nw.struct(*[column(name) for name in names])


def vectors_of(schema: pa.Schema, names: Sequence[str]) -> list[str]:
    """Those of some columns that hold vectors of pyspark.ml."""
    return [name for name in names if is_vector(schema.field(name))]


def to_pandas(table: Any) -> pd.DataFrame:
    """An Arrow table or batch of features as models take it, the same on the driver and in tasks.

    Columns bear the names that users know; decimals become doubles, and times the dates that they are in UTC.

    >>> from spark_ml_audit.engines.columns import in_frame
    >>> table = pa.table({"price": pa.array([7], pa.decimal128(3, 2)), in_frame("made.at"): [None]})
    >>> to_pandas(table).to_dict("list")
    {'price': [7.0], 'made.at': [None]}
    """
    arrays = [_plain(table.column(i)) for i in range(table.num_columns)]
    names = [true_name(name) for name in table.schema.names]
    frame: pd.DataFrame = pa.Table.from_arrays(arrays, names=names).to_pandas(date_as_object=True)
    return frame


def _plain(values: Any) -> Any:
    kind = values.type
    if pa.types.is_decimal(kind):
        # by way of texts: Arrow's own cast gives 0.07 as 0.06999999999999999
        return values.cast(pa.string()).cast(pa.float64())
    if pa.types.is_timestamp(kind):
        in_utc = values if kind.tz in (None, "UTC") else values.cast(pa.timestamp(kind.unit, "UTC"))
        return in_utc.cast(pa.date32())
    return values


# ---- a sample of them ------------------------------------------------------------------------------


def sample_of(
    engine: Engine,
    frame: Frame,
    schema: pa.Schema,
    names: Sequence[str],
    id_name: str,
    num_rows: int = SAMPLE_ROWS,
) -> pd.DataFrame:
    """The feature values of the rows whose id hashes lowest; long texts are cut.

    Args:
        engine: What runs the frame.
        frame: The source.
        schema: Its schema.
        names: Columns; those of types that no model reads are left out.
        id_name: Column that names a row.
        num_rows: Rows at most.
    """
    usable = [name for name in names if not is_unusable(schema.field(name).type)]
    if not usable:
        return pd.DataFrame()
    return to_pandas(lowest_rows(engine, frame, usable, id_name, num_rows, cut=TextCut()).values)


@dataclass(frozen=True)
class TextCut:
    """How texts and lists of them are cut.

    Attributes:
        first: Characters of a text, and elements of a list, that stay at the beginning.
        last: Characters that stay at the end.
        whole: Columns, as frames name them, that stay as they are.

    Example:
        >>> TextCut(first=2, last=3).of_table(pa.table({"a": ["abcdefgh", "abcde", None]})).to_pydict()
        {'a': ['ab fgh', 'abcde', None]}
    """

    first: int = 2000
    last: int = 0
    whole: frozenset[str] = frozenset()

    def of_struct(self, values: Any) -> Any:
        """A struct array, its texts cut."""
        arrays = [
            self._of_column(array, item.name)
            for array, item in zip(values.flatten(), values.type, strict=True)
        ]
        return pa.StructArray.from_arrays(arrays, fields=list(values.type))

    def of_table(self, table: Any) -> Any:
        """A table, its texts cut."""
        columns = [self._of_column(table.column(i), item.name) for i, item in enumerate(table.schema)]
        return pa.table(columns, schema=table.schema)

    def _of_column(self, values: Any, name: str) -> Any:
        kind = values.type
        if name in self.whole:
            return values
        if is_list(kind) and is_string(kind.value_type):
            return pc.list_slice(values, 0, self.first, return_fixed_size_list=False).cast(kind)
        if not is_string(kind):
            return values
        head = pc.utf8_slice_codeunits(values, 0, self.first)
        if not self.last:
            return head
        tail = pc.utf8_slice_codeunits(values, -self.last)
        is_short = pc.less_equal(pc.utf8_length(values), self.first + self.last)
        return pc.if_else(
            is_short, values, pc.binary_join_element_wise(head, tail, pa.scalar(" ", values.type))
        )


@dataclass(frozen=True)
class LowestRows:
    """Rows chosen by a hash of their id.

    Attributes:
        values: Arrow table of their values.
        hashes: Of their ids, ascending, shape (n,).
    """

    values: Any
    hashes: Hashes


def lowest_rows(
    engine: Engine,
    frame: Frame,
    names: Sequence[str],
    id_name: str,
    num_rows: int,
    *,
    cut: TextCut | None = None,
) -> LowestRows:
    """The values of the rows whose id hashes lowest: the same rows in the same order on every engine.

    Args:
        engine: What runs the frame.
        frame: The source.
        names: Columns.
        id_name: Column that names a row.
        num_rows: Rows at most.
        cut: How long texts are cut; None: not at all.
    """
    travelling = engine.with_arrays(frame, names)
    ids_apart = travelling.select(column(id_name).alias(_ID), feature_struct(names).alias(_VALUES))
    lowest = engine.map_batches(ids_apart, _Lowest(num_rows, cut), keep=(_VALUES,), add=_PLACES)
    # once more by engine: tasks may be many
    found = engine.collect(lowest.sort(*_PLACES.names).head(num_rows))
    found = found.sort_by([(name, "ascending") for name in _PLACES.names])
    values = pa.Table.from_struct_array(found.column(_VALUES))
    return LowestRows(values, found.column(_PLACES.names[0]).to_numpy())


_ID, _VALUES = "row_id", "features"
# repeated ids are told apart by their values, so that the order is one whatever the partitions
_PLACES = pa.schema([("place", pa.int64()), ("tie", pa.int64())])


class _Lowest:
    """The map: keeps the rows of a task that hash lowest."""

    def __init__(self, num_rows: int, cut: TextCut | None) -> None:
        self._num_rows, self._cut = num_rows, cut

    def __call__(self, batches: Batches) -> Batches:
        kept: Any = None
        for batch in batches:
            hashes = hash_values(batch.column(_ID))
            # most rows of a large table stop here, before anything but their id is looked at
            low = hashes <= self._border(kept, hashes)
            if low.any():
                kept = self._best(kept, batch.column(_VALUES).filter(pa.array(low)), hashes[low])
        if kept is not None:
            yield from kept.combine_chunks().to_batches()

    def _border(self, kept: Any, hashes: Hashes) -> int:
        """The highest hash that may be among the lowest."""
        if kept is not None and kept.num_rows == self._num_rows:
            return int(kept.column(_PLACES.names[0])[-1].as_py())
        if len(hashes) > self._num_rows:
            return int(np.partition(hashes, self._num_rows - 1)[self._num_rows - 1])
        return int(np.iinfo(np.int64).max)

    def _best(self, kept: Any, values: Any, hashes: Hashes) -> Any:
        values = values if self._cut is None else self._cut.of_struct(values)
        columns = [values, pa.array(hashes), pa.array(hash_rows(values.flatten()))]
        more = pa.Table.from_arrays(columns, names=[_VALUES, *_PLACES.names])
        both = more if kept is None else pa.concat_tables([kept, more])
        places = (both.column(name).to_numpy() for name in reversed(_PLACES.names))
        return both.take(pa.array(np.lexsort(tuple(places))[: self._num_rows]))


def is_unusable(kind: Any) -> bool:
    """Whether no model reads a column of this type."""
    if is_list(kind):
        return not (is_string(kind.value_type) or kind.value_type in (pa.float32(), pa.float64()))
    nested = pa.types.is_map(kind) or pa.types.is_struct(kind)
    return nested or is_binary(kind) or pa.types.is_null(kind)
