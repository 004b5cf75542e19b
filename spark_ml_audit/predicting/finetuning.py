"""Fine-tuning of a run: how long it will take, where its work is kept, how far it is, what it gave."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_ml_audit.config.paths import local_path
from spark_ml_audit.engines.limits import cores
from spark_ml_audit.models.finetune.pace import measure, share_done
from spark_ml_audit.models.finetune.settings import FineTuning
from spark_ml_audit.models.finetune.split import open_split
from spark_ml_audit.models.text import joined_texts

if TYPE_CHECKING:
    from datetime import timedelta

    from spark_ml_audit.config import ModelConfig, OutputConfig
    from spark_ml_audit.models.finetune.learner import AverageCheck
    from spark_ml_audit.predicting.training import TrainingSet
    from spark_ml_audit.progress import Progress

FOLDER = "_finetune"
"""Folder of an output in which fine-tuning works; no table, and gone once its run is committed."""

_LOOK_SECONDS, _TELL_SECONDS = 1.0, 30.0


def work_folder(output: OutputConfig, metadata: Mapping[str, str | None]) -> Path | None:
    """The local folder in which a run keeps its work; the same for a retry.

    Args:
        output: The `output` section.
        metadata: What its first commit records: the fingerprint of its config, the version of its source.

    Returns:
        None where neither the output nor `output.files` is a local folder: nothing is kept then.
    """
    place = output.files or output.path
    folder = None if place is None else local_path(place)
    if folder is None:
        return None
    name = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode()).hexdigest()[:16]
    return folder / FOLDER / name


def with_tuning(
    training: TrainingSet, model: ModelConfig, output: OutputConfig, work: Path | None, progress: Progress
) -> TrainingSet:
    """A training set whose models are averaged with a fine-tuned encoder; says how long that will take.

    Args:
        training: What models are trained on, with its texts' vectors.
        model: The `model` section.
        output: The `output` section.
        work: From `work_folder`.
        progress: Told.

    Raises:
        ConfigError: The encoder has no layers to train.
        ValueError: The training set has no encoder.
    """
    if training.encoded is None:
        raise ValueError("fine-tuning needs an encoder")
    tuning = FineTuning(training.encoded.stored.encoder.value)
    split = open_split(tuning.encoder, tuning.num_trained, tuning.max_tokens)
    if work is None:
        progress.note(
            "the output is no local folder: a killed run would train all folds again (set output.files)"
        )
    else:
        _sweep(work, output.orphan_after)
        with contextlib.suppress(OSError):
            work.mkdir(parents=True, exist_ok=True)
        tuning = replace(tuning, work=str(work))
        if kept := len(list(work.glob("folds/*.npz"))):
            progress.note(f"an earlier try left the weights of {kept} models here: they are taken up")
    progress.note(_estimate(training, tuning, model.max_train_rows))
    if split.device.type == "cuda":
        progress.note("the GPU is used")
    return replace(training, tuning=tuning)


def _estimate(training: TrainingSet, tuning: FineTuning, max_train_rows: int) -> str:
    """A sentence on how long it will take, by timing a few batches."""
    encoded, counts, folds = training.encoded, training.counts, training.plan.num_folds
    columns = () if encoded is None else encoded.stored.columns
    texts = [text for text in joined_texts(training.features.sample, columns) if text.strip()] or ["none"]
    split = open_split(tuning.encoder, tuning.num_trained, tuning.max_tokens)
    cost = measure(split, texts, training.ingest.layout.num_classes, tuning.training)
    num_trained = min(counts.training_rows(0)[0], max_train_rows)
    beside = min(folds, cores())
    num_rows = counts.rows.num_audited + counts.rows.num_unlabelled
    seconds = cost.seconds(num_trained, num_rows, folds, tuning.training, beside)
    return (
        f"fine-tuning {split.num_trained} of {split.num_layers} layers for {folds} folds of about "
        f"{num_trained:,} rows: about {duration(seconds)} if {beside} folds run at once, as they can on "
        "the cores of this machine"
    )


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(41), duration(780), duration(9000)
    ('41 s', '13 min', '2.5 h')
    """
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextlib.contextmanager
def watched(training: TrainingSet, progress: Progress) -> Iterator[None]:
    """Tell every half minute how far the folds are, by the files that they write to the work folder."""
    tuning = training.tuning
    if tuning is None or tuning.work is None:
        yield
        return
    work, ended = Path(tuning.work), threading.Event()
    _forget_progress(work)
    teller = threading.Thread(
        target=_tell, args=(work, training.plan.num_folds, progress, ended), daemon=True
    )
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def _tell(work: Path, folds: int, progress: Progress, ended: threading.Event) -> None:
    told, first = time.monotonic(), (0.0, 0.0)
    while not ended.wait(_LOOK_SECONDS):
        now, share = time.monotonic(), share_done(work, folds)
        if not first[1]:
            first = (now, share)  # before the first step there are the states, and packages to import
        elif now - told >= _TELL_SECONDS and share > first[1]:
            left = (now - first[0]) * (1 - share) / (share - first[1])
            progress.note(f"fine-tuning: {share:.0%} of the steps of all folds, about {duration(left)} left")
            told = now


