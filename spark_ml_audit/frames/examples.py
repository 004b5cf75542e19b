"""The `examples` of an audit: one row per audited row, issues numbered from the worst.

A first map scores the rows and packs their tags; rows meet by range of (score, id), in order; a second map
numbers the issues of each range from what comes before it (see `ranking`) and spells the tags out. So one
narrow shuffle ranks a table, and no place sorts it whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_ml_audit.arrow.decode import decode_batches
from spark_ml_audit.arrow.encode import tag_lists
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.arrow.packed_tags import TagLists, pack_tags, unpack_tags
from spark_ml_audit.engines.plain_strings import plain_strings
from spark_ml_audit.frames.ingest import Ingest
from spark_ml_audit.frames.issues import id_field
from spark_ml_audit.frames.ranking import RankPlan
from spark_ml_audit.kernels.ambiguity import find_ambiguous
from spark_ml_audit.kernels.profile import IntArray
from spark_ml_audit.kernels.rules import (
    AppliedBatch,
    AuditRules,
    apply_rules,
)

# Ranges of the rows without an issue: only there to spread them over the tasks.
_SPREAD = 64
# Columns that the first map has ready; tags are spelled out by the second.
_SCORED = ("label_quality_score", "is_label_issue", "ambiguity_score", "is_ambiguous")
_RANGE, _OFFSET, _ORDER_SCORE, _TAGS = "range", "offset", "order_score", "tags"


class RowScorer(Protocol):
    """Scores rows by more than tags and probabilities: whether they are outliers, say. Picklable."""

    def carried(self, ingest: Ingest) -> Column:
        """What a row must bring, as one struct."""

    def scores(self, carried: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """Score of each row, NaN where it has none, and whether it stands out.

        Args:
            carried: Arrow struct array of `carried`.
        """


def examples_frame(
    ingest: Ingest, rules: AuditRules, ranks: RankPlan, outliers: RowScorer | None = None
) -> DataFrame:
    """One row per audited row, with its rank among the issues (see `RankPlan`).

    Args:
        ingest: The source.
        rules: The finished audit.
        ranks: Of the issues.
        outliers: Scores outliers; None: their columns are null.
    """
    carry = None if outliers is None else outliers.carried(ingest)
    frame, layout = ingest.task_frame(with_id=True, carry=carry), ingest.layout
    id_schema = id_field(frame)
    scored_schema = T.StructType(
        [
            id_schema,
            *[field for field in example_fields() if field.name in _SCORED],
            *outlier_fields(),
            T.StructField(_RANGE, T.IntegerType()),
            T.StructField(_OFFSET, T.LongType()),
            T.StructField(_TAGS, T.BinaryType()),
        ]
    )
    names = [field.name for field in scored_schema]

    def score(batches: Iterator[Any]) -> Iterator[Any]:
        for decoded in decode_batches(batches, layout):
            applied = apply_rules(decoded.pred_probs, decoded.rows, decoded.cols, rules, decoded.confirmed)
            source = decoded.source
            if len(decoded.audited) < source.num_rows:
                source = source.take(pa.array(decoded.audited))
            ids = source.column(ID)
            ranges, offsets = _ranges(applied, ids, ranks)
            given = (decoded.rows, decoded.cols)
            doubted = find_ambiguous(decoded.pred_probs, rules.doubt_bands)
            tags = TagLists(len(ids), given, applied.missing, applied.extraneous, doubted.cells)
            scored = [applied.label_quality, applied.is_issue, doubted.score, doubted.is_ambiguous]
            carried = None if outliers is None else source.column("carried")
            scored += outlier_arrays(outliers, carried, len(ids))
            columns = [ids, *scored, ranges, offsets, pack_tags(tags)]
            yield pa.RecordBatch.from_arrays(
                [column if isinstance(column, pa.Array) else pa.array(column) for column in columns],
                names=names,
            )

    is_issue = F.col("is_label_issue")
    ordered = (
        frame.mapInArrow(score, scored_schema)
        .repartition(_RANGE)
        .sortWithinPartitions(
            _RANGE, F.when(is_issue, F.col("label_quality_score")), F.when(is_issue, F.col(ID))
        )
    )
    last = T.StructField("issue_rank", T.LongType())
    final_schema = T.StructType([id_schema, *example_fields(), *outlier_fields(), last])

    def number(batches: Iterator[Any]) -> Iterator[Any]:
        classes = pa.array(layout.classes, pa.string())
        numbering = _Numbering()
        for batch in batches:
            lists = unpack_tags(batch.column(_TAGS))
            pairs = (lists.given, lists.suggested(len(classes)), lists.missing, lists.extraneous)
            columns = [
                batch.column(ID),
                batch.column("label_quality_score"),
                batch.column("is_label_issue"),
                *[tag_lists(pair, batch.num_rows, classes) for pair in pairs],
                batch.column("ambiguity_score"),
                batch.column("is_ambiguous"),
                tag_lists(lists.ambiguous, batch.num_rows, classes),
                *[batch.column(field.name) for field in outlier_fields()],
                numbering.ranks(batch),
            ]
            yield pa.RecordBatch.from_arrays(columns, names=final_schema.names)

    return plain_strings(ordered.mapInArrow(number, final_schema).withColumnRenamed(ID, layout.id))


class _Numbering:
    """Counts rows of each range on, from one batch of a task to its next."""

    def __init__(self) -> None:
        self._range: int | None = None
        self._count = 0

    def ranks(self, batch: Any) -> Any:
        """Ranks of a batch's rows; null where there is no issue."""
        ranges = batch.column(_RANGE).to_numpy()
        issue = batch.column("is_label_issue").to_numpy(zero_copy_only=False)
        if not len(ranges):
            return pa.array([], pa.int64())
        firsts = np.searchsorted(ranges, ranges, side="left")
        within = np.arange(len(ranges)) - firsts
        within[ranges == self._range] += self._count
        self._range, self._count = int(ranges[-1]), int(within[-1]) + 1
        return pa.array(batch.column(_OFFSET).to_numpy() + within + 1, mask=~issue)


