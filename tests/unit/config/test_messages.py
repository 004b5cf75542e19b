"""What is said of a key that is not there, and of one that may be several kinds of thing."""

from __future__ import annotations

import pytest

from spark_ml_audit.config import AuditConfig, CorrectConfig, DecideConfig, ReviewConfig, load_as
from spark_ml_audit.config.base import Section
from spark_ml_audit.errors import ConfigError


@pytest.mark.parametrize(
    ("config", "override", "said"),
    [
        (DecideConfig, "decide.who=x", "decide.file: it is not given. Set decide.file to the path of a CSV"),
        (AuditConfig, "gate={min_rows: {severity: warn}}", "gate.min_rows.limit: it is not given. Set"),
        (ReviewConfig, "review.decisions=7", "review.decisions: found 7, which is not a folder with a slash"),
        (CorrectConfig, "correct.to=true", "correct.to: found true, which is not a folder with a slash"),
        (AuditConfig, "source.decisions=7", "source.decisions: found 7, which is not a folder with a slash"),
    ],
)
def test_a_message_says_what_is_wanted(config: type[Section], override: str, said: str) -> None:
    places = ["output.path=o", *(["source.path=a"] if config is AuditConfig else [])]
    with pytest.raises(ConfigError) as caught:
        load_as(config, None, [*places, override])
    assert str(caught.value).startswith(said)


def test_a_section_that_is_not_there_is_named_alone() -> None:
    with pytest.raises(ConfigError) as caught:
        AuditConfig.parse({"output": {"path": "o"}})
    assert str(caught.value) == "source: it is not given. Write source with its keys."
