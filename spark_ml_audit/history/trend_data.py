"""Runs and class tables read as a trend; what reaches the driver is runs x classes shown."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import narwhals as nw

from spark_ml_audit.engines.base import count_rows, rows_of
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.lake.files import existing_page
from spark_ml_audit.lake.lineage import holding, not_found
from spark_ml_audit.lake.places import literal_in
from spark_ml_audit.lake.runs import newest_of_source, runs_up_to
from spark_ml_audit.lake.schemas import CLASSES, RUNS
from spark_ml_audit.outcomes.history import Trend, TrendClass, TrendRun
from spark_ml_audit.text import redact, show

if TYPE_CHECKING:
    from spark_ml_audit.config import OutputConfig
    from spark_ml_audit.config.history import TrendSection
    from spark_ml_audit.engines.base import Engine, Frame
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.outcomes.runs import FinishedRun

_SEARCHED_TAGS = 5000
_NOISE = ("label_noise", "inverse_label_noise")
_BITS = 30


def read_trend(tables: OutputTables, section: TrendSection) -> Trend:
    """Read the newest runs of one source, and of what it continues, and the noise of some of their classes.

    Args:
        tables: The output.
        section: Which runs and classes.

    Raises:
        ConfigError: The output has no such runs, or none of them has a named class.
    """
    newest = newest_of_source(tables, section.source)
    records, num_runs = runs_up_to(tables, newest, section.last)
    ids = [record.run_id for record in records]
    engine, source = tables.engine, newest.ref.source
    homes = _homes_of(tables, records)
    classes = _classes_of(homes, records)
    means = _means(engine, classes)
    runs = tuple(
        _trend_run(record, means.get(record.run_id, (None, None)), homes[str(record.output)].config)
        for record in records
    )
    tags = list(section.classes) if section.classes is not None else _noisiest(engine, classes, section.top)
    shown = _classes(engine, classes, ids, tags)
    missing = [tag for tag in tags if tag not in {row.tag for row in shown}]
    if missing:
        known = engine.collect(classes.select("tag").unique().sort("tag").head(_SEARCHED_TAGS))
        near = difflib.get_close_matches(missing[0], known.column("tag").to_pylist(), n=1, cutoff=0.6)
        raise ConfigError(
            f"none of the {len(ids)} runs has a class {show(missing[0])}.",
            key="trend.classes",
            fix=(f"Did you mean {show(near[0])}? " if near else "")
            + "Name tags as the table `classes` has them, or write null for the noisiest.",
        )
    num_classes = count_rows(engine, classes.select("tag").unique())
    notes = tuple(
        f"The source is a corrected copy: {not_found(origin)}."
        for origin in newest.continues[:1]
        if num_runs <= section.last and origin.run_id not in ids
    )
    return Trend(source, runs, shown, num_runs, num_classes, _query(tables, newest), notes)


def _query(tables: OutputTables, newest: FinishedRun) -> str:
    """The numbers of all runs and classes by SQL alone."""
    names = map(redact, sorted(newest.sources))
    sources = ", ".join(literal_in(tables.engine.kind, name) for name in names)
    runs, classes = tables.as_typed(RUNS), tables.as_typed(CLASSES)
    return (
        "SELECT r.run_id, r.started_at, r.source, r.source_version, r.health, r.num_label_issues,\n"
        "       c.tag, c.num_given, c.label_noise, c.inverse_label_noise\n"
        f"FROM {runs} r\nJOIN {classes} c ON c.run_id = r.run_id\n"
        f"WHERE r.source IN ({sources})\nORDER BY r.run_id, c.class_index"
    )


def _homes_of(tables: OutputTables, runs: Sequence[FinishedRun]) -> dict[str, OutputTables]:
    """Each place among those of some runs -> the output there, looked at once."""
    homes: dict[str, OutputTables] = {}
    for run in runs:
        if (place := str(run.output)) not in homes:
            homes[place] = holding(tables, run)
    return homes


def _trend_run(
    record: FinishedRun, means: tuple[float | None, float | None], output: OutputConfig
) -> TrendRun:
    return TrendRun(record.ref, record.gates, *means, existing_page(output, record.run_id))


def _classes_of(homes: Mapping[str, OutputTables], runs: Sequence[FinishedRun]) -> Frame:
    """Rows of the class tables of runs, whichever outputs hold them (see `_homes_of`)."""
    names = ("run_id", "tag", "class_index", "num_given", *_NOISE)
    parts = [
        held.read(CLASSES)
        .filter(nw.col("run_id").is_in([run.run_id for run in runs if str(run.output) == place]))
        .select(*names)
        for place, held in homes.items()
    ]
    return parts[0] if len(parts) == 1 else nw.concat(parts)


def _means(engine: Engine, classes: Frame) -> dict[str, tuple[float | None, float | None]]:
    """Run id -> mean over its classes of each of `_NOISE`; None where no class has one.

    Shares are added up as whole numbers of two parts: sums of doubles would follow the order of rows.
    """
    sums = []
    for name in _NOISE:
        coarse = (nw.col(name) * 2**_BITS).floor()
        fine = ((nw.col(name) * 2**_BITS - coarse) * 2**_BITS).floor()
        sums += [coarse.cast(nw.Int64).alias(f"{name}_coarse"), fine.cast(nw.Int64).alias(f"{name}_fine")]
    parts = classes.select("run_id", *_NOISE, *sums)
    summed = parts.group_by("run_id").agg(
        *[nw.col(name).count().alias(name) for name in _NOISE],
        *[nw.col(f"{name}_{part}").sum() for name in _NOISE for part in ("coarse", "fine")],
    )

    def mean(row: dict[str, int], name: str) -> float | None:
        total = (row[f"{name}_coarse"] << _BITS) + row[f"{name}_fine"] if row[name] else 0
        return total / (row[name] << 2 * _BITS) if row[name] else None

    extraneous, missing = _NOISE
    return {row["run_id"]: (mean(row, extraneous), mean(row, missing)) for row in rows_of(engine, summed)}


def _noisiest(engine: Engine, classes: Frame, number: int) -> list[str]:
    """Tags by their largest noise in any run, so that what was mended stays in sight."""
    if not number:
        return []
    noise = classes.select("tag", "class_index", (nw.col(_NOISE[0]) + nw.col(_NOISE[1])).alias("noise"))
    by_tag = noise.group_by("tag").agg(nw.col("noise").max(), nw.col("class_index").min())
    ordered = by_tag.filter(nw.col("noise") > 0).sort(
        "noise", "class_index", "tag", descending=[True, False, False], nulls_last=True
    )
    return [row["tag"] for row in rows_of(engine, ordered.head(number))]


def _classes(
    engine: Engine, classes: Frame, ids: Sequence[str], tags: Sequence[str]
) -> tuple[TrendClass, ...]:
    if not tags:
        return ()
    names = (*_NOISE, "num_given")
    chosen = classes.filter(nw.col("tag").is_in(list(tags))).select("run_id", "tag", *names)
    found = {(row["tag"], row["run_id"]): row for row in rows_of(engine, chosen)}
    return tuple(
        TrendClass(
            tag,
            *(tuple(found[tag, run][name] if (tag, run) in found else None for run in ids) for name in names),
        )
        for tag in tags
        if any((tag, run) in found for run in ids)
    )
