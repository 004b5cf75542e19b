"""Calibrators that an audit left in its output, for the probabilities of new rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spark_ml_audit.config.output import OutputConfig
from spark_ml_audit.config.paths import absolute, is_path, split_identifier
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.kernels.calibrate import Calibrators
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.runs import find_run
from spark_ml_audit.outcomes.calibrators import calibrators_of
from spark_ml_audit.text import show

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine

_KEY = "tag.calibrate_by"


@dataclass(frozen=True)
class StoredCalibration:
    """What new rows' probabilities go through.

    Attributes:
        run_id: The audit; None where none was named.
        calibrators: In the model's order of classes; None where probabilities stay as they are.
        warnings: Sentences.
    """

    run_id: str | None = None
    calibrators: Calibrators | None = None
    warnings: tuple[str, ...] = ()


def stored_calibration(
    engine: Engine, place: str | None, run_id: str | None, classes: Sequence[str]
) -> StoredCalibration:
    """The calibrators of a finished audit, those that it fitted on all of its rows.

    Args:
        engine: Reads the output.
        place: Output of the audit: a folder, with a slash in it, or catalog.schema.prefix; None: no audit.
        run_id: The audit; None for the newest one there.
        classes: The model's classes, K.

    Raises:
        ConfigError: There is no such audit, or it knows none of the classes.
    """
    if place is None:
        return StoredCalibration()
    run = find_run(OutputTables(engine, _output(place)), run_id, "tag.calibrate_run" if run_id else _KEY)
    known = {row.tag: row for row in run.classes}
    if not set(known) & set(classes):
        raise ConfigError(
            f"run {run.run_id} in {show(place)} knows none of the model's classes, such as "
            f"{show(classes[0])}.",
            key=_KEY,
            fix="Name the output of an audit of this model's predictions.",
        )
    found = calibrators_of(run.classes)
    if found is None:
        said = f"Run {run.run_id} calibrated nothing, so the probabilities are the model's own."
        return StoredCalibration(run.run_id, None, (said,))
    places = [known[tag].class_index if tag in known else -1 for tag in classes]
    if not found.num_folds:  # one temperature, which holds for tags that the audit did not know, too
        places = [max(place, 0) for place in places]
    none = np.zeros((0, len(classes)))
    slope, intercept = (
        np.array([part[at] if at >= 0 else np.nan for at in places])
        for part in (found.slope, found.intercept)
    )
    return StoredCalibration(run.run_id, Calibrators(slope, intercept, none, none))


def _output(place: str) -> OutputConfig:
    if is_path(place):
        return OutputConfig.parse({"path": absolute(place)}, _KEY)
    parts = split_identifier(place) or ()
    if len(parts) == 3:
        return OutputConfig.parse({"schema": ".".join(parts[:2]), "prefix": parts[2]}, _KEY)
    return OutputConfig.parse({"schema": place}, _KEY)
