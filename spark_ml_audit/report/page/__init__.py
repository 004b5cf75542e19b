"""The report of a run: plain records in, one self-contained HTML page and static plots out.

Nothing here knows of Spark, MLflow or files; `report.make` collects the records and delivers the page.
"""

from __future__ import annotations

from spark_ml_audit.report.page.data import (
    FlaggedTag,
    ReasonCount,
    ReportData,
    RunFacts,
    ScoreDistribution,
    SectionTable,
    TagPair,
    WorstRow,
)
from spark_ml_audit.report.page.histograms import ClassHistograms, display_histograms
from spark_ml_audit.report.page.render import render_report

__all__ = [
    "ClassHistograms",
    "FlaggedTag",
    "ReasonCount",
    "ReportData",
    "RunFacts",
    "ScoreDistribution",
    "SectionTable",
    "TagPair",
    "WorstRow",
    "display_histograms",
    "render_report",
]
