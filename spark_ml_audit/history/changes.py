"""Two runs' rows and flagged cells joined: what is newly flagged, fixed, still open, and why."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_ml_audit.engines.columns import column
from spark_ml_audit.outcomes.history import (
    CHANGES,
    FIXED,
    NEWLY_FLAGGED,
    ROW_CAME,
    ROW_WENT,
    SAME_TAGS,
    STILL_OPEN,
    TAGS_CHANGED,
)

ROW_COLUMNS = (
    "change",
    "reason",
    "label_quality_score",
    "label_quality_score_before",
    "given_tags",
    "given_tags_before",
)
"""Columns of `row_changes` after the id."""

CELL_COLUMNS = (
    "tag",
    "issue",
    "change",
    "reason",
    "pred_prob",
    "pred_prob_before",
    "cell_score",
    "cell_score_before",
)
"""Columns of `cell_changes` after the id."""

_NOW, _BEFORE = "now", "before"


def row_changes(now: DataFrame, before: DataFrame, id_name: str) -> DataFrame:
    """One row per row with an issue in either run: the id and `ROW_COLUMNS`.

    Args:
        now: `examples` of the newer run.
        before: `examples` of the older run.
        id_name: Name of the id column.
    """
    names = ("is_label_issue", "label_quality_score", "given_tags")
    joined = _suffixed(now, id_name, (), names, _NOW).join(
        _suffixed(before, id_name, (), names, _BEFORE), F.col("id_now") == F.col("id_before"), "full"
    )
    is_flagged, was_flagged = (
        F.coalesce(F.col(f"is_label_issue_{when}"), F.lit(False)) for when in (_NOW, _BEFORE)
    )
    given, given_before = F.col("given_tags_now"), F.col("given_tags_before")
    # sorted: the class order may have changed
    same = F.array_sort(given) == F.array_sort(given_before)
    change = _change(is_flagged, was_flagged)
    return joined.where(is_flagged | was_flagged).select(
        F.coalesce("id_now", "id_before").alias(id_name),
        change.alias("change"),
        _reason(change, given_before.isNull(), given.isNull(), same).alias("reason"),
        F.col("label_quality_score_now").alias("label_quality_score"),
        "label_quality_score_before",
        given.alias("given_tags"),
        "given_tags_before",
    )


def cell_changes(now: DataFrame, before: DataFrame, rows: DataFrame, id_name: str) -> DataFrame:
    """One row per cell flagged in either run: the id and `CELL_COLUMNS`.

    Args:
        now: `tag_issues` of the newer run.
        before: `tag_issues` of the older run.
        rows: `row_changes` of the same runs; every flagged cell is in one of these rows.
        id_name: Name of the id column.
    """
    keys, names = ("tag", "issue"), ("pred_prob", "cell_score")
    same_cell = [F.col(f"{key}_now") == F.col(f"{key}_before") for key in ("id", *keys)]
    joined = _suffixed(now, id_name, keys, names, _NOW).join(
        _suffixed(before, id_name, keys, names, _BEFORE), same_cell, "full"
    )
    cells = joined.select(
        *[F.coalesce(f"{key}_now", f"{key}_before").alias(f"cell_{key}") for key in ("id", *keys)],
        _change(F.col("id_now").isNotNull(), F.col("id_before").isNotNull()).alias("cell_change"),
        *[f"{name}_{when}" for name in names for when in (_NOW, _BEFORE)],
    )
    tags = rows.select(
        column(id_name).alias("row_id"),
        F.col("given_tags").alias("row_given"),
        F.col("given_tags_before").alias("row_given_before"),
    )
    given, given_before = F.col("row_given"), F.col("row_given_before")
    tag, change = F.col("cell_tag"), F.col("cell_change")
    same = F.array_contains(given, tag) == F.array_contains(given_before, tag)
    return cells.join(tags, F.col("cell_id") == F.col("row_id"), "left").select(
        F.col("cell_id").alias(id_name),
        tag.alias("tag"),
        F.col("cell_issue").alias("issue"),
        change.alias("change"),
        _reason(change, given_before.isNull(), given.isNull(), same).alias("reason"),
        F.col("pred_prob_now").alias("pred_prob"),
        "pred_prob_before",
        F.col("cell_score_now").alias("cell_score"),
        "cell_score_before",
    )


def flagged_by_tag(tag_issues: DataFrame, now: str, before: str, id_name: str) -> DataFrame:
    """Columns tag, newly_flagged, fixed, still_open: cells flagged in two runs, one row per tag.

    The row whose tag is null counts rows with flagged cells instead. Only flagged cells are read, once, and
    shuffled once, so this costs nothing next to an audit.

    Args:
        tag_issues: Rows of `tag_issues`, of these two runs and others.
        now: Id of the newer run.
        before: Id of the older run.
        id_name: Name of the id column.
    """
    none, surest = F.lit(None).cast("string"), F.col("rank_in_row") == 1  # one per row
    cell = F.struct("tag", "issue")
    row = F.struct(none.alias("tag"), none.alias("issue"))
    flags = tag_issues.where(F.col("run_id").isin(now, before)).select(
        column(id_name).alias("id"),
        (F.col("run_id") == now).alias("is_flagged"),
        F.explode(F.when(surest, F.array(cell, row)).otherwise(F.array(cell))).alias("flag"),
    )
    either = flags.groupBy("id", "flag").agg(
        F.max("is_flagged").alias("is_flagged"), F.max(~F.col("is_flagged")).alias("was_flagged")
    )
    change = _change(F.col("is_flagged"), F.col("was_flagged"))
    counts = [F.count(F.when(change == name, 1)).alias(name) for name in CHANGES]
    return either.groupBy(F.col("flag.tag").alias("tag")).agg(*counts)


def _suffixed(
    frame: DataFrame, id_name: str, keys: tuple[str, ...], names: tuple[str, ...], when: str
) -> DataFrame:
    return frame.select(
        column(id_name).alias(f"id_{when}"),
        *[F.col(name).alias(f"{name}_{when}") for name in (*keys, *names)],
    )


def _change(is_flagged: Column, was_flagged: Column) -> Column:
    return F.when(is_flagged & was_flagged, STILL_OPEN).when(is_flagged, NEWLY_FLAGGED).otherwise(FIXED)


def _reason(change: Column, came: Column, went: Column, same: Column) -> Column:
    """Why a change happened; null where nothing did."""
    return (
        F.when(change == STILL_OPEN, F.lit(None).cast("string"))
        .when(came, ROW_CAME)
        .when(went, ROW_WENT)
        .when(same, SAME_TAGS)
        .otherwise(TAGS_CHANGED)
    )
