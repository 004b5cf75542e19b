"""What an audit sends to MLflow: plain data in, MLflow's names and limits applied.

Tag names and ids are data of unknown length and spelling. They appear in values and tables, never in the key
of a parameter or MLflow tag; metrics of a class begin with its index and what keys may hold of its tag.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_ml_audit.text import printable, redact
from spark_ml_audit.tracking.keys import class_key, clean_key

if TYPE_CHECKING:
    import pandas as pd

    from spark_ml_audit.outcomes.features import FeatureUse
    from spark_ml_audit.outcomes.records import ClassRow, Counts, GateResult

#: Prefix of every MLflow tag this package sets.
TAG_PREFIX = "spark_ml_audit."
#: Tag of a run that lacks something of its audit: sentences on what and why.
NOT_RECORDED_TAG = f"{TAG_PREFIX}not_recorded"
#: Tag of a run or model version: SHA-256 of what loading its model unpickles.
MODEL_DIGEST_TAG = f"{TAG_PREFIX}model_sha256"
#: MLflow's tag of the text at the head of a run's page, in Markdown.
NOTE_TAG = "mlflow.note.content"
#: Limits every MLflow server since 1.28 and Databricks accept, in UTF-8 bytes.
_MAX_PARAM_BYTES = 500
_MAX_TAG_BYTES = 5000
_MAX_DATASET_NAME = 500
_MAX_CELL_CHARS = 10_000
_THRESHOLDS = ("threshold_present", "threshold_absent")

_COUNT_FIELDS = (
    "num_rows",
    "num_audited",
    "num_unlabelled",
    "num_quarantined",
    "num_label_issues",
    "num_missing_tags",
    "num_extraneous_tags",
    "health",
    "num_ambiguous",
    "num_outliers",
    "num_duplicate_groups",
)
_CLASS_FIELDS = (
    "num_given",
    "num_missing",
    "num_extraneous",
    "num_ambiguous",
    "label_noise",
    "inverse_label_noise",
    "label_quality",
    "threshold_present",
    "threshold_absent",
    "estimated_prevalence",
)

Artifact = str | bytes | Mapping[str, Any] | Path


@dataclass(frozen=True)
class SourceRef:
    """The audited table, as MLflow's dataset input names it.

    Attributes:
        name: Path or qualified table name.
        is_path: Whether `name` is a path.
        version: Delta version that was read; None for a source without versions.
        format: `delta` or `parquet`; any other word (a DataFrame, say) is kept as it is.
    """

    name: str
    is_path: bool
    version: str | None = None
    format: str = "delta"


@dataclass(frozen=True)
class RunOpening:
    """What is known when the MLflow run is opened: the data tables are written, `runs` is not.

    Attributes:
        counts: Counts of the audit; None when it failed before counting.
        gates: Results of the quality gates.
        stages: Seconds per finished stage.
        tables: Name -> path or table name of each output.
        warnings: Sentences for the user.
        metrics: Further figures by name.
        tags: Further tags by name, without their prefix.
    """

    counts: Counts | None = None
    gates: Sequence[GateResult] = ()
    stages: Mapping[str, float] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    tags: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class RunDelivery:
    """What follows once `runs` is written. All of it is of bounded size; the caller bounds it.

    Attributes:
        status: `ok`, `gate_failed` or `not_delivered`; `ok` becomes `not_delivered` when something was
            not recorded.
        stages: Seconds per stage, those of the opening included or not.
        warnings: Sentences for the user, all of the run.
        tables: Artifact name without suffix -> table, logged as an MLflow table `<name>.json`.
        artifacts: Artifact path -> text, bytes, a mapping (written as JSON) or a local file to copy.
        classes: Classes that get metrics, keyed by class index and tag; choose some dozens at most.
        metrics: Further figures by name.
        note: The run in Markdown; nothing for none.
    """

    status: str
    stages: Mapping[str, float] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    classes: Sequence[ClassRow] = ()
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    note: str = ""


def opening_metrics(opening: RunOpening) -> dict[str, float]:
    """Metrics of the counts, rates, gates, stages so far and further figures; a missing value is left out.

    >>> opening_metrics(RunOpening(stages={"profile": 1.25}, metrics={"macro_auc": 0.83, "min_lift": None}))
    {'macro_auc': 0.83, 'seconds/profile': 1.25}
    """
    found: dict[str, Any] = {}
    counts = opening.counts
    if counts is not None:
        found |= {name: getattr(counts, name) for name in _COUNT_FIELDS}
        found["issue_fraction"] = _share(counts.num_label_issues, counts.num_audited)
        found["quarantined_fraction"] = _share(counts.num_quarantined, counts.num_rows)
        found["unlabelled_fraction"] = _share(counts.num_unlabelled, counts.num_rows)
    for gate in opening.gates:
        found[f"gate/{gate.name}/passed"] = gate.passed
        found[f"gate/{gate.name}/value"] = gate.value
        found[f"gate/{gate.name}/limit"] = gate.limit
    return clean_metrics(found | dict(opening.metrics) | _stage_metrics(opening.stages))


def delivery_metrics(delivery: RunDelivery) -> dict[str, float]:
    """Metrics of the stages, further figures, and of the chosen classes: `class_<index> <tag>/<column>`.

    A threshold above 1 stands for one that no probability reaches, and is left out.

    >>> from spark_ml_audit.outcomes.records import CLASS_COLUMNS, ClassRow
    >>> known = {"tag": "role::program", "class_index": 3, "num_missing": 17, "threshold_present": 2.0}
    >>> row = ClassRow.from_mapping({**dict.fromkeys(CLASS_COLUMNS), **known})
    >>> delivery_metrics(RunDelivery("ok", stages={"apply": 2.5}, classes=[row]))
    {'seconds/apply': 2.5, 'class_3 role_program/num_missing': 17.0}
    """
    found = _stage_metrics(delivery.stages) | dict(delivery.metrics)
    for row in delivery.classes:
        values = {name: getattr(row, name) for name in _CLASS_FIELDS}
        never = [name for name in _THRESHOLDS if (values[name] or 0) > 1]
        found |= {f"{class_key(row)}/{name}": value for name, value in values.items() if name not in never}
    return clean_metrics(found)


def clean_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Keep the finite numbers, as floats, under keys that every server takes.

    >>> clean_metrics({"health": 0.9, "lift:macro": 3, "num_outliers": None, "macro_auc": float("nan")})
    {'health': 0.9, 'lift_macro': 3.0}
    """
    return {
        clean_key(name): float(value)
        for name, value in metrics.items()
        if value is not None and math.isfinite(float(value))
    }


