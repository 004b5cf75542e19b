"""Which fold a row is in, how many tags each fold holds, and which rows a model is trained on.

Everything follows from hashes of a row's own id (or group), so it is the same whatever the row order and
the partitioning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_ml_audit.arrow.decode import DecodedBatch, decode_batches
from spark_ml_audit.arrow.hashes import Hashes, hash_values, unit_interval
from spark_ml_audit.arrow.layout import UNLABELLED, StatusCounts
from spark_ml_audit.engines.base import Batches
from spark_ml_audit.engines.columns import column, field, in_frame
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.ingest import Ingest
from spark_ml_audit.frames.passes import status_counts, status_records
from spark_ml_audit.kernels.decided_tags import decided_tags
from spark_ml_audit.kernels.profile import IntArray
from spark_ml_audit.kernels.records import Records, make_records

# class_index of records that count rows by fold, and of those that count what people decided
_ROWS_INDEX, _DECIDED_INDEX = -2, -3
# Share of the training budget that goes to rows drawn whatever their tags.
_PLAIN_SHARE = 0.5
# What a hash is for; beside the seed, so that none follows another.
_OF_ID, _OF_GROUP, _SAMPLE, _PURPOSES = 1, 2, 3, 4


@dataclass(frozen=True)
class FoldPlan:
    """How rows are assigned to folds.

    What is assigned follows from the struct `keys`, which rows carry into the tasks.

    Attributes:
        num_folds: Number of folds; 1 puts every row in fold 0.
        seed: Changes the assignment and the sample.
        id: Column that names a row.
        group: Column whose rows of one value stay together; a null is a group of its own row.

    Example:
        >>> plan = FoldPlan(num_folds=5, seed=0, id="id", group="author")
        >>> ids, authors = pa.array(["a", "b", "d"]), pa.array(["Anna", "Anna", None])
        >>> keys = pa.StructArray.from_arrays([ids, authors], ["id", "group"])
        >>> plan.folds(keys).tolist(), plan.folds(keys[:1]).tolist()
        ([0, 0, 4], [0])
    """

    num_folds: int
    seed: int
    id: str
    group: str | None = None

    @property
    def keys(self) -> nw.Expr:
        """The struct of a row's id and, if there is one, its group."""
        return nw.struct(*[column(name).alias(key) for key, name in self._columns.items()])

    def keys_of(self, rows: Any) -> Any:
        """The same of rows in a task that carry the columns of their source, an Arrow struct array."""
        arrays = [rows.field(in_frame(name)) for name in self._columns.values()]
        return pa.StructArray.from_arrays(arrays, list(self._columns))

    def folds(self, keys: Any) -> IntArray:
        """Fold of each row, from 0: a hash of seed and group, or of seed and id."""
        mine = hash_values(keys.field("id"), self._seed_of(_OF_ID))
        chosen = self._by_group(mine, keys, self._seed_of(_OF_GROUP))
        return (chosen.view(np.uint64) % np.uint64(self.num_folds)).astype(np.int64)

    def group_keys(self, keys: Any) -> Hashes:
        """Numbers that the rows of one group share."""
        return self._by_group(hash_values(keys.field("id")), keys, 0)

    @staticmethod
    def order_keys(keys: Any) -> Hashes:
        """Numbers that models sort their training rows by."""
        return hash_values(keys.field("id"))

    def sample_keys(self, keys: Any) -> npt.NDArray[np.float64]:
        """Numbers in [0, 1), independent of the fold: rows below their sampling rate are trained on."""
        return unit_interval(hash_values(keys.field("id"), self._seed_of(_SAMPLE)))

    @property
    def _columns(self) -> dict[str, str]:
        return {"id": self.id} | ({"group": self.group} if self.group is not None else {})

    def _seed_of(self, purpose: int) -> int:
        return self.seed * _PURPOSES + purpose

    def _by_group(self, own: Hashes, keys: Any, seed: int) -> Hashes:
        """The hashes of groups, and those given where a row has none."""
        if self.group is None:
            return own
        groups = keys.field("group")
        alone = groups.is_null().to_numpy(zero_copy_only=False)
        return np.where(alone, own, hash_values(groups, seed))


def check_group(ingest: Ingest, group: str | None) -> None:
    """Refuse a group column that is missing or cannot be compared.

    Raises:
        InputError: No such column, or a map.
    """
    if group is None:
        return
    if pa.types.is_map(field(ingest.schema, group, "source.group").type):
        raise InputError(
            f"column '{group}' is a map, which cannot be compared.",
            key="source.group",
            fix="Use a column such as the author's id or a hash of the text.",
        )


@dataclass(frozen=True)
class LabelCounts:
    """Rows and tags by fold; tags as people decided them, where they did.

    Attributes:
        rows: Rows of the source by status.
        labelled: Usable rows with tags, shape (folds,).
        unlabelled: Usable rows without a label list, shape (folds,).
        present: Rows to learn from that have the tag, shape (folds, K).
        excluded: Rows with tags that people excluded, from which nothing is learned, shape (folds,); None
            for none.
        num_corrected: Cells to learn from that people decided otherwise than they were given.
    """

    rows: StatusCounts
    labelled: IntArray
    unlabelled: IntArray
    present: IntArray
    excluded: IntArray | None = None
    num_corrected: int = 0

    @property
    def num_excluded(self) -> int:
        """Rows with tags that people excluded."""
        return 0 if self.excluded is None else int(self.excluded.sum())

    def training_rows(self, fold: int | None) -> tuple[int, IntArray]:
        """Rows, and rows by class, that a fold's model may learn from; of the whole table for None."""
        labelled = self.labelled if self.excluded is None else self.labelled - self.excluded
        rows, present = int(labelled.sum()), self.present.sum(axis=0)
        if fold is None:
            return rows, present
        return rows - int(labelled[fold]), present - self.present[fold]


