"""How well probabilities rank the rows of a tag, by counting pairs."""

from __future__ import annotations

import math

import numpy as np

AUC_LIMIT = "_auc_limit"
"""Key of what is no column of the class table: the lower limit of a class's AUC."""


def ranking(p: np.ndarray, y: np.ndarray) -> dict[str, float | None]:
    """AUC by counting pairs, and its lower limit by Hanley and McNeil (1982); None without both sides."""
    present, absent = p[y].astype(float), p[~y].astype(float)
    if not len(present) or not len(absent):
        return {"auc": None, AUC_LIMIT: None}
    pairs = len(present) * len(absent)
    above = sum(float((absent < value).sum() + (absent == value).sum() / 2) for value in present)
    auc = min(above / pairs, 1 - 0.5 / pairs)
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (len(present) - 1) * (q1 - auc**2) + (len(absent) - 1) * (q2 - auc**2)
    return {"auc": above / pairs, AUC_LIMIT: auc - 1.6448536269514722 * math.sqrt(variance / pairs)}
