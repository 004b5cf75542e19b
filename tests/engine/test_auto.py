"""`model.budget`: what is trained is chosen to suit, said everywhere, and the same whatever the layout."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spark_ml_audit.predicting import choice
from tests.engine.test_predict import SCHEMA, item_rows, probabilities
from tests.lake import Lake


@pytest.fixture
def source(lake: Lake) -> str:
    return lake.write(lake.frame(item_rows(), SCHEMA))


@pytest.fixture
def _no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is installed beside, no encoder is found."""
    monkeypatch.setattr(choice, "installed_encoder", lambda: None)


@pytest.mark.usefixtures("_no_encoder")
def test_a_choice_is_made_within_the_budget_and_told(lake: Lake, source: str) -> None:
    settings = {"source.path": source, "output.path": lake.path("out"), "model.folds": 2}
    outcome = lake.run("predict", {**settings, "model.budget": 60})
    assert outcome.exit_code == 0, outcome.json
    choice = outcome.json["choice"]
    assert choice["kind"] == outcome.json["kind"]
    assert [item["name"] for item in choice["considered"]] == ["joint", "linear"]
    assert all(item["log_loss"] > 0 for item in choice["considered"])
    assert f"auto chose {choice['kind']}" in choice["reason"]
    assert "held-out rows of an inner check" in choice["reason"]
    (row,) = lake.records(outcome.json["tables"]["prediction_runs"])
    assert json.loads(row["choice"]) == choice
    # a run that finished is told as it was
    again = lake.run("predict", {**settings, "model.budget": 60, "output.run_id": outcome.json["run_id"]})
    assert again.json["choice"] == choice


@pytest.mark.usefixtures("_no_encoder")
def test_the_choice_does_not_depend_on_order_and_is_that_of_the_kind_itself(lake: Lake) -> None:
    table = lake.frame(item_rows(90), SCHEMA)
    shuffled = table.take(np.random.default_rng(0).permutation(table.num_rows))
    found = []
    for position, path in enumerate([lake.write(table), lake.write(shuffled, files=3)]):
        settings = {"source.path": path, "output.path": lake.path(f"out-{position}"), "model.folds": 2}
        found.append(lake.run("predict", {**settings, "model.budget": 60}).json)
    assert found[0]["choice"] == found[1]["choice"]
    first, second = (probabilities(lake, item["tables"]["predictions"]) for item in found)
    assert first == second
    settings = {"source.path": lake.write(table), "output.path": lake.path("plain"), "model.folds": 2}
    plain = lake.run("predict", {**settings, "model.kind": found[0]["choice"]["kind"]}).json
    assert plain["choice"] is None
    assert probabilities(lake, plain["tables"]["predictions"]) == first


def test_too_small_a_budget_takes_the_cheapest_and_says_so(lake: Lake, source: str) -> None:
    outcome = lake.audit(
        source__path=source,
        source__pred_probs=None,
        output__path=lake.path("out"),
        model__folds=2,
        model__budget=1e-6,
    )
    assert outcome["choice"]["kind"] == "linear"
    assert "even that is estimated at" in outcome["choice"]["reason"]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"model.kind": "linear"}, "model.kind is 'linear'"),
        ({"model.uri": "models:/films/1"}, "model.uri names a model"),
    ],
)
def test_a_budget_without_a_choice_is_refused(
    lake: Lake, source: str, model: dict[str, object], said: str
) -> None:
    settings = {"source.path": source, "output.path": lake.path("out"), "model.budget": 5, **model}
    outcome = lake.run("predict", settings)
    assert outcome.exit_code == 2
    assert outcome.json["error"]["key"] == "model.budget"
    assert said in outcome.json["error"]["message"]


@pytest.mark.parametrize(("encoder", "level"), [("binary", "frozen"), ("noise", None)])
def test_an_encoder_is_used_unless_the_plain_model_is_better_without_it(
    lake: Lake, encoder: str, level: str | None
) -> None:
    rows = []
    for i in range(240):
        number = i * 7919 % 100_003
        bits = [tag for k, tag in enumerate(("a", "b", "c")) if number >> k & 1]
        # numbers tell words nothing; words tell the noise nothing
        rows.append((f"r{i:03}", str(number) if level else " ".join([*bits, f"x{number}"]), bits))
    source = lake.write(lake.frame(rows, "id string, text string, labels array<string>"))
    settings = {"source.path": source, "source.features": {"text": ["text"]}, "model.folds": 2}
    chosen = {"model.encoder": f"tests.encoders:{encoder}", "output.path": lake.path("out")}
    found = lake.run("predict", {**settings, **chosen}).json
    assert found["choice"]["encoder_level"] == level
    names = [item["name"] for item in found["choice"]["considered"]]
    assert names == ["joint with frozen encoder", "joint", "linear"]
    if level:
        assert found["encoder"]["encoder"] == "tests.encoders:binary"
        assert found["quality"]["macro_auc"] > 0.95
        return
    assert found["encoder"] is None
    kind = {"model.kind": found["choice"]["kind"], "output.path": lake.path("plain")}
    plain = lake.run("predict", {**settings, **kind}).json
    first, second = (probabilities(lake, item["tables"]["predictions"]) for item in (found, plain))
    assert first == second
