"""Rows that people excluded: left out of copies, brought back by undo, kept by merges; previews; rounds."""

from __future__ import annotations

from typing import Any

import pytest

from spark_ml_audit import correct, undo
from spark_ml_audit.config import OutputConfig
from spark_ml_audit.errors import InputError
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.runs import find_run
from spark_ml_audit.reviewing.decision_table import Decision, append_decisions
from tests.lake import Lake

TAGS = ["war", "drama"]
ROWS = 40
SCHEMA = "key bigint, labels array<string>, pred_probs array<double>, text string"


@pytest.fixture(params=["delta", "parquet"])
def audited(house: Lake, engine: Any, request: pytest.FixtureRequest) -> dict[str, Any]:
    """An audit; three rows are excluded, one of them with a decided tag, and one row that there is not."""
    rows = [
        (i, ["drama"] if i % 2 else [], [0.9 if i % 5 == 0 else 0.1, 0.5], f"film {i}") for i in range(ROWS)
    ]
    source = house.write(house.frame(rows, SCHEMA, TAGS), fmt=request.param)
    house.written += 1
    out = house.path(f"excluded-{house.written}")
    audited = house.audit(
        source__path=source, source__id="key", source__format=request.param, output__path=out,
        audit__filter_by="predicted_neq_given",
    )  # fmt: skip
    tables = OutputTables(engine, OutputConfig(path=out))
    decided = [Decision(number, "war", "present", "ann") for number in (0, 5, 10)]
    decided += [Decision(number, None, "exclude", "ann", kind="row") for number in (10, 11, 12, 999)]
    append_decisions(tables, find_run(tables, None, "run"), decided)
    return {"source": source, "out": out, **audited}


def rows_of(house: Lake, where: str) -> dict[int, dict[str, Any]]:
    found = house.records(where)
    rows = {row["key"]: row for row in found}
    assert len(rows) == len(found)
    return rows


def original(house: Lake, audited: dict[str, Any]) -> dict[int, dict[str, Any]]:
    labels = {i: ["drama"] if i % 2 else [] for i in range(ROWS)}
    return {
        i: {
            "key": i,
            "labels": labels[i],
            "pred_probs": [0.9 if i % 5 == 0 else 0.1, 0.5],
            "text": f"film {i}",
        }
        for i in range(ROWS)
    }


def test_undo_brings_back_the_rows_that_the_copy_left_out(house: Lake, audited: dict[str, Any]) -> None:
    done = house.call(correct, audited["out"])
    assert (done.num_excluded, done.num_rows_changed) == (3, 2)
    copy = rows_of(house, done.target)
    assert set(range(ROWS)) - set(copy) == {10, 11, 12}
    back = house.call(undo, done.correction_id, audited["out"])
    assert (back.num_restored, back.num_rows_changed) == (3, 2)
    assert rows_of(house, done.target) == original(house, audited)
    again = house.call(undo, done.correction_id, audited["out"])
    assert (again.already_finished, again.num_restored) == (True, 3)
    assert rows_of(house, done.target) == original(house, audited)


