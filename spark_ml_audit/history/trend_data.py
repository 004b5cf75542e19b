"""Runs and class tables read as a trend; what reaches the driver is runs x classes shown."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from spark_ml_audit.errors import ConfigError
from spark_ml_audit.lake.runs import newest_source, runs_of
from spark_ml_audit.lake.schemas import CLASSES
from spark_ml_audit.outcomes.history import Trend, TrendClass, TrendRun
from spark_ml_audit.text import show

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from spark_ml_audit.config.history import TrendSection
    from spark_ml_audit.lake.output import OutputTables

_SEARCHED_TAGS = 5000


def read_trend(tables: OutputTables, section: TrendSection) -> Trend:
    """Read the newest runs of one source and the noise of some of their classes.

    Args:
        tables: The output.
        section: Which runs and classes.

    Raises:
        ConfigError: The output has no such runs, or none of them has a named class.
    """
    source = newest_source(tables, section.source)
    records, num_runs = runs_of(tables, source, section.last)
    ids = [record.run_id for record in records]
    classes = tables.read(CLASSES).where(F.col("run_id").isin(ids))
    means = {
        row["run_id"]: row
        for row in classes.groupBy("run_id")
        .agg(
            F.avg("label_noise").alias("label_noise"),
            F.avg("inverse_label_noise").alias("inverse_label_noise"),
        )
        .collect()
    }
    runs = tuple(
        TrendRun(
            record.ref,
            record.gates,
            means[record.run_id]["label_noise"] if record.run_id in means else None,
            means[record.run_id]["inverse_label_noise"] if record.run_id in means else None,
        )
        for record in records
    )
    tags = list(section.classes) if section.classes is not None else _noisiest(classes, section.top)
    shown = _classes(classes, ids, tags)
    missing = [tag for tag in tags if tag not in {row.tag for row in shown}]
    if missing:
        known = [row["tag"] for row in classes.select("tag").distinct().limit(_SEARCHED_TAGS).collect()]
        near = difflib.get_close_matches(missing[0], known, n=1, cutoff=0.6)
        raise ConfigError(
            f"none of the {len(ids)} runs has a class {show(missing[0])}.",
            key="trend.classes",
            fix=(f"Did you mean {show(near[0])}? " if near else "")
            + "Name tags as the table `classes` has them, or write null for the noisiest.",
        )
    num_classes = classes.select("tag").distinct().count()
    return Trend(source, runs, shown, num_runs, num_classes)


def _noisiest(classes: DataFrame, number: int) -> list[str]:
    """Tags by their largest noise in any run, so that what was mended stays in sight."""
    noise = F.coalesce(F.max(F.col("label_noise") + F.col("inverse_label_noise")), F.lit(0.0))
    by_tag = classes.groupBy("tag").agg(noise.alias("noise"), F.min("class_index").alias("class_index"))
    ordered = by_tag.where(F.col("noise") > 0).orderBy(F.desc("noise"), "class_index", "tag")
    return [row["tag"] for row in ordered.limit(number).collect()] if number else []


def _classes(classes: DataFrame, ids: Sequence[str], tags: Sequence[str]) -> tuple[TrendClass, ...]:
    names = ("label_noise", "inverse_label_noise", "num_given")
    rows = (
        classes.where(F.col("tag").isin(list(tags))).select("run_id", "tag", *names).collect() if tags else []
    )
    found = {(row["tag"], row["run_id"]): row for row in rows}
    return tuple(
        TrendClass(
            tag,
            *(tuple(found[tag, run][name] if (tag, run) in found else None for run in ids) for name in names),
        )
        for tag in tags
        if any((tag, run) in found for run in ids)
    )
