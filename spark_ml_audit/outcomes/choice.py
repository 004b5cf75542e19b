"""What `model.kind: auto` chose, among what, and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spark_ml_audit.outcomes.base import Record


@dataclass(frozen=True, kw_only=True)
class Considered(Record):
    """A way to predict that was considered.

    Attributes:
        name: The kind, with the level of the encoder where there is one, such as "joint, frozen encoder".
        minutes: Estimated time of the whole prediction.
        log_loss: Mean log loss of a cell on held-out rows of the inner check; None where it was not tried.
    """

    name: str
    minutes: float
    log_loss: float | None = None


@dataclass(frozen=True, kw_only=True)
class ModelChoice(Record):
    """The choice of `model.kind: auto`.

    Attributes:
        kind: The kind that is trained; "auto" where columns and tags decide (see `registry.resolve_kind`).
        encoder: The encoder, as in `model.encoder`; None without one.
        encoder_level: "frozen" or "finetune"; None without an encoder.
        budget: `model.budget`, in minutes; None for no limit.
        reason: What was chosen and why, one sentence.
        considered: What it was chosen among, the richest first.

    Example:
        >>> plain = Considered(name="joint", minutes=2.0)
        >>> choice = ModelChoice(kind="joint", budget=5.0, reason="joint fits.", considered=(plain,))
        >>> ModelChoice.from_mapping(json.loads(json.dumps(choice.to_dict()))) == choice
        True
    """

    kind: str
    encoder: str | None = None
    encoder_level: str | None = None
    budget: float | None = None
    reason: str
    considered: tuple[Considered, ...] = ()

    def to_json(self) -> str:
        """The fields as JSON text, as tables hold them."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @classmethod
    def from_mapping(cls, found: Mapping[str, Any] | None) -> ModelChoice | None:
        """From the fields by name; None for null, which runs that chose nothing and older versions wrote."""
        if found is None:
            return None
        considered = tuple(Considered(**item) for item in found["considered"])
        return cls(**{**found, "considered": considered})

    @classmethod
    def from_json(cls, text: str | None) -> ModelChoice | None:
        """From the text in a table."""
        return None if text is None else cls.from_mapping(json.loads(text))
