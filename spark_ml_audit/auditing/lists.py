"""What is worth a look first, how often flags were right so far, and what reviews said of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spark_ml_audit.arrow.encode import EXTRANEOUS, MISSING
from spark_ml_audit.engines.base import count_rows, is_empty
from spark_ml_audit.errors import reason_of
from spark_ml_audit.frames.cell_lists import class_usefulness, first_cells
from spark_ml_audit.kernels.learned_limits import MIN_DECISIONS
from spark_ml_audit.lake.lineage import first_of
from spark_ml_audit.lake.schemas import ESTIMATES, EXAMPLES, TAG_ISSUES
from spark_ml_audit.lake.source import read_place
from spark_ml_audit.outcomes.decisions import DecisionsUse, OrderLearned
from spark_ml_audit.report.lists import listed
from spark_ml_audit.report.queries import MAX_LISTED, newest_errors
from spark_ml_audit.reviewing.learned import learned_order
from spark_ml_audit.reviewing.measured import measured_precision

if TYPE_CHECKING:
    import pyarrow as pa

    from spark_ml_audit.engines.base import Engine, Frame
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.outcomes.audit import ListedCell
    from spark_ml_audit.outcomes.records import ClassRow, Counts
    from spark_ml_audit.outcomes.review import MeasuredPrecision, ReviewedErrors
    from spark_ml_audit.outcomes.runs import Origin

LISTED_CELLS = 10
"""Cells of each list that an outcome has."""


@dataclass(frozen=True)
class RunLists:
    """The two lists of a run.

    Attributes:
        first: The first cells of both (see `frames.cell_lists.first_cells`); None where none is flagged.
        precision: How often flags were right so far, by direction.
        problems: Sentences on what could not be read.
        order: What their order learned from decisions; None for nothing, unless a table of them was given.
    """

    first: pa.Table | None = None
    precision: tuple[MeasuredPrecision, ...] = ()
    problems: tuple[str, ...] = ()
    order: OrderLearned | None = None

    @property
    def decisions(self) -> DecisionsUse | None:
        """What the order learned, as an outcome tells it."""
        return None if self.order is None else DecisionsUse(self.order)

    @property
    def to_add(self) -> tuple[ListedCell, ...]:
        """The missing tags most worth looking at; some."""
        return listed(self.first, MISSING, LISTED_CELLS)

    @property
    def to_remove(self) -> tuple[ListedCell, ...]:
        """The same of the extraneous ones."""
        return listed(self.first, EXTRANEOUS, LISTED_CELLS)


def _are_enough(engine: Engine, decided: Frame) -> bool:
    """Whether an order can be learned from decided cells, of which it takes some."""
    return count_rows(engine, decided) >= MIN_DECISIONS


def read_lists(
    tables: OutputTables,
    run_id: str,
    id_name: str,
    classes: Sequence[ClassRow],
    counts: Counts,
    decisions: str | None,
    learned: OrderLearned | None = None,
) -> RunLists:
    """Read the lists of a committed run; what fails becomes a sentence.

    Args:
        tables: The output.
        run_id: Of the run.
        id_name: Name of the id column.
        classes: Its class table.
        counts: Of the run.
        decisions: Place of the table of decisions; None for the output's own.
        learned: What their order has learned, where that is known.
    """
    engine, tags = tables.engine, [row.tag for row in classes]
    try:
        place = None if decisions is None else read_place(engine, decisions, "source.decisions")
        measured = measured_precision(tables, id_name, tags, place)
        if learned is None and measured is not None and _are_enough(engine, measured.decided):
            id_type = tables.schema(EXAMPLES).field(id_name).type
            found = learned_order(tables, id_name, id_type, tags, decisions, place)
            # who gave no table of decisions need not be told that they are too few
            learned = found if found.order is not None else None
        precision = () if measured is None else measured.by_direction()
        if not counts.num_missing_tags + counts.num_extraneous_tags:
            return RunLists(precision=precision, order=learned)
        known = (None, None) if measured is None else (measured.judged, measured.right)
        order = class_usefulness(classes, *known)
        flagged = tables.read(TAG_ISSUES, run_id)
        fit = None if learned is None else learned.order
        first = first_cells(engine, flagged, id_name, classes, order, MAX_LISTED, learned=fit)
        return RunLists(first, precision, order=learned)
    except Exception as error:  # noqa: BLE001 - the run is committed; the reader learns what is missing
        said = f"The lists of tags to add and to remove could not be read: {reason_of(error)}."
        return RunLists(problems=(said,))


@dataclass(frozen=True)
class Reviews:
    """What reviews said.

    Attributes:
        estimates: Their table, of this output or of one that the audit continues; None without any.
        errors: How many tags are wrong in all, as the newest says; None where none can say.
        problems: Sentences on what could not be read.
    """

    estimates: Frame | None = None
    errors: ReviewedErrors | None = None
    problems: tuple[str, ...] = ()


def read_reviews(tables: OutputTables, continues: Sequence[Origin]) -> Reviews:
    """Read what reviews estimated in an output, or where there was none, in one that an audit continues.

    Args:
        tables: The output.
        continues: The audits that are continued, nearest first.
    """

    def look(other: OutputTables, origin: Origin) -> Frame | None:
        found = other.read(ESTIMATES, origin.run_id) if other.exists(ESTIMATES) else None
        return None if found is None or is_empty(other.engine, found) else found

    try:
        own = tables.existing(ESTIMATES)
        found = own if own is not None else first_of(tables, continues, look)
        return Reviews(found, newest_errors(tables.engine, found))
    except Exception as error:  # noqa: BLE001 - the run is committed; the reader learns what is missing
        return Reviews(problems=(f"The estimates of reviews could not be read: {reason_of(error)}.",))
