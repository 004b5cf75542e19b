"""What a correction would do, told before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import narwhals as nw

from spark_ml_audit.outcomes.review import CorrectOutcome
from spark_ml_audit.reviewing.correction_record import count_changes, warnings_of
from spark_ml_audit.reviewing.label_changes import APPLIED, LEFT_OUT, PLANNED, STATUS, change_rows

if TYPE_CHECKING:
    from spark_ml_audit.outcomes.runs import FinishedRun
    from spark_ml_audit.reviewing.correction_record import Correction
    from spark_ml_audit.reviewing.plans import CorrectionPlan


def preview_outcome(
    correction: Correction, run: FinishedRun, plan: CorrectionPlan, target: str
) -> CorrectOutcome:
    """What a correction would tell of itself, from its plan alone: nothing is written.

    Args:
        correction: The correction.
        run: The audit.
        plan: The plan.
        target: What would be written.
    """
    is_copy, status = correction.config.correct.mode == "copy", nw.col(STATUS)
    rows = plan.rows.filter(status != LEFT_OUT)
    final = rows.with_columns(
        nw.when(status == PLANNED).then(nw.lit(APPLIED)).otherwise(status).alias(STATUS)
    )
    counts = count_changes(correction.tables.engine, change_rows(final, undo=False))
    kept = 0 if is_copy else plan.num_excluded
    about: dict[str, Any] = {**counts, "tables": {}, "stages": correction.progress.stages}
    return CorrectOutcome(
        correction_id=correction.correction_id,
        run_id=run.run_id,
        mode=correction.config.correct.mode,
        undoes=None,
        target=target,
        target_version=plan.target_version,
        set_aside=plan.set_aside,
        num_excluded=plan.num_excluded if is_copy else 0,
        warnings=tuple(warnings_of(counts, plan.set_aside, kept)),
        is_preview=True,
        **about,
    )
