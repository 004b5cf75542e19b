"""How far a class's flags can be trusted, from how well its probabilities rank out of sample.

A flag is a disagreement between model and annotator. Where the model does not know a tag, that says nothing
of the annotator. One rule for every class, also of supplied probabilities:

* `unknown`: fewer than `MIN_SIDE` rows carry the tag, or fewer do not: too few to judge a model by.
* `weak`: the one-sided 95% lower limit of the AUC is below `GOOD_AUC` (acceptable discrimination: Hosmer,
  Lemeshow, Sturdivant, "Applied Logistic Regression", 2013, section 5.2.4), or the average precision is
  below `GOOD_LIFT` times the share of the tag, or for common tags below a quarter of the way from their
  share to 1.
* `good`: all others.

Estimates made of a class's confident joint have support where enough rows lie on both sides and the lower
limit of the AUC is above one half: a model no better than chance says nothing of how many tags are wrong.

The limit takes the AUC's standard error of Hanley and McNeil, "The meaning and use of the area under a
receiver operating characteristic (ROC) curve", Radiology 1982.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spark_ml_audit.kernels.model_quality import ModelQuality
from spark_ml_audit.kernels.trust_levels import GOOD, UNKNOWN, WEAK

FloatArray = npt.NDArray[np.float64]

MIN_SIDE = 10
"""Rows that must carry a tag, and that must not, for its model to be judged."""

GOOD_AUC = 0.7
"""Lower limit of the AUC from which a class is trusted."""

GOOD_LIFT = 1.5
"""Average precision over the share of the tag from which a class is trusted."""

_LIMIT_QUANTILE = 1.6448536269514722


def auc_lower_limit(quality: ModelQuality) -> FloatArray:
    """One-sided 95% lower confidence limits of the AUC, shape (K,); NaN where there is no AUC.

    Args:
        quality: Of the probabilities, out of sample.
    """
    auc = quality.auc
    present = quality.num_present.astype(np.float64)
    absent = quality.num_rows - present
    with np.errstate(invalid="ignore", divide="ignore"):
        # Hanley and McNeil's formula (1): a perfect ranking of few rows would have no error at all, so that
        # one pair is taken to be half wrong
        pairs = present * absent
        seen = np.minimum(auc, 1 - 0.5 / pairs)
        both, one = seen / (2 - seen), 2 * seen**2 / (1 + seen)
        variance = seen * (1 - seen) + (present - 1) * (both - seen**2) + (absent - 1) * (one - seen**2)
        limits: FloatArray = seen - _LIMIT_QUANTILE * np.sqrt(np.maximum(variance, 0.0) / pairs)
    limits[~quality.has_both] = np.nan
    return limits


def lift_of(quality: ModelQuality) -> FloatArray:
    """Average precision over the share of the tag, shape (K,); 1 for a model that looks at no row."""
    found: FloatArray = np.full(len(quality.auc), np.nan)
    np.divide(quality.average_precision, quality.prevalence, out=found, where=quality.has_both)
    return found


def class_trust(quality: ModelQuality) -> list[str]:
    """The trust of every class (see the module text).

    Example:
        >>> from spark_ml_audit.kernels.histogram import ProfileSpec
        >>> from spark_ml_audit.kernels.model_quality import model_quality
        >>> from spark_ml_audit.kernels.profile import ClassProfile
        >>> profile = ClassProfile(ProfileSpec.for_classes(3, np.float64))
        >>> given = np.zeros((100, 3), dtype=bool)
        >>> given[:20, 0] = given[::2, 1] = given[:2, 2] = True
        >>> pred_probs = np.repeat(np.linspace(0.9, 0.1, 100)[:, None], 3, axis=1)
        >>> profile.add_batch(pred_probs, *np.nonzero(given))
        >>> class_trust(model_quality(profile))
        ['good', 'weak', 'unknown']
    """
    enough = _enough(quality)
    prior = quality.prevalence
    with np.errstate(invalid="ignore"):
        is_good = auc_lower_limit(quality) >= GOOD_AUC
        is_good &= quality.average_precision >= np.minimum(GOOD_LIFT * prior, prior + (1 - prior) / 4)
    return [
        UNKNOWN if not known else GOOD if good else WEAK for known, good in zip(enough, is_good, strict=True)
    ]


def has_support(quality: ModelQuality) -> npt.NDArray[np.bool_]:
    """Whether estimates of how many tags are wrong mean anything, shape (K,)."""
    with np.errstate(invalid="ignore"):
        found: npt.NDArray[np.bool_] = _enough(quality) & (auc_lower_limit(quality) > 0.5)
    return found


def _enough(quality: ModelQuality) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = (quality.num_present >= MIN_SIDE) & (
        quality.num_rows - quality.num_present >= MIN_SIDE
    )
    return found
