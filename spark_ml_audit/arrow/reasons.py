"""Why a row was rejected, in words: for the `detail` column of the quarantine."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from spark_ml_audit.arrow.layout import ID, InputLayout

_MAX_SHOWN = 200


def explain_row(batch: Any, i: int, reason: str, layout: InputLayout) -> str:
    """One sentence on row i of a record batch of the passes' frame, which was rejected for `reason`.

    >>> import pyarrow as pa
    >>> layout = InputLayout("id", ("tags",), "names", ",", ("p",), "array", "float64", ("red", "green"))
    >>> batch = pa.RecordBatch.from_pydict({"labels_0": [["blue"]], "probs_0": [[0.1, 1.5]]})
    >>> explain_row(batch, 0, "label_unknown", layout)
    "'blue' is not among the 2 classes"
    >>> explain_row(batch, 0, "probs_range", layout)
    "the probability of 'green' is 1.5"
    """
    if reason == "id_null":
        return f"'{layout.id}' is null"
    if reason == "id_duplicate":
        return f"'{layout.id}' {_show(batch.column(ID)[i].as_py())} occurs more than once"
    names = layout.label_columns if reason.startswith("label") else layout.prob_columns
    values = [batch.column(name)[i].as_py() for name in names]
    value = values[0] if len(values) == 1 and layout.labels_format != "columns" else values
    if reason.startswith("label"):
        return _EXPLAIN_LABELS[reason](value, layout)
    return _explain_probs(reason, values, layout)


def _show(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."


def _parts(value: Any, layout: InputLayout) -> list[Any]:
    if layout.labels_format == "delimited":
        return [part.strip() for part in str(value).split(layout.labels_delimiter)]
    return list(value or [])


def _malformed(value: Any, layout: InputLayout) -> str:
    parts = _parts(value, layout)
    if layout.labels_format == "delimited":
        return f"an empty part in {_show(value)}"
    if None in parts:
        return f"a null among {len(parts)} entries"
    if layout.labels_format == "multi_hot" and len(parts) != layout.num_classes:
        return f"{len(parts)} entries for {layout.num_classes} classes"
    odd = next((part for part in parts if part not in (0, 1)), None)
    return f"{_show(odd)} is neither 0 nor 1"


def _unknown(value: Any, layout: InputLayout) -> str:
    if layout.labels_format == "indices":
        odd = next(part for part in value if not 0 <= part < layout.num_classes)
        return f"{odd} is not a class index from 0 to {layout.num_classes - 1}"
    known = set(layout.classes)
    odd = next(part for part in _parts(value, layout) if part not in known)
    return f"{_show(odd)} is not among the {layout.num_classes} classes"


def _repeated(value: Any, layout: InputLayout) -> str:
    parts = _parts(value, layout)
    odd = next(part for i, part in enumerate(parts) if part in parts[:i])
    return f"{_show(odd)} is given more than once"


_EXPLAIN_LABELS: dict[str, Callable[[Any, InputLayout], str]] = {
    "labels_malformed": _malformed,
    "label_unknown": _unknown,
    "label_repeated": _repeated,
}


def _explain_probs(reason: str, values: list[Any], layout: InputLayout) -> str:
    if layout.pred_probs_format == "columns":
        cells = list(zip(layout.classes, values, strict=True))
    elif values[0] is None:
        return f"'{layout.pred_probs[0]}' is null"
    elif layout.pred_probs_format == "map":
        cells = list(values[0])
        if reason == "probs_length":
            return _explain_keys([name for name, _ in cells], layout)
    else:
        if reason == "probs_length":
            return f"{len(values[0])} probabilities for {layout.num_classes} classes"
        names = [*layout.classes, *["?"] * max(0, len(values[0]) - layout.num_classes)]
        cells = list(zip(names, values[0], strict=False))
    faults: dict[str, Callable[[Any], bool]] = {
        "probs_null": lambda p: p is None,
        "probs_nan": lambda p: p is not None and math.isnan(p),
        "probs_infinite": lambda p: p is not None and math.isinf(p),
        "probs_range": lambda p: p is not None and not 0 <= p <= 1,
    }
    name, value = next((name, p) for name, p in cells if faults[reason](p))
    shown = {"probs_null": "null", "probs_nan": "NaN"}.get(reason, str(value))
    return f"the probability of {_show(name)} is {shown}"


def _explain_keys(keys: list[str], layout: InputLayout) -> str:
    missing = next((name for name in layout.classes if name not in keys), None)
    if missing is not None:
        return f"no probability for {_show(missing)}"
    return f"{_show(next(name for name in keys if name not in layout.classes))} is not among the classes"
