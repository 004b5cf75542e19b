"""The review page over HTTP: who gets in, what queues hold, what is stored, what is refused."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import yaml

from tests.lake import Lake
from tests.paths import PROJECT
from tests.review_page import TOKEN, Page, decisions, flagged, served, start

# ---- who gets in -----------------------------------------------------------------------------------


def test_without_the_token_nothing_is_told(page: Page) -> None:
    for path in (
        "/",
        "/review",
        "/api/item",
        "/api/classes",
        "/static/app.css",
        "/download/list.csv",
    ):
        assert page.ask(path, token=None)[0] == 401
        assert page.ask(path, token="forged")[0] == 401
        assert page.ask(f"{path}?token=forged", token=None)[0] == 401
        assert page.ask(path)[0] == 200, path
    assert page.ask("/api/decisions", {"decision_id": "x"}, token=None)[0] == 401
    # what a proxy would say is no key to a page that has a token
    page.person = "ann@example.com"
    assert page.ask("/api/progress", token=None)[0] == 401


def test_a_token_that_can_be_guessed_is_refused(house: Lake, output: str) -> None:
    arguments = ["serve", "--out", output, "--set", "serve.port=0", "--set", "engine.kind=embedded"]
    with pytest.raises(AssertionError, match=r"SPARK_ML_AUDIT_TOKEN: found a token of 6 characters") as found:
        start(house, arguments, {"SPARK_ML_AUDIT_TOKEN": "secret"})
    assert "16 or more characters" in str(found.value)
    page = start(house, arguments, {"SPARK_ML_AUDIT_TOKEN": "secret" * 3})
    try:
        assert page.ask("/", token="secret" * 3)[0] == 200
    finally:
        page.close()


def test_the_token_leaves_the_address_for_a_cookie(page: Page) -> None:
    status, headers, _ = page.ask(f"/review?tag=war&token={TOKEN}", token=None)
    assert (status, headers["location"]) == (303, "/review?tag=war")
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    assert page.ask("/review", token=None, Cookie=cookie.partition(";")[0])[0] == 200
    assert page.ask("//elsewhere.example/?token=" + TOKEN, token=None)[1].get("location", "/").startswith("/")
    assert (
        not page.ask(f"//elsewhere.example/?token={TOKEN}", token=None)[1]
        .get("location", "/x")
        .startswith("//")
    )


def test_other_names_and_other_pages_get_nothing(page: Page) -> None:
    assert page.ask("/", Host="evil.example")[0] == 403
    sent = {"decision_id": "x", "id": "film 010", "cells": [["war", "present"]]}
    assert page.ask("/api/decisions", sent, Origin="http://evil.example")[0] == 403
    assert page.ask("/api/decisions", sent, Origin=page.base)[0] == 200


def test_the_page_loads_from_here_alone(page: Page) -> None:
    policy = page.ask("/review")[1]["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert page.ask("/review")[1]["cache-control"] == "no-store"


def test_a_proxy_says_who_it_is(page: Page, house: Lake, output: str) -> None:
    page.person = "ann@example.com"
    page.decide("first", "film 010", ("war", "present"))
    page.person = None
    page.decide("second", "film 011", ("war", "present"))
    assert {row["id"]: row["who"] for row in decisions(house, output)} == {
        "film 010": "ann@example.com",
        "film 011": "ann",
    }


def test_a_databricks_app_needs_no_token_and_asks_its_proxy(house: Lake, output: str) -> None:
    app = PROJECT / "jobs" / "review_app" / "app.yaml"
    told = yaml.safe_load(app.read_text(encoding="utf-8"))["command"]
    assert told[:2] == ["spark-ml-audit", "serve"]
    options = [f"output.path={output}" if word.startswith("output.schema=") else word for word in told[1:]]
    arguments = [*options, "--set", "engine.kind=embedded"]
    page = start(house, arguments, {"DATABRICKS_APP_PORT": "18765", "DATABRICKS_APP_NAME": "review"})
    try:
        assert page.base.endswith(":18765")
        assert page.ask("/", token=None)[0] == 401  # nobody that the proxy has let in
        page.person = "ann@example.com"
        assert page.ask("/", token=None)[0] == 200
        assert page.ask("/", token=None, Host="review.databricksapps.com")[0] == 200
        assert page.get("/api/progress")["mine"] == 0
    finally:
        page.close()


# ---- queues ----------------------------------------------------------------------------------------


def test_queues_hold_what_their_filters_say(page: Page, house: Lake, output: str) -> None:
    cells = house.records(f"{output}/tag_issues")
    everything = page.get("/api/item")
    assert everything["total"] == len({row["id"] for row in cells})
    worst = min(cells, key=lambda row: row["issue_rank"])
    assert everything["card"]["id"] == worst["id"]
    missing = [row for row in cells if row["issue"] == "missing" and row["tag"] == "war"]
    found = page.get("/api/item", direction="missing", tag="war", view="cell", order="surest")
    assert found["total"] == len(missing)
    assert found["card"]["id"] == max(missing, key=lambda row: row["pred_prob"])["id"]
    assert found["card"]["question"] == "war"
    low = sorted(row["pred_prob"] for row in missing)[len(missing) // 2]
    some = page.get("/api/item", direction="missing", tag="war", view="cell", low=low)
    assert some["total"] == sum(row["pred_prob"] >= np.float32(low) for row in missing)
    given = {row["id"]: row["given_tags"] for row in house.records(f"{output}/examples")}
    pair = page.get("/api/item", direction="missing", tag="war", instead="drama", view="cell")
    assert pair["total"] == sum("drama" in given[row["id"]] for row in missing)


def test_blind_tells_nothing(page: Page) -> None:
    found = page.get("/api/item", blind=1)
    card = found["card"]
    assert card["question"]
    asked = next(tag for tag in card["tags"] if tag["asked"])
    assert (asked["prob"], asked["flag"], asked["given"]) == (None, None, False)
    assert all(tag["prob"] is None and tag["flag"] is None for tag in card["tags"])
    assert "like" not in card
    orders = [page.get("/api/item", blind=1, at=k)["card"]["id"] for k in range(12)]
    assert orders != sorted(orders)


def test_a_first_look_draws_of_both_directions(page: Page) -> None:
    drawn = page.post("/api/draw", {"how": "first-look"})
    found = page.get(drawn["address"].replace("/review", "/api/item"))
    assert 0 < found["total"] <= 30
    card = found["card"]
    assert card["question"]
    assert not card["blind"]
    again = page.post("/api/draw", {"how": "first-look"})
    assert again["sample"] == drawn["sample"]


def test_a_random_sample_is_judged_blind_whatever_the_address_says(page: Page) -> None:
    drawn = page.post("/api/draw", {"how": "random", "size": 40})
    found = page.get("/api/item", kind="sample", sample=drawn["sample"], blind=0, view="row")
    assert found["total"] == 40
    assert found["card"]["blind"]


def test_wrong_filters_are_refused_by_name(page: Page) -> None:
    assert page.refused("/api/item?tag=wra") == "there is no tag 'wra'."
    assert "none of missing, extraneous" in page.refused("/api/item?direction=up")
    assert "not a number from 0 to 1" in page.refused("/api/item?low=2")
    assert "no sample" in page.refused("/api/item?kind=sample&sample=x")
    assert "no row" in page.refused("/row?id=nobody")


# ---- decisions -------------------------------------------------------------------------------------


def test_a_decision_is_stored_once_under_its_run(page: Page, house: Lake, output: str) -> None:
    card = page.get("/api/item")["card"]
    cells = [(tag, "present" if flag == "missing" else "absent") for tag, flag in flagged(card)]
    for _ in range(2):
        page.decide("one", card["id"], *cells, note="sure", when="2026-01-31T10:00:00Z")
    stored = decisions(house, output)
    assert {(row["tag"], row["verdict"]) for row in stored} == set(cells)
    assert len(stored) == len(cells)
    runs = house.records(f"{output}/runs")
    assert {row["run_id"] for row in stored} == {runs[0]["run_id"]}
    assert stored[0]["note"] == "sure"
    assert page.get("/api/item", at=0)["card"]["done"]
    assert page.get("/api/item")["card"]["id"] != card["id"]
    progress = {row["direction"]: row for row in page.get("/api/progress")["directions"]}
    assert sum(row["judged"] for row in progress.values()) == len(cells)
    assert all(row["precision"] == 1.0 for row in progress.values() if row["judged"])


def test_what_cannot_be_used_is_refused_and_not_stored(page: Page, house: Lake, output: str) -> None:
    def sent(**changed: Any) -> dict[str, Any]:
        return {"decision_id": "x", "id": "film 010", "cells": [["war", "present"]], **changed}

    for body in (
        sent(id="nobody"), sent(cells=[["wra", "present"]]), sent(cells=[["war", "maybe"]]), sent(cells=[]),
        sent(cells="war"), sent(decision_id=""), sent(note="x" * 3000), sent(cells=None, row="delete"), {},
    ):  # fmt: skip
        page.refused("/api/decisions", body)
    assert decisions(house, output) == []
    # answered before all of it was read: some clients see the answer, some the closed connection
    try:
        status, _, _ = page.ask("/api/decisions", sent(note="x" * (2 << 20)))
    except OSError:
        status = 413
    assert status == 413
    assert decisions(house, output) == []


def test_a_row_left_out_of_a_blind_sample_is_done_there(page: Page) -> None:
    drawn = page.post("/api/draw", {"how": "random", "size": 40})["sample"]
    queue = {"kind": "sample", "sample": drawn}
    first = page.get("/api/item", **queue)
    sent = {"decision_id": "out", "id": first["card"]["id"], "row": "exclude", "sample": drawn}
    page.post("/api/decisions", sent)
    after = page.get("/api/item", **queue)
    assert after["card"]["id"] != first["card"]["id"]


def test_a_tag_nobody_proposed_and_a_row_left_out(page: Page) -> None:
    page.decide("added", "film 020", ("西部", "present"))
    page.post("/api/decisions", {"decision_id": "out", "id": "film 021", "row": "exclude"})
    assert page.get("/api/progress")["excluded"] == 1
    card = page.get("/api/item", row="film 020", state="all")["card"]
    assert next(tag for tag in card["tags"] if tag["tag"] == "西部")["stands"] == "present"
    assert page.get("/api/item", row="film 021", state="all")["card"]["excluded"]
    assert page.post("/api/undo", {"undo": ["out.0"]})["undone"] == ["out.0"]
    assert page.get("/api/progress")["excluded"] == 0


def test_two_windows_and_two_servers_lose_nothing(page: Page, house: Lake, output: str) -> None:
    with served(house, {"output.path": output, "serve.who": "bob"}) as other:
        for k in range(6):
            (page if k % 2 else other).decide(f"d{k}", f"film {100 + k}", ("war", "present"))
        assert len(decisions(house, output)) == 6
        end = time.monotonic() + 20
        while page.get("/api/progress")["people"] != [["ann", 3], ["bob", 3]]:
            assert time.monotonic() < end, page.get("/api/progress")
            time.sleep(0.3)


def test_rows_are_dealt_out_among_reviewers(house: Lake, output: str) -> None:
    settings = {"output.path": output, "serve.reviewers": ["ann", "bob"], "serve.overlap": 0.2}
    with served(house, settings) as page:
        totals = {}
        for person in ("ann", "bob", "eve"):
            page.person = person
            totals[person] = page.get("/api/item")["total"]
        assert totals["eve"] < totals["ann"] + totals["bob"] < 1.6 * totals["eve"]
