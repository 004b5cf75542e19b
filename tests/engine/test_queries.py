"""How often an audit reads its source, and how many queries it makes: each costs time on every run."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.datasets import make_dataset
from tests.lake import Lake

pytestmark = pytest.mark.spark

# Of a small table: a look at the width of pred_probs, ids, profile, resolve; five tables, counts, two proofs;
# earlier runs, what changed since the last; the worst rows, the ambiguous rows, texts of the source if shown.
QUERIES = 16


@dataclass(frozen=True)
class Query:
    """One query that Spark ran: what it was called, and its plan with those of the queries within it."""

    name: str
    plan: str

    def scans(self, folder: str) -> list[str]:
        """Columns read by each scan of the files below a folder."""
        blocks = re.split(r"\n\(\d+\) ", self.plan)
        own = [block for block in blocks if block.startswith("Scan parquet") and f"{folder}]" in block]
        return [found.group(1) for block in own if (found := re.search(r"ReadSchema: struct<(.*)>", block))]


@pytest.fixture
def queries(spark: Any, engine_kind: str) -> Callable[[], list[Query]]:
    """Those that ran since they were last asked for. Queries of Delta itself, and commands, do not count."""
    if engine_kind != "spark":
        pytest.skip("counted by the JVM's own list of queries")
    store = spark._jsparkSession.sharedState().statusStore()

    def listed() -> list[Any]:
        spark._jsc.sc().listenerBus().waitUntilEmpty()
        found = store.executionsList()
        return [found.apply(i) for i in range(found.size())]

    newest = max((each.executionId() for each in listed()), default=-1)

    def since() -> list[Query]:
        nonlocal newest
        own = [each for each in listed() if each.executionId() > newest]
        newest = max((each.executionId() for each in own), default=newest)
        trees: dict[int, list[Any]] = {}
        for each in own:
            trees.setdefault(each.rootExecutionId(), []).append(each)
        return [
            Query(root[0].description(), "\n".join(each.physicalPlanDescription() for each in root))
            for root in trees.values()
            if any(each.jobs().size() for each in root) and not root[0].description().startswith("sql at")
        ]

    return since


def test_scans_and_queries_of_a_small_audit(lake: Lake, queries: Callable[[], list[Query]]) -> None:
    source = lake.write(lake.dataset_frame(make_dataset(3, "plain", "float32")))
    settings = {"source.path": source, "output.path": lake.path("out"), "report.enabled": True}
    first = lake.audit(settings)
    queries()
    second = lake.audit(settings)
    found = queries()
    assert second["run_id"] != first["run_id"]
    assert second["since_last_run"]["rows"]["still_open"] == second["num_label_issues"] > 0

    passes = [query for query in found for columns in query.scans(source) if "pred_probs" in columns]
    looks = [query for query in passes if "CollectLimit" in query.plan]
    # profile, resolve, apply; and a look at the first rows
    assert (len(passes) - len(looks), len(looks)) == (3, 1), [query.name for query in passes]
    ids = [columns for query in found for columns in query.scans(source) if columns.startswith("id:")]
    assert sorted("pred_probs" in columns for columns in ids) == [False, True], ids
    assert len(found) == QUERIES, [query.name for query in found]


def test_only_rows_with_an_issue_are_shuffled(lake: Lake, queries: Callable[[], list[Query]]) -> None:
    source = lake.write(lake.dataset_frame(make_dataset(3, "plain", "float32")))
    queries()
    output = lake.path("out")
    lake.audit(source__path=source, output__path=output)
    found = queries()
    (examples,) = [
        query for query in found if query.scans(source) and "Execute" in query.plan and "save" in query.name
    ]
    assert "Exchange" not in examples.plan
    shuffled = [query for query in found if query.scans(f"{output}/examples") and "Exchange" in query.plan]
    assert shuffled
    for query in shuffled:
        assert "is_label_issue" in query.plan
