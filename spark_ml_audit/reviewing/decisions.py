"""Reviewers' decisions: which verdict holds for a cell, which cannot be used, what audits make of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from spark_ml_audit.arrow.decision_values import TIME as TIMES
from spark_ml_audit.arrow.decision_values import times_of
from spark_ml_audit.arrow.decode import decode_batches
from spark_ml_audit.arrow.layout import ID, MARKS
from spark_ml_audit.arrow.types import is_integral, is_string, type_name
from spark_ml_audit.engines.base import Batches, rows_of
from spark_ml_audit.engines.columns import column, field
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.class_list import class_frame
from spark_ml_audit.frames.fit import AuditFit
from spark_ml_audit.kernels.confident_joint import class_quality
from spark_ml_audit.kernels.decided_tags import EXCLUDED
from spark_ml_audit.kernels.records import Records, make_records
from spark_ml_audit.kernels.rules import apply_rules
from spark_ml_audit.outcomes.base import plain
from spark_ml_audit.reviewing.tables import TIME, frame_type
from spark_ml_audit.reviewing.votes import (
    BASIS,
    BULK_ID,
    DECISION_ID,
    IS_DISPUTED,
    IS_GOOD,
    KIND,
    NOTE,
    NUM_ABSENT,
    NUM_PRESENT,
    NUM_UNSURE,
    ROW,
    RUN_ID,
    SAMPLE_ID,
    TAG,
    UNDOES,
    VERDICT,
    VERDICTS,
    WHEN,
    WHO,
    person_votes,
    settled_votes,
    without_undone,
)

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine, Frame

STANDING, CONTRADICTORY, TAG_UNKNOWN, VERDICT_UNKNOWN, ID_NULL = (
    "standing",
    "contradictory",
    "tag_unknown",
    "verdict_unknown",
    "id_null",
)
_MORE = (KIND, SAMPLE_ID, RUN_ID, DECISION_ID, BULK_ID)
_UNTIMED = (ID, TAG, VERDICT, WHO, NOTE, *_MORE)
_COLUMNS = (ID, TAG, VERDICT, WHO, WHEN, NOTE, *_MORE)


def check_decisions(engine: Engine, frame: Frame, id_name: str, id_type: Any, key: str) -> Frame:
    """The decisions of a table that hold: id, tag, verdict, who, when, note, kind and what they belong to.

    Records that take others back are gone, with what they take back; so are those on whole rows.

    Args:
        engine: What runs the frame.
        frame: The table; all but the id, tag and verdict may be missing (null then).
        id_name: Column that names a row, in the source; `id` is taken too.
        id_type: Its Arrow type.
        key: Config key, for messages.

    Raises:
        InputError: A column is missing, or the ids are of a type that cannot be compared.
    """
    schema = engine.schema(frame)
    own = id_name if id_name in schema.names else ID
    found = field(schema, own, key).type
    if not (found == id_type or (is_integral(found) and is_integral(id_type))):
        raise InputError(
            f"the decisions name rows by '{own}' ({type_name(found)}), "
            f"the source by '{id_name}' ({type_name(id_type)}).",
            key=key,
            fix="Import decisions with `spark-ml-audit decide`, which converts ids.",
        )
    for name in (TAG, VERDICT):
        field(schema, name, key)
    row_id = column(own) if found == id_type else column(own).cast(frame_type(id_type))
    kept = {name.lower() for name in schema.names}
    if {KIND, DECISION_ID, BULK_ID, UNDOES} <= kept:
        kind_of = nw.col(KIND)
        frame = without_undone(frame)
        frame = frame.filter(kind_of.is_null() | (kind_of != ROW))
    checked = frame.select(
        row_id.alias(ID),
        _text(schema, TAG),
        _text(schema, VERDICT).str.strip_chars(" ").str.to_lowercase(),
        _text(schema, WHO),
        (nw.col(WHEN) if WHEN in schema.names else nw.lit(None, dtype=TIME).alias(WHEN)),
        _text(schema, NOTE),
        *[_text(schema, name) for name in _MORE],
    )
    kind = schema.field(WHEN).type if WHEN in schema.names else None
    if kind is None or (pa.types.is_timestamp(kind) and kind.tz):
        return checked
    timed = engine.map_batches(checked, _with_times, keep=_UNTIMED, add=pa.schema([(WHEN, TIMES)]))
    return timed.select(*_COLUMNS)


def _text(schema: pa.Schema, name: str) -> nw.Expr:
    if name not in schema.names:
        return nw.lit(None, dtype=nw.String).alias(name)
    value = nw.col(name)
    return value if is_string(schema.field(name).type) else value.cast(nw.String)


def _with_times(batches: Batches) -> Batches:
    for batch in batches:
        columns = [*(batch.column(name) for name in _UNTIMED), times_of(batch.column(WHEN))]
        yield pa.RecordBatch.from_arrays(columns, names=[*_UNTIMED, WHEN])


def standing_decisions(engine: Engine, decisions: Frame, classes: Sequence[str]) -> Frame:
    """One row per (id, tag) with the verdict that stands, by the rule of `reviewing.votes`.

    An adjudication, else the majority of the people's newest verdicts, else the newest. Where the newest
    ones disagree the cell is contradictory and has no verdict.

    Args:
        engine: What runs the frame.
        decisions: From `check_decisions`.
        classes: Tag names in class order.

    Returns:
        Columns id, tag, class_index, state (standing, contradictory, tag_unknown, verdict_unknown or
        id_null), verdict, who, when, note (null unless standing), and basis, num_present, num_absent,
        num_unsure, is_disputed of `votes.settled_votes`.
    """
    settled = settled_votes(person_votes(decisions))
    joined = settled.join(class_frame(engine, classes), on=TAG, how="left")
    state = (
        nw.when(nw.col(ID).is_null())
        .then(nw.lit(ID_NULL))
        .when(nw.col("class_index").is_null())
        .then(nw.lit(TAG_UNKNOWN))
        .when(~nw.col(IS_GOOD))
        .then(nw.lit(VERDICT_UNKNOWN))
        .when(nw.col(VERDICT).is_null())
        .then(nw.lit(CONTRADICTORY))
        .otherwise(nw.lit(STANDING))
    )
    stands = nw.col("state") == STANDING
    return joined.with_columns(state.alias("state")).select(
        ID,
        TAG,
        "class_index",
        "state",
        *[nw.when(stands).then(nw.col(name)).alias(name) for name in (VERDICT, WHO, WHEN, NOTE)],
        BASIS,
        NUM_PRESENT,
        NUM_ABSENT,
        NUM_UNSURE,
        IS_DISPUTED,
    )


def marks_frame(engine: Engine, standing: Frame, excluded: Frame | None = None) -> Frame:
    """Per id, the cells with a verdict of present or absent, as `layout.MARKS`.

    Args:
        engine: What runs the frames.
        standing: From `standing_decisions`.
        excluded: Ids of rows to mark as `kernels.decided_tags.EXCLUDED`; None for none.
    """
    used = standing.filter((nw.col("state") == STANDING) & (nw.col(VERDICT) != "unsure"))
    code = nw.col("class_index") * 2 + nw.when(nw.col(VERDICT) == "present").then(1).otherwise(0)
    marks = used.select(ID, code.cast(nw.Int32).alias(MARKS))
    if excluded is not None:
        marks = nw.concat([marks, excluded.select(ID, nw.lit(EXCLUDED, dtype=nw.Int32).alias(MARKS))])
    return engine.lists(marks, [ID], MARKS)


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


def count_decisions(engine: Engine, standing: Frame) -> DecisionCounts:
    """How many cells have which state."""
    rows = rows_of(engine, standing.group_by("state").agg(nw.len().alias("count")))  # one row per state
    return DecisionCounts({row["state"]: row["count"] for row in rows})


def apply_decisions(fit: AuditFit, standing: Frame) -> tuple[AuditFit, DecisionCounts]:
    """Let an audit leave out what people have confirmed: cells as given, which are never flagged again.

    Thresholds and cut-offs stay what they are; the class table's counts of flags follow.

    Args:
        fit: The audit.
        standing: From `standing_decisions`.
    """
    engine = fit.ingest.engine
    ingest = replace(fit.ingest, marks=marks_frame(engine, standing))
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
    marked = ingest.task_frame(with_id=True).filter(~nw.col(MARKS).is_null())
    records = engine.reduce_batches(marked, reduce)
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
    return replace(fit, ingest=ingest, classes=adjusted), count_decisions(engine, standing)
