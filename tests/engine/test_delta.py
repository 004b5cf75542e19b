"""Delta in and out: one pinned version, the same tables whatever the layout, retries and races."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spark_ml_audit.auditing.audit import run_audit
from spark_ml_audit.config import AuditConfig, load_config
from spark_ml_audit.outcomes.runs import new_run_id
from spark_ml_audit.progress import Progress
from tests.datasets import make_dataset
from tests.lake import DATA_TABLES, Lake, override


class Hook(Progress):
    """Does something when a stage begins."""

    def __init__(self, stage: str, act: Callable[[], None]) -> None:
        super().__init__(quiet=True)
        self._awaited, self._act = stage, act

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        if name == self._awaited:
            self._act()
        with super().stage(name):
            yield


def config_of(lake: Lake, settings: Mapping[str, object]) -> AuditConfig:
    common = {"engine.kind": lake.kind, "tracking.uri": lake.tracking_uri}
    return load_config(None, [override(key, value) for key, value in {**common, **settings}.items()])


def test_tables_do_not_depend_on_row_order_layout_or_partitions(lake: Lake) -> None:
    table = lake.dataset_frame(make_dataset(9, "quantised", "float32"))
    rng = np.random.default_rng(0)
    table = table.append_column("part", pa.array(rng.integers(0, 3, table.num_rows)))
    sources = [
        (lake.write(table), "delta"),
        (lake.write(table.take(rng.permutation(table.num_rows)), files=3, partition_by=["part"]), "delta"),
        (lake.write(table[::-1], fmt="parquet", files=8), "parquet"),
    ]
    found = [lake.contents(lake.audit(source__path=path, source__format=fmt)) for path, fmt in sources]
    assert found[0] == found[1] == found[2]
    assert found[0]["tag_issues"]


def test_a_version_or_time_is_pinned_and_recorded(lake: Lake) -> None:
    old, new = make_dataset(1, "plain"), make_dataset(2, "quantised")
    path = lake.write(lake.dataset_frame(old))
    first = Path(path, "_delta_log", f"{0:020}.json")
    between = datetime.now(timezone.utc).isoformat(" ")
    # the time of a commit is that of its file
    os.utime(first, (first.stat().st_mtime - 60,) * 2)
    lake.write(lake.dataset_frame(new), to=path, mode="overwrite")
    assert lake.run("check", source__path=path).json["source_version"] == "1"
    for version in (0, between):
        report = lake.run("check", source__path=path, source__version=version).json
        assert report["source_version"] == "0", report
        assert report["num_rows"] == len(old.labels)


@pytest.mark.matrix
def test_an_overwrite_during_the_audit_changes_nothing(lake: Lake) -> None:
    first, second = make_dataset(1, "plain"), make_dataset(2, "forest")
    path = lake.write(lake.dataset_frame(first))
    expected = lake.contents(lake.audit(source__path=path))

    def overwrite() -> None:
        lake.write(lake.dataset_frame(second), to=path, mode="overwrite")

    config = config_of(lake, {"source.path": path, "output.path": lake.path("pinned")})
    outcome = run_audit(config, Hook("examples", overwrite), lake.spark)
    assert outcome.source_version == "0"
    assert lake.contents(outcome.to_dict()) == expected
    assert lake.run("check", source__path=path).json["source_version"] == "1"


def test_parquet_files_have_a_digest_for_a_version(lake: Lake) -> None:
    frame = lake.dataset_frame(make_dataset(1, "plain"))
    path = lake.write(frame, fmt="parquet")
    check = {"source.path": path, "source.format": "parquet"}
    first = lake.run("check", check).json["source_version"]
    assert first == lake.run("check", check).json["source_version"]
    lake.write(frame.slice(0, 3), to=path, fmt="parquet")
    assert lake.run("check", check).json["source_version"] != first


def test_a_finished_run_is_returned_unchanged(lake: Lake) -> None:
    path = lake.write(lake.dataset_frame(make_dataset(1, "plain")))
    settings = {"source.path": path, "output.path": lake.path("out")}
    first = lake.audit(settings)
    before = lake.versions(first)
    again = lake.audit({**settings, "output.run_id": first["run_id"]})
    assert lake.versions(first) == before
    assert again.pop("already_finished")
    assert not first.pop("already_finished")
    for volatile in ("stages", "worst_classes"):
        assert again.pop(volatile).__class__ is first.pop(volatile).__class__
    assert again == first
    # a new invocation is a new run beside it
    other = lake.audit(settings)
    assert other["run_id"] != first["run_id"]
    assert lake.contents(other) == lake.contents(first)
    assert lake.count(first["tables"]["runs"]) == 2


@pytest.mark.matrix
def test_a_retry_completes_a_run_whatever_it_had_written(lake: Lake) -> None:
    path = lake.write(lake.dataset_frame(make_dataset(1, "plain")))
    settings = {"source.path": path, "output.path": lake.path("out")}
    first = lake.audit(settings)
    expected = lake.contents(first)
    # as a kill right before, and one long before the last commit leave it
    for lost in (["runs"], ["runs", "examples", "quarantine"]):
        for name in lost:
            shutil.rmtree(first["tables"][name])
        again = lake.audit({**settings, "output.run_id": first["run_id"]})
        assert not again["already_finished"]
        assert lake.contents(again) == expected
        assert {name: again[name] for name in again if name.startswith("num_")} == {
            name: first[name] for name in first if name.startswith("num_")
        }
    shutil.rmtree(first["tables"]["runs"])
    error = lake.refuse({**settings, "output.run_id": first["run_id"], "audit.frac_noise": 0.5})
    assert error["key"] == "output.run_id"
    # the source has moved on: the retry still reads what the first try read
    lake.write(lake.dataset_frame(make_dataset(2, "forest")), to=path, mode="append")
    again = lake.audit({**settings, "output.run_id": first["run_id"]})
    assert again["source_version"] == "0"
    assert lake.contents(again) == expected


def test_leftovers_are_removed_when_old_enough_and_cannot_be_retried_into_half_a_run(lake: Lake) -> None:
    path = lake.write(lake.dataset_frame(make_dataset(1, "plain")))
    settings = {"source.path": path, "output.path": lake.path("out")}
    killed = lake.audit(settings)
    shutil.rmtree(killed["tables"]["runs"])
    finished = lake.audit(settings)
    assert lake.rows(killed, "examples")  # younger than 24 h
    later = lake.audit({**settings, "output.orphan_after": "0s"})
    for name in DATA_TABLES:
        assert lake.rows(killed, name) == []
        assert lake.rows(finished, name) == lake.rows(later, name)
    # its transaction ids are used up: completing it would land a row in `runs` without its data
    error = lake.refuse({**settings, "output.run_id": killed["run_id"]})
    assert error["key"] == "output.run_id"
    runs = {row["run_id"] for row in lake.records(later["tables"]["runs"])}
    assert runs == {finished["run_id"], later["run_id"]}


def test_two_audits_into_the_same_new_output_both_land(lake: Lake) -> None:
    sources = [lake.write(lake.dataset_frame(make_dataset(seed, "plain"))) for seed in (1, 14)]
    outcomes: dict[int, Any] = {}
    spark = lake.spark  # active in this thread alone

    def audit(position: int) -> None:
        config = config_of(lake, {"source.path": sources[position], "output.path": lake.path("shared")})
        try:
            outcomes[position] = run_audit(config, Progress(quiet=True), spark)
        except Exception as error:  # noqa: BLE001 - asserted on below
            outcomes[position] = error

    threads = [threading.Thread(target=audit, args=(position,)) for position in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for position in (0, 1):
        assert not isinstance(outcomes[position], Exception), outcomes[position]
        result = outcomes[position].to_dict()
        alone = lake.audit(source__path=sources[position])
        assert lake.contents(result) == lake.contents(alone)
    assert lake.count(lake.path("shared/runs")) == 2


@pytest.mark.spark
@pytest.mark.matrix
def test_a_schema_holds_tables_with_a_prefix_and_views_of_finished_runs(lake: Lake) -> None:
    from pyspark.sql import functions as F

    lake.spark.sql("CREATE SCHEMA IF NOT EXISTS lake_in")
    rows = lake.native(lake.dataset_frame(make_dataset(1, "plain")))
    rows.write.format("delta").saveAsTable("lake_in.Odd_Tags")
    settings: dict[str, object] = {
        "source.table": "lake_in.Odd_Tags",
        "output.schema": "lake_out",
        "output.prefix": "q3_",
    }
    first = lake.audit(settings)
    assert first["tables"]["examples"] == "lake_out.q3_examples"
    assert first["source_version"] == "0"
    expected = lake.contents(first)
    assert lake.count("lake_out.q3_examples_committed") == first["num_audited"]
    # a retry of an unfinished run appends nothing twice in a schema either, and reads what the first try read
    lake.spark.sql("DROP TABLE lake_out.q3_runs")
    rows.write.format("delta").mode("append").saveAsTable("lake_in.Odd_Tags")
    again = lake.audit({**settings, "output.run_id": first["run_id"]})
    assert again["source_version"] == "0"
    assert lake.contents(again) == expected
    # leftovers of a run without a row in `runs` show in the table, not in the view
    unfinished = new_run_id()
    frame = lake.spark.table("lake_out.q3_examples").limit(1)
    frame.withColumn("run_id", F.lit(unfinished)).write.format("delta").mode("append").saveAsTable(
        "lake_out.q3_examples"
    )
    assert lake.count("lake_out.q3_examples") == first["num_audited"] + 1
    assert lake.count("lake_out.q3_examples_committed") == first["num_audited"]
    for name in (*DATA_TABLES, "runs"):
        view = lake.spark.table(f"lake_out.q3_{name}_committed")
        assert view.where(F.col("run_id") == unfinished).count() == 0
        assert not Path(lake.path(f"lake_out.q3_{name}")).exists()
    trend = {row["tag"]: row for row in lake.records("lake_out.q3_trend")}
    assert {tag: row["label_noise"] for tag, row in trend.items()} == {
        row["tag"]: row["label_noise"] for row in lake.rows(first, "classes")
    }
    assert {(row["run_id"], row["health"]) for row in trend.values()} == {(first["run_id"], first["health"])}
