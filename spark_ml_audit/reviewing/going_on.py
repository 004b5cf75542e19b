"""The command that corrects a table once decisions are in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spark_ml_audit.errors import ConfigError, InputError
from spark_ml_audit.lake.schemas import CORRECTED
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
    place = place_beside(source, tables.location(CORRECTED))
    if place is not None:
        settings["correct.to"] = place
    return tables.config.command("correct", {**settings, **engine.settings})


def place_beside(source: AuditSource, copy: str) -> str | None:
    """Where the next copy goes if the source is the copy of an earlier correction: beside it, numbered.

    Args:
        source: Of the audit.
        copy: Where copies go otherwise.

    Returns:
        The place; None where copies go where they go otherwise.
    """
    own, number, place = address_of(source).rstrip("/"), 1, copy
    while own == place:
        number += 1
        place = f"{copy}_{number}"
    return place if number > 1 else None
