"""The table of decisions: appended by several writers at once, sent again, taken back, compacted."""

from __future__ import annotations

import itertools
import multiprocessing
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import deltalake
import pytest

from spark_ml_audit.config import OutputConfig
from spark_ml_audit.engines.base import Engine, rows_of
from spark_ml_audit.engines.embedded import EmbeddedEngine
from spark_ml_audit.errors import ConfigError, InputError
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.runs import find_run
from spark_ml_audit.reviewing import decision_table
from spark_ml_audit.reviewing.decision_table import (
    Appended,
    Decision,
    append_decisions,
    compact_decisions,
    undo_decision,
)
from spark_ml_audit.reviewing.decisions import check_decisions, standing_decisions
from tests.engine.conftest import Audited

NOON = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)


@pytest.fixture
def tables(audited: Audited, engine: Engine, tmp_path: Path) -> OutputTables:
    """The output of an audit, of the test's own."""
    own = str(tmp_path / "own")
    shutil.copytree(Path(audited.result["tables"]["runs"]).parent, own)
    return OutputTables(engine, OutputConfig(path=own))


def decisions(number: int, tags: tuple[str, ...], who: str = "ann") -> list[Decision]:
    return [
        Decision(
            f"r{i:04}",
            tags[i % len(tags)],
            ("present", "absent", "unsure")[i % 3],
            who,
            decision_id=f"{who}-{i}",
            when=NOON + timedelta(seconds=i),
        )
        for i in range(number)
    ]


def standing(tables: OutputTables) -> dict[tuple[Any, str], dict[str, Any]]:
    run, engine = find_run(tables, None, "run"), tables.engine
    frame = tables.read("decisions")
    id_type = engine.schema(tables.read("examples")).field("id").type
    checked = check_decisions(engine, frame, "id", id_type, "decisions")
    return {
        (row["id"], row["tag"]): row for row in rows_of(engine, standing_decisions(engine, checked, run.tags))
    }


def test_a_decision_sent_again_changes_nothing_whatever_its_batch(tables: OutputTables) -> None:
    run = find_run(tables, None, "run")
    sent = decisions(6, run.tags)
    assert append_decisions(tables, run, []) == Appended(0, 0)
    assert append_decisions(tables, run, sent[:4]) == Appended(4, 0)
    version = tables.table("decisions").newest_version()
    assert append_decisions(tables, run, sent[:4]) == Appended(0, 4)
    assert tables.table("decisions").newest_version() == version
    assert append_decisions(tables, run, sent[2:]) == Appended(2, 2)
    assert append_decisions(tables, run, [sent[0], sent[0]]) == Appended(0, 1)
    rows = rows_of(tables.engine, tables.read("decisions"))
    assert sorted(row["decision_id"] for row in rows) == sorted(item.decision_id for item in sent)
    assert {row["run_id"] for row in rows} == {run.run_id}


def test_what_cannot_be_used_is_refused_whole(tables: OutputTables) -> None:
    run = find_run(tables, None, "run")
    good = decisions(1, run.tags)[0]
    for change, said in (
        ({"verdict": "maybe"}, "verdict is 'maybe'"),
        ({"tag": "no such"}, "tag is 'no such'"),
        ({"tag": None}, "tag is"),
        ({"kind": "undo"}, "kind is 'undo'"),
        ({"kind": "row", "tag": None}, "verdict is"),
        ({"id": None}, "no id"),
        ({"id": 7}, "cannot be stored"),
        ({"decision_id": ""}, "decision_id is empty"),
        ({"when": datetime(2026, 1, 1)}, "has no zone"),
    ):
        with pytest.raises(InputError, match=said):
            append_decisions(tables, run, [good, replace(good, **{"decision_id": "other", **change})])
    with pytest.raises(InputError, match="1,001 decisions"):
        append_decisions(tables, run, [good] * 1001)
    assert not tables.exists("decisions")


def test_a_decision_is_taken_back_by_a_further_record(tables: OutputTables) -> None:
    run = find_run(tables, None, "run")
    first, second = (
        decisions(1, run.tags)[0],
        replace(
            decisions(1, run.tags)[0], verdict="absent", decision_id="later", when=NOON + timedelta(hours=1)
        ),
    )
    append_decisions(tables, run, [first, second])
    cell = (first.id, first.tag)
    assert standing(tables)[cell]["verdict"] == "absent"
    assert undo_decision(tables, run, "later", "ann") == Appended(1, 0)
    assert standing(tables)[cell]["verdict"] == "present"
    assert undo_decision(tables, run, "later", "bob") == Appended(0, 1)
    undo_decision(tables, run, first.decision_id, "ann")
    assert cell not in standing(tables)
    # nothing was removed: two decisions, two records that take them back
    assert len(rows_of(tables.engine, tables.read("decisions"))) == 4
    append_decisions(tables, run, [replace(first, decision_id="again")])
    assert standing(tables)[cell]["verdict"] == "present"
    with pytest.raises(ConfigError, match="no decision or bulk acceptance 'nobody'"):
        undo_decision(tables, run, "nobody", None)


