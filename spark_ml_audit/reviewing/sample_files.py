"""Samples as files to be filled in: one, or one per reviewer, who share some rows."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from spark_ml_audit.arrow.hashes import hash_values
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.arrow.types import is_binary
from spark_ml_audit.arrow.value_texts import value_texts
from spark_ml_audit.config.features import as_tuple
from spark_ml_audit.engines.columns import column, field
from spark_ml_audit.kernels.assignment import assign_rows
from spark_ml_audit.reviewing.asked import Asked, Columns, cell_lines, row_lines
from spark_ml_audit.reviewing.audited import open_audited, source_of
from spark_ml_audit.reviewing.certified import BLIND
from spark_ml_audit.reviewing.draw_judged import votes_of
from spark_ml_audit.reviewing.label_tools import argilla_records, label_studio_tasks
from spark_ml_audit.reviewing.spreadsheet import write_csv, write_file
from spark_ml_audit.reviewing.tables import with_plain_id
from spark_ml_audit.reviewing.unlabelled import NEXT

if TYPE_CHECKING:
    from spark_ml_audit.config import SampleConfig
    from spark_ml_audit.engines.base import Frame
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.outcomes.runs import FinishedRun

REVIEWER_SEED = 29
"""Of the hash of a row's id by which rows are divided among people: another one than draws cells."""


def write_files(
    run: FinishedRun, tables: OutputTables, written: Frame, config: SampleConfig
) -> dict[str, str]:
    """Write what is asked, to be filled in; a blind sample does not tell what was flagged.

    Args:
        run: The audit.
        tables: The output.
        written: The cells of the sample.
        config: The effective config.

    Returns:
        Reviewer -> file; the one file under the empty name where no reviewers are named.

    Raises:
        ConfigError: A file cannot be written.
        InputError: A column to show is not there.
    """
    columns, cells, ids = _asked(run, tables, written, config)
    path, people = config.sample.csv or "", as_tuple(config.sample.reviewers)
    if not people:
        return {"": _write(path, cells, columns, config)}
    assigned = assign_rows(hash_values(ids, REVIEWER_SEED), len(people), config.sample.overlap)
    found = {}
    for number, name in enumerate(people):
        own = (assigned == number).any(axis=1)
        chosen = [cell for cell, is_own in zip(cells, own, strict=True) if is_own]
        found[name] = _write(_file_of(path, name, number), chosen, columns, config)
    return found


def _write(path: str, cells: list[Asked], columns: Columns, config: SampleConfig) -> str:
    """Write cells in the format that is wanted."""
    if config.sample.format == "csv":
        lines = row_lines if config.sample.layout == "rows" else cell_lines
        return write_csv(path, *lines(cells, columns))
    tool = label_studio_tasks if config.sample.format == "label_studio" else argilla_records
    content = tool(cells, columns.shown, suggest=columns.has_flags)
    # in ASCII, with escapes: Argilla reads files in the encoding of the machine
    return write_file(path, json.dumps(content, indent=1).encode())


def _file_of(path: str, name: str, number: int) -> str:
    """The file of one reviewer, named after the common one."""
    base, ending = os.path.splitext(path)
    plain = re.sub(r"[^\w.@-]+", "_", name).strip("._") or str(number + 1)
    return f"{base}-{plain}{ending}"


def _asked(
    run: FinishedRun, tables: OutputTables, written: Frame, config: SampleConfig
) -> tuple[Columns, list[Asked], Any]:
    """The sample's cells in the order of their positions, what is told of them, and their ids."""
    id_name, engine = run.id_name, tables.engine
    shown = as_tuple(config.sample.show or ())
    cells = with_plain_id(written, id_name)
    if shown:
        source = open_audited(engine, run, source_of(run, config.source))
        for name in shown:
            field(source.schema, name, "sample.show")
        with_arrays = engine.with_arrays(source.frame, shown)
        beside = [column(name).alias(f"show_{k}") for k, name in enumerate(shown)]
        rows = with_arrays.select(column(id_name).alias(ID), *beside)
        cells = rows.join(cells, on=ID, how="inner")
    table = engine.collect(cells.sort("position", "position_in_row"))  # bounded by the config
    ids = table.column(ID)
    is_bytes = is_binary(ids.type)
    texts = [value.hex().upper() for value in ids.to_pylist()] if is_bytes else value_texts(ids)
    # who labels a row anew is not told what the model thinks of it
    has_flags = config.sample.how not in (*BLIND, NEXT)
    told = Columns(id_name, shown, has_flags, has_said=config.sample.how == "disputed")
    said = votes_of(tables, run, table) if told.has_said else [None] * table.num_rows
    beside_rows = [value_texts(table.column(f"show_{k}")) for k in range(len(shown))]
    names = ("sample_id", "given_tags", "tag", "given", "issue", "pred_prob")
    values = table.select(names).to_pylist()
    found = [
        Asked(
            sample_id=row["sample_id"],
            row_id=texts[place] or "",
            shown=tuple(column[place] for column in beside_rows),
            given_tags=tuple(row["given_tags"]),
            tag=row["tag"],
            is_given=row["given"],
            issue=row["issue"] if told.has_flags else None,
            pred_prob=row["pred_prob"] if told.has_flags else None,
            said=said[place],
        )
        for place, row in enumerate(values)
    ]
    return told, found, ids
