"""The tables of an output under a path or in a Volume, read in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import narwhals as nw
import pyarrow as pa

from spark_ml_audit.app.decided import DecisionRecord
from spark_ml_audit.app.index import CODED, LISTED, MOST_ROWS, coded
from spark_ml_audit.app.reader import RowContent
from spark_ml_audit.app.records import records_of
from spark_ml_audit.app.source_rows import SourceRows
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.engines.base import rows_of
from spark_ml_audit.engines.columns import names_of
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.frames.issues import RANK
from spark_ml_audit.lake.files import page_file
from spark_ml_audit.lake.runs import find_run, newest_runs
from spark_ml_audit.lake.schemas import (
    CORRECTED,
    CORRECTION_COUNTS,
    CORRECTION_RUNS,
    DECISIONS,
    DUPLICATES,
    EXAMPLES,
    ISSUES,
    RUNS,
    SAMPLE,
)
from spark_ml_audit.reviewing.decision_table import Decision, append_decisions, undo_decision
from spark_ml_audit.reviewing.tables import tables_of, with_plain_id

if TYPE_CHECKING:
    from spark_ml_audit.config.serve import ServeConfig
    from spark_ml_audit.engines.base import Batches, Engine
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.outcomes.review import CertifiedFlags

_MARKS = ("is_ambiguous", "ambiguity_score", "ambiguous_tags", "is_outlier", "outlier_score")
_MEMBERS = ("group_id", "differing_tags", "similarity", "given_tags")
_MOST_CORRECTIONS = 20
_READ_RUNS = 10.0
"""Seconds after which runs are read again: a folder that was made anew begins with the same versions."""

_Arguments = ParamSpec("_Arguments")
_Found = TypeVar("_Found")


def _alone(
    method: Callable[Concatenate[LakeReader, _Arguments], _Found],
) -> Callable[Concatenate[LakeReader, _Arguments], _Found]:
    """A method that one thread calls at a time."""

    @wraps(method)
    def locked(self: LakeReader, /, *values: _Arguments.args, **named: _Arguments.kwargs) -> _Found:
        with self._lock:
            return method(self, *values, **named)

    return locked


class LakeReader:
    """Tables of an output that the engine reaches: paths and Volumes in this process.

    An engine serves one caller at a time: the rows of the source have one of their own, so that no decision
    waits for rows that are read ahead.

    Args:
        tables: The output.
        beside: The same output, by another engine.
        config: Of the command.
        shares: A reader by the same engines: they serve one caller at a time of both.
    """

    def __init__(
        self,
        tables: OutputTables,
        beside: OutputTables,
        config: ServeConfig,
        *,
        shares: LakeReader | None = None,
    ) -> None:
        self.tables = tables
        self.config = config
        self._beside = beside
        self._lock: AbstractContextManager[Any] = threading.RLock() if shares is None else shares._lock
        self.run = find_run(tables, config.serve.run, "serve.run")
        self.id_type = tables.schema(EXAMPLES).field(self.run.id_name).type
        self._runs_version: str | None = None
        self._runs_read, self._newest_run = 0.0, self.run.run_id
        others = None if shares is None else shares._source
        self._source: SourceRows = SourceRows(beside, self.run, self.id_type, config, shares=others)

    @property
    def engine(self) -> Engine:
        """What reads the tables."""
        return self.tables.engine

    # ---- the run -----------------------------------------------------------------------------------

    @_alone
    def issues(self) -> Any:
        """The rows with an issue as an Arrow table of id and `index.CODED`.

        Raises:
            ConfigError: The run was made by a version that listed rows elsewhere.
        """
        if not self.run.ref.num_label_issues:
            return pa.schema([(ID, self.id_type), *CODED]).empty_table()
        if not self.tables.exists(ISSUES) or "flagged_cells" not in self.tables.schema(ISSUES).names:
            raise ConfigError(
                f"version {self.run.ref.package_version}, which made run {self.run.run_id}, listed no rows.",
                key="serve.run",
                fix="Audit the source again, and serve that run.",
            )
        own = with_plain_id(self.tables.read(ISSUES, self.run.run_id), self.run.id_name)
        worst = own.filter(nw.col(RANK) <= MOST_ROWS).select(ID, *LISTED)
        names = pa.array(self.run.tags, pa.string())

        def code(batches: Batches) -> Batches:
            for batch in batches:
                yield coded(batch, names)

        # where the rows are: their texts would be ten times what is kept of them
        return self.engine.collect(self.engine.map_batches(worst, code, keep=(ID,), add=CODED))

    @_alone
    def marks(self) -> Any:
        """Ambiguous rows and outliers; None where none was looked for."""
        examples = with_plain_id(self.tables.read(EXAMPLES, self.run.run_id), self.run.id_name)
        if not set(_MARKS) <= set(names_of(examples)):
            return None
        marked = examples.filter(nw.col("is_ambiguous") | nw.col("is_outlier"))
        return self.engine.collect(marked.select(ID, *_MARKS))

    @_alone
    def groups(self) -> Any:
        """Near-duplicates; None where none was looked for."""
        if not self.tables.exists(DUPLICATES):
            return None
        members = with_plain_id(self.tables.read(DUPLICATES, self.run.run_id), self.run.id_name)
        return self.engine.collect(members.select(ID, *_MEMBERS))

    @_alone
    def samples(self) -> Any:
        """Drawn cells of this run; None without any."""
        found = self.tables.table(SAMPLE).existing()
        if found is None:
            return None
        own = with_plain_id(found.filter(nw.col("run_id") == self.run.run_id), self.run.id_name)
        kept = (ID, "sample_id", "how", "position", "position_in_row", "tag", "pred_prob", "given")
        return self.engine.collect(own.select(*kept).sort("sample_id", "position", "position_in_row"))

    # ---- the source --------------------------------------------------------------------------------

    @property
    def shown(self) -> tuple[str, ...]:
        """Columns that are shown."""
        return self._source.shown

    def rows(self, ids: Sequence[Any]) -> dict[Any, RowContent]:
        """Some rows of the source as audited, with their probabilities."""
        return self._source.rows(ids)

    # ---- decisions ---------------------------------------------------------------------------------

    @_alone
    def decisions_version(self) -> str | None:
        """The newest version of the table."""
        return self.tables.table(DECISIONS).newest_version()

    @_alone
    def decisions(self) -> list[DecisionRecord]:
        """All records of decisions."""
        found = self.tables.table(DECISIONS).existing()
        if found is None:
            return []
        return records_of(self.engine.collect(found), self.run.id_name, self.id_type)

    @_alone
    def append(self, decisions: Sequence[Decision]) -> bool:
        """Add decisions in one transaction; whether any was not there yet."""
        return append_decisions(self.tables, self.run, decisions).num_appended > 0

    @_alone
    def undo(self, name: str, who: str) -> bool:
        """Take a decision or a bulk acceptance back; whether that was not done yet."""
        return undo_decision(self.tables, self.run, name, who).num_appended > 0

    def draw(self, drawing: Mapping[str, Any]) -> str:
        """Draw cells to judge; the same ones where that was done before."""
        from spark_ml_audit.config.review import SampleConfig, SampleSection
        from spark_ml_audit.progress import Progress
        from spark_ml_audit.reviewing.sample import run_sample

        config = SampleConfig(
            sample=SampleSection.parse({"run": self.run.run_id, **drawing}, "sample"),
            output=self.config.output,
            source=self.config.source,
            engine=self.config.engine,
        )
        return run_sample(config, Progress(quiet=True)).sample_id

    @_alone
    def certified(self, bound: float) -> Sequence[CertifiedFlags]:
        """How far classes and directions may be accepted in bulk."""
        from spark_ml_audit.reviewing.certified import certify_flags

        return certify_flags(self.tables, self.run, bound=bound)

    @_alone
    def accept(
        self, bulk_id: str, tag: str, direction: str, bound: float, who: str
    ) -> Sequence[CertifiedFlags]:
        """Accept in bulk what is proved of a class and direction."""
        from spark_ml_audit.reviewing.certified import accept_certified

        return accept_certified(
            self.tables, self.run, bulk_id, bound=bound, who=who, tag=tag, direction=direction
        )

    def report(self) -> str | None:
        """The report of the run as HTML."""
        file = page_file(self.config.output, self.run.run_id)
        try:
            return None if file is None else file.read_text(encoding="utf-8")
        except OSError:
            return None

    # ---- corrections -------------------------------------------------------------------------------

    @_alone
    def corrected(self) -> Any:
        """The newest corrected copy as an Arrow table."""
        copies = [item for item in self.corrections() if item["mode"] == "copy" and item["undoes"] is None]
        tables, name = tables_of(self.engine, copies[0]["target"]) if copies else (self.tables, CORRECTED)
        found = tables.table(name).existing()
        return None if found is None else self.engine.collect(found)

    @_alone
    def corrections(self) -> list[dict[str, Any]]:
        """Corrections of this output, the newest first."""
        found = self.tables.table(CORRECTION_RUNS).existing()
        if found is None:
            return []
        names = ("correction_id", "run_id", "mode", "undoes", "target", *CORRECTION_COUNTS)
        newest = found.select(*names).sort("correction_id", descending=True).head(_MOST_CORRECTIONS)
        return rows_of(self.engine, newest)

    @_alone
    def newest(self) -> LakeReader:
        """A reader of the newest run of the output."""
        serve = self.config.serve.model_copy(update={"run": None})
        config = self.config.model_copy(update={"serve": serve})
        return LakeReader(self.tables, self._beside, config, shares=self)

    @_alone
    def newest_run_id(self) -> str:
        """Id of the newest finished run; the table of runs is read where it may have changed."""
        version, age = self.tables.table(RUNS).newest_version(), time.monotonic() - self._runs_read
        if version != self._runs_version or age > _READ_RUNS:
            ((newest,), _) = newest_runs(self.tables, 1)
            self._runs_version, self._runs_read, self._newest_run = version, time.monotonic(), newest.run_id
        return self._newest_run
