"""What a correction changes: which tags of which rows, and labels rewritten in their own format.

All of it is one row per changed row of the source. A row's labels are kept before and after as JSON of the
label columns, from which the exact values come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import narwhals as nw
import pyarrow as pa

from spark_ml_audit.arrow.label_edits import ADDED, REMOVED, edit_labels
from spark_ml_audit.arrow.label_json import label_key, pack_labels, unpack_labels
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.arrow.lists import lists_contain
from spark_ml_audit.arrow.types import is_list
from spark_ml_audit.engines.base import Batches
from spark_ml_audit.engines.columns import column, field, in_frame
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.formats import is_vector
from spark_ml_audit.reviewing.decisions import STANDING
from spark_ml_audit.reviewing.tables import TIME
from spark_ml_audit.reviewing.votes import BASIS, BULK

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine, Frame

PLANNED, APPLIED, STALE, GONE = "planned", "applied", "stale", "gone"
LEFT_OUT = "left_out"
"""Of rows of the source that are not in the copy, because people excluded them."""
BEFORE, AFTER, CHANGES, STATUS = "before", "after", "changes", "status"

_TEXT, _CLASS, _PROB = nw.String(), nw.Int32(), nw.Float64()
CHANGE_FIELDS: tuple[tuple[str, Any], ...] = (
    ("class_index", _CLASS),
    ("tag", _TEXT),
    ("action", _TEXT),
    ("reason", _TEXT),
    ("decided_by", _TEXT),
    ("decided_at", TIME),
    ("note", _TEXT),
    ("pred_prob", _PROB),
)
"""What is known of one change, and its types in frames; the class comes first, by which changes sort."""


@dataclass(frozen=True)
class LabelColumns:
    """The label columns of a source and how tags are written in them.

    Attributes:
        id: Column that names a row.
        names: Label columns: one, or one per class.
        types: Their Arrow types.
        labels_format: names, indices, multi_hot, delimited or columns.
        delimiter: Of delimited texts.
    """

    id: str
    names: tuple[str, ...]
    types: tuple[Any, ...]
    labels_format: str
    delimiter: str

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the label columns where the source's own are not used."""
        return tuple(label_key(k) for k in range(len(self.names)))

    def of(self, frame: Frame) -> Frame:
        """Id and label columns of a table, as `id` and under their keys."""
        pairs = zip(self.names, self.keys, strict=True)
        return frame.select(column(self.id).alias(ID), *[column(name).alias(key) for name, key in pairs])

    def packed(self, engine: Engine, frame: Frame, name: str) -> Frame:
        """Id and labels as JSON.

        Args:
            engine: What runs the frame.
            frame: From `of`.
            name: Of the column of JSON.
        """
        keys = self.keys

        def run(batches: Batches) -> Batches:
            for batch in batches:
                packed = pack_labels([batch.column(key) for key in keys])
                yield pa.RecordBatch.from_arrays([batch.column(ID), packed], names=[ID, name])

        return engine.map_batches(frame, run, keep=(ID,), add=pa.schema([(name, pa.string())]))

    def unpacked(self, engine: Engine, frame: Frame, **prefixes: str) -> Frame:
        """Id and label columns from columns of JSON.

        Args:
            engine: What runs the frame.
            frame: Rows with id and JSON.
            **prefixes: Column of JSON -> what comes before the position in the names of its label columns.
        """
        types = self.types
        added = [(f"{prefix}{k}", kind) for prefix in prefixes.values() for k, kind in enumerate(types)]
        names = [ID, *[name for name, _ in added]]

        def run(batches: Batches) -> Batches:
            for batch in batches:
                columns = [batch.column(ID)]
                for packed in prefixes:
                    columns += unpack_labels(batch.column(packed), types)
                yield pa.RecordBatch.from_arrays(columns, names=names)

        return engine.map_batches(frame.select(ID, *prefixes), run, keep=(ID,), add=pa.schema(added))


