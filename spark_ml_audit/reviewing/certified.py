"""Bulk acceptance as far as blind random decisions prove it: what is proved, accepted, and taken back.

Evidence are the flagged cells of a run that a `random` or `certify` sample drew and that people judged by
that sample. A drawn cell without a verdict that others of its sample have got past counts as wrong, as do
unsure and contradictory ones: within a sample nobody can better the proof by leaving out what is hard. Nor
by drawing others instead: once another sample was drawn, a former one counts to its end (`reviewing.drawn`).
Cells judged for other reasons (worst first, a list, by hand) prove nothing of the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from spark_ml_audit.arrow.encode import EXTRANEOUS, MISSING
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.engines.base import from_records, rows_of
from spark_ml_audit.engines.columns import bin_of, names_of
from spark_ml_audit.kernels.certify import NUM_BINS, Certificate, Evidence, certify
from spark_ml_audit.lake.schemas import DECISIONS, DECISIONS_FIELDS, SAMPLE, TAG_ISSUES
from spark_ml_audit.outcomes.review import AcceptedFlags, CertifiedFlags
from spark_ml_audit.reviewing.decision_table import Appended, undo_decision
from spark_ml_audit.reviewing.decisions import CONTRADICTORY, STANDING, check_decisions, standing_decisions
from spark_ml_audit.reviewing.drawn import reached_cells
from spark_ml_audit.reviewing.tables import TIME, frame_type, with_own_id, with_plain_id
from spark_ml_audit.reviewing.votes import ADJUDICATED, BASIS, BULK, KIND, SAMPLE_ID, TAG, VERDICT

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Frame
    from spark_ml_audit.kernels.profile import IntArray
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.outcomes.runs import FinishedRun

BLIND = ("random", "certify")
"""Samples whose cells were drawn at random, and that show neither flag nor probability."""

_BIN = "confidence_bin"
_CELL = (ID, TAG)


def confidence_bin(issue: str = "issue", pred_prob: str = "pred_prob") -> nw.Expr:
    """Bin of a flagged cell's confidence: of p where the tag is missing, of 1 - p where it is extraneous."""
    prob = nw.col(pred_prob)
    return bin_of(nw.when(nw.col(issue) == MISSING).then(prob).otherwise(1 - prob), NUM_BINS)


def certify_flags(
    tables: OutputTables, run: FinishedRun, *, bound: float = 0.9, confidence: float = 0.95
) -> tuple[CertifiedFlags, ...]:
    """How far every class and direction with blind random decisions may be accepted in bulk.

    Each is proved by itself: with a chance of at least `confidence` a share of `bound` is right of all
    flagged cells above its p, and of those that nobody has judged. One may look as often as one likes.

    Args:
        tables: The output.
        run: The audit.
        bound: Precision to prove, at least 0.5, below 1.
        confidence: Of the proof.

    Returns:
        One per class and direction with evidence, in class order; `accept_above` None where nothing is
        proved yet.

    Example:
        >>> for item in certify_flags(tables, run, bound=0.9):  # doctest: +SKIP
        ...     print(item.sentence)
        accept above 0.874: 1,203 cells, precision at least 90% (95%, from 120 blind decisions)
    """
    standing = _all_standing(tables, run)
    evidence = None if standing is None else _evidence(tables, run, standing)
    if standing is None or evidence is None or not evidence.num_rows:
        return ()
    reached = reached_cells(evidence.to_pylist())  # bounded by the sizes of samples
    cells = sorted({(row[TAG], row["issue"]) for row in reached})
    counted = _counted(tables, run, standing, sorted({tag for tag, _ in cells}))
    order = {tag: k for k, tag in enumerate(run.tags)}
    found = [
        _certified(tag, issue, reached, counted.get((tag, issue), []), bound, confidence)
        for tag, issue in sorted(cells, key=lambda cell: (order.get(cell[0], -1), cell[1]))
    ]
    return tuple(found)


