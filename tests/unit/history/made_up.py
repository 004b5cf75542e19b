"""Comparisons and trends that no audit made."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from spark_ml_audit.history.differences import class_changes
from spark_ml_audit.outcomes.history import (
    ChangeCounts,
    Comparison,
    RunRef,
    Trend,
    TrendClass,
    TrendRun,
)
from spark_ml_audit.outcomes.records import ClassRow, GateResult

HOSTILE = "</script><img src=x onerror=alert(1)>$\\frac{1}{2}$\x1b[2J"


START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def ref(place: int = 0, *, health: float | None = 0.9) -> RunRef:
    started = START + timedelta(days=place)
    run_id = f"{started:%Y%m%dt%H%M%Sz}-0a1b2c3d"
    return RunRef(run_id, started.isoformat(), HOSTILE, str(place), "0.1.0", 100, 90, 6, 9, 7, 5, health)


def row(tag: str, index: int, noise: float = 0.02) -> ClassRow:
    return ClassRow(tag, index, 10, 0.9, 0.95, 80, 3, 2, 5, 0.91, None, 3, 2, noise, 0.03, 1 - noise)


def trend(runs: int, classes: int) -> Trend:
    return Trend(
        HOSTILE,
        tuple(
            TrendRun(
                ref(k, health=None if k == 1 else 0.9), (GateResult("min_rows", k > 0, 1, 2),), 0.01, 0.02
            )
            for k in range(runs)
        ),
        tuple(
            TrendClass(
                f"{k} {HOSTILE}", (0.01,) * runs, (None, *(0.02,) * (runs - 1)), (None, *(5,) * (runs - 1))
            )
            for k in range(classes)
        ),
        runs + 3,
        130,
    )


def comparison() -> Comparison:
    changes = class_changes((row(HOSTILE, 0, 0.04),), (row(HOSTILE, 0),), {HOSTILE: ChangeCounts(3, 1, 2)})
    reasons = {"newly_flagged": {"row_came": 2, "same_tags": 1}, "fixed": {"tags_changed": 1, "row_went": 0}}
    return Comparison(
        run=ref(1),
        against=ref(0),
        rows=ChangeCounts(2, 1, 2),
        cells=ChangeCounts(3, 1, 2),
        classes=changes,
        num_classes=1,
        rows_came=4,
        rows_went=0,
        cell_reasons=reasons,
        notes=("Both runs read the same version.",),
    )
