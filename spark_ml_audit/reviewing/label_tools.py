"""Samples as tasks of Label Studio and records of Argilla, and their answers back.

One task per row. The question `tags` holds the tags that the row has, `unsure` those of which nobody can
say; in samples that are not blind `tags` begins as the audit suggests. Tags that are asked and not chosen are
absent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from spark_ml_audit.config.base import digest
from spark_ml_audit.reviewing.asked import Asked, by_row
from spark_ml_audit.reviewing.spreadsheet import PLACE, WHERE, files_at, text_of

AGENT = "spark-ml-audit"
NONE = "none of these"
"""Label of Argilla's question for a row without any tag: an empty answer cannot be told from none."""

_TAGS, _UNSURE, _NOTE, _TEXT = "tags", "unsure", "note", "text"
_COLUMNS = ("id", "tag", "verdict", "who", "when", "note", "sample_id", "decision_id", WHERE)

Answer = dict[str, str | None]


def label_studio_tasks(
    cells: Sequence[Asked], shown: Sequence[str], *, suggest: bool
) -> list[dict[str, Any]]:
    """Tasks to import into Label Studio.

    Args:
        cells: The sample.
        shown: Names of the columns shown.
        suggest: Whether what the audit suggests is filled in.
    """
    tasks = []
    for row in by_row(cells):
        first = row[0]
        data = {
            "id": first.row_id,
            "sample_id": first.sample_id,
            _TEXT: _text(first, shown),
            "given_tags": list(first.given_tags),
            "given": ", ".join(first.given_tags),
            "asked": [{"value": cell.tag} for cell in row],
        }
        chosen = [cell.tag for cell in row if cell.suggested]
        result = {"from_name": _TAGS, "to_name": _TEXT, "type": "choices", "value": {"choices": chosen}}
        told = [{"model_version": AGENT, "result": [result] if chosen else []}]
        tasks.append({"data": data, **({"predictions": told} if suggest else {})})
    return tasks


def argilla_records(cells: Sequence[Asked], shown: Sequence[str], *, suggest: bool) -> list[dict[str, Any]]:
    """Records as Argilla's `dataset.records.from_json` reads them.

    Args:
        cells: The sample.
        shown: Names of the columns shown.
        suggest: Whether what the audit suggests is filled in.
    """
    records = []
    for row in by_row(cells):
        first, asked = row[0], [cell.tag for cell in row]
        kept = [tag for tag in first.given_tags if tag not in asked]
        value = [*kept, *[cell.tag for cell in row if cell.suggested]] or [NONE]
        told = {_TAGS: {"value": value, "score": None, "agent": AGENT}}
        records.append(
            {
                "id": f"{first.sample_id}:{first.row_id}",
                "fields": {
                    _TEXT: _text(first, shown),
                    "given": ", ".join(first.given_tags) or "-",
                    "asked": ", ".join(asked),
                },
                "metadata": {
                    "row_id": first.row_id,
                    "sample_id": first.sample_id,
                    "asked": asked,
                    "given_tags": list(first.given_tags),
                },
                "suggestions": told if suggest else {},
                "responses": {},
                "vectors": {},
            }
        )
    return records


def kind_of_json(place: str) -> str:
    """label_studio or argilla, by the first object of a file.

    Raises:
        ValueError: It is neither.
        OSError: It cannot be read.
    """
    for _, item in _items(place):
        if "data" in item:
            return "label_studio"
        if "fields" in item:
            return "argilla"
        raise ValueError(
            f"its first object has the keys {', '.join(sorted(map(str, item)))}: neither data, as tasks of "
            "Label Studio (export JSON, not JSON-MIN), nor fields, as records of Argilla"
        )
    raise ValueError("it holds no task or record")


def read_answers(place: str, kind: str) -> pa.Table:
    """What people answered, one line per cell that was asked or added.

    Args:
        place: Path or address of the file, or of a folder of such files.
        kind: label_studio or argilla.

    Raises:
        ValueError: It is no such file; the message names the task.
        OSError: It cannot be read.
    """
    rows: list[Answer] = []
    for where, item in _items(place):
        rows += [{**answer, WHERE: where} for answer in _answers(item, kind, where)]
    columns = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in _COLUMNS}
    return pa.table({**columns, PLACE: pa.array(range(len(rows)), pa.int64())})


def _answers(item: dict[str, Any], kind: str, where: str) -> list[Answer]:
    try:
        return _of_task(item) if kind == "label_studio" else _of_record(item)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{where} is not as {kind} writes it: {error!r}") from None


