"""`sample`, `decide`, `review`, `correct` and `undo` for Python: the commands with keyword arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spark_ml_audit.config import CorrectConfig, DecideConfig, ReviewConfig, SampleConfig, parse_as
from spark_ml_audit.config.arguments import in_python
from spark_ml_audit.progress import Progress
from spark_ml_audit.reviewing.correct import run_correct
from spark_ml_audit.reviewing.decide import run_decide
from spark_ml_audit.reviewing.review import run_review
from spark_ml_audit.reviewing.sample import run_sample

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Session
    from spark_ml_audit.outcomes.review import (
        CorrectOutcome,
        DecideOutcome,
        ReviewOutcome,
        SampleOutcome,
    )


def _sections(
    name: str, options: Mapping[str, Any], path: str | None, schema: str | None, engine: str, **more: Any
) -> dict[str, Any]:
    output = {"path": path} if schema is None else {"schema": schema, "path": path}
    run_id = more.pop("run_id", None)
    if run_id is not None:
        output["run_id"] = run_id
    given = {key: value for key, value in more.items() if value is not None}
    return {name: dict(options), "output": output, "engine": {"kind": engine}, **given}


@in_python(dicts=("source",))
def sample(
    path: str | None = None,
    *,
    schema: str | None = None,
    source: Mapping[str, Any] | None = None,
    engine: str = "auto",
    spark: Session | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> SampleOutcome:
    """Draw cells to review from a finished audit.

    Args:
        path: Folder of the audit's output; or
        schema: catalog.schema of it.
        source: Section `source` of the audit where the run does not say (audits of DataFrames).
        engine: What runs it: auto, embedded or spark.
        spark: Session to use.
        progress: Shows stages; silent by default.
        **options: Keys of the section `sample`: run, how, size, per_stratum, per_class, seed, show, csv,
            format, layout, tag, direction, above, reviewers, overlap.

    Raises:
        ConfigError: An option is unknown or does not fit, or there is no such run.
        InputError: The audited source cannot be read any more.

    Example:
        >>> from spark_ml_audit import sample
        >>> drawn = sample("audits/tags", how="random", size=60, csv="to_judge.csv")  # doctest: +SKIP
        >>> drawn.num_cells  # doctest: +SKIP
        60
    """
    config = parse_as(SampleConfig, _sections("sample", options, path, schema, engine, source=source))
    return run_sample(config, progress or Progress(quiet=True), spark)


@in_python()
def decide(
    file: str | None,
    path: str | None = None,
    *,
    schema: str | None = None,
    engine: str = "auto",
    spark: Session | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> DecideOutcome:
    """Append reviewers' decisions from a file to the table `decisions`.

    Args:
        file: CSV file, JSON of Label Studio or Argilla, or folder of Parquet files or of a Delta table; None
            with the option undo or compact.
        path: Folder of the audit's output; or
        schema: catalog.schema of it.
        engine: What runs it: auto, embedded or spark.
        spark: Session to use.
        progress: Shows stages; silent by default.
        **options: Other keys of the section `decide`: format, run, who, sample, to, kind, undo, compact.

    Raises:
        ConfigError: An option is unknown or does not fit, or there is no such run.
        InputError: The file cannot be read or lacks a column.

    Example:
        >>> from spark_ml_audit import decide
        >>> told = decide("review.csv", "audits/tags", who="ann")  # doctest: +SKIP
        >>> told.rejected  # reason -> rows  # doctest: +SKIP
        {}
    """
    config = parse_as(DecideConfig, _sections("decide", {"file": file, **options}, path, schema, engine))
    return run_decide(config, progress or Progress(quiet=True), spark)


@in_python()
def review(
    path: str | None = None,
    *,
    schema: str | None = None,
    tracking_uri: str | None = None,
    engine: str = "auto",
    spark: Session | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> ReviewOutcome:
    """Estimate precision and recall of an audit's flags from a reviewed random sample.

    Args:
        path: Folder of the audit's output; or
        schema: catalog.schema of it.
        tracking_uri: Where the audit's MLflow run is.
        engine: What runs it: auto, embedded or spark.
        spark: Session to use.
        progress: Shows stages; silent by default.
        **options: Keys of the section `review`: sample, run, decisions, confidence, bound.

    Raises:
        ConfigError: An option is unknown or does not fit, or there is no random sample or decision.
        InputError: The decisions cannot be used.

    Example:
        >>> from spark_ml_audit import review
        >>> found = review("audits/tags", confidence=0.9)  # doctest: +SKIP
        >>> [(item.quantity, item.direction) for item in found.estimates][:1]  # doctest: +SKIP
        [('precision', 'missing')]
    """
    tracking = {"uri": tracking_uri}
    config = parse_as(ReviewConfig, _sections("review", options, path, schema, engine, tracking=tracking))
    return run_review(config, progress or Progress(quiet=True), spark)


@in_python({"output.run_id": "correction_id"}, dicts=("source",))
def correct(
    path: str | None = None,
    *,
    schema: str | None = None,
    source: Mapping[str, Any] | None = None,
    correction_id: str | None = None,
    engine: str = "auto",
    spark: Session | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> CorrectOutcome:
    """Correct the labels of an audited table, by decisions, by confidence, or both.

    Args:
        path: Folder of the audit's output; or
        schema: catalog.schema of it.
        source: Section `source` of the audit where the run does not say (audits of DataFrames).
        correction_id: Of a try to complete; a new one by default.
        engine: What runs it: auto, embedded or spark.
        spark: Session to use.
        progress: Shows stages; silent by default.
        **options: Keys of the section `correct`: run, decisions, accept_above, accept_certified, who, mode,
            to, preview, undo.

    Raises:
        ConfigError: An option is unknown or does not fit, or there is no such run.
        InputError: The source or the decisions cannot be used.

    Example:
        >>> from spark_ml_audit import correct
        >>> done = correct("audits/tags", mode="merge")  # doctest: +SKIP
        >>> done.num_rows_changed > 0, done.num_stale  # doctest: +SKIP
        (True, 0)
    """
    values = _sections("correct", options, path, schema, engine, source=source, run_id=correction_id)
    return run_correct(parse_as(CorrectConfig, values), progress or Progress(quiet=True), spark)


@in_python({"correct.undo": "correction_id"})
def undo(
    correction_id: str,
    path: str | None = None,
    *,
    schema: str | None = None,
    engine: str = "auto",
    spark: Session | None = None,
    progress: Progress | None = None,
) -> CorrectOutcome:
    """Give the rows that a correction changed their labels back, byte for byte.

    Args:
        correction_id: Of the correction.
        path: Folder of the audit's output; or
        schema: catalog.schema of it.
        engine: What runs it: auto, embedded or spark.
        spark: Session to use.
        progress: Shows stages; silent by default.

    Raises:
        ConfigError: There is no such correction.
        InputError: The corrected table cannot be written.

    Example:
        >>> from spark_ml_audit import correct, undo
        >>> done = correct("audits/tags", mode="merge")  # doctest: +SKIP
        >>> back = undo(done.correction_id, "audits/tags")  # doctest: +SKIP
        >>> back.num_rows_changed == done.num_rows_changed  # doctest: +SKIP
        True
    """
    values = _sections("correct", {"undo": correction_id}, path, schema, engine)
    return run_correct(parse_as(CorrectConfig, values), progress or Progress(quiet=True), spark)
