"""What queues are made of: the rows of a run that are worth looking at and their flagged cells, as arrays.

Some fifty bytes a row, whatever its text: a million audited rows are a few tens of megabytes, and a filter is
a mask over arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spark_ml_audit.arrow.encode import MISSING
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.arrow.lists import lengths_of

MOST_ROWS = 2_000_000
"""Rows with an issue that are held; of more, the worst."""

IntArray = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]

LISTED = "issue_rank", "given_tags", "flagged_cells"
"""Columns of `issues` that are read, after the id."""


@dataclass(frozen=True, eq=False)
class Lists:
    """One list of class codes per row.

    Attributes:
        offsets: Where each row's list begins, and where the last ends; shape (n + 1,).
        codes: All lists one after the other.
    """

    offsets: IntArray
    codes: Codes

    def of(self, row: int) -> list[int]:
        """The list of one row."""
        found: list[int] = self.codes[self.offsets[row] : self.offsets[row + 1]].tolist()
        return found

    @cached_property
    def rows(self) -> Codes:
        """The row of every entry."""
        return np.repeat(np.arange(len(self.offsets) - 1, dtype=np.int32), np.diff(self.offsets))

    def longer(self, num_rows: int) -> Lists:
        """With empty lists for rows that come after these."""
        more = np.full(num_rows, self.offsets[-1], dtype=np.int64)
        return Lists(np.concatenate([self.offsets, more]), self.codes)


@dataclass(frozen=True, eq=False)
class AuditIndex:
    """The rows of a run that a queue may hold: those with an issue, worst first, then others.

    Attributes:
        ids: Of the rows, n of them.
        num_issues: How many have an issue; the first ones.
        given: Given tags of those.
        cells: Flagged tags of those, surest first.
        missing: Per flagged cell, whether the tag is missing; else it is extraneous.
        pred_prob: Per flagged cell, the probability of the tag.
        ambiguity: Per row, how ambiguous it is; NaN unless it is.
        outlier: Per row, its outlier score; NaN unless it is one.
        group: Per row, the number of its group of near-duplicates; -1 for none.
        groups: Names of the groups.
        doubtful: Per row, tags that are in doubt: ambiguous ones, those that differ between near-duplicates.
    """

    ids: Any
    num_issues: int
    given: Lists
    cells: Lists
    missing: npt.NDArray[np.bool_]
    pred_prob: Floats
    ambiguity: Floats
    outlier: Floats
    group: Codes
    groups: tuple[str, ...] = ()
    doubtful: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def id_of(self, row: int) -> Any:
        """The id of a row."""
        return self.ids[row].as_py()

    def row_of(self, row_id: Any) -> int:
        """Where the row with an id is; -1 where it is not held."""
        try:
            return int(pc.index(self.ids, pa.scalar(row_id, self.ids.type)).as_py())
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            return -1

    def rows_of(self, ids: Any) -> IntArray:
        """Where rows are, -1 for those that are not held.

        Args:
            ids: Arrow array of ids.
        """
        wanted = ids.cast(self.ids.type)
        if isinstance(wanted, pa.ChunkedArray):
            wanted = wanted.combine_chunks()
        # a table of those that are looked for is small; one of all rows would be made for every decision
        distinct = pc.unique(wanted.drop_null())
        held = pc.index_in(self.ids, value_set=distinct)
        places = np.full(len(distinct) + 1, -1, dtype=np.int64)
        places[held.drop_null().to_numpy()] = np.flatnonzero(held.is_valid().to_numpy(zero_copy_only=False))
        own = pc.fill_null(pc.index_in(wanted, value_set=distinct), len(distinct))
        found: IntArray = places[own.to_numpy(zero_copy_only=False)]
        return found

    def with_rows(self, ids: Any) -> AuditIndex:
        """With further rows at the end; those that are held already stay where they are."""
        wanted = pc.unique(ids.cast(self.ids.type))
        new = wanted.filter(pa.array(self.rows_of(wanted) < 0))
        if not len(new):
            return self
        nothing = np.full(len(new), np.nan, dtype=np.float32)
        return replace(
            self,
            ids=pa.concat_arrays([self.ids, new]),
            given=self.given.longer(len(new)),
            cells=self.cells.longer(len(new)),
            ambiguity=np.concatenate([self.ambiguity, nothing]),
            outlier=np.concatenate([self.outlier, nothing]),
            group=np.concatenate([self.group, np.full(len(new), -1, dtype=np.int32)]),
        )

    def with_marks(self, rows: Any, classes: Sequence[str]) -> AuditIndex:
        """With rows that are ambiguous or outliers.

        Args:
            rows: Arrow table with id, is_ambiguous, ambiguity_score, ambiguous_tags, is_outlier,
                outlier_score.
            classes: Tags in class order.
        """
        longer = self.with_rows(rows.column(ID).combine_chunks())
        places = longer.rows_of(rows.column(ID).combine_chunks())
        ambiguity, outlier = longer.ambiguity.copy(), longer.outlier.copy()
        for values, mark, score in (
            (ambiguity, "is_ambiguous", "ambiguity_score"),
            (outlier, "is_outlier", "outlier_score"),
        ):
            marked = pc.fill_null(rows.column(mark), False).to_numpy(zero_copy_only=False)
            scores = pc.fill_null(rows.column(score), 0.0).to_numpy(zero_copy_only=False)
            values[places[marked]] = scores[marked]
        doubtful = _doubts(longer.doubtful, places, rows.column("ambiguous_tags"), classes)
        return replace(longer, ambiguity=ambiguity, outlier=outlier, doubtful=doubtful)

    def with_groups(self, members: Any, classes: Sequence[str]) -> AuditIndex:
        """With groups of near-duplicates.

        Args:
            members: Arrow table with id, group_id, differing_tags.
            classes: Tags in class order.
        """
        longer = self.with_rows(members.column(ID).combine_chunks())
        places = longer.rows_of(members.column(ID).combine_chunks())
        names = members.column("group_id").combine_chunks().dictionary_encode()
        group = longer.group.copy()
        group[places] = names.indices.to_numpy(zero_copy_only=False)
        doubtful = _doubts(longer.doubtful, places, members.column("differing_tags"), classes)
        return replace(longer, group=group, groups=tuple(names.dictionary.to_pylist()), doubtful=doubtful)


def _doubts(
    known: dict[int, tuple[int, ...]], places: IntArray, tags: Any, classes: Sequence[str]
) -> dict[int, tuple[int, ...]]:
    codes = {tag: code for code, tag in enumerate(classes)}
    found = dict(known)
    for row, listed in zip(places.tolist(), tags.to_pylist(), strict=True):
        more = tuple(codes[tag] for tag in listed or () if tag in codes)
        found[row] = tuple(dict.fromkeys(found.get(row, ()) + more))
    return {row: listed for row, listed in found.items() if listed}


CODED = pa.schema(
    [
        ("issue_rank", pa.int64()),
        ("given", pa.list_(pa.int32())),
        ("cells", pa.list_(pa.int32())),
        ("missing", pa.list_(pa.bool_())),
        ("prob", pa.list_(pa.float32())),
    ]
)
"""What is kept of a row of `issues` beside its id: classes by their number."""


def coded(batch: Any, names: Any) -> Any:
    """A batch of id and `LISTED` as id and `CODED`.

    Args:
        batch: Arrow batch of id and `LISTED`.
        names: Arrow array of the tags in class order.
    """
    lists, tags = batch.column("flagged_cells"), batch.column("given_tags")
    cells = lists.flatten()
    offsets = _offsets(lists)
    columns = [
        batch.column(ID),
        batch.column("issue_rank"),
        pa.ListArray.from_arrays(_offsets(tags), _codes(tags.flatten(), names)),
        pa.ListArray.from_arrays(offsets, _codes(cells.field("tag"), names)),
        pa.ListArray.from_arrays(offsets, pc.equal(cells.field("issue"), MISSING)),
        pa.ListArray.from_arrays(offsets, cells.field("pred_prob").cast(pa.float32())),
    ]
    return pa.RecordBatch.from_arrays(columns, names=[ID, *CODED.names])


def index_of(rows: Any, id_type: Any) -> AuditIndex:
    """The index of a run's rows with an issue.

    Args:
        rows: Arrow table of id and `CODED`, in any order.
        id_type: Arrow type of the ids.

    Example:
        >>> cells = [[{"tag": "war", "issue": "missing", "pred_prob": 0.9, "cell_score": 0.1}]]
        >>> batch = pa.RecordBatch.from_pydict(
        ...     {"id": ["film 7"], "issue_rank": [1], "given_tags": [["drama"]], "flagged_cells": cells}
        ... )
        >>> rows = pa.Table.from_batches([coded(batch, pa.array(["drama", "war"]))])
        >>> found = index_of(rows, pa.string())
        >>> found.id_of(0), found.given.of(0), found.cells.of(0), found.missing.tolist()
        ('film 7', [0], [1], [True])
    """
    order = pc.sort_indices(rows.column("issue_rank"))

    def column(name: str) -> Any:
        """One column in order: never all of them twice."""
        return _one(rows.column(name)).take(order)

    def flat(name: str, kind: type) -> Any:
        return column(name).flatten().to_numpy(zero_copy_only=False).astype(kind)

    nothing = np.full(rows.num_rows, np.nan, dtype=np.float32)
    return AuditIndex(
        ids=column(ID).cast(id_type),
        num_issues=rows.num_rows,
        given=_lists(column("given")),
        cells=_lists(column("cells")),
        missing=flat("missing", np.bool_),
        pred_prob=flat("prob", np.float32),
        ambiguity=nothing,
        outlier=nothing.copy(),
        group=np.full(rows.num_rows, -1, dtype=np.int32),
    )


def _one(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _codes(tags: Any, names: Any) -> Any:
    return pc.fill_null(pc.index_in(tags.cast(pa.string()), value_set=names), -1)


def _offsets(lists: Any) -> Any:
    return pa.array(np.concatenate([[0], np.cumsum(lengths_of(lists))]).astype(np.int32))


def _lists(lists: Any) -> Lists:
    offsets = np.concatenate([[0], np.cumsum(lengths_of(lists))]).astype(np.int64)
    return Lists(offsets, lists.flatten().to_numpy(zero_copy_only=False).astype(np.int32))
