"""A learner averaged in log-odds with a fine-tuned encoder, where rows held out say that this helps."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from spark_ml_audit.models.design import BoolArray, Float32Array, Float64Array, IntArray
from spark_ml_audit.models.finetune.kept import fold_key, keep, load_kept
from spark_ml_audit.models.finetune.pace import ProgressFile
from spark_ml_audit.models.finetune.settings import FineTuning
from spark_ml_audit.models.finetune.split import SplitEncoder, open_split
from spark_ml_audit.models.finetune.states import StateStore, Tokens
from spark_ml_audit.models.finetune.train import train_upper
from spark_ml_audit.models.finetune.tuned import TunedTags
from spark_ml_audit.models.keys import mixed_keys
from spark_ml_audit.models.logits import LOGIT_LIMIT, probabilities_of
from spark_ml_audit.models.text import joined_texts

if TYPE_CHECKING:
    from spark_ml_audit.models.registry import Learner

HELD_OUT_SHARE = 0.1
MOST_HELD_OUT, LEAST_HELD_OUT = 2000, 20
"""Rows of a fold's training that judge whether averaging helps, and that the encoder does not learn from."""

_CHUNK = 512

Fit = Callable[[pd.DataFrame, BoolArray, IntArray], "tuple[Learner, tuple[str, ...]]"]
"""Trains the learner that is averaged with: of rows, their tags and inner folds."""


@dataclass(frozen=True)
class AverageCheck:
    """What the rows held out said.

    Attributes:
        is_kept: Whether the average predicts; else the learner alone.
        loss_alone: Mean log loss of the learner alone, per cell.
        loss_average: That of the average.
        num_rows: Rows held out.
    """

    is_kept: bool
    loss_alone: float
    loss_average: float
    num_rows: int


@dataclass(frozen=True, eq=False)
class AveragedLearner:
    """Mean of two models' log-odds.

    Attributes:
        learner: The one that is always there.
        tuned: The fine-tuned encoder; None where the average was no better.
        columns: Text columns that the encoder reads.
        judged: What decided it; None where there were too few rows to judge.
    """

    learner: Learner
    tuned: TunedTags | None
    columns: tuple[str, ...]
    judged: AverageCheck | None

    def predict_proba(self, frame: pd.DataFrame) -> Float32Array:
        """Probabilities of shape (n, K) for n >= 1 rows."""
        alone = self.learner.predict_proba(frame)
        if self.tuned is None:
            return alone
        return average(alone, self.tuned.logits(joined_texts(frame, self.columns)))


def average(probs: Float32Array, logits: Float64Array) -> Float32Array:
    """Probabilities whose log-odds are the mean of two models'.

    Args:
        probs: Probabilities of one, shape (n, K).
        logits: Log-odds of the other, shape (n, K).

    Example:
        >>> average(np.array([[0.5, 0.9]], np.float32), np.log([[1.0, 9.0]])).round(4).tolist()
        [[0.5, 0.8999999761581421]]
    """
    exact = np.clip(probs.astype(np.float64), 1e-9, 1 - 1e-9)
    ours = np.clip(np.log(exact / (1 - exact)), -LOGIT_LIMIT, LOGIT_LIMIT)
    mean = (ours + np.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT)) / 2
    return probabilities_of(mean)


def fit_averaged(
    frame: pd.DataFrame,
    given: BoolArray,
    inner_fold: IntArray,
    held_out: BoolArray,
    columns: Sequence[str],
    tuning: FineTuning,
    seed: int,
    fit: Fit,
) -> tuple[AveragedLearner, tuple[str, ...]]:
    """Train a learner on all rows and an encoder on those not held out; average where that lowers the loss.

    The mean log loss on the rows held out decides. The rows that the result will predict are not among
    these: the decision does not see them.

    Args:
        frame: Training rows in a stable order.
        given: Given tags, shape (n, K); every column has rows of both kinds.
        inner_fold: Inner folds of the rows, shape (n,).
        held_out: Rows to judge by, shape (n,); none: nothing is tuned.
        columns: Text columns.
        tuning: How the encoder is trained.
        seed: Of everything random.
        fit: Trains the learner.

    Returns:
        The learner, and what is to be said about its columns.
    """
    learner, notes = fit(frame, given, inner_fold)
    rest = ~held_out
    # a tag needs two rows of either kind to be learned
    judged_by = np.flatnonzero(np.minimum(given[rest].sum(axis=0), (~given[rest]).sum(axis=0)) >= 2)
    if not held_out.any() or not len(judged_by):
        return AveragedLearner(learner, None, tuple(columns), None), notes
    split = open_split(tuning.encoder, tuning.num_trained, tuning.max_tokens)
    tokens = split.tokens(joined_texts(frame, columns))
    with _work(tuning) as work:
        store = StateStore(split, work, tuning.max_state_bytes)
        store.fill(tokens)
        own = [tokens[row] for row in np.flatnonzero(rest)]
        tuned = _tuned(split, store, own, given[rest], tuning, seed)
        logits = _logits(tuned, store, [tokens[row] for row in np.flatnonzero(held_out)])
    like = fit(frame[rest], given[rest][:, judged_by], inner_fold[rest])[0]
    alone = like.predict_proba(frame[held_out])
    judged = judge(given[held_out][:, judged_by], alone, average(alone, logits[:, judged_by]))
    return AveragedLearner(learner, tuned if judged.is_kept else None, tuple(columns), judged), notes


