"""JSON Schemas of the configs: they join, stay fresh, help editors, and refuse nothing that is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from spark_ml_audit.cli.commands import COMMANDS
from spark_ml_audit.config import load_as
from spark_ml_audit.config.schema import COMMAND_CONFIGS, schema_of, schema_text
from spark_ml_audit.errors import ConfigError
from tests.paths import CONF

PLACES = {"source": {"path": "in"}, "output": {"path": "out"}}


def errors_of(command: str, config: object) -> list[str]:
    return [error.message for error in Draft202012Validator(schema_of(command)).iter_errors(config)]


def test_every_command_has_a_schema_and_an_example() -> None:
    # check reads the config of audit, init writes one; demo and doctor read sections of any
    sharing = {"check", "demo", "doctor", "init"}
    assert {command.name for command in COMMANDS} - sharing == set(COMMAND_CONFIGS), (
        "add the command's config to COMMAND_CONFIGS in spark_ml_audit/config/schema.py and run `make schema`"
    )


@pytest.mark.parametrize("command", COMMAND_CONFIGS)
def test_the_file_is_what_the_code_says(command: str) -> None:
    path = CONF / f"{command}.schema.json"
    assert path.read_text(encoding="utf-8") == schema_text(command), "run `make schema`"
    Draft202012Validator.check_schema(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("command", COMMAND_CONFIGS)
def test_the_example_names_its_schema_and_keeps_to_it(command: str) -> None:
    text = (CONF / f"{command}.example.yml").read_text(encoding="utf-8")
    assert text.splitlines()[0] == f"# yaml-language-server: $schema={command}.schema.json"
    assert errors_of(command, yaml.safe_load(text)) == []


@pytest.mark.parametrize("command", COMMAND_CONFIGS)
def test_every_key_is_explained(command: str) -> None:
    schema = schema_of(command)
    sections = [schema, *schema["$defs"].values()]
    unexplained = [
        f"{section['title']}.{key}"
        for section in sections
        for key, value in section["properties"].items()
        if not value.get("description")
    ]
    assert unexplained == []
    assert all(section["additionalProperties"] is False for section in sections)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"sorce": {}}, "'sorce' was unexpected"),
        ({"source": {"path": "a", "lables": "x"}}, "not valid under any"),
        ({"audit": {"filter_by": "prune"}}, "not valid under any"),
        ({"audit": {"alpha": 1.5}}, "not valid under any"),
        ({"output": {"orphan_after": "soon"}}, "not valid under any"),
    ],
)
def test_what_is_never_right_is_marked(config: dict[str, Any], said: str) -> None:
    (error,) = errors_of("audit", config)
    assert said in error


ACCEPTED: list[tuple[str, dict[str, Any]]] = [
    ("audit", {}),
    ("audit", {"gate": None, "model": None}),
    ("audit", {"source": {"labels": ["a", "b"], "pred_probs": ["p", "q"], "classes": ["x", "y"]}}),
    ("audit", {"source": {"version": 3}, "output": {"orphan_after": "7d"}}),
    ("audit", {"source": {"version": "2026-01-31 18:00:00"}, "audit": {"alpha": None}}),
    ("audit", {"source": {"pred_probs": None, "features": "auto"}, "model": {"kind": "auto"}}),
    ("audit", {"source": {"pred_probs": None, "features": {"text": "t", "date": ["d"]}}, "model": {}}),
    ("audit", {"audit": {"num_to_remove_per_class": [1, 2], "frac_noise": 1}}),
    ("audit", {"detect": {"outliers": True, "duplicates": {"text": "body"}}}),
    ("audit", {"detect": {"outliers": {"features": {"embedding": "v"}}, "duplicates": {"embedding": "v"}}}),
    ("audit", {"detect": {"outliers": {"features": "pred_probs"}, "duplicates": None}}),
    ("audit", {"gate": {"max_class_noise": [0.1, {"limit": 0.2, "kind": "missing"}], "min_rows": 5}}),
    ("audit", {"gate": {"max_class_noise": 0.1, "max_issue_fraction": {"limit": 0.2, "severity": "warn"}}}),
    ("predict", {"source": {"features": {"numeric": None, "embedding": "v"}}, "model": {"folds": 3}}),
    ("tag", {"model": {"uri": "models:/m/1"}, "source": {"stream": True}}),
]


@pytest.mark.parametrize(("command", "config"), ACCEPTED)
def test_what_the_command_reads_keeps_to_the_schema(
    command: str, config: dict[str, Any], tmp_path: Path
) -> None:
    assert errors_of(command, config) == []
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    overrides = [
        f"{section}.{key}={value}" for section, keys in PLACES.items() for key, value in keys.items()
    ]
    found = load_as(COMMAND_CONFIGS[command], str(path), overrides)
    # and what the tables keep of a config is a config again
    assert errors_of(command, found.to_mapping()) == []


def test_a_class_file_may_stand_for_the_list(tmp_path: Path) -> None:
    (tmp_path / "tags.txt").write_text("a\nb\n")
    config = {"source": {"classes": str(tmp_path / "tags.txt")}}
    assert errors_of("audit", config) == []
    with pytest.raises(ConfigError):
        load_as(COMMAND_CONFIGS["audit"], None, ["source.classes=5"])
    assert errors_of("audit", {"source": {"classes": 5}})
