"""How good predictions are out of fold, and whether an audit by them says more than a count of tags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from scipy.stats import rankdata

from spark_ml_audit.arrow.decode import DecodedBatch, decode_batches
from spark_ml_audit.arrow.hashes import hash_values, unit_interval
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.config.predict import MIN_PRECISION
from spark_ml_audit.engines.base import Batches
from spark_ml_audit.frames.ingest import Ingest
from spark_ml_audit.frames.passes import Profiled, profile_rows
from spark_ml_audit.kernels.cell_scores import self_confidence
from spark_ml_audit.kernels.histogram import ProfileSpec
from spark_ml_audit.kernels.label_quality import ema
from spark_ml_audit.kernels.log_loss import (
    SLOT,
    LogLoss,
    log_loss_of,
    loss_records,
    loss_sums,
    sums_of_records,
)
from spark_ml_audit.kernels.model_quality import (
    ModelQuality,
    model_quality,
    most_tags_first,
    overall_weakness,
    weakness,
)
from spark_ml_audit.kernels.profile import ClassProfile, IntArray
from spark_ml_audit.kernels.records import Records, make_records
from spark_ml_audit.kernels.tagging import (
    TaggingEvidence,
    choose_thresholds,
    tagging_evidence,
)
from spark_ml_audit.outcomes.tagging import Tagging
from spark_ml_audit.predicting.tagging import TAGGING_COLUMNS, tagging_of, tagging_rows

_RANKED_ROWS = 20_000
# Of the draw of these rows: no hash of ids that decides anything else has it.
_RANKED_SEED = 0x72616E6B
_EMA_ALPHA = 0.8
# Rank correlation with the number of given tags from which the score says little else.
_MOSTLY_A_COUNT = 0.9


@dataclass(frozen=True)
class OutOfFold:
    """Quality of predictions against the given tags.

    Attributes:
        profiled: Counts and histograms, and rows by status: the first pass of an audit by these predictions.
        quality: Figures per class and averaged.
        baseline: Quality of the number of a row's other tags, taken for probabilities.
        log_loss: Log loss per class and averaged (probabilities are cut, see `kernels.log_loss.CLIP`).
        most_tags_first_correlation: Spearman rank correlation, over a hash sample of about 20,000 labelled
            rows, between "worst score first" (EMA 0.8 of self-confidence, the audit's default) and "most
            given tags first". Near 1, the audit's ranking of rows is little more than a count of their
            tags; None where either is constant.
        warnings: Sentences on what makes an audit by these probabilities doubtful.
    """

    profiled: Profiled
    quality: ModelQuality
    baseline: ModelQuality
    log_loss: LogLoss
    most_tags_first_correlation: float | None
    warnings: tuple[str, ...]

    @property
    def weak(self) -> list[str]:
        """Sentences on why no flag by these predictions should be believed; none for a fair model."""
        return overall_weakness(self.quality, self.baseline)

    @property
    def profile(self) -> ClassProfile:
        """Counts and histograms."""
        return self.profiled.profile

    @property
    def figures(self) -> dict[str, float | None]:
        """The overall figures, under the names that outcomes and MLflow use."""
        return {
            **self.quality.summary(),
            **self.log_loss.summary(),
            "macro_auc_of_most_tags_first": _number(self.baseline.macro_auc),
            "most_tags_first_correlation": self.most_tags_first_correlation,
        }

    @cached_property
    def evidence(self) -> TaggingEvidence:
        """What thresholds for new rows are chosen from."""
        return tagging_evidence(self.profile)

    def tagging(self, classes: tuple[str, ...], min_precision: float) -> Tagging:
        """Which classes may be given to new rows, and which not, and why."""
        return tagging_of(classes, self.evidence, choose_thresholds(self.evidence, min_precision))

    def per_class(self, classes: tuple[str, ...], min_precision: float = MIN_PRECISION) -> pd.DataFrame:
        """One row per class: uses, AUC, average precision, log loss, calibration, and how it is tagged.

        Args:
            classes: Tag names, K.
            min_precision: Least lower bound of the precision of a class that is tagged.
        """
        table = pd.DataFrame(self.quality.class_rows(classes))
        place = list(table.columns).index("average_precision") + 1
        table.insert(place, "log_loss", self.log_loss.by_class)
        table.insert(place + 1, "log_loss_of_prior", self.log_loss.of_prior)
        chosen = choose_thresholds(self.evidence, min_precision)
        rules = pd.DataFrame(tagging_rows(classes, self.evidence, chosen))
        return table.assign(**{name: rules[name] for name in TAGGING_COLUMNS})


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def out_of_fold(ingest: Ingest) -> OutOfFold:
    """One pass for the quality, one for the log loss, the quality of the baseline and the ranking.

    Args:
        ingest: Predictions (see `predicted_ingest`).
    """
    profiled = profile_rows(ingest)
    profile = profiled.profile
    quality = model_quality(profile)
    counts, sums, correlation = _by_number_of_tags(ingest, profile.num_rows)
    baseline = model_quality(counts)
    log_loss = log_loss_of(sums, profile.num_present, profile.num_rows)
    warnings = weakness(quality, ingest.layout.classes, baseline)
    if correlation is not None and correlation >= _MOSTLY_A_COUNT:
        warnings.append(
            f"Ranking rows by their audit score is little more than ranking them by their number of tags "
            f"(rank correlation {correlation:.2f}): judge single tags rather than rows."
        )
    return OutOfFold(profiled, quality, baseline, log_loss, correlation, tuple(warnings))


def _by_number_of_tags(ingest: Ingest, num_rows: int) -> tuple[ClassProfile, IntArray, float | None]:
    """The profile of numbers of other tags taken for probabilities; how numbers of tags go with scores.

    Between the two, because the same pass adds them up, the sums of the log losses of the probabilities.
    """
    layout = ingest.layout
    spec = ProfileSpec.for_classes(layout.num_classes, "float32")
    share = min(1.0, _RANKED_ROWS / max(num_rows, 1))

    def reduce(batches: Batches) -> Iterator[Records]:
        profile = ClassProfile(spec)
        losses: IntArray = np.zeros((2, layout.num_classes), dtype=np.int64)
        for decoded in decode_batches(batches, layout):
            counts = most_tags_first(decoded.rows, decoded.cols, len(decoded.audited), layout.num_classes)
            profile.add_batch(counts, decoded.rows, decoded.cols)
            losses += loss_sums(decoded.pred_probs, decoded.rows, decoded.cols)
            yield _ranked_records(decoded, share)
        if profile.num_rows:
            yield profile.to_records()
            yield loss_records(losses)

    records = ingest.engine.reduce_batches(ingest.task_frame(with_id=True), reduce)
    losses = sums_of_records(records, layout.num_classes)
    of_classes = records["class_index"] >= 0
    of_profile = of_classes & (records["slot"] != SLOT)
    counted = ClassProfile.from_records(spec, {name: values[of_profile] for name, values in records.items()})
    ranked = {name: values[~of_classes] for name, values in records.items()}
    return counted, losses, _rank_correlation_of(ranked)


def _ranked_records(decoded: DecodedBatch, share: float) -> Records:
    """Rows of the sample by their number of tags, as negative class_index, and the bits of their score."""
    ids = decoded.source.column(ID).take(pa.array(decoded.audited))
    drawn = unit_interval(hash_values(ids, _RANKED_SEED)) < share
    tags = drawn[decoded.rows]
    rows, cols = (np.cumsum(drawn) - 1)[decoded.rows[tags]], decoded.cols[tags]
    scores = ema(self_confidence(decoded.pred_probs[drawn], rows, cols), _EMA_ALPHA)
    counts = np.bincount(rows, minlength=len(scores))
    return make_records(-1 - counts, scores.astype(np.float64).view(np.int64), 1)


def _rank_correlation_of(records: Records) -> float | None:
    """Rank correlation of scores, the worst first, with numbers of tags, from such records."""
    # in an order of their own: sums of doubles depend on it
    order = np.lexsort((records["slot"], records["class_index"]))
    index, bits, times = (records[name][order] for name in ("class_index", "slot", "a"))
    scores: npt.NDArray[np.float64] = np.repeat(bits, times).view(np.float64)
    return rank_correlation(-scores, np.repeat(-1 - index, times))


def rank_correlation(a: Any, b: Any) -> float | None:
    """Spearman's rank correlation, ties by their mean rank; None where either is constant or empty."""
    if len(a) < 2:
        return None
    x, y = rankdata(a), rankdata(b)
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum() / scale) if scale > 0 else None
