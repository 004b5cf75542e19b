"""Quality gates: limits on what a run found, of which those of severity fail turn its exit status into 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spark_ml_audit.config import GateConfig, NoiseLimit
from spark_ml_audit.config.gates import CountLimit, FractionLimit, RatioLimit
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.outcomes.records import ClassRow, Counts, GateResult
from spark_ml_audit.outcomes.runs import FinishedRun
from spark_ml_audit.text import show, suggest

# Differences of shares such as 0.8 - 0.7 come out a few ulps above the exact value.
_ROUNDING = 1e-12
_LISTED_CLASSES = 5


def evaluate(
    counts: Counts,
    config: GateConfig,
    *,
    classes: Sequence[ClassRow] = (),
    quality: Mapping[str, float | None] | None = None,
    previous: FinishedRun | None = None,
) -> tuple[GateResult, ...]:
    """Compare what a run found with the limits set.

    Shares of no rows are 0 and pass; `min_rows` decides what an empty source means. Without a previous run
    nothing has increased. A quality that cannot be measured on the audited rows fails its gate.

    Args:
        counts: Counts of the run.
        config: Limits; one of None leaves its gate out.
        classes: The class table of the run.
        quality: macro_auc, macro_average_precision and lift of the probabilities; None where undefined.
        previous: The previous run of the same source, if there is one.

    Returns:
        One result per limit, in the order of the config's keys.
    """
    gates: list[GateResult] = []
    issues = _share(counts.num_label_issues, counts.num_audited)
    if (limit := config.max_issue_fraction) is not None:
        gates.append(_at_most("max_issue_fraction", issues, limit))
    if (limit := config.max_quarantined_fraction) is not None:
        share = _share(counts.num_quarantined, counts.num_rows)
        gates.append(_at_most("max_quarantined_fraction", share, limit))
    if (least := config.min_rows) is not None:
        gates.append(_at_least("min_rows", counts.num_rows, least))
    for name, noise in _named("max_class_noise", config.max_class_noise):
        gates.append(_class_noise(name, noise, classes))
    if (limit := config.max_issue_increase) is not None:
        gates.append(_issue_increase(issues, limit, previous))
    for name, noise in _named("max_class_noise_increase", config.max_class_noise_increase):
        gates.append(_class_noise_increase(name, noise, classes, previous))
    gates += [
        _quality(figure, wanted, quality or {}, counts)
        for figure in ("macro_auc", "macro_average_precision", "lift")
        if (wanted := getattr(config, f"min_{figure}")) is not None
    ]
    return tuple(gates)


def check_classes(config: GateConfig, classes: Sequence[str]) -> None:
    """Refuse gates on classes that the source does not have.

    Raises:
        ConfigError: With the key, the tag and the nearest one there is.
    """
    known = set(classes)
    for key in ("max_class_noise", "max_class_noise_increase"):
        for limit in getattr(config, key):
            for tag in limit.classes or ():
                if tag not in known:
                    raise ConfigError(
                        f"the source has no class {show(tag)} among its {len(classes)}.",
                        key=f"gate.{key}.classes",
                        fix=f"{suggest(tag, classes)}Name tags of the class list, which `check` prints.",
                    )


def sentences(gates: Sequence[GateResult]) -> list[str]:
    """One warning per broken limit that does not fail the run."""
    return [
        f"Gate {gate.name} is broken: found {gate.value}, limit {gate.limit}."
        + (f" {gate.detail}" if gate.detail else "")
        for gate in gates
        if not gate.passed and gate.severity == "warn"
    ]


def _named(name: str, limits: Sequence[NoiseLimit]) -> list[tuple[str, NoiseLimit]]:
    """Gates of one key: the second and later ones are numbered, since names are keys elsewhere."""
    return [(name if not place else f"{name}_{place + 1}", limit) for place, limit in enumerate(limits)]


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _at_most(name: str, value: float, limit: FractionLimit) -> GateResult:
    return GateResult(name, value <= limit.limit, value, limit.limit, limit.severity)


def _at_least(
    name: str, value: float | int, limit: CountLimit | FractionLimit | RatioLimit, detail: str = ""
) -> GateResult:
    return GateResult(name, value >= limit.limit, value, limit.limit, limit.severity, detail)


def _class_noise(name: str, limit: NoiseLimit, classes: Sequence[ClassRow]) -> GateResult:
    found = [(row.tag, noise) for row in _chosen(limit, classes) if (noise := _noise(row, limit)) is not None]
    if not found:
        return GateResult(name, True, None, limit.limit, limit.severity, "No row was audited.")
    return _worst_at_most(name, found, limit, slack=0.0)


def _issue_increase(issues: float, limit: FractionLimit, previous: FinishedRun | None) -> GateResult:
    name = "max_issue_increase"
    if previous is None or previous.ref.issue_fraction is None:
        return GateResult(name, True, None, limit.limit, limit.severity, _nothing_before(previous))
    growth = issues - previous.ref.issue_fraction
    detail = f"From {previous.ref.issue_fraction:.6g} to {issues:.6g} since run {previous.run_id}."
    return GateResult(name, growth <= limit.limit + _ROUNDING, growth, limit.limit, limit.severity, detail)


def _class_noise_increase(
    name: str, limit: NoiseLimit, classes: Sequence[ClassRow], previous: FinishedRun | None
) -> GateResult:
    found = []
    for row in _chosen(limit, classes):
        before = previous.classes_by_tag.get(row.tag) if previous is not None else None
        now, then = _noise(row, limit), None if before is None else _noise(before, limit)
        if now is not None and then is not None:
            found.append((row.tag, now - then))
    if not found:
        return GateResult(name, True, None, limit.limit, limit.severity, _nothing_before(previous))
    return _worst_at_most(name, found, limit, slack=_ROUNDING)


def _quality(
    figure: str,
    limit: FractionLimit | RatioLimit,
    quality: Mapping[str, float | None],
    counts: Counts,
) -> GateResult:
    name, value = f"min_{figure}", quality.get(figure)
    if value is not None:
        return _at_least(name, value, limit)
    if not counts.num_audited:
        return GateResult(name, True, None, limit.limit, limit.severity, "No row was audited.")
    detail = "It is undefined: every tag is given to all audited rows or to none."
    return GateResult(name, False, None, limit.limit, limit.severity, detail)


def _chosen(limit: NoiseLimit, classes: Sequence[ClassRow]) -> list[ClassRow]:
    if limit.classes is None:
        return list(classes)
    wanted = set(limit.classes)
    return [row for row in classes if row.tag in wanted]


def _noise(row: ClassRow, limit: NoiseLimit) -> float | None:
    """Share of audited rows whose cell of the class is flagged; a cell is flagged one way or the other."""
    return {
        "missing": row.inverse_label_noise,
        "extraneous": row.label_noise,
        "both": row.noise,
    }[limit.kind]


def _worst_at_most(
    name: str, found: Sequence[tuple[str, float]], limit: NoiseLimit, *, slack: float
) -> GateResult:
    ordered = sorted(found, key=lambda item: -item[1])  # stable: equals stay in class order
    over = [(tag, value) for tag, value in ordered if value > limit.limit + slack]
    worst, value = ordered[0]
    if over:
        listed = ", ".join(f"{show(tag)} ({share:.6g})" for tag, share in over[:_LISTED_CLASSES])
        more = f" and {len(over) - _LISTED_CLASSES} more" if len(over) > _LISTED_CLASSES else ""
        detail = f"{len(over)} of {len(found)} classes above it: {listed}{more}."
    else:
        detail = f"Largest of {len(found)} classes: {show(worst)}."
    return GateResult(name, not over, value, limit.limit, limit.severity, detail)


def _nothing_before(previous: FinishedRun | None) -> str:
    if previous is None:
        return "There is no earlier run of this source."
    return f"Run {previous.run_id} has nothing to compare with."
