"""`compare` for Python: two runs side by side, as frames and as a summary."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import narwhals as nw

from spark_ml_audit.config import OutputConfig
from spark_ml_audit.config.engine import EngineConfig
from spark_ml_audit.engines.base import count_rows, from_records, rows_of
from spark_ml_audit.engines.choose import choose_engine
from spark_ml_audit.engines.columns import column, in_frame
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.history.changes import (
    CELL_COLUMNS,
    ROW_COLUMNS,
    cell_changes,
    flagged_by_tag,
    flags_of_both,
    row_changes,
)
from spark_ml_audit.history.differences import (
    class_changes,
    counts_by_change,
    counts_by_tag,
    differences,
    most_changed,
    tags_of,
)
from spark_ml_audit.lake.lineage import holding, not_found
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.runs import find_run, previous_run, run_elsewhere
from spark_ml_audit.lake.schemas import (
    COMPARISON,
    COMPARISON_CLASSES,
    COMPARISON_CLASSES_SCHEMA,
    COMPARISON_ROWS,
    EXAMPLES,
    TAG_ISSUES,
)
from spark_ml_audit.outcomes.history import ClassChange, Comparison
from spark_ml_audit.text import show

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Frame, Session
    from spark_ml_audit.outcomes.runs import FinishedRun

COMPARISON_TABLES = (COMPARISON, COMPARISON_ROWS, COMPARISON_CLASSES)


def compare(
    path: str | None = None,
    *,
    schema: str | None = None,
    prefix: str = "",
    run: str | None = None,
    against: str | None = None,
    engine: str = "auto",
    spark: Session | None = None,
) -> ComparisonResult:
    """Compare two finished runs of one source, or of a corrected copy and what it was made from.

    Args:
        path: Folder of the output; or
        schema: catalog.schema of the output.
        prefix: Put before table names in a schema.
        run: Id of the run to look at; the newest by default.
        against: Id of the run to compare it with; the one before of the same source by default. The first
            audit of a corrected copy is compared with the audit that was corrected.
        engine: What runs it: auto, embedded or spark.
        spark: Session to use; the active one by default.

    Returns:
        The result: `summary`, the lazy frames `rows`, `cells` and `classes` (DataFrames of Spark, or
        relations of DuckDB), and `write`.

    Raises:
        ConfigError: No such runs, or runs of different sources.

    Example:
        >>> from spark_ml_audit import compare
        >>> found = compare("audits/tags")  # doctest: +SKIP
        >>> found.summary.rows.newly_flagged, found.summary.rows.fixed  # doctest: +SKIP
        (0, 0)
    """
    place = OutputConfig.parse({"path": path, "schema": schema, "prefix": prefix}, "output")
    wanted = EngineConfig.parse({"kind": engine}, "engine")
    return ComparisonResult(OutputTables(choose_engine(wanted, spark), place), run, against)


class ComparisonResult:
    """Two runs of one source, and what changed from one to the other.

    Args:
        tables: The output that holds both.
        run: Id of the run to look at; None for the newest.
        against: Id of the run to compare it with; None for the one before of the same source.

    Attributes:
        run: The run looked at.
        against: The run it is compared with.

    Raises:
        ConfigError: No such runs, or runs of different sources.

    Example:
        >>> from spark_ml_audit import compare
        >>> found = compare("audits/tags")  # doctest: +SKIP
        >>> newly = found.cells.filter("change = 'newly_flagged'")  # doctest: +SKIP
    """

    def __init__(self, tables: OutputTables, run: str | None, against: str | None) -> None:
        self._tables = tables
        self.run = find_run(tables, run, "compare.run")
        self.against = self._other(against)
        self._holder = holding(tables, self.against)
        self._engine = tables.engine
        self._id = tables.id_name()
        taken = {"against_run_id", *ROW_COLUMNS, *CELL_COLUMNS}
        if self._id.lower() in taken:
            raise ConfigError(
                f"the id column '{self._id}' has the name of a column that comparisons write.",
                key="source.id",
                fix="Audit a view that renames it, into another output.",
            )

    def _other(self, against: str | None) -> FinishedRun:
        ref = self.run.ref
        if against is None:
            found = previous_run(self._tables, ref.run_id, ref.source, self.run.continues)
            if found is None:
                gone = "".join(f", and {not_found(origin)}" for origin in self.run.continues[:1])
                raise ConfigError(
                    f"run {ref.run_id} is the first one of {show(ref.source)} in this output{gone}: there is "
                    "nothing before it.",
                    key="compare.against",
                    fix="Audit the source again, or name a later run in compare.run.",
                )
            return self._of_same_rows(found)
        found = self._continued(against) or find_run(self._tables, against, "compare.against")
        if found.ref.run_id == ref.run_id:
            raise ConfigError(
                f"run {ref.run_id} would be compared with itself.",
                key="compare.against",
                fix="Name another run, or leave against out for the one before.",
            )
        if not found.sources & self.run.sources:
            raise ConfigError(
                f"run {found.ref.run_id} read {show(found.ref.source)}, but run {ref.run_id} read "
                f"{show(ref.source)}.",
                key="compare.against",
                fix="Compare runs of one source; leave against out for the one before of the same source.",
            )
        return self._of_same_rows(found)

    def _of_same_rows(self, found: FinishedRun) -> FinishedRun:
        if not self.run.names_rows_of(found):
            raise ConfigError(
                f"runs {found.run_id} and {self.run.run_id} name rows by numbers (source.row_numbers), and "
                "the files changed between them.",
                key="compare.against",
                fix="Give the rows an id column to compare audits of changed files; `trend` shows counts.",
            )
        return found

    def _continued(self, against: str) -> FinishedRun | None:
        """A run of another output that the run looked at continues."""
        is_there = self._tables.finished_run(against) is not None
        return (
            None
            if is_there
            else run_elsewhere(
                self._tables, [origin for origin in self.run.continues if origin.run_id == against]
            )
        )

    # ---- the frames --------------------------------------------------------------------------------

    @property
    def rows(self) -> Any:
        """One row per row with an issue in either run: change, reason, scores and given tags of both."""
        return self._engine.native(self._row_frame)

    @property
    def cells(self) -> Any:
        """One row per cell flagged in either run: change, reason, probabilities and scores of both."""
        return self._engine.native(self._cell_frame)

    @cached_property
    def classes(self) -> Any:
        """One row per class of either run: cells by change, figures before and now."""
        return self._engine.native(self._classes(None).drop("mlflow_run_id"))

    def _both(self, name: str) -> tuple[Frame, Frame]:
        return self._tables.read(name, self.run.run_id), self._holder.read(name, self.against.run_id)

    @cached_property
    def _row_frame(self) -> Frame:
        return row_changes(*self._both(EXAMPLES), self._id)

    @cached_property
    def _cell_frame(self) -> Frame:
        return self._cells(self._row_frame)

    def _cells(self, rows: Frame) -> Frame:
        return cell_changes(self._engine, *self._both(TAG_ISSUES), rows, self._id)

    def _classes(self, mlflow_run_id: str | None) -> Frame:
        rows = [{**change.to_row(), "mlflow_run_id": mlflow_run_id} for change in self.class_changes]
        return from_records(self._engine, rows, COMPARISON_CLASSES_SCHEMA)

    # ---- what they add up to -----------------------------------------------------------------------

    @cached_property
    def summary(self) -> Comparison:
        """Counts, reasons and the classes with the most change."""
        row_counts, row_reasons = counts_by_change(self._engine, self._row_frame)
        cell_counts, cell_reasons = counts_by_change(self._engine, self._cell_frame)
        kept = self._kept_rows
        changes = self.class_changes
        return Comparison(
            run=self.run.ref,
            against=self.against.ref,
            rows=row_counts,
            cells=cell_counts,
            classes=most_changed(changes),
            num_classes=sum(change.now is not None for change in changes),
            classes_came=tags_of(change for change in changes if change.before is None),
            classes_went=tags_of(change for change in changes if change.now is None),
            rows_came=self.run.ref.num_audited - kept,
            rows_went=self.against.ref.num_audited - kept,
            row_reasons=row_reasons,
            cell_reasons=cell_reasons,
            notes=tuple(differences(self.run, self.against)),
        )

    @cached_property
    def class_changes(self) -> tuple[ClassChange, ...]:
        """Every class of either run."""
        flags = flags_of_both(self._tables, self.run, self.against, self._id)
        now, before = self.run.run_id, self.against.run_id
        by_tag, _ = counts_by_tag(self._engine, flagged_by_tag(flags, now, before, self._id))
        return class_changes(self.run.classes, self.against.classes, by_tag)

    @cached_property
    def _kept_rows(self) -> int:
        now, before = (frame.select(column(self._id)) for frame in self._both(EXAMPLES))
        return count_rows(self._engine, now.join(before, on=in_frame(self._id), how="semi"))

    # ---- the tables --------------------------------------------------------------------------------

    @property
    def locations(self) -> dict[str, str]:
        """Name -> path or table of what `write` writes."""
        return self._tables.locations(*COMPARISON_TABLES)

    def _written(self, name: str) -> Frame | None:
        table = self._tables.existing(name)
        against = nw.col("against_run_id") == self.against.run_id
        return None if table is None else table.filter(nw.col("run_id") == self.run.run_id, against)

    def earlier_mlflow_run(self) -> tuple[bool, str | None]:
        """Whether these two runs were compared before, and the MLflow run that recorded it."""
        written = self._written(COMPARISON_CLASSES)
        found = [] if written is None else rows_of(self._engine, written.select("mlflow_run_id").head(1))
        return bool(found), found[0]["mlflow_run_id"] if found else None

    def write(self) -> dict[str, str]:
        """Append this comparison to the output's tables; the same two runs once only.

        Returns:
            Table name -> path or table.
        """
        if not self.earlier_mlflow_run()[0]:
            self.write_frames()
            self.write_classes(None)
        return self.locations

    def write_frames(self) -> None:
        """Append the rows and cells; from here on both are read back instead of computed again."""
        self._append(COMPARISON_ROWS, self._row_frame)
        self._read_back(COMPARISON_ROWS)
        self._append(COMPARISON, self._cell_frame)
        self._read_back(COMPARISON)

    def _read_back(self, name: str) -> None:
        written = self._written(name)
        if written is None:
            raise RuntimeError(f"the table {name} is gone")
        if name == COMPARISON_ROWS:
            self._row_frame = written.drop("run_id", "against_run_id")
            self._cell_frame = self._cells(self._row_frame)
        else:
            self._cell_frame = written.drop("run_id", "against_run_id")

    def read_back(self) -> None:
        """Take rows and cells from the tables, where an earlier comparison wrote them."""
        self._read_back(COMPARISON_ROWS)
        self._read_back(COMPARISON)

    def write_classes(self, mlflow_run_id: str | None) -> None:
        """Append the classes, which makes the comparison count as done."""
        self._append(COMPARISON_CLASSES, self._classes(mlflow_run_id))

    def _append(self, name: str, frame: Frame) -> None:
        run_id, against = self.run.run_id, self.against.run_id
        stamped = frame.select(
            nw.lit(run_id).alias("run_id"), nw.lit(against).alias("against_run_id"), nw.all()
        )
        self._tables.append(name, stamped, run_id, {"against_run_id": against}, part=against)
