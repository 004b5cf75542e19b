"""The table `decisions`: people's verdicts, appended in small commits and never changed.

Every decision bears an id that its sender makes up. A batch is one Delta transaction named after the ids in
it, so that a batch sent twice is committed once; a decision sent again in another batch is found in the table
and left out; should two servers write it in the same instant, it counts once, since of every person the
newest verdict on a cell counts (`reviewing.votes`). Appends never conflict with each other, with an audit
that reads, or with compaction: a commit that loses a race is made again on what came in between.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import narwhals as nw
import pyarrow as pa

from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.engines.base import from_records, rows_of
from spark_ml_audit.engines.columns import column, names_of
from spark_ml_audit.errors import ConfigError, InputError
from spark_ml_audit.lake.schemas import DECISIONS, DECISIONS_FIELDS, EXAMPLES
from spark_ml_audit.reviewing.tables import with_own_id
from spark_ml_audit.reviewing.votes import (
    ADJUDICATED,
    BULK_ID,
    DECISION_ID,
    EXCLUDED,
    INCLUDED,
    KIND,
    ROW,
    SINGLE,
    TAG,
    UNDO,
    UNDOES,
    VERDICTS,
)
from spark_ml_audit.text import show

if TYPE_CHECKING:
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.outcomes.runs import FinishedRun

COMPACT_BEYOND = 50
"""Files of the table beyond which an append compacts it."""

MAX_BATCH = 1000
"""Decisions of one call."""

_KINDS = (SINGLE, ADJUDICATED, ROW)
_ROW_VERDICTS = (EXCLUDED, INCLUDED)


def new_decision_id() -> str:
    """An id for a decision, as senders without one of their own make it up."""
    return uuid.uuid4().hex


@dataclass(frozen=True)
class Decision:
    """What a person says of a cell.

    Attributes:
        id: Of the row, as the source's id column has it.
        tag: Of the cell; None for a decision on a whole row (kind row).
        verdict: present, absent or unsure: whether the tag applies; of a whole row exclude or include.
        who: The person.
        decision_id: Made up by the sender, once per decision, and sent again with it.
        when: When it was made; now by default.
        note: In the person's words.
        sample_id: The sample that it answers.
        kind: single; adjudicated: it settles a dispute; row: on a whole row.
    """

    id: Any
    tag: str | None
    verdict: str
    who: str | None
    decision_id: str = field(default_factory=new_decision_id)
    when: datetime | None = None
    note: str | None = None
    sample_id: str | None = None
    kind: str = SINGLE


@dataclass(frozen=True)
class Appended:
    """What became of decisions that were sent.

    Attributes:
        num_appended: Those that are new.
        num_known: Those that were there already: nothing was changed.
    """

    num_appended: int
    num_known: int


def append_decisions(tables: OutputTables, run: FinishedRun, decisions: Sequence[Decision]) -> Appended:
    """Append decisions to the table `decisions` of an output in one idempotent transaction.

    Args:
        tables: The output, opened by any engine; the writer follows from it. The embedded engine serves
            one thread at a time: give each thread its own.
        run: The audit whose rows and tags they name, and under which they are filed: that of the sample
            that they answer.
        decisions: At most `MAX_BATCH`. Ids of rows are not looked up in `examples`: the caller showed them.

    Returns:
        How many are new. Sent again, in whatever batch, a decision changes nothing.

    Raises:
        InputError: A verdict, tag, kind, time or id cannot be used (key `decisions`); nothing is written.

    Example:
        >>> from spark_ml_audit.engines.choose import choose_engine
        >>> from spark_ml_audit.lake.runs import find_run
        >>> tables = OutputTables(choose_engine(config.engine), config.output)  # doctest: +SKIP
        >>> run = find_run(tables, None, "run")  # doctest: +SKIP
        >>> sent = [Decision("film-7", "drama", "absent", who="ann", decision_id="9f0c")]  # doctest: +SKIP
        >>> append_decisions(tables, run, sent)  # doctest: +SKIP
        Appended(num_appended=1, num_known=0)
        >>> append_decisions(tables, run, sent)  # doctest: +SKIP
        Appended(num_appended=0, num_known=1)
    """
    if not decisions:
        return Appended(0, 0)
    _check(decisions, run)
    now = datetime.now(timezone.utc)
    records = [
        {
            ID: item.id,
            TAG: item.tag,
            "verdict": item.verdict,
            "who": item.who,
            "when": item.when or now,
            "note": item.note,
            "sample_id": item.sample_id,
            "run_id": run.run_id,
            DECISION_ID: item.decision_id,
            KIND: item.kind,
        }
        for item in {item.decision_id: item for item in decisions}.values()
    ]
    return _append(tables, run, records)


def undo_decision(tables: OutputTables, run: FinishedRun, decision_id: str, who: str | None) -> Appended:
    """Take a decision back by a further record; a bulk acceptance by its bulk_id, as one step.

    What was taken back stays in the table. Taking it back twice changes nothing.

    Args:
        tables: The output.
        run: An audit of it, for the name and type of the id.
        decision_id: Of the decision, or bulk_id of the acceptance.
        who: Who takes it back.

    Raises:
        ConfigError: There is no such decision.
    """
    known = tables.existing(DECISIONS)
    found: list[dict[str, Any]] = []
    if known is not None and {DECISION_ID, BULK_ID, KIND} <= set(names_of(known)):
        is_it = (nw.col(DECISION_ID) == decision_id) | (nw.col(BULK_ID) == decision_id)
        own = known.filter(is_it & (nw.col(KIND).is_null() | (nw.col(KIND) != UNDO)))
        names = [column(run.id_name).alias(ID), *map(nw.col, (TAG, "sample_id", "run_id", BULK_ID))]
        found = rows_of(tables.engine, own.select(*names).head(1))
    if not found:
        raise ConfigError(
            f"'{tables.location(DECISIONS)}' has no decision or bulk acceptance {show(decision_id)}.",
            key="decide.undo",
            fix="Give the decision_id or bulk_id of a row of that table.",
        )
    row = found[0]
    is_bulk = row[BULK_ID] == decision_id
    record = {
        ID: None if is_bulk else row[ID],
        TAG: None if is_bulk else row[TAG],
        "who": who,
        "when": datetime.now(timezone.utc),
        "sample_id": row["sample_id"],
        "run_id": row["run_id"],
        DECISION_ID: f"undo-{decision_id}",
        KIND: UNDO,
        BULK_ID: row[BULK_ID],
        UNDOES: decision_id,
    }
    return _append(tables, run, [record])


def compact_decisions(tables: OutputTables, beyond: int = 1) -> int:
    """Put the small files of the table `decisions` together, without losing any row.

    Safe beside appends and audits: the versions that others read stay as they are, and files are removed
    only once no version younger than a week needs them.

    Args:
        tables: The output.
        beyond: Only where the table has more files than that.

    Returns:
        How many files there are fewer.
    """
    return tables.table(DECISIONS).compact(beyond) if tables.exists(DECISIONS) else 0


def _append(tables: OutputTables, run: FinishedRun, records: Sequence[dict[str, Any]]) -> Appended:
    new = _unknown(tables, records)
    if new:
        id_type = tables.schema(EXAMPLES).field(run.id_name).type
        schema = pa.schema([(ID, id_type), *DECISIONS_FIELDS])
        try:
            frame = from_records(tables.engine, new, schema)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise InputError(
                f"a decision cannot be stored: {error}.",
                key="decisions",
                fix=f"Give ids as the column '{run.id_name}' has them ({id_type}).",
            ) from error
        ids = "\n".join(sorted(str(record[DECISION_ID]) for record in new))
        batch = f"decisions-{hashlib.sha256(ids.encode()).hexdigest()[:32]}"
        tables.append(DECISIONS, with_own_id(frame, run.id_name), batch, with_run_id=False)
        compact_decisions(tables, COMPACT_BEYOND)
    return Appended(len(new), len(records) - len(new))


def _unknown(tables: OutputTables, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those whose decision_id is not in the table yet."""
    known = tables.existing(DECISIONS)
    if known is None or DECISION_ID not in names_of(known):
        return list(records)
    sent = [record[DECISION_ID] for record in records]
    there = known.filter(nw.col(DECISION_ID).is_in(sent)).select(DECISION_ID).unique()
    ids = set(tables.engine.collect(there).column(DECISION_ID).to_pylist())
    return [record for record in records if record[DECISION_ID] not in ids]


