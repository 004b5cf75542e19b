"""Quality gates: limits on the counts of a run that turn its exit status into 3."""

from __future__ import annotations

from spark_ml_audit.config import GateConfig
from spark_ml_audit.results import Counts, GateResult


def evaluate(counts: Counts, config: GateConfig) -> tuple[GateResult, ...]:
    """Compare the counts of a run with the limits set.

    Shares of no rows are 0 and pass; `min_rows` decides what an empty source means.

    Args:
        counts: Counts of the run.
        config: Limits; a limit of None leaves its gate out.

    Returns:
        One result per gate: the share of audited rows with an issue, the share of source rows
        quarantined, and the number of source rows.
    """
    gates: list[GateResult] = []
    if config.max_issue_fraction is not None:
        share = _share(counts.num_label_issues, counts.num_audited)
        gates.append(_at_most("max_issue_fraction", share, config.max_issue_fraction))
    if config.max_quarantined_fraction is not None:
        share = _share(counts.num_quarantined, counts.num_rows)
        gates.append(_at_most("max_quarantined_fraction", share, config.max_quarantined_fraction))
    if config.min_rows is not None:
        passed = counts.num_rows >= config.min_rows
        gates.append(GateResult("min_rows", passed, counts.num_rows, config.min_rows))
    return tuple(gates)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _at_most(name: str, value: float, limit: float) -> GateResult:
    return GateResult(name, value <= limit, value, limit)
