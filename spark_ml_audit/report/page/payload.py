"""The data that a report's tables and pictures are drawn from in the browser: compact and bounded."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from spark_ml_audit.outcomes.history import ClassChange, Comparison
from spark_ml_audit.outcomes.records import ClassRow, most_flagged
from spark_ml_audit.report.page.advice import pair_lift
from spark_ml_audit.report.page.data import ReportData, SectionTable, WorstRow
from spark_ml_audit.text import for_page

MAX_CLASSES = 10_000
"""Classes that a page holds; of more, the most affected."""

_TAG_WIDTH = 200
_ID_WIDTH = 200
# Longest texts, and tags of one row that are written out: the first pair with which all rows fit.
_ROW_LIMITS = ((1000, 40), (500, 40), (250, 30), (120, 20), (60, 12), (40, 6))
# Size of all rows together (JSON, in bytes): pages stay below 3 MB.
_ROWS_BUDGET = 900_000
# Texts and tag lists of further sections.
_MAX_CELL, _MAX_CELL_TAGS = 500, 40
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
    "auc": "auc",
    "ap": "average_precision",
    "trust": "trust",
}


def payload_of(data: ReportData) -> dict[str, Any]:
    """JSON-able content of a page.

    Args:
        data: The report.

    Returns:
        Columns and rows under short names that `report.js` reads; tables are bounded, texts are shown
        texts (see `text.for_page`), numbers have six digits.

    Example:
        >>> from spark_ml_audit.outcomes.records import Counts
        >>> from spark_ml_audit.report.page.data import RunFacts
        >>> run = RunFacts("20260131t180000z-0a1b2c3d", "ok", "data/films", "7", "0.2.0", "18:00", "18:05")
        >>> counts = Counts(90, 90, 0, 0, 1, 1, 0, health=89 / 90)
        >>> columns = (("tag", "text"), ("share", "share"))
        >>> table = SectionTable("rare", "Rare tags", (), columns, rows=(("noir", 1 / 90),))
        >>> payload_of(ReportData(run, counts, sections=(table,)))["sections"]
        [{'key': 'rare', 'columns': [['tag', 'text'], ['share', 'share']], 'rows': [['noir', 0.0111111]]}]
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
        "lists": [_section(section) for section in data.lists],
        "sections": [_section(section) for section in data.sections],
    }
    if data.histograms is not None:
        kept = [row.class_index for row in classes]
        content["bins"] = data.histograms.num_bins
        content["absent"] = [_sparse(data.histograms.absent[k]) for k in kept]
        content["present"] = [_sparse(data.histograms.present[k]) for k in kept]
    if data.since_last_run is not None:
        content["changes"] = _changes(data.since_last_run)
    return content


def _page_classes(classes: tuple[ClassRow, ...]) -> list[ClassRow]:
    if len(classes) <= MAX_CLASSES:
        return list(classes)
    return sorted(most_flagged(classes)[:MAX_CLASSES], key=lambda row: row.class_index)


def _class_columns(classes: list[ClassRow]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {"tag": [for_page(row.tag, _TAG_WIDTH) for row in classes]}
    for short, name in _CLASS_FIELDS.items():
        columns[short] = [compact(_as_it_works(name, getattr(row, name))) for row in classes]
    return columns


def _as_it_works(name: str, value: Any) -> Any:
    """A value as it takes effect: a tag is flagged only on the other side of 0.5, and 2 stands for never."""
    if value is None:
        return None
    if name == "cutoff_missing":
        return max(value, 0.5)
    if name == "cutoff_extraneous":
        return min(value, 0.5)
    return None if name in ("threshold_present", "threshold_absent") and value > 1 else value


def _sparse(counts: npt.NDArray[np.int64]) -> list[int]:
    """First bin that is not empty, then the counts from there to the last such bin; [] if all are."""
    filled = np.flatnonzero(counts)
    if not len(filled):
        return []
    first, last = int(filled[0]), int(filled[-1])
    return [first, *(int(count) for count in counts[first : last + 1])]


def _rows(data: ReportData) -> dict[str, Any]:
    columns = [for_page(name, _ID_WIDTH) for name in data.shown_columns]
    return {"id": for_page(data.run.id_name, _ID_WIDTH), "columns": columns, "list": _fitting_rows(data.rows)}


def _fitting_rows(rows: tuple[WorstRow, ...]) -> list[list[Any]]:
    """All rows, with texts cut as far as must be; where even that is too much, the worst of them."""
    for text_width, num_tags in _ROW_LIMITS:
        found, size = [], 0
        for row in rows:
            found.append(_row(row, text_width, num_tags))
            size += len(json.dumps(found[-1], ensure_ascii=False).encode())
            if size > _ROWS_BUDGET:
                break
        else:
            return found
    return found[:-1]


def _row(row: WorstRow, text_width: int, num_tags: int) -> list[Any]:
    extraneous = {cell.tag for cell in row.flagged if cell.issue == "extraneous"}
    kept = [tag for tag in row.given if tag not in extraneous]
    width = min(_TAG_WIDTH, text_width)
    return [
        row.rank,
        for_page(row.id, _ID_WIDTH),
        compact(row.score),
        [None if text is None else for_page(text, text_width) for text in row.shown],
        [for_page(tag, width) for tag in kept[:num_tags]],
        max(len(kept) - num_tags, 0),
        [
            [for_page(cell.tag, width), int(cell.issue == "extraneous"), compact(cell.pred_prob)]
            for cell in row.flagged[:num_tags]
        ],
        max(len(row.flagged) - num_tags, 0),
    ]


def _pairs(data: ReportData) -> list[list[Any]]:
    by_tag = {row.tag: row for row in data.classes}
    return [
        [
            for_page(pair.missing, _TAG_WIDTH),
            for_page(pair.given, _TAG_WIDTH),
            pair.num_rows,
            pair.num_swapped,
            compact(pair_lift(pair, data, by_tag)),
        ]
        for pair in data.pairs
    ]


def _section(section: SectionTable) -> dict[str, Any]:
    kinds = [kind for _, kind in section.columns]
    return {
        "key": section.key,
        "columns": [[for_page(name, _ID_WIDTH), kind] for name, kind in section.columns],
        "rows": [[_cell(*pair) for pair in zip(row, kinds, strict=True)] for row in section.rows],
    }


def _cell(value: Any, kind: str) -> Any:
    if kind == "tag":  # as the table of tags shows it: one may be chosen by the other
        return for_page(value, _TAG_WIDTH)
    if isinstance(value, tuple | list):
        return [for_page(item, _TAG_WIDTH) for item in value[:_MAX_CELL_TAGS]]
    if value is None or isinstance(value, bool | int | float):
        return compact(value)
    return for_page(value, _MAX_CELL)


def _changes(since: Comparison) -> list[list[Any]]:
    def both(change: ClassChange, name: str) -> list[Any]:
        return [None if row is None else compact(getattr(row, name)) for row in (change.before, change.now)]

    return [
        [
            for_page(change.tag, _TAG_WIDTH),
            *both(change, "noise"),
            *both(change, "num_missing"),
            *both(change, "num_extraneous"),
        ]
        for change in since.classes
    ]


def compact(value: Any) -> Any:
    """A number with at most six digits; None for what JSON has no number for.

    >>> compact(0.123456789), compact(17), compact(float("nan"))
    (0.123457, 17, None)
    """
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None
