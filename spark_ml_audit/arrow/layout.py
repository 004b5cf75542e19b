"""What a source looks like to the passes: which columns mean what, in which form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spark_ml_audit.kernels.calibrate import Calibrators

# Fixed names of the frame that every pass reads; the source's own names are data and never reach a task.
ID = "id"
FAULT = "fault"
LABELS = "labels"
PROBS = "probs"
# Cells of a row that something is known about, where there are any: 2 * class + (0 or 1).
MARKS = "marks"

AUDITED, UNLABELLED = 0, 1
# Codes of the rejection reasons, in the order of precedence: the lowest that applies is the row's reason.
REASONS: dict[str, int] = {
    "id_null": 2,
    "id_duplicate": 3,
    "labels_malformed": 4,
    "label_unknown": 5,
    "label_repeated": 6,
    "probs_null": 7,
    "probs_length": 8,
    "probs_nan": 9,
    "probs_infinite": 10,
    "probs_range": 11,
}
REASON_NAMES: dict[int, str] = {code: name for name, code in REASONS.items()}


@dataclass(frozen=True)
class StatusCounts:
    """Rows of a source by their status.

    >>> counts = StatusCounts({AUDITED: 90, UNLABELLED: 4, REASONS["probs_nan"]: 6})
    >>> counts.num_rows, counts.num_quarantined
    (100, 6)

    Attributes:
        by_code: Status code -> rows.
    """

    by_code: Mapping[int, int]

    @property
    def num_rows(self) -> int:
        """All rows."""
        return sum(self.by_code.values())

    @property
    def num_audited(self) -> int:
        """Usable rows with tags, none of them included."""
        return self.by_code.get(AUDITED, 0)

    @property
    def num_unlabelled(self) -> int:
        """Usable rows without a label list."""
        return self.by_code.get(UNLABELLED, 0)

    @property
    def num_quarantined(self) -> int:
        """Rows rejected."""
        return sum(self.rejected.values())

    @property
    def rejected(self) -> dict[int, int]:
        """Reason code -> rows."""
        return {code: count for code, count in self.by_code.items() if code > UNLABELLED}


@dataclass(frozen=True)
class InputLayout:
    """How labels and probabilities are stored, as the tasks need to know it.

    Attributes:
        id: Name of the id column in the source.
        labels: Source columns of the labels: one, or K of them for `columns`.
        labels_format: names, indices, multi_hot, delimited or columns.
        labels_delimiter: Separator of `delimited` labels.
        pred_probs: Source columns of the probabilities: one, or K of them for `columns`.
        pred_probs_format: array, columns or map (a vector is read as an array); none before prediction.
        dtype: "float32" or "float64": the column's own.
        classes: Tag names in probability order.
        empty_is_unlabelled: Whether a delimited text with nothing in it means "not annotated".
        calibrators: What is done to the probabilities before anything else; None: nothing.

    Example:
        >>> labels, classes = ("is_red", "is_green"), ("red", "green")
        >>> layout = InputLayout("id", labels, "columns", ",", ("p",), "array", "float32", classes)
        >>> layout.label_columns, layout.prob_columns
        (('labels_0', 'labels_1'), ('probs_0',))
    """

    id: str
    labels: tuple[str, ...]
    labels_format: str
    labels_delimiter: str
    pred_probs: tuple[str, ...]
    pred_probs_format: str
    dtype: str
    classes: tuple[str, ...]
    empty_is_unlabelled: bool = False
    calibrators: Calibrators | None = None

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.classes)

    @property
    def needs_id(self) -> bool:
        """Whether a row's probabilities depend on its id: on the fold that it is in."""
        return self.calibrators is not None and self.calibrators.num_folds > 0

    @property
    def label_columns(self) -> tuple[str, ...]:
        """Names of the label columns in the passes' frame."""
        return tuple(f"{LABELS}_{i}" for i in range(len(self.labels)))

    @property
    def prob_columns(self) -> tuple[str, ...]:
        """Names of the probability columns in the passes' frame."""
        return tuple(f"{PROBS}_{i}" for i in range(len(self.pred_probs)))
