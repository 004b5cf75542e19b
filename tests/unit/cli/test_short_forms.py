"""Options that stand for config keys, the source, and the output that commands are not given."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from spark_ml_audit.cli.last_output import NOTE, find_last_output, last_models, note_models, note_output
from spark_ml_audit.config import OutputConfig
from spark_ml_audit.config.option_values import read_value, write_words
from spark_ml_audit.config.schema import schema_of
from spark_ml_audit.config.short_forms import SHORT_FORMS
from tests.command_line import run_here, settings_of

FORMS = [(command, form) for command, forms in SHORT_FORMS.items() for form in forms]
CONFIG_OF = {"check": "audit", "init": "audit"}


def keys_of(command: str) -> set[str]:
    """All dotted keys of a command's config."""
    schema = schema_of(CONFIG_OF.get(command, command))

    def keys(section: Mapping[str, Any], prefix: str) -> set[str]:
        found = set()
        for key, value in section.get("properties", {}).items():
            found.add(f"{prefix}{key}")
            for name in re.findall(r"#/\$defs/(\w+)", json.dumps(value)):
                found |= keys(schema["$defs"][name], f"{prefix}{key}.")
        return found

    return keys(schema, "")


@pytest.mark.parametrize(("command", "form"), FORMS, ids=lambda item: getattr(item, "option", item))
def test_a_short_form_stands_for_a_key_that_its_help_names(command: str, form: Any) -> None:
    assert form.key in keys_of(command)
    said = " ".join(run_here(command, "--help").stdout.split())
    assert f"stands for --set {form.key}=" in said


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        ("--labels", "genres", "genres"),
        ("--labels", "2024", "2024"),
        ("--labels", "no", "no"),
        ("--labels", "sea,old town , wood", ["sea", "old town", "wood"]),
        ("--labels", "[sea, 'old town']", ["sea", "old town"]),
        ("--labels", '"sea,wood"', "sea,wood"),
        ("--labels", "[one]", ["one"]),
        ("--pred-probs", "null", None),
        ("--pred-probs", "[p_1, p_2]", ["p_1", "p_2"]),
        ("--classes", "sea,wood", ["sea", "wood"]),
        ("--classes", "classes.txt", "classes.txt"),
        ("--out", "a,b", "a,b"),
        ("--id", "null", "null"),
    ],
)
def test_what_is_typed_is_read(option: str, text: str, value: object) -> None:
    form = next(form for form in SHORT_FORMS["audit"] if form.option == option)
    assert read_value(form, text) == value


def test_a_file_of_classes_may_have_a_comma_in_its_name() -> None:
    form = next(form for form in SHORT_FORMS["audit"] if form.option == "--classes")
    Path("sea,wood").write_text("sea\nwood\n", encoding="utf-8")
    assert read_value(form, "sea,wood") == "sea,wood"


SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("audit", {"source.labels": ["a"], "source.pred_probs": ["p"], "source.show": ["text", "a,b"]}),
    ("audit", {"source.labels": "a,b", "source.id": "2024", "output.path": "-x"}),
    ("audit", {"source.classes": ["null", "[x", "a b", "it's"], "audit.alpha": 0.5}),
    ("audit", {"source.labels_delimiter": ";", "model": {"kind": "auto"}, "source.pred_probs": None}),
    ("predict", {"source.features": {"text": ["a", "b"]}, "model.name": "x"}),
    ("predict", {"source.features": {"text": ["a"], "numeric": ["b"]}}),
    ("sample", {"sample.size": 30, "sample.csv": "my file.csv", "sample.seed": 1, "engine.kind": "spark"}),
    ("correct", {"correct.accept_above": 0.95, "output.schema": "main.`a b`", "output.prefix": "x_"}),
    ("tag", {"model.uri": "models:/a/1", "source.version": 3}),
]


