"""How far people agree, by class: their newest own verdicts, as `reviewing.agreement` has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from spark_ml_audit.app.session import ReviewSession
from spark_ml_audit.app.votes import ABSENT, PRESENT, newest_of_each
from spark_ml_audit.kernels.agreement import agreement
from spark_ml_audit.text import for_page

_OWN = 1
Patterns = Counter[tuple[int, int]]


def agreement_of(session: ReviewSession) -> list[dict[str, Any]]:
    """Agreement on the cells that two or more judged: of all classes together (tag None), then of each.

    Nothing where no cell was judged by two.
    """
    by_class: dict[int, Patterns] = {}
    with session.lock:
        for (_, code), votes in session.state.votes.items():
            own = [vote.verdict for vote in newest_of_each(votes) if vote.level == _OWN]
            pattern = own.count(PRESENT), own.count(ABSENT)
            if code >= 0 and any(pattern):
                by_class.setdefault(code, Counter())[pattern] += 1
    shared = {
        code: found for code, found in sorted(by_class.items()) if any(yes + no > 1 for yes, no in found)
    }
    if not shared:
        return []
    whole: Patterns = sum(by_class.values(), Counter())
    return [
        {"tag": None, **_told(whole)},
        *({"tag": for_page(session.classes[code], 200), **_told(found)} for code, found in shared.items()),
    ]


def _told(patterns: Mapping[tuple[int, int], int]) -> dict[str, Any]:
    ratings = np.array(sorted(patterns), dtype=np.int64)
    times = np.array([patterns[pattern] for pattern in sorted(patterns)], dtype=np.int64)
    found = agreement(ratings, times)
    names = ("percent", "percent_low", "percent_high", "ac1", "ac1_low", "ac1_high")
    return {"cells": found.num_subjects, **{name: getattr(found, name) for name in names}}
