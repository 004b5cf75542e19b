"""`audit` for Python: the same audit as the command line's, on a table or arrays in hand, or a path."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spark_ml_audit.auditing.given import FORMATS, PLACE, Wanted, check_has_probs, open_given
from spark_ml_audit.auditing.result import AuditResult
from spark_ml_audit.config.arguments import in_python
from spark_ml_audit.config.audit import MethodConfig
from spark_ml_audit.config.base import plain_arguments
from spark_ml_audit.config.detect import DetectConfig
from spark_ml_audit.config.engine import EngineConfig
from spark_ml_audit.engines.choose import frame_of
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.frames.fit import AuditFit, fit_audit
from spark_ml_audit.frames.ingest import inspect_source
from spark_ml_audit.lake.source import read_place
from spark_ml_audit.progress import Progress
from spark_ml_audit.reviewing.decisions import apply_decisions, check_decisions, standing_decisions
from spark_ml_audit.text import suggest

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Session

__all__ = ["AuditResult", "audit"]


@in_python()
def audit(
    data: Any = None,
    pred_probs: Any = "pred_probs",
    *,
    id: str | None = None,  # noqa: A002 - the contract's name
    labels: Any = "labels",
    classes: Any = None,
    labels_format: str = "auto",
    labels_delimiter: str = ",",
    empty_labels: str = "no_tags",
    pred_probs_format: str = "auto",
    pred_probs_from: str | os.PathLike[str] | None = None,
    row_numbers: bool = False,
    format: str = "auto",  # noqa: A002 - as the config's key
    version: int | str | None = None,
    show: str | Sequence[str] | None = None,
    detect: Mapping[str, Any] | None = None,
    decisions: Any = None,
    engine: str = "auto",
    spark: Session | None = None,
    progress: Progress | None = None,
    **method: Any,
) -> AuditResult:
    """Find missing and extraneous tags by multi-label confident learning.

    The class-sized passes run at once; the row-sized results when they are asked for. They come in the form
    in which the rows went in: pandas, Polars and Arrow in hand; DataFrames of Spark and relations of DuckDB,
    also for paths, lazy. Lazy sources are read several times, so they must give the same rows each time (no
    random sampling upstream).

    Args:
        data: DataFrame of pandas, Polars or Spark (Connect too), Arrow table, relation of DuckDB, anything
            else that narwhals or Arrow's capsule interface reads; path or name of a table; or the labels
            themselves, beside `pred_probs` as an array: for each row a list of class indices or tag names,
            multi-hot (n, K), or a sparse matrix of SciPy. Results of arrays are DataFrames of pandas.
        pred_probs: Column of the K out-of-sample probabilities, or one column per tag; or an array of shape
            (n, K), or the list of K arrays (n, 2) that scikit-learn's `predict_proba` gives, in the order of
            the table's rows.
        id: Column that names a row: string, integral, date or binary. By default the column `id`; where a
            table in hand has none, the index of pandas, else the row's number from 0 (`row_number`), as for
            arrays.
        labels: Column of the given tags, or one column per tag; or labels as above, beside a table.
        classes: Tag names in probability order, or a file with one per line; None takes those found in the
            data: metadata, names of columns, keys; of arrays the names "0" to "K-1".
        labels_format: auto, names, indices, multi_hot, delimited or columns.
        labels_delimiter: What stands between tags in a delimited text.
        empty_labels: What a label text with nothing in it means: no_tags or not_annotated.
        pred_probs_format: auto, array, vector, columns or map.
        pred_probs_from: Of a path or table: another one that has the probabilities, joined by id.
        row_numbers: Whether rows are named by their number from 0 even where there is an id; files without an
            id are read so.
        format: Of the files of a path: auto (told by name and content), delta, parquet, csv, tsv or jsonl.
        version: Delta version or timestamp to read, for a path or table.
        show: Columns to show beside a row's id in reports and notebooks, such as its text.
        detect: The config's `detect` section, such as {"ambiguous": {"min_tags": 3}}.
        decisions: Reviewers' decisions, as DataFrame or place of a Delta table: cells that they confirm as
            given are not flagged.
        engine: What runs it: auto, embedded or spark.
        spark: Session to use; the DataFrame's or the active one by default.
        progress: Shows stages; silent by default.
        **method: Options of the config's `audit` section, such as filter_by, alpha or frac_noise.

    Returns:
        The result: `issues`, `examples`, `tag_issues`, `classes`, `quarantine`, `summary`, `to_pandas`,
        `to_arrow`, `report`, `write`, `log`.

    Raises:
        ConfigError: An option is unknown or does not fit.
        InputError: The data cannot be audited as they are.
        SetupError: No engine is installed.

    Example:
        >>> from spark_ml_audit import audit
        >>> result = audit(df, classes=["billing", "delivery", "login"])  # doctest: +SKIP
        >>> result.summary.num_audited  # doctest: +SKIP
        120
        >>> list(result.issues.columns[:4])  # doctest: +SKIP
        ['run_id', 'issue_rank', 'id', 'label_quality_score']
        >>> result = audit([[0], [1], []], [[0.9, 0.2], [0.1, 0.8], [0.2, 0.1]])  # doctest: +SKIP
        >>> result.classes["tag"].tolist()  # doctest: +SKIP
        ['0', '1']
    """
    _check_names(method)
    options = MethodConfig.from_arguments(**method)
    wanted_engine = EngineConfig.parse({"kind": engine}, "engine")
    detected = DetectConfig.parse(plain_arguments(detect or {}), "detect")
    formats = (labels_format, labels_delimiter, empty_labels, pred_probs_format)
    place = (format, version, row_numbers, None if pred_probs_from is None else os.fspath(pred_probs_from))
    wanted = Wanted(
        id,
        labels,
        pred_probs,
        classes,
        formats=dict(zip(FORMATS, formats, strict=True)),
        place=dict(zip(PLACE, place, strict=True)),
        show=show,
        others=detect,
    )
    shown = progress or Progress(quiet=True)
    given = open_given(data, wanted, wanted_engine, spark)
    opened = given.opened
    check_has_probs(given.columns, opened.schema.names)
    ingest = inspect_source(
        opened.engine, opened.frame, given.columns, opened.properties, schema=opened.schema
    )
    fit = fit_audit(ingest, options, shown, detect=detected)
    if decisions is not None:
        fit = _decided(fit, decisions, shown)
    return AuditResult(fit, given, options, detected, shown)


def _check_names(method: Mapping[str, Any]) -> None:
    """Refuse arguments that are none, with the nearest of all that there are."""
    own = [name for name in inspect.signature(audit).parameters if name != "method"]
    known = [*own, *MethodConfig.model_fields]
    for name in method:
        if name not in known:
            raise ConfigError(
                "unknown argument.", key=name, fix=f"{suggest(name, known)}Arguments: {', '.join(known)}."
            )


def _decided(fit: AuditFit, decisions: Any, progress: Progress) -> AuditFit:
    ingest, layout = fit.ingest, fit.ingest.layout
    if isinstance(decisions, (str, os.PathLike)):
        decided = read_place(ingest.engine, os.fspath(decisions), "decisions")
    else:
        decided = frame_of(ingest.engine, decisions)
    checked = check_decisions(ingest.engine, decided, layout.id, ingest.id_type, "decisions")
    standing = standing_decisions(ingest.engine, checked, layout.classes)
    fit, counts = apply_decisions(fit, standing)
    for sentence in counts.warnings():
        progress.note(sentence)
    return fit