@pytest.mark.parametrize(("command", "settings"), SETTINGS)
def test_what_is_printed_is_read_as_it_was_meant(command: str, settings: dict[str, Any]) -> None:
    line = shlex.join(["spark-ml-audit", command, *write_words(command, settings)])
    found = settings_of(line)
    for key, value in settings.items():
        section, _, name = key.partition(".")
        known = {k.partition(".")[2]: v for k, v in found.items() if k.startswith(f"{section}.")}
        one = value[0] if isinstance(value, list) and len(value) == 1 and name in ("show", "text") else value
        got = known if not name else known[name]
        if isinstance(one, dict) and "text" in one and len(one["text"]) == 1:
            got = {kind: [names] if isinstance(names, str) else names for kind, names in got.items()}
        assert got == one, line


def settings(*words: str) -> dict[str, object]:
    return settings_of(shlex.join(["spark-ml-audit", *words]))


def test_options_and_the_source_override_a_file_as_set_does() -> None:
    Path("c.yml").write_text(
        "source: {table: main.tags, id: a, features: auto}\noutput: {schema: main.x, prefix: p_, files: f}\n",
        encoding="utf-8",
    )
    found = settings("audit", "tags.parquet", "--config", "c.yml", "--id", "b", "--text", "t", "--out", "o")
    assert found == {
        "source.path": "tags.parquet",
        "source.id": "b",
        "source.features": {"text": "t"},
        "output.files": "f",
        "output.path": "o",
    }
    # the same said twice is no contradiction
    assert settings("audit", "--id", "b", "--set", "source.id=b")["source.id"] == "b"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["audit", "a.csv", "--id", "x", "--set", "source.id=y"],
            "--id: found 'x', but --set source.id gives 'y'.",
        ),
        (
            ["audit", "a.csv", "--set", "source.path=b"],
            "SOURCE: found 'a.csv', but --set source.path gives 'b'.",
        ),
        (
            ["audit", "a.csv", "--set", "source.table=b"],
            "source.table: found 'b', but source.path is given too",
        ),
        (
            ["audit", "a.csv", "--out", "o", "--set", "output.schema=s"],
            "output.schema: found 's', but output.path",
        ),
        (["audit", "a.csv", "--text", "t", "--set", "source.features=auto"], "--text: found 't', but --set"),
        (
            ["predict", "a.csv", "--fit-final", "--set", "model.fit_final=false"],
            "--fit-final: found true, but --set",
        ),
        (
            ["audit", "--engine", "spark", "--set", "engine.kind=embedded", "a.csv"],
            "--engine: found 'spark', but",
        ),
        (["audit", "a.csv", "--labels", "a,,b"], "--labels: found 'a,,b', a list with an empty name."),
        (["audit", "a.csv", "--labels", "[a"], "--labels: found '[a', which is not a list."),
        (["audit", "a.csv", "--labels", ""], "source.labels: found '', which names no column."),
        (["audit", "a.csv", "--classes", "no.txt"], "source.classes: there is no file 'no.txt'."),
        (["audit", ""], "SOURCE: found an empty text."),
        (["audit", "d/a.csv", "d/b.csv"], "spark-ml-audit audit 'd/*.csv'"),
        (["audit", "d/a.csv", "--quiet", "e/b.txt"], "SOURCE: found 2 sources ('d/a.csv', 'e/b.txt')"),
        (["check", "a", "b", "c", "d"], "SOURCE: found 4 sources ('a', 'b', 'c', ...), where one is read."),
        (["sample", "audits/tags"], "unrecognized arguments: audits/tags. sample reads an output"),
        (["runs", "--last", "ten"], "--last: found 'ten', not a number."),
        (["sample", "--size", "true"], "--size: found 'true', not a number."),
        (["sample", "--out", "o", "--size", "0"], "On the command line: --size N."),
        (["decide", "--out", "o"], "decide.file: it is not given."),
        (["audit", "tagz", "--engine", "embedded"], "there is no file or folder 'tagz' here"),
        (["audit", "a.csv", "--text", "t"], "source.features: is given, but nothing is predicted"),
        (["init"], "source.path: no source is given. Name a file, folder or table behind the command"),
        (["init", "a.csv", "--out", "."], "--out: '.' is a folder."),
    ],
)
def test_what_cannot_be_meant_is_refused(words: list[str], said: str) -> None:
    done = run_here(*words, *([] if "--quiet" in words else ["--quiet"]))
    assert done.returncode == 2, done.stdout
    (line,) = done.stderr.splitlines()
    assert said in line
    assert done.stdout == ""


