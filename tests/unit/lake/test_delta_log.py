"""What a table's log tells, which errors are lost races, and what times mean."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from deltalake.exceptions import CommitFailedError, DeltaError

from spark_ml_audit.errors import InputError
from spark_ml_audit.lake.commit_retries import attempts, is_conflict
from spark_ml_audit.lake.delta_rs_log import log_entries, milliseconds_of


def commit(log: Path, version: int, seconds: int, *actions: Any) -> None:
    file = log / f"{version:020}.json"
    file.write_text("\n".join(json.dumps(action) for action in actions), encoding="utf-8")
    os.utime(file, (seconds, seconds))


def test_entries_are_told_in_order_with_their_times(tmp_path: Path) -> None:
    assert log_entries(tmp_path / "nothing") == []
    add = {"add": {"path": "x", "stats": '{"commitInfo": 1}'}}
    commit(
        tmp_path, 3, 100, {"protocol": {}}, add, {"commitInfo": {"operation": "WRITE", "userMetadata": "é"}}
    )
    commit(tmp_path, 4, 50, {"commitInfo": {"operation": "DELETE", "userMetadata": None}})
    commit(tmp_path, 5, 100, add)
    commit(tmp_path, 10, 7, {"commitInfo": {"inCommitTimestamp": 200_000}})
    for other in (
        "00000000000000000004.crc",
        "_last_checkpoint",
        "00000000000000000004.00000000000000000005.compacted.json",
    ):
        (tmp_path / other).write_text("{}")
    found = log_entries(tmp_path)
    assert [entry.version for entry in found] == [3, 4, 5, 10]
    # a clock that was set back does not bring an older version later
    assert [entry.milliseconds for entry in found] == [100_000, 100_001, 100_002, 200_000]
    assert [entry.operation for entry in found] == ["WRITE", "DELETE", "", ""]
    assert [entry.user_metadata for entry in found] == ["é", "", "", ""]


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1970-01-01", 0),
        ("1970-01-01T00:00:01.500", 1500),
        (" 1970-01-01 00:00:01Z", 1000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01 00:00:00.000999", 0),
    ],
)
def test_times(text: str, milliseconds: int) -> None:
    assert milliseconds_of(text) == milliseconds


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(InputError, match="'yesterday' is no time"):
        milliseconds_of("yesterday")


LOST = [
    CommitFailedError("Failed to commit transaction: 0"),
    CommitFailedError("Failed to commit transaction: Commit failed: a concurrent transactions added data."),
    CommitFailedError("Failed to commit transaction: Metadata changed since last commit."),
    CommitFailedError("Failed to commit transaction: Concurrent transaction failed."),
    CommitFailedError("Failed to commit transaction: Protocol changed since last commit: protocol changed"),
    DeltaError("Delta transaction failed, version 7 already exists."),
    DeltaError("Generic error: A Delta Lake table already exists at that location."),
    RuntimeError("io.delta.exceptions.ConcurrentAppendException: [DELTA_CONCURRENT_APPEND] x"),
]  # fmt: skip


@pytest.mark.parametrize("error", LOST, ids=lambda error: str(error)[:60])
def test_lost_races_are_tried_again(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    assert is_conflict(error)
    tries = 0
    for attempt in attempts():
        with attempt:
            tries += 1
            if tries < 3:
                raise error
    assert tries == 3


@pytest.mark.parametrize(
    "error",
    [
        CommitFailedError("Unsupported table features required: [TypeWidening]"),
        CommitFailedError(
            "The transaction includes Remove action with data change but Delta table is append-only"
        ),
        OSError("disk full"),
        DeltaError("Kernel error: Schema error"),
    ],
    ids=str,
)
def test_other_errors_are_not(error: Exception) -> None:
    assert not is_conflict(error)
