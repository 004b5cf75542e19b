"""Arrow batches to NumPy: every label and probability format becomes the kernels' representation.

A row that cannot be used gets the code of its reason; nothing is dropped or repaired. The usual case (all
rows fit) reads the probabilities as a view of the Arrow buffer, without a Python object per row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spark_ml_audit.arrow.hashes import hash_values
from spark_ml_audit.arrow.layout import AUDITED, FAULT, ID, MARKS, REASONS, UNLABELLED, InputLayout
from spark_ml_audit.arrow.lists import lengths_of, places_of
from spark_ml_audit.arrow.types import is_list
from spark_ml_audit.kernels.profile import IntArray

CALIBRATION_SEED = 0x706C6174
"""Of the hash of ids by which rows are in folds for calibration; nothing else is decided by it."""

# Cells decoded at a time: bounds the temporaries of a task, whatever size of batch Spark sends.
_SLICE_CELLS = 1 << 22


@dataclass(frozen=True)
class DecodedBatch:
    """One slice of rows in the kernels' representation.

    Attributes:
        status: Per row of the slice: AUDITED, UNLABELLED or a reason code; int8, shape (n,).
        audited: Positions in the slice of the m audited rows, ascending.
        pred_probs: Their probabilities, shape (m, K), the layout's dtype, no -0.0.
        rows: Audited row of each given tag, ascending; cols: its class, ascending within a row.
        cols: See rows.
        source: The Arrow slice itself.
        marks: Marked cells of the audited rows where the frame carries any: audited row and 2 * class + bit.
    """

    status: npt.NDArray[np.int8]
    audited: IntArray
    pred_probs: npt.NDArray[Any]
    rows: IntArray
    cols: IntArray
    source: Any
    marks: tuple[IntArray, IntArray] | None = None

    @property
    def confirmed(self) -> IntArray | None:
        """Marked cells whose bit is what was given, as audited row * K + class, ascending; None: no marks.

        >>> layout = InputLayout("id", ("tags",), "names", ",", ("p",), "array", "float64", ("red", "green"))
        >>> columns = {"fault": [0], "labels_0": [["green"]], "probs_0": [[0.1, 0.8]], "marks": [[1, 3]]}
        >>> decoded = decode(pa.RecordBatch.from_pydict(columns), layout)  # both tags are marked as present
        >>> decoded.confirmed.tolist()  # red was not given
        [1]
        """
        if self.marks is None:
            return None
        width = self.pred_probs.shape[1]
        cells, bits = self.marks[0] * width + self.marks[1] // 2, self.marks[1] % 2
        is_given = np.isin(cells, self.rows * width + self.cols)
        return np.unique(cells[is_given == (bits == 1)])


def decode_batches(
    batches: Iterable[Any], layout: InputLayout, wanted: int = AUDITED
) -> Iterator[DecodedBatch]:
    """Decode record batches of the passes' frame, in slices of bounded size.

    Args:
        batches: Of the frame.
        layout: How to read them.
        wanted: UNLABELLED: `audited`, `pred_probs` and `marks` are those of rows without tags instead.
    """
    for rows in bounded_slices(batches, layout.num_classes):
        yield decode(rows, layout, wanted)


def bounded_slices(batches: Iterable[Any], num_classes: int) -> Iterator[Any]:
    """Cut record batches so that no piece has more than some millions of cells of rows by classes.

    >>> batch = pa.RecordBatch.from_pydict({"id": list(range(5))})
    >>> [piece.num_rows for piece in bounded_slices([batch], num_classes=2_000_000)]
    [2, 2, 1]
    """
    step = max(1, _SLICE_CELLS // max(1, num_classes))
    for batch in batches:
        for start in range(0, batch.num_rows, step):
            yield batch.slice(start, step)


def decode(batch: Any, layout: InputLayout, wanted: int = AUDITED) -> DecodedBatch:
    """Decode one record batch (see `DecodedBatch` and `decode_batches`).

    >>> layout = InputLayout("id", ("tags",), "names", ",", ("p",), "array", "float64", ("red", "green"))
    >>> columns = {"fault": [0, 0], "labels_0": [["green"], ["blue"]], "probs_0": [[0.1, 0.8], [0.5, 0.5]]}
    >>> decoded = decode(pa.RecordBatch.from_pydict(columns), layout)
    >>> decoded.status.tolist(), REASONS["label_unknown"]
    ([0, 5], 5)
    >>> decoded.pred_probs.tolist(), decoded.rows.tolist(), decoded.cols.tolist()
    ([[0.1, 0.8]], [0], [1])
    """
    decoded = _decode(batch, layout, wanted)
    if layout.calibrators is None:
        return decoded
    folds = folds_of(decoded, layout.calibrators.num_folds) if layout.needs_id else None
    return replace(decoded, pred_probs=layout.calibrators.apply(decoded.pred_probs, folds))


def folds_of(decoded: DecodedBatch, num_folds: int) -> IntArray:
    """Fold of each audited row for calibration, by a hash of its id; the slice has the column `id`."""
    ids = decoded.source.column(ID).take(pa.array(decoded.audited))
    hashed = hash_values(ids, CALIBRATION_SEED).view(np.uint64) % np.uint64(num_folds)
    return hashed.astype(np.int64)


def _decode(batch: Any, layout: InputLayout, wanted: int) -> DecodedBatch:
    num_rows = batch.num_rows
    faults = _Faults(num_rows, np.asarray(batch.column(FAULT).to_numpy(zero_copy_only=False)))
    columns = [_without_decimals(batch.column(name)) for name in layout.label_columns]
    rows, cols, unlabelled = _LABEL_DECODERS[layout.labels_format](columns, layout, faults)
    columns = [_as_floats(batch.column(name), layout.dtype) for name in layout.prob_columns]
    probs = _PROB_DECODERS[layout.pred_probs_format](columns, layout, faults)
    probs = _check_values(probs, faults)

    status = faults.codes
    status[(status == AUDITED) & unlabelled] = UNLABELLED
    good = status == wanted
    if good.all():
        return DecodedBatch(status, np.arange(num_rows), probs, rows, cols, batch, _marks(batch, None))
    audited = np.flatnonzero(good)
    position = np.cumsum(good) - 1
    kept = good[rows]
    marks = _marks(batch, (good, position))
    return DecodedBatch(status, audited, probs[audited], position[rows[kept]], cols[kept], batch, marks)


def _without_decimals(array: Any) -> Any:
    """Labels, decimals among them as doubles."""
    kind = array.type
    if pa.types.is_decimal(kind):
        return array.cast(pa.float64())
    if is_list(kind) and pa.types.is_decimal(kind.value_type):
        return array.cast(pa.list_(pa.float64()))
    return array.cast(pa.list_(kind.value_type)) if pa.types.is_fixed_size_list(kind) else array


def _as_floats(array: Any, dtype: str) -> Any:
    """Probabilities in the dtype of the audit, whatever kind of number they are written as."""
    wanted, kind = pa.from_numpy_dtype(np.dtype(dtype)), array.type
    if pa.types.is_map(kind):
        return array if kind.item_type == wanted else array.cast(pa.map_(kind.key_type, wanted))
    if not is_list(kind):
        return array if kind == wanted else array.cast(wanted, safe=False)
    same = kind.value_type == wanted and pa.types.is_list(kind)
    return array if same else array.cast(pa.list_(wanted), safe=False)


def _marks(
    batch: Any, kept: tuple[npt.NDArray[np.bool_], IntArray] | None
) -> tuple[IntArray, IntArray] | None:
    if MARKS not in batch.schema.names:
        return None
    values, lengths, _ = _list_parts(batch.column(MARKS))
    rows = np.repeat(np.arange(len(lengths)), lengths)
    codes = values.to_numpy(zero_copy_only=False).astype(np.int64)
    if kept is None:
        return rows, codes
    audited = kept[0][rows]
    return kept[1][rows[audited]], codes[audited]


class _Faults:
    """Reason code per row; the lowest code wins."""

    def __init__(self, num_rows: int, known: npt.NDArray[Any]) -> None:
        self.codes: npt.NDArray[np.int8] = known.astype(np.int8)
        self.num_rows = num_rows

    def mark(self, reason: str, where: npt.NDArray[Any]) -> None:
        """Mark rows, given as positions (repeats allowed) or as a mask over all rows."""
        if where.dtype == np.bool_:
            where = np.flatnonzero(where)
        if len(where):
            code, current = np.int8(REASONS[reason]), self.codes[where]
            self.codes[where] = np.where(current == AUDITED, code, np.minimum(current, code))


_Labels = tuple[IntArray, IntArray, npt.NDArray[np.bool_]]


def _nulls(array: Any) -> npt.NDArray[np.bool_]:
    if array.null_count == 0:
        return np.zeros(len(array), dtype=np.bool_)
    return np.asarray(array.is_null().to_numpy(zero_copy_only=False))


def _list_parts(array: Any) -> tuple[Any, IntArray, npt.NDArray[np.bool_]]:
    """Flat values, length per row (0 where null) and null mask of a list array."""
    return array.flatten(), lengths_of(array), _nulls(array)


def _ordered_tags(
    rows: IntArray, cols: IntArray, layout: InputLayout, faults: _Faults
) -> tuple[IntArray, IntArray]:
    """Sort (row, class) pairs, mark rows that repeat one, and keep each once."""
    codes = np.sort(rows * layout.num_classes + cols)
    repeats = np.flatnonzero(codes[1:] == codes[:-1])
    if len(repeats):
        faults.mark("label_repeated", codes[repeats] // layout.num_classes)
        codes = np.delete(codes, repeats)
    return codes // layout.num_classes, codes % layout.num_classes


def _decode_names(columns: list[Any], layout: InputLayout, faults: _Faults) -> _Labels:
    values, lengths, nulls = _list_parts(columns[0])
    return *_names_to_pairs(values, lengths, layout, faults), nulls


def _names_to_pairs(
    values: Any, lengths: IntArray, layout: InputLayout, faults: _Faults
) -> tuple[IntArray, IntArray]:
    rows = np.repeat(np.arange(len(lengths)), lengths)
    found = pc.index_in(values, value_set=pa.array(layout.classes, type=values.type))
    if not found.null_count:
        return _ordered_tags(rows, found.to_numpy().astype(np.int64), layout, faults)
    missing, null_values = _nulls(found), _nulls(values)
    faults.mark("labels_malformed", rows[null_values])
    faults.mark("label_unknown", rows[missing & ~null_values])
    cols = found.fill_null(0).to_numpy().astype(np.int64)
    return _ordered_tags(rows[~missing], cols[~missing], layout, faults)


def _decode_indices(columns: list[Any], layout: InputLayout, faults: _Faults) -> _Labels:
    values, lengths, nulls = _list_parts(columns[0])
    rows = np.repeat(np.arange(len(lengths)), lengths)
    null_values = _nulls(values)
    cols = values.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    unknown = (cols < 0) | (cols >= layout.num_classes)
    faults.mark("labels_malformed", rows[null_values])
    faults.mark("label_unknown", rows[unknown & ~null_values])
    good = ~(unknown | null_values)
    return *_ordered_tags(rows[good], cols[good], layout, faults), nulls


def _decode_multi_hot(columns: list[Any], layout: InputLayout, faults: _Faults) -> _Labels:
    values, lengths, nulls = _list_parts(columns[0])
    faults.mark("labels_malformed", (lengths != layout.num_classes) & ~nulls)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    cols = places_of(lengths)
    ones, bad = _zero_or_one(values)
    faults.mark("labels_malformed", rows[bad])
    # positions past K belong to rows already rejected for their length
    ones &= cols < layout.num_classes
    return rows[ones], cols[ones], nulls


def _zero_or_one(values: Any) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Masks: is one; is neither zero nor one (null included)."""
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    null_values = _nulls(values)
    numbers = values.fill_null(0).to_numpy(zero_copy_only=False)
    return numbers == 1, null_values | ((numbers != 0) & (numbers != 1))


