"""Three audits of one output: two of a table before and after edits, one of another table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pyarrow as pa

from tests.datasets import from_arrays
from tests.lake import Lake

TAGS = ["<script>alert(1)</script>", "$x_1$", "role::program", "naïve 日本"]


Row = dict[str, Any]


@dataclass
class History:
    """Three audits of one output: two of a table before and after edits, one of another table."""

    lake: Lake
    output: str
    source: str
    first: Row
    second: Row
    other: Row
    experiment: str = "history"

    def command(self, name: str, **keys: object) -> Any:
        given = {"output__path": self.output, "tracking__experiment": self.experiment} | keys
        return self.lake.run(name, **given)

    def mlflow(self, run_id: str) -> Any:
        return self.client.get_run(run_id)

    @property
    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(tracking_uri=self.lake.tracking_uri)

    def artifact(self, run_id: str, name: str, folder: Path) -> str:
        return Path(self.client.download_artifacts(run_id, name, str(folder))).read_text(encoding="utf-8")


def table(seed: int, n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.random((n, len(TAGS))) < 0.4
    given = truth ^ (rng.random(truth.shape) < 0.08)
    p = 1 / (1 + np.exp(-(np.where(truth, 3.0, -3.0) + rng.normal(size=truth.shape))))
    return given, p


def three_runs(lake: Lake) -> History:
    """The audits, and the edits between the first two."""
    given, p = table(1)
    source = lake.write(lake.dataset_frame(from_arrays("before", given, p), TAGS))
    output = lake.path("out")
    keys: Row = {"output__path": output, "tracking__experiment": "history", "source__path": source}
    first = lake.audit(
        {"gate.max_class_noise": [{"limit": 0.0, "severity": "warn"}, {"limit": 1, "classes": [TAGS[1]]}]},
        gate__max_issue_increase=0.0,
        gate__min_macro_auc=0.6,
        **keys,
    )
    # after the first run: two flagged cells of two rows are corrected as suggested, a flagged and an
    # unflagged row are deleted, a row comes that is flagged, and good tags of 8 rows are spoilt
    cells = sorted(lake.rows(first, "tag_issues"), key=lambda row: row["cell_score"])
    rows = {row["id"]: row for row in lake.rows(first, "examples")}
    flagged = list(dict.fromkeys(row["id"] for row in cells))
    fine = sorted(set(rows) - set(flagged))
    for name in flagged[:2]:
        given[int(name[1:])] = [tag in rows[name]["suggested_tags"] for tag in TAGS]
    gone = {int(flagged[2][1:]), int(fine[0][1:])}
    for name in fine[1:9]:
        given[int(name[1:]), 0] ^= True
    given, p = np.vstack([given, [[False] * 4]]), np.vstack([p, [[0.99, 0.98, 0.01, 0.01]]])
    after = lake.dataset_frame(from_arrays("after", given, p), TAGS)
    left = [name not in {f"r{place:04}" for place in gone} for name in after.column("id").to_pylist()]
    lake.write(after.filter(pa.array(left)), to=source, mode="overwrite")
    second = lake.audit(
        {
            "gate.max_issue_increase": 0.01,
            "gate.max_class_noise_increase": {"limit": 0.9, "kind": "missing"},
            "gate.min_macro_auc": {"limit": 1.0, "severity": "warn"},
            "gate.min_lift": 1.5,
        },
        expect=3,
        audit__alpha=0.7,
        **keys,
    )
    elsewhere = lake.write(lake.dataset_frame(from_arrays("other", *table(2, 40)), TAGS[:]))
    other = lake.audit(**(keys | {"source__path": elsewhere}))
    return History(lake, output, source, first, second, other)


def expected_changes(history: History) -> tuple[dict[str, tuple[str, str | None]], dict[Any, Any]]:
    """Change and reason of rows and cells, worked out anew from the two runs' tables."""
    lake = history.lake
    before, now = (
        {row["id"]: row for row in lake.rows(run, "examples")} for run in (history.first, history.second)
    )
    old, new = (
        {(row["id"], row["tag"], row["issue"]) for row in lake.rows(run, "tag_issues")}
        for run in (history.first, history.second)
    )

    def change(is_flagged: bool, was_flagged: bool) -> str:
        return "still_open" if is_flagged and was_flagged else "newly_flagged" if is_flagged else "fixed"

    def reason(what: str, name: str, tag: str | None) -> str | None:
        if what == "still_open":
            return None
        if name not in before:
            return "row_came"
        if name not in now:
            return "row_went"
        same = (
            before[name]["given_tags"] == now[name]["given_tags"]
            if tag is None
            else (tag in before[name]["given_tags"]) == (tag in now[name]["given_tags"])
        )
        return "same_tags" if same else "tags_changed"

    rows = {}
    for name in sorted({*before, *now}):
        flags = [name in run and run[name]["is_label_issue"] for run in (now, before)]
        if any(flags):
            what = change(*flags)
            rows[name] = (what, reason(what, name, None))
    cells = {}
    for key in old | new:
        what = change(key in new, key in old)
        cells[key] = (what, reason(what, key[0], key[1]))
    return rows, cells


def written(history: History, found: Row, name: str) -> list[Row]:
    rows = history.lake.records(found["tables"][name], found["run_id"])
    assert {row.pop("against_run_id") for row in rows} == {found["against_run_id"]}
    return rows
