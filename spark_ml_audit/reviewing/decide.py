"""`decide`: reviewers' decisions from a file into the table `decisions`, faulty ones set aside."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.config.paths import absolute
from spark_ml_audit.engines.choose import choose_engine
from spark_ml_audit.engines.columns import column, field
from spark_ml_audit.engines.transfer import try_cast
from spark_ml_audit.errors import InputError, reason_of
from spark_ml_audit.frames.class_list import class_frame
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.runs import find_run
from spark_ml_audit.lake.schemas import DECISIONS, EXAMPLES, REJECTED
from spark_ml_audit.outcomes.review import DecideOutcome
from spark_ml_audit.reviewing.decisions import NOTE, TAG, VERDICT, VERDICTS, WHEN, WHO
from spark_ml_audit.reviewing.spreadsheet import rearm
from spark_ml_audit.reviewing.tables import tables_of, with_own_id

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from spark_ml_audit.config import DecideConfig
    from spark_ml_audit.outcomes.runs import FinishedRun
    from spark_ml_audit.progress import Progress

_IMPORT, _SAMPLE = "import_id", "sample_id"
_REASON = "reason"


def run_decide(config: DecideConfig, progress: Progress, spark: SparkSession | None = None) -> DecideOutcome:
    """Append decisions from a file to the table `decisions`.

    Rows without a verdict are not judged yet and passed over; rows that name no audited row, no class, no
    known verdict or no readable time go to `decisions_rejected` with the reason. The same content is
    imported once.

    Args:
        config: The effective config.
        progress: Shows and times the stages.
        spark: Session to use; the active or a new local one by default.

    Raises:
        ConfigError: There is no such run.
        InputError: The file cannot be read or lacks a column.
    """
    options = config.decide
    with progress.stage("session"):
        tables = OutputTables(choose_engine(spark), config.output)
    with progress.stage("run"):
        run = find_run(tables, options.run, "decide.run")
    place, name = tables_of(tables.engine, options.to) if options.to is not None else (tables, DECISIONS)
    with progress.stage("read"):
        rows = _read(config, run, tables)
        import_id = _import_id(rows)
    done = _has_import(place, name, import_id) or _has_import(tables, REJECTED, import_id)
    judged = _classify(rows, run, tables).where(F.col(_REASON) != "blank")
    if not done:
        with progress.stage("decisions"):
            place.create_schema()
            tables.append(REJECTED, _rejected_frame(judged, rows.columns, run, import_id), import_id)
            # after the rejected ones: decisions are there once, or the import is made again in full
            good = with_own_id(_decisions_frame(judged, config, import_id), run.id_name)
            place.append(name, good, import_id, with_run_id=False)
    with progress.stage("count"):
        counts = {
            row[_REASON]: row["count"]
            for row in _classify(rows, run, tables).groupBy(_REASON).count().collect()
        }
    return DecideOutcome(
        import_id=import_id,
        run_id=run.run_id,
        num_read=sum(counts.values()),
        num_imported=counts.pop("", 0),
        num_blank=counts.pop("blank", 0),
        rejected=dict(sorted(counts.items())),
        tables={DECISIONS: place.location(name), **tables.locations(REJECTED)},
        stages=progress.stages,
        already_finished=done,
    )


def _rejected_frame(judged: DataFrame, columns: Sequence[str], run: FinishedRun, import_id: str) -> DataFrame:
    return judged.where(F.col(_REASON) != "").select(
        F.lit(import_id).alias(_IMPORT),
        F.lit(run.run_id).alias("run_id"),
        _REASON,
        F.to_json(F.struct(*[column(name) for name in columns])).alias("row"),
    )


def _decisions_frame(judged: DataFrame, config: DecideConfig, import_id: str) -> DataFrame:
    now = F.lit(datetime.now(timezone.utc))
    return judged.where(F.col(_REASON) == "").select(
        F.col("__id").alias(ID),
        F.col(TAG),
        F.col("__verdict").alias(VERDICT),
        F.coalesce(F.col(WHO), F.lit(config.decide.who)).alias(WHO),
        F.coalesce(F.col("__when"), now).alias(WHEN),
        F.col(NOTE),
        F.coalesce(F.col(_SAMPLE), F.lit(config.decide.sample)).alias(_SAMPLE),
        F.lit(import_id).alias(_IMPORT),
    )


def _read(config: DecideConfig, run: FinishedRun, tables: OutputTables) -> DataFrame:
    """The file's id, tag, verdict, who, when, note and sample_id as texts, or as they are typed."""
    options = config.decide
    kind = options.format
    place = absolute(options.file)
    if kind == "auto":
        is_delta = Path(place, "_delta_log").is_dir()
        kind = "delta" if is_delta else "parquet" if place.rstrip("/").endswith(".parquet") else "csv"
    try:
        # as spreadsheets write it: quotes doubled, line breaks within quotes
        as_written = {"header": True, "multiLine": True, "escape": '"', "encoding": "UTF-8"}
        frame = tables.engine.scan_files(place, kind, options=as_written if kind == "csv" else None)
        names = frame.schema.names
    except Exception as error:
        raise InputError(
            f"cannot read '{options.file}' as {kind}: {reason_of(error)}.",
            key="decide.file",
            fix="Give a CSV file with a header, or a folder of Parquet files or of a Delta table.",
        ) from error
    own = run.id_name if run.id_name in names else ID
    for name in (own, TAG, VERDICT):
        field(frame, name, "decide.file")
    others = (TAG, VERDICT, WHO, WHEN, NOTE, _SAMPLE)
    nothing = F.lit(None).cast("string")
    values = [(column(name) if name in names else nothing).alias(name) for name in others]
    found = frame.select(column(own).alias(ID), *values)
    if kind == "csv":
        found = found.select(*[rearm(F.col(name)).alias(name) for name in found.columns])
    return found


