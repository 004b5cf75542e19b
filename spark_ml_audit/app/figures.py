"""How far a review is, and how often flags were right so far: by direction and by class."""

from __future__ import annotations

from typing import Any

import numpy as np

from spark_ml_audit.app.decided import DISPUTED, OPEN
from spark_ml_audit.app.session import ReviewSession
from spark_ml_audit.arrow.encode import EXTRANEOUS, MISSING
from spark_ml_audit.text import for_page

_SIDES = (MISSING, EXTRANEOUS)


def progress_of(session: ReviewSession, who: str) -> dict[str, Any]:
    """Counts of cells and decisions, with the precision measured so far by direction.

    Args:
        session: The review.
        who: The person who asks.
    """
    with session.lock:
        index, state = session.index, session.state
        found = []
        for side in _SIDES:
            own = index.missing == (side == MISSING)
            judged, right = int((state.right[own] >= 0).sum()), int((state.right[own] == 1).sum())
            found.append(
                {
                    "direction": side,
                    "cells": int(own.sum()),
                    "done": int((own & (state.cell_state != OPEN)).sum()),
                    **_precision(right, judged),
                }
            )
        return {
            "directions": found,
            "disputed": len(state.disputed),
            "excluded": len(state.excluded),
            "newer": session.newer_run,
            "mine": state.num_by.get(who, 0),
            "people": [[for_page(name, 80), number] for name, number in sorted(state.num_by.items())],
        }


def found_of(session: ReviewSession) -> dict[str, int]:
    """How many rows were found beside wrong tags: ambiguous ones, outliers, groups of near-duplicates."""
    index = session.index
    return {
        "ambiguous": int((~np.isnan(index.ambiguity)).sum()),
        "outliers": int((~np.isnan(index.outlier)).sum()),
        "groups": len(index.groups),
    }


def classes_of(session: ReviewSession) -> list[dict[str, Any]]:
    """Every class with its counts, what people found of its flags, and what it means."""
    with session.lock:
        index, state = session.index, session.state
        number = len(session.classes)
        codes = index.cells.codes
        known = codes >= 0
        counts = {}
        for side in _SIDES:
            own = known & (index.missing == (side == MISSING))
            counts[side] = {
                "cells": np.bincount(codes[own], minlength=number),
                "done": np.bincount(codes[own & (state.cell_state != OPEN)], minlength=number),
                "judged": np.bincount(codes[own & (state.right >= 0)], minlength=number),
                "right": np.bincount(codes[own & (state.right == 1)], minlength=number),
            }
        disputed = np.bincount(codes[known & (state.cell_state == DISPUTED)], minlength=number)
    found = []
    for row in session.reader.run.classes:
        code = row.class_index
        about: dict[str, Any] = {
            "tag": row.tag,
            "shown": for_page(row.tag, 200),
            "given": row.num_given,
            "trust": row.trust,
            "disputed": int(disputed[code]),
        }
        for side in _SIDES:
            own = {name: int(values[code]) for name, values in counts[side].items()}
            about[side] = {
                "cells": own["cells"],
                "done": own["done"],
                **_precision(own["right"], own["judged"]),
            }
        found.append(about)
    return found


def _precision(right: int, judged: int) -> dict[str, Any]:
    """The share of right flags among those judged, with its 95% Clopper-Pearson interval."""
    if not judged:
        return {"judged": 0, "right": 0}
    from spark_ml_audit.kernels.review_estimates import rate_interval

    limits = rate_interval(right, judged)
    return {
        "judged": judged,
        "right": right,
        "precision": right / judged,
        "low": limits.low,
        "high": limits.high,
    }
