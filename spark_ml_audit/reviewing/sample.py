"""`sample`: cells to review, the worst first or drawn at random, as a table and for a spreadsheet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_ml_audit.arrow.encode import EXTRANEOUS
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.config.base import digest
from spark_ml_audit.engines.base import from_records
from spark_ml_audit.engines.choose import choose_engine
from spark_ml_audit.engines.columns import column, field
from spark_ml_audit.engines.transfer import arrow_type, spark_type
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.frames.ingest import find_repeated_ids
from spark_ml_audit.frames.issues import RANK, tag_issues_frame
from spark_ml_audit.kernels.review_sampling import STRATA, allocate
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.runs import find_run
from spark_ml_audit.lake.schemas import EXAMPLES, ISSUES, SAMPLE, SAMPLE_FIELDS, TAG_ISSUES
from spark_ml_audit.outcomes.review import SampleOutcome, StratumDrawn
from spark_ml_audit.reviewing.audited import ingest_of, open_audited, source_of
from spark_ml_audit.reviewing.draw import draw_cells, flagged_marks
from spark_ml_audit.reviewing.spreadsheet import write_csv
from spark_ml_audit.reviewing.tables import with_own_id, with_plain_id

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from spark_ml_audit.config import SampleConfig
    from spark_ml_audit.outcomes.runs import FinishedRun
    from spark_ml_audit.progress import Progress


def run_sample(config: SampleConfig, progress: Progress, spark: SparkSession | None = None) -> SampleOutcome:
    """Draw cells to review from a finished audit and append them to the table `review_sample`.

    Args:
        config: The effective config.
        progress: Shows and times the stages.
        spark: Session to use; the active or a new local one by default.

    Raises:
        ConfigError: There is no such run.
        InputError: A random sample needs the audited source, which cannot be read any more.
    """
    with progress.stage("session"):
        tables = OutputTables(choose_engine(spark), config.output)
    with progress.stage("run"):
        run = find_run(tables, config.sample.run, "sample.run")
    options = config.sample.model_dump(mode="json", exclude={"run", "csv", "show"})
    sample_id = f"{run.run_id}-{config.sample.how}-{digest(options)[:8]}"
    done = _is_there(tables, sample_id)
    if not done:
        with progress.stage("draw"):
            draw = _worst if config.sample.how == "worst" else _random
            cells = draw(run, tables, config)
            stamped = cells.select(
                F.lit(run.run_id).alias("run_id"),
                F.lit(sample_id).alias("sample_id"),
                F.lit(config.sample.how).alias("how"),
                *cells.columns,
            )
            tables.append(SAMPLE, with_own_id(stamped, run.id_name), sample_id)
    written = tables.read(SAMPLE).where(F.col("sample_id") == sample_id)
    with progress.stage("count"):
        counted = written.agg(F.count(F.lit(1)), F.count_distinct(column(run.id_name))).collect()[0]
        strata = written.where("stratum IS NOT NULL").groupBy("stratum", "stratum_size").count().collect()
    csv = None
    if config.sample.csv is not None:
        with progress.stage("csv"):
            csv = _to_csv(run, tables, written, config)
    order = {stratum.name: k for k, stratum in enumerate(STRATA)}
    return SampleOutcome(
        sample_id=sample_id,
        run_id=run.run_id,
        how=config.sample.how,
        num_cells=counted[0],
        num_rows=counted[1],
        strata=tuple(
            StratumDrawn(row["stratum"], row["stratum_size"], row["count"])
            for row in sorted(strata, key=lambda row: order[row["stratum"]])
        ),
        tables=tables.locations(SAMPLE),
        csv=csv,
        stages=progress.stages,
        already_finished=done,
    )


def _is_there(tables: OutputTables, sample_id: str) -> bool:
    table = tables.existing(SAMPLE)
    return table is not None and not table.where(F.col("sample_id") == sample_id).isEmpty()


def _worst(run: FinishedRun, tables: OutputTables, config: SampleConfig) -> DataFrame:
    """The flagged cells of the rows with the lowest quality, surest first within a row.

    Raises:
        ConfigError: The run was made by a version that ranked rows elsewhere.
    """
    ranked = tables.existing(ISSUES)
    own = None if ranked is None else ranked.where(F.col("run_id") == run.run_id)
    if own is None or (run.ref.num_label_issues and own.isEmpty()):
        raise ConfigError(
            f"version {run.ref.package_version}, which made run {run.run_id}, wrote no table '{ISSUES}'.",
            key="sample.run",
            fix="Audit the source again, and sample from that run.",
        )
    issues = with_plain_id(own, run.id_name)
    cells = tag_issues_frame(issues.where(F.col(RANK) <= config.sample.size), ID, "given_tags")
    known = {"position": F.col(RANK), "given": F.col("issue") == EXTRANEOUS}
    values = [
        known.get(name, F.col(name) if name in cells.columns else F.lit(None))
        .cast(spark_type(kind))
        .alias(name)
        for name, kind in SAMPLE_FIELDS
    ]
    return cells.select(ID, *values, "given_tags", F.col("rank_in_row").alias("position_in_row"))


def _random(run: FinishedRun, tables: OutputTables, config: SampleConfig) -> DataFrame:
    """A stratified random sample of all cells of the audited rows."""
    options = config.sample
    ingest = find_repeated_ids(ingest_of(tables, run, source_of(run, config.source)))
    engine, issues = tables.engine, tables.read(TAG_ISSUES, run.run_id)
    flagged = flagged_marks(engine, issues, run.id_name, run.tags)
    most = options.per_stratum or options.size
    found = draw_cells(ingest, flagged, seed=options.seed, most=most).collect()  # bounded by the config
    sizes = np.zeros(len(STRATA), dtype=np.int64)
    for row in found:
        sizes[row["stratum"]] = row["size"]
    numbers = allocate(sizes, options.size, options.per_stratum)
    found.sort(key=lambda row: (row["stratum"], row["hash"]))
    taken = np.zeros(len(STRATA), dtype=np.int64)
    drawn = []
    for row in found:
        if taken[row["stratum"]] < numbers[row["stratum"]]:
            taken[row["stratum"]] += 1
            drawn.append(row)
    # in the order of the hashes: whoever judges them learns nothing from their order
    drawn.sort(key=lambda row: row["hash"])
    cells = [_cell(position, row, run, numbers) for position, row in enumerate(drawn, start=1)]
    id_type = arrow_type(ingest.frame.schema[run.id_name].dataType)
    frame = from_records(engine, cells, pa.schema([(ID, id_type), *SAMPLE_FIELDS]))
    examples = with_plain_id(tables.read(EXAMPLES, run.run_id), run.id_name)
    with_tags = examples.select(ID, "given_tags").join(F.broadcast(frame), ID)
    return with_tags.select(*frame.columns, "given_tags", F.lit(1).alias("position_in_row"))


def _cell(position: int, row: Any, run: FinishedRun, numbers: Any) -> dict[str, Any]:
    stratum, number = STRATA[row["stratum"]], int(numbers[row["stratum"]])
    return {
        ID: row[ID],
        "position": position,
        "tag": run.tags[row["class_index"]],
        "given": stratum.given,
        "issue": stratum.direction if stratum.flagged else None,
        "pred_prob": row["pred_prob"],
        "stratum": stratum.name,
        "stratum_size": row["size"],
        "num_drawn": number,
        "inclusion_probability": number / row["size"],
    }


def _to_csv(run: FinishedRun, tables: OutputTables, written: DataFrame, config: SampleConfig) -> str:
    """A line per cell with empty verdict and note; a random sample does not tell what was flagged."""
    id_name, named = run.id_name, config.sample.show
    shown = [named] if isinstance(named, str) else list(named or ())
    cells = with_plain_id(written, id_name)
    if shown:
        source = open_audited(tables.engine, run, source_of(run, config.source)).frame
        for name in shown:
            field(source, name, "sample.show")
        kept = [F.col(ID), *[column(name).cast("string").alias(f"show_{k}") for k, name in enumerate(shown)]]
        once = (
            with_plain_id(source.select(*dict.fromkeys([id_name, *shown])), id_name)
            if (id_name not in shown)
            else source.withColumn(ID, column(id_name))
        )
        cells = (
            once.join(F.broadcast(cells.select(ID).distinct()), ID, "left_semi")
            .select(*kept)
            .join(F.broadcast(cells), ID)
        )
    hints = ["issue"] if config.sample.how == "worst" else []
    is_binary = isinstance(cells.schema[ID].dataType, T.BinaryType)
    written_id = F.hex(ID) if is_binary else F.col(ID).cast("string")
    ordered = cells.orderBy("position", "position_in_row").select(
        "sample_id",
        written_id.alias(ID),
        *[f"show_{k}" for k in range(len(shown))],
        F.to_json("given_tags").alias("given_tags"),
        "tag",
        F.when(F.col("given"), "given").otherwise("not given").alias("given"),
        *hints,
    )
    header = ["sample_id", id_name, *shown, "given_tags", "tag", "given", *hints, "verdict", "note"]
    place = 2 + len(shown)
    rows = []
    for row in ordered.collect():  # bounded by the config
        values = list(row)
        values[place] = ", ".join(json.loads(values[place]))
        rows.append([*values, None, None])
    return write_csv(config.sample.csv or "", header, rows)
