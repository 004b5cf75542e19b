"""Models end to end: learning, exact reproducibility, awkward tables, storage."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from spark_ml_audit.errors import ConfigError, InputError
from spark_ml_audit.models import FeatureSpec, TagModel
from spark_ml_audit.models.bundle import inner_folds
from tests.paths import SHARED_DATA
from tests.unit.models.data import CLASSES, EMBEDDING, MIXED, TABULAR, TEXT, fit, make_table, order_keys

FILMS = SHARED_DATA / "movies_wikidata.parquet"
CUSTOM = "sklearn.ensemble.RandomForestClassifier"
SPECS = {"mixed": MIXED, "tabular": TABULAR, "text": TEXT, "embedding": EMBEDDING}


@pytest.fixture(autouse=True)
def _no_warnings_leak() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def auc(given: np.ndarray, probs: np.ndarray, k: int) -> float:
    return float(roc_auc_score(given[:, k], probs[:, k]))


@pytest.mark.parametrize(
    ("spec", "kind", "resolved", "learnable"),
    [
        ("text", "auto", "joint", (0, 1, 2)),
        ("text", "linear", "linear", (0, 1, 2)),
        ("embedding", "auto", "joint", (0, 1, 2)),
        ("tabular", "auto", "tabular", (0, 1, 2, 3)),
        ("tabular", "joint", "joint", (0, 1, 2, 3)),
        ("mixed", "auto", "joint", (0, 1, 2, 3)),
        ("mixed", "tabular", "joint", (0, 1, 2, 3)),
        ("mixed", CUSTOM, CUSTOM, (0, 1, 2, 3)),
    ],
)
def test_every_kind_learns_what_its_columns_tell(
    spec: str, kind: str, resolved: str, learnable: tuple[int, ...]
) -> None:
    frame, given = make_table()
    new, truth = make_table(seed=1)
    model = fit(frame, given, SPECS[spec], kind)
    probs = model.predict_proba(new)
    assert model.kind == resolved
    assert probs.dtype == np.float32
    assert probs.shape == truth.shape
    assert ((probs >= 0) & (probs <= 1)).all()
    for k in learnable:
        assert auc(truth, probs, k) > 0.72, CLASSES[k]


@pytest.mark.parametrize("kind", ["joint", "linear", "sklearn.linear_model.LogisticRegression"])
def test_row_bits_do_not_depend_on_the_batch(kind: str) -> None:
    frame, given = make_table()
    model = fit(frame, given, MIXED, kind)
    whole = model.predict_proba(frame)
    order = np.random.default_rng(3).permutation(len(frame))
    assert np.array_equal(model.predict_proba(frame.iloc[order]), whole[order])
    for size in (1, 7, 64):
        parts = [model.predict_proba(frame.iloc[i : i + size]) for i in range(0, 100, size)]
        assert np.array_equal(np.concatenate(parts)[:100], whole[:100])


def test_boosted_row_bits_do_not_depend_on_the_batch() -> None:
    frame, given = make_table()
    model = fit(frame, given, TABULAR)
    whole = model.predict_proba(frame)
    assert np.array_equal(
        np.concatenate([model.predict_proba(frame.iloc[i : i + 9]) for i in range(0, 90, 9)]), whole[:90]
    )


@pytest.mark.parametrize(("spec", "kind"), [("mixed", "joint"), ("tabular", "tabular"), ("mixed", CUSTOM)])
def test_training_does_not_depend_on_row_order_and_does_on_the_seed(spec: str, kind: str) -> None:
    frame, given = make_table()
    keys = order_keys(len(frame))
    first = fit(frame, given, SPECS[spec], kind, order_keys=keys).predict_proba(frame)
    shuffle = np.random.default_rng(5).permutation(len(frame))
    again = fit(frame.iloc[shuffle], given[shuffle], SPECS[spec], kind, order_keys=keys[shuffle])
    assert again.predict_proba(frame).tobytes() == first.tobytes()
    if spec == "mixed":
        assert fit(frame, given, SPECS[spec], kind, seed=1).predict_proba(frame).tobytes() != first.tobytes()


def test_rows_of_one_group_share_an_inner_fold() -> None:
    groups = np.repeat(order_keys(50), 3)
    folds = inner_folds(groups, 0)
    assert set(folds) == {0, 1}
    assert all(len(set(folds[groups == key])) == 1 for key in groups)
    assert np.bincount(folds).tolist() == [75, 75]
    assert not np.array_equal(folds, inner_folds(groups, 1))
    assert inner_folds(groups[:0], 0).shape == (0,)
    frame, given = make_table(60)
    with_groups = fit(frame, given, TEXT, group_keys=order_keys(60) // 2**62)
    assert (
        with_groups.predict_proba(frame).tobytes() != fit(frame, given, TEXT).predict_proba(frame).tobytes()
    )


def test_tags_with_too_few_rows_of_a_kind_get_their_share_and_a_warning() -> None:
    frame, given = make_table(80)
    given = np.column_stack([given, np.zeros((80, 3), dtype=bool)])
    given[:, 4] = True
    given[7, 6] = True
    model = fit(frame, given, TEXT)
    probs = model.predict_proba(frame)
    for k, count in ((4, 80), (5, 0), (6, 1)):
        assert (probs[:, k] == np.float32((count + 0.5) / 81)).all()
    assert model.learned.tolist() == [0, 1, 2, 3]
    assert any("3 of 7 tags" in text and "tag4, tag5, tag6" in text for text in model.warnings)


@pytest.mark.parametrize("kind", ["joint", "tabular", CUSTOM])
def test_a_single_class_is_learned(kind: str) -> None:
    frame, given = make_table()
    spec = TABULAR if kind == "tabular" else MIXED
    probs = fit(frame, given[:, :1], spec, kind).predict_proba(frame)
    assert probs.shape == (300, 1)
    assert auc(given, probs, 0) > 0.8


@pytest.mark.parametrize("kind", ["joint", "linear", "auto", "prior", CUSTOM])
@pytest.mark.parametrize("tags", ["none", "all"])
def test_rows_all_of_one_class_give_shares(kind: str, tags: str) -> None:
    frame, given = make_table(30)
    model = fit(frame, np.full_like(given, tags == "all"), MIXED, kind)
    share = np.float32((30.5 if tags == "all" else 0.5) / 31)
    assert (model.predict_proba(frame) == share).all()


@pytest.mark.parametrize("n", [0, 1, 2, 4, 5])
def test_hardly_any_rows_do_not_crash(n: int) -> None:
    frame, _ = make_table(10)
    given = np.zeros((n, 4), dtype=bool)
    given[::2] = True
    probs = fit(frame.iloc[:n], given, MIXED).predict_proba(frame)
    assert np.isfinite(probs).all()
    assert fit(frame.iloc[:n], given, MIXED).predict_proba(frame.iloc[:0]).shape == (0, 4)


@pytest.mark.parametrize("kind", ["auto", "joint", CUSTOM])
@pytest.mark.parametrize("spec", list(SPECS))
def test_columns_without_a_single_value_teach_nothing_and_do_not_crash(spec: str, kind: str) -> None:
    frame, given = make_table(40)
    empty = pd.DataFrame(None, index=frame.index, columns=frame.columns, dtype=object)
    model = fit(empty, given, SPECS[spec], kind)
    probs = model.predict_proba(frame)
    assert np.isfinite(probs).all()
    if (spec, kind) == ("mixed", "joint"):
        assert sum("teaches nothing" in text or "no word" in text for text in model.warnings) == 5


def test_values_unseen_in_training_are_predicted() -> None:
    frame, given = make_table()
    strange = pd.DataFrame(
        {
            "title": ["zzz qqq", "", None, "猫 と 犬"],
            "tokens": [["xyzzy"], [], None, np.array([None, "cat"], dtype=object)],
            "weight": [1e308, -np.inf, np.nan, None],
            "place": ["moon", None, 7, 7.5],
            "wild": [True, False, None, pd.NA],
            "seen": ["9999-12-31", None, pd.NaT, "2020-02-29"],
            "vector": [np.zeros(3), None, np.full(6, np.nan), ["a"] * 6],
        },
        dtype=object,
    )
    for spec, kind in ((MIXED, "joint"), (TABULAR, "tabular"), (MIXED, CUSTOM)):
        assert np.isfinite(fit(frame, given, spec, kind).predict_proba(strange)).all()


def test_feature_columns_must_exist_and_more_are_not_read() -> None:
    frame, given = make_table(60)
    model = fit(frame, given, TEXT)
    assert np.array_equal(model.predict_proba(frame), model.predict_proba(frame[["title"]]))
    with pytest.raises(InputError, match="no column 'title'"):
        model.predict_proba(frame.drop(columns="title"))
    with pytest.raises(InputError, match="no column 'title'"):
        fit(frame.drop(columns="title"), given, TEXT)
    with pytest.raises(ConfigError, match=r"source\.features"):
        fit(frame, given, FeatureSpec())
    assert fit(frame, given, FeatureSpec(), "prior").predict_proba(frame).shape == (60, 4)


def test_ignored_columns_are_said() -> None:
    frame, given = make_table(30)
    model = fit(frame, given, FeatureSpec(text=("title",), ignored=("blob",)))
    assert model.warnings == ("Columns of a type that no model reads are ignored: blob.",)


@pytest.mark.parametrize(("spec", "kind"), [("mixed", "joint"), ("tabular", "tabular"), ("text", CUSTOM)])
def test_stored_models_predict_the_same_bits(spec: str, kind: str) -> None:
    frame, given = make_table(120)
    model = fit(frame, given, SPECS[spec], kind).with_thresholds([0.1, 0.2, 2.0, 0.4])
    stored = TagModel.from_bytes(model.to_bytes())
    assert stored.predict_proba(frame).tobytes() == model.predict_proba(frame).tobytes()
    assert (stored.classes, stored.spec, stored.kind) == (model.classes, model.spec, model.kind)
    decided = stored.decide(stored.predict_proba(frame))
    assert not decided[:, 2].any()
    assert np.array_equal(decided[:, 0], stored.predict_proba(frame)[:, 0] >= np.float32(0.1))


def test_bytes_of_something_else_are_refused() -> None:
    with pytest.raises(InputError, match="cannot be read"):
        TagModel.from_bytes(b"no model")
    with pytest.raises(ValueError, match="4 thresholds"):
        fit(*make_table(20), TEXT, "prior").with_thresholds([0.5])


def test_weights_stay_within_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    from spark_ml_audit.models import encoding

    monkeypatch.setattr(encoding, "MIN_TEXT_FEATURES", 10)
    frame, given = make_table()
    model = fit(frame, given, TEXT, max_weight_bytes=4 * 4 * 50)
    assert model.learner.stack.ridge.weights.shape == (50, 4)
    assert auc(given, model.predict_proba(frame), 0) > 0.75


@pytest.mark.skipif(not FILMS.exists(), reason=f"{FILMS.name} is not beside the project")
def test_joint_model_beats_the_shares_on_films() -> None:
    films = pd.read_parquet(FILMS).sort_values("id").head(3000)
    classes = sorted({tag for tags in films["labels"] for tag in tags})
    given = np.array([[name in set(tags) for name in classes] for tags in films["labels"]])
    spec = FeatureSpec(text=("text",), numeric=("runtime", "year"))
    model = fit(films.iloc[:2000], given[:2000], spec)
    held_out, truth = model.predict_proba(films.iloc[2000:]), given[2000:]
    both = [k for k in range(len(classes)) if 20 <= truth[:, k].sum() < len(truth)]
    assert len(both) >= 8, json.dumps(classes)
    assert np.mean([auc(truth, held_out, k) for k in both]) > 0.7
    ratio = [average_precision_score(truth[:, k], held_out[:, k]) / truth[:, k].mean() for k in both]
    assert np.mean(ratio) > 2
    shares = given[:2000].mean(axis=0)
    assert ((held_out - truth) ** 2).mean() < 0.93 * ((shares - truth) ** 2).mean()
