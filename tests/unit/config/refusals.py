"""Configs that are refused, and how a refusal has to be worded."""

from __future__ import annotations

import pytest

from spark_ml_audit.config import AuditConfig, PredictConfig, TagConfig, load_as
from spark_ml_audit.config.base import Section
from spark_ml_audit.errors import ConfigError, ExitCode

PLACES = ("source.path=data/tags", "output.path=audits/tags")
BASE: dict[type[Section], tuple[str, ...]] = {
    AuditConfig: PLACES,
    PredictConfig: PLACES,
    TagConfig: (*PLACES, "model.uri=models:/film_tags/1"),
}


def refused(config: type[Section], *overrides: str) -> ConfigError:
    """The error that a config with these overrides ends in."""
    with pytest.raises(ConfigError) as caught:
        load_as(config, None, [*BASE[config], *overrides])
    check_worded(caught.value)
    return caught.value


def check_worded(error: ConfigError) -> None:
    """Assert that an error is one short sentence with a fix."""
    assert error.exit_code == ExitCode.USAGE
    assert error.message
    assert error.fix
    assert "\n" not in str(error)
    assert len(str(error)) < 1000
