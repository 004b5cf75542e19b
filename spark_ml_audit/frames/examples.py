"""The `examples` of an audit: one row per audited row, issues numbered from the worst.

A first map scores the rows and packs their tags; rows meet by range of (score, id), in order; a second map
numbers the issues of each range from what comes before it (see `ranking`) and spells the tags out. So one
narrow shuffle ranks a table, and no place sorts it whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F

from spark_ml_audit.arrow.decode import decode_batches
from spark_ml_audit.arrow.encode import (
    EXAMPLE_SCHEMA,
    OUTLIER_SCHEMA,
    RowScorer,
    outlier_arrays,
    tag_lists,
)
from spark_ml_audit.arrow.layout import ID, InputLayout
from spark_ml_audit.arrow.packed_tags import TagLists, pack_tags, unpack_tags
from spark_ml_audit.engines.base import Batches, BatchMap
from spark_ml_audit.frames.ranking import RankPlan
from spark_ml_audit.kernels.ambiguity import find_ambiguous
from spark_ml_audit.kernels.profile import IntArray
from spark_ml_audit.kernels.rules import AppliedBatch, AuditRules, apply_rules

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from spark_ml_audit.frames.ingest import Ingest

# Ranges of the rows without an issue: only there to spread them over the tasks.
_SPREAD = 64
_RANGE, _OFFSET, _TAGS = "range", "offset", "tags"

# What the first map has ready; tags are spelled out by the second.
_SCORED = pa.schema(
    [
        *[EXAMPLE_SCHEMA.field(name) for name in ("label_quality_score", "is_label_issue")],
        *[EXAMPLE_SCHEMA.field(name) for name in ("ambiguity_score", "is_ambiguous")],
        *OUTLIER_SCHEMA,
        (_RANGE, pa.int32()),
        (_OFFSET, pa.int64()),
        (_TAGS, pa.binary()),
    ]
)
_NUMBERED = pa.schema([*EXAMPLE_SCHEMA, *OUTLIER_SCHEMA, ("issue_rank", pa.int64())])


class CarriedScorer(RowScorer, Protocol):
    """A row scorer that knows what rows must bring for it."""

    def carried(self, ingest: Ingest) -> Column:
        """What a row must bring, as one struct."""


def examples_frame(
    ingest: Ingest, rules: AuditRules, ranks: RankPlan, outliers: CarriedScorer | None = None
) -> DataFrame:
    """One row per audited row, with its rank among the issues (see `RankPlan`).

    Args:
        ingest: The source.
        rules: The finished audit.
        ranks: Of the issues.
        outliers: Scores outliers; None: their columns are null.
    """
    engine = ingest.engine
    carry = None if outliers is None else outliers.carried(ingest)
    score = _score_batches(ingest.layout, rules, ranks, outliers)
    number = _number_batches(ingest.layout.classes)
    is_issue = F.col("is_label_issue")
    scored = engine.map_batches(ingest.task_frame(with_id=True, carry=carry), score, keep=(ID,), add=_SCORED)
    ordered = scored.repartition(_RANGE).sortWithinPartitions(
        _RANGE, F.when(is_issue, F.col("label_quality_score")), F.when(is_issue, F.col(ID))
    )
    numbered = engine.map_batches(ordered, number, keep=(ID,), add=_NUMBERED)
    return numbered.withColumnRenamed(ID, ingest.layout.id)


def _score_batches(
    layout: InputLayout, rules: AuditRules, ranks: RankPlan, outliers: CarriedScorer | None
) -> BatchMap:
    """Scores and flags of every row, and into which range of ranks it falls."""

    def score(batches: Batches) -> Batches:
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
                names=[ID, *_SCORED.names],
            )

    return score


def _number_batches(class_names: Sequence[str]) -> BatchMap:
    """Ranks of the rows of a range, which come in their order, and tags by name."""

    def number(batches: Batches) -> Batches:
        classes = pa.array(class_names, pa.string())
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
                *[batch.column(name) for name in OUTLIER_SCHEMA.names],
                numbering.ranks(batch),
            ]
            yield pa.RecordBatch.from_arrays(columns, names=[ID, *_NUMBERED.names])

    return number


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
