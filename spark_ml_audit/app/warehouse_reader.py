"""The tables of an output in a catalog, read and written by a SQL warehouse: for a Databricks App."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

import pyarrow as pa

from spark_ml_audit.app.decided import DecisionRecord
from spark_ml_audit.app.index import CODED, LISTED, MOST_ROWS, coded
from spark_ml_audit.app.reader import AuditReader, RowContent
from spark_ml_audit.app.records import records_of
from spark_ml_audit.app.source_rows import contents_of, shown_columns
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.errors import ConfigError, InputError
from spark_ml_audit.frames.ingest import inspect_source
from spark_ml_audit.frames.issues import RANK
from spark_ml_audit.lake.places import Place
from spark_ml_audit.lake.runs import run_of_row
from spark_ml_audit.lake.schemas import (
    CLASSES,
    DECISIONS,
    DECISIONS_FIELDS,
    DUPLICATES,
    EXAMPLES,
    ISSUES,
    PREDICTIONS,
    RUNS,
    SAMPLE,
    class_rows,
)
from spark_ml_audit.reviewing.audited import as_calibrated, source_of
from spark_ml_audit.reviewing.decision_table import Decision
from spark_ml_audit.reviewing.votes import UNDO

if TYPE_CHECKING:
    from spark_ml_audit.config import AuditSource
    from spark_ml_audit.config.serve import ServeConfig
    from spark_ml_audit.engines.base import Engine
    from spark_ml_audit.frames.ingest import Ingest
    from spark_ml_audit.lake.warehouse import Warehouse
    from spark_ml_audit.outcomes.review import CertifiedFlags
    from spark_ml_audit.outcomes.runs import FinishedRun

_MARKS = ("is_ambiguous", "ambiguity_score", "ambiguous_tags", "is_outlier", "outlier_score")
_MEMBERS = ("group_id", "differing_tags", "similarity", "given_tags")
_LOOKED_AT = 2000
_ASK_FOR_RUNS = 60.0
"""Seconds after which a warehouse, which costs while it answers, is asked again for newer runs."""


class WarehouseReader:
    """The page's tables by SQL; what goes beyond reading and deciding is left to jobs.

    Args:
        warehouse: Runs the SQL.
        engine: Understands a few rows in memory.
        config: Of the command.

    Raises:
        ConfigError: There is no such run.
    """

    def __init__(self, warehouse: Warehouse, engine: Engine, config: ServeConfig) -> None:
        self._warehouse = warehouse
        self._engine = engine
        self.config = config
        self.run: FinishedRun = self._find_run()
        self._newest_run, self._asked_for_runs = self.run.run_id, time.monotonic()
        example = warehouse.rows(self._place(EXAMPLES), [self.run.id_name], limit=0)
        self.id_type: Any = example.schema.field(0).type

    def _place(self, name: str) -> Place:
        return Place.of_output(self.config.output, name)

    def _find_run(self) -> FinishedRun:
        wanted = self.config.serve.run
        where = {} if wanted is None else {"run_id": wanted}
        there = self._warehouse.columns(self._place(RUNS))
        rows = self._warehouse.rows(self._place(RUNS), (), where=where).to_pylist() if there else []
        if not rows:
            raise ConfigError(
                f"'{self._place(RUNS).text}' has no finished run{'' if wanted is None else f' {wanted}'}.",
                key="output" if wanted is None else "serve.run",
                fix="Give the output.schema (and prefix) of finished audits, or run one first.",
            )
        row = max(rows, key=lambda item: item["run_id"])
        classes = self._warehouse.rows(self._place(CLASSES), (), where={"run_id": row["run_id"]}).to_pylist()
        return run_of_row(row, class_rows(classes))

    def _own(self, name: str, columns: Sequence[str], **more: Any) -> Any:
        """Columns of the run's rows of a table, the id among them as `id`."""
        own = (self.run.id_name, *columns)
        more["where"] = {"run_id": self.run.run_id, **more.get("where", {})}
        return self._warehouse.rows(self._place(name), own, **more).rename_columns([ID, *columns])

    # ---- the run -----------------------------------------------------------------------------------

    def issues(self) -> Any:
        """The rows with an issue as an Arrow table of id and `index.CODED`."""
        found = self._own(ISSUES, LISTED, below=(RANK, MOST_ROWS))
        names = pa.array(self.run.tags, pa.string())
        schema = pa.schema([(ID, self.id_type), *CODED])
        return pa.Table.from_batches([coded(batch, names) for batch in found.to_batches()], schema)

    def marks(self) -> Any:
        """Ambiguous rows and outliers; None where none was looked for."""
        if not set(_MARKS) <= set(self._warehouse.columns(self._place(EXAMPLES))):
            return None
        found = [self._own(EXAMPLES, _MARKS, where={name: True}) for name in ("is_ambiguous", "is_outlier")]
        return pa.concat_tables(found)

    def groups(self) -> Any:
        """Near-duplicates; None where none was looked for."""
        there = self._warehouse.columns(self._place(DUPLICATES))
        return self._own(DUPLICATES, _MEMBERS) if there else None

    def samples(self) -> Any:
        """Drawn cells of this run; None without any."""
        if not self._warehouse.columns(self._place(SAMPLE)):
            return None
        drawn = ("sample_id", "how", "position", "position_in_row", "tag", "pred_prob", "given")
        found = self._own(SAMPLE, drawn)
        return found.sort_by([(name, "ascending") for name in ("sample_id", "position", "position_in_row")])

    # ---- the source --------------------------------------------------------------------------------

    @cached_property
    def _described(self) -> tuple[Place, str | None, AuditSource]:
        """Where the rows with probabilities are, at which version, and how the audit read them."""
        source = source_of(self.run, self.config.source)
        if source.needs_predictions:
            return self._place(PREDICTIONS), None, source
        return Place.of_source(source), self.run.ref.source_version, source

    def _inspected(self, rows: pa.Table) -> Ingest:
        source = self._described[2]
        columns = source.columns() if source.needs_predictions else source
        named = columns.model_copy(update={"classes": self.run.tags})
        ingest = inspect_source(self._engine, self._engine.from_arrow(rows), named, schema=rows.schema)
        return as_calibrated(ingest, self.run)

    @cached_property
    def _layout(self) -> Ingest:
        """How labels and probabilities are written, as some rows show."""
        place, version, _ = self._described
        return self._inspected(self._warehouse.rows(place, (), version=version, limit=_LOOKED_AT))

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """Columns that are shown."""
        return shown_columns(self.config.serve, self._described[2], self._layout)

    def rows(self, ids: Sequence[Any]) -> dict[Any, RowContent]:
        """Some rows of the source as audited, with their probabilities."""
        place, version, _ = self._described
        layout, shown = self._layout.layout, self.shown
        if not ids:
            return {}
        names = dict.fromkeys((self.run.id_name, *layout.labels, *layout.pred_probs, *shown))
        found = self._warehouse.rows(place, list(names), among=(self.run.id_name, list(ids)), version=version)
        if not found.num_rows:
            return {}
        from dataclasses import replace

        ingest = replace(self._layout, frame=self._engine.from_arrow(found), schema=found.schema)
        return contents_of(ingest, shown)

    # ---- decisions ---------------------------------------------------------------------------------

    def decisions_version(self) -> str | None:
        """The newest version of the table."""
        return self._warehouse.version(self._place(DECISIONS))

    def decisions(self) -> list[DecisionRecord]:
        """All records of decisions."""
        if not self._warehouse.columns(self._place(DECISIONS)):
            return []
        found = self._warehouse.rows(self._place(DECISIONS), ())
        return records_of(found, self.run.id_name, self.id_type)

    def append(self, decisions: Sequence[Decision]) -> bool:
        """Add decisions; whether the warehouse says that any was not there yet."""
        known = ("tag", "verdict", "who", "when", "note", "sample_id", "decision_id", "kind")
        return self._append(
            [{ID: item.id, **{name: getattr(item, name) for name in known}} for item in decisions]
        )

    def undo(self, name: str, who: str) -> bool:
        """Take a decision back; whether the warehouse says that this was not done yet."""
        when = datetime.now(timezone.utc)
        return self._append(
            [{"who": who, "when": when, "decision_id": f"undo-{name}", "kind": UNDO, "undoes": name}]
        )

    def _append(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        schema = pa.schema([(ID, self.id_type), *DECISIONS_FIELDS])
        now = datetime.now(timezone.utc)
        told = [{"run_id": self.run.run_id, **row, "when": row.get("when") or now} for row in rows]
        columns = {name: [row.get(name) for row in told] for name in schema.names}
        table = pa.table(columns, schema=schema).rename_columns([self.run.id_name, *schema.names[1:]])
        return self._warehouse.append(self._place(DECISIONS), table, "decision_id") > 0

    # ---- what jobs do ------------------------------------------------------------------------------

    def draw(self, drawing: Mapping[str, Any]) -> str:
        """Refused: a job draws samples."""
        self._refuse("sample", {f"sample.{name}": value for name, value in drawing.items()})

    def certified(self, bound: float) -> Sequence[CertifiedFlags]:
        """Nothing: a job reviews samples, and accepts what they prove."""
        return ()

    def accept(self, bulk_id: str, tag: str, direction: str, bound: float, who: str) -> NoReturn:
        """Refused: a job accepts in bulk."""
        self._refuse("correct", {"correct.accept_certified": bound})

    def report(self) -> str | None:
        """Nothing: the report is in MLflow."""
        return None

    def corrected(self) -> Any:
        """Nothing: the corrected table is in the catalog."""
        return None

    def corrections(self) -> list[dict[str, Any]]:
        """Nothing: jobs correct."""
        return []

    def newest(self) -> AuditReader:
        """A reader of the newest run of the output."""
        serve = self.config.serve.model_copy(update={"run": None})
        return WarehouseReader(self._warehouse, self._engine, self.config.model_copy(update={"serve": serve}))

    def newest_run_id(self) -> str:
        """Id of the newest finished run, asked for once in a while."""
        if time.monotonic() - self._asked_for_runs > _ASK_FOR_RUNS:
            self._asked_for_runs = time.monotonic()
            found = self._warehouse.rows(self._place(RUNS), ("run_id",)).column("run_id").to_pylist()
            self._newest_run = max(found, default=self.run.run_id)
        return self._newest_run

    def _refuse(self, command: str, settings: Mapping[str, object]) -> NoReturn:
        raise InputError(
            "a page behind a SQL warehouse reads and decides; the rest is done by jobs.",
            key="serve.warehouse",
            fix=f"Run: {self.config.output.command(command, settings)}",
        )
