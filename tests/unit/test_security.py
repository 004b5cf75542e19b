"""Hostile names, ids, configs and addresses are data: nothing runs, nothing is reached, no secret shows."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spark_ml_audit.cli import main
from spark_ml_audit.config import AuditConfig, PredictConfig, TagConfig, load_as, load_config, parse_as
from spark_ml_audit.config.base import Section
from spark_ml_audit.config.paths import split_identifier
from spark_ml_audit.config.schema import COMMAND_CONFIGS
from spark_ml_audit.engines.columns import quote
from spark_ml_audit.errors import ConfigError, InputError
from spark_ml_audit.lake.places import Place
from spark_ml_audit.outcomes.runs import new_run_id
from spark_ml_audit.tracking import SourceRef
from spark_ml_audit.tracking.payload import clean_params, clean_tags, dataset_fields, identity_tags
from tests.unit.config.refusals import PLACES, check_worded

IDENTIFIER = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
SECRET = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=12, max_size=20).map(lambda s: f"5eCr{s}")


@given(st.lists(IDENTIFIER, min_size=1, max_size=3))
def test_a_quoted_name_is_read_back_as_its_parts_and_nothing_else(parts: list[str]) -> None:
    name = ".".join(quote(part) for part in parts)
    assert split_identifier(name) == tuple(parts)
    assert Place(name, is_path=False).table_name == name
    # within the quotes every backtick is doubled: none ends the name early
    assert all("`" not in quote(part)[1:-1].replace("``", "") for part in parts)


@pytest.mark.parametrize(
    "name", ["t; DROP TABLE x", "t WHERE 1=1", "a`; --", "t VERSION AS OF 0", "a..b", ""]
)
def test_a_table_name_holds_no_statement(name: str) -> None:
    with pytest.raises(ConfigError):
        load_config(None, [f"source.table={json.dumps(name)}", "output.path=o"])
    try:
        quoted = Place(name, is_path=False).table_name
    except InputError:
        return
    assert quoted == "`" + name.replace("`", "``") + "`"


RUN_ID = "20260131t180000z-0a1b2c3d"


@given(
    st.text(max_size=30)
    | st.tuples(st.text(max_size=6), st.text(max_size=6)).map(lambda ends: ends[0] + RUN_ID + ends[1])
    | st.tuples(st.integers(0, len(RUN_ID) - 1), st.characters(exclude_categories=("Cs",))).map(
        lambda change: RUN_ID[: change[0]] + change[1] + RUN_ID[change[0] + 1 :]
    )
)
def test_a_run_id_is_digits_letters_and_a_hyphen_or_refused(text: str) -> None:
    """It reaches SQL, file names and MLflow's filters."""
    try:
        found = load_config(None, [*PLACES, f"output.run_id={json.dumps(text)}"]).output.run_id
    except ConfigError:
        assert text != RUN_ID
    else:
        assert found == text
        assert set(text) <= set("0123456789abcdeftz-")
        assert len(text) == len(RUN_ID)


def test_run_ids_have_the_order_in_which_runs_began() -> None:
    began = [datetime(2026, 1, 31, 18, 0, 0, place, tzinfo=timezone.utc) for place in (0, 1, 15, 16, 999_999)]
    found = [new_run_id(time) for time in began]
    assert found == sorted(found)
    assert len({new_run_id(began[0]) for _ in range(50)}) > 40


def test_a_new_run_id_is_one_that_a_retry_may_give() -> None:
    run_id = new_run_id()
    assert load_config(None, [*PLACES, f"output.run_id={run_id}"]).output.run_id == run_id


@pytest.mark.parametrize("config", [AuditConfig, PredictConfig, TagConfig])
@pytest.mark.parametrize(
    "attack",
    [
        "!!python/object/apply:pathlib.Path.touch [{here}]",
        "!!python/object/new:os.system ['touch {here}']",
        "!!python/name:os.system",
        "!!python/module:subprocess",
        "!<tag:yaml.org,2002:python/object/apply:os.system> ['touch {here}']",
        "&a [*a]",
    ],
)
def test_a_config_runs_nothing(config: type[AuditConfig], attack: str, tmp_path: Path) -> None:
    here = tmp_path / "touched"
    text = attack.format(here=here)
    file = tmp_path / "config.yaml"
    file.write_text(f"source:\n  path: {text}\noutput: {{path: o}}\n")
    for path, overrides in ((str(file), []), (None, [f"source.path={text}"])):
        with pytest.raises(ConfigError):
            load_as(config, path, overrides)
    assert not here.exists()


