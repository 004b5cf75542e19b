"""What test_engines_agree.py leaves out: killed runs, detection, samples, predictions, no Spark at all."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from tests.datasets import make_dataset
from tests.engine.test_detect import NAMES, WANTED, made_rows
from tests.engine.test_detect import SCHEMA as DETECT_SCHEMA
from tests.engine.test_predict import SCHEMA, item_rows, probabilities
from tests.lake import DATA_TABLES, Lake
from tests.paths import PROJECT


def test_the_embedded_engine_needs_no_spark(lake: Lake) -> None:
    source = lake.write(lake.dataset_frame(make_dataset(3, "plain", "float32")))
    embedded = replace(lake, kind="embedded")
    arguments = embedded.arguments("audit", {"source.path": source, "report.enabled": True})
    code = f"""
import sys
for name in ("pyspark", "py4j", "delta", "grpc"):
    sys.modules[name] = None
from spark_ml_audit.cli import main
sys.exit(main({arguments!r}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def both(lake: Lake) -> tuple[Lake, Lake]:
    """One lake seen by Spark and by the embedded engine."""
    return lake, replace(lake, kind="embedded", written=100)


@pytest.mark.spark
@pytest.mark.matrix
def test_a_run_that_was_killed_is_completed_by_the_other(both: tuple[Lake, Lake]) -> None:
    source = both[0].write(both[0].dataset_frame(make_dataset(9, "quantised", "float32")))
    settings: dict[str, object] = {"source.path": source, "output.path": both[0].path("out")}
    first = both[0].audit(settings)
    expected = both[0].contents(first)
    assert expected["tag_issues"]
    settings["output.run_id"] = first["run_id"]
    for lake in reversed(both):
        # as a kill before the last commits leaves it
        for name in ("runs", "issues", "quarantine"):
            shutil.rmtree(first["tables"][name])
        completed = lake.audit(settings)
        assert not completed["already_finished"]
        assert completed["tables"] == first["tables"]
        assert lake.contents(completed) == expected


@pytest.mark.spark
@pytest.mark.matrix
def test_both_find_the_same_outliers_duplicates_and_samples(both: tuple[Lake, Lake]) -> None:
    source = both[0].write(both[0].frame(made_rows()[0], DETECT_SCHEMA, NAMES), files=3)
    found: list[dict[str, Any]] = []
    for lake in both:
        result = lake.audit({"source.path": source, **WANTED})
        tables = {name: lake.rows(result, name) for name in (*DATA_TABLES, "duplicates")}
        output = result["tables"]["runs"].rpartition("/")[0]
        drawn = lake.run("sample", output__path=output, sample__how="random", sample__size=60)
        assert drawn.exit_code == 0, drawn.json
        cells = lake.records(f"{output}/review_sample")
        unlike = ("run_id", "sample_id", "created_at", "drawn_at", "source_version")
        tables["sample"] = [{k: v for k, v in row.items() if k not in unlike} for row in cells]
        tables["sample"].sort(key=repr)
        found.append(tables)
    for name in found[0]:
        assert found[0][name] == found[1][name], name
    assert found[0]["duplicates"]


@pytest.mark.spark
@pytest.mark.matrix
def test_both_predict_the_same_probabilities(both: tuple[Lake, Lake]) -> None:
    source = both[0].write(both[0].frame(item_rows(), SCHEMA), files=2)
    found = []
    for lake in both:
        outcome = lake.run(
            "predict", source__path=source, model__folds=3, model__max_train_rows=80, source__group="author"
        )
        assert outcome.exit_code == 0, (outcome.json, outcome.stderr)
        found.append((probabilities(lake, outcome.json["tables"]["predictions"]), outcome.json["quality"]))
    assert found[0] == found[1]