def clean_params(params: Mapping[str, Any]) -> dict[str, str]:
    """Shorten values to what every server takes; the whole config is an artifact of the run.

    >>> clean_params({"audit.alpha": 0.8, "tracking.uri": "https://ann:s3cret@host"})
    {'audit.alpha': '0.8', 'tracking.uri': 'https://ann:***@host'}
    """
    return {clean_key(name): shorten(redact(str(value)), _MAX_PARAM_BYTES) for name, value in params.items()}


def clean_tags(tags: Mapping[str, Any]) -> dict[str, str]:
    """Shorten values to what every server takes and leave out tags without a value.

    >>> clean_tags({"spark_ml_audit.source_version": 7, "spark_ml_audit.failure": "", "mlflow.user": None})
    {'spark_ml_audit.source_version': '7'}
    """
    return {
        clean_key(name): shorten(redact(str(value)), _MAX_TAG_BYTES)
        for name, value in tags.items()
        if value is not None and str(value) != ""
    }


def identity_tags(
    run_id: str, package_version: str, source: SourceRef | None, activity: str = "audit"
) -> dict[str, str]:
    """Tags that say which audit of what this is, and MLflow's own tags of who ran it and how.

    >>> source = SourceRef("data/films", is_path=True, version="7")
    >>> tags = identity_tags("20260131t180000z-0a1b2c3d", "0.2.0", source)
    >>> tags["spark_ml_audit.activity"], tags["spark_ml_audit.source"], tags["spark_ml_audit.source_version"]
    ('audit', 'data/films', '7')
    """
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        user = None  # a container may run under a number without a name
    on_databricks = "DATABRICKS_RUNTIME_VERSION" in os.environ
    return clean_tags(
        {
            "mlflow.source.name": "spark-ml-audit",
            "mlflow.source.type": "JOB" if on_databricks else "LOCAL",
            # On Databricks the server knows the user better than the process does.
            "mlflow.user": None if on_databricks else user,
            f"{TAG_PREFIX}activity": activity,
            f"{TAG_PREFIX}run_id": run_id,
            f"{TAG_PREFIX}package_version": package_version,
            f"{TAG_PREFIX}source": source.name if source else None,
            f"{TAG_PREFIX}source_version": source.version if source else None,
        }
    )