def label_columns(
    schema: pa.Schema, id_name: str, names: tuple[str, ...], labels_format: str, delimiter: str
) -> LabelColumns:
    """Describe the label columns of a source.

    Args:
        schema: Of the source.
        id_name: Its id column.
        names: One column, or one per class.
        labels_format: names, indices, multi_hot, delimited or columns.
        delimiter: What stands between tags in a delimited text.

    Raises:
        InputError: A column is missing, or of a type that cannot be written back exactly.
    """
    fields = [field(schema, name, "source.labels") for name in names]
    for item in fields:
        if is_vector(item):
            raise InputError(
                f"label column '{item.name}' is vector, which cannot be corrected.",
                key="source.labels",
                fix="Store the tags as an array, for example with pyspark.ml.functions.vector_to_array.",
            )
    types = tuple(pa.list_(item.type.value_type) if is_list(item.type) else item.type for item in fields)
    return LabelColumns(id_name, names, types, labels_format, delimiter)


def wanted_changes(
    engine: Engine, given: Frame, standing: Frame | None, auto: Frame | None
) -> tuple[Frame, Frame | None]:
    """The changes that decisions and automatic acceptance ask for.

    A cell with any decision, contradictory and unsure ones included, is never changed automatically.

    Args:
        engine: What runs the frames.
        given: Audited rows: id, given_tags.
        standing: From `decisions.standing_decisions`, or None.
        auto: Flagged cells accepted by their confidence: id, tag, class_index, action, pred_prob; or None.

    Returns:
        Columns id and `CHANGES` (structs of `CHANGE_FIELDS`, in class order), one row per id with a change;
        and the standing decisions with a column `row_audited`, or None.
    """
    parts = []
    located = None
    if standing is not None:
        located = standing.join(given.with_columns(nw.lit(True).alias("row_audited")), on=ID, how="left")
        parts.append(_decided(engine, located))
    if auto is not None:
        spoken = None if standing is None else standing.select(ID, "tag")
        accepted = auto if spoken is None else auto.join(spoken, on=[ID, "tag"], how="anti")
        known = {name: nw.col(name) for name in ("class_index", "tag", "action", "pred_prob")}
        parts.append(accepted.select(ID, _change(reason=nw.lit("auto"), **known)))
    changes = parts[0] if len(parts) == 1 else nw.concat(parts, how="vertical")
    return engine.lists(changes, [ID], "change").rename({"change": CHANGES}), located


def _decided(engine: Engine, located: Frame) -> Frame:
    """The changes that standing decisions ask for: tags that are there and should not be, or the reverse."""
    verdict = nw.col("verdict")
    sure = located.filter((nw.col("state") == STANDING) & nw.col("row_audited") & (verdict != "unsure"))
    kept = (ID, "tag", "class_index", "verdict", "who", "when", "note", BASIS)

    def run(batches: Batches) -> Batches:
        for batch in batches:
            own = [batch.column(name) for name in kept]
            has_tag = lists_contain(batch.column("given_tags"), batch.column("tag"))
            yield pa.RecordBatch.from_arrays([*own, has_tag], names=[*kept, "has_tag"])

    told = engine.map_batches(
        sure.select(*kept, "given_tags"), run, keep=kept, add=pa.schema([("has_tag", pa.bool_())])
    )
    is_wrong = (verdict == "present") != nw.col("has_tag")
    change = _change(
        class_index=nw.col("class_index"),
        tag=nw.col("tag"),
        action=nw.when(verdict == "present").then(nw.lit(ADDED)).otherwise(nw.lit(REMOVED)),
        reason=nw.when(nw.col(BASIS) == BULK).then(nw.lit("certified")).otherwise(nw.lit("decision")),
        decided_by=nw.col("who"),
        decided_at=nw.col("when"),
        note=nw.col("note"),
    )
    return told.filter(is_wrong).select(ID, change)


def _change(**values: nw.Expr) -> nw.Expr:
    parts = [
        values[name].cast(kind).alias(name) if name in values else nw.lit(None, dtype=kind).alias(name)
        for name, kind in CHANGE_FIELDS
    ]
    return nw.struct(*parts).alias("change")


