"""A run in Markdown, as MLflow shows it at the head of a run's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spark_ml_audit.outcomes.history import Comparison
from spark_ml_audit.outcomes.records import ClassRow, Counts, affected
from spark_ml_audit.outcomes.runs import Origin
from spark_ml_audit.text import for_page, number, percent, plural, redact
from spark_ml_audit.tracking.keys import class_key

_MOST_TAGS = 10
_MOST_WARNINGS = 5
_TAG_WIDTH, _PLACE_WIDTH, _SENTENCE_WIDTH = 60, 300, 300


def describe_run(
    counts: Counts,
    classes: Sequence[ClassRow],
    *,
    source: str,
    source_version: str | None,
    tables: Mapping[str, str],
    report: str | None = None,
    warnings: Sequence[str] = (),
    since: Comparison | None = None,
    continues: Sequence[Origin] = (),
) -> str:
    """Write a run as Markdown: what was found, where, and where all of it is. Texts of data stand as code.

    Args:
        counts: Of the run.
        classes: The most affected classes, most first.
        source: What was audited.
        source_version: Its version.
        tables: Name -> path or table.
        report: Path of the report.
        warnings: Sentences of the run.
        since: Changes since the run before.
        continues: The audits that it continues.

    Example:
        >>> counts = Counts(100, 90, 4, 6, 9, 7, 2, health=0.9)
        >>> text = describe_run(counts, (), source="data/films", source_version="7", tables={})
        >>> print(text.splitlines()[0])
        Model and tags disagree on **9 of 90 audited rows**: 7 tags seem missing, 2 extraneous.
    """
    version = "" if source_version is None else f", version {_code(source_version)}"
    parts = [_found(counts), f"Source {_code(redact(source))}{version}.{_goes_on(continues)}"]
    if since is not None:
        parts.append(
            f"Since run {_code(since.against.run_id)}: {plural(since.cells.newly_flagged, 'tag')} newly "
            f"flagged, {number(since.cells.fixed)} fixed, {number(since.cells.still_open)} still open."
        )
    if flagged := affected(classes):
        parts.append(_tags(flagged[:_MOST_TAGS]))
    if warnings:
        kept = [f"- {_plain(text)}" for text in warnings[:_MOST_WARNINGS]]
        more = len(warnings) - len(kept)
        parts.append("\n".join(["Warnings", "", *kept, *([f"- and {more} more"] if more > 0 else [])]))
    where = {**({} if report is None else {"report": report}), **tables}
    if where:
        parts.append("\n".join(f"- {name}: {_code(redact(place))}" for name, place in where.items()))
    return "\n\n".join(parts)


def _found(counts: Counts) -> str:
    if not counts.num_audited:
        return "No row was audited."
    return (
        f"Model and tags disagree on **{number(counts.num_label_issues)} of "
        f"{plural(counts.num_audited, 'audited row')}**: {plural(counts.num_missing_tags, 'tag')} seem "
        f"missing, {number(counts.num_extraneous_tags)} extraneous.\n\nHealth {percent(counts.health)}: the "
        "share of audited rows without a disagreement, not the share of correct rows. "
        f"{number(counts.num_rows)} rows read, {number(counts.num_unlabelled)} unlabelled, "
        f"{number(counts.num_quarantined)} in quarantine."
    )


def _goes_on(continues: Sequence[Origin]) -> str:
    return "".join(
        f" Continues {_code(origin.source)} (run {_code(origin.run_id)})." for origin in continues[:1]
    )


def _tags(rows: Sequence[ClassRow]) -> str:
    """The most affected tags, with the names of their metrics."""
    lines = ["| tag | given | missing | extraneous | metrics |", "|---|--:|--:|--:|---|"]
    lines += [
        f"| {_code(row.tag, _TAG_WIDTH)} | {number(row.num_given)} | {number(row.num_missing)} | "
        f"{number(row.num_extraneous)} | {_code(class_key(row))} |"
        for row in rows
    ]
    return "\n".join(lines)


def _code(text: str, limit: int = _PLACE_WIDTH) -> str:
    """A text of data, as code: nothing in it has a meaning there but the two signs that are replaced.

    >>> print(_code("a|b`<img src=x>"))
    `a¦b'<img src=x>`
    """
    flat = " ".join(for_page(text, limit).split())
    return "`" + (flat.replace("`", "'").replace("|", "¦") or " ") + "`"


def _plain(sentence: str) -> str:
    r"""A sentence of ours, in which names of data may stand.

    >>> print(_plain("The tag '<b>*x*' is [given](to) no row."))
    The tag '&lt;b&gt;\*x\*' is \[given\]\(to\) no row.
    """
    flat = " ".join(for_page(redact(sentence), _SENTENCE_WIDTH).split()).replace("`", "'")
    escaped = "".join("\\" + char if char in "\\*_{}[]()#|~" else char for char in flat)
    return escaped.replace("<", "&lt;").replace(">", "&gt;").replace("://", ":&#47;&#47;")
