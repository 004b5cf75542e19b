"""What people's decisions changed, as readable plain text."""

from __future__ import annotations

from spark_ml_audit.outcomes.decisions import DecisionsUse
from spark_ml_audit.text import number


def decided_lines(num_corrected_cells: int | None, num_excluded_rows: int | None) -> list[str]:
    """What models learned otherwise than it was given; nothing where no decisions were given.

    >>> decided_lines(12, 1)
    ['Learned: as people decided, 12 cells otherwise than given, 1 excluded row left out']
    >>> decided_lines(None, None)
    []
    """
    if num_corrected_cells is None:
        return []
    cells, rows = num_corrected_cells, num_excluded_rows or 0
    return [
        f"Learned: as people decided, {number(cells)} cell{_s(cells)} otherwise than given, "
        f"{number(rows)} excluded row{_s(rows)} left out"
    ]


def order_lines(use: DecisionsUse | None) -> list[str]:
    """What an audit learned from decisions; nothing where there are none.

    >>> from spark_ml_audit.outcomes.decisions import OrderLearned
    >>> order_lines(DecisionsUse(OrderLearned(120, 12)))
    ['Order:  not learned from decisions: 12 of 120 answer random samples, 24 are needed']
    """
    if use is None:
        return []
    return [f"Order:  {use.order.sentence}", *decided_lines(use.num_corrected_cells, use.num_excluded_rows)]


def _s(count: int) -> str:
    return "" if count == 1 else "s"