def test_tables_of_older_versions_take_new_decisions(tables: OutputTables, audited: Audited) -> None:
    run = find_run(tables, None, "run")
    schema = "id string, tag string, verdict string, who string, when timestamp, note string"
    tag = run.tags[0]
    old = audited.lake.frame([("r0001", tag, "absent", "ann", NOON, None)], schema)
    deltalake.write_deltalake(tables.location("decisions"), old)
    assert standing(tables)["r0001", tag]["verdict"] == "absent"
    later = Decision("r0001", tag, "present", "ann", when=NOON + timedelta(days=1))
    append_decisions(tables, run, [later])
    assert standing(tables)["r0001", tag]["verdict"] == "present"
    undo_decision(tables, run, later.decision_id, "ann")
    assert standing(tables)["r0001", tag]["verdict"] == "absent"


def test_the_order_and_batches_of_appends_do_not_matter(tables: OutputTables) -> None:
    run = find_run(tables, None, "run")
    rng = random.Random(3)
    sent = [
        Decision(
            f"r{rng.randrange(3):04}",
            run.tags[rng.randrange(2)],
            rng.choice(["present", "absent", "unsure"]),
            rng.choice(["ann", "bob", "cem", None]),
            decision_id=f"d{i}",
            when=NOON + timedelta(minutes=rng.randrange(4)),
            kind=rng.choice(["single"] * 6 + ["adjudicated"]),
        )
        for i in range(40)
    ]
    found = []
    for order in range(3):
        own = OutputTables(tables.engine, OutputConfig(path=f"{tables.config.path}-{order}"))
        shutil.copytree(str(tables.config.path), str(own.config.path))
        rng.shuffle(sent)
        size = (7, 40, 13)[order]
        for start in range(0, len(sent), size):
            append_decisions(own, run, sent[start : start + size])
        found.append(standing(own))
    assert found[0] == found[1] == found[2]


def test_threads_that_append_and_compact_at_once_lose_nothing(tables: OutputTables) -> None:
    run = find_run(tables, None, "run")

    def opened() -> OutputTables:
        # what runs in one process holds one connection per thread
        engine = EmbeddedEngine() if tables.engine.kind == "embedded" else tables.engine
        return OutputTables(engine, tables.config)

    def write(number: int) -> int:
        own = opened()
        sent = decisions(8, run.tags, who=f"person-{number}")
        appended = sum(append_decisions(own, run, [item]).num_appended for item in sent)
        return appended + append_decisions(own, run, sent).num_appended

    append_decisions(tables, run, decisions(1, run.tags))
    with ThreadPoolExecutor(5) as pool:
        counts = [pool.submit(write, number) for number in range(4)]
        compacted = [pool.submit(compact_decisions, opened(), 1) for _ in range(3)]
        assert sum(count.result() for count in counts) == 32
        assert all(found.result() >= 0 for found in compacted)
    ids = [row["decision_id"] for row in rows_of(tables.engine, tables.read("decisions"))]
    assert len(ids) == len(set(ids)) == 33


def write_alone(path: str, number: int) -> None:
    tables = OutputTables(EmbeddedEngine(), OutputConfig(path=path))
    run = find_run(tables, None, "run")
    for item in decisions(10, run.tags, who=f"person-{number}"):
        append_decisions(tables, run, [item])


def test_processes_that_append_at_once_lose_nothing(tables: OutputTables) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_alone, args=(tables.config.path, k)) for k in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    ids = {row["decision_id"] for row in rows_of(tables.engine, tables.read("decisions"))}
    assert ids == {f"person-{k}-{i}" for k, i in itertools.product(range(3), range(10))}


def test_compaction_keeps_all_rows_and_earlier_versions(tables: OutputTables) -> None:
    run = find_run(tables, None, "run")
    assert compact_decisions(tables) == 0
    for item in decisions(6, run.tags):
        append_decisions(tables, run, [item])
    before, version = standing(tables), tables.table("decisions").newest_version()
    assert compact_decisions(tables, beyond=6) == 0
    assert compact_decisions(tables) == 5
    assert standing(tables) == before
    assert len(rows_of(tables.engine, tables.table("decisions").read(version))) == 6
    assert append_decisions(tables, run, decisions(7, run.tags)) == Appended(1, 6)


def test_a_table_of_many_small_files_compacts_itself(
    tables: OutputTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decision_table, "COMPACT_BEYOND", 6)
    run = find_run(tables, None, "run")
    for item in decisions(10, run.tags):
        append_decisions(tables, run, [item])
    place = tables.location("decisions")
    assert len(deltalake.DeltaTable(place).file_uris()) < 7
    assert len(rows_of(tables.engine, tables.read("decisions"))) == 10
