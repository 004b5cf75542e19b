"""One review in this process: the index of a run, what has been decided, and the queues over both."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa

from spark_ml_audit.app.contents import RowContents
from spark_ml_audit.app.decided import (
    OPEN,
    BoolArray,
    Cell,
    DecisionRecord,
    DecisionState,
    done_items,
)
from spark_ml_audit.app.index import IntArray
from spark_ml_audit.app.learned import OrderLearner
from spark_ml_audit.app.load_index import load_index
from spark_ml_audit.app.queues import ROW, Queue, QueueFilter, QueueItems, cell_mask, resolve
from spark_ml_audit.app.reader import AuditReader
from spark_ml_audit.app.records import id_from_text
from spark_ml_audit.app.sent import OtherRunError
from spark_ml_audit.app.shown import tags_as_shown
from spark_ml_audit.arrow.hashes import hash_values
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.errors import InputError
from spark_ml_audit.kernels.assignment import assign_rows
from spark_ml_audit.reviewing.certified import BLIND
from spark_ml_audit.reviewing.sample_files import REVIEWER_SEED
from spark_ml_audit.reviewing.unlabelled import NEXT
from spark_ml_audit.reviewing.votes import BULK
from spark_ml_audit.text import show

if TYPE_CHECKING:
    from spark_ml_audit.config.serve import ServeSection

_LOOK_AGAIN = 3.0
"""Seconds after which decisions of others are looked for."""

_KEPT_QUEUES, _KEPT_ITEMS = 6, 2_000_000
"""Queues that are kept in order, and their items in all: a further one is made in a third of a second."""

_Found = TypeVar("_Found")


class ReviewSession:
    """The state behind the page; its methods may be called by several threads.

    Args:
        reader: Reads and writes the tables.
        options: The section `serve`.

    Attributes:
        reader: Reads and writes the tables.
        options: The section `serve`.
        classes: Tags in class order.
        codes: Tag -> class.
        contents: Texts and probabilities of rows.
        newer_run: A run of the output that is newer than the one reviewed; None where none was seen.
    """

    def __init__(self, reader: AuditReader, options: ServeSection) -> None:
        self.options = options
        self.lock = threading.RLock()
        self._refreshing = threading.Lock()
        self.open(reader)

    def open(self, reader: AuditReader) -> None:
        """Review the run of a reader from now on.

        Args:
            reader: Reads and writes its tables.
        """
        index = load_index(reader)
        with self.lock:
            self.reader = reader
            self.classes = reader.run.tags
            self.codes = {tag: code for code, tag in enumerate(self.classes)}
            self.contents = RowContents(reader)
            self.index = index
            self.state = DecisionState(index, self.codes)
            self._queues: OrderedDict[QueueFilter, QueueItems] = OrderedDict()
            self._samples: dict[str, tuple[str, list[Cell]]] = {}
            self._drawn: Any = None
            self._learner = OrderLearner(reader.run.decisions)
            self._version: str | None = None
            self._looked = 0.0
            self.newer_run: str | None = None
            self._dealt = self._deal()
            self.load_samples()
        self.refresh()

    def answering(self, run_id: str = "") -> AuditReader:
        """The reader of the run that is served, which must be the one that a page shows.

        Args:
            run_id: What the page says; "" where it says nothing.

        Raises:
            OtherRunError: It shows another run.
        """
        with self.lock:
            if run_id and run_id != self.reader.run.run_id:
                raise OtherRunError(run_id, self.reader.run.run_id)
            return self.reader

    def steady(self, find: Callable[[], _Found], run_id: str = "") -> _Found:
        """What is found of one run: looked for again where another one was opened meanwhile.

        Args:
            find: Looks at this session.
            run_id: As for `answering`.

        Raises:
            OtherRunError: The page shows another run.
        """
        while True:
            reader = self.answering(run_id)
            try:
                found = find()
            except Exception:
                if self.answering() is reader:
                    raise
                continue
            if self.answering() is reader:
                return found

    # ---- what others decided -----------------------------------------------------------------------

    def look_again(self) -> None:
        """Look for decisions of others, beside other work, unless that was done a moment ago."""
        if time.monotonic() - self._looked > _LOOK_AGAIN:
            self._looked = time.monotonic()
            threading.Thread(target=self._look, name="refresh", daemon=True).start()

    def _look(self) -> None:
        # an output that is being written, or is away for a moment, is looked at again
        with suppress(Exception):
            self.refresh()
        with suppress(Exception):
            reader = self.reader
            newest = reader.newest_run_id()
            with self.lock:
                if self.reader is reader:  # else that one was opened meanwhile
                    self.newer_run = newest if newest > reader.run.run_id else None

    def refresh(self) -> None:
        """Take in all decisions that are not known yet."""
        with self._refreshing:
            reader = self.reader
            version = reader.decisions_version()
            if version is None or version == self._version:
                return
            records = reader.decisions()
            with self.lock:
                if self.reader is not reader:
                    return  # opened meanwhile, it is read in full
                new = [item for item in records if item.decision_id not in self.state.known]
                self.take(new)
                self._version = version
            self._looked = time.monotonic()

    def _wrote(self, reader: AuditReader) -> None:
        """After a commit of this process: it knows the newest version, if nobody else wrote in between."""
        with self._refreshing:
            version = reader.decisions_version()
            with self.lock:
                known = int(self._version or -1)
                if self.reader is reader and version is not None and int(version) == known + 1:
                    self._version = version

    def took(self, reader: AuditReader, records: Sequence[DecisionRecord], *, is_new: bool) -> None:
        """Take in what this process has written.

        Args:
            reader: By which it was written: another run may have been opened since.
            records: What was written.
            is_new: Whether any of it was not in the table yet.
        """
        with self.lock:
            if self.reader is not reader:
                return
            self.take(records)
        if is_new:
            self._wrote(reader)

    def take(self, records: Sequence[DecisionRecord]) -> list[Cell]:
        """Take in records of decisions; the cells that they touched."""
        with self.lock:
            ids = pa.array([item.id for item in records], self.reader.id_type)
            self._hold(ids.drop_null())
            return self.state.take(records, self.index.rows_of(ids).tolist() if records else [])

    def _hold(self, ids: Any) -> None:
        """Have rows in the index, at its end where they are new."""
        longer = self.index.with_rows(ids) if len(ids) else self.index
        if longer is not self.index:
            self.index = longer
            self.state.moved_to(longer)
            self._dealt = self._deal()

    def row_of(self, text: str, *, hold: bool = False) -> int:
        """The row that a page names by the text of its id.

        Args:
            text: The id.
            hold: Whether to look it up in the source where the index lacks it.

        Raises:
            InputError: There is no such row.
        """
        row_id = id_from_text(text, self.reader.id_type)
        row = -1 if row_id is None else self.index.row_of(row_id)
        content = self.contents.get(row_id) if row < 0 and hold and row_id is not None else None
        if content is not None and content.is_audited:
            with self.lock:
                self._hold(pa.array([row_id], self.reader.id_type))
                row = self.index.row_of(row_id)
        if row < 0:
            raise InputError(f"there is no row {show(text)} in this run.", key="id")
        return row

    # ---- samples -----------------------------------------------------------------------------------

    def load_samples(self) -> None:
        """Read which cells were drawn for review."""
        drawn = self.reader.samples()
        if drawn is None or not drawn.num_rows:
            return
        with self.lock:
            ids = drawn.column(ID).combine_chunks()
            self._hold(ids)
            rows = self.index.rows_of(ids).tolist()
            names, hows, tags = (drawn.column(name).to_pylist() for name in ("sample_id", "how", "tag"))
            found: dict[str, tuple[str, list[Cell]]] = {}
            for name, how, row, tag in zip(names, hows, rows, tags, strict=True):
                if tag in self.codes:
                    found.setdefault(name, (how, []))[1].append((row, self.codes[tag]))
            self._samples, self._drawn = found, drawn
            self._queues.clear()

    @property
    def samples(self) -> dict[str, tuple[str, int]]:
        """Drawn sample -> how it was drawn, and its cells."""
        return {name: (how, len(cells)) for name, (how, cells) in self._samples.items()}

    def cells_of_samples(self, how: str) -> dict[str, list[Cell]]:
        """Drawn sample -> its cells, of those drawn in one way."""
        return {name: cells for name, (drawn, cells) in self._samples.items() if drawn == how}

    def drawn_in(self, sample: str) -> frozenset[Cell]:
        """The cells of a sample: what is said of others answers no sample."""
        if sample and sample not in self._samples:
            self.load_samples()  # drawn elsewhere meanwhile
        return frozenset(self._samples.get(sample, ("", []))[1])

    def asked(self, parameters: Mapping[str, str]) -> QueueFilter:
        """The filter that the parameters of an address say; samples that are to be judged blind are.

        Raises:
            InputError: A value is none of those there are.
        """
        found = QueueFilter.of(parameters, self.classes)
        if found.kind == "sample" or found.sample:
            drawn, _ = self._samples.get(found.sample, ("", []))
            return replace(found, kind="sample", view="cell", blind=drawn in (*BLIND, NEXT))
        return found

    def shown_queue(self, parameters: Mapping[str, str]) -> QueueFilter:
        """The filter of parameters whose tags are written as pages show them; the surest flags first.

        Raises:
            InputError: A value is none of those there are, or several tags are shown alike.
        """
        asked = self.asked(tags_as_shown(parameters, self.classes))
        if asked.tag and asked.direction and not asked.instead:
            return replace(asked, view="cell", order="surest")
        return asked

    # ---- queues ------------------------------------------------------------------------------------

    def queue(self, asked: QueueFilter, who: str) -> Queue:
        """A queue as it stands for a person.

        Raises:
            InputError: There is no such sample or group.
        """
        with self.lock:
            items = self._items(asked)
            mine = self._mine(who)
            kept = cell_mask(self.index, asked, self.classes) if asked.kind == "flagged" else mine & False
            if asked.state != "disputed" and who in self.options.reviewers:
                items = items.only(self._dealt_to(who)[items.rows])
            if asked.kind == "sample" and asked.blind and not asked.row:
                done = self._answered(items, asked.sample, who)
            else:
                done = done_items(items, self.index, self.state, mine, kept)
            if asked.state == "done":
                return Queue(items.only(done), done[done])
            return Queue(items, np.zeros(len(items), np.bool_) if asked.state == "disputed" else done)

    def _items(self, asked: QueueFilter) -> QueueItems:
        if asked.state == "disputed":
            return self._disputed(asked)
        if asked.row:
            return QueueItems.of_rows(np.array([self.row_of(asked.row)]))
        if asked.kind == "sample":
            if asked.sample not in self._samples:
                raise InputError(f"there is no sample {show(asked.sample)} of this run.", key="sample")
            return self._of_cells(self._samples[asked.sample][1])
        if asked.order == "surest" and self._learner.look(self.index, self.state, self._drawn, self.codes):
            for other in [queue for queue in self._queues if queue.order == "surest"]:
                del self._queues[other]
        # what is done, and what is shown of it, changes neither the items nor their order
        asked = replace(asked, state="all", blind=False)
        known = self._queues.get(asked)
        if known is None:
            known = self._queues[asked] = resolve(self.index, asked, self.classes, self._learner.order)
            while len(self._queues) > _KEPT_QUEUES or (
                len(self._queues) > 1 and sum(map(len, self._queues.values())) > _KEPT_ITEMS
            ):
                self._queues.popitem(last=False)
        self._queues.move_to_end(asked)
        return known

    def _disputed(self, asked: QueueFilter) -> QueueItems:
        cells = [cell for cell in self.state.disputed if not asked.tag or self.classes[cell[1]] == asked.tag]
        return self._of_cells(cells)

    def _of_cells(self, cells: Sequence[Cell]) -> QueueItems:
        places = [self.state.place_of(cell) for cell in cells]
        rows, codes = ([cell[side] for cell in cells] for side in (0, 1))
        return QueueItems.of_cells(*(np.array(values, dtype=np.int64) for values in (rows, codes, places)))

    # ---- who judges what ---------------------------------------------------------------------------

    def _deal(self) -> IntArray:
        """Who judges each row: places among the reviewers, of some rows two (see `assign_rows`)."""
        if not self.options.reviewers:  # everybody sees every row
            return np.zeros((0, 2), dtype=np.int64)
        hashes = hash_values(self.index.ids, REVIEWER_SEED)
        return assign_rows(hashes, len(self.options.reviewers), self.options.overlap)

    def _dealt_to(self, who: str) -> BoolArray:
        found: BoolArray = (self._dealt == self.options.reviewers.index(who)).any(axis=1)
        return found

    def _mine(self, who: str) -> BoolArray:
        """Flagged cells that are done for a person: judged by anybody; what two judge, by that person."""
        anybody: BoolArray = self.state.cell_state != OPEN
        if who not in self.options.reviewers:
            return anybody
        shared = (self._dealt[:, 1] >= 0)[self.index.cells.rows]
        own = self.state.judged_by.get(who, np.zeros(len(shared), dtype=np.bool_))
        return np.where(shared, own, anybody)

    def _answered(self, items: QueueItems, sample: str, who: str) -> BoolArray:
        """Cells of a blind sample that were judged for it: what was said before proves nothing."""
        state, done = self.state, np.zeros(len(items), dtype=np.bool_)
        for place, (row, code) in enumerate(zip(items.rows.tolist(), items.classes.tolist(), strict=True)):
            votes = state.votes.get((row, code), [])
            if row in state.excluded:
                votes = votes + state.votes[row, ROW]
            is_shared = who in self.options.reviewers and self._dealt[row, 1] >= 0
            done[place] = any(
                vote.kind != BULK and vote.sample_id == sample and (not is_shared or vote.who == who)
                for vote in votes
            )
        return done

    def tag_of(self, code: int) -> str:
        """The tag of an item's class; "" of a row."""
        return "" if code == ROW else self.classes[code]

    def close(self) -> None:
        """Let go of threads."""
        self.contents.close()