def accept_certified(
    tables: OutputTables,
    run: FinishedRun,
    bulk_id: str,
    *,
    bound: float = 0.9,
    who: str | None = None,
    tag: str | None = None,
    direction: str | None = None,
) -> tuple[CertifiedFlags, ...]:
    """Accept flagged cells in bulk as far as `certify_flags` proves it: one decision each, of kind bulk.

    Cells that anybody has decided are left alone. All of it is one transaction named by `bulk_id`: sent
    again it changes nothing. `undo_accept` takes it back as one step.

    Args:
        tables: The output.
        run: The audit.
        bulk_id: Made up by the caller, once per acceptance.
        bound: Precision to prove.
        who: Who accepts.
        tag: Only this class; None for all.
        direction: Only missing or extraneous; None for both.

    Returns:
        What was accepted: those of `certify_flags` with a proof and open cells; `num_open` of each is how
        many cells were accepted.
    """
    proved = [
        item
        for item in certify_flags(tables, run, bound=bound)
        if item.num_open and tag in (None, item.tag) and direction in (None, item.direction)
    ]
    standing = _all_standing(tables, run)
    if not proved or standing is None:
        return ()
    rows = [
        {TAG: item.tag, "issue": item.direction, "least": item.least_bin, "note": item.sentence}
        for item in proved
    ]
    schema = pa.schema(
        [(TAG, pa.string()), ("issue", pa.string()), ("least", pa.int32()), ("note", pa.string())]
    )
    limits = from_records(tables.engine, rows, schema)
    flagged = _flagged(tables, run, [item.tag for item in proved])
    open_cells = _told(flagged, standing).filter(nw.col("is_open") == 1)
    cells = open_cells.join(limits, on=[TAG, "issue"], how="inner").filter(nw.col(_BIN) >= nw.col("least"))
    now = datetime.now(timezone.utc)
    says = nw.when(nw.col("issue") == MISSING).then(nw.lit("present")).otherwise(nw.lit("absent"))
    known: dict[str, Any] = {
        TAG: nw.col(TAG), VERDICT: says, "who": nw.lit(who, dtype=nw.String), "when": nw.lit(now),
        "note": nw.col("note"), "run_id": nw.lit(run.run_id), KIND: nw.lit(BULK), "bulk_id": nw.lit(bulk_id),
    }  # fmt: skip
    values = [
        known.get(name, nw.lit(None, dtype=frame_type(kind))).alias(name) for name, kind in DECISIONS_FIELDS
    ]
    tables.append(
        DECISIONS, with_own_id(cells.select(nw.col(ID), *values), run.id_name), bulk_id, with_run_id=False
    )
    return tuple(proved)


def undo_accept(tables: OutputTables, run: FinishedRun, bulk_id: str, who: str | None = None) -> Appended:
    """Take a bulk acceptance back, all of it, by one further record.

    Raises:
        ConfigError: There is no such acceptance.
    """
    return undo_decision(tables, run, bulk_id, who)


def accepted_in(tables: OutputTables, bulk_id: str) -> tuple[AcceptedFlags, ...]:
    """What was accepted under an id, taken back since or not; by class and direction."""
    known = tables.existing(DECISIONS)
    if known is None or "bulk_id" not in names_of(known):
        return ()
    own = known.filter((nw.col("bulk_id") == bulk_id) & (nw.col(KIND) == BULK))
    counted = own.group_by(TAG, VERDICT, "note").agg(nw.len().alias("count"))
    rows = sorted(rows_of(tables.engine, counted), key=lambda row: (row[TAG], row[VERDICT]))
    direction = {"present": MISSING, "absent": EXTRANEOUS}
    return tuple(
        AcceptedFlags(row[TAG], direction[row[VERDICT]], row["count"], row["note"] or "") for row in rows
    )


# ---- what is known ---------------------------------------------------------------------------------


def _checked(tables: OutputTables, run: FinishedRun) -> Frame | None:
    known = tables.existing(DECISIONS)
    if known is None:
        return None
    id_type = tables.schema(TAG_ISSUES).field(run.id_name).type
    return check_decisions(tables.engine, known, run.id_name, id_type, "output.path")


def _all_standing(tables: OutputTables, run: FinishedRun) -> Frame | None:
    checked = _checked(tables, run)
    return None if checked is None else standing_decisions(tables.engine, checked, run.tags)


def blind_samples(tables: OutputTables, run: FinishedRun) -> Frame | None:
    """The flagged cells of a run's blind samples.

    Returns:
        Columns sample_id, how, position, id, tag, issue, pred_prob, floor, drawn_at; None without any.
    """
    drawn = tables.existing(SAMPLE)
    if drawn is None:
        return None
    there = names_of(drawn)
    floor = nw.col("least_confidence") if "least_confidence" in there else nw.lit(None, dtype=nw.Float64)
    drawn_at = nw.col("drawn_at") if "drawn_at" in there else nw.lit(None, dtype=TIME)
    own = drawn.filter(
        (nw.col("run_id") == run.run_id) & nw.col("how").is_in(BLIND) & ~nw.col("issue").is_null()
    )
    kept = ("sample_id", "how", "position", ID, TAG, "issue", "pred_prob")
    return with_plain_id(own, run.id_name).select(*kept, floor.alias("floor"), drawn_at.alias("drawn_at"))


def blind_standing(tables: OutputTables, run: FinishedRun, drawn: Frame) -> Frame | None:
    """What stands of the cells of blind samples by what people said on these samples, blind.

    What settles a dispute is said by somebody who sees the flag, and only cells that were found wrong come
    to be settled: it corrects the table, and is no evidence.
    """
    checked = _checked(tables, run)
    if checked is None:
        return None
    samples = drawn.select("sample_id").unique().with_columns(nw.lit(True).alias("is_blind"))
    kind = nw.col(KIND)
    told = checked.join(samples, on=SAMPLE_ID, how="left")
    is_blind = ~nw.col("is_blind").is_null() & (kind.is_null() | ~kind.is_in((BULK, ADJUDICATED)))
    return standing_decisions(tables.engine, told.filter(is_blind).drop("is_blind"), run.tags)


