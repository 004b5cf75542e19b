"""`model.encoder`: vectors made once and kept, read by every model, the same whatever runs them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.encoders import CALLS, WIDTH
from tests.lake import Lake, records

SCHEMA = "id string, title string, content string, words array<string>, labels array<string>"
ENCODER = "tests.encoders:words"
WORDS = {
    "sea": ["wave", "boat", "salt"],
    "wood": ["tree", "leaf", "root"],
    "fire": ["smoke", "ember", "heat"],
}


def film_rows(num_rows: int = 90, seed: int = 0) -> list[tuple[Any, ...]]:
    """Rows whose texts follow from their tags; the same text more than once, and none at all."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(num_rows):
        tags = [tag for tag in WORDS if rng.random() < 0.4]
        title = " ".join([str(rng.choice(WORDS[tag])) for tag in tags] + ["old film"])
        empty = i % 30 == 4
        rows.append(
            (f"r{i:03}", None if empty else title, "x", [] if empty else ["a", "b"][: i % 2 + 1], tags)
        )
    return rows


def settings_of(source: str, out: str, **more: object) -> dict[str, object]:
    return {
        "source.path": source,
        "output.path": out,
        "source.features": {"text": ["title", "words"]},
        "model.encoder": ENCODER,
        "model.folds": 3,
        **{key.replace("__", "."): value for key, value in more.items()},
    }


def probs_of(lake: Lake, where: str) -> dict[str, Any]:
    return {row["id"]: np.array(row["pred_probs"]) for row in lake.records(where)}


@pytest.fixture
def source(lake: Lake) -> str:
    return lake.write(lake.frame(film_rows(), SCHEMA))


@pytest.mark.matrix
def test_vectors_are_made_once_per_text_and_read_by_every_model(lake: Lake, source: str) -> None:
    out = lake.path("out")
    first = lake.done("predict", settings_of(source, out))
    vectors = lake.records(f"{out}/vectors")
    texts = {(row[1], tuple(row[3])) for row in film_rows() if row[1] is not None}
    assert len(vectors) == len({row["content"] for row in vectors}) == len(texts)
    assert {(row["layer"], len(row["vector"]), row["is_cut"]) for row in vectors} == {(1, WIDTH, False)}
    assert {row["encoder"] for row in vectors} == {first["encoder"]["identity"]}
    assert (first["encoder"]["encoder"], first["encoder"]["layer"]) == (ENCODER, 1)
    assert first["encoder"]["layer_of_fold"] == {"0": 1, "1": 1, "2": 1}
    assert first["encoder"]["columns"] == ["title", "words"]
    assert (first["encoder"]["num_texts"], first["encoder"]["num_texts_cut"]) == (len(texts), 0)
    written = lake.table(first["tables"]["predictions"])
    assert written.column_names == [*lake.table(source).column_names, "pred_probs", "fold"]
    # made again with another seed and one more row: one more text is encoded
    more = [
        *film_rows(),
        ("new", "a text of its own", "x", ["a"], ["sea"]),
        ("null", "wave", None, None, None),
    ]
    before = CALLS["texts"]
    second = lake.done("predict", settings_of(lake.write(lake.frame(more, SCHEMA)), out, model__seed=1))
    assert second["num_unlabelled"] == 1
    assert len(lake.records(f"{out}/vectors")) == len(texts) + 2
    if lake.kind == "embedded":
        assert CALLS["texts"] - before <= 2
    # an encoder changes what models find
    plain = lake.done("predict", {**settings_of(source, lake.path("plain")), "model.encoder": None})
    with_vectors, without = (probs_of(lake, made["tables"]["predictions"]) for made in (first, plain))
    assert any(np.abs(with_vectors[key] - without[key]).max() > 1e-3 for key in without)
    assert not Path(lake.path("plain/vectors")).exists()
    assert plain["encoder"] is None


