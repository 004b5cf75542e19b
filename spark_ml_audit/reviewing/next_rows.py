"""What to label next: rows without tags on which nobody has decided, chosen by `kernels.label_next`.

Two passes over the audited source. The first nominates, class by class, the rows without tags that the model
doubts most, some random ones, and labelled rows to compare with; the second fetches probabilities and
compared columns of these alone. What reaches the driver is bounded by the sample's size and the number of
classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spark_ml_audit.arrow.contents import CONTENT, content_hashes, content_texts
from spark_ml_audit.arrow.decode import decode_batches
from spark_ml_audit.arrow.hashes import hash_values
from spark_ml_audit.arrow.layout import AUDITED, ID, MARKS, UNLABELLED
from spark_ml_audit.arrow.lists import matrix_lists
from spark_ml_audit.config.review import MAX_SAMPLE
from spark_ml_audit.engines.base import Batches, from_records
from spark_ml_audit.engines.columns import in_frame
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.frames.features import TextCut, feature_struct
from spark_ml_audit.frames.ingest import Ingest, find_repeated_ids
from spark_ml_audit.kernels.label_next import (
    RANDOM,
    asked_classes,
    batch_budget,
    cell_doubt,
    choose_next,
    class_need,
    nominate,
    nominations,
)
from spark_ml_audit.kernels.trust_levels import GOOD
from spark_ml_audit.lake.schemas import DECISIONS, SAMPLE_FIELDS
from spark_ml_audit.reviewing.audited import ingest_of, source_of
from spark_ml_audit.reviewing.compared import Compared, Fetched, compared_columns
from spark_ml_audit.reviewing.decisions import check_decisions
from spark_ml_audit.reviewing.excluded import excluded_rows
from spark_ml_audit.reviewing.unlabelled import AT_RANDOM, GIVEN_TAGS, stratum_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spark_ml_audit.config import SampleConfig
    from spark_ml_audit.engines.base import Frame
    from spark_ml_audit.kernels.label_next import ChosenRow
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.outcomes.runs import FinishedRun

ASKED_ABOVE, MOST_ASKED = 0.05, 10
"""People are asked about classes of at least this probability, at most so many of a row."""

REFERENCE = 2000
"""Labelled rows with which candidates are compared."""

_CLASS, _ORDER, _HASH, _COUNT = "class_index", "order", "hash", "count"
# In place of a class, beside RANDOM: a labelled row to compare with.
_LABELLED = -2
_NOMINATED = pa.schema(
    [(_CLASS, pa.int32()), (_ORDER, pa.float64()), (_HASH, pa.int64()), (_COUNT, pa.int64())]
)
_PROBS, _CARRIED = "probs", "carried"


def next_cells(run: FinishedRun, tables: OutputTables, config: SampleConfig, notes: list[str]) -> Frame:
    """The cells to ask about of the rows to label next, in the order in which they were chosen.

    Args:
        run: The audit.
        tables: The output.
        config: The effective config.
        notes: Gets sentences on what was looked at.

    Raises:
        ConfigError: The audited source has no row without tags on which nobody has decided, or the budget
            of the classes is more than a sample holds.
        InputError: The source cannot be read any more.
    """
    options = config.sample
    ingest = find_repeated_ids(ingest_of(tables, run, source_of(run, config.source)))
    need = class_need(
        np.array([row.num_given for row in run.classes], dtype=np.int64),
        np.array([row.trust == GOOD for row in run.classes]),
    )
    budget = batch_budget(need, options.size, options.per_class)
    if budget.sum() > MAX_SAMPLE:
        raise ConfigError(
            f"{options.per_class} rows for each of {len(need):,} classes and a fifth of all at random are "
            f"{int(budget.sum()):,} rows: a sample has at most {MAX_SAMPLE:,}.",
            key="sample.per_class",
            fix="Give fewer, or sample.size instead.",
        )
    found = _nominated(_with_decided(run, tables, ingest), nominations(budget), options.seed)
    pool = int(pc.sum(found.column(_COUNT)).as_py() or 0)
    if not pool:
        raise ConfigError(
            f"run {run.run_id} has no row without tags on which nobody has decided.",
            key="sample.how",
            fix="Add rows whose labels are null to the source and audit it again, or draw another sample.",
        )
    named = _keep_best(found.filter(pc.is_valid(found.column(_HASH))), nominations(budget))
    compared = compared_columns(run, tables, ingest)
    candidates, labelled = _fetched(ingest, named, compared, options.seed)
    vectors = compared.vectors(candidates, labelled, tables)
    notes += [vectors.told, _told(pool)]
    chosen = choose_next(
        candidates.probs,
        candidates.hashes,
        budget,
        vectors.candidates,
        vectors.labelled,
        shared=options.per_class is None,
    )
    cells = _cells(chosen, candidates, run.tags, pool)
    names = [ID, *[name for name, _ in SAMPLE_FIELDS], GIVEN_TAGS[0], "position_in_row"]
    kinds = [(ID, ingest.id_type), *SAMPLE_FIELDS, GIVEN_TAGS, ("position_in_row", pa.int32())]
    return from_records(tables.engine, cells, pa.schema(kinds)).select(*names)


def _told(pool: int) -> str:
    return (
        f"Chosen among {pool:,} rows without tags. Tags that are not asked about count as absent once a row "
        "gets one: add a line for any that is missing."
    )


# ---- candidates ------------------------------------------------------------------------------------


def _with_decided(run: FinishedRun, tables: OutputTables, ingest: Ingest) -> Ingest:
    """The source, its rows on which somebody has decided, or that somebody excluded, marked."""
    known = tables.existing(DECISIONS)
    if known is None:
        return ingest
    checked = check_decisions(tables.engine, known, run.id_name, ingest.id_type, "output.path")
    ids = checked.filter(~nw.col(ID).is_null()).select(ID)
    excluded = excluded_rows(tables, run)
    if excluded is not None:
        ids = nw.concat([ids, excluded.select(ID)], how="vertical")
    marks = ids.unique().select(ID, nw.lit(0).cast(nw.Int32).alias(MARKS))
    return replace(ingest, marks=tables.engine.lists(marks, [ID], MARKS))


def _nominated(ingest: Ingest, wanted: npt.NDArray[np.int64], seed: int) -> pa.Table:
    """Candidates of all tasks: id, class (or what stands for it), order and hash; and counts of the pool."""
    layout = ingest.layout

    def run(batches: Batches) -> Batches:
        kept = _Kept.none(wanted)
        id_type: Any = None
        for decoded in decode_batches(batches, layout, UNLABELLED):
            ids = decoded.source.column(ID)
            id_type, hashes = ids.type, hash_values(ids, seed)
            is_open = np.ones(len(decoded.audited), dtype=bool)
            if decoded.marks is not None:
                is_open[decoded.marks[0]] = False
            is_labelled = decoded.status == AUDITED
            is_labelled[decoded.audited[~is_open]] = True
            rows = decoded.audited[is_open]
            kept = kept.add(ids, hashes, rows, cell_doubt(decoded.pred_probs[is_open]), is_labelled)
        if kept.ids is not None:
            yield kept.batch()
        if kept.count:
            count = pa.array([kept.count], pa.int64())
            nothing = [pa.nulls(1, kind) for kind in (id_type, *_NOMINATED.types[:-1])]
            yield pa.RecordBatch.from_arrays([*nothing, count], names=[ID, *_NOMINATED.names])

    frame = ingest.task_frame(with_id=True)
    # what tasks return is bounded by the sample's size, the classes and the tasks
    return ingest.engine.collect(ingest.engine.map_batches(frame, run, keep=(ID,), add=_NOMINATED))


@dataclass(frozen=True)
class _Kept:
    """What a task has nominated so far: pairs of class and row."""

    wanted: npt.NDArray[np.int64]
    ids: Any
    classes: npt.NDArray[np.int64]
    order: npt.NDArray[np.float64]
    hashes: npt.NDArray[np.int64]
    count: int

    @classmethod
    def none(cls, wanted: npt.NDArray[np.int64]) -> _Kept:
        nothing = np.zeros(0, dtype=np.int64)
        return cls(wanted, None, nothing, np.zeros(0), nothing, 0)

    def add(
        self,
        ids: Any,
        hashes: npt.NDArray[np.int64],
        rows: npt.NDArray[np.int64],
        doubt: npt.NDArray[np.float64],
        is_labelled: npt.NDArray[np.bool_],
    ) -> _Kept:
        """With the rows of a batch, of every class only as many as are wanted."""
        classes, places, order = [], [], []
        for k, best in nominate(doubt, hashes[rows], self.wanted):
            classes.append(np.full(len(best), k))
            places.append(rows[best])
            order.append(np.zeros(len(best)) if k == RANDOM else -doubt[best, k])
        labelled = np.flatnonzero(is_labelled)
        labelled = labelled[np.argsort(hashes[labelled], kind="stable")[:REFERENCE]]
        at = np.concatenate([*places, labelled]).astype(np.int64)
        found = _Kept(
            self.wanted,
            ids.take(pa.array(at)),
            np.concatenate([self.classes, *classes, np.full(len(labelled), _LABELLED)]).astype(np.int64),
            np.concatenate([self.order, *order, np.zeros(len(labelled))]),
            np.concatenate([self.hashes, hashes[at]]),
            self.count + len(rows),
        )
        both = found.ids if self.ids is None else pa.concat_arrays([self.ids, found.ids])
        best = _best_pairs(found.classes, found.order, found.hashes, self.wanted)
        return _Kept(
            self.wanted,
            both.take(pa.array(best)),
            found.classes[best],
            found.order[best],
            found.hashes[best],
            found.count,
        )

    def batch(self) -> Any:
        """As a record batch."""
        none = pa.nulls(len(self.ids), pa.int64())
        columns = [self.ids, pa.array(self.classes, pa.int32()), pa.array(self.order), pa.array(self.hashes)]
        return pa.RecordBatch.from_arrays([*columns, none], names=[ID, *_NOMINATED.names])


def _best_pairs(
    classes: npt.NDArray[np.int64],
    order: npt.NDArray[np.float64],
    hashes: npt.NDArray[np.int64],
    wanted: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Of every class its first pairs, as many as are wanted, by order and hash."""
    ranked = np.lexsort((hashes, order, classes))
    own = classes[ranked]
    place = np.arange(len(own)) - np.searchsorted(own, own)
    limits = np.where(own == _LABELLED, REFERENCE, wanted[own])  # RANDOM is the last one
    return np.asarray(ranked[place < limits], dtype=np.int64)