def status_tags(
    status: str, warnings: Sequence[str] = (), *, not_recorded: Sequence[str] = (), failure: str = ""
) -> dict[str, str]:
    """Tags that say how the audit stands: its status, its warnings, what MLflow lacks, why it failed.

    >>> status_tags("not_delivered", not_recorded=["The report is missing."])
    {'spark_ml_audit.status': 'not_delivered', 'spark_ml_audit.not_recorded': 'The report is missing.'}
    """
    return clean_tags(
        {
            f"{TAG_PREFIX}status": status,
            f"{TAG_PREFIX}warnings": "\n".join(warnings),
            NOT_RECORDED_TAG: "\n".join(not_recorded),
            f"{TAG_PREFIX}failure": failure,
        }
    )


def gate_tags(gates: Sequence[GateResult]) -> dict[str, str]:
    """Tags that name the broken gates by severity, so that runs can be searched by them.

    >>> from spark_ml_audit.outcomes.records import GateResult
    >>> gate_tags([GateResult("min_rows", False, 90, 100), GateResult("min_lift", False, 1.5, 2, "warn")])
    {'spark_ml_audit.gates_failed': 'min_rows', 'spark_ml_audit.gates_warned': 'min_lift'}
    """
    return clean_tags(
        {
            f"{TAG_PREFIX}gates_{word}": ", ".join(
                gate.name for gate in gates if not gate.passed and gate.severity == severity
            )
            for severity, word in (("fail", "failed"), ("warn", "warned"))
        }
    )


def more_tags(tags: Mapping[str, str | None]) -> dict[str, str]:
    """Further tags under the prefix of this package.

    >>> more_tags({"against_run_id": "20260131t180000z-0a1b2c3d", "against_source_version": None})
    {'spark_ml_audit.against_run_id': '20260131t180000z-0a1b2c3d'}
    """
    return clean_tags({f"{TAG_PREFIX}{name}": value for name, value in tags.items()})


def feature_tags(use: FeatureUse) -> dict[str, str]:
    """Further tags, without their prefix, that say what was learned from and what was left out.

    >>> from spark_ml_audit.outcomes.features import FeatureUse
    >>> use = FeatureUse({"text": ("title", "body")}, {"gold": "named like labels ('gold')"})
    >>> feature_tags(use)
    {'features': 'text: title, body', 'left_out': "gold: named like labels ('gold')", 'shortcuts': ''}
    """
    return {
        "features": "; ".join(f"{kind}: {', '.join(names)}" for kind, names in use.features.items()),
        "left_out": "\n".join(f"{name}: {reason}" for name, reason in use.left_out.items()),
        "shortcuts": "\n".join(f"{it.column} '{it.value}': {it.tag}" for it in use.shortcuts),
    }


