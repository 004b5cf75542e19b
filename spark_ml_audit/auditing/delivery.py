"""What a finished audit tells people: its warnings, its worst classes, and what goes to tracking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from spark_ml_audit.frames.hints import sentences
from spark_ml_audit.outcomes.records import ClassRow, Counts, GateResult, affected
from spark_ml_audit.tracking import RunDelivery

if TYPE_CHECKING:
    import pyarrow as pa

    from spark_ml_audit.config import AuditConfig
    from spark_ml_audit.frames.fit import AuditFit

WORST_CLASSES = 10
"""Classes that an outcome lists."""

WORST_ROWS = 1000
"""Rows that tracking gets."""

_TRACKED_CLASSES = 20
_TAG_LISTS = ("given_tags", "suggested_tags", "missing_tags", "extraneous_tags")


def delivery_of(
    classes: tuple[ClassRow, ...],
    issues: pa.Table | None,
    *,
    status: str,
    stages: Mapping[str, float],
    warnings: Sequence[str],
    config: str,
    gates: Sequence[GateResult] = (),
) -> RunDelivery:
    """What tracking gets once a run is committed; bounded, whatever the size of the table.

    Args:
        classes: The class table of the run.
        issues: Its worst rows, from `issues`, worst first; None where a version wrote no such table.
        status: Status of the run.
        stages: Seconds per stage.
        warnings: Sentences of the run.
        config: The effective config as JSON.
        gates: Quality gates of the run.
    """
    import pandas as pd

    tables = {"classes": pd.DataFrame([row.to_dict() for row in classes])}
    if issues is not None:
        worst = issues.slice(0, WORST_ROWS).drop_columns(["flagged_cells"]).to_pandas()
        for name in _TAG_LISTS:
            worst[name] = [", ".join(tags) for tags in worst[name]]
        tables["worst_rows"] = worst
    if gates:
        tables["gates"] = pd.DataFrame([gate.to_dict() for gate in gates])
    return RunDelivery(
        status=status,
        stages=stages,
        warnings=warnings,
        tables=tables,
        artifacts={"config.json": config},
        classes=worst_classes(classes, _TRACKED_CLASSES),
        metrics=class_aggregates(classes),
    )


def first_look_command(config: AuditConfig) -> str:
    """The command that draws a first look from the newest audit of a config's output."""
    show = list(config.source.shown_columns)
    settings: dict[str, object] = {"sample.how": "first-look", "sample.csv": "look.csv"}
    if show:
        settings["sample.show"] = show
    return config.output.command("sample", {**settings, **config.engine.settings})


def class_aggregates(classes: Sequence[ClassRow]) -> dict[str, float | None]:
    """Figures over all classes, whatever their number: how many are affected, mean and largest noise."""
    found: dict[str, float | None] = {
        "classes/num": len(classes),
        "classes/num_affected": sum(row.num_missing + row.num_extraneous > 0 for row in classes),
    }
    for name in ("label_noise", "inverse_label_noise", "noise"):
        values = [value for row in classes if (value := getattr(row, name)) is not None]
        if values:
            found[f"classes/mean_{name}"] = sum(values) / len(values)
            found[f"classes/max_{name}"] = max(values)
    return found


def worst_classes(classes: tuple[ClassRow, ...], limit: int) -> tuple[ClassRow, ...]:
    """The classes with the most flagged cells, most first; none without any."""
    return tuple(affected(classes)[:limit])


def warnings_of(fit: AuditFit, counts: Counts) -> list[str]:
    """Sentences on what a reader of the result should know, likely mistakes in the source first."""
    found = [*sentences(fit.ingest.hints)]
    if not counts.num_rows:
        found.append("The source has no rows.")
    elif not counts.num_audited:
        found.append("No row could be audited: all are unlabelled or in quarantine.")
    if counts.num_quarantined:
        found.append(f"{counts.num_quarantined} of {counts.num_rows} rows are in quarantine.")
    unused = [row.tag for row in fit.classes if not row.num_given]
    if unused and counts.num_audited:
        shown = ", ".join(f"'{tag}'" for tag in unused[:5]) + (", ..." if len(unused) > 5 else "")
        found.append(f"{len(unused)} of {len(fit.classes)} classes are given to no row: {shown}.")
    everywhere = [
        row.tag for row in fit.classes if counts.num_audited and row.num_given == counts.num_audited
    ]
    if everywhere:
        shown = ", ".join(f"'{tag}'" for tag in everywhere[:5]) + (", ..." if len(everywhere) > 5 else "")
        found.append(f"{len(everywhere)} classes are given to every row: {shown}.")
    if fit.rules.scoring.score == "confidence_weighted_entropy" and fit.num_certain_cells:
        found.append(
            f"{fit.num_certain_cells} probabilities are exactly 0 or 1; confidence_weighted_entropy "
            "gives them the worst score even where the tag agrees."
        )
    return found
