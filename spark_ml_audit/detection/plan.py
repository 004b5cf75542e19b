"""What an audit looks for beside wrong tags: planned here, carried out while the tables are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spark_ml_audit.frames.comparable import not_compared

if TYPE_CHECKING:
    from spark_ml_audit.config import DetectConfig
    from spark_ml_audit.detection.content_hashes import DuplicateFinder
    from spark_ml_audit.detection.outliers import OutlierFinder
    from spark_ml_audit.frames.fit import AuditFit
    from spark_ml_audit.progress import Progress


@dataclass(frozen=True)
class Detection:
    """What is looked for, and what is to be said of it.

    Attributes:
        outliers: Scores rows; None: outliers are not looked for.
        duplicates: Compares rows; None: near-duplicates are not looked for.
        warnings: Sentences.
    """

    outliers: OutlierFinder | None = None
    duplicates: DuplicateFinder | None = None
    warnings: tuple[str, ...] = ()

    def uncompared(self, num_rows: int) -> tuple[str, ...]:
        """A sentence on how many rows have no outlier score; nothing where all have one."""
        if not num_rows or self.outliers is None:
            return ()
        named = ", ".join(f"'{name}'" for name in self.outliers.columns)
        return (
            f"{num_rows:,} audited rows have no outlier score: {named} is null, empty, not finite or of "
            "another width there.",
        )


def plan_detection(fit: AuditFit, config: DetectConfig, group: str | None, progress: Progress) -> Detection:
    """Prepare what the `detect` section asks for.

    Args:
        fit: The audit.
        config: The section.
        group: Column that is no feature; None without.
        progress: Shows and times the stages.

    Raises:
        InputError: A column is missing or of the wrong type.
    """
    ingest = fit.ingest
    outliers, duplicates = None, None
    warnings: list[str] = []
    # what each needs takes seconds to import, and few audits ask for them
    if config.outliers is not None and fit.rows.num_audited:
        from spark_ml_audit.detection.outliers import plan_outliers

        with progress.stage("outliers"):
            plan = plan_outliers(ingest, config.outliers, not_compared(ingest.layout, group))
        for note in plan.notes:
            progress.note(note)
        outliers = plan.finder
        warnings += plan.warnings
    if config.duplicates is not None:
        from spark_ml_audit.detection.duplicates import plan_duplicates

        duplicates = plan_duplicates(ingest, config.duplicates)
        if duplicates is None:
            warnings.append(
                "No near-duplicates were looked for: no row holds an embedding "
                f"'{config.duplicates.embedding}'."
            )
    return Detection(outliers, duplicates, tuple(warnings))
