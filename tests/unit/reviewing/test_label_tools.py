"""Tasks of Label Studio and records of Argilla, out and back."""

from __future__ import annotations

import json

import pytest

from spark_ml_audit.reviewing.asked import Asked, Columns, cell_lines, row_lines
from spark_ml_audit.reviewing.label_tools import (
    NONE,
    argilla_records,
    kind_of_json,
    label_studio_tasks,
    read_answers,
)
from spark_ml_audit.reviewing.spreadsheet import WHERE, read_csv, write_csv

ROW = {"sample_id": "s", "row_id": "=7", "shown": ("a film",), "given_tags": ("war, old", "love")}
CELLS = [
    Asked(**ROW, tag="war, old", is_given=True, issue="extraneous", pred_prob=0.01),
    Asked("s", "8", (None,), (), "=cmd", is_given=False, issue="missing", pred_prob=0.98),
    Asked(**ROW, tag="noir", is_given=False, issue="missing", pred_prob=0.97),
    Asked("s", "9", ("third",), ("war, old",), "war, old", is_given=True, issue="extraneous", pred_prob=0.1),
]


def answers(table):
    kept = ("id", "tag", "verdict", "who", "note", "sample_id")
    return [tuple(row.get(name) for name in kept) for row in table.to_pylist()]


def saved(path, content):
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


def annotation(who, chosen, *, unsure=(), **more):
    result = [
        {"from_name": name, "to_name": "text", "type": "choices", "value": {"choices": list(tags)}}
        for name, tags in (("tags", chosen), ("unsure", unsure))
        if tags
    ]
    return {"completed_by": who, "result": result, "updated_at": "2026-03-01T10:00:00.000000Z", **more}


def test_label_studio_begins_as_suggested_and_answers_come_back(tmp_path):
    tasks = label_studio_tasks(CELLS, ["title"], suggest=True)
    assert [task["data"]["id"] for task in tasks] == ["=7", "8", "9"]
    assert [task["data"]["text"] for task in tasks] == ["a film", "8", "third"]
    chosen = [[item["value"]["choices"] for item in task["predictions"][0]["result"]] for task in tasks]
    assert chosen == [[["noir"]], [["=cmd"]], []]
    # one accepts what is suggested, one differs and adds a tag, one skips; nobody answers the last one
    tasks[0]["annotations"] = [
        annotation({"email": "ann@x"}, ["noir"]),
        annotation(3, ["war, old", "sport"], unsure=["noir"]),
        annotation(4, ["noir"], was_cancelled=True),
    ]
    tasks[1]["annotations"] = [annotation(3, [], unique_id="u1")]
    path = saved(tmp_path / "export.json", tasks)
    assert kind_of_json(path) == "label_studio"
    table = read_answers(path, "label_studio")
    assert answers(table) == [
        ("=7", "war, old", "absent", "ann@x", None, "s"),
        ("=7", "noir", "present", "ann@x", None, "s"),
        ("=7", "war, old", "present", "label-studio-user-3", None, "s"),
        ("=7", "noir", "unsure", "label-studio-user-3", None, "s"),
        ("=7", "sport", "present", "label-studio-user-3", None, "s"),
        ("8", "=cmd", "absent", "label-studio-user-3", None, "s"),
        ("9", "war, old", None, None, None, "s"),
    ]
    assert table.column(WHERE).to_pylist()[-2:] == ["item 2", "item 3"]
    known = read_answers(path, "label_studio").column("decision_id").to_pylist()
    assert known == table.column("decision_id").to_pylist()
    assert [value is not None for value in known] == [False] * 5 + [True, False]


def test_argilla_begins_as_suggested_and_answers_come_back(tmp_path):
    records = argilla_records(CELLS, ["title"], suggest=True)
    told = [record["suggestions"]["tags"]["value"] for record in records]
    assert told == [["love", "noir"], ["=cmd"], [NONE]]
    records[0]["responses"] = {
        "tags": [{"value": ["love", "noir"], "user_id": "u1"}, {"value": ["sport"], "user_id": "u2"}],
        "unsure": [{"value": ["war, old"], "user_id": "u2"}],
        "note": [{"value": "odd", "user_id": "u2"}],
    }
    records[1]["responses"] = {"tags": [{"value": [NONE], "user_id": "u1"}]}
    records[2]["responses"] = {"tags": [{"value": ["war, old"], "user_id": "u1", "status": "draft"}]}
    path = saved(tmp_path / "records.json", records)
    assert kind_of_json(path) == "argilla"
    assert answers(read_answers(path, "argilla")) == [
        ("=7", "war, old", "absent", "u1", None, "s"),
        ("=7", "noir", "present", "u1", None, "s"),
        ("=7", "war, old", "unsure", "u2", "odd", "s"),
        ("=7", "noir", "absent", "u2", "odd", "s"),
        ("=7", "sport", "present", "u2", "odd", "s"),
        ("8", "=cmd", "absent", "u1", None, "s"),
        ("9", "war, old", None, None, None, "s"),
    ]


def test_blind_samples_suggest_nothing():
    blind = [Asked(**ROW, tag="noir", is_given=False)]
    assert "predictions" not in label_studio_tasks(blind, ["title"], suggest=False)[0]
    assert argilla_records(blind, ["title"], suggest=False)[0]["suggestions"] == {}
    assert cell_lines(blind, Columns("id", ("title",), has_flags=False))[0] == [
        "sample_id", "id", "title", "given_tags", "tag", "given", "verdict", "note",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "holds no list"),
        ([], "no task or record"),
        (["x"], "item 1 is no object"),
        ([{"text": "flat", "id": 1}], "JSON-MIN"),
        ([{"data": {"id": "1"}}], "item 1 is not as label_studio writes it: KeyError\\('asked'\\)"),
        ([{"fields": {}}], "item 1 is not as argilla writes it: KeyError\\('metadata'\\)"),
    ],
)
def test_other_files_are_refused_with_the_place(tmp_path, content, said):
    path = saved(tmp_path / "x.json", content)
    with pytest.raises(ValueError, match=said):
        read_answers(path, kind_of_json(path))


def test_a_line_per_row_reads_back_as_a_line_per_cell(tmp_path):
    columns = Columns("film", ("title",))
    header, lines = row_lines(CELLS, columns)
    assert len(lines) == 3
    for line, typed in zip(lines, (("y", "?"), ("N", None), (None, None)), strict=True):
        for number, verdict in enumerate(typed, start=1):
            line[header.index(f"verdict_{number}")] = verdict
    lines[2][header.index("verdict_2")] = "y"  # beside no tag: to be refused, not lost
    lines[0][header.index("note")] = "odd"
    table = read_csv(write_csv(str(tmp_path / "rows.csv"), header, lines))
    kept = ("film", "tag", "verdict", "note", WHERE)
    assert [tuple(row[name] for name in kept) for row in table.to_pylist()] == [
        ("=7", "war, old", "y", "odd", "line 2, verdict_1"),
        ("=7", "noir", "?", "odd", "line 2, verdict_2"),
        ("8", "=cmd", "N", None, "line 3, verdict_1"),
        ("9", "war, old", None, None, "line 4, verdict_1"),
        ("9", None, "y", None, "line 4, verdict_2"),
    ]
