"""What comes out of the review page: bulk acceptances, corrections, files, definitions, pictures."""

from __future__ import annotations

import time
import urllib.parse
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spark_ml_audit.engines.base import Engine
from spark_ml_audit.reviewing.agreement import agreement_by_class
from spark_ml_audit.reviewing.decisions import check_decisions
from spark_ml_audit.text import for_page
from tests.engine.conftest import scan
from tests.lake import Lake
from tests.review_page import TAGS, Page, decisions, flagged, served

# ---- in bulk ----------------------------------------------------------------------------------------


def test_flags_are_accepted_in_bulk_as_far_as_a_blind_sample_proves(house: Lake) -> None:
    rng = np.random.default_rng(1)
    lacks = rng.random(600) < 0.5
    probs = np.where(lacks, 0.97, 0.03) + rng.random(600) * 0.02
    rows = [
        (f"r{i}", ["other"] if lacks[i] or i % 2 else ["war"], [float(probs[i]), 0.5]) for i in range(600)
    ]
    schema = "id string, labels array<string>, pred_probs array<double>"
    source = house.write(house.frame(rows, schema, ["war", "other"]))
    out = house.path("bulk-out")
    house.audit(source__path=source, output__path=out, audit__filter_by="predicted_neq_given")
    with served(house, {"output.path": out}) as page:
        war = next(
            row
            for row in page.get("/api/bulk")["rows"]
            if (row["tag"], row["direction"]) == ("war", "missing")
        )
        assert war["cells"] == lacks.sum()
        assert (
            page.post("/api/accept", {"tag": "war", "direction": "missing"})["accepted"] == 0
        )  # nothing is proved
        drawn = page.post("/api/draw", {"how": "certify", "tag": "war", "direction": "missing", "size": 120})
        for place in range(war["needed"] + 20):
            card = page.get(drawn["address"].replace("/review", "/api/item"), at=place)["card"]
            assert card["blind"]
            page.decide(f"c{place}", card["id"], ("war", "present"), sample=drawn["sample"])
        proved = next(row for row in page.get("/api/bulk")["rows"] if row.get("proved"))
        assert proved["proved"] > 200
        assert "precision at least 90% (95%" in proved["sentence"]
        done = page.post("/api/accept", {"tag": "war", "direction": "missing", "bulk_id": "one"})
        assert done["accepted"] == proved["acceptable"] > 100
        progress = page.get("/api/progress")["directions"][0]
        assert progress["done"] >= proved["proved"]
        assert progress["judged"] == war["needed"] + 20  # what nobody looked at is no measure of precision
        (bulk,) = page.get("/api/bulk")["accepted"]
        assert bulk["cells"] == done["accepted"]
        assert {row["kind"] for row in decisions(house, out)} == {"single", "bulk"}
        assert page.post("/api/undo", {"undo": [bulk["bulk_id"]]})["undone"] == [bulk["bulk_id"]]
        assert page.get("/api/bulk")["accepted"] == []
        assert page.get("/api/progress")["directions"][0]["done"] == war["needed"] + 20


# ---- several people ----------------------------------------------------------------------------------


def test_people_agree_as_the_command_review_says(page: Page, output: str, embedded_engine: Engine) -> None:
    verdicts = {"ann": "ppppaap", "bob": "pppaaap"}
    for person, said in verdicts.items():
        page.person = person
        for place, letter in enumerate(said):
            verdict = "present" if letter == "p" else "absent"
            page.decide(f"{person}-{place}", f"film {50 + place:03}", ("war", verdict))
    told = page.get("/api/agreement")
    assert [row["tag"] for row in told] == [None, "war"]
    assert (told[1]["cells"], told[1]["percent"]) == (7, 6 / 7)
    stored = scan(embedded_engine, f"{output}/decisions")
    checked = check_decisions(embedded_engine, stored, "id", pa.string(), "decisions")
    _, by_tables = agreement_by_class(embedded_engine, checked, TAGS)
    assert told[1]["ac1"] == pytest.approx(by_tables.ac1)
    assert told[1]["ac1_low"] == pytest.approx(by_tables.ac1_low)


# ---- what comes out --------------------------------------------------------------------------------

COUNTED = {"rows": "rows_changed", "added": "tags_added", "removed": "tags_removed"}
"""What a preview counts, and a correction."""


