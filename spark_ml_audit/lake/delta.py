"""What the code needs of a Delta table, whichever writer serves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from spark_ml_audit.lake.places import Place


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

    def existing(self) -> DataFrame | None:
        """Its rows, or None where there is no table; raises what else goes wrong."""

    def read(self, version: str | int | None = None) -> DataFrame:
        """Its rows, at one version if given."""

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
        frame: DataFrame,
        transaction: str,
        metadata: Mapping[str, Any],
        *,
        indexed: int | None = None,
    ) -> None:
        """Append rows in one transaction; columns that the table lacks are added.

        Args:
            frame: The rows.
            transaction: Its name.
            metadata: Recorded with it.
            indexed: First columns whose least and largest values the files of a table that this creates tell;
                None: as usual. Collecting them takes a tenth of the time of writing.
        """

    def overwrite(self, frame: DataFrame, transaction: str, metadata: Mapping[str, Any]) -> None:
        """Replace all rows, and the schema with them, in one transaction."""

    def set_properties(self, properties: Mapping[str, str]) -> None:
        """Set table properties that are not set yet."""

    def delete_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the rows of runs, by the column run_id."""

    def update(self, rows: DataFrame, id_name: str, columns: Sequence[str]) -> None:
        """Replace the values of rows that still have the values they are known to have, in one transaction.

        Args:
            rows: Columns row_id, and for column k old_<k> and new_<k>.
            id_name: Column that names a row.
            columns: Columns to change.
        """
