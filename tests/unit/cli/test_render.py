"""Texts of audits, checks, predictions and tags."""

from __future__ import annotations

import dataclasses

from spark_ml_audit.cli.render import render_check, render_outcome, render_predict, render_tag
from spark_ml_audit.outcomes.audit import CheckOutcome, ListedCell, TrustCounts
from spark_ml_audit.outcomes.features import FeatureUse
from spark_ml_audit.outcomes.records import Counts
from spark_ml_audit.outcomes.review import MeasuredPrecision
from spark_ml_audit.outcomes.tagging import NotTagged, Tagging, TagRates
from tests.unit.outcomes.made_up import COUNTS, OUTCOME, PREDICTED, TAGGED, class_row


def test_summary_tells_what_a_reader_needs() -> None:
    text = render_outcome(OUTCOME)
    for part in (
        "Audit 20260131t180000z-0a1b2c3d: done, but a quality gate failed",
        "Source: data/tags, version 7",
        "Model and tags disagree on 21,040 of 29,700 audited rows",
        "Health: 29.16% (share of rows without a disagreement, not of correct rows)",
        "29,786 read, 29,700 audited, 80 unlabelled, 6 quarantined",
        "3,000 missing, 1,200 extraneous",
        "FAILED  max_quarantined_fraction: 0.000201437, allowed at most 0",
        "passed  min_rows: 29,786, allowed at least 1,000",
        "- The table has 3 small files.",
        "examples    out/examples",
        "report      out/report.html",
        "MLflow run  abc",
        "Time: 3.8 s (profile 1.2, apply 2.5)",
    ):
        assert part in text
    lines = text.splitlines()
    start = lines.index("Most affected classes")
    assert lines[start + 1].split() == ["tag", "given", "missing", "extraneous", "trust"]
    assert lines[start + 2].split() == ["role::program", "1,234", "17", "5", "good"]
    assert len({len(line) for line in lines[start + 1 : start + 4]}) == 1


def test_what_is_worth_a_look_comes_before_the_classes() -> None:
    sure = ListedCell("row 7", "sea", 0.99999, "good")
    outcome = dataclasses.replace(
        OUTCOME,
        alert="The model is too weak for an audit.",
        by_trust=(TrustCounts("good", 3, 2900, 1100), TrustCounts("weak", 1, 100, 100)),
        to_add=(sure, dataclasses.replace(sure, tag="tag\x1b[2J", trust=None)),
        to_remove=(dataclasses.replace(sure, pred_prob=0.0000001),),
        precision=(MeasuredPrecision("missing", 15, 9, 0.6, 0.32, 0.84),),
        next_command="spark-ml-audit sample --how first-look --set 'output.path=my out'",
    )
    lines = render_outcome(outcome).splitlines()
    assert lines[1] == "Careful: The model is too weak for an audit."
    assert "  spark-ml-audit sample --how first-look --set 'output.path=my out'" in lines
    assert ["good", "3", "2,900", "1,100"] in [line.split() for line in lines]
    rows = [line.split() for line in lines[: lines.index("Most affected classes")]]
    assert ["sea", "row", "7", ">99.99%", "good"] in rows
    assert ["sea", "row", "7", "<0.01%", "good"] in rows
    assert ["tag\\x1b[2J", "row", "7", ">99.99%", "–"] in rows
    said = "Of the additions judged so far 60.0% were right (9 of 15; 95% interval 32% to 84%)."
    assert said in lines


def test_summary_of_an_empty_source_and_a_repeated_run() -> None:
    nothing = Counts(0, 0, 0, 0, 0, 0, 0, health=None)
    outcome = dataclasses.replace(
        OUTCOME, counts=nothing, worst_classes=(), mlflow_run_id=None, gates=(), delivered=False, report=None
    )
    text = render_outcome(dataclasses.replace(outcome, already_finished=True))
    assert "No row was audited" in text
    assert "Most affected" not in text
    assert "MLflow run  none" in text
    assert "nothing was changed" in text
    assert "not everything was delivered" in text


def test_check_report_lists_columns_classes_and_tables() -> None:
    report = CheckOutcome(
        source="main.db.tags",
        source_version=None,
        schema=(("id", "string"), ("labels", "array<string>")),
        labels_format="names",
        pred_probs_format="array",
        dtype="float",
        num_rows=1000,
        classes=tuple(f"tag{number}" for number in range(12)),
        tables={"examples": "out/examples"},
        notes=("The labels are arrays of strings, so names.",),
        use=FeatureUse({"text": ("body",)}, {"true_tags": "named like labels ('true')"}),
    )
    text = render_check(report)
    assert "labels  array<string>" in text
    assert "12: tag0, tag1" in text
    assert "and 2 more" in text
    assert "array of float" in text
    assert "true_tags  named like labels ('true')" in text
    assert report.to_dict()["left_out"] == {"true_tags": "named like labels ('true')"}
    assert report.to_dict()["num_classes"] == 12


