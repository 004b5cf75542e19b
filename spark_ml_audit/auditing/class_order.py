"""A class list for probabilities that come without one: which names, and whether the order fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from spark_ml_audit.engines.columns import column
from spark_ml_audit.frames.column_facts import ColumnFacts
from spark_ml_audit.outcomes.starting import Choice

if TYPE_CHECKING:
    from spark_ml_audit.lake.source import OpenSource

_ROWS_FOR_NAMES = 200_000
_KEY = "source.classes"


def guess_classes(
    opened: OpenSource, source: Mapping[str, Any], facts: Mapping[str, ColumnFacts]
) -> Choice | None:
    """Class names in the order of the probabilities; None where they cannot be told.

    Names are sorted, as encoders of labels do, where there are as many as probabilities; what is given by
    number is called by it.

    Args:
        opened: The source.
        source: The section `source` as far as it is known.
        facts: The source's columns, by name.
    """
    labels, probs = source.get("labels"), source.get("pred_probs")
    if not isinstance(labels, str) or labels not in facts:
        return None
    rows = opened.engine.collect(opened.frame.select(column(labels).alias("labels")).head(_ROWS_FOR_NAMES))
    given = ColumnFacts(facts[labels].field, rows.column("labels").combine_chunks())
    width = facts[probs].width if isinstance(probs, str) and probs in facts else None
    if given.is_list_of_integers:
        return _numbered(given, width)
    names = (
        sorted(set(given.tags)) if source.get("labels_delimiter", given.delimiter) == given.delimiter else []
    )
    if not names or width != len(names):
        return None
    inside, outside = _means(facts[labels], facts[str(probs)], names)
    said = f"given tags have a mean probability of {inside:.2f}, others {outside:.2f}"
    return Choice(_KEY, names, f"the names in use, sorted; check the order: {said}")


def _numbered(given: ColumnFacts, width: int | None) -> Choice | None:
    values = given.given.flatten().drop_null()
    if not pa.types.is_integer(values.type):
        width = width or given.width
    elif width is None and len(values):
        highest = max(values.to_pylist())
        width = given.width if highest <= 1 and given.width and given.width > 2 else highest + 1
    if not width:
        return None
    return Choice(
        _KEY, [str(number) for number in range(width)], "tags are given by number; put their names here"
    )


def _means(labels: ColumnFacts, probs: ColumnFacts, names: Sequence[str]) -> tuple[float, float]:
    """Mean probability of tags given and of the others, in the first rows, with the names in this order."""
    place = {name: k for k, name in enumerate(names)}
    mark = labels.delimiter
    inside: list[float] = []
    outside: list[float] = []
    for tags, row in zip(labels.values.to_pylist(), probs.values.to_pylist(), strict=True):
        if tags is None or row is None or len(row) != len(names):
            continue
        parts = tags if not isinstance(tags, str) else [part.strip() for part in tags.split(mark or ",")]
        has = np.zeros(len(names), dtype=bool)
        has[[place[tag] for tag in parts if tag in place]] = True
        values = np.array([np.nan if value is None else value for value in row], dtype=np.float64)
        inside += values[has].tolist()
        outside += values[~has].tolist()
    return _mean(inside), _mean(outside)


def _mean(values: Sequence[float]) -> float:
    return float(np.nanmean(values)) if len(values) and not np.isnan(values).all() else float("nan")