def _decode_delimited(columns: list[Any], layout: InputLayout, faults: _Faults) -> _Labels:
    text = columns[0]
    nulls = _nulls(text)
    text = pc.utf8_trim_whitespace(text.fill_null(""))
    empty = np.asarray(pc.equal(text, "").to_numpy(zero_copy_only=False))
    if layout.empty_is_unlabelled:
        nulls = nulls | empty
    parts = pc.split_pattern(text, pattern=layout.labels_delimiter)
    values, lengths, _ = _list_parts(parts)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    present = ~empty[rows]
    values = pc.utf8_trim_whitespace(values.filter(pa.array(present)))
    rows = rows[present]
    blank = np.asarray(pc.equal(values, "").to_numpy(zero_copy_only=False))
    faults.mark("labels_malformed", rows[blank])
    if blank.any():
        values, rows = values.filter(pa.array(~blank)), rows[~blank]
    return *_names_to_pairs(values, np.bincount(rows, minlength=len(nulls)), layout, faults), nulls


def _decode_label_columns(columns: list[Any], layout: InputLayout, faults: _Faults) -> _Labels:
    ones = np.zeros((faults.num_rows, layout.num_classes), dtype=np.bool_)
    num_nulls = np.zeros(faults.num_rows, dtype=np.int64)
    malformed = np.zeros(faults.num_rows, dtype=np.bool_)
    for k, column in enumerate(columns):
        null_values = _nulls(column)
        ones[:, k], bad = _zero_or_one(column)
        num_nulls += null_values
        malformed |= bad & ~null_values
    unlabelled = num_nulls == len(columns)
    faults.mark("labels_malformed", malformed | ((num_nulls > 0) & ~unlabelled))
    rows, cols = np.nonzero(ones)
    return rows, cols, unlabelled