def _ranges(applied: AppliedBatch, ids: Any, ranks: RankPlan) -> tuple[Any, IntArray]:
    spread = applied.label_quality.view(np.int64) % _SPREAD
    ranges = (-1 - spread).astype(np.int32)
    offsets = np.zeros(len(ranges), dtype=np.int64)
    issues = np.flatnonzero(applied.is_issue)
    if len(issues):
        found = ranks.ranges_of(applied.label_quality[issues], ids.take(pa.array(issues)))
        ranges[issues], offsets[issues] = found, ranks.offsets[found]
    return ranges, offsets


def outlier_fields() -> list[T.StructField]:
    """Columns that are null unless outliers are looked for."""
    return [T.StructField("outlier_score", T.DoubleType()), T.StructField("is_outlier", T.BooleanType())]


def outlier_arrays(finder: RowScorer | None, carried: Any, num_rows: int) -> list[Any]:
    """Arrow arrays of `outlier_fields`, null where a row was not compared."""
    if finder is None:
        return [pa.nulls(num_rows, pa.float64()), pa.nulls(num_rows, pa.bool_())]
    scores, outlier = finder.scores(carried)
    unknown = np.isnan(scores)
    return [pa.array(scores, mask=unknown), pa.array(outlier, mask=unknown)]


_TAG_LIST = T.ArrayType(T.StringType(), containsNull=False)


EXAMPLE_COLUMNS = (
    "label_quality_score", "is_label_issue", "given_tags", "suggested_tags", "missing_tags",
    "extraneous_tags", "ambiguity_score", "is_ambiguous", "ambiguous_tags",
)  # fmt: skip


_EXAMPLE_TYPES: dict[str, T.DataType] = {
    "label_quality_score": T.DoubleType(),
    "is_label_issue": T.BooleanType(),
    "ambiguity_score": T.DoubleType(),
    "is_ambiguous": T.BooleanType(),
}


def example_fields() -> list[T.StructField]:
    """Schema of the columns that an audit adds to a row."""
    return [T.StructField(name, _EXAMPLE_TYPES.get(name, _TAG_LIST)) for name in EXAMPLE_COLUMNS]
