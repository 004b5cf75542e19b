"""Runs: their ids, what names one, and what a finished one recorded."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import Any

from spark_ml_audit.outcomes.base import Record
from spark_ml_audit.outcomes.records import ClassRow, GateResult

_RUN_TIME = "%Y%m%dt%H%M%Sz"


def new_run_id(now: datetime | None = None) -> str:
    """A run id: UTC start to the second, then 8 hex digits: its microsecond, and a random number.

    The newest run is the one of the greatest id, and several small ones may start within a second.

    >>> new_run_id(datetime(2026, 1, 31, 18, 0, 0, 10, tzinfo=timezone.utc))[:22]
    '20260131t180000z-0000a'
    """
    now = now or datetime.now(timezone.utc)
    return f"{now.strftime(_RUN_TIME)}-{now.microsecond:05x}{secrets.randbelow(1 << 12):03x}"


def run_started(run_id: str) -> datetime:
    """The UTC time in a run id.

    >>> run_started("20260131t180000z-0a1b2c3d").isoformat()
    '2026-01-31T18:00:00+00:00'
    """
    return datetime.strptime(run_id.split("-", maxsplit=1)[0], _RUN_TIME).replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class RunRef(Record):
    """One finished run, as comparisons and trends name it.

    Attributes:
        run_id: Its id.
        started_at: UTC, ISO 8601.
        source: Path or table that was read.
        source_version: Its pinned version.
        package_version: Version of this package.
        num_rows: Rows of the source.
        num_audited: Rows audited.
        num_quarantined: Rows rejected.
        num_label_issues: Audited rows with an issue.
        num_missing_tags: Cells flagged missing.
        num_extraneous_tags: Cells flagged extraneous.
        health: Share of audited rows without an issue; None when nothing was audited.
    """

    run_id: str
    started_at: str
    source: str
    source_version: str | None
    package_version: str | None
    num_rows: int
    num_audited: int
    num_quarantined: int
    num_label_issues: int
    num_missing_tags: int
    num_extraneous_tags: int
    health: float | None

    @property
    def issue_fraction(self) -> float | None:
        """Share of audited rows with an issue; None when nothing was audited."""
        return self.num_label_issues / self.num_audited if self.num_audited else None


@dataclass(frozen=True)
class Origin(Record):
    """The audit from which a corrected copy was made: what an audit of the copy continues.

    Attributes:
        source: Path or table that was audited, as the table `runs` names it.
        source_version: Its version that was corrected.
        run_id: The audit.
        correction_id: The correction that wrote the copy.
        output: Where the audit's tables are: `path`, or `schema` and `prefix`.
    """

    source: str
    source_version: str | None
    run_id: str
    correction_id: str
    output: Mapping[str, str]


BOTH = " + "
"""Between the version of a source and that of the table that has its probabilities."""


def own_version(version: str | None) -> str | None:
    """The version of the source itself, without that of the table that has its probabilities.

    >>> own_version("7 + files-0a1b"), own_version("7"), own_version(None)
    ('7', '7', None)
    """
    return None if version is None else version.partition(BOTH)[0]


@dataclass(frozen=True)
class FinishedRun:
    """A finished audit, as its output recorded it.

    Attributes:
        ref: What names the run and what it counted.
        config: Its effective config.
        gates: Its gates.
        mlflow_run_id: Id of its MLflow run; None when tracking was down.
        classes: Its class table, in class order; empty where runs are only listed.
        continues: The audits that it continues, nearest first; empty unless its source is a corrected copy.
        output: Where its tables are, if in another output than the one that was asked.
        decisions: What it learned from decisions, as `runs` keeps it (JSON); None for nothing.
    """

    ref: RunRef
    config: Mapping[str, Any]
    gates: tuple[GateResult, ...] = ()
    mlflow_run_id: str | None = None
    classes: tuple[ClassRow, ...] = ()
    continues: tuple[Origin, ...] = ()
    output: Mapping[str, str] | None = None
    decisions: str | None = None

    @property
    def run_id(self) -> str:
        """Its id."""
        return self.ref.run_id

    @property
    def id_name(self) -> str:
        """Column that names a row."""
        name: str = self.config["source"]["id"]
        return name

    @property
    def sources(self) -> frozenset[str]:
        """Its source and those that it continues: runs that share one of them can be compared."""
        return frozenset({self.ref.source, *(origin.source for origin in self.continues)})

    @property
    def is_numbered(self) -> bool:
        """Whether its rows are named by their place in its files."""
        return bool((self.config.get("source") or {}).get("row_numbers"))

    def names_rows_of(self, other: FinishedRun) -> bool:
        """Whether one id names one row in both runs: numbers hold for the files that they count alone."""
        if not (self.is_numbered or other.is_numbered):
            return True
        origins = {origin.run_id for run in (self, other) for origin in run.continues}
        if origins & {self.run_id, other.run_id}:
            return True  # a corrected copy keeps the numbers of its original
        mine, theirs = own_version(self.ref.source_version), own_version(other.ref.source_version)
        return mine is not None and mine == theirs

    @property
    def reads_path(self) -> bool:
        """Whether its source is a path, not a table."""
        return (self.config.get("source") or {}).get("path") is not None

    @property
    def tags(self) -> tuple[str, ...]:
        """Class names in class order."""
        return tuple(row.tag for row in self.classes)

    @cached_property
    def classes_by_tag(self) -> Mapping[str, ClassRow]:
        """Tag -> its row of the class table."""
        return {row.tag: row for row in self.classes}