def judge(given: BoolArray, alone: Float32Array, averaged: Float32Array) -> AverageCheck:
    """Compare two models' log loss on the same cells; the average has to be better, not as good.

    Args:
        given: Given tags, shape (n, K).
        alone: Probabilities of the learner alone, shape (n, K).
        averaged: Those of the average.

    Example:
        >>> judge(np.array([[True]]), np.array([[0.5]], np.float32), np.array([[0.75]], np.float32)).is_kept
        True
    """
    before, after = log_loss(given, alone), log_loss(given, averaged)
    return AverageCheck(after < before, before, after, len(given))  # False where one is no number


def log_loss(given: BoolArray, probs: Float32Array) -> float:
    """Mean log loss per cell, in nats; probabilities are kept 1e-6 away from 0 and 1.

    >>> round(log_loss(np.array([[True, False]]), np.array([[0.5, 0.5]], np.float32)), 4)
    0.6931
    """
    exact = np.clip(probs.astype(np.float64), 1e-6, 1 - 1e-6)
    return float(-np.log(np.where(given, exact, 1 - exact)).mean())


def held_out_rows(keys: IntArray, seed: int) -> BoolArray:
    """Rows that judge, shape (n,): those whose keys hash lowest; rows with one key stay together.

    Args:
        keys: Stable hash of each row's id or group, shape (n,).
        seed: Changes which.

    Example:
        >>> held_out_rows(np.array([11, 11, 22, 33, 44, 55]), seed=0).tolist()
        [False, False, False, False, False, True]
    """
    distinct, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    # another hash than that of the inner folds
    order = np.argsort(mixed_keys(distinct.astype(np.int64).view(np.uint64), ~seed), kind="stable")
    wanted = num_held_out(len(keys))
    before = np.cumsum(counts[order]) - counts[order]
    chosen = np.zeros(len(distinct), dtype=bool)
    # never more than half, however large the groups
    chosen[order[(before < wanted) & (before + counts[order] <= len(keys) // 2)]] = True
    return np.asarray(chosen[inverse.reshape(-1)], dtype=bool)


def num_held_out(num_rows: int) -> int:
    """Rows to hold out of so many: a tenth, 20 at least but no more than a quarter, 2,000 at most.

    >>> [num_held_out(rows) for rows in (6, 40, 8000, 160_000)]
    [1, 10, 800, 2000]
    """
    least = min(LEAST_HELD_OUT, num_rows // 4)
    return min(max(int(num_rows * HELD_OUT_SHARE), least), MOST_HELD_OUT)


def _tuned(
    split: SplitEncoder,
    store: StateStore,
    tokens: Sequence[Tokens],
    given: BoolArray,
    tuning: FineTuning,
    seed: int,
) -> TunedTags:
    """The encoder trained on rows; taken up again where a killed run has trained it on the same."""
    key = fold_key(split, tuning, tokens, given, seed)
    progress = ProgressFile(tuning, key)
    folder = None if tuning.work is None else Path(tuning.work, "folds")
    if folder is not None and (kept := load_kept(folder, key, split)) is not None:
        progress.told(1, 1)
        return kept
    lengths = np.array([len(row) for row in tokens], dtype=np.int64)

    def states_of(rows: IntArray) -> Sequence[object]:
        return store.states([tokens[row] for row in rows])

    weights, outputs, offsets = train_upper(
        split, states_of, lengths, given, tuning.training, seed, progress.told  # type: ignore[arg-type]
    )  # fmt: skip
    tuned = TunedTags(
        split.name, split.identity, split.num_trained, split.max_tokens, weights, outputs, offsets
    )
    if folder is not None:
        keep(folder, key, tuned)
    return tuned


def _logits(tuned: TunedTags, store: StateStore, tokens: Sequence[Tokens]) -> Float64Array:
    parts = [
        tuned.logits_of(store.states(tokens[start : start + _CHUNK]))
        for start in range(0, len(tokens), _CHUNK)
    ]
    return np.concatenate(parts)


@contextlib.contextmanager
def _work(tuning: FineTuning) -> Iterator[Path]:
    """The work folder where this process sees it, else a temporary one of its own."""
    if tuning.work is not None and Path(tuning.work).is_dir():
        yield Path(tuning.work)
        return
    with tempfile.TemporaryDirectory(prefix="spark-ml-audit-") as folder:
        yield Path(folder)
