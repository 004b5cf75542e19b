"""The calibrators of a run, from its class table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spark_ml_audit.kernels.calibrate import Calibrators

if TYPE_CHECKING:
    from spark_ml_audit.outcomes.records import ClassRow


def calibrators_of(classes: Sequence[ClassRow]) -> Calibrators | None:
    """The calibrators in the class table of a run; None where its probabilities are taken as given.

    Args:
        classes: All classes, in class order.
    """
    folds = max((len(row.calibration_fold_slopes or ()) for row in classes), default=0)
    if all(row.calibration_slope is None for row in classes):
        return None
    own = np.full((2, len(classes)), np.nan)
    across = np.full((2, folds, len(classes)), np.nan)
    for k, row in enumerate(classes):
        if row.calibration_slope is not None:
            own[:, k] = row.calibration_slope, row.calibration_intercept
            across[0, :, k] = row.calibration_fold_slopes or ()
            across[1, :, k] = row.calibration_fold_intercepts or ()
    return Calibrators(own[0], own[1], across[0], across[1])
