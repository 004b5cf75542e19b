"""A finished audit as it is computed: its tables as frames, its counts, what is said of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from spark_ml_audit.auditing.delivery import warnings_of
from spark_ml_audit.auditing.order import in_order
from spark_ml_audit.auditing.read_back import ExampleCounts, count_examples
from spark_ml_audit.auditing.write import count_groups, counts_of
from spark_ml_audit.detection.plan import Detection, plan_detection
from spark_ml_audit.engines.base import FEW_ROWS
from spark_ml_audit.engines.in_hand import NUMBERED
from spark_ml_audit.frames.examples import examples_frame
from spark_ml_audit.frames.issues import issues_frame, tag_issues_frame
from spark_ml_audit.frames.quarantine import quarantine_frame
from spark_ml_audit.kernels.model_quality import overall_weakness
from spark_ml_audit.lake.schemas import (
    CLASSES,
    DUPLICATES,
    EXAMPLES,
    ISSUES,
    QUARANTINE,
    TAG_ISSUES,
    class_table_frame,
)
from spark_ml_audit.outcomes.runs import new_run_id

if TYPE_CHECKING:
    import pyarrow as pa

    from spark_ml_audit.auditing.given import GivenSource
    from spark_ml_audit.config.audit import MethodConfig
    from spark_ml_audit.config.detect import DetectConfig
    from spark_ml_audit.config.output import OutputConfig
    from spark_ml_audit.detection.duplicates import DuplicatesFound
    from spark_ml_audit.engines.base import Engine, Frame
    from spark_ml_audit.frames.fit import AuditFit
    from spark_ml_audit.outcomes.calibration import Calibration
    from spark_ml_audit.outcomes.records import Counts
    from spark_ml_audit.progress import Progress

RESULTS = (ISSUES, EXAMPLES, TAG_ISSUES, CLASSES, QUARANTINE, DUPLICATES)
"""Names of the tables of a result."""


class ComputedAudit:
    """A finished audit of a table or of arrays.

    Args:
        fit: Its cut-offs and class table.
        given: What was audited.
        method: Options of the method.
        detect: What else is looked for.
        progress: Shows and times stages.

    Attributes:
        run_id: Id that the rows of all tables carry.
        started_at: When the audit was asked for, UTC.
        output: Where it was written last; None before.
        tables: Name -> path or table of what was written there.
        mlflow_run_id: MLflow run that it was logged as; None before.
    """

    def __init__(
        self,
        fit: AuditFit,
        given: GivenSource,
        method: MethodConfig,
        detect: DetectConfig,
        progress: Progress,
    ) -> None:
        self.started_at = datetime.now(timezone.utc)
        self.run_id = new_run_id(self.started_at)
        self.fit = fit
        self.given = given
        self.method = method
        self.detect = detect
        self.progress = progress
        self.output: OutputConfig | None = None
        self.tables: Mapping[str, str] = {}
        self.mlflow_run_id: str | None = None
        self._problems: tuple[str, ...] = ()
        self._arrow: dict[str, pa.Table] = {}

    @property
    def engine(self) -> Engine:
        """What runs the frames."""
        return self.given.opened.engine

    @property
    def id_name(self) -> str:
        """Name of the id column."""
        return self.fit.ingest.layout.id

    # ---- the tables --------------------------------------------------------------------------------

    def frame(self, name: str) -> Frame:
        """One of the tables as a frame of the engine, without run_id; of rows in hand, computed once."""
        if self.given.held is not None and name in self._arrow:
            return self.engine.from_arrow(self._arrow[name].drop_columns(["run_id"]))
        return self._frames[name]()

    def with_run_id(self, name: str) -> Frame:
        """The same with run_id, as users get it."""
        return self.frame(name).select(nw.lit(self.run_id).alias("run_id"), nw.all())

    def arrow(self, name: str) -> pa.Table:
        """One of the tables in memory, in order, with run_id; collected once."""
        if name not in self._arrow:
            found = self.engine.collect(self.with_run_id(name))
            self._arrow[name] = in_order(name, found, self.id_name, self.given.held)
        return self._arrow[name]

    @property
    def _frames(self) -> Mapping[str, Callable[[], Frame]]:
        return {
            EXAMPLES: lambda: examples_frame(self.fit.ingest, self.fit.rules, self.detection.outliers),
            ISSUES: self._issues,
            TAG_ISSUES: lambda: tag_issues_frame(self.engine, self._read(ISSUES), self.id_name),
            CLASSES: lambda: class_table_frame(self.engine, self.fit.classes),
            QUARANTINE: lambda: quarantine_frame(self.fit.ingest),
            DUPLICATES: lambda: self.duplicates_found.frame,  # type: ignore[union-attr]
        }

    def _read(self, name: str) -> Frame:
        """A table that others are made of; of rows in hand it is computed once and kept."""
        if self.given.held is not None:
            self.arrow(name)
        return self.frame(name)

    def _issues(self) -> Frame:
        num_audited = self.fit.rows.num_audited
        # few rows are ranked in one place, whatever their scores
        histogram = np.array([num_audited]) if num_audited <= FEW_ROWS else self.counted.issues
        return issues_frame(self.engine, self._read(EXAMPLES), self.id_name, histogram)

    @cached_property
    def counted(self) -> ExampleCounts:
        """Counts of `examples`."""
        return count_examples(self.engine, self._read(EXAMPLES))

    @cached_property
    def detection(self) -> Detection:
        """What else is looked for."""
        return plan_detection(self.fit, self.detect, None, self.progress)

    @cached_property
    def duplicates_found(self) -> DuplicatesFound | None:
        """Near-duplicates; None unless they are looked for."""
        finder = self.detection.duplicates
        if finder is None:
            return None
        from spark_ml_audit.detection.duplicates import find_duplicates_frame

        return find_duplicates_frame(finder)

    # ---- what is said of them ----------------------------------------------------------------------

    @cached_property
    def summary(self) -> Counts:
        """Counts and health."""
        found = self.duplicates_found
        num_groups = None if found is None else count_groups(self.engine, found.frame)
        return counts_of(self.fit, self.counted, self.detection, num_groups)

    @property
    def calibration(self) -> Calibration | None:
        """What calibration of the probabilities saves, and whether it was done; None without rows."""
        return self.fit.calibration

    @property
    def alert(self) -> str | None:
        """Why no flag should be believed; None where nothing speaks against them all."""
        return next(iter(overall_weakness(self.fit.quality)), None)

    @property
    def found_warnings(self) -> list[str]:
        """Sentences on what a reader should know, in the words of a config."""
        duplicates = self.duplicates_found
        found = [
            *self.known_warnings,
            *warnings_of(self.fit, self.summary),
            *self.detection.warnings,
            *self.detection.uncompared(self.counted.num_uncompared),
            *(() if duplicates is None else duplicates.warnings),
            *self._problems,
        ]
        return list(dict.fromkeys(found))

    @property
    def known_warnings(self) -> list[str]:
        """Those of them that are known before any row is scored."""
        return [*overall_weakness(self.fit.quality), *([NUMBERED] if self._is_numbered else [])]

    @property
    def _is_numbered(self) -> bool:
        return self.given.held is not None and self.given.held.is_numbered

    def config_mapping(self) -> dict[str, Any]:
        """The options, in the sections of a config."""
        sections = {"source": self.given.columns, "audit": self.method, "detect": self.detect}
        found = {name: section.to_mapping() for name, section in sections.items()}
        if self._is_numbered:  # what compares runs must know
            found["source"]["row_numbers"] = True
        return found

    def config_json(self) -> str:
        """The same as JSON."""
        return json.dumps(self.config_mapping())
