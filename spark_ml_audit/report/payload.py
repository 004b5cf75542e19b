"""The data that a report's tables and pictures are drawn from in the browser: compact and bounded."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from spark_ml_audit.report.advice import pair_lift
from spark_ml_audit.report.data import ReportData, SectionTable, SinceLastRun, WorstRow
from spark_ml_audit.report.text import shown
from spark_ml_audit.results import ClassRow

MAX_CLASSES = 10_000
"""Classes that a page holds; of more, the most affected."""

_TAG_WIDTH = 200
_ID_WIDTH = 200
# Tags of one row that are written out; the rest is counted.
_MAX_ROW_TAGS = 40
# Longest texts, and the size of all of them together (JSON, in bytes): pages stay below 3 MB.
_MAX_TEXT = 1000
_MIN_TEXT = 40
_ROWS_BUDGET = 900_000
_CLASS_FIELDS = {
    "given": "num_given",
    "missing": "num_missing",
    "extraneous": "num_extraneous",
    "noise": "label_noise",
    "inverse": "inverse_label_noise",
    "t1": "threshold_present",
    "t0": "threshold_absent",
    "cutMissing": "cutoff_missing",
    "cutExtraneous": "cutoff_extraneous",
    "j00": "joint_00",
    "j01": "joint_01",
    "j10": "joint_10",
    "j11": "joint_11",
    "wrong": "prob_true_absent_given_present",
    "forgotten": "prob_given_absent_true_present",
    "prevalence": "estimated_prevalence",
}


def payload_of(data: ReportData) -> dict[str, Any]:
    """JSON-able content of a page.

    Args:
        data: The report.

    Returns:
        Columns and rows under short names that `report.js` reads; tables are bounded, texts are shown
        texts (see `text.shown`), numbers have six digits.
    """
    classes = _page_classes(data.classes)
    content: dict[str, Any] = {
        "audited": data.counts.num_audited,
        "classes": _class_columns(classes),
        "rows": _rows(data),
        "pairs": _pairs(data),
        "scores": {
            "without": list(data.scores.without_issue),
            "with": list(data.scores.with_issue),
        },
        "sections": [_section(section) for section in data.sections],
    }
    if data.histograms is not None:
        kept = [row.class_index for row in classes]
        content["bins"] = data.histograms.num_bins
        content["absent"] = [_sparse(data.histograms.absent[k]) for k in kept]
        content["present"] = [_sparse(data.histograms.present[k]) for k in kept]
    if data.since is not None:
        content["changes"] = _changes(data.since)
    return content


def _page_classes(classes: tuple[ClassRow, ...]) -> list[ClassRow]:
    if len(classes) <= MAX_CLASSES:
        return list(classes)
    most = sorted(classes, key=lambda row: (-(row.num_missing + row.num_extraneous), row.class_index))
    return sorted(most[:MAX_CLASSES], key=lambda row: row.class_index)


def _class_columns(classes: list[ClassRow]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {"tag": [shown(row.tag, _TAG_WIDTH) for row in classes]}
    for short, name in _CLASS_FIELDS.items():
        columns[short] = [compact(getattr(row, name)) for row in classes]
    return columns


def _sparse(counts: npt.NDArray[np.int64]) -> list[int]:
    """First bin that is not empty, then the counts from there to the last such bin; [] if all are."""
    filled = np.flatnonzero(counts)
    if not len(filled):
        return []
    first, last = int(filled[0]), int(filled[-1])
    return [first, *(int(count) for count in counts[first : last + 1])]


def _rows(data: ReportData) -> dict[str, Any]:
    limit = _MAX_TEXT
    found = [_row(row, limit) for row in data.rows]
    while limit > _MIN_TEXT and _size(found) > _ROWS_BUDGET:
        limit //= 2
        found = [_row(row, limit) for row in data.rows]
    while found and _size(found) > _ROWS_BUDGET:
        found = found[: len(found) // 2]
    return {
        "id": shown(data.run.id_name, _ID_WIDTH),
        "columns": [shown(name, _ID_WIDTH) for name in data.shown_columns],
        "list": found,
    }


def _row(row: WorstRow, limit: int) -> list[Any]:
    extraneous = {cell.tag for cell in row.flagged if cell.issue == "extraneous"}
    kept = [tag for tag in row.given if tag not in extraneous]
    width = min(_TAG_WIDTH, limit)
    return [
        row.rank,
        shown(row.id, _ID_WIDTH),
        compact(row.score),
        [None if text is None else shown(text, limit) for text in row.shown],
        [shown(tag, width) for tag in kept[:_MAX_ROW_TAGS]],
        max(len(kept) - _MAX_ROW_TAGS, 0),
        [
            [shown(cell.tag, width), int(cell.issue == "extraneous"), compact(cell.pred_prob)]
            for cell in row.flagged[:_MAX_ROW_TAGS]
        ],
        max(len(row.flagged) - _MAX_ROW_TAGS, 0),
    ]


def _pairs(data: ReportData) -> list[list[Any]]:
    by_tag = {row.tag: row for row in data.classes}
    return [
        [
            shown(pair.missing, _TAG_WIDTH),
            shown(pair.given, _TAG_WIDTH),
            pair.num_rows,
            pair.num_swapped,
            compact(pair_lift(pair, data, by_tag)),
        ]
        for pair in data.pairs
    ]


def _section(section: SectionTable) -> dict[str, Any]:
    return {
        "key": section.key,
        "columns": [[shown(name, _ID_WIDTH), kind] for name, kind in section.columns],
        "rows": [[_cell(value) for value in row] for row in section.rows],
    }


def _cell(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [shown(item, _TAG_WIDTH) for item in value[:_MAX_ROW_TAGS]]
    if value is None or isinstance(value, bool | int | float):
        return compact(value)
    return shown(value, _MAX_TEXT)


def _changes(since: SinceLastRun) -> list[list[Any]]:
    return [
        [
            shown(change.tag, _TAG_WIDTH),
            compact(change.noise_before),
            compact(change.noise_now),
            change.missing_before,
            change.missing_now,
            change.extraneous_before,
            change.extraneous_now,
        ]
        for change in since.classes
    ]


def compact(value: Any) -> Any:
    """A number with at most six digits; None for what JSON has no number for."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _size(value: Any) -> int:
    # as written into the page: what is not ASCII takes six bytes and more
    return len(json.dumps(value))
