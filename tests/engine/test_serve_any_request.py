"""Whatever a browser sends, the page does it or says in a sentence why not; it never breaks."""

from __future__ import annotations

import json
import urllib.parse
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.lake import Lake
from tests.review_page import Page, decisions

_WORDS = st.sampled_from(
    ["war", "drama", "film 010", "present", "absent", "missing", "extraneous", "exclude", "random", "certify",
     "first-look", "correct", "undo", "audit", "copy", "merge", "\ud800", "\x00", "=1+1", "", "a" * 3000]
)  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | _WORDS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | _WORDS, inner, max_size=4)
    ),
    max_leaves=8,
)
_KEYS = {
    "/api/decisions": (
        "decision_id",
        "id",
        "cells",
        "row",
        "note",
        "sample",
        "adjudicated",
        "when",
        "run_id",
    ),
    "/api/undo": ("undo", "run_id"),
    "/api/draw": ("how", "size", "tag", "direction", "run_id"),
    "/api/accept": ("tag", "direction", "bulk_id", "run_id"),
    "/api/jobs": ("name", "target", "undo", "mode", "run_id"),
    "/api/newest": (),
}


def _bodies(path: str) -> st.SearchStrategy[Any]:
    """Bodies with the keys that are read there, which hold anything; and anything."""
    known: dict[str, st.SearchStrategy[Any]] = dict.fromkeys(_KEYS[path], _JSON)
    # a job that starts is none of this test's: its run is another one
    always = {"run_id": st.just("another") | st.lists(_JSON, min_size=1)} if path == "/api/jobs" else {}
    often = {key: values for key, values in known.items() if key not in always}
    anything = st.lists(_JSON) if always else _JSON.filter(lambda body: body is not None)
    return st.fixed_dictionaries(always, optional=often) | anything


@pytest.mark.parametrize("path", sorted(_KEYS))
def test_no_request_breaks_the_page(house: Lake, shared_page: Page, path: str) -> None:
    @settings(max_examples=40 if _KEYS[path] else 8, suppress_health_check=list(HealthCheck))
    @given(body=_bodies(path))
    def send(body: Any) -> None:
        status, _, text = shared_page.ask(path, body)
        assert status in (200, 409, 422), (body, status, text)
        if status != 200:
            assert json.loads(text)["error"]["message"]

    send()


_PARAMETERS = (
    "kind", "direction", "tag", "instead", "low", "high", "group", "sample", "row", "state", "order", "view",
    "blind", "at", "after",
)  # fmt: skip
_VALUES = st.text(max_size=12) | st.integers().map(str) | st.floats().map(str) | st.sampled_from(
    ["flagged", "sample", "duplicate", "ambiguous", "war", "missing", "disputed", "all", "cell", "random",
     "film 010", "9" * 400, "-1", "1", "nan"]
)  # fmt: skip


def test_no_queue_breaks_the_page(shared_page: Page) -> None:
    @settings(max_examples=60, suppress_health_check=list(HealthCheck))
    @given(parameters=st.dictionaries(st.sampled_from(_PARAMETERS), _VALUES, max_size=5))
    def ask(parameters: dict[str, str]) -> None:
        query = urllib.parse.urlencode(parameters, errors="replace")
        status, _, text = shared_page.ask(f"/api/item?{query}")
        assert status in (200, 422), (parameters, status, text)
        assert status == 200 or json.loads(text)["error"]["message"]

    ask()


