"""Queues: filters of an address, resolved to rows or cells in an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import numpy as np
import numpy.typing as npt

from spark_ml_audit.app.index import AuditIndex, Codes, IntArray
from spark_ml_audit.arrow.encode import EXTRANEOUS, MISSING
from spark_ml_audit.arrow.hashes import hash_values
from spark_ml_audit.errors import InputError
from spark_ml_audit.kernels.learned_order import LearnedOrder, averaged
from spark_ml_audit.kernels.review_sampling import cell_hashes
from spark_ml_audit.text import suggest

KINDS = ("flagged", "ambiguous", "outlier", "duplicate", "sample")
DIRECTIONS = (MISSING, EXTRANEOUS)
STATES = ("open", "all", "disputed", "done")
ORDERS = ("worst", "surest", "random")
VIEWS = ("row", "cell")

BLIND_SEED = 16
"""Of the random order in which cells are judged blind: the same for everybody, so that what has been judged
is the beginning of one random order, hence a simple random sample."""

ROW = -1
"""Class of an item that is a row as a whole."""

_HASHED_ROWS, _HASHED_CELLS, _DOUBTS_AT_ONCE = 16_384, 1 << 18, 1 << 16
"""How many are hashed at a time."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class QueueFilter:
    """What is asked for; every field is a parameter of the address.

    Attributes:
        kind: Flagged cells, ambiguous rows, outliers, near-duplicates, or the cells of a drawn sample.
        direction: missing, extraneous, or "" for both.
        tag: A class, or "" for all.
        instead: With a tag that is missing, the given tag beside which it is: a confused pair.
        low: Least probability.
        high: Greatest probability.
        group: A group of near-duplicates.
        sample: A drawn sample.
        row: The id of one row: nothing else is in the queue then.
        state: open: the first one without a decision comes first; all; disputed; done.
        order: worst rows first, surest cells first, or random.
        view: A row at a time, or a cell at a time: one question, yes or no.
        blind: Whether what was flagged, and how sure the model is, is not shown.
    """

    kind: str = "flagged"
    direction: str = ""
    tag: str = ""
    instead: str = ""
    low: float = 0.0
    high: float = 1.0
    group: str = ""
    sample: str = ""
    row: str = ""
    state: str = "open"
    order: str = "worst"
    view: str = "row"
    blind: bool = False

    @classmethod
    def of(cls, parameters: Mapping[str, str], classes: Sequence[str]) -> QueueFilter:
        """The filter that the parameters of an address say; unknown parameters are not looked at.

        Raises:
            InputError: A value is none of those there are.

        Example:
            >>> QueueFilter.of({"direction": "missing", "tag": "war", "low": "0.9"}, ["war"]).low
            0.9
            >>> try:
            ...     QueueFilter.of({"tag": "wra"}, ["war"])
            ... except InputError as error:
            ...     print(error.message, error.fix)
            there is no tag 'wra'. Did you mean war?
        """
        found: dict[str, Any] = {}
        for key, known in (
            ("kind", KINDS), ("direction", ("", *DIRECTIONS)), ("state", STATES), ("order", ORDERS),
            ("view", VIEWS),
        ):  # fmt: skip
            if key in parameters:
                found[key] = _one_of(parameters[key], known, key)
        for key in ("tag", "instead"):
            if parameters.get(key):
                found[key] = _class(parameters[key], classes, key)
        for key in ("low", "high"):
            if parameters.get(key):
                found[key] = _share(parameters[key], key)
        found |= {key: parameters[key] for key in ("group", "sample", "row") if parameters.get(key)}
        found["blind"] = parameters.get("blind", "") in ("1", "true")
        asked = cls(**found)
        if asked.blind:  # a cell has to be named, and the order must not tell anything
            asked = replace(asked, view="cell", order="random")
        return asked

    def parameters(self) -> dict[str, str]:
        """The parameters of the address, without defaults.

        >>> QueueFilter(tag="war", blind=True, low=0.5).parameters()
        {'tag': 'war', 'low': '0.5', 'blind': '1'}
        """
        default = QueueFilter()
        changed = {name: value for name, value in vars(self).items() if value != getattr(default, name)}
        return {name: "1" if value is True else str(value) for name, value in changed.items()}

    def query(self) -> str:
        """As the query of an address."""
        return urlencode(self.parameters())