def test_a_name_near_to_a_source_is_suggested() -> None:
    Path("tags.parquet").touch()
    assert "Did you mean 'tags.parquet'?" in run_here("audit", "tags", "--engine", "embedded").stderr


def test_no_command_shows_first_steps_and_exits_2() -> None:
    done = run_here()
    assert done.returncode == 2
    assert done.stdout == ""
    *steps, last = done.stderr.strip().splitlines()
    assert any("spark-ml-audit init" in line for line in steps)
    assert "the following arguments are required: COMMAND" in last


# ---- the output of the last audit ------------------------------------------------------------------


def make_runs(place: str) -> None:
    log = Path(place, "runs", "_delta_log")
    log.mkdir(parents=True)
    (log / "00000000000000000000.json").touch()


def test_the_last_output_is_what_was_noted() -> None:
    assert find_last_output() is None
    make_runs("audits/a")
    make_runs("elsewhere/b")
    note_output(OutputConfig(path="elsewhere/b"), "20260131t180000z-0a1b2c3d")
    found = find_last_output()
    assert found is not None
    assert (found.output, found.run_id) == ({"path": "elsewhere/b"}, "20260131t180000z-0a1b2c3d")
    note_output(OutputConfig(schema="main.audits", prefix="x_", files="f"), "20260131t180000z-0a1b2c3d")
    found = find_last_output()
    assert found is not None
    assert found.output == {"schema": "main.audits", "prefix": "x_", "files": "f"}
    assert [path.name for path in Path().iterdir() if path.name.startswith(".")] == [NOTE]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "5", '{"output": 5}', '{"output": {"path": 5}}', '{"output": {}}', "\x00", "[" * 100_000,
     '{"output": {"path": "gone"}, "run_id": 3}'],
)  # fmt: skip
def test_without_a_note_that_holds_the_newest_output_is_taken(text: str) -> None:
    Path(NOTE).write_text(text, encoding="utf-8")
    assert find_last_output() is None
    for number, name in enumerate(("b", "c", "a")):
        make_runs(f"audits/{name}")
        file = f"audits/{name}/runs/_delta_log/00000000000000000000.json"
        os.utime(file, (1_000_000 + (number != 1), 1_000_000 + 5 * (number == 0)))
    found = find_last_output()
    assert found is not None
    assert (found.output, found.run_id) == ({"path": "audits/b"}, None)


def test_a_folder_that_cannot_be_noted_in_is_left_alone() -> None:
    Path(NOTE).mkdir()
    note_output(OutputConfig(path="a"), "20260131t180000z-0a1b2c3d")
    assert list(Path().iterdir()) == [Path(NOTE)]
    assert find_last_output() is None


def test_on_databricks_nothing_is_noted_or_found(monkeypatch: pytest.MonkeyPatch) -> None:
    make_runs("audits/a")
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "16.4")
    note_output(OutputConfig(path="audits/a"), "20260131t180000z-0a1b2c3d")
    assert not Path(NOTE).exists()
    assert find_last_output() is None
    done = run_here("audit", "main.tags", "--quiet")
    assert "output.path: no output is given." in done.stderr


def test_the_store_of_the_last_model_is_found_while_it_is_there() -> None:
    store = Path("mlflow.db").absolute()
    note_models(f"sqlite:///{store}")
    note_output(OutputConfig(path="a"), "20260131t180000z-0a1b2c3d")
    assert last_models() is None
    store.touch()
    assert last_models() == f"sqlite:///{store}"


def test_commands_after_an_audit_say_that_there_was_none() -> None:
    done = run_here("review", "--quiet")
    assert done.returncode == 2
    assert "output.path: no output is given. Give --out DIR" in done.stderr