@pytest.mark.parametrize("prefix", ["../", "a/b", "x;y", "a.b", "..", "a`b", "a b", "x" * 101])
def test_a_prefix_leaves_no_schema(prefix: str) -> None:
    with pytest.raises(ConfigError):
        load_config(None, ["source.path=a", "output.schema=main.s", f"output.prefix={json.dumps(prefix)}"])


ADDRESSES = (
    "https://{secret}@host/a",
    "https://user:{secret}@host:5000/a",
    "postgresql+psycopg2://user:{secret}@host/db",
    "https://host/a?token={secret}&x=1",
    "s3a://KEY:{secret}@bucket/tags",
    "abfss://c@account.dfs.core.windows.net/t?sig={secret}",
    "jdbc:sqlserver://host;user=me;password={secret}",
)


@pytest.mark.parametrize("address", ADDRESSES)
@settings(deadline=None, max_examples=20)
@given(secret=SECRET)
def test_no_secret_of_an_address_is_stored_or_shown(address: str, secret: str) -> None:
    text = address.format(secret=secret)
    config = load_config(
        None,
        [f"source.path={json.dumps(text)}", "output.path=o", f"tracking.uri={json.dumps(text)}"],
    )
    source = SourceRef(text, True, "3")
    shown = [
        config.to_json(),
        json.dumps(config.flat()),
        json.dumps(clean_params(config.flat())),
        json.dumps(clean_tags({"a": text})),
        json.dumps(identity_tags(RUN_ID, "0", source)),
        json.dumps(dataset_fields(source)),
    ]
    assert not [found for found in shown if secret in found]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config", "https://user:{secret}@host/c.yaml"],
        [
            "--set",
            "source.path=https://user:{secret}@host/t",
            "--set",
            "source.table=https://{secret}@host/t",
        ],
        ["--set", "tracking.uri=[https://user:{secret}@host]"],
        ["--set", "output.files=https://user:{secret}@host/t"],
        ["--set", "source.path=x", "--set", "output.path=[1", "--debug", "--set", "x=https://u:{secret}@h"],
    ],
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_no_secret_is_in_an_error(
    arguments: list[str], form: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", *form, *(part.format(secret="5eCretPass") for part in arguments)]) == 2
    said = capsys.readouterr()
    assert "5eCretPass" not in said.out + said.err
    assert said.err


KEYS = st.sampled_from(
    ["source", "model", "output", "stream", "tracking", "path", "features", "uri", "text", "kind"]
)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.just("auto")
NESTED = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("config", COMMAND_CONFIGS.values(), ids=list(COMMAND_CONFIGS))
@settings(deadline=None, max_examples=60)
@given(values=st.dictionaries(KEYS, NESTED, max_size=5))
def test_any_data_is_a_config_of_the_command_or_a_config_error(
    config: type[Section], values: dict[str, object]
) -> None:
    try:
        found = parse_as(config, values)
    except ConfigError as error:
        check_worded(error)
    else:
        assert parse_as(config, found.to_mapping()) == found


@pytest.mark.parametrize("config", COMMAND_CONFIGS.values(), ids=list(COMMAND_CONFIGS))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=40)
    | st.text("{}[]:,&*!|>-#'\"%@` \n\tab0", max_size=40).map(str.encode)
    | st.text(max_size=30).map(lambda text: f"source: {{path: {text}}}\n".encode("utf-8", "surrogatepass"))
)
def test_any_file_is_a_config_or_a_config_error(
    config: type[Section], content: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(content)
    try:
        load_as(config, str(file), ["output.path=o"])
    except ConfigError as error:
        check_worded(error)
