"""The warm audit and the floor, in one session that has been warmed up; run in a process of its own."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_ml_audit.auditing.write import Written, write_tables
from spark_ml_audit.config import AuditConfig, load_config
from spark_ml_audit.detection.plan import plan_detection
from spark_ml_audit.engines.choose import choose_engine
from spark_ml_audit.engines.session import session_for
from spark_ml_audit.frames.fit import AuditFit, fit_audit
from spark_ml_audit.frames.ingest import inspect_source
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.source import OpenSource, open_source
from spark_ml_audit.outcomes.runs import new_run_id
from spark_ml_audit.progress import Progress
from spark_ml_audit.report.make import make_report, read_rows
from spark_ml_audit.report.page import RunFacts
from spark_ml_audit.report.queries import ReportFrames
from tests.benchmarks.memory import CpuMeter
from tests.benchmarks.table import class_names

COPIED = ("examples", "issues", "tag_issues")
_CPU = CpuMeter(os.getpid())


def audit_once(spark: SparkSession, source: Path, output: Path, num_classes: int) -> dict[str, Any]:
    """Audit from open to the row in `runs`; no MLflow, no housekeeping. The report is timed by itself.

    Returns:
        Seconds in all and by stage, processor time, the counts, and the report's seconds and bytes.
    """
    config = load_config(None, overrides(source, output, num_classes))
    progress = Progress(quiet=True)
    started, used = time.monotonic(), _CPU.look()
    now = datetime.now(timezone.utc)
    run_id = new_run_id(now)
    with progress.stage("source"):
        engine = choose_engine(spark=spark)
        tables = OutputTables(engine, config.output)
        opened = open_source(engine, config.source)
        ingest = inspect_source(engine, opened.frame, config.source, opened.properties, schema=opened.schema)
    fit = fit_audit(ingest, config.audit, progress)
    metadata = {"fingerprint": config.fingerprint(), "source_version": opened.version}
    detection = plan_detection(fit, config.detect, config.source.group, progress)
    written = write_tables(fit, tables, run_id, metadata, progress, detection)
    counts = written.counts
    with progress.stage("runs"):
        row = {"run_id": run_id, "started_at": now, "source": opened.name, **counts.to_dict()}
        tables.append_run({**row, "config": config.to_json()})
    seconds, cpu = time.monotonic() - started, _CPU.look() - used
    return {
        "seconds": seconds,
        "cpu": cpu,
        "stages": dict(progress.stages),
        "counts": counts.to_dict(),
        "report": _report(tables, opened, fit, written, config, run_id),
    }


def _report(
    tables: OutputTables,
    opened: OpenSource,
    fit: AuditFit,
    written: Written,
    config: AuditConfig,
    run_id: str,
) -> dict[str, Any]:
    started, used = time.monotonic(), _CPU.look()
    frames = ReportFrames(
        tables.engine,
        *(tables.read(name, run_id) for name in ("examples", "issues", "quarantine")),
        source=opened.frame,
        id=config.source.id,
        show=("labels",),
        most_worst=config.report.max_rows,
    )
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    facts = RunFacts(run_id, "ok", opened.name, opened.version, "", now, now, config.to_mapping())
    made = make_report(
        fit,
        lambda: read_rows(frames, written.counts, config.report),
        facts,
        written.counts,
        written.scores,
        config=config.report,
        output=config.output,
    )
    assert made.html is not None, made.problems
    assert not made.problems
    seconds, cpu = time.monotonic() - started, _CPU.look() - used
    return {"seconds": seconds, "cpu": cpu, "bytes": len(made.html.encode())}


def overrides(source: Path, output: Path, num_classes: int) -> list[str]:
    """Config of an audit of a generated table, as `--set` takes it."""
    return [
        f"source.path={source}",
        f"source.classes={json.dumps(class_names(num_classes))}",
        f"output.path={output}",
    ]


def floor_once(spark: SparkSession, source: Path, copies: Path, output: Path) -> dict[str, Any]:
    """What no audit can do without: one scan, one group-by of the ids, one write of the results.

    Args:
        spark: A warm session.
        source: The Delta table to scan.
        copies: Parquet copies of the rows to write.
        output: Folder of the Delta tables written; must not exist.
    """
    stages: dict[str, float] = {}
    used = _CPU.look()

    def timed(name: str, step: Callable[[], object]) -> None:
        started = time.monotonic()
        step()
        stages[name] = time.monotonic() - started

    table = spark.read.format("delta").load(str(source))
    timed("scan", lambda: _scan(table))
    timed("ids", lambda: _repeated(table))
    for name in COPIED:
        rows, target = spark.read.parquet(str(copies / name)), str(output / name)
        timed(name, lambda rows=rows, target=target: rows.write.format("delta").save(target))  # type: ignore[misc]
    return {"seconds": sum(stages.values()), "cpu": _CPU.look() - used, "stages": stages}


def _scan(frame: DataFrame) -> int:
    """Send labels and probabilities to Python as Arrow and do nothing with them but count rows."""

    def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield pa.RecordBatch.from_arrays([pa.array([batch.num_rows])], names=["n"])

    counts = frame.select("labels", "pred_probs").mapInArrow(count, "n bigint")
    return int(counts.agg(F.sum("n").alias("n")).collect()[0]["n"])


def _repeated(frame: DataFrame) -> int:
    return len(frame.groupBy("id").count().where(F.col("count") > 1).limit(1).collect())


def copy_tables(spark: SparkSession, output: Path, copies: Path) -> None:
    """Copy the row-sized tables of the newest run as Parquet: the rows that the floor writes again."""
    runs = spark.read.format("delta").load(str(output / "runs"))
    newest = runs.agg(F.max_by("run_id", "started_at").alias("run_id")).collect()[0]["run_id"]
    for name in COPIED:
        rows = spark.read.format("delta").load(str(output / name)).where(F.col("run_id") == newest)
        rows.write.mode("overwrite").parquet(str(copies / name))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Warm up, then audit and floor by turns, so that a busy moment of the machine hits both."""
    _CPU.start()
    spark = session_for()
    work: Path = options.work
    audits, floors = [], []
    audit_once(spark, options.tiny, work / "tiny-output", options.classes)
    for repeat in range(options.repeats + 1):
        output = work / f"warm-{repeat}"
        audits.append(audit_once(spark, options.source, output, options.classes))
        if repeat == 0:
            copy_tables(spark, output, work / "copies")
        if options.floor:
            target = work / f"floor-{repeat}"
            floors.append(floor_once(spark, options.source, work / "copies", target))
            shutil.rmtree(target)
        shutil.rmtree(output)
    # not stated by us: what the session really has
    heap = spark.conf.get("spark.driver.memory", "default")
    spark.stop()
    return {"heap": heap, "audits": audits, "floors": floors}


def main() -> None:
    """Entry point of the child process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--classes", type=int, required=True)
    parser.add_argument("--tiny", type=Path, help="small table to warm up with")
    parser.add_argument("--work", type=Path, help="folder for what is written")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--floor", action="store_true")
    options = parser.parse_args()
    print(json.dumps(measure(options)))


if __name__ == "__main__":
    main()
