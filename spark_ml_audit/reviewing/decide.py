"""`decide`: reviewers' decisions from a file into the table `decisions`, faulty ones set aside."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spark_ml_audit.arrow.decision_values import (
    TIME,
    are_blank,
    ids_of,
    read_verdicts,
    rows_as_json,
    texts_of,
    times_of,
)
from spark_ml_audit.arrow.hashes import hash_rows
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.config.continuing import review_settings
from spark_ml_audit.engines.base import Batches, BatchMap, is_empty, rows_of
from spark_ml_audit.engines.choose import choose_engine
from spark_ml_audit.engines.columns import column, names_of
from spark_ml_audit.kernels.records import Records, make_records
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.runs import check_row_names, find_run
from spark_ml_audit.lake.schemas import CLASSES, DECISIONS, EXAMPLES, REJECTED, SAMPLE
from spark_ml_audit.outcomes.review import DecideOutcome
from spark_ml_audit.reviewing.decision_file import COLUMNS, MORE, read_decision_file
from spark_ml_audit.reviewing.decision_table import compact_decisions, undo_decision
from spark_ml_audit.reviewing.going_on import correct_command
from spark_ml_audit.reviewing.refusals import REASON as _REASON
from spark_ml_audit.reviewing.refusals import faulty_rows, refusals_of
from spark_ml_audit.reviewing.spreadsheet import PLACE, WHERE
from spark_ml_audit.reviewing.tables import tables_of, with_own_id
from spark_ml_audit.reviewing.unlabelled import drawn_rows
from spark_ml_audit.reviewing.votes import (
    ADJUDICATED,
    BULK_ID,
    DECISION_ID,
    KIND,
    NOTE,
    TAG,
    UNDOES,
    VERDICT,
    VERDICTS,
    WHEN,
    WHO,
)

if TYPE_CHECKING:
    from spark_ml_audit.config import DecideConfig
    from spark_ml_audit.engines.base import Engine, Frame, Session
    from spark_ml_audit.outcomes.runs import FinishedRun
    from spark_ml_audit.progress import Progress

_IMPORT, _SAMPLE = "import_id", "sample_id"
_TEXTS = (TAG, WHO, NOTE, _SAMPLE)
_MAX_SAMPLES = 100


def run_decide(config: DecideConfig, progress: Progress, spark: Session | None = None) -> DecideOutcome:
    """Append decisions from a file to the table `decisions`.

    Rows without a verdict are not judged yet and passed over; rows that name no audited row, no class, no
    known verdict or no readable time go to `decisions_rejected` with the reason. The same content is
    imported once.

    Args:
        config: The effective config.
        progress: Shows and times the stages.
        spark: Session to use; the active or a new local one by default.

    Raises:
        ConfigError: There is no such run.
        InputError: The file cannot be read or lacks a column.
    """
    options = config.decide
    with progress.stage("session"):
        tables = OutputTables(choose_engine(config.engine, spark), config.output)
    with progress.stage("run"):
        run = find_run(tables, options.run, "decide.run")
        check_row_names(tables, run, "decide.run")
    if options.file is None:
        return _tend(tables, run, config, progress)
    place, name = tables_of(tables.engine, options.to) if options.to is not None else (tables, DECISIONS)
    with progress.stage("read"):
        rows = read_decision_file(tables.engine, config, run)
        import_id = _import_id(tables.engine, rows, config)
    done = _has_import(place, name, import_id) or _has_import(tables, REJECTED, import_id)
    judged, runs = _judge(rows, run, tables, config, import_id)
    judged = _without_known(judged, place, name, import_id)
    if not done:
        with progress.stage("decisions"):
            place.create_schema()
            tables.append(REJECTED, _rejected_frame(tables.engine, judged, import_id), import_id)
            # after the rejected ones: decisions are there once, or the import is made again in full
            good = with_own_id(_decisions_frame(judged, config, import_id), run.id_name)
            place.append(name, good, import_id, with_run_id=False)
    with progress.stage("count"):
        counted = judged.group_by(_REASON).agg(nw.len().alias("count"))  # one row per reason
        counts = {row[_REASON]: row["count"] for row in rows_of(tables.engine, counted)}
        refusals = refusals_of(tables.engine, judged)
    return DecideOutcome(
        import_id=import_id,
        run_id=runs[0] if len(runs) == 1 else run.run_id,
        num_read=sum(counts.values()),
        num_imported=counts.pop("", 0),
        num_blank=counts.pop("blank", 0),
        num_known=counts.pop("known", 0),
        rejected=dict(sorted(counts.items())),
        tables={DECISIONS: place.location(name), **tables.locations(REJECTED)},
        stages=progress.stages,
        already_finished=done,
        next_command=_next_command(config, run, tables, judged),
        refusals=refusals,
    )


def _next_command(config: DecideConfig, run: FinishedRun, tables: OutputTables, judged: Frame) -> str | None:
    """What decisions are for: those on a random sample tell how right the audit is, others correct it."""
    good = judged.filter(nw.col(_REASON) == "").select(f"read_{_SAMPLE}").unique().head(_MAX_SAMPLES)
    samples = {row[f"read_{_SAMPLE}"] or config.decide.sample or "" for row in rows_of(tables.engine, good)}
    if not samples:
        return None
    by_name = {"run": config.decide.run, "decisions": config.decide.to}
    if not any(name.startswith(f"{run.run_id}-random-") for name in samples):
        return correct_command(tables, run, config.engine, by_name)
    named = {f"review.{key}": value for key, value in by_name.items() if value is not None}
    settings = {**named, **review_settings(run.config), **config.engine.settings}
    return config.output.command("review", settings)


def _tend(tables: OutputTables, run: FinishedRun, config: DecideConfig, progress: Progress) -> DecideOutcome:
    """Take a decision or a bulk acceptance back, or compact the table; nothing is imported."""
    undone, fewer, before = config.decide.undo, None, False
    with progress.stage("decisions"):
        if undone is not None:
            before = not undo_decision(tables, run, undone, config.decide.who).num_appended
        else:
            fewer = compact_decisions(tables)
    return DecideOutcome(
        import_id="",
        run_id=run.run_id,
        num_read=0,
        num_imported=0,
        num_blank=0,
        rejected={},
        undone=undone,
        num_files_fewer=fewer,
        tables=tables.locations(DECISIONS),
        stages=progress.stages,
        already_finished=before,
    )


# ---- the file --------------------------------------------------------------------------------------


def _import_id(engine: Engine, rows: Frame, config: DecideConfig) -> str:
    """Digest of the content, whatever the order of its rows.

    What the config says where the file does not is part of it: another person may fill in the same file.
    """
    options = config.decide
    said = {WHO: options.who, _SAMPLE: options.sample}
    filled = [
        nw.coalesce(nw.col(name), nw.lit(value)).alias(name)
        for name, value in said.items()
        if value is not None
    ]
    rows = rows.with_columns(*filled, nw.coalesce(nw.col(KIND), nw.lit(options.kind)).alias(KIND))
    names = (*COLUMNS, KIND) if options.kind == ADJUDICATED else COLUMNS

    def reduce(batches: Batches) -> Iterator[Records]:
        for batch in batches:
            hashes = hash_rows([batch.column(name) for name in names]).view(np.uint64)
            # in halves, whose sums fit
            halves = np.stack([hashes & np.uint64(0xFFFFFFFF), hashes >> np.uint64(32)]).astype(np.int64)
            low, high = halves.sum(axis=1).tolist()
            yield make_records(0, [0, 1], [low, batch.num_rows], [high, 0])

    sums = engine.reduce_batches(rows, reduce)
    low, high, count = (
        int(sums[number][sums["slot"] == slot].sum()) for number, slot in (("a", 0), ("b", 0), ("a", 1))
    )
    return f"import-{(low + (high << 32)) & 0xFFFFFFFFFFFFFFFF:016x}-{count}"


def _has_import(tables: OutputTables, name: str, import_id: str) -> bool:
    table = tables.existing(name)
    if table is None or _IMPORT not in names_of(table):
        return False
    return not is_empty(tables.engine, table.filter(nw.col(_IMPORT) == import_id))


# ---- its rows --------------------------------------------------------------------------------------


def _judge(
    rows: Frame, run: FinishedRun, tables: OutputTables, config: DecideConfig, import_id: str
) -> tuple[Frame, list[str]]:
    """The rows, what was read of them as columns `read_...`, and a reason to set them aside ("": none).

    Also the runs that they are about: the one given, else that of the sample which a row answers.
    """
    engine = tables.engine
    id_type = engine.schema(tables.read(EXAMPLES, run.run_id)).field(run.id_name).type
    added = pa.schema(
        [
            ("read_id", id_type),
            ("read_verdict", pa.string()),
            ("read_when", TIME),
            ("no_when", pa.bool_()),
            *[(f"read_{name}", pa.string()) for name in _TEXTS],
            (f"own_{DECISION_ID}", pa.string()),
        ]
    )
    read = engine.map_batches(rows, _reader(id_type, import_id), keep=(*COLUMNS, *MORE, PLACE), add=added)
    filed, runs = _filed(read, run, tables, config)
    known = _known_rows(tables, run, runs)
    classes = (
        tables.read(CLASSES)
        .filter(nw.col("run_id").is_in(runs))
        .select(
            nw.col(TAG).alias("known_tag"), nw.col("run_id").alias("class_run"), nw.lit(True).alias("has_tag")
        )
    )
    joined = filed.join(
        classes, left_on=[f"read_{TAG}", "filed"], right_on=["known_tag", "class_run"], how="left"
    )
    joined = joined.join(known, left_on=["read_id", "filed"], right_on=["known_id", "known_run"], how="left")
    verdict = nw.col("read_verdict")
    reason = (
        nw.when(verdict.is_null() | (verdict == ""))
        .then(nw.lit("blank"))
        .when(~verdict.is_in(VERDICTS))
        .then(nw.lit("verdict_unknown"))
        .when(nw.col("has_id").is_null())
        .then(nw.lit("id_unknown"))
        .when(nw.col("has_tag").is_null())
        .then(nw.lit("tag_unknown"))
        .when(nw.col("read_when").is_null() & ~nw.col("no_when"))
        .then(nw.lit("when_unreadable"))
        .otherwise(nw.lit(""))
    )
    return joined.with_columns(reason.alias(_REASON)), runs


def _known_rows(tables: OutputTables, run: FinishedRun, runs: list[str]) -> Frame:
    """The rows that decisions can name: audited ones, and those without tags that a sample drew."""
    known = tables.read(EXAMPLES, runs[0]) if len(runs) == 1 else tables.read(EXAMPLES)
    known = known.filter(nw.col("run_id").is_in(runs)).select(column(run.id_name).alias(ID), "run_id")
    drawn = drawn_rows(tables, runs, run.id_name)
    if drawn is not None:
        known = nw.concat([known, drawn], how="vertical")
    return known.select(
        nw.col(ID).alias("known_id"), nw.col("run_id").alias("known_run"), nw.lit(True).alias("has_id")
    )


def _filed(
    read: Frame, run: FinishedRun, tables: OutputTables, config: DecideConfig
) -> tuple[Frame, list[str]]:
    """The rows with a column `filed`: the run that they are about; and these runs."""
    default = nw.lit(run.run_id)
    samples = tables.existing(SAMPLE) if config.decide.run is None else None
    if samples is None:
        return read.with_columns(default.alias("filed")), [run.run_id]
    drawn = samples.select(nw.col(_SAMPLE).alias("drawn"), nw.col("run_id").alias("drawn_from")).unique()
    told = read.with_columns(_filled(_SAMPLE, config.decide.sample).alias("answers"))
    joined = told.join(drawn, left_on="answers", right_on="drawn", how="left")
    filed = joined.with_columns(nw.coalesce(nw.col("drawn_from"), default).alias("filed"))
    found = tables.engine.collect(filed.select("filed").unique())  # no more than there are samples
    return filed, sorted(found.column("filed").to_pylist()) or [run.run_id]


def _without_known(judged: Frame, place: OutputTables, name: str, import_id: str) -> Frame:
    """The rows, those marked whose decision_id is in the table already, by another import."""
    table = place.existing(name)
    if table is None or DECISION_ID not in names_of(table):
        return judged
    others = nw.col(_IMPORT).is_null() | (nw.col(_IMPORT) != import_id)
    there = (
        table.filter(~nw.col(DECISION_ID).is_null() & others)
        .select(nw.col(DECISION_ID).alias("there"))
        .unique()
    )
    named = there.with_columns(nw.lit(True).alias("is_there"))
    joined = judged.join(named, left_on=DECISION_ID, right_on="there", how="left")
    is_known = ~nw.col("is_there").is_null() & (nw.col(_REASON) == "")
    reason = nw.when(is_known).then(nw.lit("known")).otherwise(nw.col(_REASON))
    return joined.with_columns(reason.alias(_REASON))


def _reader(id_type: Any, import_id: str) -> BatchMap:
    def run(batches: Batches) -> Batches:
        for batch in batches:
            cells = {name: batch.column(name) for name in (*COLUMNS, *MORE, PLACE)}
            hashes = hash_rows([batch.column(name) for name in COLUMNS]).view(np.uint64).tolist()
            own_ids = pa.array([f"{import_id}-{value:016x}" for value in hashes], pa.string())
            read = {
                "read_id": ids_of(cells[ID], id_type),
                "read_verdict": read_verdicts(cells[VERDICT]),
                "read_when": times_of(cells[WHEN]),
                "no_when": are_blank(cells[WHEN]),
                **{f"read_{name}": texts_of(cells[name]) for name in _TEXTS},
                f"own_{DECISION_ID}": pc.coalesce(cells[DECISION_ID], own_ids),
            }
            yield pa.RecordBatch.from_arrays([*cells.values(), *read.values()], names=[*cells, *read])

    return run


def _rejected_frame(engine: Engine, judged: Frame, import_id: str) -> Frame:
    def as_json(batches: Batches) -> Batches:
        for batch in batches:
            rows = rows_as_json([batch.column(name) for name in (*COLUMNS, WHERE)], (*COLUMNS, "where"))
            columns = [batch.column("filed"), batch.column(_REASON), rows]
            yield pa.RecordBatch.from_arrays(columns, names=["filed", _REASON, "row"])

    faulty = faulty_rows(judged).select("filed", _REASON, *COLUMNS, WHERE)
    kept = ("filed", _REASON)
    written = engine.map_batches(faulty, as_json, keep=kept, add=pa.schema([("row", pa.string())]))
    return written.select(
        nw.lit(import_id).alias(_IMPORT), nw.col("filed").alias("run_id"), nw.col(_REASON), nw.col("row")
    )


def _decisions_frame(judged: Frame, config: DecideConfig, import_id: str) -> Frame:
    now = nw.lit(datetime.now(timezone.utc))
    return judged.filter(nw.col(_REASON) == "").select(
        nw.col("read_id").alias(ID),
        nw.col(f"read_{TAG}").alias(TAG),
        nw.col("read_verdict").alias(VERDICT),
        _filled(WHO, config.decide.who),
        nw.coalesce(nw.col("read_when"), now).alias(WHEN),
        nw.col(f"read_{NOTE}").alias(NOTE),
        _filled(_SAMPLE, config.decide.sample),
        nw.lit(import_id).alias(_IMPORT),
        nw.col("filed").alias("run_id"),
        nw.col(f"own_{DECISION_ID}").alias(DECISION_ID),
        nw.coalesce(nw.col(KIND), nw.lit(config.decide.kind)).alias(KIND),
        *[nw.lit(None, dtype=nw.String).alias(name) for name in (BULK_ID, UNDOES)],
    )


def _filled(name: str, default: str | None) -> nw.Expr:
    value = nw.col(f"read_{name}")
    return (value if default is None else nw.coalesce(value, nw.lit(default))).alias(name)