def _keep_best(pairs: pa.Table, wanted: npt.NDArray[np.int64]) -> pa.Table:
    """Of what all tasks nominated the best, by class, order, hash and id."""
    names = (_CLASS, _ORDER, _HASH, ID)
    pairs = pairs.sort_by([(name, "ascending") for name in names])
    columns = [pairs.column(name).to_numpy() for name in (_CLASS, _ORDER, _HASH)]
    # the sort is stable in the order of the ids
    best = _best_pairs(columns[0].astype(np.int64), columns[1], columns[2], wanted)
    return pairs.take(pa.array(best))


# ---- what is known of them -------------------------------------------------------------------------


def _fetched(ingest: Ingest, named: pa.Table, compared: Compared, seed: int) -> tuple[Fetched, Fetched]:
    """Candidates and labelled rows with what is known of them."""
    engine, layout = ingest.engine, ingest.layout
    wanted = pa.table({ID: named.column(ID)}).group_by(ID).aggregate([])
    ids = engine.from_arrow(wanted.rename_columns(["__wanted"]))
    arrays = engine.with_arrays(ingest.frame, [*compared.columns])
    rows = replace(
        ingest, frame=arrays.join(ids, left_on=in_frame(layout.id), right_on="__wanted", how="semi")
    )
    carry = feature_struct(compared.columns) if compared.columns else None
    kept = (ID, _CARRIED) if carry is not None else (ID,)
    contents = [(CONTENT, pa.int64())] if compared.has_contents else []
    added, cut = pa.schema([(_PROBS, pa.list_(pa.float64())), *contents]), TextCut()

    def run(batches: Batches) -> Batches:
        for decoded in decode_batches(batches, layout, UNLABELLED):
            good = np.flatnonzero(decoded.status <= UNLABELLED)
            taken = decoded.source.take(pa.array(good))
            probs = np.zeros((len(decoded.status), layout.num_classes))
            probs[decoded.audited] = decoded.pred_probs
            columns = [taken.column(ID)]
            if _CARRIED in kept:
                columns.append(cut.of_struct(taken.column(_CARRIED)))
            columns.append(matrix_lists(probs[good]))
            if compared.has_contents:
                columns.append(content_hashes(content_texts(taken.column(_CARRIED).flatten())))
            yield pa.RecordBatch.from_arrays(columns, names=[*kept, *added.names])

    frame = rows.task_frame(with_id=True, carry=carry)
    found = engine.collect(engine.map_batches(frame, run, keep=kept, add=added)).combine_chunks()
    is_labelled = pc.is_in(
        found.column(ID), named.filter(pc.equal(named.column(_CLASS), _LABELLED)).column(ID)
    )
    return (
        _in_order(found.filter(pc.invert(is_labelled)), layout.num_classes, seed),
        _in_order(found.filter(is_labelled), layout.num_classes, seed),
    )


