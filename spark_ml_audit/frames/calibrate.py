"""Calibration of a source's probabilities: what it would save, and calibrators where it is done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spark_ml_audit.arrow.decode import decode_batches, folds_of
from spark_ml_audit.engines.base import Batches
from spark_ml_audit.kernels.calibrate import (
    NUM_FOLDS,
    CalibrationGain,
    Calibrators,
    Floats,
    OddsCounts,
    cross_fit,
    expected_gain,
    grid_of,
)
from spark_ml_audit.kernels.calibration_limits import TEMPERATURE
from spark_ml_audit.kernels.near_one import odds_of
from spark_ml_audit.kernels.profile import IntArray
from spark_ml_audit.kernels.records import Records
from spark_ml_audit.kernels.temperature import fit_temperature

if TYPE_CHECKING:
    from spark_ml_audit.config import MethodConfig
    from spark_ml_audit.frames.ingest import Ingest
    from spark_ml_audit.frames.passes import Profiled

OFF, AUTO, ON = "off", "auto", "on"


@dataclass(frozen=True)
class CalibrationFit:
    """What is known of the calibration of a source.

    Attributes:
        gain: Log losses by class; measured across folds where calibrators were fitted per class, else
            expected.
        calibrators: None where the probabilities stay as given.
    """

    gain: CalibrationGain
    calibrators: Calibrators | None = None


def expected_calibration(ingest: Ingest, profiled: Profiled, calibrator: str) -> CalibrationFit:
    """What calibration would save, by the first pass alone.

    Args:
        ingest: The rows, with their probabilities as given.
        profiled: The first pass over them.
        calibrator: platt or temperature.
    """
    odds = _odds(ingest, profiled)
    return CalibrationFit(fit_temperature(*odds)[1] if calibrator == TEMPERATURE else expected_gain(*odds))


def fit_calibration(
    ingest: Ingest, profiled: Profiled, expected: CalibrationFit, method: MethodConfig
) -> CalibrationFit:
    """Fit calibrators where they are wanted: per class in one pass more, a temperature by the first pass.

    Args:
        ingest: The rows, with their probabilities as given.
        profiled: The first pass over them.
        expected: What calibration would save.
        method: With the mode (auto: where the log loss is expected to fall by `LEAST_GAIN` or more, and does
            so in rows that calibrators per class have not seen; on: always) and the kind of calibrators.
    """
    mode = method.calibrate
    if not np.isfinite(expected.gain.log_loss).all() or (mode == AUTO and not expected.gain.is_worth_it):
        return expected
    if method.calibrate_with == TEMPERATURE:
        calibrators, measured = fit_temperature(*_odds(ingest, profiled), always=mode == ON)
    else:
        calibrators, measured = cross_fit(count_odds(ingest), always=mode == ON)
    if not calibrators.calibrated.any() or (mode == AUTO and not measured.is_worth_it):
        return CalibrationFit(measured)
    return CalibrationFit(measured, calibrators)


def _odds(ingest: Ingest, profiled: Profiled) -> tuple[Floats, IntArray, IntArray]:
    """Grid of log-odds, and each class's cells by them, not given and given: from the first pass alone."""
    return odds_of(profiled.profile, profiled.near, len(grid_of(ingest.layout.num_classes)))


def count_odds(ingest: Ingest) -> OddsCounts:
    """One pass: cells by fold, class and log-odds. Rows without ids are all in one fold."""
    layout, num_classes = ingest.layout, ingest.layout.num_classes
    num_folds = NUM_FOLDS if layout.id else 1

    def reduce(batches: Batches) -> Iterator[Records]:
        counts = OddsCounts(num_classes, num_folds)
        for decoded in decode_batches(batches, layout):
            size = len(decoded.audited)
            folds = folds_of(decoded, num_folds) if num_folds > 1 else np.zeros(size, dtype=np.int64)
            counts.add_batch(decoded.pred_probs, folds, decoded.rows, decoded.cols)
        yield counts.to_records()

    records = ingest.engine.reduce_batches(ingest.task_frame(with_id=num_folds > 1), reduce)
    return OddsCounts.from_records(num_classes, num_folds, records)
