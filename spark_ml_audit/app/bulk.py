"""Accepting flags of a class and direction in bulk: as far as blind random decisions prove it."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np

from spark_ml_audit.app.decided import OPEN
from spark_ml_audit.app.queues import DIRECTIONS
from spark_ml_audit.app.sent import MOST_NAME, MOST_TAG, RUN, Sent, one_of, text_of
from spark_ml_audit.app.session import ReviewSession
from spark_ml_audit.arrow.encode import EXTRANEOUS, MISSING
from spark_ml_audit.errors import InputError
from spark_ml_audit.kernels.certify import cells_to_certify
from spark_ml_audit.text import for_page, show


def certificates(session: ReviewSession) -> list[dict[str, Any]]:
    """What is proved of every class and direction with flags, the most open flags first."""
    bound = session.options.min_precision
    proved = {(item.tag, item.direction): item for item in session.reader.certified(bound)}
    with session.lock:
        index, number = session.index, 2 * len(session.classes)
        sides = index.cells.codes.astype(np.int64) * 2 + ~index.missing
        flagged = np.bincount(sides, minlength=number)
        left = np.bincount(sides[session.state.cell_state == OPEN], minlength=number)
    found = []
    for side in np.lexsort((-flagged, -left)).tolist():
        if not flagged[side]:
            continue
        tag, direction = session.classes[side // 2], EXTRANEOUS if side % 2 else MISSING
        item = proved.get((tag, direction))
        about: dict[str, Any] = {
            "tag": tag,
            "shown": for_page(tag, 200),
            "direction": direction,
            "cells": int(flagged[side]),
            "open": int(left[side]),
            "needed": cells_to_certify(int(flagged[side]), bound),
        }
        if item is not None:
            about |= {
                "judged": item.num_judged,
                "right": item.num_right,
                "above": item.accept_above,
                "proved": item.num_cells,
                "acceptable": item.num_open,
                "sentence": item.sentence,
            }
        found.append(about)
    return found


def accepted(session: ReviewSession) -> list[dict[str, Any]]:
    """What was accepted in bulk and holds, the newest first."""
    found = []
    with session.lock:
        for bulk_id, (who, cells) in reversed(session.state.bulks.items()):
            by_class: dict[int, int] = {}
            for _, code in cells:
                by_class[code] = by_class.get(code, 0) + 1
            tags = [for_page(session.classes[code], 200) for code in list(by_class)[:3]]
            more = f" and {len(by_class) - 3} more" if len(by_class) > 3 else ""
            found.append(
                {
                    "bulk_id": bulk_id,
                    "who": for_page(who or "", 80),
                    "shown": ", ".join(tags) + more,
                    "cells": len(cells),
                }
            )
    return found


def accept_certified(session: ReviewSession, sent: Sent, who: str) -> dict[str, Any]:
    """Accept what is proved of a class and direction.

    Args:
        session: The review.
        sent: tag, direction, bulk_id, which the page makes up once, and run_id if the page says it.
        who: The person.

    Raises:
        OtherRunError: It is about another run than the one that is served.
        InputError: There is no such class or direction.
    """
    with session.lock:
        reader = session.answering(text_of(sent, RUN, MOST_NAME))
        tag = text_of(sent, "tag", MOST_TAG)
        if tag not in session.codes:
            raise InputError(f"there is no tag {show(tag)}.", key="tag")
    direction = one_of(sent, "direction", DIRECTIONS)
    bulk_id = f"bulk-{text_of(sent, 'bulk_id', MOST_NAME) or uuid.uuid4().hex}"[:100]
    done = reader.accept(bulk_id, tag, direction, session.options.min_precision, who)
    session.refresh()
    return {"bulk_id": bulk_id, "accepted": sum(item.num_open for item in done)}
