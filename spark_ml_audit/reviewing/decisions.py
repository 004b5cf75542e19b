"""Reviewers' decisions: which verdict holds for a cell, which cannot be used, what audits make of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_ml_audit.arrow.decode import decode_batches
from spark_ml_audit.arrow.layout import ID, MARKS
from spark_ml_audit.engines.base import Batches
from spark_ml_audit.engines.columns import column, field, type_name
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.class_list import class_frame
from spark_ml_audit.frames.fit import AuditFit
from spark_ml_audit.kernels.confident_joint import class_quality
from spark_ml_audit.kernels.records import Records, make_records
from spark_ml_audit.kernels.rules import apply_rules
from spark_ml_audit.outcomes.base import plain

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine

VERDICTS = ("present", "absent", "unsure")
TAG, VERDICT, WHO, WHEN, NOTE = "tag", "verdict", "who", "when", "note"
STANDING, CONTRADICTORY, TAG_UNKNOWN, VERDICT_UNKNOWN, ID_NULL = (
    "standing",
    "contradictory",
    "tag_unknown",
    "verdict_unknown",
    "id_null",
)
_NEVER = "0001-01-01 00:00:00"


def check_decisions(frame: DataFrame, id_name: str, id_type: T.DataType, key: str) -> DataFrame:
    """The columns id, tag, verdict, who, when, note of a table of decisions.

    Args:
        frame: The table; who, when and note may be missing.
        id_name: Column that names a row, in the source; `id` is taken too.
        id_type: Its type.
        key: Config key, for messages.

    Raises:
        InputError: A column is missing, or the ids are of a type that cannot be compared.
    """
    own = id_name if id_name in frame.columns else ID
    found = field(frame, own, key).dataType
    same = found == id_type or (isinstance(found, T.IntegralType) and isinstance(id_type, T.IntegralType))
    if not same:
        raise InputError(
            f"the decisions name rows by '{own}' ({type_name(found)}), "
            f"the source by '{id_name}' ({type_name(id_type)}).",
            key=key,
            fix="Import decisions with `spark-ml-audit decide`, which converts ids.",
        )
    for name in (TAG, VERDICT):
        field(frame, name, key)
    return frame.select(
        column(own).cast(id_type).alias(ID),
        column(TAG).cast("string").alias(TAG),
        F.lower(F.trim(column(VERDICT).cast("string"))).alias(VERDICT),
        _optional(frame, WHO, "string"),
        _optional(frame, WHEN, "timestamp"),
        _optional(frame, NOTE, "string"),
    )


def _optional(frame: DataFrame, name: str, kind: str) -> Column:
    value = column(name) if name in frame.columns else F.lit(None)
    return value.cast(kind).alias(name)


def standing_decisions(engine: Engine, decisions: DataFrame, classes: Sequence[str]) -> DataFrame:
    """One row per (id, tag) with the verdict that stands.

    The latest `when` wins; one without a time comes before all others. Where the latest ones disagree the
    cell is contradictory and has no verdict.

    Args:
        engine: What runs the frame.
        decisions: From `check_decisions`.
        classes: Tag names in class order.

    Returns:
        Columns id, tag, class_index, state (standing, contradictory, tag_unknown, verdict_unknown or
        id_null), verdict, who, when, note; verdict null unless standing.
    """
    known = class_frame(engine, classes)
    when = F.coalesce(F.col(WHEN), F.lit(_NEVER).cast("timestamp"))
    good = F.col(VERDICT).isin(*VERDICTS)
    # one struct per decision: they sort by time, then by content, so the choice never depends on order
    entry = F.struct(when.alias("at"), F.col(VERDICT), F.col(WHO), F.col(NOTE), F.col(WHEN))
    # (a cell whose decisions all have bad verdicts keeps its row, to be reported)
    grouped = decisions.groupBy(ID, TAG).agg(
        F.max(F.when(good, entry)).alias("last"),
        F.collect_set(F.when(good, F.struct(when, VERDICT))).alias("all"),
    )
    latest = F.filter("all", lambda item: item["col1"] == F.col("last")["at"])
    verdicts = F.size(F.array_distinct(F.transform(latest, lambda item: item[VERDICT])))
    joined = grouped.join(F.broadcast(known), TAG, "left")
    state = (
        F.when(F.col(ID).isNull(), ID_NULL)
        .when(F.col("class_index").isNull(), TAG_UNKNOWN)
        .when(F.col("last").isNull(), VERDICT_UNKNOWN)
        .when(verdicts > 1, CONTRADICTORY)
        .otherwise(STANDING)
    )
    parts = [
        F.when(state == STANDING, F.col("last")[name]).alias(name) for name in (VERDICT, WHO, WHEN, NOTE)
    ]
    return joined.select(ID, TAG, "class_index", state.alias("state"), *parts)


def marks_frame(standing: DataFrame) -> DataFrame:
    """Per id, the cells with a verdict of present or absent, as `layout.MARKS`."""
    used = standing.where((F.col("state") == STANDING) & (F.col(VERDICT) != "unsure"))
    code = F.col("class_index") * 2 + (F.col(VERDICT) == "present").cast("int")
    return used.groupBy(ID).agg(F.sort_array(F.collect_list(code)).alias(MARKS))


@dataclass(frozen=True)
class DecisionCounts:
    """Cells with a decision, by what becomes of it.

    Attributes:
        by_state: State of `standing_decisions` -> cells.
    """

    by_state: dict[str, int]

    def warnings(self) -> list[str]:
        """Sentences on decisions that were set aside."""
        said = {
            CONTRADICTORY: "contradict each other (another verdict at the same time)",
            TAG_UNKNOWN: "name a tag that is no class",
            VERDICT_UNKNOWN: f"have a verdict other than {', '.join(VERDICTS)}",
            ID_NULL: "name no row",
        }
        return [
            f"{self.by_state[state]} decisions were set aside: they {what}."
            for state, what in said.items()
            if self.by_state.get(state)
        ]


def count_decisions(standing: DataFrame) -> DecisionCounts:
    """How many cells have which state."""
    rows = standing.groupBy("state").count().collect()  # one row per state
    return DecisionCounts({row["state"]: row["count"] for row in rows})


def apply_decisions(fit: AuditFit, standing: DataFrame) -> tuple[AuditFit, DecisionCounts]:
    """Let an audit leave out what people have confirmed: cells as given, which are never flagged again.

    Thresholds and cut-offs stay what they are; the class table's counts of flags follow.

    Args:
        fit: The audit.
        standing: From `standing_decisions`.
    """
    ingest = replace(fit.ingest, marks=marks_frame(standing))
    layout, rules = ingest.layout, fit.rules
    num_classes = layout.num_classes

    def reduce(batches: Batches) -> Iterator[Records]:
        for decoded in decode_batches(batches, layout):
            batch = (decoded.pred_probs, decoded.rows, decoded.cols, rules)
            before, after = apply_rules(*batch), apply_rules(*batch, decoded.confirmed)
            for side, (old, new) in enumerate(
                ((before.missing, after.missing), (before.extraneous, after.extraneous))
            ):
                fewer = np.bincount(old[1], minlength=num_classes) - np.bincount(
                    new[1], minlength=num_classes
                )
                at = np.flatnonzero(fewer)
                yield make_records(at, side, fewer[at])

    # only rows with a decision can lose a flag
    marked = ingest.task_frame(with_id=True).where(F.col(MARKS).isNotNull())
    records = ingest.engine.reduce_batches(marked, reduce)
    fewer = np.zeros((2, num_classes), dtype=np.int64)
    fewer[records["slot"].astype(int), records["class_index"].astype(int)] = records["a"]
    classes = fit.classes
    missing = np.array([row.num_missing for row in classes]) - fewer[0]
    extraneous = np.array([row.num_extraneous for row in classes]) - fewer[1]
    quality = class_quality(missing, extraneous, fit.profile.num_rows)
    adjusted = tuple(
        replace(
            row,
            num_missing=int(missing[k]),
            num_extraneous=int(extraneous[k]),
            label_noise=plain(quality.label_noise[k]),
            inverse_label_noise=plain(quality.inverse_label_noise[k]),
            label_quality=plain(quality.label_quality[k]),
        )
        for k, row in enumerate(classes)
    )
    return replace(fit, ingest=ingest, classes=adjusted), count_decisions(standing)
