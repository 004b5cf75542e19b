"""Labels and probabilities in the forms in which people hold them, made into two plain arrays.

Whatever comes in, what goes on is the same: `as_pred_probs` gives a float32 or float64 array of shape (n, K),
`as_labels` the class indices of every row, one row after the other, in class order. Both refuse what would
give a wrong audit, with the argument's name, the place and the fix. Nothing is copied that need not be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spark_ml_audit.arrays.label_lists import LISTS, LabelLists, from_multi_hot, from_rows, from_sparse
from spark_ml_audit.arrays.row_blocks import row_blocks
from spark_ml_audit.errors import InputError
from spark_ml_audit.kernels.float_keys import UNSIGNED, FloatArray, one_key

# How far two columns of one class may be from adding up to 1.
_SUM_SLACK = 1e-3
# Rounding that may be cut off; more is an error of the model's output.
_ROUNDING = 1e-6
_PAIRS = "Give one array of shape (n, K), or for each class one of shape (n, 2), absent and present."
_FLOAT_TYPES = {2: np.dtype(np.float32), 4: np.dtype(np.float32)}


def as_pred_probs(pred_probs: Any, *, name: str = "pred_probs") -> FloatArray:
    """Predicted probabilities as one array of shape (n, K).

    Args:
        pred_probs: One of

            - an array of shape (n, K), or what NumPy makes one of: nested lists, a DataFrame with a column
              per class, a tensor, rows that are each an array;
            - what `predict_proba` of scikit-learn's multi-output classifiers returns: a list of K arrays of
              shape (n, 2), "absent" before "present" (or one array of shape (K, n, 2)).

            Values lie in [0, 1]. float32 and float64 are kept, float16 becomes float32, whole numbers and
            longer floats float64.
        name: How the argument is called in messages.

    Returns:
        float32 or float64 of shape (n, K), all values in [0, 1], no negative zero; the array itself where
        it is such already.

    Raises:
        InputError: It has another shape or type, or holds what is no probability.

    Example:
        >>> as_pred_probs([[0.9, 0.25]])
        array([[0.9 , 0.25]])
        >>> forest = [np.array([[0.1, 0.9]]), np.array([[0.75, 0.25]])]  # of two classes, for one row
        >>> as_pred_probs(forest)
        array([[0.9 , 0.25]])
    """
    if pred_probs is None:
        raise InputError("there are none.", key=name, fix="Give predicted probabilities of shape (n, K).")
    if hasattr(pred_probs, "tocsr"):
        raise InputError("found a sparse matrix.", key=name, fix=f"Give an array: {name}.toarray().")
    pairs = _class_pairs(pred_probs)
    probs = _second_columns(pairs, name) if pairs else _plain_array(pred_probs, name)
    return _checked_values(probs, name)


def as_labels(labels: Any, shape: tuple[int, int], *, name: str = "labels") -> LabelLists:
    """Given labels as lists of class indices in canonical order.

    Args:
        labels: One of

            - for each row the indices of its classes, in any order: a list of lists, tuples, sets or arrays
              of whole numbers; a pandas Series of such. An index that is there twice counts once;
            - multi-hot: an array or DataFrame of shape (n, K) that holds only 0 and 1, or True and False,
              such as `MultiLabelBinarizer` makes;
            - a sparse matrix or array of SciPy, of shape (n, K), multi-hot likewise.
        shape: (n, K), the shape of the probabilities.
        name: How the argument is called in messages.

    Returns:
        The class indices of every row.

    Raises:
        InputError: Number of rows or classes differ from the probabilities', or an entry is no class index.

    Example:
        >>> for labels in ([[0, 2], [], [1]], np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]])):
        ...     found = as_labels(labels, shape=(3, 3))
        ...     print(found.indptr.tolist(), found.indices.tolist())
        [0, 2, 2, 3] [0, 2, 1]
        [0, 2, 2, 3] [0, 2, 1]
        >>> as_labels([[0], [3]], shape=(2, 3))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        spark_ml_audit.errors.InputError: labels: row 1 has the class index 3, but there are 3 classes. ...
    """
    if labels is None:
        raise InputError("there are none.", key=name, fix=LISTS)
    if hasattr(labels, "tocsr"):
        return from_sparse(labels, shape, name)
    if getattr(labels, "ndim", 1) == 1:
        return from_rows(labels, shape, name)
    return from_multi_hot(np.asarray(labels), shape, name)


def _class_pairs(pred_probs: Any) -> list[Any]:
    """The K arrays of shape (n, 2) of a multi-output classifier; none if it is something else."""
    if getattr(pred_probs, "ndim", 1) == 3:
        return list(np.asarray(pred_probs))
    if isinstance(pred_probs, list | tuple) and pred_probs and getattr(pred_probs[0], "ndim", 1) == 2:
        return list(pred_probs)
    return []


def _second_columns(pairs: Sequence[Any], name: str) -> npt.NDArray[Any]:
    columns = []
    for k, pair in enumerate(pairs):
        array = np.asarray(pair)
        if array.ndim == 2 and array.shape[1] == 1:
            raise InputError(
                f"class {k} has one column: its classifier has seen the class on every row or on none.",
                key=name,
                fix=f"Give it two, absent and present; the classifier's `classes_[{k}]` says which is there.",
            )
        if array.ndim != 2 or array.shape[1] != 2 or len(array) != len(pairs[0]):
            raise InputError(
                f"class {k} has an array of shape {array.shape}, the first class one of "
                f"{np.shape(pairs[0])}.",
                key=name,
                fix=_PAIRS,
            )
        _refuse_type(array, name)
        if len(array) and not np.allclose(array.sum(axis=1), 1, rtol=0, atol=_SUM_SLACK):
            raise InputError(
                f"the two columns of class {k} do not add up to 1.",
                key=name,
                fix=_PAIRS,
            )
        columns.append(array[:, 1])
    return np.stack(columns, axis=1)


def _plain_array(pred_probs: Any, name: str) -> npt.NDArray[Any]:
    if isinstance(pred_probs, np.ma.MaskedArray) and np.ma.is_masked(pred_probs):
        raise InputError(
            "some of its entries are masked.", key=name, fix="Leave rows out that have no probabilities."
        )
    shape_wanted = "Give an array of shape (n, K): a row per example, a column per class."
    try:
        array = np.asarray(pred_probs)
        if array.ndim == 1 and array.dtype == object and len(array):
            array = np.stack([np.asarray(row) for row in array])
    except ValueError:
        raise InputError("its rows have different lengths.", key=name, fix=shape_wanted) from None
    if array.ndim != 2:
        raise InputError(f"its shape is {array.shape}.", key=name, fix=shape_wanted)
    if array.shape[1] == 0:
        raise InputError(f"its shape is {array.shape}: there is no class.", key=name, fix=shape_wanted)
    _refuse_type(array, name)
    return array


def _refuse_type(array: npt.NDArray[Any], name: str) -> None:
    if array.dtype.kind not in "fiu":
        raise InputError(
            f"its type is {array.dtype}.", key=name, fix="Give probabilities as numbers from 0 to 1 (float)."
        )


def _checked_values(array: npt.NDArray[Any], name: str) -> FloatArray:
    size = array.dtype.itemsize if array.dtype.kind == "f" else 8
    probs = np.asarray(array, dtype=_FLOAT_TYPES.get(size, np.dtype(np.float64)))
    unsigned = UNSIGNED[probs.dtype]
    top = unsigned(one_key(probs.dtype))
    has_negative_zero = False
    for start, stop in row_blocks(probs.shape):
        block = probs[start:stop]
        # as bits, all that is above 1, negative, infinite or not a number lies above 1
        odd = block.view(unsigned) > top
        if not odd.any():
            continue
        wrong = odd & ~(block == 0)
        if wrong.any():
            row, col = np.unravel_index(int(wrong.argmax()), wrong.shape)
            raise _no_probability(probs, start + int(row), int(col), name)
        has_negative_zero = True
    return np.add(probs, 0, dtype=probs.dtype) if has_negative_zero else probs


def _no_probability(probs: FloatArray, row: int, col: int, name: str) -> InputError:
    found = f"row {row}, class {col}: found {probs[row, col]!s}, which is no probability."
    low, high = float(probs.min()), float(probs.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        fix = "Leave out the rows with values that are not finite, or predict them anew."
    elif low >= -_ROUNDING and high <= 1 + _ROUNDING:
        fix = f"Cut off what is rounding: np.clip({name}, 0, 1)."
    elif low < 0:
        fix = f"If these are logits, give 1 / (1 + np.exp(-{name}))."
    elif high <= 100:
        fix = f"If these are percentages, give {name} / 100."
    else:
        fix = "Give values from 0 to 1."
    return InputError(found, key=name, fix=fix)
