"""`audit` for Python: the same audit as the command line's, on a DataFrame or a table."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from spark_ml_audit._version import __version__
from spark_ml_audit.auditing.commit import run_row
from spark_ml_audit.auditing.delivery import (
    WORST_CLASSES,
    WORST_ROWS,
    delivery_of,
    warnings_of,
    worst_classes,
)
from spark_ml_audit.auditing.describe import describe_run
from spark_ml_audit.auditing.read_back import ExampleCounts, count_examples
from spark_ml_audit.auditing.write import count_groups, counts_of, write_tables
from spark_ml_audit.config.audit import LAYOUT, MethodConfig
from spark_ml_audit.config.base import digest, plain_arguments
from spark_ml_audit.config.detect import DetectConfig
from spark_ml_audit.config.engine import EngineConfig
from spark_ml_audit.config.output import OutputConfig
from spark_ml_audit.config.paths import is_path
from spark_ml_audit.config.source import ColumnsConfig, SourceConfig
from spark_ml_audit.detection.plan import Detection, plan_detection
from spark_ml_audit.engines.base import FEW_ROWS
from spark_ml_audit.engines.choose import choose_engine, engine_for, frame_of
from spark_ml_audit.errors import DeliveryError
from spark_ml_audit.frames.examples import examples_frame
from spark_ml_audit.frames.fit import AuditFit, fit_audit
from spark_ml_audit.frames.ingest import inspect_source
from spark_ml_audit.frames.issues import issues_frame, tag_issues_frame
from spark_ml_audit.frames.quarantine import quarantine_frame
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.schemas import DUPLICATES, FIRST_TABLE, TABLES, class_table_frame
from spark_ml_audit.lake.source import OpenSource, open_source, place_of, read_place
from spark_ml_audit.outcomes.records import Counts
from spark_ml_audit.outcomes.runs import new_run_id
from spark_ml_audit.progress import Progress
from spark_ml_audit.report.queries import worst_issues
from spark_ml_audit.reviewing.decisions import apply_decisions, check_decisions, standing_decisions
from spark_ml_audit.tracking import AuditTracker, RunOpening, SourceRef

if TYPE_CHECKING:
    from spark_ml_audit.detection.duplicates import DuplicatesFound
    from spark_ml_audit.engines.base import Frame, Session


def audit(
    data: Any,
    *,
    id: str = "id",  # noqa: A002 - the contract's name
    labels: str | Sequence[str] = "labels",
    pred_probs: str | Sequence[str] = "pred_probs",
    classes: Sequence[str] | str | None = None,
    labels_format: str = "auto",
    labels_delimiter: str = ",",
    pred_probs_format: str = "auto",
    version: int | str | None = None,
    detect: Mapping[str, Any] | None = None,
    decisions: Any = None,
    engine: str = "auto",
    spark: Session | None = None,
    progress: Progress | None = None,
    **method: Any,
) -> AuditResult:
    """Find missing and extraneous tags by multi-label confident learning.

    The class-sized passes run at once; the row-sized results are lazy: DataFrames of Spark, or relations of
    DuckDB. `data` is read several
    times, so a DataFrame must give the same rows each time (no random sampling upstream).

    Args:
        data: Spark, pandas or Polars DataFrame, Arrow table, or path or name of a Delta table.
        id: Column that names a row: string, integral, date or binary.
        labels: Column of the given tags, or one column per tag.
        pred_probs: Column of the K out-of-sample probabilities, or one column per tag.
        classes: Tag names in probability order, or a file with one per line; found in the data if None.
        labels_format: auto, names, indices, multi_hot, delimited or columns.
        labels_delimiter: What stands between tags in a delimited text.
        pred_probs_format: auto, array, vector, columns or map.
        version: Delta version or timestamp to read, for a path or table.
        detect: The config's `detect` section, such as {"ambiguous": {"min_tags": 3}}.
        decisions: Reviewers' decisions, as DataFrame or place of a Delta table: cells that they confirm as
            given are not flagged.
        engine: What runs it: auto, embedded or spark.
        spark: Session to use; the DataFrame's or the active one by default.
        progress: Shows stages; silent by default.
        **method: Options of the config's `audit` section, such as filter_by, alpha or frac_noise.

    Returns:
        The result: `issues`, `examples`, `tag_issues`, `classes`, `quarantine`, `summary`, `write`, `log`.

    Raises:
        ConfigError: An option is unknown or does not fit.
        InputError: The data cannot be audited as they are.

    Example:
        >>> from spark_ml_audit import audit
        >>> result = audit(df, classes=["billing", "delivery", "login"])  # doctest: +SKIP
        >>> result.summary.num_audited  # doctest: +SKIP
        120
        >>> result.issues.columns[:4]  # doctest: +SKIP
        ['run_id', 'issue_rank', 'id', 'label_quality_score']
    """
    columns = {
        "id": id,
        "labels": labels,
        "pred_probs": pred_probs,
        "classes": classes,
        "labels_format": labels_format,
        "labels_delimiter": labels_delimiter,
        "pred_probs_format": pred_probs_format,
    }
    options = MethodConfig.from_arguments(**method)
    wanted_engine = EngineConfig.parse({"kind": engine}, "engine")
    wanted = DetectConfig.parse(plain_arguments(detect or {}), "detect")
    shown = progress or Progress(quiet=True)
    if isinstance(data, (str, os.PathLike)):
        place = place_of(data)
        source_config = SourceConfig.from_arguments(**columns, **place, version=version)
        opened = open_source(choose_engine(wanted_engine, spark), source_config)
        described: ColumnsConfig = source_config
    else:
        described = ColumnsConfig.from_arguments(**columns)
        opened = OpenSource.of_frame(*engine_for(data, spark, wanted_engine))
    ingest = inspect_source(opened.engine, opened.frame, described, opened.properties, schema=opened.schema)
    fit = fit_audit(ingest, options, shown, detect=wanted)
    if decisions is not None:
        fit = _decided(fit, decisions, shown)
    return AuditResult(fit, opened, described, options, wanted, shown)


def _decided(fit: AuditFit, decisions: Any, progress: Progress) -> AuditFit:
    ingest, layout = fit.ingest, fit.ingest.layout
    if isinstance(decisions, (str, os.PathLike)):
        decided = read_place(ingest.engine, os.fspath(decisions), "decisions")
    else:
        decided = frame_of(ingest.engine, decisions)
    checked = check_decisions(ingest.engine, decided, layout.id, ingest.id_type, "decisions")
    standing = standing_decisions(ingest.engine, checked, layout.classes)
    fit, counts = apply_decisions(fit, standing)
    for sentence in counts.warnings():
        progress.note(sentence)
    return fit


class AuditResult:
    """A finished audit of a DataFrame or table.

    Attributes:
        run_id: Id that the rows of all frames carry.
        started_at: When the audit was asked for, UTC.

    Example:
        >>> from spark_ml_audit import audit
        >>> result = audit("data/tags")  # doctest: +SKIP
        >>> sorted(result.write(path="audits/frames"))  # doctest: +SKIP
        ['classes', 'examples', 'issues', 'quarantine', 'runs', 'tag_issues']
    """

    def __init__(
        self,
        fit: AuditFit,
        source: OpenSource,
        columns: ColumnsConfig,
        method: MethodConfig,
        detect: DetectConfig,
        progress: Progress,
    ) -> None:
        self.started_at = datetime.now(timezone.utc)
        self.run_id = new_run_id(self.started_at)
        self._fit = fit
        self._source = source
        self._columns = columns
        self._method = method
        self._detect = detect
        self._progress = progress
        self._mlflow_run_id: str | None = None
        self._locations: Mapping[str, str] = {}
        self._output_path: str | None = None

    def _with_run_id(self, frame: Frame) -> Frame:
        return frame.select(nw.lit(self.run_id).alias("run_id"), nw.all())

    def _native(self, frame: Frame) -> Any:
        return self._source.engine.native(self._with_run_id(frame))

    @cached_property
    def examples(self) -> Any:
        """One row per audited row: score, issue, tags given, suggested, missing, extraneous, in no order."""
        return self._native(self._examples)

    @cached_property
    def issues(self) -> Any:
        """One row per row with an issue, worst first by `issue_rank`.

        Lazy for few rows; for more than 100,000 the scores are counted at once, in one pass.
        """
        return self._native(self._issues)

    @cached_property
    def tag_issues(self) -> Any:
        """One row per flagged cell."""
        return self._native(tag_issues_frame(self._source.engine, self._issues, self._fit.ingest.layout.id))

    @cached_property
    def classes(self) -> Any:
        """One row per class: thresholds, joint, cut-offs, counts, noise."""
        return self._native(class_table_frame(self._source.engine, self._fit.classes))

    @cached_property
    def quarantine(self) -> Any:
        """One row per rejected row, with the reason."""
        return self._native(quarantine_frame(self._fit.ingest))

    @cached_property
    def duplicates(self) -> Any:
        """One row per row of a group of near-duplicates; None unless `detect` asks for them."""
        found = self._duplicates_found
        return None if found is None else self._native(found.frame)

    @cached_property
    def summary(self) -> Counts:
        """Counts and health."""
        found = self._duplicates_found
        num_groups = None if found is None else count_groups(self._source.engine, found.frame)
        return counts_of(self._fit, self._counts, self._detection, num_groups)

    @cached_property
    def _examples(self) -> Frame:
        return examples_frame(self._fit.ingest, self._fit.rules, self._detection.outliers)

    @cached_property
    def _issues(self) -> Frame:
        engine, id_name = self._source.engine, self._fit.ingest.layout.id
        num_audited = self._fit.rows.num_audited
        # few rows are ranked in one place, whatever their scores
        histogram = np.array([num_audited]) if num_audited <= FEW_ROWS else self._counts.issues
        return issues_frame(engine, self._examples, id_name, histogram)

    @cached_property
    def _duplicates_found(self) -> DuplicatesFound | None:
        finder = self._detection.duplicates
        if finder is None:
            return None
        from spark_ml_audit.detection.duplicates import find_duplicates_frame

        return find_duplicates_frame(finder)

    @cached_property
    def _counts(self) -> ExampleCounts:
        return count_examples(self._source.engine, self._examples)

    @cached_property
    def _detection(self) -> Detection:
        return plan_detection(self._fit, self._detect, None, self._progress)

    @property
    def warnings(self) -> list[str]:
        """Sentences on what a reader should know."""
        duplicates = self._duplicates_found
        return [
            *warnings_of(self._fit, self.summary),
            *self._detection.warnings,
            *self._detection.uncompared(self._counts.num_uncompared),
            *(() if duplicates is None else duplicates.warnings),
        ]

    def _config_json(self) -> str:
        sections = {"source": self._columns, "audit": self._method, "detect": self._detect}
        return json.dumps({name: section.to_mapping() for name, section in sections.items()})

    def write(
        self,
        path: str | None = None,
        *,
        schema: str | None = None,
        prefix: str = "",
        run_id: str | None = None,
    ) -> dict[str, str]:
        """Commit this audit as a run of an output: its Delta tables.

        Args:
            path: Folder of the output; or
            schema: catalog.schema of the output.
            prefix: Put before table names in a schema.
            run_id: Id of the run; this result's own by default. Writing a finished run again changes nothing.

        Returns:
            Table name -> path or table.

        Raises:
            ConfigError: Not exactly one of path and schema, or an output that belongs to another id column.
        """
        run = run_id or self.run_id
        values = {"path": path, "schema": schema, "prefix": prefix, "run_id": run}
        tables = OutputTables(self._source.engine, OutputConfig.parse(values, "output"))
        id_name = self._fit.ingest.layout.id
        tables.check_id(id_name, self._fit.ingest.id_type)
        if tables.finished_run(run) is None:
            self._write_run(tables, run, is_retry=run_id is not None)
        looked_for = [DUPLICATES] if self._detection.duplicates is not None else []
        self._locations, self._output_path = tables.locations(*TABLES, *looked_for), path
        return dict(self._locations)

    def _write_run(self, tables: OutputTables, run_id: str, *, is_retry: bool) -> None:
        fingerprint = digest({"config": self._config_json(), "layout": LAYOUT})
        if is_retry:
            tables.pinned_version(
                run_id, fingerprint, (FIRST_TABLE,), "Leave run_id out, for a run of its own.", "run_id"
            )
        tables.create_schema()
        metadata = {"fingerprint": fingerprint, "source_version": self._source.version}
        written = write_tables(self._fit, tables, run_id, metadata, self._progress, self._detection)
        tables.append_run(
            run_row(
                run_id=run_id,
                started_at=self.started_at,
                source=self._source,
                config=self._config_json(),
                counts=written.counts,
                gates=(),
                mlflow_run_id=self._mlflow_run_id,
                stages=self._progress.stages,
                warnings=written.warnings,
            )
        )

    def log(
        self, experiment: str = "spark-ml-audit", *, tracking_uri: str | None = None, files: str | None = None
    ) -> str | None:
        """Log this audit as one MLflow run.

        Args:
            experiment: Name of the experiment, created if missing.
            tracking_uri: Tracking server or store; MLflow's own setting by default, on a plain machine a
                sqlite store.
            files: Folder for that store; the path that `write` wrote to by default, where the command line
                keeps its store too; without any, the working directory.

        Returns:
            The MLflow run id.

        Raises:
            DeliveryError: The run could not be recorded in full.
        """
        named_by_path = is_path(self._source.name)
        params = {f"source.{name}": str(value) for name, value in self._columns.to_mapping().items()}
        params |= {f"audit.{name}": str(value) for name, value in self._method.to_mapping().items()}
        tracker = AuditTracker(
            tracking_uri=tracking_uri,
            experiment=experiment,
            output_path=files or self._output_path,
            run_id=self.run_id,
            package_version=__version__,
            params=params,
            source=SourceRef(self._source.name, named_by_path, self._source.version),
        )
        stages, warnings = dict(self._progress.seconds), self.warnings
        tracker.open(RunOpening(self.summary, (), stages, self._locations, warnings))
        delivery = delivery_of(
            self._fit.classes,
            worst_issues(self._source.engine, self._issues, WORST_ROWS),
            status="ok",
            stages=stages,
            warnings=warnings,
            config=self._config_json(),
        )
        note = describe_run(
            self.summary,
            worst_classes(self._fit.classes, WORST_CLASSES),
            source=self._source.name,
            source_version=self._source.version,
            tables=self._locations,
            warnings=warnings,
            continues=self._source.continues,
        )
        delivered = tracker.deliver(replace(delivery, note=note))
        self._mlflow_run_id = tracker.mlflow_run_id
        if not delivered:
            raise DeliveryError(
                " ".join(tracker.problems) or "the MLflow run was not recorded.",
                key="tracking_uri",
                fix="Check the tracking server and call log again.",
            )
        return self._mlflow_run_id
