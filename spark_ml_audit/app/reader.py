"""What the page reads and writes, wherever the tables are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from spark_ml_audit.app.decided import DecisionRecord
from spark_ml_audit.reviewing.decision_table import Decision

if TYPE_CHECKING:
    from spark_ml_audit.outcomes.review import CertifiedFlags
    from spark_ml_audit.outcomes.runs import FinishedRun


@dataclass(frozen=True)
class RowContent:
    """A row of the source as audited.

    Attributes:
        given: Classes of its given tags.
        pred_probs: One probability per class; None where they cannot be read any more.
        values: Shown column -> its text, None for null.
        is_audited: Whether it has tags: others are there because a sample drew them.
    """

    given: tuple[int, ...]
    pred_probs: Any
    values: Mapping[str, str | None]
    is_audited: bool = True


class AuditReader(Protocol):
    """The tables of one finished audit, wherever they are. Methods may be called by several threads."""

    @property
    def run(self) -> FinishedRun:
        """The audit, with its class table."""

    @property
    def id_type(self) -> Any:
        """Arrow type of its ids."""

    @property
    def shown(self) -> tuple[str, ...]:
        """Columns of the source that are shown."""

    def issues(self) -> Any:
        """The rows with an issue as an Arrow table of id and `index.CODED`, in any order."""

    def marks(self) -> Any:
        """Rows that are ambiguous or outliers: id and what `AuditIndex.with_marks` wants; None without."""

    def groups(self) -> Any:
        """Near-duplicates: id, group_id, differing_tags, similarity, given_tags; None without."""

    def rows(self, ids: Sequence[Any]) -> dict[Any, RowContent]:
        """Some rows by id, those that are there."""

    def samples(self) -> Any:
        """Drawn cells of this run: id, sample_id, how, position, tag, pred_prob, given; None without."""

    def decisions_version(self) -> str | None:
        """What changes when decisions are added."""

    def decisions(self) -> list[DecisionRecord]:
        """All records of decisions."""

    def append(self, decisions: Sequence[Decision]) -> bool:
        """Add decisions in one transaction, those that are not there already; whether any was added."""

    def undo(self, name: str, who: str) -> bool:
        """Take a decision or a bulk acceptance back by a further record; whether one was added."""

    def draw(self, drawing: Mapping[str, Any]) -> str:
        """Draw cells to judge by keys of `SampleSection`; the sample_id."""

    def certified(self, bound: float) -> Sequence[CertifiedFlags]:
        """How far classes and directions with blind random decisions may be accepted in bulk."""

    def accept(
        self, bulk_id: str, tag: str, direction: str, bound: float, who: str
    ) -> Sequence[CertifiedFlags]:
        """Accept in bulk what is proved of a class and direction; what was accepted."""

    def report(self) -> str | None:
        """The report of the run as HTML; None where it is no file of this machine."""

    def corrected(self) -> Any:
        """The corrected copy as an Arrow table; None where there is none."""

    def corrections(self) -> list[dict[str, Any]]:
        """Corrections of this output, the newest first."""

    def newest(self) -> AuditReader:
        """A reader of the newest run of the output, as it is now."""

    def newest_run_id(self) -> str:
        """Id of the newest finished run of the output, cheap to ask for again."""
