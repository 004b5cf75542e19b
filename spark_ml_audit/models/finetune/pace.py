"""How long fine-tuning will take, and how far it is."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spark_ml_audit.models.finetune.files import renamed_into_place
from spark_ml_audit.models.finetune.settings import FineTuning, Training
from spark_ml_audit.models.finetune.split import SplitEncoder
from spark_ml_audit.models.finetune.train import train_upper

_EVERY_SECONDS = 2.0
_TIMED_ROWS = 128
_SUFFIX = ".progress.json"


@dataclass(frozen=True)
class Cost:
    """Seconds of one processor (or the GPU) by row.

    Attributes:
        states: Hidden states of a row, once.
        epoch: Training on a row, for each time that it is seen.
        score: Predicting a row.
    """

    states: float
    epoch: float
    score: float

    def seconds(
        self, num_trained: int, num_predicted: int, folds: int, training: Training, beside: int
    ) -> float:
        """Seconds of a run.

        Args:
            num_trained: Rows that a fold's model is trained on.
            num_predicted: Rows that are predicted, each once.
            folds: Models.
            training: Its epochs.
            beside: Models that are trained beside each other.

        Example:
            >>> Cost(0.01, 0.02, 0.03).seconds(800, 1000, 5, Training(epochs=3), beside=1)
            280.0
        """
        rounds = -(-folds // max(beside, 1))
        # processes beside each other share the states, but for a few that two of them make at once
        states = num_trained * self.states + (num_predicted - num_trained) * self.states / max(beside, 1)
        return (
            states
            + rounds * num_trained * training.epochs * self.epoch
            + num_predicted * self.score / max(beside, 1)
        )


def measure(split: SplitEncoder, texts: Sequence[str], num_tags: int, training: Training) -> Cost:
    """Time a few batches of a table's texts.

    Args:
        split: The encoder, opened by this.
        texts: Some of the table, not all empty.
        num_tags: Outputs.
        training: Size of a batch.
    """
    tokens = split.tokens((list(texts) * (_TIMED_ROWS // max(len(texts), 1) + 1))[:_TIMED_ROWS])
    split.states(tokens[:8])  # what is slow the first time alone
    started = time.monotonic()
    states = split.states(tokens)
    took_states = time.monotonic() - started
    given = np.arange(len(tokens) * num_tags).reshape(len(tokens), num_tags) % 3 == 0
    lengths = np.array([len(row) for row in tokens])
    stamps = [time.monotonic()]

    def stamp(done: int, total: int) -> None:
        stamps.append(time.monotonic())

    once = Training(epochs=2, batch=training.batch)
    train_upper(split, lambda rows: [states[row] for row in rows], lengths, given, once, 0, stamp)
    steps = len(stamps) - 1
    # the first epoch warms up
    epoch = (
        (stamps[-1] - stamps[1 + (steps - 1) // 2]) / max(steps - 1 - (steps - 1) // 2, 1) / training.batch
    )
    # without gradients the upper layers cost about a third, in float32 twice that of bfloat16
    return Cost(took_states / len(tokens), epoch, took_states / len(tokens) + epoch * 2 / 3)


class ProgressFile:
    """What a task says of its steps to whoever watches the work folder; best effort."""

    def __init__(self, tuning: FineTuning, name: str) -> None:
        self._file = None if tuning.work is None else Path(tuning.work, f"{name}{_SUFFIX}")
        self._last = 0.0

    def told(self, done: int, total: int) -> None:
        """Steps done."""
        now = time.monotonic()
        if self._file is None or (done < total and now - self._last < _EVERY_SECONDS):
            return
        self._last = now
        with contextlib.suppress(OSError), renamed_into_place(self._file) as part:
            part.write_text(json.dumps([done, total]), encoding="ascii")


def share_done(work: Path, folds: int) -> float:
    """Share of all training steps that are done, 0..1, by the files of `ProgressFile`.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> ProgressFile(FineTuning("minilm", work=folder), "fold").told(30, 30)
    >>> share_done(Path(folder), folds=3) == 1 / 3
    True
    """
    found = 0.0
    for file in work.glob(f"*{_SUFFIX}"):
        with contextlib.suppress(OSError, ValueError, TypeError, ZeroDivisionError):
            done, total = json.loads(file.read_text(encoding="ascii"))
            found += done / total
    return min(found / max(folds, 1), 1.0)