def test_the_table_is_corrected_from_the_page(page: Page, house: Lake, output: str) -> None:
    card = page.get("/api/item", at=2)["card"]
    cells = [(tag, "present" if flag == "missing" else "absent") for tag, flag in flagged(card)]
    page.decide("fix", card["id"], *cells)
    # two rows are excluded, one of which something else was decided of too
    for place in (4, 5):
        other = page.get("/api/item", at=place)["card"]
        page.post("/api/decisions", {"decision_id": f"out{place}", "id": other["id"], "row": "exclude"})
        if place == 4:
            tag, flag = flagged(other)[0]
            page.decide("out", other["id"], (tag, "present" if flag == "missing" else "absent"))
    planned = page.get("/api/changes")
    assert (planned["rows"], planned["added"] + planned["removed"]) == (1, len(cells))
    assert planned["some"][0]["id"] == card["id"]
    assert planned["excluded"] == 2
    merged = house.run("correct", {"output.path": output, "correct.preview": True, "correct.mode": "merge"})
    told = {name: merged.json[f"num_{key}"] for name, key in COUNTED.items()}
    assert told == planned["merge"]
    assert planned["merge"]["rows"] == 2
    page.post("/api/jobs", {"name": "correct", "mode": "copy"})
    done = finished(page)
    assert done["state"] == "done", done
    assert {name: done["result"][f"num_{key}"] for name, key in COUNTED.items()} == {
        name: planned[name] for name in COUNTED
    }
    assert done["result"]["num_excluded"] == planned["excluded"]
    target = done["result"]["target"]
    fixed = {row["id"]: set(row["labels"]) for row in house.records(target)}
    before = {tag["tag"] for tag in card["tags"] if tag["given"]}
    wanted = (before | {tag for tag, said in cells if said == "present"}) - {
        t for t, said in cells if said == "absent"
    }
    assert fixed[card["id"]] == wanted
    assert page.refused("/api/jobs", {"name": "audit", "target": "/etc"}).startswith(
        "only what was corrected"
    )
    page.post("/api/jobs", {"name": "audit", "target": target})
    audited = finished(page)
    assert audited["state"] == "done", audited
    assert audited["result"]["before"]["num_label_issues"] > audited["result"]["num_label_issues"]
    assert audited["result"]["cells"]["fixed"] >= len(cells)
    newest = page.post("/api/newest", {})["run_id"]
    assert newest == audited["result"]["run_id"]
    page.post("/api/jobs", {"name": "undo", "undo": done["result"]["correction_id"]})
    undone = finished(page)
    assert (undone["state"], undone["result"]["num_restored"]) == ("done", 2)
    assert {row["id"] for row in house.records(target)} == {f"film {i:03}" for i in range(240)}
    # that copy is what is reviewed now: the next one goes beside it
    page.decide("more", "film 100", ("西部", "present"))
    page.decide("less", "film 101", ("西部", "absent"))
    page.post("/api/jobs", {"name": "correct", "mode": "copy"})
    second = finished(page)
    assert second["state"] == "done", second
    assert second["result"]["target"] == f"{target}_2"
    assert "西部" in {row["id"]: row["labels"] for row in house.records(f"{target}_2")}["film 100"]
    told = page.ask("/download/corrected.csv")[2].splitlines()
    assert "西部" in next(line for line in told if line.startswith("film 100,"))


def finished(page: Page) -> dict[str, Any]:
    end = time.monotonic() + 120
    while True:
        job: dict[str, Any] = page.get("/api/jobs")[0]
        if job["state"] in ("done", "failed"):
            return job
        assert time.monotonic() < end, job
        time.sleep(0.2)


