"""Two runs' rows and flagged cells joined: what is newly flagged, fixed, still open, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw
import pyarrow as pa

from spark_ml_audit.arrow.encode import EXTRANEOUS
from spark_ml_audit.arrow.lists import lists_contain
from spark_ml_audit.engines.columns import column, in_frame
from spark_ml_audit.errors import InputError
from spark_ml_audit.lake.lineage import holding
from spark_ml_audit.lake.schemas import TAG_ISSUES
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

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Batches, Engine, Frame
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.outcomes.runs import FinishedRun

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
_FLAG_COLUMNS = ("tag", "issue", "rank_in_row")
_OTHER_TAGS, _SEARCHED = "other_tags", pa.schema([("is_in_other", pa.bool_())])


def row_changes(now: Frame, before: Frame, id_name: str) -> Frame:
    """One row per row with an issue in either run: the id and `ROW_COLUMNS`.

    Args:
        now: `examples` of the newer run.
        before: `examples` of the older run.
        id_name: Name of the id column.
    """
    names = ("is_label_issue", "label_quality_score", "given_tags")
    joined = _both(
        _suffixed(now, id_name, (), names, _NOW), _suffixed(before, id_name, (), names, _BEFORE), ("id",)
    )
    is_flagged, was_flagged = (
        nw.coalesce(nw.col(f"is_label_issue_{when}"), nw.lit(False)) for when in (_NOW, _BEFORE)
    )
    given, given_before = nw.col("given_tags_now"), nw.col("given_tags_before")
    # sorted: the class order may have changed
    same = given.list.sort() == given_before.list.sort()
    change = _change(is_flagged, was_flagged)
    return joined.filter(is_flagged | was_flagged).select(
        nw.coalesce("id_now", "id_before").alias(in_frame(id_name)),
        change.alias("change"),
        _reason(change, given_before.is_null(), given.is_null(), same).alias("reason"),
        nw.col("label_quality_score_now").alias("label_quality_score"),
        nw.col("label_quality_score_before"),
        given.alias("given_tags"),
        nw.col("given_tags_before"),
    )


def cell_changes(engine: Engine, now: Frame, before: Frame, rows: Frame, id_name: str) -> Frame:
    """One row per cell flagged in either run: the id and `CELL_COLUMNS`.

    Args:
        engine: What runs the frames.
        now: `tag_issues` of the newer run.
        before: `tag_issues` of the older run.
        rows: `row_changes` of the same runs; every flagged cell is in one of these rows.
        id_name: Name of the id column.
    """
    cells = _flagged_in_either(now, before, id_name)
    names = cells.collect_schema().names()
    tags = rows.select(
        column(id_name).alias("row_id"),
        nw.col("given_tags").alias("row_given"),
        nw.col("given_tags_before").alias("row_given_before"),
    )
    given, given_before = nw.col("row_given"), nw.col("row_given_before")
    change = nw.col("cell_change")
    # such a cell is flagged in one of the runs, so its issue tells whether the tag was given there: only the
    # tags that the row had in the other run need be searched
    other = nw.when(change == NEWLY_FLAGGED).then(given_before).when(change == FIXED).then(given)
    joined = cells.join(tags, left_on="cell_id", right_on="row_id", how="left").select(
        *names, given_before.is_null().alias("came"), given.is_null().alias("went"), other.alias(_OTHER_TAGS)
    )
    searched = engine.map_batches(joined, _search, keep=[*names, "came", "went"], add=_SEARCHED)
    is_same = nw.col("is_in_other") == (nw.col("cell_issue") == EXTRANEOUS)
    return searched.select(
        nw.col("cell_id").alias(in_frame(id_name)),
        nw.col("cell_tag").alias("tag"),
        nw.col("cell_issue").alias("issue"),
        change.alias("change"),
        _reason(change, nw.col("came"), nw.col("went"), is_same).alias("reason"),
        nw.col("pred_prob_now").alias("pred_prob"),
        nw.col("pred_prob_before"),
        nw.col("cell_score_now").alias("cell_score"),
        nw.col("cell_score_before"),
    )


def flagged_by_tag(tag_issues: Frame, now: str, before: str, id_name: str) -> Frame:
    """Columns tag, newly_flagged, fixed, still_open: cells flagged in two runs, one row per tag.

    The row whose tag is null counts rows with flagged cells instead. Only flagged cells are read, once, and
    shuffled once, so this costs nothing next to an audit.

    Args:
        tag_issues: Rows of `tag_issues`, of these two runs and others.
        now: Id of the newer run.
        before: Id of the older run.
        id_name: Name of the id column.
    """
    surest, tag = nw.col("rank_in_row") == 1, nw.col("tag")  # one per row
    cell_and_row = nw.list(tag, nw.when(~surest).then(tag))
    flags = (
        tag_issues.filter(nw.col("run_id").is_in([now, before]))
        .select(
            column(id_name).alias("id"),
            nw.when(surest).then(cell_and_row).otherwise(nw.list(tag)).alias("tag"),
            nw.col("issue").alias("cell_issue"),
            (nw.col("run_id") == now).alias("is_flagged"),
        )
        .explode("tag")
        .with_columns(nw.when(~tag.is_null()).then("cell_issue").alias("issue"))
    )
    is_flagged = nw.col("is_flagged")
    either = flags.group_by("id", "tag", "issue").agg(
        is_flagged.max().alias("is_now"), (~is_flagged).max().alias("was_before")
    )
    changed = either.select("tag", _change(nw.col("is_now"), nw.col("was_before")).alias("change"))
    counts = [nw.when(nw.col("change") == name).then(1).otherwise(0).sum().alias(name) for name in CHANGES]
    return changed.group_by("tag").agg(*counts)


def flags_of_both(tables: OutputTables, run: FinishedRun, against: FinishedRun, id_name: str) -> Frame:
    """Rows of `tag_issues` of two runs, the second of which may be in another output.

    Args:
        tables: The output that holds the first.
        run: The newer run.
        against: The older run.
        id_name: Name of the id column.

    Raises:
        InputError: The other output names rows by another column or type.
    """
    own, other = tables.read(TAG_ISSUES), holding(tables, against)
    if other is tables:
        return own
    kinds = [
        at.schema(TAG_ISSUES).field(id_name).type if at.id_name() == id_name else None
        for at in (tables, other)
    ]
    if kinds[0] != kinds[1]:
        raise InputError(
            f"run {against.run_id} names rows by '{other.id_name()}', or by another type.",
            key="source.id",
            fix="Audit both with the same id column.",
        )
    names = ("run_id", in_frame(id_name), *_FLAG_COLUMNS)
    both = ((own, run.run_id), (other.read(TAG_ISSUES), against.run_id))
    return nw.concat([frame.filter(nw.col("run_id") == run_id).select(*names) for frame, run_id in both])


def _flagged_in_either(now: Frame, before: Frame, id_name: str) -> Frame:
    """Cells of two `tag_issues` by id, tag and issue, and what became of each."""
    keys, names = ("tag", "issue"), ("pred_prob", "cell_score")
    joined = _both(
        _suffixed(now, id_name, keys, names, _NOW),
        _suffixed(before, id_name, keys, names, _BEFORE),
        ("id", *keys),
    )
    return joined.select(
        *[nw.coalesce(f"{key}_now", f"{key}_before").alias(f"cell_{key}") for key in ("id", *keys)],
        _change(~nw.col("id_now").is_null(), ~nw.col("id_before").is_null()).alias("cell_change"),
        *[f"{name}_{when}" for name in names for when in (_NOW, _BEFORE)],
    )


def _search(batches: Batches) -> Batches:
    """Add whether the tag of a cell is among the tags that its row had in the other run; drop those."""
    for batch in batches:
        found = lists_contain(batch.column(_OTHER_TAGS), batch.column("cell_tag"))
        kept = [name for name in batch.schema.names if name != _OTHER_TAGS]
        columns = [*map(batch.column, kept), found]
        yield pa.RecordBatch.from_arrays(columns, [*kept, *_SEARCHED.names])


def _both(now: Frame, before: Frame, keys: tuple[str, ...]) -> Frame:
    on = [[f"{key}_{when}" for key in keys] for when in (_NOW, _BEFORE)]
    return now.join(before, left_on=on[0], right_on=on[1], how="full")


def _suffixed(frame: Frame, id_name: str, keys: tuple[str, ...], names: tuple[str, ...], when: str) -> Frame:
    return frame.select(
        column(id_name).alias(f"id_{when}"),
        *[nw.col(name).alias(f"{name}_{when}") for name in (*keys, *names)],
    )


def _change(is_flagged: nw.Expr, was_flagged: nw.Expr) -> nw.Expr:
    return (
        nw.when(is_flagged & was_flagged)
        .then(nw.lit(STILL_OPEN))
        .when(is_flagged)
        .then(nw.lit(NEWLY_FLAGGED))
        .otherwise(nw.lit(FIXED))
    )


def _reason(change: nw.Expr, came: nw.Expr, went: nw.Expr, same: nw.Expr) -> nw.Expr:
    """Why a change happened; null where nothing did."""
    return (
        nw.when(change == STILL_OPEN)
        .then(nw.lit(None, dtype=nw.String))
        .when(came)
        .then(nw.lit(ROW_CAME))
        .when(went)
        .then(nw.lit(ROW_WENT))
        .when(same)
        .then(nw.lit(SAME_TAGS))
        .otherwise(nw.lit(TAGS_CHANGED))
    )