@dataclass(frozen=True, eq=False)
class QueueItems:
    """A queue: its items in order.

    Attributes:
        rows: Where each item's row is in the index.
        classes: Class of each item; `ROW` where items are rows.
        places: Where each item's cell is among the flagged ones; -1 where it is none.
    """

    rows: Codes
    classes: Codes
    places: Codes

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def are_rows(self) -> bool:
        """Whether the items are rows, not cells."""
        return not len(self) or bool(self.classes[0] == ROW)

    @classmethod
    def of_rows(cls, rows: IntArray | Codes) -> QueueItems:
        """Rows as items."""
        nothing = np.full(len(rows), ROW, dtype=np.int32)
        return cls(rows.astype(np.int32), nothing, nothing)

    @classmethod
    def of_cells(
        cls, rows: IntArray | Codes, classes: IntArray | Codes, places: IntArray | Codes
    ) -> QueueItems:
        """Cells as items."""
        return cls(*(values.astype(np.int32, copy=False) for values in (rows, classes, places)))

    def only(self, mask: Mask) -> QueueItems:
        """Those of the items that a mask keeps."""
        return QueueItems(self.rows[mask], self.classes[mask], self.places[mask])


@dataclass(frozen=True, eq=False)
class Queue:
    """A queue as it stands for a person.

    Attributes:
        items: In order.
        done: Which of them are done.
    """

    items: QueueItems
    done: Mask

    def first_open(self, after: int = -1) -> int:
        """Place of the first open item behind a place, else the first of all; -1 where all are done."""
        places = np.flatnonzero(~self.done)
        if not len(places):
            return -1
        later = places[places > after]
        return int(later[0] if len(later) else places[0])


def resolve(
    index: AuditIndex, asked: QueueFilter, classes: Sequence[str], learned: LearnedOrder | None = None
) -> QueueItems:
    """The items of a queue of the index, whatever was decided of them, in order.

    Args:
        index: The rows and cells.
        asked: What is asked for.
        classes: Tags in class order.
        learned: What decisions taught about the chance that a cell is wrong: half of the order of the
            surest cells then.
    """
    if asked.kind != "flagged":
        return _marked_rows(index, asked, classes)
    mask = cell_mask(index, asked, classes)
    cells = np.flatnonzero(mask).astype(np.int32)
    rows = index.cells.rows[cells]
    if asked.view == "row":
        rows = np.unique(rows)
        return QueueItems.of_rows(_ordered_rows(index, rows, asked))
    codes = index.cells.codes[cells]
    if asked.order == "random":
        order = np.argsort(_cell_hashes(index, rows, codes, len(classes)), kind="stable")
    elif asked.order == "surest":
        order = np.lexsort((codes, rows, _doubts(index, cells, codes, learned)))
    else:
        order = np.arange(len(cells))
    return QueueItems.of_cells(rows[order], codes[order], cells[order])


def _doubts(index: AuditIndex, cells: Codes, codes: Codes, learned: LearnedOrder | None) -> npt.NDArray[Any]:
    """What cells are ordered by, the surest lowest; of many cells some at a time, for the memory's sake."""
    found = np.empty(len(cells), dtype=np.float32 if learned is None else np.float64)
    for start in range(0, len(cells), _DOUBTS_AT_ONCE):
        some = slice(start, start + _DOUBTS_AT_ONCE)
        probs, missing = index.pred_prob[cells[some]], index.missing[cells[some]]
        doubt = np.where(missing, 1 - probs, probs)
        if learned is not None:
            wrong = learned.wrong(probs.astype(np.float64), ~missing, codes[some].astype(np.int64))
            doubt = averaged(doubt, 1 - wrong)
        found[some] = doubt
    return found


