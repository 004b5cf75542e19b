"""Real tables with the mistakes that people make: what is refused, what is said, and whether it is true."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_ml_audit.arrow.layout import InputLayout
from spark_ml_audit.frames.hints import hints_of
from tests.lake import Lake
from tests.paths import SHARED_DATA

pytestmark = pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the folder ../shared/data is not there")

FILE = SHARED_DATA / "movies_wikidata_oof.parquet"
ROWS = 2000


class Films:
    """The first films of the set, to be spoilt."""

    def __init__(self, lake: Lake) -> None:
        whole = pq.read_table(FILE)
        self.lake = lake
        self.classes: list[str] = json.loads(whole.schema.metadata[b"classes"])
        self.table = whole.slice(0, ROWS).replace_schema_metadata(None)
        self.labels: list[list[str]] = self.table.column("labels").to_pylist()
        self.probs = np.stack(self.table.column("pred_probs").to_numpy())

    def settings(
        self, *, labels: Any = None, probs: Any = None, classes: list[str] | None = None
    ) -> dict[str, object]:
        """Settings for a table with these columns instead."""
        table = self.table
        if labels is not None:
            table = table.set_column(1, "labels", labels)
        if probs is not None:
            table = table.set_column(2, "pred_probs", pa.array(list(probs)))
        place = self.lake.write(table, fmt="parquet")
        return {
            "source.path": place,
            "source.format": "parquet",
            "source.classes": classes or self.classes,
            "output.path": self.lake.path(f"out-of-{Path(place).name}"),
        }


@pytest.fixture
def films(lake: Lake) -> Films:
    return Films(lake)


def check(films: Films, settings: dict[str, object]) -> list[str]:
    outcome = films.lake.run("check", settings)
    assert outcome.exit_code == 0, outcome.json
    return list(outcome.json["warnings"])


def given_settings(sentence: str) -> dict[str, object]:
    """What a sentence says to set."""
    words = shlex.split(sentence[sentence.index("--set ") :])
    pairs = [
        word.split("=", 1) for flag, word in zip(words[::2], words[1::2], strict=True) if flag == "--set"
    ]
    return {key: json.loads(value) for key, value in pairs}


def test_good_tables_have_no_warning(films: Films) -> None:
    assert check(films, films.settings()) == []
    assert films.lake.audit(films.settings())["warnings"] == []


def test_a_delimiter_is_said_first_and_its_setting_mends_the_audit(films: Films) -> None:
    settings = films.settings(labels=pa.array([";".join(tags) for tags in films.labels]))
    (said,) = check(films, settings)
    result = films.lake.audit(settings, expect=3)
    assert result["warnings"][0] == result["alert"] == said
    assert result["num_quarantined"] == sum(len(tags) > 1 for tags in films.labels)
    mended = films.lake.audit(settings | given_settings(said) | {"output.path": films.lake.path("mended")})
    plain = films.lake.audit(films.settings())
    assert mended["warnings"] == []
    assert mended["num_label_issues"] == plain["num_label_issues"] > 0


def test_no_tag_among_the_classes_is_refused_and_leaves_no_run(films: Films) -> None:
    classes = [tag.lower() for tag in films.classes]
    settings = films.settings(classes=classes)
    (said,) = check(films, settings)
    first = [tag for tags in films.labels[:1000] for tag in tags]
    assert f"None of the {len(first):,} tags of the first 1,000 rows is among the 21 classes" in said
    assert "100% of them are, in another case: " in said
    error = films.lake.refuse(settings)
    assert error["key"] == "source.classes"
    labelled = sum(map(bool, films.labels))
    assert f"no given tag is among the 21 classes, in {labelled:,} rows with tags" in error["message"]
    assert "[tag.lower() for tag in tags]" in error["fix"]
    assert not Path(str(settings["output.path"])).exists()


def test_what_only_the_whole_table_shows_is_refused_before_the_run_is_visible(films: Films) -> None:
    """The first thousand rows have no tags at all."""
    labels = [[] if i < 1000 else [f"{tag}!" for tag in tags] for i, tags in enumerate(films.labels)]
    settings = films.settings(labels=pa.array(labels, pa.list_(pa.string())))
    error = films.lake.refuse(settings)
    assert error["key"] == "source.classes"
    assert "no given tag is among the 21 classes" in error["message"]
    assert not Path(str(settings["output.path"])).exists()


def test_one_known_tag_is_enough_not_to_be_refused(films: Films) -> None:
    """Even in a row that is set aside for another tag."""
    labels = [[f"{tag}!" for tag in tags] for tags in films.labels]
    labels[-1] = [films.classes[0], "elsewhere"]
    result = films.lake.audit(films.settings(labels=pa.array(labels)), expect=3)
    labelled = sum(map(bool, films.labels[:-1])) + 1
    assert result["num_quarantined"] == labelled


def test_no_labelled_row_is_refused_and_empty_lists_are_not(films: Films) -> None:
    settings = films.settings(labels=pa.nulls(ROWS, pa.list_(pa.string())))
    assert "None of the first 1,000 rows is labelled." in check(films, settings)[0]
    error = films.lake.refuse(settings)
    assert error["key"] == "source.labels"
    assert f"'labels' is null in all {ROWS:,} rows" in error["message"]
    assert not Path(str(settings["output.path"])).exists()
    empty = films.lake.audit(films.settings(labels=pa.array([[]] * ROWS, pa.list_(pa.string()))))
    assert "All lists in column 'labels' are empty in the first 1,000 rows." in empty["warnings"][0]
    assert empty["num_audited"] == ROWS
    none = films.settings()
    nothing = films.lake.write(films.table.slice(0, 0), fmt="parquet")
    assert films.lake.audit({**none, "source.path": nothing})["warnings"] == ["The source has no rows."]


def test_unlabelled_rows_beside_rejected_ones_are_refused_too(films: Films) -> None:
    probs = films.probs.copy()
    probs[5, 0] = np.nan
    settings = films.settings(labels=pa.nulls(ROWS, pa.list_(pa.string())), probs=probs)
    assert "no row is labelled" in films.lake.refuse(settings)["message"]
    labels = pa.array([None] * 5 + [["Drama"]] + [None] * (ROWS - 6), pa.list_(pa.string()))
    result = films.lake.audit(films.settings(labels=labels, probs=probs), expect=3)
    assert (result["num_audited"], result["num_quarantined"]) == (0, 1)


def test_figures_said_of_probabilities_are_true(films: Films) -> None:
    percentages = films.probs * 100
    (said,) = check(films, films.settings(probs=percentages))
    first = percentages[:1000]
    assert f"{(first > 1).sum():,} of {first.size:,} values of column 'pred_probs' are above 1" in said
    assert f"({first.min():.4g} to {first.max():.4g}): they look like percentages" in said
    logits = np.log(films.probs / (1 - films.probs))
    (said,) = check(films, films.settings(probs=logits))
    assert f"{(logits[:1000] < 0).sum():,} of {first.size:,} values" in said
    assert "they look like logits" in said
    result = films.lake.audit(films.settings(probs=logits), expect=3)
    assert result["warnings"][0] == said
    assert result["num_quarantined"] == ROWS
    sums_to_one = films.probs / films.probs.sum(axis=1, keepdims=True)
    (said,) = check(films, films.settings(probs=sums_to_one))
    others = sum(len(tags) != 1 for tags in films.labels[:1000])
    assert f"{others / 10:.0f}% of these rows have no tag or several" in said


def test_classes_in_another_order_are_told_with_the_true_auc(films: Films) -> None:
    turned = [*films.classes[3:], *films.classes[:3]]
    settings = films.settings(classes=turned)
    (said,) = check(films, settings)
    assert "with the class list sorted by name it is 0.8" in said
    result = films.lake.audit(settings)
    assert result["alert"] == said
    assert any("too weak" in text for text in result["warnings"])  # and the reason stands before it


def test_a_missing_column_is_told_with_the_one_meant_or_the_command_that_makes_it(films: Films) -> None:
    renamed = films.lake.write(films.table.rename_columns(["film_id", "genres", "p", "fold"]), fmt="parquet")
    settings = films.settings() | {"source.path": renamed}
    for key, name in (("source.id", "film_id"), ("source.pred_probs", "p"), ("source.labels", "genres")):
        error = films.lake.refuse(settings, command="check")
        assert error["key"] == key
        assert f"Did you mean '{name}'?" in error["fix"]
        settings[key] = name
    assert check(films, settings) == []

    bare = films.lake.write(films.table.drop_columns(["pred_probs", "fold"]), fmt="parquet")
    error = films.lake.refuse(settings | {"source.path": bare, "source.id": "id", "source.labels": "labels"})
    assert "no column 'p'" in error["message"]
    command = shlex.split(error["fix"][error["fix"].index("spark-ml-audit") :].split(" (then")[0])
    assert command[:3] == ["spark-ml-audit", "predict", bare]
    assert command[command.index("--out") + 1] == settings["output.path"]


def test_predict_says_what_it_sees_in_the_labels(films: Films) -> None:
    table = pa.table(
        {
            "id": films.table.column("id"),
            "labels": pa.array(["|".join(tags) for tags in films.labels]),
            "text": pa.array([" ".join(tags) + f" film {i}" for i, tags in enumerate(films.labels)]),
        }
    ).slice(0, 300)
    place = films.lake.write(table, fmt="parquet")
    settings = {"source.path": place, "source.format": "parquet", "source.features": {"text": ["text"]}}
    outcome = films.lake.run("predict", {**settings, "model.folds": 2})
    assert outcome.exit_code == 0, outcome.json
    assert "look '|'-delimited" in outcome.json["warnings"][0]
    assert given_settings(outcome.json["warnings"][0]) == {"source.labels_delimiter": "|"}
    classes = [tag.lower() for tag in films.classes]
    refused = films.lake.refuse(
        settings | {"source.labels_delimiter": "|", "source.classes": classes}, command="predict"
    )
    assert "no given tag is among the 21 classes" in refused["message"]


@pytest.mark.parametrize("name", ["goemotions", "debtags", "movies_wikidata"])
def test_the_order_of_classes_is_told_on_real_sets_and_nothing_of_the_right_one(name: str) -> None:
    table = pq.read_table(SHARED_DATA / f"{name}_oof.parquet")
    classes = json.loads(table.schema.metadata[b"classes"])
    layout = InputLayout("id", ("labels",), "names", ",", ("pred_probs",), "array", "float32", tuple(classes))
    shuffled = np.random.default_rng(0).permutation(classes).tolist()
    named = []
    for start in range(0, table.num_rows - 1000, table.num_rows // 5):
        rows = table.slice(start, 1000)
        assert hints_of(rows, layout) == ()
        for other in (shuffled, [*classes[1:], classes[0]]):
            found = hints_of(rows, replace(layout, classes=tuple(other)))
            assert [hint.kind for hint in found] in ([], ["class_order"])
            named.append(bool(found))
    missed = {"movies_wikidata": 1}  # where the model is weakest
    assert (named.count(False), len(named)) == (missed.get(name, 0), 10)


def test_empty_texts_that_mean_nobody_looked_are_no_labels(films: Films) -> None:
    texts = pa.array(["" if i % 2 else " " for i in range(ROWS)])
    settings = films.settings(labels=texts) | {"source.empty_labels": "not_annotated"}
    probs = films.probs.copy()
    probs[3, 0] = np.nan
    also_rejected = films.settings(labels=texts, probs=probs) | {"source.empty_labels": "not_annotated"}
    for given in (settings, also_rejected):
        assert "null or empty in all 2,000 rows" in films.lake.refuse(given)["message"]