def _import_id(rows: DataFrame) -> str:
    """Digest of the content, whatever the order of its rows."""
    texts = [F.col(name).cast("string") for name in rows.columns]
    total = rows.select(F.xxhash64(*texts).cast("decimal(38,0)").alias("hash"))
    found = total.agg(F.sum("hash").alias("sum"), F.count("hash").alias("count")).collect()[0]
    return f"import-{int(found['sum'] or 0) & 0xFFFFFFFFFFFFFFFF:016x}-{found['count']}"


def _has_import(tables: OutputTables, name: str, import_id: str) -> bool:
    table = tables.existing(name)
    known = table is not None and _IMPORT in table.columns
    return known and table is not None and not table.where(F.col(_IMPORT) == import_id).isEmpty()


def _classify(rows: DataFrame, run: FinishedRun, tables: OutputTables) -> DataFrame:
    """The rows with readable id, verdict and time beside them, and a reason to set them aside ("": none)."""
    examples = tables.read(EXAMPLES, run.run_id)
    id_type = examples.schema[run.id_name].dataType
    known = examples.select(column(run.id_name).alias("__known"))
    classes = class_frame(tables.engine, run.tags).withColumnRenamed(TAG, "__tag").drop("class_index")
    verdict = F.lower(F.trim(F.col(VERDICT).cast("string")))
    read = rows.select(
        "*",
        _readable_id(rows, id_type).alias("__id"),
        verdict.alias("__verdict"),
        try_cast(F.col(WHEN), "timestamp").alias("__when"),
    )
    joined = read.join(F.broadcast(classes), F.col(TAG) == F.col("__tag"), "left").join(
        known, F.col("__id") == F.col("__known"), "left"
    )
    blank_time = F.coalesce(F.trim(F.col(WHEN).cast("string")), F.lit("")) == ""
    reason = (
        F.when(F.coalesce(F.col("__verdict"), F.lit("")) == "", "blank")
        .when(~F.col("__verdict").isin(*VERDICTS), "verdict_unknown")
        .when(F.col("__known").isNull(), "id_unknown")
        .when(F.col("__tag").isNull(), "tag_unknown")
        .when(F.col("__when").isNull() & ~blank_time, "when_unreadable")
        .otherwise("")
    )
    return joined.withColumn(_REASON, reason)


def _readable_id(rows: DataFrame, id_type: T.DataType) -> Column:
    if isinstance(id_type, T.BinaryType) and isinstance(rows.schema[ID].dataType, T.StringType):
        is_hex = F.col(ID).rlike("^([0-9A-Fa-f]{2})*$")
        return F.when(is_hex, F.unhex(ID))
    return try_cast(F.col(ID), id_type.simpleString())