def table_tags(tables: Mapping[str, str]) -> dict[str, str]:
    """Tags `spark_ml_audit.table.<name>` that name the Delta outputs.

    >>> table_tags({"examples": "audits/examples"})
    {'spark_ml_audit.table.examples': 'audits/examples'}
    """
    return clean_tags({f"{TAG_PREFIX}table.{name}": where for name, where in tables.items()})


def dataset_fields(source: SourceRef) -> dict[str, str]:
    """Name, digest, source type and source of the dataset input, in the form MLflow itself stores.

    MLflow's own dataset classes are avoided: they scan the data, or ask a catalog over the network.

    >>> fields = dataset_fields(SourceRef("s3://lake/films", is_path=True, version="7"))
    >>> fields["name"], fields["source_type"], fields["source"]
    ('films', 'delta_table', '{"path": "s3://lake/films", "delta_table_version": 7}')
    """
    version = int(source.version) if source.version and source.version.isdecimal() else source.version
    if source.format == "delta":
        kind = "delta_table"
        where: dict[str, Any] = {"path" if source.is_path else "delta_table_name": source.name}
        if version is not None:
            where["delta_table_version"] = version
    else:
        kind = "spark"
        where = {"path" if source.is_path else "table_name": source.name}
    text = json.dumps({name: printable(redact(v)) if isinstance(v, str) else v for name, v in where.items()})
    shown = redact(source.name)  # before it is cut into parts, else half a secret could stay
    parts = [part for part in re.split(r"[/\\]", shown) if part]
    name = printable(parts[-1] if source.is_path and parts else shown) or "source"
    return {
        "name": name[:_MAX_DATASET_NAME],
        "digest": hashlib.sha256(text.encode()).hexdigest()[:8],
        "source_type": kind,
        "source": text,
    }


def plain_table(table: pd.DataFrame) -> pd.DataFrame:
    r"""Copy a table with cells that JSON can hold: bytes as hex, arrays as lists, text valid and bounded.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"film": [b"\xff"], "scores": [[0.5, float("nan")]]})
    >>> plain_table(table).to_dict("records")
    [{'film': 'ff', 'scores': [0.5, None]}]
    """
    plain = table.reset_index(drop=True).copy()
    plain.columns = [printable(str(name)) for name in plain.columns]
    for position in range(plain.shape[1]):
        column = plain.iloc[:, position]
        if not (column.dtype.kind in "biuf" or column.dtype.kind == "M"):
            plain.isetitem(position, [_plain_cell(cell) for cell in column])
    return plain


def shorten(text: str, max_bytes: int) -> str:
    """Cut `text` to `max_bytes` of UTF-8, ending in an ellipsis where something was cut.

    >>> shorten("naïve Bayes", max_bytes=9)
    'naïve…'
    """
    raw = printable(text).encode("utf-8")
    if len(raw) <= max_bytes:
        return raw.decode("utf-8")
    ellipsis = "…"
    return raw[: max_bytes - len(ellipsis.encode())].decode("utf-8", "ignore") + ellipsis


def _stage_metrics(stages: Mapping[str, float]) -> dict[str, Any]:
    return {f"seconds/{name}": seconds for name, seconds in stages.items()}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _plain_cell(cell: Any) -> Any:
    if hasattr(cell, "tolist"):
        cell = cell.tolist()  # NumPy scalars and arrays
    plain = cell
    if isinstance(cell, (bytes, bytearray, memoryview)):
        plain = bytes(cell).hex()
    elif isinstance(cell, (list, tuple, set)):
        plain = [_plain_cell(part) for part in cell]
    elif isinstance(cell, Mapping):
        plain = {printable(str(name)): _plain_cell(part) for name, part in cell.items()}
    elif isinstance(cell, float) and not math.isfinite(cell):
        plain = None
    elif not (cell is None or isinstance(cell, (bool, int, float))):
        plain = printable(str(cell)[:_MAX_CELL_CHARS])
    return plain
