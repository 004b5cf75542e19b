"""Reports made of synthetic records: ordinary ones, huge ones, and hostile ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spark_ml_audit.kernels.histogram import ProfileSpec
from spark_ml_audit.kernels.profile import ClassProfile
from spark_ml_audit.outcomes.history import ChangeCounts, ClassChange, Comparison
from spark_ml_audit.outcomes.records import ClassRow, Counts, GateResult
from spark_ml_audit.outcomes.runs import RunRef
from spark_ml_audit.report.page import (
    FlaggedTag,
    ReasonCount,
    ReportData,
    RunFacts,
    ScoreDistribution,
    SectionTable,
    TagPair,
    WorstRow,
    display_histograms,
)

HOSTILE = (
    "<script>window.pwned=1</script>",
    "</script><script>window.pwned=2</script>",
    '"><img src=x onerror="window.pwned=3">',
    "'-alert(1)-'",
    "<!--<script>",
    "javascript:window.pwned=4",
    "{{ 7 * 7 }} {% raw %}",
    "right-to-left \u202e override",
    "nul \x00 and bell \x07",
    "lone \ud800 surrogate",
    "line\u2028separator",
)
_WORDS = ("camera", "night", "river", "market", "music", "people", "winter", "harbour", "bread", "bridge")


def tag_names(num_classes: int) -> list[str]:
    """Distinct plausible names."""
    return [f"{_WORDS[k % 10]}::{_WORDS[(k // 10 + 3 * k) % 10]}-{k}" for k in range(num_classes)]


def profile_of(num_classes: int, num_rows: int = 400, seed: int = 0) -> tuple[ClassProfile, np.ndarray]:
    """A profile of random rows, and their given tags."""
    rng = np.random.default_rng(seed)
    given = rng.random((num_rows, num_classes)) < rng.beta(1, 6, num_classes)
    probs = 1 / (1 + np.exp(-(np.where(given, 2.0, -3.0) + rng.normal(size=given.shape) * 1.6)))
    profile = ClassProfile(ProfileSpec.for_classes(num_classes, "float32"))
    rows, cols = np.nonzero(given)
    profile.add_batch(probs.astype(np.float32), rows, cols)
    return profile, given


def class_row(tag: str, k: int, given: int, audited: int, missing: int, extraneous: int) -> ClassRow:
    return ClassRow(
        tag=tag,
        class_index=k,
        num_given=given,
        threshold_present=0.7134567,
        threshold_absent=0.9345678,
        joint_00=audited - given - missing,
        joint_01=missing,
        joint_10=extraneous,
        joint_11=given - extraneous,
        cutoff_missing=0.81234567 if missing else None,
        cutoff_extraneous=0.1234567 if extraneous else None,
        num_missing=missing,
        num_extraneous=extraneous,
        label_noise=extraneous / audited,
        inverse_label_noise=missing / audited,
        label_quality=1 - extraneous / audited,
        prob_given_absent_true_present=missing / max(given, 1),
        prob_given_present_true_absent=extraneous / audited,
        prob_true_present_given_absent=missing / audited,
        prob_true_absent_given_present=extraneous / max(given, 1),
        estimated_prevalence=(given + missing - extraneous) / audited,
    )


def _since(classes: tuple[ClassRow, ...], audited: int) -> Comparison:
    """The run before had half as many flags."""
    refs = [
        RunRef(
            run_id, started, "lake/photo_tags", version, "0.1.0", audited, audited, 0, issues, 0, 0, health
        )
        for run_id, started, version, issues, health in (
            ("20260131t180000z-0a1b2c3d", "2026-01-31T18:00:00+00:00", "7", 310, 1 - 310 / audited),
            ("20260130t180000z-0a1b2c3d", "2026-01-30T18:01:12+00:00", "6", 338, 0.83),
        )
    ]
    changes = [
        ClassChange(
            row.tag,
            row.class_index,
            ChangeCounts(1, 2, 3),
            replace(row, num_missing=5, num_extraneous=7, label_noise=0.02, inverse_label_noise=0.0),
            row,
        )
        for row in classes[:8]
    ]
    rows, cells = ChangeCounts(12, 40, 298), ChangeCounts(15, 44, 505)
    return Comparison(*refs, rows, cells, tuple(changes), len(classes))


def sample_report(
    num_classes: int = 12,
    num_rows: int = 40,
    *,
    hostile: bool = False,
    text_length: int = 80,
    source: str = "lake/photo_tags",
) -> ReportData:
    """A report with every part filled."""
    rng = np.random.default_rng(num_classes)
    names = tag_names(num_classes)
    if hostile:
        names[: len(HOSTILE)] = HOSTILE[:num_classes]
    profile, given = profile_of(num_classes, num_rows=200 if num_classes > 1000 else 2000)
    audited = len(given)
    classes = tuple(
        class_row(
            names[k],
            k,
            int(given[:, k].sum()),
            audited,
            int(rng.integers(0, 60)) if k % 3 else 0,
            int(min(rng.integers(0, 25), given[:, k].sum())) if k % 4 else 0,
        )
        for k in range(num_classes)
    )
    rows = []
    for i in range(num_rows):
        tags = tuple(names[k] for k in np.flatnonzero(given[i % audited])[:8])
        absent = [k for k in range(num_classes) if not given[i % audited, k]]
        flagged = [
            FlaggedTag(names[absent[i % len(absent)]], "missing", 0.9987 - i / 1000, 0.0013 + i / 1000)
        ]
        if tags:
            flagged.append(FlaggedTag(tags[0], "extraneous", 0.0123, 0.0123))
        text = HOSTILE[i % len(HOSTILE)] if hostile else "A photo of " + " and ".join(_WORDS) * 30
        shown = (
            f"Title {i}" if not hostile else HOSTILE[(i + 1) % len(HOSTILE)],
            text[:text_length] if i % 7 else None,
        )
        rows.append(WorstRow(i + 1, f"row-{i:05}", 0.001 + i / 1000, tags, tuple(flagged), shown))
    pairs = tuple(
        TagPair(names[(k + 1) % num_classes], names[k], 40 - k, (40 - k) // (1 + k % 3))
        for k in range(min(num_classes, 30))
    )
    evil = HOSTILE[0] if hostile else ""
    return ReportData(
        run=RunFacts(
            run_id="20260131t180000z-0a1b2c3d",
            status="gate_failed",
            source=HOSTILE[2] if hostile else source,
            source_version="7",
            package_version="0.1.0",
            started_at="2026-01-31T18:00:00+00:00",
            finished_at="2026-01-31T18:01:12+00:00",
            config={"source": {"path": source, "evil": evil}, "audit": {"alpha": 0.8}},
            stages={"profile": 1.25, "examples": 10.0},
            tables={"examples": "lake/audit/examples"},
            mlflow_run_id="abc",
        ),
        counts=Counts(audited + 30, audited, 10, 20, 310, 400, 120, 1 - 310 / audited),
        gates=(
            GateResult("max_issue_fraction", False, 310 / audited, 0.1),
            GateResult("max_quarantined_fraction", False, 0.009852, 0.0, "warn", f"Most of it {evil}"),
            GateResult("min_rows", True, audited + 30, 0),
        ),
        warnings=("20 of 2,030 rows are in quarantine.", *([f"Tag '{evil}'"] if hostile else [])),
        classes=classes,
        histograms=display_histograms(profile),
        scores=ScoreDistribution(tuple(int(x) for x in 40 * np.arange(50)), tuple(range(50, 0, -1))),
        rows=tuple(rows),
        shown_columns=("title", HOSTILE[0] if hostile else "body"),
        pairs=pairs,
        quarantine=(
            ReasonCount("labels_malformed", 15, f"the list holds null {evil}"),
            ReasonCount("probs_nan", 5, "1 of 12 probabilities is NaN"),
        ),
        since_last_run=_since(classes, audited),
        sections=(
            SectionTable(
                "ambiguous",
                "Ambiguous rows",
                ("Rows whose tags the model cannot tell.",),
                (("id", "text"), ("Ambiguity", "number"), ("Share", "share"), ("Tags", "tags")),
                tuple((f"row-{i}", 0.5 + i / 100, i / 100, tuple(names[:2])) for i in range(5)),
            ),
        ),
    )