def test_probabilities_depend_on_neither_order_nor_partitions_nor_what_was_stored(
    lake: Lake, source: str
) -> None:
    table = lake.frame(film_rows(), SCHEMA)
    shuffled = table.take(np.random.default_rng(0).permutation(table.num_rows))
    out = lake.path("out")
    found = [
        probs_of(lake, lake.done("predict", settings_of(place, where))["tables"]["predictions"])
        for place, where in (
            (source, out),
            (lake.write(shuffled, files=3), lake.path("other")),
            (lake.write(shuffled, files=2), out),
        )
    ]
    for other in found[1:]:
        assert other.keys() == found[0].keys()
        assert all(np.array_equal(other[key], found[0][key]) for key in other)


def test_vectors_that_two_runs_made_count_once(lake: Lake, source: str) -> None:
    import deltalake

    if lake.kind != "embedded":
        pytest.skip("the table is doubled by delta-rs")
    out = lake.path("out")
    first = lake.done("predict", settings_of(source, out))
    before = probs_of(lake, first["tables"]["predictions"])
    stored = deltalake.DeltaTable(f"{out}/vectors").to_pyarrow_table()
    deltalake.write_deltalake(f"{out}/vectors", stored.slice(0, 20), mode="append")
    again = lake.done("predict", settings_of(source, out))
    assert again["num_predicted"] == first["num_predicted"]
    after = probs_of(lake, again["tables"]["predictions"])
    assert all(np.array_equal(after[key], before[key]) for key in before)