def test_undo_leaves_rows_that_somebody_put_back_and_completes_a_killed_try(
    house: Lake, audited: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from spark_ml_audit.errors import AuditError
    from spark_ml_audit.outcomes.runs import new_run_id
    from spark_ml_audit.reviewing import correction_record

    done = house.call(correct, audited["out"])
    theirs = house.frame([(10, ["war", "drama"], [0.5, 0.5], "theirs")], SCHEMA)
    house.write(theirs, to=done.target, mode="append")
    own = new_run_id()

    def die(*_: Any, **__: Any) -> None:
        raise AuditError("killed")

    settings = {"correct.undo": done.correction_id, "output.path": audited["out"], "output.run_id": own}
    with monkeypatch.context() as patch:
        patch.setattr(correction_record, "change_rows", die)
        assert house.run("correct", settings).exit_code != 0
    outcome = house.run("correct", settings)
    assert outcome.exit_code == 0, outcome.json
    assert outcome.json["num_restored"] == 2
    wanted = original(house, audited)
    wanted[10] |= {"labels": ["war", "drama"], "pred_probs": [0.5, 0.5], "text": "theirs"}
    assert rows_of(house, done.target) == wanted


@pytest.mark.parametrize("audited", ["parquet"], indirect=True)
def test_undo_is_refused_before_anything_changes_where_rows_cannot_be_brought_back(
    house: Lake, audited: dict[str, Any]
) -> None:
    done = house.call(correct, audited["out"])
    house.write(
        house.frame([(500, [], [0.1, 0.5], "new")], SCHEMA, TAGS), to=audited["source"], fmt="parquet"
    )
    before = rows_of(house, done.target)
    with pytest.raises(InputError, match="had left rows out, and they cannot be brought back"):
        house.call(undo, done.correction_id, audited["out"])
    assert rows_of(house, done.target) == before


@pytest.mark.parametrize("audited", ["delta"], indirect=True)
def test_a_merge_keeps_excluded_rows_and_says_so(house: Lake, audited: dict[str, Any]) -> None:
    told = house.call(correct, audited["out"], mode="merge", preview=True)
    done = house.call(correct, audited["out"], mode="merge")
    assert (done.num_excluded, done.num_rows_changed) == (0, 3)
    assert "3 rows that people excluded stay in the source" in done.warnings[0]
    assert same(told) == same(done)
    assert set(rows_of(house, audited["source"])) == set(range(ROWS))
    house.call(undo, done.correction_id, audited["out"])
    assert rows_of(house, audited["source"]) == original(house, audited)


def same(outcome: Any) -> dict[str, Any]:
    names = (
        "num_rows_changed",
        "num_tags_added",
        "num_tags_removed",
        "num_stale",
        "num_gone",
        "num_excluded",
    )
    return {name: getattr(outcome, name) for name in (*names, "set_aside", "target", "mode", "warnings")}


@pytest.mark.parametrize("audited", ["delta"], indirect=True)
def test_a_preview_tells_what_is_done_and_writes_nothing(house: Lake, audited: dict[str, Any]) -> None:
    # somebody works on the source: a decided row changed, an excluded one is gone
    import deltalake

    table = deltalake.DeltaTable(audited["source"])
    table.update(predicate="key = 5", new_values={"labels": "make_array('drama')"})
    table.delete("key = 12")
    before = house.versions(
        {"tables": {"source": audited["source"], "decisions": f"{audited['out']}/decisions"}}
    )
    told = house.run("correct", {"output.path": audited["out"], "correct.preview": True})
    assert told.exit_code == 0, told.json
    assert (told.json["is_preview"], told.json["undo_command"], told.json["tables"]) == (True, None, {})
    assert (told.json["num_rows_changed"], told.json["num_stale"], told.json["num_excluded"]) == (1, 1, 2)
    assert not house.folder.joinpath(audited["out"], "corrected").exists()
    assert not house.folder.joinpath(audited["out"], "correction_plans").exists()
    assert before == house.versions(
        {"tables": {"source": audited["source"], "decisions": f"{audited['out']}/decisions"}}
    )
    done = house.call(correct, audited["out"])
    found = same(done)
    assert {name: told.json[name] for name in found} | {"warnings": tuple(told.json["warnings"])} == found
    for other in ("undo", "accept_certified"):
        value: object = done.correction_id if other == "undo" else 0.9
        settings = {"output.path": audited["out"], "correct.preview": True, f"correct.{other}": value}
        assert f"correct.{other} is given too" in house.refuse(settings, command="correct")["message"]


@pytest.mark.parametrize("audited", ["delta"], indirect=True)
def test_every_round_has_a_copy_of_its_own(house: Lake, audited: dict[str, Any], engine: Any) -> None:
    out, targets, contents = audited["out"], [], []
    for number in range(3):
        done = house.call(correct, out)
        targets.append(done.target)
        contents.append(rows_of(house, done.target))
        if number < 2:
            house.audit(
                source__path=done.target, source__id="key", output__path=out,
                audit__filter_by="predicted_neq_given",
            )  # fmt: skip
            tables = OutputTables(engine, OutputConfig(path=out))
            more = [Decision(20 + number, "war", "present", "ann")]
            append_decisions(tables, find_run(tables, None, "run"), more)
    assert targets == [f"{out}/corrected", f"{out}/corrected_2", f"{out}/corrected_3"]
    assert [rows_of(house, target) for target in targets] == contents
    # once more by the same audit: the same round
    assert house.call(correct, out).target == targets[2]
    # an earlier audit again: its own place again
    assert house.call(correct, out, run=audited["run_id"]).target == targets[0]
