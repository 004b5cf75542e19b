"""What a report says of the features that its probabilities were learned from."""

from __future__ import annotations

from spark_ml_audit.outcomes.features import FeatureUse
from spark_ml_audit.report.page import SectionTable

_MAX_COLUMNS = 500


def feature_sections(use: FeatureUse) -> tuple[SectionTable, ...]:
    """What was learned from and what was left out and why, and the shortcuts, where there are any.

    >>> use = FeatureUse({"text": ("title",)}, {"gold": "named like labels ('gold')"}, num_rows_judged=4000)
    >>> (section,) = feature_sections(use)
    >>> section.rows
    (('title', 'text', ''), ('gold', 'left out', "named like labels ('gold')"))
    """
    used = [(name, kind, "") for kind, names in use.features.items() for name in names]
    left = [(name, "left out", reason) for name, reason in use.left_out.items()]
    intro = ["What the probabilities of this run were learned from."]
    if use.left_out:
        intro.append(
            "Columns that bear or reproduce the tags are left out: a model that sees them agrees with every "
            "tag, right or wrong. Naming a column in source.features uses it all the same."
        )
    if use.num_rows_judged:
        intro.append(f"Columns were judged by {use.num_rows_judged:,} labelled rows.")
    elif use.num_rows_judged == 0:
        intro.append("There are too few labelled rows to judge columns by what stands in them.")
    features = SectionTable(
        key="features",
        title="Features",
        intro=tuple(intro),
        columns=(("column", "text"), ("read as", "text"), ("why", "text")),
        rows=tuple([*used, *left][:_MAX_COLUMNS]),
    )
    return (features, _shortcuts(use)) if use.shortcuts else (features,)


def _shortcuts(use: FeatureUse) -> SectionTable:
    return SectionTable(
        key="shortcuts",
        title="Shortcuts",
        intro=(
            "Single words or values that tell a tag almost alone. Most are good features; where one got into "
            "the rows by the way they were tagged, the model repeats the annotator.",
        ),
        columns=(
            ("column", "text"),
            ("word or value", "text"),
            ("tag", "tags"),
            ("precision", "share"),
            ("recall", "share"),
        ),
        rows=tuple(
            (found.column, found.value, (found.tag,), found.precision, found.recall)
            for found in use.shortcuts
        ),
    )