def test_a_killed_run_goes_on_with_the_texts_that_it_lacks(
    lake: Lake, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spark_ml_audit.lake import vectors

    if lake.kind != "embedded":
        pytest.skip("calls are counted in this process")
    monkeypatch.setattr(vectors, "AT_ONCE", 10)
    out = lake.path("out")
    whole = probs_of(
        lake, lake.done("predict", settings_of(source, lake.path("whole")))["tables"]["predictions"]
    )
    done = []
    made = vectors.StoredVectors.fill

    def killed(self: Any, frame: Any, run_id: str, missing: int, tell: Any) -> None:
        def count(number: int) -> None:
            done.append(number)
            if len(done) == 2:
                raise KeyboardInterrupt

        made(self, frame, run_id, missing, count)

    with monkeypatch.context() as patch:
        patch.setattr(vectors.StoredVectors, "fill", killed)
        assert lake.run("predict", settings_of(source, out)).exit_code == 1
    kept = len(lake.records(f"{out}/vectors"))
    assert kept > 0
    before = CALLS["texts"]
    finished = lake.done("predict", settings_of(source, out))
    assert len({row["content"] for row in lake.records(f"{out}/vectors")}) == finished["encoder"]["num_texts"]
    assert CALLS["texts"] - before == finished["encoder"]["num_texts"] - kept
    after = probs_of(lake, finished["tables"]["predictions"])
    assert all(np.array_equal(after[key], whole[key]) for key in whole)


def test_the_final_model_encodes_new_texts_itself(lake: Lake, source: str) -> None:
    out = lake.path("out")
    made = lake.done("predict", settings_of(source, out, model__fit_final=True, model__name="encoded_films"))
    assert made["model_uri"] == "models:/encoded_films/1", made["warnings"]
    tagged = lake.done(
        "tag",
        {"source.path": source, "model.uri": made["model_uri"], "output.path": lake.path("tagged")},
    )
    by_tag = probs_of(lake, tagged["tables"]["tags"])
    given = lake.done(
        "predict",
        {"source.path": source, "model.uri": made["model_uri"], "output.path": lake.path("given")},
    )
    by_predict = probs_of(lake, given["tables"]["predictions"])
    assert by_tag.keys() == by_predict.keys() == {row[0] for row in film_rows()}
    assert all(np.array_equal(by_tag[key], by_predict[key]) for key in by_tag)
    assert given["encoder"] is None


def test_an_audit_that_predicts_reads_the_same_vectors(lake: Lake, source: str) -> None:
    out = lake.path("out")
    predicted = lake.done("predict", settings_of(source, out))
    audited = lake.audit({**settings_of(source, out), "source.pred_probs": None})
    assert audited["num_audited"] == predicted["num_predicted"]
    one, other = (probs_of(lake, found["tables"]["predictions"]) for found in (predicted, audited))
    assert all(np.array_equal(one[key], other[key]) for key in one)


def test_a_retry_of_a_finished_run_tells_its_encoder(lake: Lake, source: str) -> None:
    settings = settings_of(source, lake.path("out"))
    first = lake.done("predict", settings)
    again = lake.done("predict", {**settings, "output.run_id": first["run_id"]})
    assert again["already_finished"]
    assert again["encoder"] == first["encoder"]


@pytest.mark.parametrize(
    ("settings", "key", "said"),
    [
        ({"model.encoder": "no such folder"}, "model.encoder", "no folder"),
        ({"model.encoder": "tests.encoders:flat"}, "model.encoder", "shape"),
        ({"source.features": {"categorical": ["title"]}}, "model.encoder", "no text column"),
        ({"model.kind": "prior"}, "model.encoder", "learns from no text"),
        ({"model.uri": "models:/any/1"}, "model.encoder", "has its own encoder"),
        ({"model.encoder": None, "model.encoder_level": "finetune"}, "model.encoder_level", "no encoder"),
    ],
)
def test_encoders_that_cannot_serve_are_refused(
    lake: Lake, source: str, settings: dict[str, Any], key: str, said: str
) -> None:
    error = lake.refuse({**settings_of(source, lake.path("out")), **settings}, command="predict")
    assert error["key"] == key, error
    assert said in f"{error['message']} {error['fix']}"


def test_check_refuses_an_encoder_before_anything_is_computed(lake: Lake, source: str) -> None:
    settings = {**settings_of(source, lake.path("never")), "source.pred_probs": None}
    checked = lake.run("check", settings)
    assert checked.exit_code == 0
    assert f"encoder: {ENCODER} ({WIDTH} numbers)" in checked.json["notes"]
    error = lake.refuse({**settings, "model.encoder": "tests.encoders:failing"}, command="check")
    assert error["key"] == "model.encoder"
    assert not Path(lake.path("never")).exists()


@pytest.mark.spark
def test_both_engines_give_the_same_vectors_and_probabilities(lake: Lake, source: str) -> None:
    lakes = (lake, replace(lake, kind="embedded", written=100))
    found = []
    for number, each in enumerate(lakes):
        out = lake.path(f"out-{number}")
        made = each.done("predict", settings_of(source, out))
        vectors = {row["content"]: row["vector"] for row in lakes[1].records(f"{out}/vectors")}
        found.append((probs_of(lakes[1], made["tables"]["predictions"]), vectors))
    (probs, vectors), (other_probs, other_vectors) = found
    assert vectors.keys() == other_vectors.keys()
    assert max(np.abs(np.subtract(vectors[key], other_vectors[key])).max() for key in vectors) <= 1e-5
    assert probs.keys() == other_probs.keys()
    assert max(np.abs(probs[key] - other_probs[key]).max() for key in probs) <= 1e-5


def test_layers_are_chosen_without_the_tags_of_the_rows_that_are_predicted() -> None:
    """A fold's layer follows from the other folds alone: whatever tags its own rows get, it stays."""
    from spark_ml_audit.predicting import layers
    from spark_ml_audit.predicting.folds import FoldPlan

    plan = FoldPlan(3, 0, "id")
    rng = np.random.default_rng(0)
    given = rng.random((120, 2)) < 0.5
    fold = np.arange(120) % 3
    told = given @ rng.normal(size=(2, 4))
    vectors = np.stack(
        [told + 0.4 * rng.normal(size=(120, 4)), told + 0.5 * rng.normal(size=(120, 4))], axis=1
    )
    sample = layers.LayerSample(vectors.astype(np.float32), given, fold, np.arange(120))
    first, _ = layers.layers_of(sample, plan, (3, 4))
    spoilt = given.copy()
    spoilt[fold == 0] = ~spoilt[fold == 0]
    second, _ = layers.layers_of(replace(sample, given=spoilt), plan, (3, 4))
    assert first[0] == second[0]
    assert set(first) == {0, 1, 2, layers.FINAL}


def test_python_keeps_vectors_where_it_is_told(lake: Lake, source: str) -> None:
    from spark_ml_audit import predict

    asked = {"features": {"text": ["title", "words"]}, "folds": 3, "encoder": ENCODER}
    frame = lake.native(lake.frame(film_rows(), SCHEMA))
    kept = lake.call(predict, frame, **asked, vectors=lake.path("kept"))
    passing = lake.call(predict, frame, **asked)
    written = lake.done("predict", settings_of(source, lake.path("kept")))
    wanted = probs_of(lake, written["tables"]["predictions"])
    for found in (kept, passing):
        probs = {row["id"]: np.array(row["pred_probs"]) for row in records(found.predictions)}
        assert all(np.abs(probs[key] - wanted[key]).max() <= 1e-6 for key in wanted)
    assert len(lake.records(lake.path("kept/vectors"))) == written["encoder"]["num_texts"]


def test_short_forms_name_an_encoder(lake: Lake, source: str) -> None:
    from tests.command_line import run_here

    arguments = ["audit", source, "--predict", "--text", "title,words", "--encoder", ENCODER, "--json"]
    more = ["--out", lake.path("short"), "--engine", "embedded" if lake.kind == "embedded" else "spark"]
    done = run_here(*arguments, *more, "--set", f"tracking.uri={lake.tracking_uri}")
    assert done.returncode == 0, done
    assert Path(lake.path("short/vectors")).is_dir()


@pytest.mark.matrix
def test_outliers_and_duplicates_are_found_by_stored_vectors(lake: Lake) -> None:
    """A text of words that no other has is far by vectors; the same words in another order are the same."""
    rows = [row for row in film_rows(150) if row[1] is not None]
    odd = ("odd", "quantum chromodynamics lattice gauge", "x", [], ["sea"])
    words = "wave boat salt tree"
    twins = [("one", words, "x", [], ["sea"]), ("two", " ".join(reversed(words.split())), "x", [], ["fire"])]
    source, out = lake.write(lake.frame([*rows, odd, *twins], SCHEMA)), lake.path("out")
    kind = {"model.kind": "joint"}  # `auto` may leave the encoder out
    predicted = lake.done("predict", {**settings_of(source, out), **kind})
    where = {"source.path": predicted["tables"]["predictions"], "output.path": out}
    named = {"detect.outliers": True, "detect.duplicates": {"embedding": "vectors", "threshold": 0.999}}
    audited = lake.audit({**where, **named})
    scores = {row["id"]: row["outlier_score"] for row in lake.rows(audited, "examples")}
    assert sum(score >= scores["odd"] for score in scores.values()) <= 5
    groups: dict[str, set[str]] = {}
    for row in lake.rows(audited, "duplicates"):
        groups.setdefault(row["group_id"], set()).add(row["id"])
    assert {"one", "two"} in groups.values()
    # in the run that makes the vectors, too
    own = {**settings_of(source, lake.path("both")), **kind}
    both = lake.audit({**own, "source.pred_probs": None, **named})
    assert {row["id"]: row["outlier_score"] for row in lake.rows(both, "examples")} == scores
    # columns that are named count, and an output without vectors has none
    texts = lake.audit({**where, "detect.outliers.features": {"text": "title"}})
    assert any(row["outlier_score"] != scores[row["id"]] for row in lake.rows(texts, "examples"))
    error = lake.refuse({**where, **named, "output.path": lake.path("another")})
    assert error["key"] == "detect.duplicates.embedding"


def test_labels_as_numbers_are_no_embedding_that_keeps_vectors_out(lake: Lake) -> None:
    rows = [row for row in film_rows(150) if row[1] is not None]
    tags = ("fire", "sea", "wood")
    numbers = [(*row[:-1], [float(tag in row[-1]) for tag in tags]) for row in rows if row[-1] is not None]
    schema = SCHEMA.rpartition("labels")[0] + "labels array<double>"
    source, out = lake.write(lake.frame(numbers, schema)), lake.path("out")
    more = {"source.classes": list(tags), "model.kind": "joint"}
    made = lake.done("predict", {**settings_of(source, out), **more})
    where = {"source.path": made["tables"]["predictions"], "output.path": out, **more}
    del where["model.kind"]
    by_vectors = lake.audit({**where, "detect.outliers": True})
    named = lake.audit({**where, "detect.outliers.features": {"embedding": "vectors"}})
    found, wanted = (
        {row["id"]: row["outlier_score"] for row in lake.rows(result, "examples")}
        for result in (by_vectors, named)
    )
    assert found == wanted
