"""What an audit by out-of-fold probabilities would change about the tags a final model learns from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spark_ml_audit.config.audit import MethodConfig
from spark_ml_audit.config.detect import DetectConfig
from spark_ml_audit.frames.ingest import Ingest
from spark_ml_audit.frames.passes import resolve_rows
from spark_ml_audit.kernels.profile import ClassProfile
from spark_ml_audit.kernels.rules import AuditRules
from spark_ml_audit.predicting.folds import plan_sample
from spark_ml_audit.predicting.training import TrainingSet


@dataclass(frozen=True)
class Corrected:
    """A training set whose tags are those that an audit suggests.

    Attributes:
        training: What to train on.
        num_added: Cells flagged missing, which become tags.
        num_removed: Cells flagged extraneous, which do not stay tags.
    """

    training: TrainingSet
    num_added: int
    num_removed: int


def corrected(training: TrainingSet, predictions: Ingest, profile: ClassProfile, max_rows: int) -> Corrected:
    """Audit predictions by the default method, and train on what it suggests instead of the given tags.

    The flags are the audit's own: every one is a place where out-of-fold model and tag disagree more than
    chance allows, not a verified error. What people decided stands before them.
    Decision thresholds stay those found on the given tags.

    Args:
        training: The training set of the given tags.
        predictions: The committed predictions (see `predicted_ingest`).
        profile: Their profile.
        max_rows: Rows to train on at most.
    """
    method = MethodConfig()
    ambiguity = DetectConfig().ambiguous.options
    found = resolve_rows(predictions, profile, method.prune_options, ambiguity)
    rules = AuditRules(found.thresholds, found.cutoffs, method.scoring)
    present = np.asarray(found.num_given + found.num_missing - found.num_extraneous, dtype=np.int64)
    known = training.counts
    rows = known.training_rows(None)[0]
    counts = replace(
        known,
        labelled=np.array([known.rows.num_audited]),
        unlabelled=np.array([0]),
        present=present.reshape(1, -1),
        excluded=np.array([known.num_excluded]),
    )
    sample = plan_sample(rows, present, max_rows)
    predictions = replace(predictions, marks=training.ingest.marks)
    changed = replace(training, ingest=predictions, counts=counts, sample=sample, rules=rules)
    return Corrected(changed, int(found.num_missing.sum()), int(found.num_extraneous.sum()))
