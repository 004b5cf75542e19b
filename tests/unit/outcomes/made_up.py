"""Outcomes that no command made."""

from __future__ import annotations

import math

from spark_ml_audit.outcomes.audit import AuditOutcome
from spark_ml_audit.outcomes.features import FeatureUse, Shortcut
from spark_ml_audit.outcomes.predict import PredictOutcome, TagOutcome
from spark_ml_audit.outcomes.records import ClassRow, Counts, GateResult

COUNTS = Counts(
    num_rows=29786,
    num_audited=29700,
    num_unlabelled=80,
    num_quarantined=6,
    num_label_issues=21040,
    num_missing_tags=3000,
    num_extraneous_tags=1200,
    health=1 - 21040 / 29700,
)


def class_row(tag: str) -> ClassRow:
    return ClassRow.from_mapping(
        {
            "run_id": "left out",
            "tag": tag,
            "class_index": 3,
            "num_given": 1234,
            "threshold_present": 0.5,
            "threshold_absent": 0.9,
            "joint_00": 1,
            "joint_01": 2,
            "joint_10": 3,
            "joint_11": 4,
            "cutoff_missing": None,
            "cutoff_extraneous": 0.25,
            "num_missing": 17,
            "num_extraneous": 5,
            "label_noise": 0.0123,
            "inverse_label_noise": 0.1,
            "label_quality": 0.9877,
            "estimated_prevalence": math.nan,
            "trust": "good",
        }
    )


OUTCOME = AuditOutcome(
    run_id="20260131t180000z-0a1b2c3d",
    delivered=True,
    counts=COUNTS,
    tables={"examples": "out/examples", "runs": "out/runs"},
    report="out/report.html",
    mlflow_run_id="abc",
    gates=(
        GateResult("max_quarantined_fraction", False, 6 / 29786, 0.0),
        GateResult("min_rows", True, 29786, 1000),
    ),
    stages={"profile": 1.25, "apply": 2.5},
    warnings=("The table has 3 small files.",),
    source="data/tags",
    source_version="7",
    worst_classes=(class_row("role::program"), class_row("Übersicht")),
)


PREDICTED = PredictOutcome(
    run_id="20260131t180000z-0a1b2c3d",
    delivered=False,
    num_rows=17027,
    num_predicted=17020,
    num_unlabelled=20,
    num_quarantined=7,
    num_trained=17000,
    num_classes=21,
    folds=5,
    kind="joint",
    quality={"macro_auc": 0.8336, "macro_average_precision": None},
    tables={"predictions": "out/predictions"},
    model_uri="models:/film_tags/3",
    mlflow_run_id="abc",
    stages={"train": 60.0, "predict": 5.5},
    warnings=("1 class was given to no row.",),
    source="data/films",
    source_version="7",
    use=FeatureUse(
        {"text": ("title", "body"), "numeric": ("year",)},
        {"gold": "named like labels ('gold')", "cover": "no model reads its type, binary"},
        (Shortcut("title", "noir", "crime", 0.975, 0.9),),
        num_rows_judged=4000,
    ),
)


TAGGED = TagOutcome(
    run_id="20260131t180000z-0a1b2c3d",
    delivered=True,
    num_rows=1000,
    num_tagged=990,
    num_quarantined=10,
    num_tags=1980,
    num_classes=21,
    tables={"tags": "out/tags"},
    model_uri="models:/film_tags/3",
    mlflow_run_id=None,
    stages={},
    warnings=(),
    source="data/new_films",
    source_version=None,
)
