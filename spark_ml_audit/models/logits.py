"""Log-odds of models, and the probabilities that they stand for."""

from __future__ import annotations

import numpy as np

from spark_ml_audit.models.design import Float32Array, Float64Array

LOGIT_LIMIT = 13.8
"""Log-odds of 1 - 1e-6: of models that are averaged none may be sure enough to outvote the others."""


def probabilities_of(logits: Float64Array) -> Float32Array:
    """Probabilities of log-odds, of any shape.

    >>> probabilities_of(np.array([0.0, np.log(3.0)])).tolist()
    [0.5, 0.75]
    """
    return np.asarray(1.0 / (1.0 + np.exp(-logits)), dtype=np.float32)