def verdicts(
    asked: Sequence[str], given: Iterable[str], chosen: Iterable[str], unsure: Iterable[str] = ()
) -> dict[str, str]:
    """What a choice of tags says: of all that were asked, and of tags added without being asked.

    >>> verdicts(["war", "love", "noir"], ["war", "epic"], ["love", "epic", "sport"], unsure=["noir"])
    {'war': 'absent', 'love': 'present', 'noir': 'unsure', 'sport': 'present'}
    """
    has, known = set(chosen), {*asked, *given, NONE}
    said = {tag: "present" if tag in has else "absent" for tag in asked}
    said |= {tag: "present" for tag in chosen if tag not in known}
    return said | {tag: "unsure" for tag in unsure if tag != NONE}


def _of_task(task: dict[str, Any]) -> list[Answer]:
    data = task["data"]
    begin: Answer = {"id": _as_text(data.get("id")), "sample_id": data.get("sample_id")}
    asked = [item["value"] if isinstance(item, dict) else item for item in data["asked"]]
    found: list[Answer] = []
    for one in task.get("annotations") or ():
        if one.get("was_cancelled"):
            continue
        by_name = {item["from_name"]: item["value"] for item in one["result"] if "from_name" in item}
        chosen, unsure = (by_name.get(name, {}).get("choices", []) for name in (_TAGS, _UNSURE))
        said = verdicts(asked, data.get("given_tags", []), chosen, unsure)
        when = one.get("updated_at") or one.get("created_at")
        note = " ".join(by_name.get(_NOTE, {}).get("text", [])) or None
        for tag, verdict in said.items():
            more: Answer = {"who": _person(one.get("completed_by")), "when": when, "note": note}
            if one.get("unique_id"):
                # the same annotation exported again, with others, is known
                known = digest({"of": one["unique_id"], "when": when, "tag": tag, "verdict": verdict})
                more["decision_id"] = f"label-studio-{known[:32]}"
            found.append({**begin, **more, "tag": tag, "verdict": verdict})
    return found or [{**begin, "tag": tag} for tag in asked]


def _of_record(record: dict[str, Any]) -> list[Answer]:
    about, responses = record["metadata"], record.get("responses") or {}
    begin: Answer = {"id": _as_text(about["row_id"]), "sample_id": about.get("sample_id")}
    unsure = {one.get("user_id"): one["value"] for one in responses.get(_UNSURE, ())}
    notes = {one.get("user_id"): one["value"] for one in responses.get(_NOTE, ())}
    chosen = {one.get("user_id"): one["value"] for one in responses.get(_TAGS, ())}
    found: list[Answer] = []
    for who, tags in chosen.items():
        if not tags or _is_no_answer(responses, who):
            continue
        said = verdicts(about["asked"], about.get("given_tags", []), tags, unsure.get(who) or ())
        more: Answer = {"who": who, "note": notes.get(who)}
        found += [{**begin, **more, "tag": tag, "verdict": verdict} for tag, verdict in said.items()]
    return found or [{**begin, "tag": tag} for tag in about["asked"]]


def _is_no_answer(responses: dict[str, Any], who: str | None) -> bool:
    """Whether somebody's response is a draft or discarded, where the file tells."""
    states = {one.get("status") for one in responses.get(_TAGS, ()) if one.get("user_id") == who}
    return bool(states & {"draft", "discarded"})


def _items(place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each object of the files is, and the object."""
    files = files_at(place)
    for name, content in files:
        suffix = f" of {name}" if len(files) > 1 else ""
        items = json.loads(text_of(content))
        if not isinstance(items, list):
            raise ValueError(f"{name} holds no list")
        for number, item in enumerate(items, start=1):
            if not isinstance(item, dict):
                raise ValueError(f"item {number}{suffix} is no object")
            yield f"item {number}{suffix}", item


def _text(cell: Asked, shown: Sequence[str]) -> str:
    """The columns shown as one text; the id where none is."""
    if len(shown) == 1:
        return cell.shown[0] or cell.row_id
    pairs = zip(shown, cell.shown, strict=True)
    return "\n\n".join(f"{name}: {value}" for name, value in pairs if value) or cell.row_id


def _as_text(value: Any) -> str | None:
    return None if value is None else str(value)


def _person(value: Any) -> str | None:
    if isinstance(value, dict):
        return value.get("email") or _person(value.get("id"))
    return None if value is None else f"label-studio-user-{value}"
