"""Samples as files for spreadsheets: one, or one per reviewer, who share some rows."""

from __future__ import annotations

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
from spark_ml_audit.reviewing.audited import open_audited, source_of
from spark_ml_audit.reviewing.certified import BLIND
from spark_ml_audit.reviewing.draw_judged import votes_of
from spark_ml_audit.reviewing.spreadsheet import write_csv
from spark_ml_audit.reviewing.tables import with_plain_id

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
    """Write a line per cell with empty verdict and note; a blind sample does not tell what was flagged.

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
    header, rows, ids = _lines(run, tables, written, config)
    path, people = config.sample.csv or "", as_tuple(config.sample.reviewers)
    if not people:
        return {"": write_csv(path, header, rows)}
    assigned = assign_rows(hash_values(ids, REVIEWER_SEED), len(people), config.sample.overlap)
    found = {}
    for number, name in enumerate(people):
        own = (assigned == number).any(axis=1)
        chosen = [row for row, is_own in zip(rows, own, strict=True) if is_own]
        found[name] = write_csv(_file_of(path, name, number), header, chosen)
    return found


def _file_of(path: str, name: str, number: int) -> str:
    """The file of one reviewer, named after the common one."""
    base, ending = os.path.splitext(path)
    plain = re.sub(r"[^\w.@-]+", "_", name).strip("._") or str(number + 1)
    return f"{base}-{plain}{ending}"


def _lines(
    run: FinishedRun, tables: OutputTables, written: Frame, config: SampleConfig
) -> tuple[list[str], list[tuple[Any, ...]], Any]:
    """Header, lines and ids of the sample's cells, in the order of their positions."""
    id_name, named, engine = run.id_name, config.sample.show, tables.engine
    shown = [named] if isinstance(named, str) else list(named or ())
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
    values = {name: table.column(name).to_pylist() for name in ("sample_id", "given_tags", "tag", "given")}
    ids = table.column(ID)
    is_bytes = is_binary(ids.type)
    hints = [] if config.sample.how in BLIND else ["issue"]
    said = [votes_of(tables, run, table)] if config.sample.how == "disputed" else []
    nothing = [None] * table.num_rows
    columns = [
        values["sample_id"],
        [value.hex().upper() for value in ids.to_pylist()] if is_bytes else value_texts(ids),
        *[value_texts(table.column(f"show_{k}")) for k in range(len(shown))],
        [", ".join(tags) for tags in values["given_tags"]],
        values["tag"],
        ["given" if is_given else "not given" for is_given in values["given"]],
        *[table.column(name).to_pylist() for name in hints],
        *said,
        nothing,
        nothing,
    ]
    header = ["sample_id", id_name, *shown, "given_tags", "tag", "given", *hints]
    header += [*(["said"] if said else []), "verdict", "note"]
    return header, list(zip(*columns, strict=True)), ids
