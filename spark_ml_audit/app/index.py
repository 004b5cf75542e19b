"""What queues are made of: the rows of a run that are worth looking at and their flagged cells, as arrays.

Some fifty bytes a row, whatever its text: a million audited rows are a few tens of megabytes, and a filter is
a mask over arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    def rows(self) -> IntArray:
        """The row of every entry."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

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
        found = pc.index_in(ids.cast(self.ids.type), value_set=self.ids)
        if isinstance(found, pa.ChunkedArray):
            found = found.combine_chunks()
        places: IntArray = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        return places

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


def index_of(batches: Iterable[Any], classes: Sequence[str], id_type: Any) -> AuditIndex:
    """The index of a run's rows with an issue.

    Args:
        batches: Arrow batches of id and `LISTED`, worst rows first.
        classes: Tags in class order.
        id_type: Arrow type of the ids.

    Example:
        >>> cells = [[{"tag": "war", "issue": "missing", "pred_prob": 0.9, "cell_score": 0.1}]]
        >>> batch = pa.RecordBatch.from_pydict(
        ...     {"id": ["film 7"], "issue_rank": [1], "given_tags": [["drama"]], "flagged_cells": cells}
        ... )
        >>> found = index_of([batch], ["drama", "war"], pa.string())
        >>> found.id_of(0), found.given.of(0), found.cells.of(0), found.missing.tolist()
        ('film 7', [0], [1], [True])
    """
    names = pa.array(classes, pa.string())
    ids, given, cells, missing, probs = [], [], [], [], []
    given_lengths, cell_lengths = [], []
    for batch in batches:
        ids.append(batch.column(ID).cast(id_type))
        tags = batch.column("given_tags")
        given_lengths.append(lengths_of(tags))
        given.append(_codes(tags.flatten(), names))
        lists = batch.column("flagged_cells")
        cell_lengths.append(lengths_of(lists))
        found = lists.flatten()
        cells.append(_codes(found.field("tag"), names))
        missing.append(pc.equal(found.field("issue"), MISSING).to_numpy(zero_copy_only=False))
        probs.append(found.field("pred_prob").to_numpy(zero_copy_only=False).astype(np.float32))
    whole = pa.concat_arrays(ids) if ids else pa.array([], id_type)
    nothing = np.full(len(whole), np.nan, dtype=np.float32)
    return AuditIndex(
        ids=whole,
        num_issues=len(whole),
        given=_lists(given_lengths, given),
        cells=_lists(cell_lengths, cells),
        missing=_joined(missing, np.bool_),
        pred_prob=_joined(probs, np.float32),
        ambiguity=nothing,
        outlier=nothing.copy(),
        group=np.full(len(whole), -1, dtype=np.int32),
    )


def _codes(tags: Any, names: Any) -> Codes:
    codes = pc.index_in(tags.cast(pa.string()), value_set=names)
    found: Codes = pc.fill_null(codes, -1).to_numpy(zero_copy_only=False).astype(np.int32)
    return found


def _lists(lengths: Sequence[Any], codes: Sequence[Codes]) -> Lists:
    offsets = np.concatenate([[0], np.cumsum(_joined(lengths, np.int64))]).astype(np.int64)
    return Lists(offsets, _joined(codes, np.int32))


def _joined(parts: Sequence[Any], dtype: Any) -> Any:
    return np.concatenate(parts).astype(dtype) if parts else np.zeros(0, dtype=dtype)
