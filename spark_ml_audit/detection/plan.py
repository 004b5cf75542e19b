"""What an audit looks for beside wrong tags: planned here, carried out while the tables are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spark_ml_audit.detection.contents import DuplicateFinder
from spark_ml_audit.detection.duplicates import plan_duplicates
from spark_ml_audit.detection.outliers import OutlierFinder, plan_outliers

if TYPE_CHECKING:
    from spark_ml_audit.config import DetectConfig
    from spark_ml_audit.frames.fit import Computation
    from spark_ml_audit.progress import Progress

_PREDICTED = {"fold"}


@dataclass
class Detection:
    """What is looked for, and what is to be said of it.

    Attributes:
        outliers: Scores rows; None: outliers are not looked for.
        duplicates: Compares rows; None: near-duplicates are not looked for.
        warnings: Sentences; more come in while tables are written.
    """

    outliers: OutlierFinder | None = None
    duplicates: DuplicateFinder | None = None
    warnings: list[str] = field(default_factory=list)

    def say(self, *sentences: str) -> None:
        """Add sentences to the warnings, each once."""
        self.warnings += [sentence for sentence in sentences if sentence not in self.warnings]

    def say_uncompared(self, num_rows: int) -> None:
        """Record how many rows have no outlier score."""
        if num_rows and self.outliers is not None:
            named = ", ".join(f"'{name}'" for name in self.outliers.columns)
            self.say(
                f"{num_rows:,} audited rows have no outlier score: {named} is null, empty, not finite or of "
                "another width there."
            )


def plan_detection(
    computation: Computation, config: DetectConfig, group: str | None, progress: Progress
) -> Detection:
    """Prepare what the `detect` section asks for.

    Args:
        computation: The audit.
        config: The section.
        group: Column that is no feature; None without.
        progress: Shows and times the stages.

    Raises:
        InputError: A column is missing or of the wrong type.
    """
    detection = Detection()
    ingest = computation.ingest
    if config.outliers is not None and computation.num_audited:
        with progress.stage("outliers"):
            exclude = {ingest.layout.id, *ingest.layout.labels, *([group] if group else []), *_PREDICTED}
            plan = plan_outliers(ingest, config.outliers, computation.num_rows, exclude)
        for note in plan.notes:
            progress.note(note)
        detection.outliers = plan.finder
        detection.warnings += plan.warnings
    if config.duplicates is not None:
        detection.duplicates = plan_duplicates(ingest, config.duplicates)
        if detection.duplicates is None:
            detection.warnings.append(
                "No near-duplicates were looked for: no row holds an embedding "
                f"'{config.duplicates.embedding}'."
            )
    return detection