def _evidence(tables: OutputTables, run: FinishedRun, standing: Frame) -> pa.Table | None:
    """The cells of blind samples with the verdict that counts as evidence, and what people say in all."""
    drawn = blind_samples(tables, run)
    blind = None if drawn is None else blind_standing(tables, run, drawn)
    if drawn is None or blind is None:
        return None
    judged = blind.filter(nw.col("state").is_in((STANDING, CONTRADICTORY)))
    told = drawn.join(
        judged.select(*_CELL, nw.col(VERDICT).alias("blind"), nw.lit(True).alias("is_judged")),
        on=list(_CELL), how="left",
    )  # fmt: skip
    with_bins = told.with_columns(confidence_bin().alias(_BIN))
    return tables.engine.collect(_told(with_bins, standing))


def _told(cells: Frame, standing: Frame) -> Frame:
    """Flagged cells with whether anybody decided them, a person judged them, and found the flag right."""
    says = nw.col("says")
    right = (nw.col("issue") == MISSING) & (says == "present") | (nw.col("issue") == EXTRANEOUS) & (
        says == "absent"
    )
    decided = standing.select(
        *_CELL, nw.col(VERDICT).alias("says"), BASIS, nw.lit(True).alias("has_decision")
    )
    joined = cells.join(decided, on=list(_CELL), how="left")
    is_known = ~nw.col("has_decision").is_null() & (nw.col(BASIS).is_null() | (nw.col(BASIS) != BULK))

    def as_number(condition: nw.Expr, name: str) -> nw.Expr:
        return nw.when(condition).then(1).otherwise(0).alias(name)

    return joined.with_columns(
        as_number(nw.col("has_decision").is_null(), "is_open"),
        as_number(is_known, "is_known"),
        as_number(is_known & right, "is_known_right"),
    ).drop("says", BASIS, "has_decision")


def _flagged(tables: OutputTables, run: FinishedRun, tags: Sequence[str]) -> Frame:
    issues = with_plain_id(tables.read(TAG_ISSUES, run.run_id), run.id_name)
    own = issues.filter(nw.col(TAG).is_in(list(dict.fromkeys(tags))))
    return own.select(*_CELL, "issue", confidence_bin().alias(_BIN))


def _counted(
    tables: OutputTables, run: FinishedRun, standing: Frame, tags: Sequence[str]
) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Flagged cells of some classes by direction and bin: a row per class, direction and bin, at most."""
    sums = [nw.col(name).sum().alias(name) for name in ("is_open", "is_known", "is_known_right")]
    told = _told(_flagged(tables, run, tags), standing)
    rows = rows_of(tables.engine, told.group_by(TAG, "issue", _BIN).agg(nw.len().alias("count"), *sums))
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row[TAG], row["issue"]), []).append(row)
    return found


def _certified(
    tag: str,
    issue: str,
    reached: Sequence[dict[str, Any]],
    counted: Sequence[dict[str, Any]],
    bound: float,
    confidence: float,
) -> CertifiedFlags:
    own = [row for row in reached if (row[TAG], row["issue"]) == (tag, issue)]
    bins = np.array([row[_BIN] for row in own], dtype=np.int64)
    agrees = "present" if issue == MISSING else "absent"
    right = np.array([row["blind"] == agrees for row in own])
    floors = np.array([round((row["floor"] or 0) * NUM_BINS) for row in own], dtype=np.int64)
    counts, is_open, known, known_right = (
        _by_bin(counted, name) for name in ("count", "is_open", "is_known", "is_known_right")
    )
    # what is evidence is not known besides
    np.subtract.at(known, bins, np.array([row["is_known"] for row in own], dtype=np.int64))
    np.subtract.at(known_right, bins, np.array([row["is_known_right"] for row in own], dtype=np.int64))
    found = certify(counts, Evidence(bins, right, floors), bound, confidence, (known, known_right))
    return _as_outcome(tag, issue, found, int(counts.sum()), is_open, bound, confidence)


def _by_bin(rows: Sequence[dict[str, Any]], name: str) -> IntArray:
    found = np.zeros(NUM_BINS, dtype=np.int64)
    for row in rows:
        found[row[_BIN]] += row[name]
    return found


def _as_outcome(
    tag: str, issue: str, found: Certificate, flagged: int, is_open: IntArray, bound: float, confidence: float
) -> CertifiedFlags:
    return CertifiedFlags(
        tag=tag,
        direction=issue,
        bound=bound,
        confidence=confidence,
        accept_above=found.accept_above,
        num_flagged=flagged,
        num_cells=found.num_cells,
        num_open=0 if found.least_bin is None else int(is_open[found.least_bin :].sum()),
        num_judged=found.num_judged,
        num_right=found.num_right,
    )
