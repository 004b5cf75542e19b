"""`review`: what reviewers' verdicts on a random sample say of an audit."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import narwhals as nw

from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.config.base import digest
from spark_ml_audit.engines.base import rows_of
from spark_ml_audit.engines.choose import choose_engine
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.kernels.review_estimates import (
    DIRECTIONS,
    StratumReview,
    errors_in,
    precision_of,
    recall_of,
)
from spark_ml_audit.kernels.review_sampling import STRATA
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.runs import find_run
from spark_ml_audit.lake.schemas import DECISIONS, ESTIMATES, ESTIMATES_SCHEMA, EXAMPLES, RUNS, SAMPLE
from spark_ml_audit.outcomes.review import Estimate, ReviewOutcome, StratumJudged
from spark_ml_audit.reviewing.agreement import agreement_by_class, count_disputed
from spark_ml_audit.reviewing.carried import (
    ReviewedSample,
    carried_estimates,
    changes_since,
    find_sample,
)
from spark_ml_audit.reviewing.certified import certify_flags
from spark_ml_audit.reviewing.decisions import (
    CONTRADICTORY,
    STANDING,
    check_decisions,
    count_decisions,
    standing_decisions,
)
from spark_ml_audit.reviewing.tables import read_decisions, with_plain_id
from spark_ml_audit.reviewing.votes import BASIS, BULK
from spark_ml_audit.tracking.run import destination_of, tracker_for

if TYPE_CHECKING:
    from spark_ml_audit.config import ReviewConfig
    from spark_ml_audit.config.review import ReviewSection
    from spark_ml_audit.engines.base import Frame, Session
    from spark_ml_audit.outcomes.runs import FinishedRun
    from spark_ml_audit.progress import Progress


def run_review(config: ReviewConfig, progress: Progress, spark: Session | None = None) -> ReviewOutcome:
    """Estimate precision and recall of an audit's flags, and the errors in the table.

    The estimates go to the table `review_estimates` and, as metrics, to the audit's MLflow run.

    Args:
        config: The effective config.
        progress: Shows and times the stages.
        spark: Session to use; the active or a new local one by default.

    Raises:
        ConfigError: There is no random sample, or no table of decisions.
        InputError: The decisions cannot be used.
    """
    options = config.review
    with progress.stage("session"):
        tables = OutputTables(choose_engine(config.engine, spark), config.output)
    with progress.stage("run"):
        sample, run = _sample_and_run(tables, options)
    with progress.stage("estimate"):
        checked = _checked(tables, sample, run, options.decisions)
        standing = standing_decisions(tables.engine, checked, run.tags)
        found = _estimated(tables, sample, run, standing, options.confidence)
        people = agreement_by_class(tables.engine, checked, run.tags, options.confidence)
        certified = certify_flags(tables, run, bound=options.bound)
        found = replace(
            found,
            certified=certified,
            agreement=people,
            num_disputed=count_disputed(tables.engine, standing) if people else 0,
        )
    if found.sample_id is not None:
        with progress.stage("write"):
            _write(tables, found)
    with progress.stage("tracking"):
        mlflow_run_id, problems = _track(config, run, found)
    return replace(
        found,
        mlflow_run_id=mlflow_run_id,
        mlflow_open=None if mlflow_run_id is None else destination_of(config).how_to_open,
        warnings=(*found.warnings, *problems),
        stages=progress.stages,
    )


def _sample_and_run(
    tables: OutputTables, options: ReviewSection
) -> tuple[ReviewedSample | None, FinishedRun]:
    """The random sample to estimate from, if there is one, and the audit to tell about.

    Raises:
        ConfigError: There is neither a random sample, nor anything else that decisions tell.
    """
    try:
        sample = find_sample(tables, options.sample, options.run)
        return sample, sample.run
    except ConfigError:
        if options.sample is not None or not (tables.exists(RUNS) and tables.exists(DECISIONS)):
            raise
        run = find_run(tables, options.run, "review.run")
        checked = _checked(tables, None, run, options.decisions)
        tells = certify_flags(tables, run, bound=options.bound) or agreement_by_class(
            tables.engine, checked, run.tags
        )
        if not tells:
            raise
        return None, run


def _estimated(
    tables: OutputTables, sample: ReviewedSample | None, run: FinishedRun, standing: Frame, confidence: float
) -> ReviewOutcome:
    """What the random sample says; nothing without one."""
    if sample is None:
        said = "There is no random sample: precision, recall and the number of errors are not estimated."
        return ReviewOutcome(
            run_id=run.run_id,
            sample_id=None,
            confidence=confidence,
            num_drawn=0,
            num_judged=0,
            num_unsure=0,
            estimates=(),
            strata=(),
            warnings=(*count_decisions(tables.engine, standing).warnings(), said),
            tables={},
        )
    judged, warnings = _judge(sample, standing)
    estimates = estimate(judged, sample.drawn_from, confidence)
    if sample.is_carried:
        since = changes_since(tables, sample, standing)
        estimates = carried_estimates(estimates, since, run)
        warnings += since.warnings(sample.drawn_from.run_id)
    return ReviewOutcome(
        run_id=run.run_id,
        sample_id=sample.sample_id,
        sampled_run_id=sample.drawn_from.run_id,
        confidence=confidence,
        num_drawn=sum(item.num_drawn for item in judged),
        num_judged=sum(item.num_judged for item in judged),
        num_unsure=sum(item.num_unsure for item in judged),
        estimates=estimates,
        strata=judged,
        warnings=(*warnings, *_gaps(judged)),
        tables=tables.locations(ESTIMATES),
    )


def _checked(
    tables: OutputTables, sample: ReviewedSample | None, run: FinishedRun, named: str | None
) -> Frame:
    """The decisions that hold; of a sample of another output, those made there and here."""
    engine, key = tables.engine, "review.decisions"
    drawn_in = tables if sample is None else sample.tables
    fix = "Import the judged sample with `spark-ml-audit decide`, or name the table of decisions."
    places = [drawn_in] if named is not None or drawn_in is tables else [drawn_in, tables]
    if named is None:  # where none has any, the message names the first
        places = [place for place in places if place.exists(DECISIONS)] or places[:1]
    id_type = drawn_in.schema(SAMPLE if sample is not None else EXAMPLES).field(run.id_name).type
    checked = [
        check_decisions(engine, read_decisions(place, named, key, fix), run.id_name, id_type, key)
        for place in places
    ]
    return checked[0] if len(checked) == 1 else nw.concat(checked)


def _cells(sample: ReviewedSample) -> Frame:
    cells = sample.tables.read(SAMPLE).filter(nw.col("sample_id") == sample.sample_id)
    return with_plain_id(cells, sample.drawn_from.id_name)


def _judge(sample: ReviewedSample, standing: Frame) -> tuple[tuple[StratumJudged, ...], list[str]]:
    """What the verdicts say of every stratum of a sample; and sentences on decisions set aside."""
    engine, cells = sample.tables.engine, _cells(sample)
    verdict, state = nw.col("verdict"), nw.col("state")
    # a bulk acceptance is no judgement of a cell
    is_sure = (state == STANDING) & (verdict != "unsure") & (nw.col(BASIS) != BULK)
    is_unsure = ((state == STANDING) & (verdict == "unsure")) | (state == CONTRADICTORY)
    is_error = is_sure & ((verdict == "present") != nw.col("given"))
    counted = {"judged": is_sure, "unsure": is_unsure, "errors": is_error}
    told = cells.join(standing.select(ID, "tag", "verdict", "state", BASIS), on=[ID, "tag"], how="left")
    by_stratum = told.group_by("stratum", "stratum_size").agg(
        nw.len().alias("drawn"),
        *[nw.when(which).then(1).otherwise(0).sum().alias(name) for name, which in counted.items()],
    )
    rows = rows_of(engine, by_stratum)  # one row per stratum
    order = {stratum.name: k for k, stratum in enumerate(STRATA)}
    found = tuple(
        StratumJudged(
            row["stratum"], row["stratum_size"], row["drawn"], row["judged"], row["unsure"], row["errors"]
        )
        for row in sorted(rows, key=lambda row: order[row["stratum"]])
    )
    return found, count_decisions(engine, standing).warnings()


def _gaps(judged: tuple[StratumJudged, ...]) -> list[str]:
    found = []
    drawn, answered = sum(item.num_drawn for item in judged), sum(item.num_judged for item in judged)
    if answered < drawn:
        found.append(
            f"{drawn - answered} of {drawn} sampled cells have no sure verdict; the estimates take them to "
            "be like the others of their stratum."
        )
    empty = [item.name for item in judged if item.size and not item.num_judged]
    if empty:
        found.append(
            f"Nothing was judged in {', '.join(repr(name) for name in empty)}; what depends on it is unknown."
        )
    return found


def estimate(judged: tuple[StratumJudged, ...], run: FinishedRun, confidence: float) -> tuple[Estimate, ...]:
    """All quantities with their intervals, and the audit's own estimate beside them.

    Args:
        judged: Strata of a random sample.
        run: The audit.
        confidence: Of the intervals.
    """
    known = {stratum.name: stratum for stratum in STRATA}
    strata = [
        StratumReview(
            known[item.name].direction, known[item.name].flagged, item.size, item.num_judged, item.num_errors
        )
        for item in judged
    ]
    # the confident joint: given 0 and truly 1, given 1 and truly 0
    own = {
        "missing": float(sum(row.joint_01 for row in run.classes)),
        "extraneous": float(sum(row.joint_10 for row in run.classes)),
    }
    found = []
    for direction in DIRECTIONS:
        for quantity, function in (("precision", precision_of), ("recall", recall_of)):
            limits = function(strata, direction, confidence)
            found.append(Estimate(quantity, direction, limits.estimate, limits.low, limits.high, None))
    scopes: tuple[str | None, ...] = (*DIRECTIONS, None)
    for scope in scopes:
        limits = errors_in(strata, scope, confidence)
        believed = sum(own.values()) if scope is None else own[scope]
        found.append(
            Estimate("num_errors", scope or "both", limits.estimate, limits.low, limits.high, believed)
        )
    return tuple(found)


def _write(tables: OutputTables, found: ReviewOutcome) -> None:
    now = datetime.now(timezone.utc)
    rows: list[dict[str, Any]] = [
        {
            "run_id": found.run_id,
            "sample_id": found.sample_id,
            "estimated_at": now,
            "confidence": found.confidence,
            "num_judged": found.num_judged,
            **item.to_dict(),
        }
        for item in found.estimates
    ]
    # the same verdicts give the same estimates, which are written once
    about = {"run": found.run_id} if found.run_id != found.sampled_run_id else {}
    content = digest({"sample": found.sample_id, "estimates": found.to_dict()["estimates"], **about})
    tables.append_records(ESTIMATES, rows, ESTIMATES_SCHEMA, f"{found.sample_id}-{content[:16]}")


def _track(config: ReviewConfig, run: FinishedRun, found: ReviewOutcome) -> tuple[str | None, list[str]]:
    """Add the estimates to the audit's own MLflow run, if it has one."""
    if run.mlflow_run_id is None:
        return None, []
    with closing(tracker_for(config, run.run_id, "review")) as tracker:
        done = tracker.add_metrics(run.mlflow_run_id, found.metrics())
    return (run.mlflow_run_id if done else None), list(tracker.problems)
