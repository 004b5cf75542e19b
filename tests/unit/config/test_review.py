"""Configs of the commands after an audit."""

from __future__ import annotations

import pytest

from spark_ml_audit.config import (
    CorrectConfig,
    DecideConfig,
    ReviewConfig,
    SampleConfig,
    load_as,
    load_config,
)
from spark_ml_audit.errors import ConfigError
from tests.paths import CONF


@pytest.mark.parametrize(("config", "name"), [(SampleConfig, "sample"), (CorrectConfig, "correct")])
def test_example_configs_show_every_key_with_its_default(config, name):
    shown = load_as(config, str(CONF / f"{name}.example.yml"))
    assert shown == load_as(config, None, ["output.path=audits/tags"])
    text = (CONF / f"{name}.example.yml").read_text()
    for key in type(getattr(shown, name)).model_fields:
        assert f"  {key}:" in text


@pytest.mark.parametrize(
    ("config", "override", "said"),
    [
        (SampleConfig, "sample.size=0", "a whole number from 1 to 10000"),
        (SampleConfig, "sample.per_stratum=5", "only a random sample has strata"),
        (SampleConfig, "sample.run='1; DROP'", "not the id of a run"),
        (CorrectConfig, "correct.decisions=false", "nothing to correct by"),
        (CorrectConfig, "correct.decisions=3", "which is not true, false, or a table"),
        (CorrectConfig, "correct.decisions='a b'", "neither a path nor a table name"),
        (CorrectConfig, "correct.accept_above=0.5", "a number above 0.5"),
        (CorrectConfig, "correct={mode: merge, to: ./x}", "merge changes the source itself"),
        (CorrectConfig, "correct.accept_abov=0.9", "accept_above"),
        (ReviewConfig, "review.confidence=1", "between 0.5 and 1"),
        (DecideConfig, "decide.who=x", "decide.file"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_key(config, override, said):
    with pytest.raises(ConfigError, match=said) as caught:
        load_as(config, None, ["output.path=o", override])
    assert caught.value.key.startswith(override.partition("=")[0].split(".")[0])
    assert caught.value.fix


def test_decisions_decide_the_result_of_an_audit():
    plain = load_config(None, ["source.path=a", "output.path=o"])
    heeding = load_config(None, ["source.path=a", "output.path=o", "source.decisions=main.quality.decisions"])
    assert plain.fingerprint() != heeding.fingerprint()
    with pytest.raises(ConfigError, match=r"source\.decisions"):
        load_config(None, ["source.path=a", "output.path=o", "source.decisions=a b"])
