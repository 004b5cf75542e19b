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
        (
            ["tag.min_precision=1.01"],
            "tag.min_precision",
            "which is not a number from 0 to 1, or null",
        ),
        (["tag.min_precision=high"], "tag.min_precision", "a number from 0 to 1, or null"),
        (["tag.precision=0.5"], "tag.precision", "min_precision"),
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


@pytest.mark.parametrize(("value", "found"), [("null", None), ("0", 0.0), ("1", 1.0), ("0.9", 0.9)])
def test_the_least_precision_is_what_the_model_was_kept_with_unless_given(
    value: str, found: float | None
) -> None:
    config = load_as(TagConfig, None, [*BASE[TagConfig], f"tag.min_precision={value}"])
    assert config.tag.min_precision == found
    assert load_as(TagConfig, None, [*BASE[TagConfig]]).tag.min_precision is None