def _forget_progress(work: Path) -> None:
    for file in work.glob("*.progress.json"):
        with contextlib.suppress(OSError):
            file.unlink()


def forget_work(training: TrainingSet | None) -> None:
    """Remove the work of a run that is committed."""
    if training is None or training.tuning is None or training.tuning.work is None:
        return
    work = Path(training.tuning.work)
    shutil.rmtree(work, ignore_errors=True)
    with contextlib.suppress(OSError):  # another run works there
        work.parent.rmdir()


def _sweep(work: Path, orphan_after: timedelta) -> None:
    """Remove what runs left behind that were killed long ago and never tried again."""
    with contextlib.suppress(OSError):
        for other in work.parent.iterdir():
            age = time.time() - max(file.stat().st_mtime for file in (other, *other.rglob("*")))
            if other != work and age > max(orphan_after.total_seconds(), 0):
                shutil.rmtree(other, ignore_errors=True)


def tuned_mapping(judged: Mapping[int, AverageCheck]) -> dict[str, Any]:
    """What tables record of fine-tuning.

    Args:
        judged: Fold -> what decided about its model; folds with too few rows to judge by are not there.

    Example:
        >>> from spark_ml_audit.models.finetune.learner import AverageCheck
        >>> first, second = AverageCheck(True, 0.12, 0.1, 80), AverageCheck(False, 0.1, 0.11, 80)
        >>> found = tuned_mapping({0: first, 1: second})
        >>> found["kept_by_fold"], found["log_loss_alone"], found["log_loss_average"], found["num_held_out"]
        ({'0': True, '1': False}, 0.11, 0.105, 160)
    """
    each = [judged[fold] for fold in sorted(judged)]
    rows = sum(found.num_rows for found in each)
    alone = sum(found.loss_alone * found.num_rows for found in each) / max(rows, 1)
    averaged = sum(found.loss_average * found.num_rows for found in each) / max(rows, 1)
    return {
        "kept_by_fold": {str(fold): judged[fold].is_kept for fold in sorted(judged)},
        "log_loss_alone": round(alone, 6),
        "log_loss_average": round(averaged, 6),
        "num_held_out": rows,
    }


def said_of(finetuned: Mapping[str, Any]) -> str:
    """A sentence on what fine-tuning gave.

    Args:
        finetuned: From `tuned_mapping`.

    Example:
        >>> kept = {"0": True, "1": False}
        >>> losses = {"log_loss_alone": 0.11, "log_loss_average": 0.105, "num_held_out": 160}
        >>> said_of({"kept_by_fold": kept, **losses}).partition(":")[0]
        'fine-tuned encoder averaged in for 1 of 2 folds'
    """
    kept = finetuned["kept_by_fold"]
    if not kept:
        return "too few rows to fine-tune the encoder"
    return (
        f"fine-tuned encoder averaged in for {sum(kept.values())} of {len(kept)} folds: log loss "
        f"{finetuned['log_loss_average']:.4f} instead of {finetuned['log_loss_alone']:.4f} on "
        f"{finetuned['num_held_out']:,} rows held out"
    )
