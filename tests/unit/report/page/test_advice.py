"""The sentences on what to do next follow from the records."""

from __future__ import annotations

import pickle
from dataclasses import replace

from spark_ml_audit.report.page import ReportData, TagPair
from spark_ml_audit.report.page.advice import headline, next_steps
from spark_ml_audit.report.page.plots import static_plots
from tests.unit.report.page.sample import HOSTILE, class_row, sample_report


def titles(data: ReportData) -> list[str]:
    return [step.title for step in next_steps(data)]


def test_what_is_urgent_comes_first() -> None:
    found = titles(sample_report(60))
    assert found[:4] == [
        "Failed gate max_issue_fraction",
        "Warning of gate max_quarantined_fraction",
        "Repair the rows in quarantine",
        "Look at some flags of either kind first",
    ]
    assert found[-1] == "Annotate the rest"


def test_a_clean_run_needs_nothing() -> None:
    data = sample_report(3, 0)
    counts = replace(data.counts, num_label_issues=0, num_missing_tags=0, num_extraneous_tags=0,
                     num_quarantined=0, num_unlabelled=0, health=1.0)  # fmt: skip
    classes = tuple(class_row(f"t{k}", k, 100, 2000, 0, 0) for k in range(3))
    clean = ReportData(run=data.run, counts=counts, classes=classes)
    assert titles(clean) == ["Nothing to do"]
    assert headline(clean) == "No label issue was found in 2,000 audited rows."


def test_flags_that_pile_up_on_few_tags_are_named() -> None:
    classes = tuple(class_row(f"t{k}", k, 500, 2000, 100 if k == 7 else 1, 0) for k in range(20))
    data = replace(sample_report(3, 0), classes=classes, pairs=())
    (step,) = [step for step in next_steps(data) if step.title.startswith("Begin with")]
    assert step.title == "Begin with one tag"
    assert "“t7” holds 84.0% of all flagged tags" in step.text


def test_pairs_are_told_apart_as_implied_or_mistaken() -> None:
    classes = tuple(class_row(tag, k, 100, 2000, 50, 20) for k, tag in enumerate("ab"))
    base = replace(sample_report(3, 0), classes=classes)

    def said(swapped: int, rows: int = 30) -> str:
        steps = next_steps(replace(base, pairs=(TagPair("a", "b", rows, swapped),)))
        return " ".join(step.text for step in steps if step.title == "Look at tags that go together")

    assert "a rule can add it" in said(0)
    assert "confuse the two" in said(20)
    assert said(0, rows=2) == ""


def test_noisy_weak_and_rare_tags_are_named() -> None:
    noisy = class_row("noisy", 0, 100, 2000, 0, 40)
    weak = replace(class_row("weak", 1, 100, 2000, 0, 0), threshold_present=0.05, threshold_absent=0.9)
    rare = class_row("rare", 2, 3, 2000, 0, 0)
    data = replace(sample_report(3, 0), classes=(noisy, weak, rare))
    steps = {step.title: step.text for step in next_steps(data)}
    assert "“noisy”: an estimated 40.0%" in steps["Check the definition of noisy tags"]
    assert "“weak”" in steps["Trust flags of weak classes less"]
    assert "“rare”" in steps["Mind the rare tags"]


def test_plots_are_images_whatever_the_tags_are_called() -> None:
    data = sample_report(30, hostile=True)
    named = tuple(replace(row, tag=f"${row.tag}$ \\frac{{1}}") for row in data.classes)
    plots, notes = static_plots(data.counts, named, data.scores)
    assert sorted(plots) == ["flags_by_tag.png", "noise_by_tag.png", "scores.png"]
    # they travel to where MLflow is, and are drawn there
    images = [pickle.loads(pickle.dumps(plot))() for plot in plots.values()]
    assert all(image.startswith(b"\x89PNG") for image in images)
    assert not notes
    assert HOSTILE[0] in data.classes[0].tag
