"""Whether a source has anything to audit: rows with tags, and tags that are classes."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from spark_ml_audit.arrow.layout import REASONS, StatusCounts
from spark_ml_audit.engines.base import is_empty
from spark_ml_audit.engines.columns import column
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.class_list import distinct_texts
from spark_ml_audit.frames.hints.hint import some

if TYPE_CHECKING:
    from spark_ml_audit.frames.ingest import Ingest

_BY_NAME = ("names", "delimited", "indices")


def check_usable(ingest: Ingest, rows: StatusCounts, num_given: int) -> None:
    """Refuse a source of which no row is labelled, or none of whose tags is a class.

    A source without rows, or whose rows are all given empty lists, is not refused. Nothing is read where the
    counts tell already that all is well.

    Args:
        ingest: The source.
        rows: Its rows by status.
        num_given: Tags given to its audited rows.

    Raises:
        InputError: It is so (key `source.labels`, or that of the likely mistake).
    """
    if num_given or not rows.num_rows:
        return
    if not rows.num_audited and not _is_any_labelled(ingest, rows):
        names = ingest.layout.labels
        which = f"column '{names[0]}' is" if len(names) == 1 else f"the {len(names)} label columns are"
        nothing = "null or empty" if ingest.layout.empty_is_unlabelled else "null"
        raise InputError(
            f"no row is labelled: {which} {nothing} in all {rows.num_rows:,} rows.",
            key="source.labels",
            fix="Name the column that holds the tags; where no tag applies to a row, give it an empty list.",
        )
    if rows.by_code.get(REASONS["label_unknown"], 0) and not _is_any_known(ingest):
        raise _none_known(ingest, rows.by_code[REASONS["label_unknown"]])


def _is_any_labelled(ingest: Ingest, rows: StatusCounts) -> bool:
    if rows.num_unlabelled == rows.num_rows:
        return False
    layout = ingest.layout
    labelled = [~column(name).is_null() for name in layout.labels]
    if layout.empty_is_unlabelled and layout.labels_format == "delimited":
        labelled = [column(layout.labels[0]).str.strip_chars().fill_null("") != ""]
    return not is_empty(ingest.engine, ingest.frame.filter(reduce(or_, labelled)))


def _is_any_known(ingest: Ingest) -> bool:
    """Whether any given tag of any row, rejected ones included, is a class."""
    layout = ingest.layout
    if layout.labels_format not in _BY_NAME:
        return True
    name, num_classes = layout.labels[0], layout.num_classes
    classes = pa.array(layout.classes, pa.string())

    def known_in(labels: Any) -> list[str]:
        if layout.labels_format == "indices":
            numbers = labels.flatten().drop_null()
            inside = pc.and_(pc.greater_equal(numbers, 0), pc.less(numbers, num_classes))
            return ["known"] if pc.any(inside).as_py() else []
        tags = labels
        if layout.labels_format == "delimited":
            tags = pc.utf8_trim_whitespace(
                pc.split_pattern(labels, pattern=layout.labels_delimiter).flatten()
            )
        else:
            tags = labels.flatten()
        return ["known"] if pc.any(pc.is_in(tags.cast(pa.string()), value_set=classes)).as_py() else []

    return bool(distinct_texts(ingest.engine, ingest.frame, name, known_in, 1))


def _none_known(ingest: Ingest, num_rows: int) -> InputError:
    layout = ingest.layout
    likely = next(
        (hint for hint in ingest.hints if hint.is_serious and hint.key != "source.pred_probs"), None
    )
    found = f"no given tag is among the {layout.num_classes:,} classes, in {num_rows:,} rows with tags."
    if likely is not None:
        return InputError(f"{found} {likely.found}", key=likely.key, fix=likely.fix)
    return InputError(
        f"{found} The classes are {some(layout.classes)}.",
        key="source.classes",
        fix="Give the class list that belongs to these tags, in the order of the probabilities.",
    )