def plan_rows(engine: Engine, source: Frame, labels: LabelColumns, changes: Frame, num_classes: int) -> Frame:
    """Changed rows with their labels before and after, by the version that was audited.

    Args:
        engine: What runs the frames.
        source: The audited version of the source.
        labels: Its label columns.
        changes: Columns id and changes, one row per row to change.
        num_classes: K.

    Returns:
        Columns id, before, after (JSON), changes.
    """
    keys, labels_format, delimiter = labels.keys, labels.labels_format, labels.delimiter
    names = [ID, CHANGES, BEFORE, AFTER]

    def run(batches: Batches) -> Batches:
        for batch in batches:
            old = [batch.column(key) for key in keys]
            changed = batch.column(CHANGES)
            new = edit_labels(old, changed, labels_format, delimiter, num_classes)
            columns = [batch.column(ID), changed, pack_labels(old), pack_labels(new)]
            yield pa.RecordBatch.from_arrays(columns, names=names)

    joined = labels.of(source).join(changes, on=ID, how="inner")
    added = pa.schema([(BEFORE, pa.string()), (AFTER, pa.string())])
    planned = engine.map_batches(joined, run, keep=(ID, CHANGES), add=added)
    return planned.select(ID, BEFORE, AFTER, CHANGES)


def compare_rows(
    engine: Engine,
    plan: Frame,
    target: Frame,
    labels: LabelColumns,
    *,
    expected: str,
    good: str,
    among: Frame | None = None,
) -> Frame:
    """The plan with the status of every row in a table as it is now.

    Args:
        engine: What runs the frames.
        plan: Rows with id and the labels as JSON.
        target: The table.
        labels: Its label columns.
        expected: `BEFORE` or `AFTER`: what the row's labels should be.
        good: Status where they are.
        among: Rows whose ids are those of the plan and perhaps more, where they cost less to find than the
            plan does; the plan itself if None.

    Returns:
        Columns id, before, after, changes, status: `good`; stale where the labels are others or the id is
        there more than once; gone where the row is not there.
    """
    ids = (plan if among is None else among).select(ID)
    there = labels.of(target).join(ids, on=ID, how="semi")
    current = (
        labels.packed(engine, there, "now").group_by(ID).agg(nw.len().alias("times"), nw.col("now").max())
    )
    is_same = (nw.col("times") == 1) & (nw.col("now") == nw.col(expected))
    status = (
        nw.when(nw.col("times").is_null())
        .then(nw.lit(GONE))
        .when(is_same)
        .then(nw.lit(good))
        .otherwise(nw.lit(STALE))
    )
    planned = plan.select(ID, BEFORE, AFTER, CHANGES)
    joined = planned.join(current, on=ID, how="left")
    return joined.select(ID, BEFORE, AFTER, CHANGES, status.alias(STATUS))


def corrected_rows(
    engine: Engine, target: Frame, names: Sequence[str], labels: LabelColumns, plan: Frame
) -> Frame:
    """A table with the planned rows' labels replaced; everything else as it is.

    Args:
        engine: What runs the frames.
        target: The source as it is now.
        names: Its columns.
        labels: Its label columns.
        plan: From `compare_rows`: rows to be replaced have the status `planned`.
    """
    new = labels.unpacked(engine, plan.filter(nw.col(STATUS) == PLANNED), **{AFTER: "__changed_"})
    new = new.rename({ID: "__changed_id"}).with_columns(nw.lit(True).alias("__changed"))
    joined = target.join(new, left_on=in_frame(labels.id), right_on="__changed_id", how="left")
    places = {name: k for k, name in enumerate(labels.names)}
    columns = []
    for name in names:
        value = column(name)
        if name in places:
            new_value = nw.col(f"__changed_{places[name]}")
            value = nw.when(nw.col("__changed")).then(new_value).otherwise(value).alias(in_frame(name))
        columns.append(value)
    return joined.select(*columns)


def change_rows(plan: Frame, *, undo: bool) -> Frame:
    """One row per changed cell, from rows with their final status."""
    each = plan.explode(CHANGES)

    def known(name: str) -> nw.Expr:
        return nw.col(CHANGES).struct.field(name)

    action, reason = known("action"), known("reason")
    if undo:
        action = nw.when(action == ADDED).then(nw.lit(REMOVED)).otherwise(nw.lit(ADDED))
        reason = nw.lit("undo")
    return each.select(
        nw.col(ID),
        known("tag").alias("tag"),
        action.alias("action"),
        reason.alias("reason"),
        *[known(name).alias(name) for name in ("decided_by", "decided_at", "note", "pred_prob")],
        nw.col(AFTER if undo else BEFORE).alias("labels_before"),
        nw.col(BEFORE if undo else AFTER).alias("labels_after"),
        nw.col(STATUS),
    )
