"""How good predictions are out of fold, and whether an audit by them says more than a count of tags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import functions as F
from scipy.stats import rankdata

from spark_ml_audit.arrow.decode import decode_batches
from spark_ml_audit.engines.base import Batches
from spark_ml_audit.engines.columns import column, unit_hash
from spark_ml_audit.frames.ingest import Ingest
from spark_ml_audit.frames.passes import profile_rows
from spark_ml_audit.kernels.cell_scores import self_confidence
from spark_ml_audit.kernels.histogram import ProfileSpec
from spark_ml_audit.kernels.label_quality import ema
from spark_ml_audit.kernels.model_quality import (
    ModelQuality,
    decision_thresholds,
    model_quality,
    most_tags_first,
    weakness,
)
from spark_ml_audit.kernels.profile import ClassProfile
from spark_ml_audit.kernels.records import Records

_RANKED_ROWS = 20_000
_EMA_ALPHA = 0.8
# Rank correlation with the number of given tags from which the score says little else.
_MOSTLY_A_COUNT = 0.9


@dataclass(frozen=True)
class OutOfFold:
    """Quality of predictions against the given tags.

    Attributes:
        profile: Counts and histograms.
        quality: Figures per class and averaged.
        baseline: Quality of the number of a row's other tags, taken for probabilities.
        most_tags_first_correlation: Spearman rank correlation, over a hash sample of about 20,000 labelled
            rows, between "worst score first" (EMA 0.8 of self-confidence, the audit's default) and "most
            given tags first". Near 1, the audit's ranking of rows is little more than a count of their
            tags; None where either is constant.
        warnings: Sentences on what makes an audit by these probabilities doubtful.
    """

    profile: ClassProfile
    quality: ModelQuality
    baseline: ModelQuality
    most_tags_first_correlation: float | None
    warnings: tuple[str, ...]

    @property
    def figures(self) -> dict[str, float | None]:
        """The overall figures, under the names that outcomes and MLflow use."""
        return {
            **self.quality.summary(),
            "macro_auc_of_most_tags_first": _number(self.baseline.macro_auc),
            "most_tags_first_correlation": self.most_tags_first_correlation,
        }

    def per_class(self, classes: tuple[str, ...]) -> pd.DataFrame:
        """One row per class: uses, AUC, average precision, calibration, decision threshold."""
        table = pd.DataFrame(self.quality.class_rows(classes))
        return table.assign(decision_threshold=decision_thresholds(self.profile))


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def out_of_fold(ingest: Ingest) -> OutOfFold:
    """One pass for the quality, one for that of the baseline, and one over a sample for the ranking.

    Args:
        ingest: Predictions (see `predicted_ingest`).
    """
    profile, _ = profile_rows(ingest)
    quality = model_quality(profile)
    baseline = model_quality(_profile_of_counts(ingest))
    correlation = _most_tags_first_correlation(ingest, profile.num_rows)
    warnings = weakness(quality, ingest.layout.classes, baseline)
    if correlation is not None and correlation >= _MOSTLY_A_COUNT:
        warnings.append(
            f"Ranking rows by their audit score is little more than ranking them by their number of tags "
            f"(rank correlation {correlation:.2f}): judge single tags rather than rows."
        )
    return OutOfFold(profile, quality, baseline, correlation, tuple(warnings))


def _profile_of_counts(ingest: Ingest) -> ClassProfile:
    layout = ingest.layout
    spec = ProfileSpec.for_classes(layout.num_classes, "float32")

    def reduce(batches: Batches) -> Iterator[Records]:
        profile = ClassProfile(spec)
        for decoded in decode_batches(batches, layout):
            counts = most_tags_first(decoded.rows, decoded.cols, len(decoded.audited), layout.num_classes)
            profile.add_batch(counts, decoded.rows, decoded.cols)
        if profile.num_rows:
            yield profile.to_records()

    records = ingest.engine.reduce_batches(ingest.task_frame(with_id=False), reduce)
    return ClassProfile.from_records(spec, records)


def _most_tags_first_correlation(ingest: Ingest, num_rows: int) -> float | None:
    if not num_rows:
        return None
    layout = ingest.layout
    share = F.lit(min(1.0, _RANKED_ROWS / num_rows))
    key = unit_hash(F.lit("rank"), column(layout.id))
    sampled = Ingest(ingest.engine, ingest.frame.where(key < share), layout)
    added = pa.schema([("score", pa.float64()), ("num_tags", pa.int64())])

    def run(batches: Batches) -> Batches:
        for decoded in decode_batches(batches, layout):
            counts = np.bincount(decoded.rows, minlength=len(decoded.audited))
            scores = ema(self_confidence(decoded.pred_probs, decoded.rows, decoded.cols), _EMA_ALPHA)
            yield pa.RecordBatch.from_arrays(
                [pa.array(scores.astype(np.float64)), pa.array(counts.astype(np.int64))],
                names=added.names,
            )

    frame = ingest.engine.map_batches(sampled.task_frame(with_id=False), run, keep=(), add=added)
    found = ingest.engine.collect(frame)
    scores, counts = (found.column(name).to_numpy() for name in added.names)
    return rank_correlation(-scores, counts)


def rank_correlation(a: Any, b: Any) -> float | None:
    """Spearman's rank correlation, ties by their mean rank; None where either is constant or empty."""
    if len(a) < 2:
        return None
    x, y = rankdata(a), rankdata(b)
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum() / scale) if scale > 0 else None
