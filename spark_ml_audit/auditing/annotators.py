"""Noise by the people who gave the tags (`source.annotator`): the table `annotators`, and some of it told."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import narwhals as nw
import pyarrow as pa

from spark_ml_audit.arrow.annotators import ANNOTATOR, COUNTED, COUNTS, flags_of, takes, verdicts_by
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.arrow.types import type_name
from spark_ml_audit.config.features import as_tuple
from spark_ml_audit.engines.base import rows_of
from spark_ml_audit.engines.columns import column, field
from spark_ml_audit.errors import InputError
from spark_ml_audit.lake.schemas import ANNOTATORS, DECISIONS, EXAMPLES
from spark_ml_audit.lake.source import read_place
from spark_ml_audit.outcomes.audit import AnnotatorNoise
from spark_ml_audit.reviewing.decisions import STANDING, check_decisions, standing_decisions
from spark_ml_audit.reviewing.tables import with_plain_id
from spark_ml_audit.reviewing.votes import BASIS, BULK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spark_ml_audit.auditing.context import AuditContext
    from spark_ml_audit.engines.base import Frame
    from spark_ml_audit.lake.output import OutputTables

TOLD = 20
"""Annotators that an outcome names."""


def check_annotators(schema: pa.Schema, names: Sequence[str]) -> None:
    """Refuse columns that are not there or cannot name people.

    Raises:
        InputError: One of them.
    """
    for name in names:
        kind = field(schema, name, "source.annotator").type
        if not takes(kind):
            raise InputError(
                f"column '{name}' is {type_name(kind)}, which names nobody.",
                key="source.annotator",
                fix="Give columns of texts or whole numbers, of lists of these, or maps from tags to them.",
            )


def write_annotators(context: AuditContext, classes: Sequence[str]) -> tuple[AnnotatorNoise, ...]:
    """Append noise by annotator to the table `annotators`; some of them, those with most flags first.

    Args:
        context: The audit, its `examples` written.
        classes: Tag names in class order.
    """
    names = as_tuple(context.config.source.annotator)
    if not names:
        return ()
    tables, run_id = context.tables, context.run.run_id
    with context.progress.stage(ANNOTATORS):
        tables.append(ANNOTATORS, _noise(context, names, classes), run_id)
    return read_annotators(tables, run_id)


def read_annotators(tables: OutputTables, run_id: str) -> tuple[AnnotatorNoise, ...]:
    """Some annotators of a run, those with most flags first; nothing where none were named."""
    if not tables.exists(ANNOTATORS):
        return ()
    flags = nw.col("num_extraneous") + nw.col("num_missing")
    first = tables.read(ANNOTATORS, run_id).with_columns(flags.alias("flags"))
    ordered = first.sort("flags", ANNOTATOR, descending=[True, False]).head(TOLD).drop("flags", "run_id")
    return tuple(AnnotatorNoise(**row) for row in rows_of(tables.engine, ordered))


def _noise(context: AuditContext, names: Sequence[str], classes: Sequence[str]) -> Frame:
    """One row per annotator: what `COUNTS` names, and shares."""
    tables, engine, source = context.tables, context.tables.engine, context.config.source
    keys = [f"annotator_{place}" for place in range(len(names))]
    examples = with_plain_id(tables.read(EXAMPLES, context.run.run_id), source.id)
    named = context.source.frame.select(
        column(source.id).alias(ID), *[column(name).alias(key) for name, key in zip(names, keys, strict=True)]
    )
    tags = examples.select(ID, "given_tags", "extraneous_tags", "missing_tags")
    rows = tags.join(named, on=ID, how="inner").drop(ID)
    parts = [engine.map_batches(rows, partial(flags_of, columns=keys), keep=(), add=COUNTED)]
    judged = _judged(context, examples.select(ID), classes)
    if judged is not None:
        given = judged.join(tags.select(ID, "given_tags"), on=ID, how="inner")
        cells = given.join(named, on=ID, how="inner").drop(ID)
        parts.append(engine.map_batches(cells, partial(verdicts_by, columns=keys), keep=(), add=COUNTED))
    together = parts[0] if len(parts) == 1 else nw.concat(parts)
    summed = together.group_by(ANNOTATOR).agg(*[nw.col(name).sum().cast(nw.Int64) for name in COUNTS])

    def share(part: str, whole: str) -> nw.Expr:
        number = nw.col(whole)
        return nw.when(number > 0).then(nw.col(part).cast(nw.Float64) / number.cast(nw.Float64))

    return summed.select(
        ANNOTATOR,
        *COUNTS,
        share("num_extraneous", "num_given").alias("extraneous_share"),
        share("num_wrong", "num_judged").alias("wrong_share"),
    )


def _judged(context: AuditContext, ids: Frame, classes: Sequence[str]) -> Frame | None:
    """The cells that people judged, with their verdict; None without any decisions."""
    tables, named = context.tables, context.config.source.decisions
    key = "source.decisions"
    known: Any = tables.existing(DECISIONS) if named is None else read_place(tables.engine, named, key)
    if known is None:
        return None
    id_type = tables.engine.schema(ids).field(ID).type
    checked = check_decisions(tables.engine, known, context.config.source.id, id_type, key)
    standing = standing_decisions(tables.engine, checked, classes)
    sure = (nw.col("state") == STANDING) & (nw.col("verdict") != "unsure") & (nw.col(BASIS) != BULK)
    return standing.filter(sure).select(ID, "tag", "verdict")