@pytest.mark.parametrize(
    ("path", "body", "key"),
    [
        ("/api/accept", {"tag": ["war"], "direction": "missing"}, "tag"),
        ("/api/accept", {"tag": {"war": 1}, "direction": "missing"}, "tag"),
        ("/api/accept", {"tag": "war", "direction": ["missing"]}, "direction"),
        ("/api/accept", {"tag": "war", "direction": "missing", "bulk_id": [1]}, "bulk_id"),
        ("/api/jobs", {"name": "audit", "target": ["a"]}, "target"),
        ("/api/jobs", {"name": "audit", "target": {}}, "target"),
        ("/api/jobs", {"name": ["correct"]}, "name"),
        ("/api/jobs", {"name": "undo", "undo": 7}, "undo"),
        ("/api/jobs", {"name": "correct", "mode": ["copy"]}, "mode"),
        ("/api/draw", {"how": "certify", "tag": ["war"], "direction": "missing"}, "tag"),
        ("/api/draw", {"how": "random", "size": "10"}, "size"),
        ("/api/decisions", {"decision_id": 1, "id": "film 010", "cells": []}, "decision_id"),
        ("/api/decisions", {"decision_id": "x", "id": ["film 010"], "cells": [["war", "present"]]}, "id"),
        ("/api/decisions", {"decision_id": "x", "id": "film 010", "cells": [["\ud800", "present"]]}, "cells"),
        ("/api/decisions", {"decision_id": "x", "id": "film 010", "row": ["exclude"]}, "row"),
        ("/api/undo", {"undo": "x"}, "undo"),
        ("/api/undo", {"undo": [1]}, "undo"),
        ("/api/undo", [1], "request"),
        ("/api/decisions", "x", "request"),
    ],
)  # fmt: skip
def test_what_is_of_the_wrong_kind_is_named(shared_page: Page, path: str, body: object, key: str) -> None:
    status, _, text = shared_page.ask(path, body)
    assert status == 422, text
    told = json.loads(text)["error"]
    assert told["key"] == key
    assert told["message"]


def test_what_is_no_json_is_refused_with_a_sentence(shared_page: Page) -> None:
    for path in ("/api/item?at=x", "/api/item?after=1e9"):
        assert "The request is not what this page sends" in shared_page.refused(path)
    assert json.loads(shared_page.ask("/api/nothing")[2])["error"]["message"]


# ---- a page that shows another run -------------------------------------------------------------------


def test_nothing_is_filed_under_another_run(page: Page, house: Lake, output: str) -> None:
    (first,) = house.records(f"{output}/runs")
    drawn = page.post("/api/draw", {"how": "random", "size": 20})
    stale = {"run_id": first["run_id"]}
    page.decide("before", "film 010", ("war", "present"), sample=drawn["sample"], **stale)
    house.audit(source__path=first["source"], output__path=output)
    served = page.post("/api/newest", {})["run_id"]
    assert served != first["run_id"]
    cells = [["war", "absent"]]
    for path, body in (
        ("/api/decisions", {"decision_id": "x", "id": "film 011", "cells": cells, "sample": drawn["sample"]}),
        ("/api/decisions", {"decision_id": "y", "id": "film 011", "row": "exclude"}),
        ("/api/undo", {"undo": ["before.0"]}),
        ("/api/accept", {"tag": "war", "direction": "missing", "bulk_id": "b"}),
        ("/api/draw", {"how": "random", "size": 5}),
        ("/api/jobs", {"name": "correct"}),
    ):
        status, _, text = page.ask(path, {**body, **stale})
        assert status == 409, (path, status, text)
        told = json.loads(text)["error"]
        assert first["run_id"] in told["message"]
        assert served in told["message"]
        assert "Reload" in told["fix"]
    for path in ("/api/item", "/api/progress", "/api/classes", "/api/bulk", "/api/changes", "/api/agreement"):
        assert page.ask(path, X_Audit_Run=first["run_id"])[0] == 409
        assert page.ask(path, X_Audit_Run=served)[0] == 200
    assert page.get("/api/jobs") == []
    assert [row["decision_id"] for row in decisions(house, output)] == ["before.0"]
    page.decide("after", "film 012", ("war", "present"), run_id=served)
    assert {row["decision_id"]: row["run_id"] for row in decisions(house, output)} == {
        "before.0": first["run_id"],
        "after.0": served,
    }
