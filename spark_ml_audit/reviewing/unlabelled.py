"""Rows without tags that a sample drew to be labelled: they are in no table of an audit but the sample's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw
import pyarrow as pa

from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.engines.base import Batches
from spark_ml_audit.lake.schemas import SAMPLE
from spark_ml_audit.reviewing.tables import with_plain_id

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Frame
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.outcomes.runs import FinishedRun

NEXT = "next"
"""How such samples are drawn."""

AT_RANDOM = "at random"
"""Stratum of their rows that are drawn at random."""

GIVEN_TAGS = ("given_tags", pa.list_(pa.string()))


def stratum_of(tag: str) -> str:
    """Stratum of the rows that were chosen for a class."""
    return f"for {tag}"


def drawn_rows(tables: OutputTables, run_ids: list[str], id_name: str) -> Frame | None:
    """Rows without tags that samples of these runs drew: id, run_id, one row each; None: there are none.

    They are not among the audited rows, so that decisions on them are known by their sample alone.
    """
    samples = tables.existing(SAMPLE)
    if samples is None:
        return None
    own = samples.filter((nw.col("how") == NEXT) & nw.col("run_id").is_in(run_ids))
    return with_plain_id(own, id_name).select(ID, "run_id").unique()


def without_tags(tables: OutputTables, run: FinishedRun) -> Frame | None:
    """The rows of `drawn_rows` as audited ones that were given no tag: id, given_tags."""
    drawn = drawn_rows(tables, [run.run_id], run.id_name)
    if drawn is None:
        return None

    def empty(batches: Batches) -> Batches:
        for batch in batches:
            none = pa.array([[]] * batch.num_rows, GIVEN_TAGS[1])
            yield pa.RecordBatch.from_arrays([batch.column(ID), none], names=[ID, GIVEN_TAGS[0]])

    return tables.engine.map_batches(drawn.select(ID), empty, keep=(ID,), add=pa.schema([GIVEN_TAGS]))