def cell_mask(index: AuditIndex, asked: QueueFilter, classes: Sequence[str]) -> Mask:
    """Which flagged cells a filter keeps."""
    codes = index.cells.codes
    mask = codes >= 0
    if asked.direction:
        mask &= index.missing == (asked.direction == MISSING)
    if asked.tag:
        mask &= codes == classes.index(asked.tag)
    if asked.low > 0:
        mask &= index.pred_prob >= np.float32(asked.low)
    if asked.high < 1:
        mask &= index.pred_prob <= np.float32(asked.high)
    if asked.instead:
        has = np.zeros(len(index), dtype=np.bool_)
        has[index.given.rows[index.given.codes == classes.index(asked.instead)]] = True
        mask &= has[index.cells.rows]
    if asked.group:
        mask &= (index.group == _group(index, asked.group))[index.cells.rows]
    return mask


def _marked_rows(index: AuditIndex, asked: QueueFilter, classes: Sequence[str]) -> QueueItems:
    if asked.kind == "duplicate":
        kept = index.group == _group(index, asked.group) if asked.group else index.group >= 0
        rows = np.flatnonzero(kept)
        if asked.tag:
            code = classes.index(asked.tag)
            rows = np.array([row for row in rows if code in index.doubtful.get(int(row), ())], dtype=np.int64)
        rows = rows[np.argsort(index.group[rows], kind="stable")]
    else:
        scores = index.ambiguity if asked.kind == "ambiguous" else index.outlier
        rows = np.flatnonzero(~np.isnan(scores))
        # an outlier is the worse, the lower its score; an ambiguous row, the higher
        key = -scores[rows] if asked.kind == "ambiguous" else scores[rows]
        rows = rows[np.argsort(key, kind="stable")]
    return QueueItems.of_rows(_ordered_rows(index, rows, asked))


def _ordered_rows(index: AuditIndex, rows: IntArray | Codes, asked: QueueFilter) -> IntArray | Codes:
    if asked.order != "random":
        return rows  # rows of the index are in the order of their ranks
    return rows[np.argsort(_row_hashes(index, rows), kind="stable")]


def _row_hashes(index: AuditIndex, rows: IntArray | Codes) -> IntArray:
    """A hash per row, made some thousands at a time: their ids are not copied all at once."""
    parts = [rows[start : start + _HASHED_ROWS] for start in range(0, len(rows), _HASHED_ROWS)]
    hashes = [hash_values(_ids(index, part), BLIND_SEED) for part in parts]
    return np.concatenate(hashes) if hashes else np.zeros(0, dtype=np.int64)


def _cell_hashes(index: AuditIndex, rows: IntArray | Codes, codes: Codes, num_classes: int) -> IntArray:
    """A hash per cell; hashes are made of whole rows, some thousands at a time."""
    found = np.zeros(len(rows), dtype=np.int64)
    step = max(1, min(_HASHED_ROWS, _HASHED_CELLS // max(1, num_classes)))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        each = cell_hashes(hash_values(_ids(index, rows[part]), BLIND_SEED), num_classes)
        found[part] = each[np.arange(len(each)), codes[part]]
    return found


def _ids(index: AuditIndex, rows: IntArray | Codes) -> Any:
    import pyarrow as pa

    return index.ids.take(pa.array(rows))


def _group(index: AuditIndex, name: str) -> int:
    if name not in index.groups:
        raise InputError(f"there is no group of near-duplicates {name!r}.", key="group")
    return index.groups.index(name)


def _one_of(value: str, known: Sequence[str], key: str) -> str:
    if value not in known:
        named = ", ".join(name for name in known if name)
        raise InputError(f"{key} is {value[:80]!r}, none of {named}.", key=key)
    return value


def _class(value: str, classes: Sequence[str], key: str) -> str:
    if value not in classes:
        raise InputError(f"there is no tag {value[:80]!r}.", key=key, fix=suggest(value, classes).strip())
    return value


def _share(value: str, key: str) -> float:
    try:
        found = float(value)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise InputError(f"{key} is {value[:80]!r}, not a number from 0 to 1.", key=key)
    return found
