"""The demo: real tags of Debian packages, audited start to end and checked against independent evidence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_ml_audit.auditing.audit import run_audit
from spark_ml_audit.config import load_config
from spark_ml_audit.demo.dataset import demo_classes, demo_evidence, demo_file
from spark_ml_audit.demo.evidence import check_against_evidence
from spark_ml_audit.engines.choose import choose_engine
from spark_ml_audit.engines.session import session_for
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.outcomes.audit import AuditOutcome

if TYPE_CHECKING:
    from spark_ml_audit.progress import Progress

_SHOWN = 5
_FILES = 8


def run_demo(
    output: str, progress: Progress, *, config_path: str | None = None, overrides: Sequence[str] = ()
) -> tuple[AuditOutcome, list[str]]:
    """Write the shipped texts as a Delta table, predict and audit their tags, check findings by evidence.

    Args:
        output: Folder for the source table, the audit and the tracking store.
        progress: Shows and times the stages.
        config_path: Config file whose keys replace the demo's own.
        overrides: ``dotted.key=value`` settings, the same.

    Returns:
        The outcome of the audit, and lines to print below its summary.

    Raises:
        ConfigError: `output` is a file, or a setting does not fit (see `run_audit` for what else).
    """
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"'{output}' is a file.", key="--output", fix="Name a folder.")
    folder = folder.resolve()
    source = str(folder / "packages")
    # sections, dependencies and what they prove are the evidence: the model must not see them
    base = {
        "source": {"path": source, "pred_probs": None, "features": {"text": ["text"]}, "show": ["text"]},
        # four: two cores train them in two rounds
        "model": {"kind": "auto", "folds": 4},
        "output": {"path": str(folder / "audit")},
    }
    config = load_config(config_path, overrides, base=base)
    with progress.stage("session"):
        spark = session_for(small=True)
    with progress.stage("demo data"):
        write_packages(spark, source)
    outcome = run_audit(config, progress, spark)
    tables = OutputTables(choose_engine(spark), config.output)
    with progress.stage("evidence"):
        missing = tables.read("tag_issues", outcome.run_id).where(F.col("issue") == "missing")
        lines = _evidence_lines(missing)
    return outcome, [*lines, "", f"Audited table (Debian packages and their debtags): {source}"]


def write_packages(spark: SparkSession, path: str) -> None:
    """Write the shipped packages as a Delta table; tags restricted to the classes, listed in its metadata."""
    classes = demo_classes()
    frame = spark.read.parquet(str(demo_file()))
    known = F.array_intersect("labels", F.array(*[F.lit(name) for name in classes]))
    labels = known.alias("labels", metadata={"classes": json.dumps(classes)})
    # not withColumn: over Spark Connect it drops the metadata
    frame = frame.select(*[labels if name == "labels" else name for name in frame.columns])
    # the shipped file has one row group, which one task would read alone
    frame = frame.repartition(_FILES, "id")
    frame.write.format("delta").mode("overwrite").option("overwriteSchema", True).save(path)


def _evidence_lines(missing: DataFrame) -> list[str]:
    evidence = demo_evidence()
    ranked = missing.where(F.col("tag").isin(*evidence.classes)).orderBy("cell_score", "id", "tag").limit(100)
    surest = [(row["id"], row["tag"]) for row in ranked.select("id", "tag").collect()]
    check = check_against_evidence(
        surest, ids=evidence.ids, given=evidence.given, proved=evidence.proved, classes=evidence.classes
    )
    shown = "; ".join(f"{name} lacks {tag}" for name, tag in surest[:_SHOWN])
    return ["Evidence the model never saw", f"  {check.sentence()}", f"  Surest: {shown}."]
