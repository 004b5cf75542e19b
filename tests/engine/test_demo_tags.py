"""New packages tagged as the demo says how: no tag whose precision out of fold is not proved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spark_ml_audit.demo.dataset import demo_classes, demo_file, new_packages
from spark_ml_audit.demo.run import _tagging_commands
from tests.command_line import settings_of
from tests.lake import Lake, records

ROWS = 3000


@pytest.fixture
def tagged(lake: Lake) -> dict[str, Any]:
    """The result of `tag` by the commands that the demo prints, on a tenth of its packages."""
    import pyarrow.parquet as pq

    table = pq.read_table(demo_file(), columns=["id", "text", "labels"]).replace_schema_metadata(None)
    known = set(demo_classes())
    rows = [
        (row["id"], row["text"], [tag for tag in dict.fromkeys(row["labels"]) if tag in known])
        for row in table.take(list(range(0, table.num_rows, table.num_rows // ROWS))).to_pylist()
    ]
    source = lake.write(lake.frame(rows, "id string, text string, labels array<string>"))
    new = lake.write(new_packages())
    predict, tag = (settings_of(line) for line in _tagging_commands(source, new, lake.path("tagged")))
    more = {
        "model.kind": "linear",
        "model.folds": 2,
        "source.classes": demo_classes(),
    }
    outcome = lake.run("predict", {**predict, **more})
    assert outcome.exit_code == 0, (outcome.json, outcome.stderr)
    done = lake.run("tag", tag)
    assert done.exit_code == 0, (done.json, done.stderr)
    return done.json


def test_no_tag_of_a_new_package_lacks_its_bound(lake: Lake, tagged: dict[str, Any]) -> None:
    assert tagged["num_tagged"] == 20
    classes = {row["tag"]: row for row in lake.records(tagged["tables"]["tag_classes"])}
    assert set(classes) == set(demo_classes())
    found = {row["id"]: row["tags"] for row in records(lake.table(tagged["tables"]["tags"]))}
    given = [tag for tags in found.values() for tag in tags]
    bounds = [classes[tag]["precision_bound"] for tag in given]
    print(f"{len(given)} tags of {len(set(given))} classes; least bound {min(bounds):.3f}")
    assert len(given) >= 20
    assert min(bounds) >= tagged["tagging"]["min_precision"] == 0.5
    assert all(classes[tag]["num_given"] >= 10 for tag in given)
    assert all(classes[item["tag"]]["not_tagged"] == item["why"] for item in tagged["tagging"]["not_tagged"])
    assert "role::documentation" in found["tidewater-doc"]
    assert "implemented-in::perl" in found["libtext-hyphenate-icelandic-perl"]
    assert Path(tagged["tables"]["tags"]).is_dir()
