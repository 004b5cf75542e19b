"""Hashes of values: the same for the same value on every engine, in whatever batch or machine it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spark_ml_audit.arrow.lists import lengths_of, places_of
from spark_ml_audit.arrow.types import is_binary, is_list, is_string

_HASH_KEY = "spark_ml_audit16"  # of SipHash: 16 characters
_NULL = np.uint64(0x9E3779B97F4A7C15)
_UNIT = float(1 << 53)

Hashes = npt.NDArray[np.int64]


def hash_values(values: Any, seed: int = 0) -> Hashes:
    """A 64-bit hash per value.

    Whole numbers hash by their value, whatever their width. Nulls have a hash of their own.

    Args:
        values: Arrow array.
        seed: Another one gives other hashes.

    Example:
        >>> (hash_values(pa.array([7], pa.int8())) == hash_values(pa.array([7, 8])[:1])).all()
        np.True_
        >>> len(set(hash_values(pa.array(["a", "b", None])).tolist()))
        3
    """
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    hashed = _hashed(values)
    if values.null_count:
        hashed = np.where(np.asarray(values.is_null().to_numpy(zero_copy_only=False)), _NULL, hashed)
    offset = np.uint64(seed * int(_NULL) % (1 << 64))
    mixed: Hashes = _mixed(hashed + offset).view(np.int64)
    return mixed


def hash_rows(columns: list[Any], seed: int = 0) -> Hashes:
    """One hash per row of several columns."""
    total = np.full(len(columns[0]), np.uint64(seed % (1 << 64)))
    for values in columns:
        total = _mixed(total * np.uint64(31) + hash_values(values).view(np.uint64))
    rows: Hashes = total.view(np.int64)
    return rows


def unit_interval(hashes: Hashes) -> npt.NDArray[np.float64]:
    """Hashes as doubles in [0, 1): draws by them never depend on the order of rows."""
    unit: npt.NDArray[np.float64] = (hashes.view(np.uint64) >> np.uint64(11)).astype(np.float64) / _UNIT
    return unit


def _hashed(values: Any) -> npt.NDArray[np.uint64]:
    kind = values.type
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        numbers = pc.cast(values, pa.int64(), safe=False)
    elif pa.types.is_date32(kind):
        numbers = values.cast(pa.int32()).cast(pa.int64())
    elif pa.types.is_timestamp(kind):
        numbers = values.cast(pa.timestamp("us", tz=kind.tz), safe=False).cast(pa.int64())
    elif pa.types.is_floating(kind):
        doubles = values.cast(pa.float64()).fill_null(0).to_numpy(zero_copy_only=False) + 0.0
        return np.ascontiguousarray(doubles).view(np.uint64)
    elif is_list(kind):
        return _hashed_lists(values)
    else:
        return _hashed_objects(values)
    return np.asarray(numbers.fill_null(0).to_numpy(zero_copy_only=False), dtype=np.int64).view(np.uint64)


def _hashed_lists(values: Any) -> npt.NDArray[np.uint64]:
    """By the hash and the place of every element."""
    lengths = lengths_of(values)
    ends, places = np.cumsum(lengths), places_of(lengths).astype(np.uint64)
    mixed = _mixed(hash_values(values.flatten()).view(np.uint64) + places * _NULL)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)])
    return np.asarray(sums[ends] - sums[ends - lengths] + lengths.astype(np.uint64))


def _hashed_objects(values: Any) -> npt.NDArray[np.uint64]:
    if not (is_string(values.type) or is_binary(values.type)):
        # structs and what else nobody hashes by the million
        values = pa.array(
            [None if value is None else repr(value) for value in values.to_pylist()], pa.string()
        )
    objects = values.fill_null(b"" if is_binary(values.type) else "").to_numpy(zero_copy_only=False)
    import pandas as pd

    return pd.util.hash_array(objects, hash_key=_HASH_KEY, categorize=False)


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele et al. 2014): every bit of the value reaches every bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
