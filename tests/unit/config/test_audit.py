"""Configs: defaults, refusals with key and fix, and what is stored of them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_ml_audit.config import (
    AuditConfig,
    MethodConfig,
    load_config,
    parse_config,
)
from spark_ml_audit.config.fields import show_duration
from spark_ml_audit.errors import ConfigError
from tests.unit.config.refusals import PLACES, check_worded, refused


def test_defaults_are_those_of_the_contract() -> None:
    config = load_config(None, PLACES)
    contract = {
        "source": {
            "path": "data/tags",
            "table": None,
            "format": "auto",
            "version": None,
            "id": "id",
            "labels": "labels",
            "labels_format": "auto",
            "labels_delimiter": ",",
            "pred_probs": "pred_probs",
            "pred_probs_format": "auto",
            "classes": None,
            "features": "auto",
            "group": None,
            "decisions": None,
        },
        "audit": {
            "filter_by": "prune_by_noise_rate",
            "frac_noise": 1.0,
            "min_examples_per_class": 1,
            "num_to_remove_per_class": None,
            "num_to_add_per_class": None,
            "score": "self_confidence",
            "adjust_pred_probs": False,
            "aggregate": "ema",
            "alpha": 0.8,
            "temperature": 0.1,
        },
        "output": {
            "path": "audits/tags",
            "schema": None,
            "prefix": "",
            "files": None,
            "run_id": None,
            "orphan_after": "24h",
        },
        "tracking": {"uri": None, "experiment": "spark-ml-audit"},
        "gate": {"max_issue_fraction": None, "max_quarantined_fraction": 0.0, "min_rows": 0},
    }
    found = config.to_mapping()
    for section, values in contract.items():
        assert {key: found[section][key] for key in values} == values
    # what other keys ask for is left undone unless they are set
    assert found["model"] is None
    assert found["detect"]["outliers"] is None
    assert found["detect"]["duplicates"] is None
    assert config.output.orphan_after == timedelta(hours=24)
    assert config.source.name == "data/tags"


@pytest.mark.parametrize(
    ("override", "key", "said"),
    [
        ("audit.frac_noise=1.5", "audit.frac_noise", "found 1.5, which is not a number from 0 to 1"),
        ("audit.frac_noise=-0.1", "audit.frac_noise", "found -0.1"),
        ("audit.frac_noise='0.5'", "audit.frac_noise", "without quotes"),
        ("audit.frac_noise=true", "audit.frac_noise", "found true"),
        ("audit.frac_noise=null", "audit.frac_noise", "found null"),
        ("audit.frac_noise=.nan", "audit.frac_noise", "found nan"),
        ("audit.alpha=1.01", "audit.alpha", "found 1.01"),
        ("audit.temperature=0", "audit.temperature", "a number above 0"),
        ("audit.temperature=.inf", "audit.temperature", "found inf"),
        ("audit.min_examples_per_class=-1", "audit.min_examples_per_class", "found -1"),
        ("audit.min_examples_per_class=1.0", "audit.min_examples_per_class", "a whole number"),
        ("audit.adjust_pred_probs=1", "audit.adjust_pred_probs", "true or false"),
        ("audit.filter_by=prune_by_noise", "audit.filter_by", "Did you mean prune_by_noise_rate?"),
        ("audit.score=entropy", "audit.score", "Choose one of: self_confidence, normalized_margin"),
        ("audit.aggregate=3", "audit.aggregate", "Choose one of: ema, softmin, mean, min."),
        ("audit.num_to_remove_per_class=5", "audit.num_to_remove_per_class", "not a list of counts"),
        ("audit.num_to_remove_per_class=[1, -1]", "audit.num_to_remove_per_class", "class 1 is -1"),
        ("audit.num_to_add_per_class=[true]", "audit.num_to_add_per_class", "class 0 is true"),
        ("audit.num_to_add_per_class=[]", "audit.num_to_add_per_class", "found []"),
        ("source.format=xlsx", "source.format", "Choose one of: auto, delta, parquet, csv, tsv, jsonl."),
        ("source.path=2024", "source.path", "goes in quotes"),
        ("source.path=''", "source.path", "an empty text"),
        ('source.path="a\\0b"', "source.path", "control character"),
        ("source.version=-1", "source.version", "neither a version number nor a timestamp"),
        ("source.version=true", "source.version", "found true"),
        ("source.version=2024-02-30", "source.version", "found '2024-02-30'"),
        ("source.version=yesterday", "source.version", "found 'yesterday'"),
        ("source.id=[a]", "source.id", "found ['a']"),
        ("source.labels=[]", "source.labels", "names no column"),
        ("source.labels=[a, no]", "source.labels", "entry 2 is false"),
        ("source.labels=[a, a]", "source.labels", "names the column 'a' twice"),
        ("source.pred_probs=null", "source.pred_probs", "names no column"),
        ("source.labels_format=name", "source.labels_format", "Did you mean names?"),
        ("source.labels_delimiter=''", "source.labels_delimiter", "found ''"),
        ("source.classes=5", "source.classes", "neither a list of tag names nor"),
        ("source.classes=[]", "source.classes", "names no class"),
        ("source.classes=[yes, b]", "source.classes", "entry 1 is true"),
        ("source.classes=[a, 1e3]", "source.classes", "entry 2 is 1000.0"),
        ("source.classes=[a, '  ']", "source.classes", "entry 2 is empty"),
        ("source.classes=[a, b, a]", "source.classes", "the tag 'a' is given twice"),
        ("source.classes=no/such.txt", "source.classes", "there is no file 'no/such.txt'"),
        ("source.classes=.", "source.classes", "cannot be read"),
        ("output.prefix=x_", "output.prefix", "folders below output.path"),
        ("output.run_id=abc", "output.run_id", "not the id of a run"),
        ('output.run_id="20260131t180000z-0a1b2c3d\\n"', "output.run_id", "not the id of a run"),
        ("output.run_id=20261331t180000z-0a1b2c3d", "output.run_id", "not the id of a run"),
        ("output.run_id=20260131T180000Z-0A1B2C3D", "output.run_id", "not the id of a run"),
        ("output.orphan_after=24", "output.orphan_after", "found 24, not a duration"),
        ("output.orphan_after=1y", "output.orphan_after", "such as 24h, 30m or 7d"),
        ("output.orphan_after=99999999w", "output.orphan_after", "100 years at most"),
        ("output.files=s3://bucket/reports", "output.files", "not a local path"),
        ("output.files=dbfs:/reports", "output.files", "/Volumes/"),
        ("tracking.uri=5000", "tracking.uri", "found 5000"),
        ("tracking.experiment=null", "tracking.experiment", "found null"),
        ("gate.min_rows=-1", "gate.min_rows", "found -1"),
        ("gate.max_issue_fraction=2", "gate.max_issue_fraction", "a number from 0 to 1, or null"),
        ("gate.max_issue_fraction={limit: 2}", "gate.max_issue_fraction.limit", "a number from 0 to 1"),
        (
            "gate.max_issue_fraction={limit: 0, severity: wran}",
            "gate.max_issue_fraction.severity",
            "mean warn",
        ),
        ("gate.max_issue_fraction={severity: warn}", "gate.max_issue_fraction.limit", "from 0 to 1"),
        ("gate.max_class_noise={limt: 1}", "gate.max_class_noise.0.limt", "mean limit"),
        ("gate.max_class_noise=[0.1, x]", "gate.max_class_noise", "found 'x'"),
        ("gate.max_class_noise={limit: 1, classes: [1]}", "gate.max_class_noise.0.classes", "in quotes"),
        ("gate.max_class_noise={limit: 1, classes: [a, a]}", "gate.max_class_noise.0.classes", "twice"),
        ("gate.min_lift=true", "gate.min_lift", "found true"),
        ("gate.min_lift=1e400", "gate.min_lift", "a number from 0"),
    ],
)
def test_refused_value_names_key_value_and_fix(override: str, key: str, said: str) -> None:
    error = refused(AuditConfig, override)
    assert error.key == key
    assert said in str(error)


@pytest.mark.parametrize(
    ("override", "key", "said"),
    [
        ("source.lables=x", "source.lables", "Did you mean labels?"),
        ("audit.filterby=both", "audit.filterby", "Did you mean filter_by? Keys of audit: filter_by,"),
        (
            "souce.path=x",
            "souce",
            "Did you mean source? Sections: source, audit, output, tracking, engine, gate,",
        ),
        ("filter_by=both", "filter_by", "Did you mean audit.filter_by?"),
        ("output.zzz=1", "output.zzz", "Keys of output: path, schema, prefix, files, run_id, orphan_after."),
        ("audit={1: 2}", "audit.1", "Keys of audit: filter_by,"),
        ("output.schema_name=a.b", "output.schema_name", "Did you mean schema?"),
    ],
)
def test_unknown_key_suggests_the_near_one_and_lists_the_allowed(override: str, key: str, said: str) -> None:
    error = refused(AuditConfig, override)
    assert error.key == key
    assert "unknown key" in error.message
    assert said in error.fix


def test_unknown_key_is_reported_before_what_follows_from_it() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({"source": {"pth": "data"}, "output": {"path": "out"}})
    assert caught.value.key == "source.pth"
    assert "Did you mean path?" in caught.value.fix


@pytest.mark.parametrize("section", ["source", "audit", "output", "tracking", "gate"])
def test_section_that_is_no_mapping_is_refused(section: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, [f"{section}=text"])
    assert caught.value.key in (section, "source.path", "output.path")
    if section == "source":
        assert "found 'text', where a mapping of keys is needed" in caught.value.message


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["audit.num_to_remove_per_class=[1]", "audit.filter_by=both"], "audit.num_to_remove_per_class"),
        (
            ["audit.num_to_add_per_class=[1]", "audit.filter_by=confident_learning"],
            "audit.num_to_add_per_class",
        ),
        (
            ["audit.adjust_pred_probs=true", "audit.score=confidence_weighted_entropy"],
            "audit.adjust_pred_probs",
        ),
        (["audit.num_to_remove_per_class=[1]", "source.classes=[a, b]"], "audit.num_to_remove_per_class"),
        (["source.labels=[a, b]", "source.pred_probs=[p, q, r]"], "source.pred_probs"),
        (["source.labels=[a, b]", "source.classes=[x]"], "source.labels"),
        (["source.labels=[a, b]", "source.labels_format=names"], "source.labels_format"),
        (["source.pred_probs=[a, b]", "source.pred_probs_format=map"], "source.pred_probs_format"),
        (["source.labels_format=columns"], "source.labels_format"),
        (["source.labels=ID"], "source.labels"),
        (["source.pred_probs=labels"], "source.pred_probs"),
        (["source.labels=[a, b]", "source.pred_probs=[b, c]"], "source.pred_probs"),
        (["source.format=parquet", "source.version=3"], "source.version"),
        (["output.path=null", "output.schema=a.b", "output.prefix=a-b"], "output.prefix"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(overrides: list[str], key: str) -> None:
    assert refused(AuditConfig, *overrides).key == key


@pytest.mark.parametrize(
    ("text", "value", "shown"),
    [
        ("24h", timedelta(hours=24), "24h"),
        ("1d", timedelta(days=1), "24h"),
        ("7d", timedelta(days=7), "7d"),
        ("2w", timedelta(days=14), "14d"),
        ("90 m", timedelta(minutes=90), "90m"),
        ("0s", timedelta(0), "0s"),
        ("61s", timedelta(seconds=61), "61s"),
    ],
)
def test_durations_read_and_shown(text: str, value: timedelta, shown: str) -> None:
    found = load_config(None, [*PLACES, f"output.orphan_after={text}"]).output.orphan_after
    assert found == value
    assert show_duration(found) == shown


def test_python_arguments_build_the_same_method() -> None:
    assert MethodConfig.from_arguments() == load_config(None, PLACES).audit
    method = MethodConfig.from_arguments(
        alpha=np.float32(0.5), num_to_remove_per_class=np.array([1, 2]), min_examples_per_class=np.int64(3)
    )
    assert (method.alpha, method.num_to_remove_per_class, method.min_examples_per_class) == (0.5, (1, 2), 3)
    with pytest.raises(ConfigError) as caught:
        MethodConfig.from_arguments(alpha=2)
    assert caught.value.key == "audit.alpha"
    with pytest.raises(ConfigError) as caught:
        MethodConfig.from_arguments(filter="both")
    assert caught.value.key == "audit.filter"


def test_secrets_are_not_stored() -> None:
    config = load_config(
        None,
        [
            "source.path=abfss://container@account.dfs.core.windows.net/t",
            "output.path=s3://bucket/a?X-Amz-Security-Token=abc123&b=1",
            "tracking.uri=postgresql://user:p/a@ss@host:5432/db?password=hunter2",
        ],
    )
    for text in (config.to_json(), json.dumps(config.flat())):
        for secret in ("p/a@ss", "hunter2", "abc123"):
            assert secret not in text
        assert "abfss://container@account.dfs.core.windows.net/t" in text
        assert "user:***@host:5432/db" in text
    assert config.tracking.uri is not None
    assert "hunter2" in config.tracking.uri


def test_flat_config_fits_tracking_parameters() -> None:
    tags = [f"tag {number}" for number in range(1000)]
    config = parse_config({"source": {"path": "a", "classes": tags}, "output": {"path": "o"}})
    flat = config.flat()
    assert all(isinstance(value, str) and len(value) <= 500 for value in flat.values())
    assert flat["audit.alpha"] == "0.8"
    assert flat["audit.adjust_pred_probs"] == "false"
    assert flat["source.version"] == "null"
    assert "sha256" in flat["source.classes"]
    assert json.loads(config.to_json())["source"]["classes"] == tags


def test_fingerprint_depends_on_what_decides_the_result_only() -> None:
    first = load_config(None, PLACES).fingerprint()
    same = ["tracking.experiment=x", "output.run_id=20260131t180000z-0a1b2c3d", "audit.alpha=0.8"]
    assert load_config(None, [*PLACES, *same]).fingerprint() == first
    others = ["audit.alpha=null", "gate.min_rows=1", "source.version=1", "gate.max_quarantined_fraction=null"]
    found = {load_config(None, [*PLACES, other]).fingerprint() for other in others}
    assert len(found | {first}) == len(others) + 1


def test_limits_read_back_as_they_were_written() -> None:
    long = {"limit": 0.2, "severity": "warn", "kind": "missing", "classes": ["a"]}
    written = {"max_issue_fraction": 0.1, "min_rows": {"limit": 5, "severity": "warn"}}
    written |= {
        "max_class_noise": [0.1, long],
        "max_class_noise_increase": {"limit": 0.3, "kind": "extraneous"},
    }
    values = {"source": {"path": "a"}, "output": {"path": "o"}, "gate": written}
    config = parse_config(values)
    assert {name: config.to_mapping()["gate"][name] for name in written} == written
    assert parse_config({**values, "gate": config.to_mapping()["gate"]}) == config
    assert config.gate.max_class_noise[1].classes == ("a",)
    # the number alone and the mapping with it alone are one config
    same = parse_config({**values, "gate": {**written, "max_issue_fraction": {"limit": 0.1}}})
    assert same.fingerprint() == config.fingerprint()


def test_config_cannot_be_changed() -> None:
    config = load_config(None, PLACES)
    with pytest.raises(Exception, match="frozen"):
        config.audit.alpha = 0.1


KEYS = st.sampled_from(
    [
        *("source", "audit", "output", "tracking", "gate", "path", "table", "schema", "version", "classes"),
        *("labels", "pred_probs", "labels_format", "id", "alpha", "filter_by", "num_to_add_per_class"),
        *("orphan_after", "run_id", "files", "uri", "min_rows", "frac_noise", "prefix"),
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**300)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["both", "columns", "24h", "\ud800", "a\0", "2024-01-01", "names"])
    | st.dates()
    | st.datetimes()
    | st.binary(max_size=4)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | SCALARS, inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(KEYS | SCALARS, VALUES, max_size=4)
    | st.fixed_dictionaries(
        {
            "source": st.fixed_dictionaries({"path": st.just("a")}, optional={"x": VALUES}).flatmap(
                lambda section: st.dictionaries(KEYS, VALUES, max_size=3).map(
                    lambda more: {**section, **more}
                )
            ),
            "output": st.dictionaries(KEYS, VALUES, max_size=3).map(lambda more: {"path": "o", **more}),
            "audit": st.dictionaries(KEYS, VALUES, max_size=3),
        }
    )
)
def test_any_data_is_a_config_or_a_config_error(values: dict[Any, Any]) -> None:
    try:
        config = parse_config(values)
    except ConfigError as error:
        check_worded(error)
    else:
        json.dumps(config.to_mapping(), allow_nan=False).encode()
        config.to_json().encode()
        assert len(config.fingerprint()) == 64
        assert parse_config(config.to_mapping()).fingerprint() == config.fingerprint()
