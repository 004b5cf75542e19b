"""Configs of `predict` and `tag`, and of an audit that predicts first."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from spark_ml_audit.config import (
    AuditConfig,
    ColumnsConfig,
    FeaturesConfig,
    ModelConfig,
    PredictConfig,
    SourceConfig,
    TagConfig,
    load_as,
    parse_as,
)
from spark_ml_audit.config.base import Section
from spark_ml_audit.errors import ConfigError
from tests.paths import CONF
from tests.unit.config.refusals import PLACES, refused

WITHOUT_PROBS = ("source.pred_probs=null", "model.kind=auto")
PREDICTING = (*PLACES, *WITHOUT_PROBS)


def test_defaults_are_those_of_the_contract() -> None:
    config = load_as(PredictConfig, None, PLACES)
    assert list(config.to_mapping()) == ["source", "model", "tag", "output", "tracking", "engine"]
    assert config.to_mapping()["source"] == {
        "path": "data/tags",
        "table": None,
        "format": "auto",
        "version": None,
        "row_numbers": False,
        "id": "id",
        "labels": "labels",
        "labels_format": "auto",
        "labels_delimiter": ",",
        "empty_labels": "no_tags",
        "classes": None,
        "features": "auto",
        "group": None,
        "annotator": [],
    }
    assert config.to_mapping()["tag"] == {"min_precision": 0.5}
    assert config.to_mapping()["model"] == {
        "kind": "auto",
        "folds": 5,
        "seed": 0,
        "max_train_rows": 200_000,
        "fit_final": False,
        "final_labels": "given",
        "name": None,
        "uri": None,
        "allow_pickle": False,
        "encoder": None,
        "encoder_level": "frozen",
    }


@pytest.mark.parametrize(("command", "config"), [("predict", PredictConfig), ("tag", TagConfig)])
def test_example_lists_every_key_with_its_default(command: str, config: type[Section]) -> None:
    path = CONF / f"{command}.example.yml"
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    loaded = load_as(config, str(path)).to_mapping()
    for section, keys in loaded.items():
        left_out = {"table", "schema", "prefix"}  # the other way to give a place
        assert set(written[section]) == set(keys) - left_out
    given: dict[str, Any] = {"source": {"path": "x"}, "output": {"path": "x"}, "model": {"uri": "x"}}
    defaults = parse_as(config, given if config is TagConfig else {**given, "model": {}}).to_mapping()
    for section, keys in loaded.items():
        for key, value in keys.items():
            if (section, key) not in (("source", "path"), ("output", "path"), ("model", "uri")):
                assert value == defaults[section][key], f"{section}.{key}"


def test_features_by_kind_are_tuples_of_columns() -> None:
    config = load_as(
        PredictConfig, None, [*PLACES, "source.features={text: [title, body], numeric: year, date: []}"]
    )
    features = config.source.features
    assert isinstance(features, FeaturesConfig)
    assert features.by_kind == {
        "text": ("title", "body"),
        "numeric": ("year",),
        "categorical": (),
        "boolean": (),
        "date": (),
        "embedding": (),
    }
    shown = config.to_mapping()
    assert shown["source"]["features"] == {"text": ["title", "body"], "numeric": ["year"]}
    assert parse_as(PredictConfig, json.loads(config.to_json())) == config
    assert config.flat()["source.features.text"] == '["title", "body"]'
    assert load_as(PredictConfig, None, [*PLACES, "source.features=auto"]).source.features is None


@pytest.mark.parametrize(
    ("override", "key", "said"),
    [
        ("source.features=title", "source.features", "neither auto nor a mapping"),
        ("source.features=[title]", "source.features", "such as {text: [title, body]}"),
        ("source.features={}", "source.features", "nothing to learn from"),
        ("source.features={text: []}", "source.features", "nothing to learn from"),
        (
            "source.features={txt: a}",
            "source.features.txt",
            "Did you mean text? Keys of source.features: text,",
        ),
        ("source.features={text: 3}", "source.features.text", "names no column"),
        ("source.features={text: [a, no]}", "source.features.text", "entry 2 is false"),
        (
            "source.features={text: [a], numeric: [b, A]}",
            "source.features.numeric",
            "source.features.text names",
        ),
        ("source.features={text: labels}", "source.features.text", "holds the given tags"),
        ("source.features={numeric: ID}", "source.features.numeric", "which source.id names too"),
        ("source.features={numeric: fold}", "source.features.numeric", "a column that predict writes"),
        ("source.group=labels", "source.group", "holds the given tags"),
        ("source.group=Fold", "source.group", "a column that predict writes"),
        ("source.group=7", "source.group", "goes in quotes"),
        ("source.id=fold", "source.id", "a column that predict writes"),
        ("source.labels=pred_probs", "source.labels", "a column that predict writes"),
        ("source.labels=id", "source.labels", "source.id names too"),
        ("source.pred_probs=p", "source.pred_probs", "unknown key"),
        ("model.kind=jiont", "model.kind", "Did you mean joint?"),
        ("model.kind=a b.c", "model.kind", "neither a built-in model nor an import path"),
        ("model.kind=null", "model.kind", "found null"),
        ("model.folds=1", "model.folds", "a whole number from 2 to 20"),
        ("model.folds=21", "model.folds", "found 21"),
        ("model.folds=5.0", "model.folds", "found 5.0"),
        ("model.seed=-1", "model.seed", "found -1"),
        ("model.seed=4294967296", "model.seed", "2**32 - 1"),
        ("model.max_train_rows=0", "model.max_train_rows", "1 or more"),
        ("tag.min_precision=null", "tag.min_precision", "a number from 0 to 1"),
        ("tag.min_precision=-0.1", "tag.min_precision", "a number from 0 to 1"),
        ("model.fit_final=1", "model.fit_final", "true or false"),
        ("model.name=a/b", "model.name", "registry refuses it"),
        ("model.name=''", "model.name", "an empty text"),
        ("model.fold=3", "model.fold", "Did you mean folds?"),
        ("model.final_labels=mine", "model.final_labels", "corrected"),
        ("model.final_labels=corrected", "model.final_labels", "--fit-final"),
        ("model={uri: m, fit_final: true}", "model.fit_final", "--fit-final"),
        ("model={uri: m, kind: linear}", "model.kind", "Give one of the two"),
        ("folds=3", "folds", "Did you mean model.folds?"),
        ("gate.min_rows=3", "gate", "unknown key"),
    ],
)
def test_refused_value_of_predict_names_key_value_and_fix(override: str, key: str, said: str) -> None:
    error = refused(PredictConfig, override)
    assert error.key == key
    assert said in str(error)


def test_group_is_no_feature() -> None:
    error = refused(PredictConfig, "source.group=author", "source.features={categorical: author}")
    assert error.key == "source.features.categorical"


def test_models_are_built_in_or_import_paths() -> None:
    for kind in ("joint", "linear", "tabular", "prior", "sklearn.ensemble.RandomForestClassifier"):
        assert ModelConfig.parse({"kind": kind}).kind == kind


def test_columns_of_what_predict_writes_can_be_examined() -> None:
    config = load_as(PredictConfig, None, [*PLACES, "source.id=key", "source.classes=[a, b]"])
    assert config.source.columns() == ColumnsConfig.from_arguments(id="key", classes=["a", "b"])
    one_per_tag = load_as(AuditConfig, None, [*PREDICTING, "source.labels=[a, b]"])
    columns = one_per_tag.source.columns("predicted")
    assert (columns.labels, columns.pred_probs) == (("a", "b"), "predicted")


def test_audit_without_probabilities_needs_a_model() -> None:
    config = load_as(AuditConfig, None, [*PREDICTING, "source.features={text: body}", "model.folds=3"])
    assert config.source.needs_predictions
    assert config.model == ModelConfig(folds=3)
    assert config.to_mapping()["source"]["pred_probs"] is None
    assert parse_as(AuditConfig, json.loads(config.to_json())) == config
    assert "model: {kind: auto}" in refused(AuditConfig, *WITHOUT_PROBS, "model=null").fix
    plain = load_as(AuditConfig, None, PLACES)
    assert (plain.model, plain.source.needs_predictions) == (None, False)


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["model=null"], "source.pred_probs"),
        (["source.pred_probs=p"], "model"),
        (["source.pred_probs=p", "model=null", "source.group=g"], "source.group"),
        (["source.pred_probs=p", "model=null", "source.features={text: t}"], "source.features"),
        (["source.pred_probs=[]"], "source.pred_probs"),
        (["source.pred_probs_format=map"], "source.pred_probs_format"),
        (["source.labels=[a, b]", "source.classes=[x]"], "source.labels"),
        (["source.labels=pred_probs"], "source.labels"),
        (["source.group=labels"], "source.group"),
        (["model.fit_final=true"], "model.fit_final"),
        (["model.folds=99"], "model.folds"),
        (["audit.num_to_remove_per_class=[1]", "source.classes=[a, b]"], "audit.num_to_remove_per_class"),
    ],
)
def test_audit_keys_that_do_not_go_together_are_refused(overrides: list[str], key: str) -> None:
    assert refused(AuditConfig, *WITHOUT_PROBS, *overrides).key == key


def test_python_arguments_cannot_leave_probabilities_out() -> None:
    for config in (ColumnsConfig, SourceConfig):
        with pytest.raises(ConfigError) as caught:
            config.from_arguments(pred_probs=None)
        assert caught.value.key == "source.pred_probs"


def test_fingerprint_counts_what_decides_the_predictions() -> None:
    first = load_as(PredictConfig, None, PLACES).fingerprint()
    same = ["tracking.experiment=x", "output.run_id=20260131t180000z-0a1b2c3d", "model.folds=5"]
    assert load_as(PredictConfig, None, [*PLACES, *same]).fingerprint() == first
    others = ["model.seed=1", "source.group=g", "source.features={text: t}", "model.fit_final=true"]
    found = {load_as(PredictConfig, None, [*PLACES, other]).fingerprint() for other in others}
    assert len(found | {first}) == len(others) + 1
    audits = {load_as(AuditConfig, None, [*PREDICTING, f"model.seed={n}"]).fingerprint() for n in (0, 1)}
    assert len(audits) == 2


def test_secrets_of_model_addresses_are_not_stored() -> None:
    config = load_as(PredictConfig, None, [*PLACES, "model.uri=https://me:hunter2@host/model?token=abc123"])
    assert "hunter2" not in config.to_json()
    assert "abc123" not in config.to_json()
