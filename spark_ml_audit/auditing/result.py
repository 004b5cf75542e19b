"""What `audit` returns in Python: the tables of an audit in the form in which the rows came."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from spark_ml_audit.auditing.computed import RESULTS, ComputedAudit
from spark_ml_audit.auditing.keep import log_result, write_result
from spark_ml_audit.auditing.pages import ReportPage, brief_of, page_of, report_of
from spark_ml_audit.config.arguments import in_python, said_in_python
from spark_ml_audit.config.output import OutputConfig
from spark_ml_audit.engines.in_hand import to_pandas
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.lake.schemas import CLASSES, DUPLICATES, EXAMPLES, ISSUES, QUARANTINE, TAG_ISSUES
from spark_ml_audit.report.page.brief import brief_html, brief_text
from spark_ml_audit.text import for_terminal, plural, suggest

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from spark_ml_audit.report.page import ReportData


class AuditResult(ComputedAudit):
    """A finished audit of a table or of arrays.

    Its tables come in the form in which the rows went in: pandas, Polars or Arrow, rows in the order of the
    source, issues worst first; DataFrames of Spark and relations of DuckDB for their like and for files,
    lazy and in no order. Printed, or as the last line of a cell, it shows counts, worst rows and classes.

    Attributes:
        run_id: Id that the rows of all tables carry.
        started_at: When the audit was asked for, UTC.

    Example:
        >>> from spark_ml_audit import audit
        >>> result = audit("data/tags")  # doctest: +SKIP
        >>> sorted(result.write(path="audits/frames"))  # doctest: +SKIP
        ['classes', 'examples', 'issues', 'quarantine', 'runs', 'tag_issues']
    """

    _page: ReportPage | None = None

    # ---- the tables --------------------------------------------------------------------------------

    @cached_property
    def examples(self) -> Any:
        """One row per audited row: score, issue, tags given, suggested, missing, extraneous."""
        return self._in_kind(EXAMPLES)

    @cached_property
    def issues(self) -> Any:
        """One row per row with an issue, worst first by `issue_rank`.

        Where it is lazy: for few rows in full; for more than 100,000 the scores are counted at once, in one
        pass.
        """
        return self._in_kind(ISSUES)

    @cached_property
    def tag_issues(self) -> Any:
        """One row per flagged cell."""
        return self._in_kind(TAG_ISSUES)

    @cached_property
    def classes(self) -> Any:
        """One row per class: thresholds, joint, cut-offs, counts, noise."""
        return self._in_kind(CLASSES)

    @cached_property
    def quarantine(self) -> Any:
        """One row per rejected row, with the reason."""
        return self._in_kind(QUARANTINE)

    @cached_property
    def duplicates(self) -> Any:
        """One row per row of a group of near-duplicates; None unless `detect` asks for them."""
        return None if self.duplicates_found is None else self._in_kind(DUPLICATES)

    @in_python()
    def to_arrow(self, table: str = ISSUES) -> pa.Table:
        """One of the tables as an Arrow table, in order, whatever form the rows came in.

        Args:
            table: issues, examples, tag_issues, classes, quarantine or duplicates.

        Raises:
            ConfigError: There is no table of this name.
        """
        if table not in RESULTS or (table == DUPLICATES and self.duplicates_found is None):
            known = [name for name in RESULTS if name != DUPLICATES or self.duplicates_found is not None]
            raise ConfigError(
                f"there is no table '{table}'.",
                key="table",
                fix=f"{suggest(str(table), known)}Choose one of: {', '.join(known)}.",
            )
        return self.arrow(table)

    @property
    def warnings(self) -> list[str]:
        """Sentences on what a reader should know."""
        return [said_in_python(sentence) for sentence in self.found_warnings]

    @property
    def notes(self) -> list[str]:
        """How rows, formats and classes were understood, one sentence each."""
        return [said_in_python(note) for note in (*self.given.notes, *self.fit.ingest.notes)]

    def to_pandas(self, table: str = ISSUES) -> pd.DataFrame:
        """One of the tables as a DataFrame of pandas, in order, whatever form the rows came in.

        Args:
            table: issues, examples, tag_issues, classes, quarantine or duplicates.

        Raises:
            ConfigError: There is no table of this name.
        """
        return to_pandas(self.to_arrow(table))

    def _in_kind(self, name: str) -> Any:
        held = self.given.held
        if held is None:
            return self.engine.native(self.with_run_id(name))
        return held.in_kind(self.arrow(name))

    # ---- shown -------------------------------------------------------------------------------------

    @cached_property
    def _brief(self) -> ReportData:
        return brief_of(self)

    def __str__(self) -> str:
        return brief_text(self._brief)

    def __repr__(self) -> str:
        """In full where the rows are in hand; else without running anything."""
        if self.given.held is not None or "_brief" in self.__dict__:
            return str(self)
        num_flagged = sum(row.num_missing + row.num_extraneous for row in self.fit.classes)
        return (
            f"<AuditResult of {for_terminal(self.given.opened.name, 100)}: "
            f"{plural(self.fit.rows.num_audited, 'row')} audited, {plural(num_flagged, 'flag')} in "
            f"{plural(len(self.fit.classes), 'class', 'classes')}; print(result) shows the worst rows>"
        )

    def _repr_html_(self) -> str:
        return brief_html(self._brief)

    # ---- kept --------------------------------------------------------------------------------------

    @in_python()
    def write(
        self,
        path: str | None = None,
        *,
        schema: str | None = None,
        prefix: str = "",
        files: str | None = None,
        run_id: str | None = None,
        report: bool = True,
    ) -> dict[str, str]:
        """Commit this audit as a run of an output: its Delta tables, and its report beside them.

        Args:
            path: Folder of the output; or
            schema: catalog.schema of the output.
            prefix: Put before table names in a schema.
            files: Local or Volume folder for the report of an output in a schema.
            run_id: Id of the run; this result's own by default. Writing a finished run again changes nothing.
            report: Whether to write the report, `reports/<run_id>.html` below the folder; a report that fails
                is a sentence of `warnings`.

        Returns:
            Table name -> path or table.

        Raises:
            ConfigError: Not exactly one of path and schema, or an output that belongs to another id column.
        """
        values = {
            "path": path,
            "schema": schema,
            "prefix": prefix,
            "files": files,
            "run_id": run_id or self.run_id,
        }
        self.output, self._page = OutputConfig.parse(values, "output"), None
        self.tables, is_new = write_result(self, self.output, is_retry=run_id is not None)
        if report and is_new:
            self._page, problems = page_of(self, self.output)
            for problem in problems:
                self.progress.note(problem)
            self._problems = (*self._problems, *problems)
        return dict(self.tables)

    @in_python()
    def report(
        self, path: str | None = None, *, show: str | Sequence[str] | None = None, max_rows: int = 200
    ) -> ReportPage:
        """The report as one HTML page, which a notebook shows in place.

        Args:
            path: File to write; that of the output that `write` wrote to by default, else
                `audits/reports/<run_id>.html` below the working directory.
            show: Columns to show beside a row's id; those given to `audit` by default.
            max_rows: Most rows it lists, worst first, 0 to 1000.

        Returns:
            The page: `path` says where it is, `open()` shows it in a browser.

        Raises:
            ConfigError: An option does not fit.
            InputError: A column to show is not there.
            DeliveryError: The page cannot be made or written.
        """
        if self._page is None or path is not None or show is not None or max_rows != self._page.max_rows:
            self._page = report_of(self, path, show, max_rows)
        return self._page

    @in_python()
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
        self.mlflow_run_id = log_result(self, experiment, tracking_uri, files)
        return self.mlflow_run_id
