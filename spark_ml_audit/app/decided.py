"""What has been decided, as the page knows it: every vote by cell, and marks over the cells of the index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from spark_ml_audit.app.index import AuditIndex
from spark_ml_audit.app.queues import ROW as ROW_ITEM
from spark_ml_audit.app.queues import QueueItems
from spark_ml_audit.app.votes import ABSENT, PRESENT, StandingVote, Vote, is_excluded, standing_vote
from spark_ml_audit.reviewing.votes import BULK, ROW, UNDO

OPEN, DONE, DISPUTED = 0, 1, 2

BoolArray = npt.NDArray[np.bool_]

Cell = tuple[int, int]
"""Row of the index and class."""


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """A row of the table of decisions.

    Attributes:
        id: The row that is judged; None of a record that takes another back.
        tag: The class; None for a verdict on a whole row.
        verdict: present, absent, unsure; exclude for a whole row.
        who: The person.
        when: The moment, UTC.
        kind: single, bulk, adjudicated, undo or row.
        decision_id: Made by who decides: sent twice, it counts once.
        undoes: decision_id or bulk_id that it takes back.
        bulk_id: Of a bulk acceptance.
        sample_id: Sample that it answers.
        run_id: Audit that it answers.
        note: Words beside it.
    """

    id: Any
    tag: str | None
    verdict: str | None
    who: str | None
    when: datetime | None
    kind: str
    decision_id: str
    undoes: str | None = None
    bulk_id: str | None = None
    sample_id: str | None = None
    run_id: str | None = None
    note: str | None = None


class DecisionState:
    """Every vote so far, and which cells of the index are done.

    Args:
        index: The rows and cells.
        codes: Tag -> class.

    Attributes:
        known: decision_id of every record that was taken in.
        votes: Every vote that holds, by cell.
        judged_rows: Row -> classes with a vote, now or once; `ROW` for the row as a whole.
        cell_state: Per flagged cell of the index: `OPEN`, `DONE` or `DISPUTED`; int8.
        right: Per flagged cell, 1 where people say that its flag is right, 0 where it is wrong, -1 unknown.
        judged_by: Person -> flagged cells that they have judged, as a mask.
        num_by: Person -> cells that they have judged.
        bulks: Bulk acceptance that holds -> who accepted, and the cells.
        excluded: Rows that shall be left out.
    """

    def __init__(self, index: AuditIndex, codes: Mapping[str, int]) -> None:
        self._index = index
        self._codes = codes
        self.known: set[str] = set()
        self.votes: dict[Cell, list[Vote]] = {}
        self.judged_rows: dict[int, set[int]] = {}
        self.right: npt.NDArray[np.int8] = np.full(len(index.cells.codes), -1, dtype=np.int8)
        self.cell_state: npt.NDArray[np.int8] = np.zeros(len(index.cells.codes), dtype=np.int8)
        self.judged_by: dict[str, BoolArray] = {}
        self.num_by: dict[str, int] = {}
        self.excluded: set[int] = set()
        self.bulks: dict[str, tuple[str | None, list[Cell]]] = {}
        self._undone: set[str] = set()
        self._places: dict[str, list[Cell]] = {}
        self._disputed: set[Cell] = set()

    # ---- taking in ---------------------------------------------------------------------------------

    def take(self, records: Iterable[DecisionRecord], rows: Iterable[int]) -> list[Cell]:
        """Take in records that are not known yet; the cells whose standing may have changed.

        Args:
            records: Of the table, or about to be written.
            rows: The row of the index of each; -1 where it has none.
        """
        touched: dict[Cell, None] = {}
        for record, row in zip(records, rows, strict=True):
            if record.decision_id and record.decision_id in self.known:
                continue
            if record.decision_id:
                self.known.add(record.decision_id)
            if record.kind == UNDO:
                touched.update(dict.fromkeys(self._take_back(record.undoes or "")))
            elif record.decision_id in self._undone or (record.bulk_id or "") in self._undone:
                continue
            elif row >= 0:
                cell = self._take_one(record, row)
                if cell is not None:
                    touched[cell] = None
        for cell in touched:
            self._mark(cell)
        return list(touched)

    def _take_one(self, record: DecisionRecord, row: int) -> Cell | None:
        if record.kind == ROW:
            cell = row, ROW_ITEM
        else:
            code = self._codes.get(record.tag or "")
            if code is None or record.verdict is None:
                return None
            cell = row, code
        vote = Vote(
            record.who, record.verdict or "", record.when, record.kind, record.decision_id, record.note,
            record.sample_id, record.bulk_id,
        )  # fmt: skip
        self.votes.setdefault(cell, []).append(vote)
        self.judged_rows.setdefault(row, set()).add(cell[1])
        self._places.setdefault(record.decision_id, []).append(cell)
        if record.bulk_id:
            self.bulks.setdefault(record.bulk_id, (record.who, []))[1].append(cell)
        if record.who and record.kind not in (BULK, ROW):
            self.num_by[record.who] = self.num_by.get(record.who, 0) + 1
        return cell

    def _take_back(self, name: str) -> list[Cell]:
        self._undone.add(name)
        is_bulk = name in self.bulks
        cells = self.bulks.pop(name)[1] if is_bulk else self._places.pop(name, [])
        for cell in cells:
            votes = self.votes.get(cell, [])
            gone = [vote for vote in votes if (vote.bulk_id == name if is_bulk else vote.decision_id == name)]
            kept = [vote for vote in votes if vote not in gone]
            for vote in gone:
                if vote.who and vote.kind not in (BULK, ROW):
                    self.num_by[vote.who] -= 1
            self.votes[cell] = kept
        return cells

    def _mark(self, cell: Cell) -> None:
        if cell[1] == ROW_ITEM:
            leave_out = is_excluded(self.votes.get(cell, ()))
            (self.excluded.add if leave_out else self.excluded.discard)(cell[0])
            return
        standing = self.standing(cell)
        disputed = standing is not None and standing.is_disputed
        (self._disputed.add if disputed else self._disputed.discard)(cell)
        place = self.place_of(cell)
        if place < 0:
            return
        self.cell_state[place] = DISPUTED if disputed else OPEN if standing is None else DONE
        votes = self.votes.get(cell, ())
        verdict = None if standing is None or all(vote.kind == BULK for vote in votes) else standing.verdict
        is_sure = verdict in (PRESENT, ABSENT)
        self.right[place] = (verdict == PRESENT) == bool(self._index.missing[place]) if is_sure else -1
        own = {vote.who for vote in votes if vote.who and vote.kind != BULK}
        for who in own - self.judged_by.keys():
            self.judged_by[who] = np.zeros(len(self.cell_state), dtype=np.bool_)
        for who, mask in self.judged_by.items():
            mask[place] = who in own

    # ---- asking ------------------------------------------------------------------------------------

    def place_of(self, cell: Cell) -> int:
        """Where a cell is among the flagged ones of the index; -1 where it is not flagged."""
        row, code = cell
        offsets = self._index.cells.offsets
        if code < 0 or row + 1 >= len(offsets):
            return -1
        found = np.flatnonzero(self._index.cells.codes[offsets[row] : offsets[row + 1]] == code)
        return int(offsets[row] + found[0]) if len(found) else -1

    def standing(self, cell: Cell) -> StandingVote | None:
        """What stands for a cell; None where nobody has judged it."""
        votes = self.votes.get(cell)
        return standing_vote(votes) if votes else None

    @property
    def disputed(self) -> list[Cell]:
        """Cells of which people differ, in the order of the index."""
        return sorted(self._disputed)

    def knows(self, name: str) -> bool:
        """Whether there is a decision or bulk acceptance of that id, taken back or not."""
        return name in self.known or name in self.bulks or name in self._undone

    def votes_of(self, row: int) -> dict[int, list[Vote]]:
        """The votes on a row, by class."""
        codes = sorted(self.judged_rows.get(row, ()))
        return {code: votes for code in codes if (votes := self.votes.get((row, code)))}

    def rows_decided(self) -> set[int]:
        """Rows with any decision."""
        return {row for row in self.judged_rows if self.votes_of(row)}

    def moved_to(self, index: AuditIndex) -> None:
        """Go on with an index that has further rows at its end."""
        self._index = index


def done_items(
    items: QueueItems, index: AuditIndex, state: DecisionState, mine: BoolArray, kept: BoolArray
) -> BoolArray:
    """Which items are done.

    A row is done once each of its flagged cells that the queue asks about is; where it asks about none, once
    anything was decided of the row.

    Args:
        items: Of the queue.
        index: The rows and cells.
        state: What has been decided.
        mine: Over the flagged cells: those that count as done for the person who asks.
        kept: Over the flagged cells: those that the queue asks about.
    """
    whole = np.zeros(len(index), dtype=np.bool_)
    whole[list(state.excluded)] = True
    if not items.are_rows:
        found = np.zeros(len(items), dtype=np.bool_)
        flagged = items.places >= 0
        found[flagged] = mine[items.places[flagged]]
        for place in np.flatnonzero(~flagged):
            found[place] = state.standing((int(items.rows[place]), int(items.classes[place]))) is not None
        return found | whole[items.rows]
    asked = np.bincount(index.cells.rows[kept], minlength=len(index))
    done = np.bincount(index.cells.rows[kept & mine], minlength=len(index))
    decided = np.zeros(len(index), dtype=np.bool_)
    decided[list(state.rows_decided())] = True
    rows = items.rows
    return np.where(asked[rows] > 0, done[rows] == asked[rows], decided[rows]) | whole[rows]
