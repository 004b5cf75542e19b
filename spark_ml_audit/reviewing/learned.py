"""The order of undecided cells, learned from the decided ones (method: `kernels.learned_order`).

A decided cell counts as people saw it: with the probability and the given tag of the first run that flagged
or drew it. A later audit may have other probabilities, and one of a corrected copy has the decisions for its
given tags, from which nothing could be learned. Decisions on cells that no run of the output flagged or drew
are left aside, as are bulk acceptances, which nobody has looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from spark_ml_audit.arrow.encode import EXTRANEOUS
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.config import OutputConfig
from spark_ml_audit.config.paths import is_path
from spark_ml_audit.engines.columns import column, names_of
from spark_ml_audit.kernels.learned_order import DecidedCells, fit_order
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.schemas import DECISIONS, EXAMPLES, RUNS, SAMPLE, TAG_ISSUES
from spark_ml_audit.lake.source import read_place
from spark_ml_audit.outcomes.decisions import DecisionsUse, OrderLearned
from spark_ml_audit.reviewing.certified import BLIND
from spark_ml_audit.reviewing.decisions import STANDING, check_decisions, standing_decisions
from spark_ml_audit.reviewing.tables import frame_type, tables_of
from spark_ml_audit.reviewing.votes import ADJUDICATED, BASIS, BULK, KIND, SAMPLE_ID, TAG, VERDICT, WHEN

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine, Frame
    from spark_ml_audit.outcomes.runs import FinishedRun

MOST_CELLS = 100_000
"""Decided cells that are learned from, at most: of more, the newest."""

_CELL = (ID, TAG)
_GIVEN, _PROB, _RUN, _RANDOM = "given", "pred_prob", "run_id", "is_random"


def order_now(tables: OutputTables, run: FinishedRun) -> OrderLearned:
    """What the order of a run's cells has learned by now.

    That is from the decisions of the output; where they are too few, what the run itself learned from the
    table that its audit was given.

    Args:
        tables: The output.
        run: The run.
    """
    id_type = tables.schema(EXAMPLES).field(run.id_name).type
    found = learned_order(tables, run.id_name, id_type, run.tags)
    if found.order is None:
        use = DecisionsUse.from_json(run.decisions)
        if use is not None and use.order.order is not None:
            return use.order
    return found


def learned_order(
    tables: OutputTables,
    id_name: str,
    id_type: Any,
    tags: Sequence[str],
    place: str | None = None,
    decisions: Frame | None = None,
) -> OrderLearned:
    """What the standing decisions teach about the order of undecided cells.

    Args:
        tables: The output of the audit.
        id_name: Name of its id column.
        id_type: Arrow type of that.
        tags: Classes in class order.
        place: Table of the decisions, of this output or of another, whose runs say then what people were
            shown; None for the output's own.
        decisions: That table, already read.

    Raises:
        InputError: The table of decisions cannot be read.
    """
    engine = tables.engine
    outputs = [tables]
    if place is not None:
        if decisions is None:
            decisions = read_place(engine, place, "source.decisions")
        other = _output_of(engine, place)
        if other is not None and other.location(DECISIONS) != tables.location(DECISIONS):
            outputs.append(other)
    elif decisions is None:
        decisions = tables.existing(DECISIONS)
    if decisions is None:
        return OrderLearned()
    shown = [frame for item in outputs for frame in _shown(item, id_name, id_type)]
    if not shown:
        return OrderLearned()
    checked = check_decisions(engine, decisions, id_name, id_type, "source.decisions")
    standing = standing_decisions(engine, checked, tags)
    sure = standing.filter(
        (nw.col("state") == STANDING) & (nw.col(VERDICT) != "unsure") & (nw.col(BASIS) != BULK)
    ).select(*_CELL, "class_index", VERDICT, WHEN)
    told = sure.join(_first_shown(nw.concat(shown)), on=list(_CELL), how="inner")
    drawn = [frame for item in outputs for frame in _drawn_blind(item, id_name, id_type)]
    if drawn:
        told = told.join(_random(checked, nw.concat(drawn)), on=list(_CELL), how="left")
    else:
        told = told.with_columns(nw.lit(None, dtype=nw.Boolean).alias(_RANDOM))
    found = _collected(engine, told)
    order = fit_order(found) if found.are_enough else None
    return OrderLearned(len(found), found.num_random, order)


def _output_of(engine: Engine, place: str) -> OutputTables | None:
    """The output whose table of decisions a place names; None where it does not look like one."""
    output, name = tables_of(engine, place)
    plain = name.strip('`"')
    if not plain.endswith(DECISIONS) or (is_path(place) and plain != DECISIONS):
        return None
    prefix = plain.removesuffix(DECISIONS)
    if not prefix:
        return output
    return OutputTables(
        engine, OutputConfig.parse({"schema": output.config.schema_name, "prefix": prefix}, "output")
    )


def _ids(frame: Frame, engine: Engine, id_name: str, id_type: Any) -> nw.Expr | None:
    """The ids of a table as the audit has them; None where it names rows by another column."""
    if id_name not in names_of(frame):
        return None
    is_alike = engine.schema(frame.select(column(id_name))).field(id_name).type == id_type
    return (column(id_name) if is_alike else column(id_name).cast(frame_type(id_type))).alias(ID)


def _shown(tables: OutputTables, id_name: str, id_type: Any) -> list[Frame]:
    """The cells that finished runs flagged or drew: id, tag, run_id, given, pred_prob."""
    runs, found = tables.existing(RUNS), []
    if runs is None:
        return []
    flagged, drawn = tables.existing(TAG_ISSUES), tables.existing(SAMPLE)
    for frame, given in ((flagged, nw.col("issue") == EXTRANEOUS), (drawn, nw.col(_GIVEN))):
        ids = None if frame is None else _ids(frame, tables.engine, id_name, id_type)
        if frame is not None and ids is not None:
            finished = frame.join(runs.select(_RUN), on=_RUN, how="semi")
            found.append(finished.select(ids, TAG, _RUN, given.alias(_GIVEN), nw.col(_PROB)))
    return found


def _first_shown(cells: Frame) -> Frame:
    """Every cell as the first run had it that flagged or drew it: run ids start with their time."""
    known = cells.filter(~nw.col(_PROB).is_null())
    marked = known.with_columns(nw.col(_RUN).min().over(*_CELL).alias("first_run"))
    first = marked.filter(nw.col(_RUN) == nw.col("first_run"))
    given = nw.when(nw.col(_GIVEN)).then(1).otherwise(0).max()
    return first.group_by(*_CELL).agg(nw.col(_PROB).max().alias(_PROB), given.alias(_GIVEN))


def _drawn_blind(tables: OutputTables, id_name: str, id_type: Any) -> list[Frame]:
    """The cells of random samples: sample_id, id, tag."""
    drawn = tables.existing(SAMPLE)
    ids = None if drawn is None else _ids(drawn, tables.engine, id_name, id_type)
    if drawn is None or ids is None:
        return []
    return [drawn.filter(nw.col("how").is_in(BLIND)).select(SAMPLE_ID, ids, TAG)]


def _random(checked: Frame, drawn: Frame) -> Frame:
    """The cells with a decision that answers a random sample: id, tag, is_random."""
    kind = nw.col(KIND)
    own = checked.filter(kind.is_null() | ~kind.is_in((BULK, ADJUDICATED)))
    answers = own.select(SAMPLE_ID, *_CELL).join(drawn, on=[SAMPLE_ID, *_CELL], how="semi")
    return answers.select(*_CELL).unique().with_columns(nw.lit(True).alias(_RANDOM))


def _collected(engine: Engine, told: Frame) -> DecidedCells:
    """The newest cells, in the order of their ids and tags."""
    kept = told.select(*_CELL, "class_index", VERDICT, WHEN, _PROB, _GIVEN, _RANDOM)
    newest = kept.sort(WHEN, *_CELL, descending=[True, False, False], nulls_last=True).head(MOST_CELLS)
    found = engine.collect(newest).sort_by([(ID, "ascending"), (TAG, "ascending")])
    columns = {name: found.column(name).to_numpy() for name in ("class_index", _PROB, _GIVEN)}
    verdict = np.array(found.column(VERDICT).to_pylist(), dtype=object)
    random = found.column(_RANDOM).fill_null(False).to_numpy()
    return DecidedCells(
        pred_prob=columns[_PROB].astype(np.float64),
        given=columns[_GIVEN] == 1,
        class_index=columns["class_index"].astype(np.int64),
        present=verdict == "present",
        is_random=random.astype(np.bool_),
    )
