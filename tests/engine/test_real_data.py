"""The shared real data sets, with the numbers the reference implementation gives for them."""

from __future__ import annotations

import json

import pytest

from tests.lake import Lake
from tests.paths import SHARED_DATA

pytestmark = pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the folder ../shared/data is not there")


@pytest.mark.parametrize(("name", "num_issues"), [("goemotions", 21_040), ("debtags", 7_978)])
def test_real_data_gives_the_reference_numbers(lake: Lake, name: str, num_issues: int) -> None:
    import pyarrow.parquet as pq

    file = SHARED_DATA / f"{name}_oof.parquet"
    classes = json.loads(pq.read_schema(file).metadata[b"classes"])
    result = lake.audit({"source.path": str(file), "source.format": "parquet", "source.classes": classes})
    assert result["num_label_issues"] == num_issues
    assert result["num_audited"] == result["num_rows"]
    runs = lake.rows(result, "runs")
    assert runs[0]["num_label_issues"] == num_issues
    ranks = lake.table(result["tables"]["issues"]).column("issue_rank").to_pylist()
    assert sorted(ranks) == list(range(1, num_issues + 1))