def test_tags_cannot_move_the_cursor_or_the_columns() -> None:
    nasty = "\x1b[2J\r\nred\u202e\u2028" + "x" * 100
    text = render_outcome(dataclasses.replace(OUTCOME, worst_classes=(class_row(nasty), class_row("标签"))))
    assert "\\x1b[2J\\r\\nred\\u202e" in text
    assert "\x1b" not in text
    assert "…" in text
    assert max(len(line) for line in text.splitlines()) < 120


def test_summary_of_predictions_tells_rows_model_and_quality() -> None:
    text = render_predict(PREDICTED)
    for part in (
        "Predictions 20260131t180000z-0a1b2c3d: done, but not everything was delivered",
        "Source: data/films, version 7",
        "17,027 read, 17,020 predicted (20 of them unlabelled), 7 quarantined",
        "Model:  joint, 5 folds, 17,000 rows trained on, 21 classes",
        "Features (judged by 4,000 labelled rows)",
        "text     title, body",
        "numeric  year",
        "gold   named like labels ('gold')",
        "cover  no model reads its type, binary",
        "title 'noir': crime (on 97.5% of the rows with it; it is on 90.0% of the rows with the tag)",
        "Quality out of fold",
        "macro auc                0.8336",
        "macro average precision  –",
        "- 1 class was given to no row.",
        "predictions  out/predictions",
        "model        models:/film_tags/3",
        "Time: 65.5 s (train 60.0, predict 5.5)",
    ):
        assert part in text
    given_model = render_predict(dataclasses.replace(PREDICTED, folds=None, model_uri=None, quality={}))
    assert "no training, a given model" in given_model
    assert "Quality" not in given_model
    assert "models:" not in given_model


def test_summary_of_tags_tells_rows_tags_and_model() -> None:
    text = render_tag(TAGGED)
    for part in (
        "Tags 20260131t180000z-0a1b2c3d: done",
        "Source: data/new_films",
        "Model:  models:/film_tags/3, 21 classes",
        "1,000 read, 990 tagged, 10 quarantined",
        "1,980 (2.00 per row)",
        "tags        out/tags",
    ):
        assert part in text
    assert "per row" not in render_tag(dataclasses.replace(TAGGED, num_rows=0, num_tagged=0, num_tags=0))


NOT_TAGGED = tuple(
    NotTagged(f"tag{k}\u202e", 100 - k, "too_imprecise", "too imprecise: 3 of 9 tags right")
    for k in range(14)
)
TAGGING = Tagging(
    min_precision=0.5,
    confidence=0.95,
    num_classes_given=7,
    expected_tags_per_row=2.31,
    not_tagged=NOT_TAGGED,
)


def test_summaries_say_which_classes_are_given_and_which_not() -> None:
    text = render_predict(dataclasses.replace(PREDICTED, tagging=TAGGING))
    for part in (
        "7 of 21 classes can be given: their precision out of fold is 0.5 or more with 95% confidence",
        "2.31 tags per row expected, as out of fold\n",
        "Not tagged, why",
        "tag9\\u202e  too imprecise: 3 of 9 tags right",
        "and 4 more: --json, or model_quality of the MLflow run",
    ):
        assert part in text
    assert "tag10" not in text
    assert "classes can be given" not in render_predict(
        dataclasses.replace(PREDICTED, tagging=TAGGING, model_uri=None)
    )


def test_tags_per_row_stand_beside_those_expected() -> None:
    rates = TagRates(tags_per_row=2.0, expected_tags_per_row=2.31, is_far_off=False)
    few = dataclasses.replace(TAGGING, not_tagged=NOT_TAGGED[:1])
    outcome = dataclasses.replace(TAGGED, tagging=few, rates=rates)
    assert "1,980 (2.00 per row)" in render_tag(outcome)
    assert "2.31 tags per row expected, as out of fold\n" in render_tag(outcome)
    assert " more: " not in render_tag(outcome)
    far = dataclasses.replace(outcome, rates=dataclasses.replace(rates, is_far_off=True))
    assert "as out of fold, far from what the rows got" in render_tag(far)
    stream = dataclasses.replace(rates, is_far_off=None, why_not_compared="a stream")
    assert "not compared: a stream" in render_tag(dataclasses.replace(outcome, rates=stream))
    foreign = dataclasses.replace(outcome, tagging=Tagging.without_bounds(21), rates=None)
    assert "21 of 21 classes can be given: nothing is known of how right they are" in render_tag(foreign)


def test_other_findings_are_named_only_where_they_were_looked_for() -> None:
    nothing = render_outcome(dataclasses.replace(OUTCOME, counts=COUNTS))
    assert "Also:" not in nothing
    some = dataclasses.replace(COUNTS, num_ambiguous=5380, num_outliers=0)
    assert "Also:   5,380 ambiguous rows, 0 outliers\n" in render_outcome(
        dataclasses.replace(OUTCOME, counts=some)
    )
