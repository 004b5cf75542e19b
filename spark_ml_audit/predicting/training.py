"""Models trained as tasks beside each other: one per fold on the rows of the others, or one on all rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa

from spark_ml_audit.arrow.decode import DecodedBatch, decode_batches
from spark_ml_audit.arrow.lists import list_array, rows_of_lists
from spark_ml_audit.engines.base import Batches
from spark_ml_audit.errors import AuditError, ConfigError, InputError, reason_of
from spark_ml_audit.frames.features import Features, feature_struct, to_pandas
from spark_ml_audit.frames.ingest import Ingest
from spark_ml_audit.kernels.decided_tags import decided_tags
from spark_ml_audit.kernels.profile import IntArray
from spark_ml_audit.kernels.rules import AuditRules, apply_rules
from spark_ml_audit.models.bundle import TagModel
from spark_ml_audit.models.finetune.learner import AverageCheck, AveragedLearner
from spark_ml_audit.models.finetune.settings import FineTuning
from spark_ml_audit.models.images import ImageFiles
from spark_ml_audit.models.registry import MAX_WEIGHT_BYTES
from spark_ml_audit.models.scorers import TagScorer
from spark_ml_audit.predicting.encoded import FINAL, EncodedTexts
from spark_ml_audit.predicting.folds import FoldPlan, LabelCounts, SamplePlan

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Frame

MAX_MODELS_BYTES = 512 << 20
"""Bytes of all models of a run: they meet on the driver, whose results Spark limits to 1 GB by default."""

# A cell of a Spark row is limited to 2 GB; parts also keep one message of Spark Connect small.
_PART_BYTES = 32 << 20
# Rows of all groups that are fine-tuned sooner than another process has imported torch.
_FEW_ROWS_TO_TUNE = 1_500
_RESULT = pa.schema(
    [
        ("model", pa.int32()),
        ("part", pa.int32()),
        ("payload", pa.binary()),
        ("num_rows", pa.int64()),
        ("shift", pa.list_(pa.float64())),
        ("kind", pa.string()),
        ("warnings", pa.list_(pa.string())),
        ("error", pa.string()),
        ("key", pa.string()),
        ("judged", pa.list_(pa.float64())),
    ]
)


@dataclass(frozen=True)
class TrainingSet:
    """What models are trained on.

    Attributes:
        ingest: The source with its repeated ids known.
        features: Feature columns.
        plan: Folds.
        counts: Rows and tags by fold.
        sample: Rows to take.
        kind: Kind of model.
        rules: Turns tags into those an audit suggests; `ingest` then has probabilities. None: as given.
        images: Where the images of the column of images are; None without one.
        encoded: Vectors of the texts, and which of them each model reads; None without an encoder.
        tuning: How the encoder is trained on each fold beside them; None: it is not.

    What people decided, the marks of `ingest`, stands before both tags and rules.
    """

    ingest: Ingest
    features: Features
    plan: FoldPlan
    counts: LabelCounts
    sample: SamplePlan
    kind: str
    rules: AuditRules | None = None
    encoded: EncodedTexts | None = None
    images: ImageFiles | None = None
    tuning: FineTuning | None = None


@dataclass(frozen=True)
class Trained:
    """Trained models.

    Attributes:
        scorers: Model number -> scorer; `FINAL` alone for a model of the whole table.
        num_rows: Model number -> rows it was trained on.
        kind: Kind of model, as resolved.
        warnings: Sentences, each once.
        judged: Model number -> what decided about fine-tuning it; empty without.
    """

    scorers: dict[int, TagScorer]
    num_rows: dict[int, int]
    kind: str
    warnings: tuple[str, ...]
    judged: dict[int, AverageCheck] = field(default_factory=dict)


_ROW = pa.schema(
    [
        ("model", pa.int32()),
        ("order_key", pa.int64()),
        ("group_key", pa.int64()),
        ("tags", pa.list_(pa.int32())),
    ]
)


def training_rows(training: TrainingSet, models: Sequence[int]) -> Frame:
    """The labelled rows of the sample, once for each model that learns from them.

    Args:
        training: What models are trained on.
        models: Their numbers: every row goes to the models of the folds it is not in, and to `FINAL`.

    Returns:
        Columns features (struct), model, order_key, group_key, tags.
    """
    ingest, names = training.ingest, training.features.names
    if training.encoded is not None:
        ingest = replace(ingest, frame=training.encoded.joined(ingest.frame))
        # of an image models read the vectors
        names = (*training.features.spec.plain_columns, *training.encoded.names)
    engine, layout, plan = ingest.engine, ingest.layout, training.plan
    sample, rules = training.sample, training.rules
    ingest = replace(ingest, frame=engine.with_arrays(ingest.frame, names))
    carry = nw.struct(plan.keys.alias("keys"), feature_struct(names).alias("features"))

    def run(batches: Batches) -> Batches:
        for decoded in decode_batches(batches, layout):
            yield from _rows_of_models(decoded, models, plan, sample, rules)

    frame = ingest.task_frame(with_id=ingest.marks is not None, carry=carry)
    chosen = engine.map_batches(frame, run, keep=("carried",), add=_ROW)
    return chosen.select(nw.col("carried").struct.field("features").alias("features"), *_ROW.names)


def _rows_of_models(
    decoded: DecodedBatch, models: Sequence[int], plan: FoldPlan, sample: SamplePlan, rules: AuditRules | None
) -> Batches:
    rows, cols = decoded.rows, decoded.cols
    if rules is not None:
        rows, cols = apply_rules(decoded.pred_probs, rows, cols, rules).suggested
    decided = decided_tags(rows, cols, decoded.marks, len(decoded.audited), len(sample.tag_rates))
    rows, cols = decided.rows, decided.cols
    carried, places = decoded.source.column("carried"), pa.array(decoded.audited)
    keys = carried.field("keys").take(places)
    chosen, folds = sample.chosen(plan.sample_keys(keys), rows, cols) & ~decided.excluded, plan.folds(keys)
    tags = list_array(np.bincount(rows, minlength=len(chosen)), pa.array(cols.astype(np.int32)))
    numbers = [pa.array(plan.order_keys(keys)), pa.array(plan.group_keys(keys)), tags]
    for model in models:
        # the number of the final model is no fold's
        learned = pa.array(np.flatnonzero(chosen & (folds != model)))
        given = [pa.array(np.full(len(learned), model, np.int32)), *[part.take(learned) for part in numbers]]
        yield pa.RecordBatch.from_arrays(
            [carried.take(places.take(learned)), *given], names=["carried", *_ROW.names]
        )


def train_folds(training: TrainingSet) -> Trained:
    """Train one model per fold on the sampled rows of all other folds, as parallel tasks.

    A task holds the rows of its model in memory: at most about ``max_train_rows`` of them. The models come
    to the driver as bytes, `MAX_MODELS_BYTES` in all: ours keep fewer text features where there are many
    folds, larger ones of somebody else are refused.

    Raises:
        InputError: A fold has nothing to learn from, or training failed.
    """
    folds = training.plan.num_folds
    needed = [
        fold for fold in range(folds) if training.counts.labelled[fold] + training.counts.unlabelled[fold]
    ]
    for fold in needed:
        if not training.counts.training_rows(fold)[0]:
            raise InputError(
                f"all {training.counts.rows.num_audited} labelled rows are in fold {fold}: nothing is left "
                "to train its model on.",
                key="source.group" if training.plan.group else "model.folds",
                fix="Use a group column with more values, more rows, or another model.seed.",
            )
    return _train(training, needed)


def train_final(training: TrainingSet) -> Trained:
    """Train one model on the sampled rows of the whole table.

    Raises:
        InputError: Training failed.
    """
    return _train(training, [FINAL])


def _train(training: TrainingSet, numbers: list[int]) -> Trained:
    trainer, rows = _Trainer(training, MAX_MODELS_BYTES // len(numbers)), training_rows(training, numbers)
    table = training.ingest.engine.run_groups(rows, "model", numbers, trainer, _RESULT)
    found: list[dict[str, Any]] = table.to_pylist()
    payloads: dict[int, dict[int, bytes]] = {}
    for row in found:
        if row["error"] is not None:
            kind = ConfigError if (row["key"] or "").startswith("model.") else InputError
            raise kind(
                f"training failed: {row['error']}.",
                key=row["key"] or "model.kind",
                fix="Check the features and the model; model.kind: auto fits any table.",
            )
        payloads.setdefault(row["model"], {})[row["part"]] = bytes(row["payload"])
    first = {row["model"]: row for row in found if row["part"] == 0}
    scorers: dict[int, TagScorer] = {}
    for number, row in first.items():
        parts = payloads[number]
        shift = None if row["shift"] is None else np.array(row["shift"], dtype=np.float64)
        scorers[number] = TagScorer(b"".join(parts[part] for part in sorted(parts)), shift)
    sentences = [text for number in sorted(first) for text in first[number]["warnings"]]
    trained_on = {number: row["num_rows"] for number, row in first.items()}
    kind = next(iter(first.values()))["kind"]
    judged = {number: _judged(row["judged"]) for number, row in first.items() if row["judged"]}
    return Trained(scorers, trained_on, kind, tuple(dict.fromkeys(sentences)), judged)


def _judged(numbers: Sequence[float]) -> AverageCheck:
    kept, alone, average, rows = numbers
    return AverageCheck(bool(kept), alone, average, int(rows))


@dataclass(frozen=True)
class TaskRows:
    """Rows that a model learns from, in the order of their keys.

    Attributes:
        frame: Features, n rows.
        rows: Row of each given tag.
        cols: Its class.
        order_keys: Hash of each row's id, shape (n,), ascending.
        group_keys: Hash of each row's group, shape (n,).
    """

    frame: pd.DataFrame
    rows: IntArray
    cols: IntArray
    order_keys: IntArray
    group_keys: IntArray


def rows_of_task(table: Any) -> TaskRows:
    """The rows of `training_rows` as a task gets them.

    They arrive in the order of the shuffle, which a model must not depend on.
    """
    keys = table.column("order_key").to_numpy()
    order = np.argsort(keys, kind="stable")
    table = table.take(pa.array(order))
    tags = table.column("tags").combine_chunks()
    if isinstance(tags, pa.ChunkedArray):
        tags = tags.chunk(0)
    return TaskRows(
        frame=to_pandas(pa.Table.from_struct_array(table.column("features"))),
        rows=rows_of_lists(tags),
        cols=tags.flatten().to_numpy().astype(np.int64),
        order_keys=keys[order],
        group_keys=table.column("group_key").to_numpy(),
    )


class _Trainer:
    """Trains the model of one fold's rows inside a task."""

    def __init__(self, training: TrainingSet, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._classes = training.ingest.layout.classes
        self._spec = training.features.spec
        self._kind = training.kind
        self._seed = training.plan.seed
        self._tuning = training.tuning
        if self._tuning is not None:
            self.few_rows = _FEW_ROWS_TO_TUNE
        self._encodings = {} if training.encoded is None else dict(training.encoded.encodings)
        self._population: dict[int, tuple[int, list[int]]] = {}
        if not training.sample.takes_all:
            for number in (FINAL, *range(training.plan.num_folds)):
                rows, present = training.counts.training_rows(None if number == FINAL else number)
                self._population[number] = (rows, present.tolist())

    def __call__(self, number: int, table: Any) -> Any:
        try:
            model, shift, num_rows = self._fit(table, number)
            payload = model.to_bytes()
            if len(payload) > self._max_bytes:
                raise ConfigError(
                    f"one trained model of kind '{self._kind}' has {len(payload) / 2**20:,.1f} MB, and all "
                    f"models of the run together may have {MAX_MODELS_BYTES >> 20} MB: take a smaller model "
                    "(fewer or shallower trees, fewer features, a smaller encoder) or fewer folds",
                    key="model.kind",
                )
        except AuditError as error:
            return _result(number, error=str(error.message).rstrip("."), key=error.key)
        except Exception as error:  # noqa: BLE001 - told on the driver, without a stack of two languages
            return _result(number, error=f"{type(error).__name__}: {reason_of(error)}")
        return _result(
            number,
            payload,
            num_rows=num_rows,
            shift=shift,
            kind=model.kind,
            warnings=list(model.warnings),
            judged=_numbers_of(model),
        )

    def _fit(self, table: Any, number: int) -> tuple[TagModel, list[float] | None, int]:
        learned = rows_of_task(table)
        encoding = self._encodings.get(number)
        layers = 1 if encoding is None else 2  # with vectors a model has two first layers (`models.averaged`)
        model = TagModel.fit(
            learned.frame,
            learned.rows,
            learned.cols,
            self._classes,
            self._spec,
            self._kind,
            self._seed,
            order_keys=learned.order_keys,
            group_keys=learned.group_keys,
            # beside the weights a model has its vocabulary and a network, small ones
            max_weight_bytes=min(MAX_WEIGHT_BYTES, self._max_bytes * 4 // 5 // layers),
            encoding=encoding,
            tuning=self._tuning,
        )
        num_rows = len(learned.order_keys)
        return model, self._shift(number, num_rows, learned.cols), num_rows

    def _shift(self, number: int, num_rows: int, cols: Any) -> list[float] | None:
        """What a sample's own prevalence adds to the log-odds of every tag, to be taken back.

        A sample that favours rare tags makes models expect them too often; adding the difference of the
        log prior odds is Bayes' rule for a changed prevalence (Saerens et al. 2002, eq. 2.4).
        """
        if number not in self._population:
            return None
        population, present = self._population[number]
        sampled = np.bincount(cols, minlength=len(self._classes))
        actual = np.array(present, dtype=np.float64)
        found: list[float] = (
            np.log((actual + 0.5) / (population - actual + 0.5))
            - np.log((sampled + 0.5) / (num_rows - sampled + 0.5))
        ).tolist()
        return found


def _numbers_of(model: TagModel) -> list[float] | None:
    """What decided about fine-tuning, as the result has it."""
    found = model.learner.judged if isinstance(model.learner, AveragedLearner) else None
    if found is None:
        return None
    return [float(found.is_kept), found.loss_alone, found.loss_average, float(found.num_rows)]


def _result(
    number: int,
    payload: bytes = b"",
    *,
    num_rows: int = 0,
    shift: list[float] | None = None,
    kind: str | None = None,
    warnings: list[str] | None = None,
    error: str | None = None,
    key: str | None = None,
    judged: list[float] | None = None,
) -> Any:
    parts = [payload[start : start + _PART_BYTES] for start in range(0, max(len(payload), 1), _PART_BYTES)]
    rows = [
        {
            "model": number,
            "part": part,
            "payload": piece,
            "num_rows": num_rows,
            "shift": shift if part == 0 else None,
            "kind": kind,
            "warnings": (warnings or []) if part == 0 else [],
            "error": error,
            "key": key,
            "judged": judged if part == 0 else None,
        }
        for part, piece in enumerate(parts)
    ]
    return pa.Table.from_pylist(rows, schema=_RESULT)
