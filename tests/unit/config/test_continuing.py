"""Commands to go on with read what is there as the command before did."""

from __future__ import annotations

import shlex

import pytest

from spark_ml_audit.config import AuditConfig, load_as
from spark_ml_audit.config.continuing import audit_of_predictions
from spark_ml_audit.config.predict import PredictConfig


@pytest.mark.parametrize(
    "settings",
    [
        {"labels": "tags", "empty_labels": "not_annotated"},
        {"labels_format": "delimited", "labels_delimiter": ";", "empty_labels": "not_annotated"},
    ],
)
def test_an_audit_of_predictions_reads_the_labels_as_predict_did(settings: dict[str, str]) -> None:
    places = {"source": {"path": "films", "id": "film", **settings}, "output": {"path": "audits/films"}}
    command = audit_of_predictions(PredictConfig.parse(places), "audits/films/predictions")
    words = shlex.split(command)
    told = {words[i + 1] for i, word in enumerate(words) if word == "--set"}
    assert "source.empty_labels=not_annotated" in told
    again = load_as(AuditConfig, None, ["source.path=p", "output.path=o", *told])
    assert again.source.empty_labels == "not_annotated"
