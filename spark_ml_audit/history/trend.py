"""`trend`: health and noise over the runs of one source, as numbers and as one HTML page."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from spark_ml_audit._version import __version__
from spark_ml_audit.config.paths import is_path
from spark_ml_audit.engines.choose import choose_engine
from spark_ml_audit.errors import ConfigError, SetupError
from spark_ml_audit.history.trend_data import read_trend
from spark_ml_audit.lake.files import page_file, write_page
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.outcomes.history import Trend, TrendOutcome
from spark_ml_audit.tracking import RunDelivery, RunOpening, SourceRef
from spark_ml_audit.tracking.run import destination_of, tracker_for

if TYPE_CHECKING:
    import pandas as pd

    from spark_ml_audit.config import TrendConfig
    from spark_ml_audit.engines.base import Session
    from spark_ml_audit.progress import Progress


def run_trend(config: TrendConfig, progress: Progress, spark: Session | None = None) -> TrendOutcome:
    """Read the runs of one source and write the page that shows them.

    Args:
        config: The effective config.
        progress: Shows and times the stages.
        spark: Session to use; the active one by default.

    Raises:
        ConfigError: The output has no such runs or classes, or there is no place for the page.
        SetupError: The engine cannot run here, or matplotlib is missing.
    """
    file = _page_file(config)
    with progress.stage("session"):
        tables = OutputTables(choose_engine(config.engine, spark, small=True), config.output)
    with progress.stage("read"):
        trend = read_trend(tables, config.trend)
    with progress.stage("page"):
        page, unlinked = _render(trend, file)
        _write(file, page)
    warnings: list[str] = []
    mlflow_run_id, delivered = None, True
    if config.trend.log:
        with progress.stage("tracking"):
            newest = trend.runs[-1].ref
            source = SourceRef(trend.source, is_path(trend.source), newest.source_version)
            with closing(tracker_for(config, newest.run_id, "trend", source)) as tracker:
                tracker.open(RunOpening(stages=dict(progress.seconds), metrics=_metrics(trend)))
                delivered = tracker.deliver(_delivery(config, trend, unlinked, progress))
        warnings += tracker.problems
        mlflow_run_id = tracker.mlflow_run_id
    return TrendOutcome(
        trend=trend,
        delivered=delivered,
        report=str(file),
        mlflow_run_id=mlflow_run_id,
        mlflow_open=None if mlflow_run_id is None else destination_of(config).how_to_open,
        stages=progress.stages,
        warnings=tuple(warnings),
    )


def trend_table(trend: Trend) -> pd.DataFrame:
    """One row per run and shown class, as the documented SQL query gives them."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "run_id": run.ref.run_id,
                "started_at": run.ref.started_at,
                "source_version": run.ref.source_version,
                "health": run.ref.health,
                "tag": row.tag,
                "num_given": row.num_given[place],
                "label_noise": row.label_noise[place],
                "inverse_label_noise": row.inverse_label_noise[place],
            }
            for place, run in enumerate(trend.runs)
            for row in trend.classes
        ]
    )


def _render(trend: Trend, file: Path) -> tuple[str, str]:
    """The page with links to reports, as they are found from its file, and without: for MLflow."""
    try:
        from spark_ml_audit.history.trend_page import render_pages
    except ImportError as error:
        raise SetupError(
            f"the page of a trend needs {error.name or 'matplotlib'}, which is not installed.",
            fix="pip install matplotlib jinja2",
        ) from error
    now = datetime.now(timezone.utc)
    linked, unlinked = render_pages(trend, (file.parent, None), package_version=__version__, made_at=now)
    return linked, unlinked


def _page_file(config: TrendConfig) -> Path:
    if config.trend.file is not None:
        return Path(config.trend.file).absolute()
    file = page_file(config.output, "trend")
    if file is None:
        raise ConfigError(
            "the output is no local folder, so there is no place for the page.",
            key="trend.file",
            fix="Set trend.file to a local or Volume path that ends in .html, or set output.files.",
        )
    return file


def _write(file: Path, page: str) -> None:
    try:
        write_page(file, page)
    except OSError as error:
        raise ConfigError(
            f"the page cannot be written to '{file}': {error.strerror or error}.",
            key="trend.file",
            fix="Set trend.file to a path that can be written.",
        ) from error


def _metrics(trend: Trend) -> dict[str, float | None]:
    newest = trend.runs[-1]
    return {
        "trend/num_runs": len(trend.runs),
        "trend/health": newest.ref.health,
        "trend/mean_label_noise": newest.mean_label_noise,
        "trend/mean_inverse_label_noise": newest.mean_inverse_label_noise,
    }


def _delivery(config: TrendConfig, trend: Trend, page: str, progress: Progress) -> RunDelivery:
    table = trend_table(trend)
    return RunDelivery(
        status="ok",
        stages=dict(progress.seconds),
        tables={"trend": table} if len(table) else {},
        artifacts={
            "trend.html": page,
            "trend_numbers.json": trend.to_dict(),
            "config.json": config.to_json(),
        },
    )
