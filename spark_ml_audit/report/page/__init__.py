"""The report of a run: plain records in, one self-contained HTML page and static plots out.

Nothing here knows of Spark, MLflow or files; `reporting` collects the records and delivers the page.
"""

from __future__ import annotations

from spark_ml_audit.report.page.data import (
    ClassChange,
    FlaggedTag,
    GateLine,
    ReasonCount,
    ReportData,
    RunFacts,
    ScoreDistribution,
    SectionTable,
    SinceLastRun,
    TagPair,
    WorstRow,
)
from spark_ml_audit.report.page.histograms import ClassHistograms, display_histograms
from spark_ml_audit.report.page.render import render_report

__all__ = [
    "ClassChange",
    "ClassHistograms",
    "FlaggedTag",
    "GateLine",
    "ReasonCount",
    "ReportData",
    "RunFacts",
    "ScoreDistribution",
    "SectionTable",
    "SinceLastRun",
    "TagPair",
    "WorstRow",
    "display_histograms",
    "render_report",
]
