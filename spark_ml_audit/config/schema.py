"""JSON Schemas of the configs, for editors that complete and check YAML.

``python -m spark_ml_audit.config.schema conf`` writes one file per command; ``make schema`` does just that.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from spark_ml_audit.config.audit import AuditConfig
from spark_ml_audit.config.base import Section
from spark_ml_audit.config.history import CompareConfig, TrendConfig
from spark_ml_audit.config.predict import PredictConfig
from spark_ml_audit.config.review import CorrectConfig, DecideConfig, ReviewConfig, SampleConfig
from spark_ml_audit.config.serve import ServeConfig
from spark_ml_audit.config.tag import TagConfig

COMMAND_CONFIGS: Mapping[str, type[Section]] = {
    "audit": AuditConfig,
    "compare": CompareConfig,
    "correct": CorrectConfig,
    "decide": DecideConfig,
    "predict": PredictConfig,
    "review": ReviewConfig,
    "sample": SampleConfig,
    "serve": ServeConfig,
    "tag": TagConfig,
    "trend": TrendConfig,
}
"""The config of every command that has one of its own."""

_ATTRIBUTE = re.compile(r"^(\w+): ", re.MULTILINE)


def schema_of(command: str) -> dict[str, Any]:
    """Return the JSON Schema of a command's config file.

    It refuses no file that the command reads: what takes several keys to judge, and what ``--set`` may
    still add, is left to the command.

    Args:
        command: A key of `COMMAND_CONFIGS`.
    """
    found = COMMAND_CONFIGS[command].model_json_schema(by_alias=True, schema_generator=_Generator)
    found.pop("required", None)
    for name, section in found["properties"].items():
        if "$ref" in section:  # a section whose keys are all commented out reads as null
            reference = {"$ref": section.pop("$ref")}
            found["properties"][name] = {"anyOf": [reference, {"type": "null"}], **section}
    title = f"Config of spark-ml-audit {command}"
    return {"$schema": GenerateJsonSchema.schema_dialect, **found, "title": title}


def schema_text(command: str) -> str:
    """Return the JSON Schema of a command's config as the text of its file."""
    return json.dumps(schema_of(command), indent=2, ensure_ascii=False) + "\n"


def write_schemas(folder: Path) -> list[Path]:
    """Write ``<command>.schema.json`` for every command, and return the paths."""
    found = []
    for command in COMMAND_CONFIGS:
        path = folder / f"{command}.schema.json"
        path.write_text(schema_text(command), encoding="utf-8")
        found.append(path)
    return found


class _Generator(GenerateJsonSchema):
    """Describes keys by the `Attributes` of their section's docstring."""

    def model_schema(self, schema: core_schema.ModelSchema) -> dict[str, Any]:
        found = super().model_schema(schema)
        owner = schema["cls"]
        told = _attributes(owner)
        aliases = {field.alias or name: name for name, field in owner.model_fields.items()}
        found["description"] = inspect.getdoc(owner).partition("\n")[0]  # type: ignore[union-attr]
        found.pop("required", None)
        for key, value in found.get("properties", {}).items():
            value.pop("title", None)
            if isinstance(value.get("default"), dict | list):
                del value["default"]  # what the section itself says, key by key
            about = told.get(aliases.get(key, key), "").removeprefix(f"Key ``{key}``: ")
            if about:
                value["description"] = re.sub(r"\bNone\b", "null", about)
        return found


def _attributes(owner: type[BaseModel]) -> dict[str, str]:
    """The texts below `Attributes` in the docstrings of a class and its bases."""
    found: dict[str, str] = {}
    for kind in reversed(owner.__mro__):
        _, _, listed = inspect.cleandoc(kind.__doc__ or "").partition("\nAttributes:\n")
        # an attribute's first line is indented once, those that go on twice
        parts = _ATTRIBUTE.split(re.sub(r"\n +", " ", inspect.cleandoc(listed).replace("\n    ", " ")))
        found.update(
            zip(parts[1::2], (" ".join(text.split()).rstrip(".") for text in parts[2::2]), strict=True)
        )
    return found


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1] if len(sys.argv) > 1 else "conf"))