def _decode_prob_array(columns: list[Any], layout: InputLayout, faults: _Faults) -> npt.NDArray[Any]:
    values, lengths, nulls = _list_parts(columns[0])
    width = layout.num_classes
    if not values.null_count and not nulls.any() and (lengths == width).all():
        return np.asarray(values.to_numpy(zero_copy_only=True)).reshape(-1, width)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    null_values = _nulls(values)
    has_null = nulls | (np.bincount(rows[null_values], minlength=len(lengths)) > 0)
    faults.mark("probs_null", has_null)
    faults.mark("probs_length", (lengths != width) & ~nulls)
    fits = (lengths == width) & ~has_null
    probs = np.zeros((len(lengths), width), dtype=layout.dtype)
    flat = values.fill_null(0).to_numpy(zero_copy_only=False)
    probs[fits] = flat[fits[rows]].reshape(-1, width)
    return probs


def _decode_prob_columns(columns: list[Any], layout: InputLayout, faults: _Faults) -> npt.NDArray[Any]:
    probs = np.zeros((faults.num_rows, layout.num_classes), dtype=layout.dtype)
    for k, column in enumerate(columns):
        faults.mark("probs_null", _nulls(column))
        probs[:, k] = column.fill_null(0).to_numpy(zero_copy_only=False)
    return probs


