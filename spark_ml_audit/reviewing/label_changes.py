"""What a correction changes: which tags of which rows, and labels rewritten in their own format.

All of it is one row per changed row of the source. A row's labels are kept before and after as JSON of the
label columns, from which the exact values come back.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.engines.columns import column, field, split_text, type_name
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.formats import INTEGRAL, is_vector
from spark_ml_audit.reviewing.decisions import STANDING

ADDED, REMOVED = "added", "removed"
PLANNED, APPLIED, STALE, GONE = "planned", "applied", "stale", "gone"
BEFORE, AFTER, CHANGES, STATUS = "before", "after", "changes", "status"
_JSON = {"ignoreNullFields": "false"}

CHANGE_TYPE = T.StructType(
    [
        T.StructField("class_index", T.IntegerType()),
        T.StructField("tag", T.StringType()),
        T.StructField("action", T.StringType()),
        T.StructField("reason", T.StringType()),
        T.StructField("decided_by", T.StringType()),
        T.StructField("decided_at", T.TimestampType()),
        T.StructField("note", T.StringType()),
        T.StructField("pred_prob", T.DoubleType()),
    ]
)


@dataclass(frozen=True)
class LabelColumns:
    """The label columns of a source and how tags are written in them.

    Attributes:
        id: Column that names a row.
        names: Label columns: one, or one per class.
        types: Their types.
        labels_format: names, indices, multi_hot, delimited or columns.
        delimiter: Of delimited texts.
    """

    id: str
    names: tuple[str, ...]
    types: tuple[T.DataType, ...]
    labels_format: str
    delimiter: str

    def packed(self) -> Column:
        """The label columns of a row as JSON."""
        struct = F.struct(*[column(name).alias(self.key(k)) for k, name in enumerate(self.names)])
        return F.to_json(struct, _JSON)

    def unpacked(self, packed: str) -> list[Column]:
        """The label columns from a column of JSON."""
        fields = [T.StructField(self.key(k), kind) for k, kind in enumerate(self.types)]
        parsed = F.from_json(F.col(packed), T.StructType(fields))
        return [parsed[self.key(k)] for k in range(len(self.names))]

    @staticmethod
    def key(position: int) -> str:
        """Key of a label column in the JSON."""
        return f"l{position}"


def label_columns(
    frame: DataFrame, id_name: str, names: tuple[str, ...], labels_format: str, delimiter: str
) -> LabelColumns:
    """Describe the label columns of a source.

    Args:
        frame: The source.
        id_name: Its id column.
        names: One column, or one per class.
        labels_format: names, indices, multi_hot, delimited or columns.
        delimiter: What stands between tags in a delimited text.

    Raises:
        InputError: A column is missing, or of a type that cannot be written back exactly.
    """
    types = tuple(field(frame, name, "source.labels").dataType for name in names)
    for name, kind in zip(names, types, strict=True):
        if is_vector(kind):
            raise InputError(
                f"label column '{name}' is {type_name(kind)}, which cannot be corrected.",
                key="source.labels",
                fix="Store the tags as an array, for example with pyspark.ml.functions.vector_to_array.",
            )
    return LabelColumns(id_name, names, types, labels_format, delimiter)


def wanted_changes(
    given: DataFrame, standing: DataFrame | None, auto: DataFrame | None
) -> tuple[DataFrame, DataFrame | None]:
    """The changes that decisions and automatic acceptance ask for.

    A cell with any decision, contradictory and unsure ones included, is never changed automatically.

    Args:
        given: Audited rows: id, given_tags.
        standing: From `decisions.standing_decisions`, or None.
        auto: Flagged cells accepted by their confidence: id, tag, class_index, action, pred_prob; or None.

    Returns:
        Columns id and `CHANGES` (see `CHANGE_TYPE`, in class order), one row per id with a change; and the
        standing decisions with a column `row_audited`, or None.
    """
    parts = []
    located = None
    if standing is not None:
        located = standing.join(given.withColumn("row_audited", F.lit(True)), ID, "left")
        has_tag = F.array_contains("given_tags", F.col("tag"))
        action = F.when((F.col("verdict") == "present") & ~has_tag, ADDED).when(
            (F.col("verdict") == "absent") & has_tag, REMOVED
        )
        decided = located.where((F.col("state") == STANDING) & action.isNotNull())
        parts.append(
            decided.select(
                ID,
                _change(
                    action=action,
                    reason=F.lit("decision"),
                    by=F.col("who"),
                    at=F.col("when"),
                    note=F.col("note"),
                ),
            )
        )
    if auto is not None:
        accepted = (
            auto if standing is None else auto.join(standing.select(ID, "tag"), [ID, "tag"], "left_anti")
        )
        parts.append(
            accepted.select(
                ID, _change(action=F.col("action"), reason=F.lit("auto"), pred_prob=F.col("pred_prob"))
            )
        )
    changes = parts[0] if len(parts) == 1 else parts[0].unionByName(parts[1])
    return changes.groupBy(ID).agg(F.sort_array(F.collect_list("change")).alias(CHANGES)), located


def _change(
    *,
    action: Column,
    reason: Column,
    by: Column | None = None,
    at: Column | None = None,
    note: Column | None = None,
    pred_prob: Column | None = None,
) -> Column:
    values = [F.col("class_index"), F.col("tag"), action, reason, by, at, note, pred_prob]
    parts = [
        (F.lit(None) if value is None else value).cast(item.dataType).alias(item.name)
        for value, item in zip(values, CHANGE_TYPE.fields, strict=True)
    ]
    return F.struct(*parts).alias("change")


def plan_rows(source: DataFrame, labels: LabelColumns, changes: DataFrame) -> DataFrame:
    """Changed rows with their labels before and after, by the version that was audited.

    Args:
        source: The audited version of the source.
        labels: Its label columns.
        changes: Columns id and changes (array of `CHANGE_TYPE`), one row per row to change.

    Returns:
        Columns id, before, after (JSON), changes.
    """
    own = [column(labels.id).alias(ID), labels.packed().alias(BEFORE)]
    own += [column(name).alias(labels.key(k)) for k, name in enumerate(labels.names)]
    joined = source.select(*own).join(changes, ID)
    rewritten = _rewrite(labels)
    after = F.struct(*[value.alias(labels.key(k)) for k, value in enumerate(rewritten)])
    return joined.select(ID, BEFORE, F.to_json(after, _JSON).alias(AFTER), CHANGES)


def _rewrite(labels: LabelColumns) -> list[Column]:
    """The label columns after the changes, in their own format; kept tags keep their order, new ones last."""

    def changed_by(action: str) -> Column:
        return F.filter(CHANGES, lambda item: item["action"] == action)

    by = {action: changed_by(action) for action in (ADDED, REMOVED)}
    tags = {action: F.transform(found, lambda item: item["tag"]) for action, found in by.items()}
    numbers = {action: F.transform(found, lambda item: item["class_index"]) for action, found in by.items()}
    values = [F.col(labels.key(k)) for k in range(len(labels.names))]
    if labels.labels_format == "columns":
        return [
            F.when(F.array_contains(numbers[ADDED], k), F.lit(1).cast(kind))
            .when(F.array_contains(numbers[REMOVED], k), F.lit(0).cast(kind))
            .otherwise(value)
            for k, (value, kind) in enumerate(zip(values, labels.types, strict=True))
        ]
    value, kind = values[0], labels.types[0]
    if labels.labels_format == "delimited":
        return [_rewrite_text(value, labels.delimiter, tags[ADDED], tags[REMOVED])]
    element = kind.elementType  # type: ignore[attr-defined]
    if labels.labels_format == "multi_hot":
        one, zero = F.lit(1).cast(element), F.lit(0).cast(element)
        return [
            F.transform(
                value,
                lambda x, i: (
                    F.when(F.array_contains(numbers[ADDED], i), one)
                    .when(F.array_contains(numbers[REMOVED], i), zero)
                    .otherwise(x)
                ),
            )
        ]
    own = tags if not isinstance(element, INTEGRAL) else numbers
    added, removed = (F.transform(own[action], lambda x: x.cast(element)) for action in (ADDED, REMOVED))
    return [F.concat(F.filter(value, lambda x: ~F.array_contains(removed, x)), added)]


def _trimmed(part: Column) -> Column:
    # (not F.trim itself: `transform` would give its second parameter the position)
    return F.trim(part)


def _rewrite_text(value: Column, delimiter: str, added: Column, removed: Column) -> Column:
    """A delimited text; a space after the delimiters is kept where the text has one."""
    parts = F.filter(F.transform(split_text(value, delimiter), _trimmed), lambda part: part != "")
    kept = F.filter(parts, lambda part: ~F.array_contains(removed, part))
    spaced = F.contains(value, F.lit(delimiter + " "))
    all_tags = F.concat(kept, added)
    return F.when(spaced, F.array_join(all_tags, delimiter + " ")).otherwise(
        F.array_join(all_tags, delimiter)
    )


def compare_rows(
    plan: DataFrame, target: DataFrame, labels: LabelColumns, expected: str, good: str
) -> DataFrame:
    """The plan with the status of every row in a table as it is now.

    Args:
        plan: Rows with id and the labels as JSON.
        target: The table.
        labels: Its label columns.
        expected: `BEFORE` or `AFTER`: what the row's labels should be.
        good: Status where they are.

    Returns:
        The plan with column status: `good`; stale where the labels are others or the id is there more than
        once; gone where the row is not there.
    """
    ids = plan.select(ID)
    current = (
        target.select(column(labels.id).alias(ID), labels.packed().alias("__now"))
        .join(ids, ID, "left_semi")
        .groupBy(ID)
        .agg(F.count(F.lit(1)).alias("__times"), F.max("__now").alias("__now"))
    )
    same = (F.col("__times") == 1) & F.col("__now").eqNullSafe(F.col(expected))
    status = F.when(F.col("__times").isNull(), GONE).when(same, good).otherwise(STALE)
    joined = plan.drop(STATUS).join(current, ID, "left")
    return joined.withColumn(STATUS, status).drop("__now", "__times")


def corrected_rows(target: DataFrame, labels: LabelColumns, plan: DataFrame) -> DataFrame:
    """A table with the planned rows' labels replaced; everything else as it is.

    Args:
        target: The source as it is now.
        labels: Its label columns.
        plan: From `compare_rows`: rows to be replaced have the status `planned`.
    """
    planned = plan.where(F.col(STATUS) == PLANNED).select(
        F.col(ID).alias("__changed_id"),
        *[value.alias(f"__{labels.key(k)}") for k, value in enumerate(labels.unpacked(AFTER))],
    )
    joined = target.join(planned, column(labels.id) == F.col("__changed_id"), "left")
    is_changed = F.col("__changed_id").isNotNull()
    places = {name: k for k, name in enumerate(labels.names)}
    columns = []
    for item in target.schema.fields:
        value = column(item.name)
        if item.name in places:
            new = F.col(f"__{labels.key(places[item.name])}")
            value = F.when(is_changed, new).otherwise(value).alias(item.name, metadata=item.metadata or {})
        columns.append(value)
    return joined.select(*columns)


def change_rows(plan: DataFrame, *, undo: bool) -> DataFrame:
    """One row per changed cell, from rows with their final status."""
    each = plan.select(ID, BEFORE, AFTER, STATUS, F.explode(CHANGES).alias("c"))
    action = F.col("c.action")
    if undo:
        action = F.when(action == ADDED, REMOVED).otherwise(ADDED)
    return each.select(
        ID,
        F.col("c.tag").alias("tag"),
        action.alias("action"),
        (F.lit("undo") if undo else F.col("c.reason")).alias("reason"),
        F.col("c.decided_by").alias("decided_by"),
        F.col("c.decided_at").alias("decided_at"),
        F.col("c.note").alias("note"),
        F.col("c.pred_prob").alias("pred_prob"),
        F.col(AFTER if undo else BEFORE).alias("labels_before"),
        F.col(BEFORE if undo else AFTER).alias("labels_after"),
        STATUS,
    )
