"""Names of columns: whole words count, whatever the case; what only looks similar is a feature."""

from __future__ import annotations

import pytest

from spark_ml_audit.predicting.leaks.names import (
    name_tokens,
    named_like_annotator,
    named_like_identifier,
    named_like_labels,
    tag_named,
)


@pytest.mark.parametrize(
    "name",
    [
        "true_tags", "TRUE_label", "gold", "goldLabels", "labels2", "label", "Labels_backup", "x_backup",
        "y_true", "ground-truth", "genre", "genres_old", "oldGenres", "Genres v2", "genres_2", "target", "y",
        "annotation", "annotated_at", "predicted genres",
    ],
)  # fmt: skip
def test_columns_named_like_labels(name: str) -> None:
    assert named_like_labels(name, ["genres"]) is not None


@pytest.mark.parametrize(
    "name",
    [
        "title", "goldfish", "golden_age", "labelmaker", "untrue", "backups_taken", "genre_count", "subgenre",
        "target_audience", "year", "y_position", "texts", "genres_of_friends", "",
    ],
)  # fmt: skip
def test_columns_named_like_something_else(name: str) -> None:
    assert named_like_labels(name, ["genres"]) is None
    assert named_like_annotator(name) is None


def test_numbered_questions_are_no_editions_of_each_other() -> None:
    assert named_like_labels("q1_2", ["q1", "q2"]) is None
    assert named_like_labels("q12", ["q1"]) is None
    assert named_like_labels("q1_old", ["q1"]) is not None


@pytest.mark.parametrize("name", ["annotator", "annotatorId", "RATER", "labeller_3", "worker_id", "coded_by"])
def test_columns_named_like_annotators(name: str) -> None:
    assert named_like_annotator(name) is not None


@pytest.mark.parametrize(
    "name", ["worker", "judge", "reviewer_rating", "coder", "by", "narrator", "operator"]
)
def test_people_in_the_data_are_no_annotators(name: str) -> None:
    assert named_like_annotator(name) is None


def test_words_of_names_in_any_script() -> None:
    assert name_tokens("ÜberSchrift-2b") == ("über", "schrift", "2", "b")
    assert tag_named("is_science_fiction", ["Science-Fiction"]) == "Science-Fiction"
    assert tag_named("p_comedy", ["drama"]) is None
    assert named_like_identifier("идентификатор") is False