def _check(decisions: Sequence[Decision], run: FinishedRun) -> None:
    """Refuse what no reader could use.

    Raises:
        InputError: The first decision that is so.
    """
    if len(decisions) > MAX_BATCH:
        raise InputError(
            f"found {len(decisions):,} decisions in one batch.",
            key="decisions",
            fix=f"Send at most {MAX_BATCH:,} at a time, or import a file with `spark-ml-audit decide`.",
        )
    tags = set(run.tags)
    for number, item in enumerate(decisions, start=1):
        verdicts = _ROW_VERDICTS if item.kind == ROW else VERDICTS
        faults = {
            "kind": (item.kind not in _KINDS, f"kind is {show(item.kind)}", _KINDS),
            "verdict": (item.verdict not in verdicts, f"verdict is {show(item.verdict)}", verdicts),
        }
        for is_bad, what, allowed in faults.values():
            if is_bad:
                raise _refusal(number, what, f"Give one of {', '.join(allowed)}.")
        if item.id is None:
            raise _refusal(number, "row has no id", "Say which row it is about.")
        if (item.tag is None) != (item.kind == ROW) or (item.tag is not None and item.tag not in tags):
            raise _refusal(number, f"tag is {show(item.tag)}", f"Give a class of run {run.run_id}.")
        if not item.decision_id or len(item.decision_id) > 200:
            raise _refusal(number, "decision_id is empty or long", "Give an id of at most 200 characters.")
        if item.when is not None and item.when.tzinfo is None:
            raise _refusal(number, f"time {item.when} has no zone", "Give a time with its zone.")


def _refusal(number: int, what: str, fix: str) -> InputError:
    return InputError(f"decision {number} cannot be used: its {what}.", key="decisions", fix=fix)
