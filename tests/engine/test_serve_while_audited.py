"""The review page over an output that an audit in another process writes: it tells of one run at a time."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lake import Lake
from tests.review_page import Page, decisions, served


def audit(house: Lake, output: str, source: str, **more: Any) -> subprocess.Popen[str]:
    """An audit in a process of its own; with another rule, so that it flags other cells."""
    return house.start("audit", {"source.path": source, "output.path": output, **more})


def ends(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


@contextmanager
def asking(ask: Callable[[int], None]) -> Iterator[list[BaseException]]:
    """Ask over and over, two at a time, while the block runs; what went wrong."""
    faults: list[BaseException] = []
    stop = threading.Event()

    def loop(which: int) -> None:
        number = which
        while not stop.is_set() and not faults:
            try:
                ask(number)
            except BaseException as error:  # noqa: BLE001 - told where the block ends
                faults.append(error)
            number += 2

    threads = [threading.Thread(target=loop, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield faults
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


def flagged_by_run(house: Lake, output: str) -> dict[str, int]:
    return dict(Counter(row["run_id"] for row in house.records(f"{output}/issues")))


def test_pages_answer_while_an_audit_writes_and_are_never_of_two_runs(
    page: Page, house: Lake, output: str
) -> None:
    (first,) = house.records(f"{output}/runs")
    seen: Counter[tuple[str, int]] = Counter()
    statuses: Counter[int] = Counter()

    def ask(number: int) -> None:
        found = page.get("/api/item", state="all", at=number % 20)
        assert found["card"] is not None
        seen[found["run_id"], found["total"]] += 1
        assert page.ask("/")[0] == 200
        shown = page.get("/api/progress")
        assert sum(side["cells"] for side in shown["directions"]) > 0
        body = {"decision_id": f"d{number}", "id": f"film {number % 200:03}", "cells": [["war", "present"]]}
        status, _, text = page.ask("/api/decisions", {**body, "run_id": first["run_id"]})
        assert status in (200, 409), text
        statuses[status] += 1

    with asking(ask) as faults:
        writing = audit(house, output, first["source"], **{"audit.filter_by": "confident_learning"})
        with served(house, {"output.path": output}) as started:  # a page that starts meanwhile
            item = started.get("/api/item")
            assert started.ask("/", X_Audit_Run=item["run_id"])[0] == 200
        done = ends(writing)
        assert item["run_id"] in (first["run_id"], done["run_id"])
        assert item["total"] == flagged_by_run(house, output)[item["run_id"]]
        until(lambda: page.get("/api/progress")["newer"] == done["run_id"] or bool(faults))
        assert not faults, faults
        assert {run for run, _ in seen} == {first["run_id"]}
        assert set(statuses) == {200}
        assert page.post("/api/newest", {})["run_id"] == done["run_id"]
        seen_before = statuses[409]
        until(lambda: statuses[409] > seen_before + 2 or bool(faults))
    assert not faults, faults
    rows = flagged_by_run(house, output)
    assert rows[first["run_id"]] != rows[done["run_id"]]
    assert set(seen) == {(run, count) for run, count in rows.items()}
    assert page.get("/api/progress")["newer"] is None
    assert {row["run_id"] for row in decisions(house, output)} == {first["run_id"]}
    assert len(decisions(house, output)) == statuses[200]


def test_an_output_that_is_made_anew_below_a_page_is_told(page: Page, house: Lake, output: str) -> None:
    (first,) = house.records(f"{output}/runs")
    page.get("/api/item")
    for path in sorted(Path(output).iterdir()):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    sent = {"decision_id": "gone", "id": "film 010", "cells": [["war", "present"]], "run_id": first["run_id"]}
    for path, body in (("/", None), ("/api/item", None), ("/api/progress", None), ("/api/bulk", None)):
        status, _, text = page.ask(path, body)
        assert status in (200, 422), text
    status, _, text = page.ask("/api/decisions", sent)
    assert json.loads(text)["error"]["message"] if status != 200 else True
    done = ends(audit(house, output, first["source"]))
    until(lambda: page.get("/api/progress")["newer"] == done["run_id"])
    assert page.post("/api/newest", {})["run_id"] == done["run_id"]
    assert page.ask("/api/decisions", sent)[0] == 409
    page.decide("new", "film 011", ("war", "absent"), run_id=done["run_id"])
    assert {row["run_id"] for row in decisions(house, output) if row["decision_id"] == "new.0"} == {
        done["run_id"]
    }
