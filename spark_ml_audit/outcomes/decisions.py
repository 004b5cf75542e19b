"""What a run learned from people's decisions."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spark_ml_audit.kernels.learned_limits import MIN_DECISIONS, MIN_RANDOM_SHARE
from spark_ml_audit.outcomes.base import Record

if TYPE_CHECKING:
    from spark_ml_audit.kernels.learned_order import LearnedOrder


@dataclass(frozen=True)
class OrderLearned(Record):
    """What the order of undecided cells learned.

    Attributes:
        num_decisions: Decided cells whose probability is known.
        num_random: Those that answer random samples.
        order: The fit; None where too little was decided.
    """

    num_decisions: int = 0
    num_random: int = 0
    order: LearnedOrder | None = None

    @property
    def sentence(self) -> str:
        """The same in words.

        >>> OrderLearned(60, 60).sentence
        'not learned from decisions: 60 so far, 100 are needed'
        >>> OrderLearned(200, 30).sentence
        'not learned from decisions: 30 of 200 answer random samples, 40 are needed'
        >>> from spark_ml_audit.kernels.learned_order import LearnedOrder
        >>> OrderLearned(200, 40, LearnedOrder()).sentence
        'learned from 200 decisions, 40 of them random'
        """
        if self.order is not None:
            return f"learned from {self.num_decisions:,} decisions, {self.num_random:,} of them random"
        if self.num_decisions < MIN_DECISIONS:
            return f"not learned from decisions: {self.num_decisions:,} so far, {MIN_DECISIONS:,} are needed"
        return (
            f"not learned from decisions: {self.num_random:,} of {self.num_decisions:,} answer random "
            f"samples, {math.ceil(MIN_RANDOM_SHARE * self.num_decisions):,} are needed"
        )


@dataclass(frozen=True)
class DecisionsUse(Record):
    """What a run learned from decisions.

    Attributes:
        order: What the order of undecided cells learned.
        num_corrected_cells: Cells that models learned as people decided them, and not as given; None where
            nothing was predicted.
        num_excluded_rows: Rows that people excluded, from which models learned nothing; None likewise.

    Example:
        >>> from spark_ml_audit.kernels.learned_order import LearnedOrder
        >>> use = DecisionsUse(OrderLearned(200, 40, LearnedOrder(classes={(1, True): 0.5})), 12, 0)
        >>> DecisionsUse.from_json(use.to_json()) == use
        True
        >>> use.to_dict()["order"]["is_learned"]  # without the coefficients, of which there may be many
        True
    """

    order: OrderLearned
    num_corrected_cells: int | None = None
    num_excluded_rows: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields as strict JSON; of the order's fit only whether there is one."""
        order = self.order
        return {
            "order": {
                "num_decisions": order.num_decisions,
                "num_random": order.num_random,
                "is_learned": order.order is not None,
                "sentence": order.sentence,
            },
            "num_corrected_cells": self.num_corrected_cells,
            "num_excluded_rows": self.num_excluded_rows,
        }

    def to_json(self) -> str:
        """All of it as JSON text, as the table `runs` holds it: bounded by the classes."""
        fit = None if self.order.order is None else self.order.order.to_dict()
        return json.dumps({**self.to_dict(), "fit": fit})

    @classmethod
    def from_json(cls, text: str | None) -> DecisionsUse | None:
        """From the text in a table; None for null, as in runs without decisions and of older versions."""
        if text is None:
            return None
        # summaries are read back without NumPy where nothing was learned
        found: Mapping[str, Any] = json.loads(text)
        order, fit = found["order"], None
        if found["fit"] is not None:
            from spark_ml_audit.kernels.learned_order import LearnedOrder

            fit = LearnedOrder.from_dict(found["fit"])
        learned = OrderLearned(order["num_decisions"], order["num_random"], fit)
        return cls(learned, found["num_corrected_cells"], found["num_excluded_rows"])
