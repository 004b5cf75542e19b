"""The Databricks bundle against the documented keys, our command line, and the CLI's schema if it is there.

The JSON Schema of bundles comes with the Databricks CLI (`databricks bundle schema`); no registry has it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml

from spark_ml_audit.cli.program import build_parser
from spark_ml_audit.config import CorrectConfig, PredictConfig, TrendConfig, load_as, load_config
from tests.paths import PROJECT

BUNDLE = yaml.safe_load((PROJECT / "databricks.yml").read_text(encoding="utf-8"))
JOBS: dict[str, dict[str, Any]] = BUNDLE["resources"]["jobs"]
TASKS = [(name, task) for name, job in JOBS.items() for task in job["tasks"]]

# documented keys, as far as a bundle of jobs needs them
KEYS = {
    "bundle": {"name", "artifacts", "include", "resources", "sync", "targets", "variables", "workspace"}
    | {"bundle", "permissions", "run_as", "presets", "experimental", "scripts", "python"},
    "variable": {"default", "description", "type", "lookup"},
    "job": {"name", "description", "max_concurrent_runs", "schedule", "email_notifications", "permissions"}
    | {"parameters", "environments", "job_clusters", "tasks", "tags", "timeout_seconds", "queue", "health"},
    "task": {"task_key", "depends_on", "environment_key", "job_cluster_key", "libraries", "max_retries"}
    | {"run_if", "python_wheel_task", "spark_python_task", "notebook_task", "timeout_seconds"},
    "schedule": {"quartz_cron_expression", "timezone_id", "pause_status"},
    "wheel": {"package_name", "entry_point", "parameters", "named_parameters"},
    "target": {"mode", "default", "workspace", "variables", "run_as", "permissions", "presets", "resources"},
}
CONFIGS = {"correct": CorrectConfig, "predict": PredictConfig, "trend": TrendConfig}


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


def resolved(text: str, job: dict[str, Any]) -> str:
    """A parameter as the job passes it: variables and job parameters put in."""
    defaults = {item["name"]: item["default"] for item in job.get("parameters", [])}
    text = re.sub(r"\{\{job\.parameters\.(\w+)\}\}", lambda match: defaults[match[1]], text)
    return re.sub(r"\$\{var\.(\w+)\}", lambda match: str(BUNDLE["variables"][match[1]]["default"]), text)


def test_keys_are_the_documented_ones() -> None:
    assert set(BUNDLE) <= KEYS["bundle"]
    for variable in BUNDLE["variables"].values():
        assert set(variable) <= KEYS["variable"]
        assert variable["description"]
    for job in JOBS.values():
        assert set(job) <= KEYS["job"]
        assert set(job["schedule"]) == KEYS["schedule"]
        assert job["email_notifications"]["on_failure"]
        assert job["permissions"]
    for _, task in TASKS:
        assert set(task) <= KEYS["task"]
        assert set(task["python_wheel_task"]) <= KEYS["wheel"]
    for target in BUNDLE["targets"].values():
        assert set(target) <= KEYS["target"]
    assert {name: target["mode"] for name, target in BUNDLE["targets"].items()} == {
        "dev": "development",
        "prod": "production",
    }


def test_every_variable_is_declared_and_used() -> None:
    used = {name for text in texts(BUNDLE) for name in re.findall(r"\$\{var\.(\w+)\}", text)}
    assert used == set(BUNDLE["variables"])
    for text in texts(BUNDLE):
        for name in re.findall(r"\$\{([^}]+)\}", text):
            assert name.startswith("var.") or name in ("bundle.name", "bundle.target"), text


def test_tasks_hang_together() -> None:
    for job in JOBS.values():
        known: set[str] = set()
        for task in job["tasks"]:
            assert {item["task_key"] for item in task.get("depends_on", [])} <= known
            known.add(task["task_key"])
            where = {item["environment_key"] for item in job.get("environments", [])}
            where |= {item["job_cluster_key"] for item in job.get("job_clusters", [])}
            assert {task.get("environment_key", task.get("job_cluster_key"))} == where
        assert len(known) == len(job["tasks"])


def test_every_job_is_there_for_both_kinds_of_compute_and_one_is_scheduled() -> None:
    for name in ("audit", "retrain"):
        serverless, classic = JOBS[f"{name}_serverless"], JOBS[f"{name}_classic"]
        wheel_tasks = [[task["python_wheel_task"] for task in job["tasks"]] for job in (serverless, classic)]
        assert wheel_tasks[0] == wheel_tasks[1]
        states = {resolved(job["schedule"]["pause_status"], job) for job in (serverless, classic)}
        assert states == {"PAUSED", "UNPAUSED"}


@pytest.mark.parametrize(("name", "task"), TASKS, ids=[f"{name}-{task['task_key']}" for name, task in TASKS])
def test_the_command_line_accepts_what_a_task_passes(name: str, task: dict[str, Any]) -> None:
    wheel = task["python_wheel_task"]
    assert wheel["entry_point"] in (PROJECT / "pyproject.toml").read_text()
    command, *arguments = [resolved(text, JOBS[name]) for text in wheel["parameters"]]
    options = build_parser().parse_args([command, *arguments])
    if command in ("audit", "check"):
        config = load_config(None, options.overrides)
        assert config.output.path is None
    else:
        load_as(CONFIGS[command], None, options.overrides)
    assert not [text for text in arguments if re.search(r"\.path=", text)], "Unity Catalog names, not paths"


def test_what_to_fill_in_is_marked() -> None:
    text = (PROJECT / "databricks.yml").read_text()
    marked = set(re.findall(r"^  (\w+):\n    description: \"FILL IN", text, re.MULTILINE))
    assert {"source", "schema", "files", "model", "warehouse", "notify", "readers", "node_type"} == marked


@pytest.mark.skipif(shutil.which("databricks") is None, reason="no Databricks CLI")
def test_the_bundle_fits_the_schema_of_the_cli() -> None:
    done = subprocess.run(["databricks", "bundle", "schema"], capture_output=True, text=True, check=True)
    # a reference to a variable fits several alternatives; Python's expressions do not know \p
    schema = json.loads(done.stdout.replace('"oneOf"', '"anyOf"').replace("\\\\p{L}", "a-zA-Z"))
    jsonschema.validate(BUNDLE, without_patterns(schema))


def without_patterns(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: r"\$\{.*\}" if key == "pattern" and isinstance(item, str) else without_patterns(item)
            for key, item in value.items()
        }
    return [without_patterns(item) for item in value] if isinstance(value, list) else value
