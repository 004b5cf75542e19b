"""`source.features.image`: images by path or bytes; what cannot be read is counted, never a crash."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.engine.test_predict import probabilities
from tests.lake import Lake

COLOURS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1)}
ENCODER = "tests.encoders:mean_colour"


def colour_rows(num_rows: int = 90) -> list[tuple[str, bytes, list[str]]]:
    """Images whose mean colour follows from their tags."""
    rng, rows = np.random.default_rng(0), []
    for i in range(num_rows):
        tags = [tag for tag in COLOURS if rng.random() < 0.4]
        base = sum((np.array(COLOURS[tag]) for tag in tags), np.zeros(3)) * 120 + rng.random(3) * 60
        file = io.BytesIO()
        Image.new("RGB", (12, 9), tuple(base.astype(int).tolist())).save(file, "PNG")
        rows.append((f"r{i:03}", file.getvalue(), tags))
    return rows


def settings_of(source: str, out: str, **more: object) -> dict[str, object]:
    return {
        "source.path": source,
        "output.path": out,
        "source.features": {"image": "picture"},
        "model.encoder": ENCODER,
        "model.folds": 3,
        **{key.replace("__", "."): value for key, value in more.items()},
    }


@pytest.fixture
def by_bytes(lake: Lake) -> str:
    return lake.write(lake.frame(colour_rows(), "id string, picture binary, labels array<string>"))


def test_paths_relative_to_the_source_and_bytes_are_predicted_alike(
    lake: Lake, by_bytes: str, tmp_path: Path
) -> None:
    rows = []
    folder = tmp_path / "pictures"
    folder.mkdir()
    for key, data, tags in colour_rows():
        (folder / f"{key}.png").write_bytes(data)
        rows.append((key, f"{key}.png", tags))
    by_path = lake.write(lake.frame(rows[::-1], "id string, picture string, labels array<string>"), files=2)
    first = lake.done("predict", settings_of(by_bytes, lake.path("a")))
    second = lake.done("predict", settings_of(by_path, lake.path("b"), source__image_folder=str(folder)))
    assert first["features"] == {"image": ["picture"]}
    assert first["quality"]["macro_auc"] > 0.95
    assert first["encoder"]["num_images"] == 90
    one, other = (probabilities(lake, found["tables"]["predictions"]) for found in (first, second))
    assert one == other
    columns = lake.table(first["tables"]["predictions"]).column_names
    assert columns == ["id", "picture", "labels", "pred_probs", "fold"]


def test_what_cannot_be_read_is_counted_and_gets_the_shares(lake: Lake) -> None:
    rows: list[tuple[Any, ...]] = list(colour_rows())
    rows[3] = (rows[3][0], b"no image", rows[3][2])
    rows[5] = (rows[5][0], None, rows[5][2])
    source = lake.write(lake.frame(rows, "id string, picture binary, labels array<string>"))
    found = lake.done("predict", settings_of(source, lake.path("out")))
    assert found["num_predicted"] == 90
    assert any(text.startswith("2 rows have no image in column 'picture'") for text in found["warnings"])
    assert found["encoder"]["num_rows_without_image"] == 2


def test_images_are_not_found_by_themselves_and_other_columns_stand_beside(lake: Lake) -> None:
    words = {"red": "rose", "green": "leaf", "blue": "sky"}
    rows = [(*row[:2], " ".join(["a", *(words[tag] for tag in row[2])]), row[2]) for row in colour_rows()]
    schema = "id string, picture binary, title string, labels array<string>"
    source = lake.write(lake.frame(rows, schema))
    plain = settings_of(source, lake.path("plain"), model__encoder=None)
    del plain["source.features"]
    assert "picture" in lake.run("predict", plain).json["left_out"]
    both = settings_of(source, lake.path("both"))
    both["source.features"] = {"image": "picture", "text": "title"}
    found = lake.done("predict", both)
    names = [item["name"] for item in found["choice"]["considered"]]
    assert names == ["joint with frozen encoder", "joint", "linear"]


@pytest.mark.parametrize(
    ("more", "key", "said"),
    [
        ({"source__features": {"image": ["picture", "id2"]}}, "source.features.image", "2 columns of images"),
        ({"source__features": {"image": "labels2"}}, "source.features.image", "array"),
        ({"source__image_folder": "x", "source__features": "auto"}, "source.image_folder", "no column of"),
        ({"model__kind": "cnn"}, "model.encoder", "kind cnn reads the pixels"),
        ({"model__encoder": "tests.encoders:words"}, "model.encoder", "fails on 2 images"),
    ],
)
def test_what_cannot_be_is_refused(
    lake: Lake, by_bytes: str, more: dict[str, object], key: str, said: str
) -> None:
    if "labels2" in str(more):
        rows = [(*row, row[2]) for row in colour_rows(20)]
        schema = "id string, picture binary, labels array<string>, labels2 array<string>"
        by_bytes = lake.write(lake.frame(rows, schema))
    outcome = lake.run("predict", settings_of(by_bytes, lake.path("out"), **more))
    assert outcome.exit_code == 2
    assert outcome.json["error"]["key"] == key
    assert said in outcome.json["error"]["message"]


def test_without_torch_a_network_is_refused_with_the_command(
    lake: Lake, by_bytes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else found(name))
    outcome = lake.run("predict", settings_of(by_bytes, lake.path("out"), model__encoder=None))
    assert outcome.exit_code == 2
    assert outcome.json["error"]["key"] == "source.features.image"
    assert "torch" in outcome.json["error"]["fix"]


def test_a_final_model_tags_new_images(lake: Lake, by_bytes: str) -> None:
    settings = settings_of(by_bytes, lake.path("out"), model__fit_final=True, model__name="colours")
    model = lake.done("predict", settings)["model_uri"]
    new = lake.write(lake.frame([row[:2] for row in colour_rows(20)], "id string, picture binary"))
    tagged = lake.done("tag", {"source.path": new, "model.uri": model, "output.path": lake.path("tags")})
    assert tagged["num_tagged"] == 20
    found = {row["id"]: set(row["tags"]) for row in lake.records(tagged["tables"]["tags"])}
    assert sum(found[key] == set(tags) for key, _, tags in colour_rows(20)) > 10


def test_an_audit_compares_rows_by_the_vectors_of_images(lake: Lake) -> None:
    rows: list[tuple[Any, ...]] = list(colour_rows())
    rows[3] = (rows[3][0], b"no image", rows[3][2])
    source = lake.write(lake.frame(rows, "id string, picture binary, labels array<string>"))
    settings = settings_of(source, lake.path("out"), detect__outliers={}, source__pred_probs=None)
    found = lake.audit(settings)
    scores = {row["id"]: row["outlier_score"] for row in lake.rows(found, "examples")}
    assert scores["r003"] is None
    assert sum(score is not None for score in scores.values()) == 89