def _in_order(rows: pa.Table, num_classes: int, seed: int) -> Fetched:
    hashes = hash_values(_whole(rows.column(ID)), seed)
    rows = rows.append_column(_HASH, pa.array(hashes)).sort_by([(_HASH, "ascending"), (ID, "ascending")])
    flat = _whole(rows.column(_PROBS)).flatten().to_numpy(zero_copy_only=False)
    values = _whole(rows.column(_CARRIED)) if _CARRIED in rows.column_names else None
    return Fetched(
        ids=_whole(rows.column(ID)),
        hashes=rows.column(_HASH).to_numpy(),
        probs=flat.reshape(-1, num_classes),
        values=values,
        contents=_whole(rows.column(CONTENT)) if CONTENT in rows.column_names else None,
    )


def _whole(values: Any) -> Any:
    joined = values.combine_chunks()
    return joined if isinstance(joined, pa.Array) else pa.concat_arrays(joined.chunks)


# ---- cells -----------------------------------------------------------------------------------------


def _cells(
    chosen: list[ChosenRow], candidates: Fetched, tags: Sequence[str], pool: int
) -> list[dict[str, Any]]:
    """The cells asked about, as records of the sample."""
    rows = [one.row for one in chosen]
    reasons = [one.class_index for one in chosen]
    asked = asked_classes(candidates.probs[rows], reasons, least=ASKED_ABOVE, most=MOST_ASKED)
    ids = candidates.ids.take(pa.array(rows, pa.int64())).to_pylist()
    number = {k: reasons.count(k) for k in set(reasons)}
    cells = []
    for place, (row, reason, classes) in enumerate(zip(rows, reasons, asked, strict=True)):
        about = {
            ID: ids[place],
            "position": place + 1,
            "given": False,
            "stratum": AT_RANDOM if reason == RANDOM else stratum_of(tags[reason]),
            "stratum_size": pool,
            "num_drawn": number[reason],
            "given_tags": [],
        }
        for order, k in enumerate(classes, start=1):
            known = {"tag": tags[k], "pred_prob": float(candidates.probs[row, k]), "position_in_row": order}
            cells.append({**about, **known})
    return cells
