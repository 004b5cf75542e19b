"""What the code needs of a Delta table, whichever writer serves it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from spark_ml_audit.engines.base import Frame
    from spark_ml_audit.lake.places import Place

TABLE_PROPERTIES = {
    # every run adds a transaction id per table; without this they pile up in the log for ever
    "delta.setTransactionRetentionDuration": "interval 30 days",
}
"""Of every table that is made here."""

KEPT_HOURS = 168
"""Hours for which files that compaction replaced stay: a week, which Delta takes for the least."""

HOUSEKEEPING = (
    "SET TBLPROPERTIES",
    "ADD COLUMN",
    "ADD COLUMNS",
    "ADD FEATURE",
    "OPTIMIZE",
    "VACUUM START",
    "VACUUM END",
    "MERGE",
)
"""Operations that write no rows of their own, and our own merges, which record nothing."""


@dataclass(frozen=True)
class Commit:
    """One transaction of ours in the history of a table.

    Attributes:
        version: The version it made.
        metadata: What was recorded with it.
    """

    version: int
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class TableDetail:
    """What a table says of itself: the format of its files, its properties."""

    format: str
    properties: Mapping[str, str]


class DeltaTable(Protocol):
    """One Delta table. A transaction that was committed before is not committed again."""

    @property
    def place(self) -> Place:
        """Where it is."""

    # ---- reading -----------------------------------------------------------------------------------

    def existing(self) -> Frame | None:
        """Its rows, or None where there is no table; raises what else goes wrong."""

    def exists(self) -> bool:
        """Whether there is a table; raises what else goes wrong."""

    def opened(self, version: str | int | None = None) -> tuple[Frame, pa.Schema]:
        """Its rows and its columns (see `schema`), at one version if given."""

    def read(self, version: str | int | None = None, run_id: str | None = None) -> Frame:
        """Its rows, at one version if given; those of one run if given, by the column run_id."""

    def schema(self, version: str | int | None = None) -> pa.Schema:
        """Its columns with their Arrow types and metadata."""

    def detail(self) -> TableDetail:
        """What it says of itself; raises where there is no such table."""

    # ---- its history -------------------------------------------------------------------------------

    def newest_version(self, at: str | None = None) -> str | None:
        """The newest version, or the newest one at an ISO time; None where it had none yet."""

    def commits(self, mentioning: str) -> tuple[Commit, ...]:
        """Transactions whose metadata hold a text, newest first."""

    def has_deleted(self, mentioning: str) -> bool:
        """Whether rows were deleted by a condition that holds a text."""

    def has_foreign_commits(self, marker: str) -> bool:
        """Whether rows of any version were written without metadata that hold a text."""

    # ---- writing -----------------------------------------------------------------------------------

    def append(
        self,
        frame: Frame,
        transaction: str,
        metadata: Mapping[str, Any],
        *,
        indexed: int | None = None,
        in_order: bool = False,
    ) -> None:
        """Append rows in one transaction; columns that the table lacks are added.

        Args:
            frame: The rows.
            transaction: Its name.
            metadata: Recorded with it.
            indexed: First columns whose least and largest values the files of a table that this creates tell;
                None: as usual. Collecting them takes a tenth of the time of writing.
            in_order: Whether files shall follow each other in the order of the rows.
        """

    def overwrite(
        self,
        frame: Frame,
        transaction: str,
        metadata: Mapping[str, Any],
        *,
        column_metadata: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """Replace all rows, and the schema with them, in one transaction.

        Args:
            frame: The rows.
            transaction: Its name.
            metadata: Recorded with it.
            column_metadata: Column -> what is recorded with it in the schema.
        """

    def set_properties(self, properties: Mapping[str, str]) -> None:
        """Set table properties that are not set yet."""

    def delete_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the rows of runs, by the column run_id."""

    def compact(self, beyond: int) -> int:
        """Put small files together where there are more than so many; rows, and older versions, stay.

        A table that somebody else compacts meanwhile is left to them. Files that no version of the last
        week needs are removed.

        Returns:
            How many files there are fewer.
        """

    def update(self, rows: Frame, id_name: str, columns: Sequence[str]) -> None:
        """Replace the values of rows that still have the values they are known to have, in one transaction.

        Args:
            rows: Columns row_id, and for column k old_<k> and new_<k>.
            id_name: Column that names a row.
            columns: Columns to change.
        """


def recorded_in(text: str) -> dict[str, Any] | None:
    """What a commit of ours recorded; None for the words of others.

    >>> recorded_in('{"run_id": "r1"}'), recorded_in("by hand")
    ({'run_id': 'r1'}, None)
    """
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
