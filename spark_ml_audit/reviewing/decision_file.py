"""Files of decisions as one frame: CSV or JSON that people filled in, Parquet, Delta."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import narwhals as nw
import pyarrow as pa

from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.config.paths import absolute
from spark_ml_audit.engines.columns import column, field, names_of
from spark_ml_audit.errors import InputError, reason_of
from spark_ml_audit.lake.choose import delta_table
from spark_ml_audit.lake.places import Place
from spark_ml_audit.reviewing.label_tools import kind_of_json, read_answers
from spark_ml_audit.reviewing.spreadsheet import PLACE, WHERE, read_csv
from spark_ml_audit.reviewing.votes import (
    ADJUDICATED,
    BULK_ID,
    DECISION_ID,
    KIND,
    NOTE,
    SAMPLE_ID,
    SINGLE,
    TAG,
    UNDOES,
    VERDICT,
    WHEN,
    WHO,
    without_undone,
)

if TYPE_CHECKING:
    from spark_ml_audit.config import DecideConfig
    from spark_ml_audit.engines.base import Engine, Frame
    from spark_ml_audit.outcomes.runs import FinishedRun

COLUMNS = (ID, TAG, VERDICT, WHO, WHEN, NOTE, SAMPLE_ID)
"""What makes a row: its digest is the import's, whatever else is beside it."""

MORE = (DECISION_ID, KIND, WHERE)


def read_decision_file(engine: Engine, config: DecideConfig, run: FinishedRun) -> Frame:
    """The id, tag, verdict, who, when, note and sample_id as texts, or as they are typed.

    Raises:
        InputError: It cannot be read, or lacks a column.
    """
    options = config.decide
    kind: str = options.format
    place = absolute(options.file or "")
    try:
        kind = _kind(place) if kind == "auto" else kind
        frame, schema = _open(engine, place, kind)
    except Exception as error:
        raise InputError(
            f"cannot read '{options.file}'{'' if kind == 'auto' else f' as {kind}'}: {reason_of(error)}.",
            key="decide.file",
            fix="Give a CSV file with a header, a JSON export of Label Studio or Argilla, or a folder of "
            "Parquet files or of a Delta table.",
        ) from error
    names = names_of(frame)
    own = run.id_name if run.id_name in names else ID
    for name in (own, TAG, VERDICT):
        field(schema, name, "decide.file")
    nothing = nw.lit(None, dtype=nw.String)
    others = [(nw.col(name) if name in names else nothing).alias(name) for name in COLUMNS[1:]]
    if {KIND, DECISION_ID, BULK_ID, UNDOES} <= set(names):
        # a table of decisions: what holds of it, and only what people judged
        frame = without_undone(frame)
        frame = frame.filter(nw.col(KIND).is_null() | nw.col(KIND).is_in((SINGLE, ADJUDICATED)))
    others += [(nw.col(name).cast(nw.String) if name in names else nothing).alias(name) for name in MORE]
    place_of = nw.col(PLACE) if PLACE in names else nw.lit(None, dtype=nw.Int64)
    return frame.select(column(own).alias(ID), *others, place_of.alias(PLACE))


def _kind(place: str) -> str:
    """The format by name and content."""
    if Path(place, "_delta_log").is_dir():
        return "delta"
    plain = place.rstrip("/").lower()
    if plain.endswith(".parquet"):
        return "parquet"
    return kind_of_json(place) if plain.endswith((".json", ".json.gz")) else "csv"


def _open(engine: Engine, place: str, kind: str) -> tuple[Frame, pa.Schema]:
    if kind in ("csv", "label_studio", "argilla"):
        # what people filled in
        table = read_csv(place) if kind == "csv" else read_answers(place, kind)
        return engine.from_arrow(table), table.drop_columns([WHERE, PLACE]).schema
    if kind == "delta":
        frame = delta_table(engine, Place(place, is_path=True)).read()
    else:
        frame = engine.scan_parquet(place)
    return frame, engine.schema(frame)
