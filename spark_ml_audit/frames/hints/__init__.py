"""Likely mistakes seen in the first rows of a source: pure functions of an Arrow table and its layout.

`first_rows` fetches them; `hints_of` looks at them. What is said of many rows from a few is a hint, never a
refusal, and changes no result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from spark_ml_audit.arrow.decode import decode
from spark_ml_audit.arrow.layout import FAULT, InputLayout
from spark_ml_audit.engines.columns import column
from spark_ml_audit.frames.hints.class_order import class_order_hints
from spark_ml_audit.frames.hints.hint import Hint, sentences
from spark_ml_audit.frames.hints.labels import label_hints
from spark_ml_audit.frames.hints.probs import agreement_hints, prob_hints

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spark_ml_audit.engines.base import Engine, Frame

__all__ = ["FIRST_ROWS", "Hint", "first_rows", "hints_of", "sentences"]

FIRST_ROWS = 1000
# Of a table of thousands of classes fewer rows are looked at.
_MOST_CELLS = 1 << 20
_LEAST_ROWS = 50


def first_rows(engine: Engine, frame: Frame, names: Sequence[str], num_classes: int) -> pa.Table:
    """The rows of a source that come first, up to `FIRST_ROWS` of them, by one query.

    Args:
        engine: What runs the frame.
        frame: The source, its vectors as arrays.
        names: Columns to fetch.
        num_classes: K: of many classes fewer rows are fetched.
    """
    most = min(FIRST_ROWS, max(_LEAST_ROWS, _MOST_CELLS // max(1, num_classes)))
    return engine.collect(frame.select(*[column(name) for name in dict.fromkeys(names)]).head(most))


def hints_of(rows: pa.Table, layout: InputLayout) -> tuple[Hint, ...]:
    """Look at rows for likely mistakes.

    Args:
        rows: First rows of the source, with the columns that the layout names; fewer than `FIRST_ROWS`
            are taken for all there are.
        layout: How they are read.

    Returns:
        What was found; nothing for rows that are as they should be.

    Example:
        >>> layout = InputLayout(
        ...     "id", ("tags",), "delimited", ",", ("p",), "array", "float64", ("red", "green")
        ... )
        >>> rows = pa.table({"tags": ["red;green", "green", "red"], "p": [[97.0, 3.5], [2, 88], [61, 12]]})
        >>> for hint in hints_of(rows, layout):
        ...     print(hint.found)
        Tags in column 'tags' look ';'-delimited: 100% of them are classes then, split at ',' 67%.
        6 of 6 values of column 'p' are above 1 (2 to 97): they look like percentages.
    """
    if not rows.num_rows:
        return ()
    rows = rows.combine_chunks()
    found = [*label_hints(rows, layout), *prob_hints(rows, layout)]
    # what cannot be read has no further meaning
    if layout.pred_probs and not found:
        decoded = decode(_batch_of(rows, layout), layout)
        found += agreement_hints(decoded, layout)
        if not found:
            found += class_order_hints(decoded, layout)
    return tuple(found)


def _batch_of(rows: pa.Table, layout: InputLayout) -> pa.RecordBatch:
    """The rows as the passes have them."""
    named = [
        *zip(layout.label_columns, layout.labels, strict=True),
        *zip(layout.prob_columns, layout.pred_probs, strict=True),
    ]
    columns = {target: rows.column(name).combine_chunks() for target, name in named}
    fault = pa.array([0] * rows.num_rows, pa.int8())
    return pa.RecordBatch.from_arrays([fault, *columns.values()], names=[FAULT, *columns])
