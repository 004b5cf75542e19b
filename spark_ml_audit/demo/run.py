"""The demo: real tags of Debian packages, audited start to end and checked against independent evidence."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import narwhals as nw
import pyarrow as pa
import pyarrow.parquet as pq

from spark_ml_audit.auditing.audit import run_audit
from spark_ml_audit.config import OutputConfig, load_config
from spark_ml_audit.demo.dataset import demo_classes, demo_evidence, demo_file, new_packages
from spark_ml_audit.demo.evidence import check_against_evidence
from spark_ml_audit.engines.base import rows_of
from spark_ml_audit.engines.choose import choose_engine, require_engine
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.lake.choose import delta_table
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.places import Place
from spark_ml_audit.outcomes.audit import AuditOutcome

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine, Frame
    from spark_ml_audit.progress import Progress

_SHOWN = 5
# Of the source: one file would be read by one task of Spark alone.
_PARTS = 4


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
        SetupError: The engine is not installed.
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
    require_engine(config.engine)
    with progress.stage("session"):
        engine = choose_engine(config.engine, small=True)
    with progress.stage("demo data"):
        write_packages(engine, source)
        new = str(folder / "new_packages")
        packages = new_packages()
        _write(engine, new, [engine.from_arrow(packages)], {})
    outcome = run_audit(config, progress)
    tables = OutputTables(engine, config.output)
    with progress.stage("evidence"):
        lines = _evidence_lines(engine, tables.read("tag_issues", outcome.run_id))
    return outcome, [
        *lines,
        "",
        f"Audited table (Debian packages and their debtags): {source}",
        f"Descriptions of {packages.num_rows} new packages, without tags: {new}. To tag them:",
        *_tagging_commands(source, new, str(folder / "tagged")),
    ]


def write_packages(engine: Engine, path: str) -> None:
    """Write the shipped packages as a Delta table; tags restricted to the classes, listed in its metadata."""
    classes = demo_classes()
    known = set(classes)
    table = pq.read_table(demo_file()).replace_schema_metadata(None)
    labels = [[tag for tag in dict.fromkeys(tags) if tag in known] for tags in table["labels"].to_pylist()]
    place = table.schema.get_field_index("labels")
    table = table.set_column(place, "labels", pa.array(labels, pa.list_(pa.string())))
    size = -(-table.num_rows // _PARTS)
    parts = [engine.from_arrow(table.slice(start, size)) for start in range(0, table.num_rows, size)]
    _write(engine, path, parts, {"labels": {"classes": json.dumps(classes)}})


def _write(
    engine: Engine, path: str, parts: list[Frame], column_metadata: Mapping[str, Mapping[str, str]]
) -> None:
    table = delta_table(engine, Place(path, is_path=True))
    table.overwrite(
        nw.concat(parts), f"demo-{secrets.token_hex(8)}", {}, column_metadata=column_metadata or None
    )


def _tagging_commands(source: str, new: str, output: str) -> list[str]:
    """What trains a model on all packages and tags the new ones, both in one output and store."""
    place = OutputConfig(path=output)
    learnt = {"source.features": {"text": ["text"]}, "model.fit_final": True, "model.name": "debtags"}
    new_rows = {"model.uri": "models:/debtags/latest"}
    return [
        f"  {place.command('predict', learnt, source=source)}",
        f"  {place.command('tag', new_rows, source=new)}",
    ]


def _evidence_lines(engine: Engine, tag_issues: Frame) -> list[str]:
    evidence = demo_evidence()
    missing = tag_issues.filter((nw.col("issue") == "missing") & nw.col("tag").is_in(evidence.classes))
    ranked = missing.sort("cell_score", "id", "tag").select("id", "tag", "cell_score").head(100)
    surest = [(row["id"], row["tag"]) for row in rows_of(engine, ranked)]
    check = check_against_evidence(
        surest, ids=evidence.ids, given=evidence.given, proved=evidence.proved, classes=evidence.classes
    )
    shown = "; ".join(f"{name} lacks {tag}" for name, tag in surest[:_SHOWN])
    return ["Evidence the model never saw", f"  {check.sentence()}", f"  Surest: {shown}."]
