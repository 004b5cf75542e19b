"""Columns sorted into features, encoders, the solver, and estimators by import path."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.decomposition import TruncatedSVD
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

from spark_ml_audit.errors import ConfigError
from spark_ml_audit.models import BUILT_IN, FeatureSpec, check_kind, detect_features, load_estimator
from spark_ml_audit.models.columns import Categories, Embedding, Ramps, category_keys, numbers
from spark_ml_audit.models.design import Design
from spark_ml_audit.models.ridge import fit_ridge
from tests.unit.models.data import MIXED, TEXT, fit, make_table

HERE = "tests.unit.models.test_features_and_loading"


def test_columns_are_sorted_by_type_and_sample() -> None:
    types = {
        "id": "bigint", "body": "string", "code": "varchar(10)", "url": "string", "keys": "array<string>",
        "price": "decimal(10,2)", "size": "int", "ok": "boolean", "day": "date", "at": "timestamp",
        "emb": "array<float>", "vec": "vector", "blob": "binary", "m": "map<string,int>",
        "labels": "array<string>",
    }  # fmt: skip
    schema = list(types.items())
    sample = pd.DataFrame(
        {
            "body": ["some words that make a text", None] * 20,
            "code": ["a", "b"] * 20,
            "url": [f"x/{i}" for i in range(40)],
        }
    )
    found = detect_features(schema, {"id", "labels"}, sample)
    assert found == FeatureSpec(
        text=("body", "url", "keys"), numeric=("price", "size"), categorical=("code",), boolean=("ok",),
        date=("day", "at"), embedding=("emb", "vec"), ignored=("blob", "m"),
    )  # fmt: skip
    assert detect_features(schema, {"id", "labels"}).text == ("body", "code", "url", "keys")
    assert not detect_features([("id", "string")], {"id"}).columns


def test_whole_floats_and_integers_are_one_category() -> None:
    assert category_keys(pd.Series([1, 2])) == category_keys(pd.Series([1.0, 2.0])) == ["1", "2"]
    assert category_keys(pd.Series([1.0, None])) == ["1", None]
    fitted = Categories.fit(["b", "a", "b", "a", "rare", None])
    assert fitted.codes(["a", "b", "rare", "new", None]).tolist() == [2, 3, 1, 1, 0]


def test_ramps_are_level_outside_and_at_the_median_when_missing() -> None:
    ramps = Ramps.fit(np.arange(101.0))
    low, high, missing, median = ramps.transform(np.array([-1e300, 1e300, np.nan, 50.0]))
    assert not low.any()
    assert (high[:-1] == 0.5).all()
    assert np.array_equal(missing[:-1], median[:-1])
    assert (missing[-1], median[-1]) == (0.5, 0.0)
    assert np.isfinite(Ramps.fit(numbers(pd.Series([-1.7e308, 1.7e308]))).transform(np.zeros(1))).all()
    assert np.isnan(numbers(pd.Series([np.inf, "x", None], dtype=object))).all()


def test_embeddings_of_another_width_or_not_finite_count_as_missing() -> None:
    good = [np.array([float(i), 1.0], dtype=np.float32) for i in range(4)]
    bad = [np.zeros(3), np.array([np.nan, 1.0]), None, np.array([np.inf, 0.0]), "text"]
    values = pd.Series([*good, *bad], dtype=object)
    fitted = Embedding.fit(values)
    columns = fitted.transform(values)
    assert (fitted.width, fitted.num_unusable) == (2, 3)
    assert columns[:, -1].astype(bool).tolist() == [False] * 4 + [True] * 5
    assert not columns[4:, :2].any()
    frame, given = make_table(60)
    frame["vector"] = [np.zeros(3 + i % 2) for i in range(60)]
    model = fit(frame, given, FeatureSpec(embedding=("vector",)))
    assert any("30 of 60 training rows" in text and "width other than 3" in text for text in model.warnings)


@pytest.mark.parametrize(
    ("sparse", "dense", "n"), [(40, 0, 30), (40, 0, 90), (0, 12, 60), (30, 12, 90), (0, 0, 5)]
)
def test_ridge_solves_what_scikit_learn_does(sparse: int, dense: int, n: int) -> None:
    rng = np.random.default_rng(0)
    design = Design(
        sp.random(n, sparse, 0.3, format="csr", dtype=np.float32, random_state=1),
        rng.normal(1, 1, size=(n, dense)).astype(np.float32),
    )
    targets = (rng.random((n, 70)) < 0.3).astype(np.float32)
    found = fit_ridge(design, targets, alpha=3.0, tolerance=1e-6)
    if not sparse + dense:
        assert np.allclose(found.scores(design), targets.mean(axis=0))
        return
    whole = np.hstack([design.sparse.toarray(), design.dense]).astype(np.float64)
    expected = Ridge(alpha=3.0).fit(whole, targets)
    assert np.allclose(found.weights, expected.coef_.T, atol=1e-4)
    assert np.allclose(found.scores(design), expected.predict(whole), atol=1e-4)


def reduced_bayes() -> object:
    return make_pipeline(TruncatedSVD(5), GaussianNB())


def broken() -> object:
    raise RuntimeError("no licence")


class Unusual(ClassifierMixin, BaseEstimator):
    """Returns one column too few."""

    def fit(self, X: object, y: np.ndarray) -> Unusual:
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        return np.full((X.shape[0], 3), 0.5)

    def __sklearn_tags__(self) -> object:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class Bare:
    """Nothing of scikit-learn, a NaN in what it returns."""

    def fit(self, X: object, y: np.ndarray) -> Bare:
        self.share = y.mean()
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        p = np.full(X.shape[0], self.share)
        p[0] = np.nan
        return np.column_stack([1 - p, p])


@pytest.mark.parametrize(
    "name",
    [
        "sklearn.linear_model.LogisticRegression",
        "sklearn.neighbors.KNeighborsClassifier",
        "sklearn.neural_network.MLPClassifier",
        "sklearn.naive_bayes.BernoulliNB",
        f"{HERE}.reduced_bayes",
    ],
)
def test_estimators_with_and_without_many_tags_are_trained(name: str) -> None:
    frame, given = make_table(200)
    model = fit(frame, given, TEXT, name)
    probs = model.predict_proba(frame)
    assert probs.shape == (200, 4)
    assert probs[given[:, 0], 0].mean() > probs[~given[:, 0], 0].mean() + 0.05
    assert model.kind == name


def test_import_paths_that_do_not_serve_are_explained() -> None:
    cases = {
        "jiont": "Did you mean 'joint'",
        "no_such_package.Model": "cannot be imported",
        "sklearn.linear_model.NoSuch": "has no 'NoSuch'",
        "sklearn.svm.LinearSVC": "no predict_proba",
        "sklearn.ensemble.VotingClassifier": "fails",
        "numpy.pi": "not a class or function",
        f"{HERE}.broken": "no licence",
        "a..b": "neither a built-in model nor an import path",
    }
    for path, said in cases.items():
        with pytest.raises(ConfigError, match=said) as caught:
            check_kind(path)
        assert caught.value.key == "model.kind"
    for kind in BUILT_IN:
        check_kind(kind)


def test_estimators_that_fail_on_the_table_are_explained() -> None:
    frame, given = make_table(60)
    with pytest.raises(ConfigError, match="a sparse matrix of 60 rows"):
        fit(frame, given, TEXT, "sklearn.naive_bayes.GaussianNB")
    with pytest.raises(ConfigError, match=r"shape \(256, 3\) for 256 rows and 4 tags"):
        fit(frame, given, TEXT, f"{HERE}.Unusual").predict_proba(frame)
    assert np.isfinite(fit(frame, given, MIXED, "sklearn.naive_bayes.BernoulliNB").predict_proba(frame)).all()


def test_an_estimator_with_bare_methods_serves_and_its_nan_becomes_the_share() -> None:
    frame, given = make_table(60)
    model = fit(frame, given, TEXT, f"{HERE}.Bare")
    assert np.isfinite(model.predict_proba(frame)).all()


def test_the_seed_reaches_every_step_unless_it_is_set() -> None:
    estimator = load_estimator(f"{HERE}.reduced_bayes", 7)
    assert estimator.get_params()["truncatedsvd__random_state"] == 7
    assert isinstance(load_estimator("sklearn.linear_model.LogisticRegression", 3), LogisticRegression)


def test_characters_are_counted_as_scikit_learn_does() -> None:
    from sklearn.feature_extraction.text import HashingVectorizer

    from spark_ml_audit.models import text

    texts = ["", " ", "a", "The  tree\tthe TREE treehouse", "ΟΔΟΣ οδός İstanbul\u00a0ﬁre", "x\ny " * 3]
    plain = HashingVectorizer(
        analyzer="char_wb", ngram_range=(4, 4), n_features=2**text.CHARACTER_BITS, **text._COUNTS
    )
    expected = plain.transform(texts)
    expected.sort_indices()
    found = text._hashed_characters(texts)
    np.testing.assert_array_equal(found.indptr, expected.indptr)
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_array_equal(found.data, expected.data)
    assert found.dtype == np.float32
    assert text._hashed_characters(["", " "]).shape == (2, 2**text.CHARACTER_BITS)
