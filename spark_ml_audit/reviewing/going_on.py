"""Where the next corrected copy goes, and the command that writes it once decisions are in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import narwhals as nw

from spark_ml_audit.engines.base import rows_of
from spark_ml_audit.errors import ConfigError, InputError
from spark_ml_audit.lake.schemas import CORRECTED, CORRECTION_RUNS
from spark_ml_audit.reviewing.audited import address_of, source_of

if TYPE_CHECKING:
    from spark_ml_audit.config import AuditSource, EngineConfig
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.outcomes.runs import FinishedRun


def correct_command(
    tables: OutputTables, run: FinishedRun, engine: EngineConfig, named: Mapping[str, str | None]
) -> str | None:
    """What to type to write a corrected copy of an audited table.

    Args:
        tables: The output.
        run: The audit.
        engine: The section `engine`.
        named: What the command before was told of run and decisions; None values say nothing.

    Returns:
        The command; None where it is not recorded where the audited rows are.
    """
    try:
        source = source_of(run)
    except (ConfigError, InputError):
        return None
    settings: dict[str, object] = {
        f"correct.{key}": value for key, value in named.items() if value is not None
    }
    place = next_copy(tables, run, source)
    if place != tables.location(CORRECTED):
        settings["correct.to"] = place
    return tables.config.command("correct", {**settings, **engine.settings})


def next_copy(tables: OutputTables, run: FinishedRun, source: AuditSource) -> str:
    """Where the next corrected copy goes: a place that is not the source, and that no other round wrote.

    Corrections of one audit are one round: the next copy takes the place of the one before. A correction of
    another audit goes beside it, numbered.

    Args:
        tables: The output.
        run: The audit to correct by.
        source: Its source.
    """
    copy, own = tables.location(CORRECTED), address_of(source).rstrip("/")
    written = tables.existing(CORRECTION_RUNS)
    wrote: dict[str, str] = {}
    if written is not None:
        copies = written.filter((nw.col("mode") == "copy") & nw.col("undoes").is_null())
        newest = copies.select("target", "run_id", "corrected_at").sort("corrected_at")
        wrote = {row["target"]: row["run_id"] for row in rows_of(tables.engine, newest)}
    number, place = 1, copy
    while place == own or wrote.get(place, run.run_id) != run.run_id:
        number += 1
        place = f"{copy}_{number}"
    return place
