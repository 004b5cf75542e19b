"""What comparisons are put together from: class tables side by side, configs side by side, small counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import narwhals as nw

from spark_ml_audit.engines.base import rows_of
from spark_ml_audit.outcomes.history import CHANGES, REASONS, STILL_OPEN, ChangeCounts, ClassChange
from spark_ml_audit.outcomes.records import ClassRow
from spark_ml_audit.text import show

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine, Frame
    from spark_ml_audit.outcomes.runs import FinishedRun

_SHOWN_CLASSES = 20
_SHOWN_DIFFERENCES = 10


def class_changes(
    now: Sequence[ClassRow], before: Sequence[ClassRow], cells: Mapping[str, ChangeCounts]
) -> tuple[ClassChange, ...]:
    """Set the class tables of two runs side by side, by tag: the newer run's order, then what is gone.

    Args:
        now: Classes of the newer run.
        before: Classes of the older run.
        cells: Tag -> its flagged cells by what became of them.
    """
    older = {row.tag: row for row in before}
    newer = {row.tag: row for row in now}
    pairs = [(row, older.get(row.tag)) for row in now]
    gone = [(None, row) for row in before if row.tag not in newer]
    found = []
    for current, past in [*pairs, *gone]:
        tag = current.tag if current is not None else past.tag if past is not None else ""
        index = None if current is None else current.class_index
        found.append(ClassChange(tag, index, cells.get(tag, ChangeCounts()), past, current))
    return tuple(found)


def most_changed(changes: Sequence[ClassChange], limit: int = _SHOWN_CLASSES) -> tuple[ClassChange, ...]:
    """The classes with the most newly flagged and fixed cells, then the largest change of noise."""

    def weight(change: ClassChange) -> tuple[int, float]:
        moved = change.cells.newly_flagged + change.cells.fixed
        return -moved, -abs(change.noise_change or 0.0)

    moved = [change for change in changes if weight(change) < (0, 0.0)]
    return tuple(sorted(moved, key=weight)[:limit])


def differences(run: FinishedRun, against: FinishedRun) -> list[str]:
    """Sentences on what the two runs differ in beside their data, and whether the data differ at all."""
    found = []
    now, before = run.ref, against.ref
    if now.source_version is not None and now.source_version == before.source_version:
        found.append(f"Both runs read the same version of the source ({now.source_version}).")
    if now.package_version != before.package_version:
        found.append(
            f"The runs were made by versions {before.package_version} and {now.package_version} of "
            "spark_ml_audit."
        )
    changed = [
        f"{section}.{key} ({show(old.get(key))}, now {show(new.get(key))})"
        for section in ("audit", "model")
        for new, old in [((run.config.get(section) or {}), (against.config.get(section) or {}))]
        for key in sorted({*new, *old})
        if new.get(key) != old.get(key)
    ]
    if changed:
        more = f" and {len(changed) - _SHOWN_DIFFERENCES} more" if len(changed) > _SHOWN_DIFFERENCES else ""
        found.append(
            f"The method differs, which changes flags too: {', '.join(changed[:_SHOWN_DIFFERENCES])}{more}."
        )
    return found


def tags_of(changes: Iterable[ClassChange]) -> tuple[str, ...]:
    """Tags of some classes, as many as are shown."""
    return tuple(change.tag for change in changes)[:_SHOWN_CLASSES]


def counts_by_change(engine: Engine, frame: Frame) -> tuple[ChangeCounts, dict[str, dict[str, int]]]:
    """Count rows or cells with the columns change and reason: by change, and by change and reason."""
    counts = dict.fromkeys(CHANGES, 0)
    reasons = {change: dict.fromkeys(REASONS, 0) for change in CHANGES if change != STILL_OPEN}
    for row in rows_of(engine, frame.group_by("change", "reason").agg(nw.len().alias("num_rows"))):
        counts[row["change"]] += row["num_rows"]
        if row["reason"] is not None:
            reasons[row["change"]][row["reason"]] = row["num_rows"]
    return ChangeCounts(**counts), reasons


def counts_by_tag(engine: Engine, frame: Frame) -> tuple[dict[str, ChangeCounts], ChangeCounts]:
    """Collect `flagged_by_tag`: the cells of each tag, and the rows."""
    found = {
        row["tag"]: ChangeCounts(row["newly_flagged"], row["fixed"], row["still_open"])
        for row in rows_of(engine, frame)
    }
    rows = found.pop(None, ChangeCounts(*[0] * len(CHANGES)))
    return found, rows
