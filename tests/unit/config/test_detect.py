from __future__ import annotations

import pytest

from spark_ml_audit.config import AuditConfig, load_config
from spark_ml_audit.errors import ConfigError
from tests.unit.config.refusals import PLACES


def loaded(*overrides: str) -> AuditConfig:
    return load_config(None, [*PLACES, *overrides])


def test_true_stands_for_the_defaults_and_false_for_nothing() -> None:
    config = loaded("detect.outliers=true")
    assert config.to_mapping()["detect"]["outliers"] == {
        "features": "auto",
        "neighbours": 10,
        "reference": 20000,
        "limit": 3.0,
    }
    assert loaded("detect.outliers=false").detect.outliers is None


def test_features_are_columns_by_kind_or_the_probabilities() -> None:
    config = loaded("detect.outliers.features={text: [title, body], embedding: vector}")
    assert config.detect.outliers is not None
    shown = config.to_mapping()["detect"]["outliers"]["features"]
    assert shown == {"text": ["title", "body"], "embedding": ["vector"]}
    config = loaded("detect.outliers.features=pred_probs")
    assert config.to_mapping()["detect"]["outliers"]["features"] == "pred_probs"


def test_thresholds_of_near_duplicates_follow_what_is_compared() -> None:
    for columns, threshold in (("{text: body}", 0.8), ("{embedding: vector}", 0.95)):
        found = loaded(f"detect.duplicates={columns}").detect.duplicates
        assert found is not None
        assert found.least_similarity == threshold
    found = loaded("detect.duplicates={text: body, threshold: 0.9}").detect.duplicates
    assert found is not None
    assert found.least_similarity == 0.9
    assert found.columns == ("body",)


@pytest.mark.parametrize(
    ("override", "key", "said"),
    [
        ("detect.outliers.features=5", "detect.outliers.features", "neither auto"),
        ("detect.outliers.neighbours=0", "detect.outliers.neighbours", "1 to 1000"),
        ("detect.outliers.reference=5", "detect.outliers.reference", "100"),
        ("detect.ambiguous.doubt=0", "detect.ambiguous.doubt", "above 0"),
        ("detect.duplicates={text: a, embedding: b}", "detect.duplicates", "both"),
        ("detect.duplicates={threshold: 0.9}", "detect.duplicates", "neither"),
        ("detect.duplicates={text: a, threshold: 0.2}", "detect.duplicates.threshold", "0.5"),
        ("detect.outlier=true", "detect.outlier", "outliers"),
    ],
)
def test_what_is_refused_names_key_and_fix(override: str, key: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(override)
    assert caught.value.key == key
    assert caught.value.fix
    assert said in str(caught.value)


def test_an_id_column_may_not_be_named_like_a_column_of_the_table() -> None:
    assert loaded("source.id=group_id").source.id == "group_id"
    with pytest.raises(ConfigError, match="duplicates"):
        loaded("source.id=group_id", "detect.duplicates={text: body}")
    with pytest.raises(ConfigError):
        loaded("source.id=outlier_score")


def test_the_fingerprint_follows_the_section_but_not_its_defaults() -> None:
    plain = loaded().fingerprint()
    assert loaded("detect.ambiguous.min_tags=2").fingerprint() == plain
    assert loaded("detect.outliers=true").fingerprint() != plain
