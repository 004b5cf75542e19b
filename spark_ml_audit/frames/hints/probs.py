"""Hints on probabilities: percentages, logits, decisions, one-label models, the tags themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_ml_audit.arrow.decode import DecodedBatch
from spark_ml_audit.arrow.layout import InputLayout
from spark_ml_audit.frames.hints.hint import Hint, share

_KEY = "source.pred_probs"
# Beyond 0 or 1 by no more than this is rounding.
_ROUNDING = 1e-3
_SUM_TOLERANCE = 2e-3
# Of fewer rows nothing is said that chance may bring about.
_LEAST_ROWS = 20
_ROWS_FOR_AGREEMENT, _TAGS_FOR_AGREEMENT = 100, 50


def prob_hints(rows: pa.Table, layout: InputLayout) -> Iterator[Hint]:
    """Look at the values by themselves: are they from 0 to 1?

    Args:
        rows: First rows of the source.
        layout: How they are read.
    """
    values = _values(rows, layout)
    if not len(values):
        return
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:
        return
    where = f"column '{layout.pred_probs[0]}'" if len(layout.pred_probs) == 1 else "the probability columns"
    below, above = int((values < 0).sum()), int((values > 1).sum())
    bounds = f"({low:.4g} to {high:.4g})"
    at_fault, side = (below, "below 0") if below else (above, "above 1")
    seen = f"{at_fault:,} of {len(values):,} values of {where} are {side} {bounds}"
    sql = _sql(layout)
    if low >= -_ROUNDING and high <= 1 + _ROUNDING:
        mend = f"Clip them to 0..1: np.clip(p, 0, 1); SQL {sql('least(greatest(p, 0), 1)')}."
        yield Hint("rounding", f"{seen}, by no more than rounding.", mend, _KEY)
    elif below and high <= _ROUNDING:
        mend = f"Take their exponential in the source: np.exp(p); SQL {sql('exp(p)')}."
        yield _serious("log_probabilities", f"{seen}, and none is above 0: they look like logarithms.", mend)
    elif below and low >= -1 and high <= 1:
        mend = (
            "Give probabilities: predict_proba instead of decision_function, or scores calibrated on rows "
            "that the model has not seen."
        )
        yield _serious("scores", f"{seen}: scores from -1 to 1 are no probabilities.", mend)
    elif below:
        mend = f"Apply the sigmoid in the source: 1 / (1 + np.exp(-p)); SQL {sql('1 / (1 + exp(-p))')}."
        yield _serious("logits", f"{seen}: they look like logits.", mend)
    elif high <= 100 + _ROUNDING:
        mend = f"Divide them by 100 in the source: p / 100; SQL {sql('p / 100')}."
        yield _serious("percentages", f"{seen}: they look like percentages.", mend)
    else:
        mend = "Give probabilities from 0 to 1, such as predict_proba returns."
        yield _serious("scores", f"{seen}: these are scores, no probabilities.", mend)


def _serious(kind: str, found: str, mend: str) -> Hint:
    return Hint(kind, found, mend, _KEY, is_serious=True)


def _sql(layout: InputLayout) -> Any:
    """How Spark SQL applies an expression of p to the values as they are stored."""

    def applied(expression: str) -> str:
        if layout.pred_probs_format == "array":
            return f"transform({layout.pred_probs[0]}, p -> {expression})"
        if layout.pred_probs_format == "map":
            return f"transform_values({layout.pred_probs[0]}, (tag, p) -> {expression})"
        return f"{expression}, for every column p"

    return applied


def _values(rows: pa.Table, layout: InputLayout) -> npt.NDArray[np.float64]:
    """All values that are numbers, in no order."""
    parts = []
    for name in layout.pred_probs:
        flat = _flat(rows.column(name).combine_chunks()).drop_null()
        flat = flat.cast(pa.float64()) if pa.types.is_decimal(flat.type) else flat
        parts.append(flat.to_numpy(zero_copy_only=False).astype(np.float64))
    values = np.concatenate(parts) if parts else np.zeros(0)
    finite: npt.NDArray[np.float64] = values[np.isfinite(values)]
    return finite


def _flat(array: Any) -> Any:
    kind = array.type
    if pa.types.is_map(kind):
        first, last = array.offsets[0].as_py(), array.offsets[-1].as_py()
        return array.items.slice(first, last - first)
    return array.flatten() if pa.types.is_nested(kind) else array


def agreement_hints(decoded: DecodedBatch, layout: InputLayout) -> Iterator[Hint]:
    """Look at probabilities beside the given tags: do they come from a model, and from which kind?

    Args:
        decoded: The rows.
        layout: How they were read.

    Example:
        >>> from spark_ml_audit.arrow.decode import decode
        >>> layout = InputLayout("id", ("y",), "multi_hot", ",", ("p",), "array", "float64", ("a", "b", "c"))
        >>> tags, probs = [[1, 0, 1], [0, 1, 0]] * 20, [[0.5, 0.2, 0.3], [0.1, 0.7, 0.2]] * 20
        >>> columns = {"fault": [0] * 40, "labels_0": tags, "probs_0": probs}
        >>> decoded = decode(pa.RecordBatch.from_pydict(columns), layout)
        >>> [hint.kind for hint in agreement_hints(decoded, layout)]
        ['sum_to_one']
    """
    probs = decoded.pred_probs
    num_rows, num_classes = probs.shape
    if num_rows < _LEAST_ROWS or not num_classes:
        return
    given = np.zeros(probs.shape, dtype=np.bool_)
    given[decoded.rows, decoded.cols] = True
    of = f"column '{layout.pred_probs[0]}'" if len(layout.pred_probs) == 1 else "the probability columns"
    in_rows = f"in {num_rows:,} rows"
    if bool(((probs == 0) | (probs == 1)).all()):
        yield from _decisions(bool(((probs == 1) == given).all()), of, in_rows)
    elif bool((np.ptp(probs, axis=0) == 0).all()):
        found = f"The values of {of} are the same {in_rows}."
        yield _serious("constant", found, "Give the probabilities of a model that looks at the rows.")
    elif bool(((probs > 0.5) == given).all()) and (
        num_rows >= _ROWS_FOR_AGREEMENT and len(decoded.rows) >= _TAGS_FOR_AGREEMENT
    ):
        found = (
            f"{probs.size:,} of {probs.size:,} probabilities {in_rows} agree with the given tags: the model "
            "has probably seen these tags in training."
        )
        mend = "Give out-of-sample probabilities (predict makes them): a model repeats the errors it learned."
        yield _serious("in_sample", found, mend)
    yield from _one_label(probs, given, of, in_rows)


def _decisions(are_the_tags: bool, of: str, in_rows: str) -> Iterator[Hint]:
    if are_the_tags:
        found = f"The values of {of} are the given tags themselves {in_rows}, so nothing can disagree."
        yield _serious("equal_labels", found, "Give the probabilities of a model (predict makes them).")
    else:
        found = f"The values of {of} are only 0 and 1 {in_rows}: decisions, no probabilities."
        yield _serious("decisions", found, "Give what predict_proba returns, not what predict does.")


def _one_label(
    probs: npt.NDArray[Any], given: npt.NDArray[np.bool_], of: str, in_rows: str
) -> Iterator[Hint]:
    sums, tags = probs.sum(axis=1, dtype=np.float64), given.sum(axis=1)
    others = int((tags != 1).sum())
    if probs.shape[1] < 2 or not others or bool((np.abs(sums - 1) > _SUM_TOLERANCE).any()):
        return
    found = (
        f"The values of {of} sum to 1 {in_rows}, as those of a model that gives one label per row (softmax), "
        f"but {share(others, len(tags))} of these rows have no tag or several."
    )
    mend = "Use a model that gives each tag a probability of its own: a sigmoid per tag, one-vs-rest."
    yield Hint("sum_to_one", found, mend, _KEY)