def _decode_prob_map(columns: list[Any], layout: InputLayout, faults: _Faults) -> npt.NDArray[Any]:
    """Maps from tag to probability; a missing or unknown key makes the wrong length."""
    column = columns[0]
    nulls = _nulls(column)
    faults.mark("probs_null", nulls)
    offsets = column.offsets.to_numpy()
    first, last = int(offsets[0]), int(offsets[-1])
    lengths = np.diff(offsets).astype(np.int64)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    keys, items = column.keys.slice(first, last - first), column.items.slice(first, last - first)
    found = pc.index_in(keys, value_set=pa.array(layout.classes, type=keys.type))
    unknown, null_values = _nulls(found), _nulls(items)
    faults.mark("probs_null", rows[null_values])
    known = np.bincount(rows[~unknown], minlength=len(lengths))
    faults.mark("probs_length", ((known != layout.num_classes) | (lengths != known)) & ~nulls)
    probs = np.zeros((len(lengths), layout.num_classes), dtype=layout.dtype)
    usable = ~(unknown | null_values)
    cols = found.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    probs[rows[usable], cols[usable]] = items.fill_null(0).to_numpy(zero_copy_only=False)[usable]
    return probs


def _no_probs(columns: list[Any], layout: InputLayout, faults: _Faults) -> npt.NDArray[Any]:
    return np.zeros((faults.num_rows, 0), dtype=layout.dtype)


def _check_values(probs: npt.NDArray[Any], faults: _Faults) -> npt.NDArray[Any]:
    if not probs.size:
        return probs
    low, high = probs.min(), probs.max()
    # a NaN makes every comparison false
    in_range = low >= 0 and high <= 1
    if not in_range:
        nan = np.isnan(probs)
        faults.mark("probs_nan", np.any(nan, axis=1))
        faults.mark("probs_infinite", np.any(np.isinf(probs), axis=1))
        faults.mark("probs_range", np.any((probs < 0) | (probs > 1), axis=1))
        probs = np.where(nan, 0, probs)
    if (low == 0 or not in_range) and np.signbit(probs).any():
        probs = probs + probs.dtype.type(0)  # -0.0 would sort after 1 by its bits
    return probs


_LABEL_DECODERS = {
    "names": _decode_names,
    "indices": _decode_indices,
    "multi_hot": _decode_multi_hot,
    "delimited": _decode_delimited,
    "columns": _decode_label_columns,
}
_PROB_DECODERS = {
    "array": _decode_prob_array,
    "columns": _decode_prob_columns,
    "map": _decode_prob_map,
    "none": _no_probs,
}
