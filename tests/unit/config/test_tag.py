"""Configs of tag."""

from __future__ import annotations

import pytest

from spark_ml_audit.config import (
    TagConfig,
    load_as,
)
from tests.unit.config.refusals import BASE, refused


@pytest.mark.parametrize(
    ("overrides", "key", "said"),
    [
        (["model.uri=null"], "model.uri", "predict --fit-final"),
        (["model.kind=auto"], "model.kind", "unknown key"),
        (["source.labels=x"], "source.labels", "unknown key"),
        (["source.id=tags"], "source.id", "a column that tag writes"),
        (["source.id=run_id"], "source.id", "a column the audit writes"),
        (["source.stream=yes please"], "source.stream", "true or false"),
        (["source.stream=true", "source.version=3"], "source.version", "a stream reads all versions"),
        (["stream.trigger=once"], "stream.trigger", "available_now"),
        (
            ["source.stream=true", "output={schema: a.b}"],
            "stream.checkpoint",
            "a stream needs a folder",
        ),
    ],
)
def test_refused_value_of_tag_names_key_value_and_fix(overrides: list[str], key: str, said: str) -> None:
    error = refused(TagConfig, *overrides)
    assert error.key == key
    assert said in str(error)


@pytest.mark.parametrize(
    ("overrides", "checkpoint"),
    [
        ([], None),
        (["source.stream=true"], "audits/tags/_checkpoints/tags"),
        (["source.stream=true", "output={schema: a.b, files: /Volumes/f/}"], "/Volumes/f/_checkpoints/tags"),
        (["source.stream=true", "output={schema: a.b}", "stream.checkpoint=/Volumes/c"], "/Volumes/c"),
    ],
)
def test_a_stream_has_a_checkpoint(overrides: list[str], checkpoint: str | None) -> None:
    assert load_as(TagConfig, None, [*BASE[TagConfig], *overrides]).checkpoint == checkpoint