def test_files_to_download(page: Page, tmp_path: Path) -> None:
    page.decide("one", "film 010", ("war", "present"), note="=1+1")
    status, headers, text = page.ask("/download/decisions.csv")
    assert (status, headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert "film 010,war,present,ann" in text
    assert "'=1+1" in text  # no spreadsheet runs it
    lines = page.ask("/download/list.csv")[2].splitlines()
    assert lines[0].lstrip("\ufeff").startswith("id,tag,issue,pred_prob,verdict")
    for name in ("corrected.csv", "../runs.csv", "passwd", "decisions.exe"):
        assert page.ask(f"/download/{name}")[0] == 404, name


def test_a_tag_means_what_its_definition_says(house: Lake, output: str, tmp_path: Path) -> None:
    file = tmp_path / "tags.csv"
    file.write_text("tag,description\nwar,armed conflict\n", encoding="utf-8")
    with served(house, {"output.path": output, "serve.definitions": str(file)}) as page:
        told = {row["tag"]: row["definition"] for row in page.get("/api/classes")}
        assert told["war"] == "armed conflict"
        assert told["drama"] is None


def test_pictures_come_from_their_folder_alone(house: Lake, output: str, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"\x89PNG")
    (tmp_path / "secret.png").write_bytes(b"secret")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    with served(house, {"output.path": output, "serve.images": str(folder)}) as page:
        assert page.ask("/image?name=a.png")[0] == 200
        for name in (
            "../secret.png",
            str(tmp_path / "secret.png"),
            "link.png",
            "none.png",
            "%00a.png",
            "/etc/passwd",
        ):
            assert page.ask(f"/image?name={name}")[0] == 404, name


def test_the_report_is_served_and_leads_to_rows_and_queues(house: Lake) -> None:
    out = house.path("with-report")
    tags = ["war\u202e", "a long tag " * 40 + "one", "a long tag " * 40 + "two"]
    rows = [(f"r{i}", [tags[0]] if i % 3 else [], [0.9 if i % 4 else 0.1] * 3) for i in range(60)]
    schema = "id string, labels array<string>, pred_probs array<double>"
    source = house.write(house.frame(rows, schema, tags))
    house.audit(source__path=source, output__path=out, report__enabled=True)
    with served(house, {"output.path": out}) as page:
        status, _, text = page.ask("/report")
        assert status == 200
        assert "Label audit of" in text
        some = house.records(f"{out}/issues")[0]["id"]
        status, headers, _ = page.ask(f"/row?id={some}")
        assert (status, headers["location"]) == (303, f"/review?row={some}&state=all")
        shown = urllib.parse.urlencode({"tag": for_page(tags[0], 200), "direction": "missing", "low": 0.5})
        status, headers, _ = page.ask(f"/queue?{shown}")
        assert status == 303
        asked = dict(urllib.parse.parse_qsl(headers["location"].partition("?")[2]))
        wanted = {"tag": tags[0], "direction": "missing", "low": "0.5", "view": "cell", "order": "surest"}
        assert asked == wanted
        assert page.get("/api/item", **asked)["total"] > 0
        alike = urllib.parse.urlencode({"tag": for_page(tags[1], 200)})
        assert page.refused(f"/queue?{alike}").startswith("several tags are shown as")
        assert page.refused("/queue?tag=none").startswith("there is no tag")


def test_five_thousand_classes(house: Lake) -> None:
    names = [f"class {k}" for k in range(5000)]
    rng = np.random.default_rng(0)
    rows = []
    for i in range(40):
        probs = rng.random(5000) * 0.05
        own = rng.choice(5000, 3, replace=False)
        probs[own] = 0.95
        rows.append((i, [names[k] for k in own[: 2 + i % 2]], probs.tolist(), f"text {i}"))
    schema = "id bigint, labels array<string>, pred_probs array<double>, text string"
    source = house.write(house.frame(rows, schema, names))
    out = house.path("many")
    house.audit(source__path=source, output__path=out, audit__filter_by="predicted_neq_given")
    with served(house, {"output.path": out}) as page:
        began = time.monotonic()
        card = page.get("/api/item")["card"]
        assert time.monotonic() - began < 5
        assert flagged(card)
        page.decide("one", card["id"], *[(tag, "present") for tag, _ in flagged(card)])
        assert len(page.get("/api/classes")) == 5000
        assert isinstance(house.records(f"{out}/decisions")[0]["id"], int)


def test_what_there_is_not_is_refused_before_anything_is_served(house: Lake, output: str) -> None:
    if house.kind != "embedded":
        pytest.skip("the page reads tables in process")
    assert (
        "does not exist" in house.refuse({"output.path": house.path("nothing")}, command="serve")["message"]
    )
    refused = house.refuse({"output.path": output, "serve.show": "nothing"}, command="serve")
    assert refused["key"] == "serve.show"
    refused = house.refuse({"output.path": output, "serve.image_hosts": ["javascript:x"]}, command="serve")
    assert "not the address of a host" in refused["message"]