def count_labels(ingest: Ingest, plan: FoldPlan) -> LabelCounts:
    """One pass: rows by status, rows and tags by fold, as the marks of the source have them."""
    layout = ingest.layout
    frame = ingest.task_frame(with_id=ingest.marks is not None, carry=plan.keys)

    def reduce(batches: Batches) -> Iterator[Records]:
        for decoded in decode_batches(batches, layout):
            yield from _count_batch(decoded, plan, layout.num_classes)

    records = ingest.engine.reduce_batches(frame, reduce)
    index, slot, a, b = (records[name] for name in ("class_index", "slot", "a", "b"))
    labelled = np.zeros(plan.num_folds, dtype=np.int64)
    unlabelled = np.zeros(plan.num_folds, dtype=np.int64)
    present = np.zeros((plan.num_folds, layout.num_classes), dtype=np.int64)
    rows, classes, decided = index == _ROWS_INDEX, index >= 0, index == _DECIDED_INDEX
    labelled[slot[rows]], unlabelled[slot[rows]] = a[rows], b[rows]
    present[slot[classes], index[classes]] = a[classes]
    excluded = np.zeros(plan.num_folds, dtype=np.int64)
    excluded[slot[decided]] = b[decided]
    return LabelCounts(status_counts(records), labelled, unlabelled, present, excluded, int(a[decided].sum()))


def _count_batch(decoded: DecodedBatch, plan: FoldPlan, num_classes: int) -> Iterator[Records]:
    # rows without an id are in some fold too; they are rejected anyway
    folds = plan.folds(decoded.source.column("carried"))
    of_audited = folds[decoded.audited]
    decided = decided_tags(decoded.rows, decoded.cols, decoded.marks, len(of_audited), num_classes)
    learned = ~decided.excluded[decided.rows]
    cells = of_audited[decided.rows[learned]] * num_classes + decided.cols[learned]
    pairs, tags = np.unique(cells, return_counts=True)
    width = int(folds.max(initial=0)) + 1
    labelled = np.bincount(of_audited, minlength=width)
    unlabelled = np.bincount(folds[decoded.status == UNLABELLED], minlength=width)
    yield make_records(pairs % num_classes, pairs // num_classes, tags)
    yield make_records(_ROWS_INDEX, np.arange(width), labelled, unlabelled)
    if decoded.marks is not None:
        excluded = np.bincount(of_audited[decided.excluded], minlength=width)
        changed = np.where(np.arange(width) == 0, decided.num_changed, 0)
        yield make_records(_DECIDED_INDEX, np.arange(width), changed, excluded)
    yield status_records(decoded)


@dataclass(frozen=True)
class SamplePlan:
    """Which labelled rows models are trained on, when there are more than the budget.

    A row is taken if its hash is below the highest rate that applies to it: the plain one, or that of one
    of its tags. A tag with no more rows than the quota has rate 1: all its positives are kept.

    Attributes:
        plain_rate: Rate of rows whatever their tags.
        tag_rates: Rate of rows with the tag, shape (K,), float64.
    """

    plain_rate: float
    tag_rates: npt.NDArray[np.float64]

    @property
    def takes_all(self) -> bool:
        """Whether nothing is left out."""
        return self.plain_rate >= 1

    def chosen(self, keys: npt.NDArray[np.float64], rows: IntArray, cols: IntArray) -> npt.NDArray[np.bool_]:
        """Which of n rows are taken.

        Args:
            keys: Sample key of each row, shape (n,).
            rows: Row of each given tag.
            cols: Its class.
        """
        rates = np.full(len(keys), self.plain_rate)
        np.maximum.at(rates, rows, self.tag_rates[cols])
        return keys < rates


def plan_sample(num_rows: int, num_present: IntArray, max_rows: int) -> SamplePlan:
    """Rates whose expected number of rows is within the budget.

    Half of the budget is drawn whatever the tags; the other half is shared out so that every tag gets the
    same quota of positives, or all it has where it has fewer.

    Args:
        num_rows: Labelled rows.
        num_present: Rows the tag is given to, shape (K,).
        max_rows: Rows to train on at most, in expectation.
    """
    if num_rows <= max_rows:
        return SamplePlan(1.0, np.ones(len(num_present)))
    budget = max_rows * (1 - _PLAIN_SHARE)
    low, high = 1, max(int(num_present.max(initial=1)), 1)
    while low < high:
        quota = (low + high + 1) // 2
        if np.minimum(num_present, quota).sum() <= budget:
            low = quota
        else:
            high = quota - 1
    rates = np.minimum(1.0, low / np.maximum(num_present, 1))
    return SamplePlan(max_rows * _PLAIN_SHARE / num_rows, rates)
