"""What calibration of the probabilities would save or has saved, as outcomes and tables say it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spark_ml_audit.kernels.calibration_limits import LEAST_GAIN, PLATT, TEMPERATURE
from spark_ml_audit.outcomes.base import Record

if TYPE_CHECKING:
    from spark_ml_audit.outcomes.records import ClassRow


@dataclass(frozen=True)
class Calibration(Record):
    """Calibration of a run's probabilities, all classes together.

    Attributes:
        mode: off, auto or on: the key `audit.calibrate`.
        is_applied: Whether the audit goes by calibrated probabilities.
        is_worth_it: Whether auto applies it: the log loss falls by 5% or more.
        log_loss: Mean over cells, of the probabilities as given, against the given tags; None without rows.
        log_loss_calibrated: The same calibrated; measured across folds where calibrators were fitted per
            class, else expected.
        gain: Share of the log loss that is saved.
        num_calibrated: Classes whose probabilities are calibrated.
        calibrator: platt or temperature: the key `audit.calibrate_with`.

    Example:
        >>> found = Calibration("off", False, True, 0.2, 0.15, 0.25, 0)
        >>> print(found.sentence)
        log loss 0.2000, calibrated 0.1500 (25.0% less): audit.calibrate=auto would apply it
        >>> Calibration.from_json(found.to_json()) == found
        True
        >>> print(Calibration("on", True, True, 0.2, 0.15, 0.25, 50, "temperature").sentence)
        log loss 0.2000, calibrated 0.1500 (25.0% less): applied to 50 classes alike
    """

    mode: str
    is_applied: bool
    is_worth_it: bool
    log_loss: float | None
    log_loss_calibrated: float | None
    gain: float | None
    num_calibrated: int
    calibrator: str = PLATT

    @classmethod
    def of(cls, classes: Sequence[ClassRow], mode: str, calibrator: str) -> Calibration | None:
        """From the class table of a run; None where that says nothing of it.

        Args:
            classes: All classes.
            mode: off, auto or on.
            calibrator: platt or temperature.
        """
        pairs = [
            (row.log_loss, row.log_loss_calibrated)
            for row in classes
            if row.log_loss is not None and row.log_loss_calibrated is not None
        ]
        if not pairs:
            return None
        now, then = (sum(values) / len(pairs) for values in zip(*pairs, strict=True))
        gain = (now - then) / now if now > 0 else 0.0
        num_calibrated = sum(row.calibration_slope is not None for row in classes)
        return cls(mode, num_calibrated > 0, gain >= LEAST_GAIN, now, then, gain, num_calibrated, calibrator)

    @property
    def sentence(self) -> str:
        """What it comes to, in one line; nothing where no row was audited."""
        if self.log_loss is None or self.log_loss_calibrated is None or self.gain is None:
            return ""
        less = f"{abs(100 * self.gain):.1f}% {'less' if self.gain >= 0 else 'more'}"
        losses = f"log loss {self.log_loss:.4f}, calibrated {self.log_loss_calibrated:.4f} ({less})"
        if self.is_applied:
            number = "1 class" if self.num_calibrated == 1 else f"{self.num_calibrated:,} classes"
            alike = " alike" if self.calibrator == TEMPERATURE and self.num_calibrated > 1 else ""
            return f"{losses}: applied to {number}{alike}"
        if self.is_worth_it:
            return f"{losses}: audit.calibrate=auto would apply it"
        return f"{losses}: not applied, auto asks for {100 * LEAST_GAIN:.0f}%"

    def to_json(self) -> str:
        """The fields as JSON text, as tables hold them."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str | None) -> Calibration | None:
        """From the text in a table; None for null, which older versions wrote."""
        return None if text is None else cls(**json.loads(text))


def calibration_metrics(found: Calibration | None) -> dict[str, float | None]:
    """Figures of a run for tracking."""
    if found is None:
        return {}
    return {
        "model/log_loss": found.log_loss,
        "model/log_loss_calibrated": found.log_loss_calibrated,
        "model/calibration_gain": found.gain,
        "model/is_calibrated": float(found.is_applied),
    }
