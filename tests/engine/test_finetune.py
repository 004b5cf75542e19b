"""`model.encoder_level: finetune` end to end: what is told, what a failed run leaves, final models."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engine.test_kill import end
from tests.engine.test_predict import probabilities
from tests.estimators import MARKER
from tests.lake import Lake
from tests.tiny_encoder import TAGS, needs_torch, texts_and_tags, write_encoder

pytestmark = pytest.mark.timeout(300)
SCHEMA = "id string, text string, labels array<string>"


def rows(num_rows: int, seed: int = 0) -> list[tuple[Any, ...]]:
    texts, tags = texts_and_tags(num_rows, seed)
    return [
        (f"r{seed}-{i:03}", text, [TAGS[k] for k in np.flatnonzero(own)])
        for i, (text, own) in enumerate(zip(texts, tags, strict=True))
    ]


@pytest.fixture
def settings(lake: Lake) -> dict[str, Any]:
    needs_torch()
    return {
        "source.path": lake.write(lake.frame(rows(80), SCHEMA)),
        "source.features": {"text": ["text"]},
        "output.path": lake.path("out"),
        "model.folds": 2,
        "model.encoder": write_encoder(Path(lake.path("encoder"))),
        "model.encoder_level": "finetune",
    }


def test_a_failed_run_is_taken_up_fold_by_fold(
    lake: Lake, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings |= {"model.kind": "tests.estimators.FailsOnce", "output.run_id": "20260101t000000z-00000001"}
    marker = Path(lake.path("fail"))
    marker.touch()
    monkeypatch.setenv(MARKER, str(marker))
    failed = lake.run("predict", settings)
    assert failed.exit_code == 2
    assert "out of memory, say" in failed.error["message"]
    assert not marker.exists()
    kept = sorted(Path(lake.path("out"), "_finetune").rglob("folds/*.npz"))
    assert kept  # what was trained before the failure
    # other weights in their place show that they are taken, and not trained again
    for file in kept:
        with np.load(file) as held:
            arrays = dict(held)
        np.savez(file, **(arrays | {"offsets": np.full(len(TAGS), 12.0, np.float32)}))
    done = lake.run("predict", settings)
    assert done.exit_code == 0, (done.json, done.stderr)
    tuned = done.json["encoder"]["finetuned"]
    assert tuned["log_loss_average"] > 1
    assert not all(tuned["kept_by_fold"].values())
    assert not Path(lake.path("out"), "_finetune").exists()


@pytest.mark.faults
def test_a_killed_run_goes_on_with_the_folds_that_it_lacks(lake: Lake, settings: dict[str, Any]) -> None:
    out, whole = Path(lake.path("out")), lake.path("whole")
    undisturbed = lake.run("predict", settings | {"output.path": whole})
    assert undisturbed.exit_code == 0, (undisturbed.json, undisturbed.stderr)
    settings |= {"output.run_id": "20260101t000000z-00000002"}
    process = lake.start("predict", settings)
    try:
        until = time.monotonic() + 120
        while not (kept := list(out.glob("_finetune/**/folds/*.npz"))) and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.01)
    finally:
        end(process)
    assert kept
    assert not (out / "prediction_runs").exists()
    trained = {file: file.stat().st_mtime_ns for file in out.glob("_finetune/**/folds/*.npz")}
    # the same file is opened, not written anew
    again = lake.start("predict", settings)
    try:
        while again.poll() is None:
            for file in trained.keys() & set(out.glob("_finetune/**/folds/*.npz")):
                with contextlib.suppress(FileNotFoundError):
                    assert file.stat().st_mtime_ns == trained[file]
            time.sleep(0.01)
    finally:
        end(again)
    assert again.returncode == 0
    assert not (out / "_finetune").exists()
    assert probabilities(lake, f"{out}/predictions") == probabilities(lake, f"{whole}/predictions")


def test_what_it_gave_is_told_and_a_final_model_tags_new_rows(lake: Lake, settings: dict[str, Any]) -> None:
    told = lake.start("predict", settings)
    output, notes = told.communicate(timeout=250)
    assert told.returncode == 0, (output, notes)
    assert "fine-tuning 2 of 4 layers for 2 folds of about " in notes.partition("train started")[0]
    assert "rows held out" in notes.partition("train: ")[2]
    first = probabilities(lake, lake.path("out") + "/predictions")

    done = lake.run("predict", settings | {"model.fit_final": True, "tag.min_precision": 0.0})
    assert done.exit_code == 0, (done.json, done.stderr)
    assert probabilities(lake, lake.path("out") + "/predictions") == first
    assert not Path(lake.path("out"), "_finetune").exists()
    tuned = done.json["encoder"]["finetuned"]
    assert set(tuned["kept_by_fold"]) == {"0", "1"}
    assert 16 <= tuned["num_held_out"] <= 20  # a quarter of each fold's rows
    assert tuned == json.loads(output)["encoder"]["finetuned"]

    new = {
        "source.path": lake.write(lake.frame([row[:2] for row in rows(20, 1)], "id string, text string")),
        "model.uri": done.json["model_uri"],
    }
    tagged = lake.run("tag", new)
    assert tagged.exit_code == 0, (tagged.json, tagged.stderr)
    assert tagged.json["num_tagged"] == 20


def test_layers_that_cannot_be_trained_are_refused_before_any_text_is_encoded(
    lake: Lake, settings: dict[str, Any], tmp_path: Path
) -> None:
    for encoder in ("tests.encoders:words", write_encoder(tmp_path / "t5", "t5")):
        error = lake.refuse(settings | {"model.encoder": encoder}, command="predict")
        assert error["key"] == "model.encoder_level"
        assert "frozen" in error["fix"]
        assert not Path(lake.path("out"), "vectors").exists()
