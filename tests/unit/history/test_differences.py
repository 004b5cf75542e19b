"""What changed between the classes of two runs."""

from __future__ import annotations

import pytest

from spark_ml_audit.history.differences import class_changes, most_changed
from spark_ml_audit.outcomes.history import (
    ChangeCounts,
)
from tests.unit.history.made_up import row


def test_class_changes_follow_tags_not_positions() -> None:
    before = (row("a", 0), row("b", 1, 0.01), row("gone", 2))
    now = (row("new", 0), row("b", 1, 0.04), row("a", 2))
    cells = {"b": ChangeCounts(3, 1, 2), "gone": ChangeCounts(0, 5, 0)}
    changes = class_changes(now, before, cells)
    assert [(change.tag, change.class_index) for change in changes] == [
        ("new", 0),
        ("b", 1),
        ("a", 2),
        ("gone", None),
    ]
    by_tag = {change.tag: change for change in changes}
    assert by_tag["b"].noise_change == pytest.approx(0.03)
    assert by_tag["new"].noise_change is None
    assert by_tag["gone"].to_row()["num_given"] is None
    assert by_tag["gone"].to_row()["num_given_before"] == 10
    assert [change.tag for change in most_changed(changes)] == ["gone", "b"]
