"""What the tags mean, from a file or a table with the columns tag and description."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from spark_ml_audit.config.yaml_loader import Loader
from spark_ml_audit.engines.base import rows_of
from spark_ml_audit.engines.columns import field
from spark_ml_audit.errors import InputError, reason_of
from spark_ml_audit.lake.source import read_place

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine

_KEY = "serve.definitions"
_FILES = {".csv", ".json", ".yaml", ".yml"}
_FIX = "Give a CSV, JSON or YAML file, or a Delta table, with the columns tag and description."


def read_definitions(engine: Engine, place: str | None) -> dict[str, str]:
    """Tag -> what it means; empty where no place is given.

    Args:
        engine: Reads a table.
        place: Path of a file, or path or name of a table.

    Raises:
        InputError: It cannot be read, or lacks a column.
    """
    if place is None:
        return {}
    if Path(place).suffix.lower() in _FILES:
        return _of_file(Path(place))
    frame = read_place(engine, place, _KEY)
    schema = engine.schema(frame)
    for name in ("tag", "description"):
        field(schema, name, _KEY)
    return _of_rows(rows_of(engine, frame.select("tag", "description")))


def _of_file(path: Path) -> dict[str, str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".csv":
            found: Any = list(csv.DictReader(text.splitlines()))
        elif path.suffix.lower() == ".json":
            found = json.loads(text)
        else:
            found = yaml.load(text, Loader)  # noqa: S506 - a SafeLoader
    except (OSError, ValueError, yaml.YAMLError, csv.Error) as error:
        raise InputError(f"cannot read '{path}': {reason_of(error)}.", key=_KEY, fix=_FIX) from error
    if isinstance(found, Mapping):
        return {str(tag): str(told) for tag, told in found.items() if told is not None}
    if isinstance(found, list) and all(isinstance(row, Mapping) for row in found):
        return _of_rows(found, str(path))
    raise InputError(f"'{path}' holds neither rows nor a mapping.", key=_KEY, fix=_FIX)


def _of_rows(rows: Iterable[Mapping[str, Any]], place: str = "") -> dict[str, str]:
    """The definitions of rows.

    >>> _of_rows([{"tag": "war", "description": "armed conflict"}, {"tag": "noir", "description": None}])
    {'war': 'armed conflict'}
    """
    found = {}
    for row in rows:
        if not {"tag", "description"} <= row.keys():
            raise InputError(f"'{place}' lacks the column tag or description.", key=_KEY, fix=_FIX)
        if row["tag"] is not None and row["description"]:
            found[str(row["tag"])] = str(row["description"])
    return found
