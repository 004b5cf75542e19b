"""Labels and probabilities in every form give the same arrays; what would give a wrong audit is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.ensemble import RandomForestClassifier
from sklearn.preprocessing import MultiLabelBinarizer

from spark_ml_audit.arrays import find_label_issues
from spark_ml_audit.arrays.inputs import as_labels, as_pred_probs
from spark_ml_audit.errors import InputError

SHAPE = (3, 3)


def forms(hot: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """The same labels in every form that is taken."""
    lists = [rng.permutation(np.flatnonzero(row)).tolist() for row in hot]
    frame = pd.DataFrame(hot, columns=[f"tag {k}" for k in range(hot.shape[1])])
    binarizer = MultiLabelBinarizer(classes=range(hot.shape[1]))
    unsorted = scipy.sparse.csr_matrix(hot.astype(np.int8))
    unsorted.indices = np.concatenate([np.array(row, dtype=np.int32) for row in [*lists, []]])
    unsorted.has_sorted_indices = unsorted.has_canonical_format = False
    unsorted.data = np.ones(len(unsorted.indices), dtype=np.int8)
    with_zeros = scipy.sparse.csr_matrix(np.ones(hot.shape))
    with_zeros.data = hot.ravel().astype(float)
    return {
        "lists": lists,
        "tuples": tuple(map(tuple, lists)),
        "sets": list(map(set, lists)),
        "arrays": [np.array(row, dtype=np.int64) for row in lists],
        "float arrays where empty": [np.array(row) for row in lists],
        "small whole numbers": [[np.uint8(k) for k in row] for row in lists],
        "repeated": [row + row for row in lists],
        "Series": pd.Series(lists, index=range(7, 7 + len(lists)), dtype=object),
        "iterator": iter(lists),
        "bool": hot,
        "int8": hot.astype(np.int8),
        "uint64": hot.astype(np.uint64),
        "float32": hot.astype(np.float32),
        "Fortran": np.asfortranarray(hot),
        "DataFrame": frame,
        "DataFrame of numbers": frame.astype(int),
        "MultiLabelBinarizer": binarizer.fit_transform(lists),
        "MultiLabelBinarizer, sparse": binarizer.set_params(sparse_output=True).fit_transform(lists),
        "csr": scipy.sparse.csr_matrix(hot),
        "csc": scipy.sparse.csc_array(hot.astype(float)),
        "coo": scipy.sparse.coo_array(hot.astype(int)),
        "lil": scipy.sparse.lil_matrix(hot.astype(int)),
        "unsorted": unsorted,
        "explicit zeros": with_zeros,
    }


@settings(max_examples=60, deadline=None)
@given(hot=hnp.arrays(np.bool_, st.tuples(st.integers(0, 9), st.integers(1, 5))), seed=st.integers(0, 10**6))
def test_every_form_of_labels_says_the_same(hot: np.ndarray, seed: int) -> None:
    shape = (len(hot), hot.shape[1])
    for name, labels in forms(hot, np.random.default_rng(seed)).items():
        if name == "repeated" and hot.size and looks_multi_hot(labels, shape[1]):
            continue
        found = as_labels(labels, shape)
        np.testing.assert_array_equal(found.to_multi_hot(), hot, err_msg=name)
        assert found.indices.dtype == found.indptr.dtype == np.int64, name
        rows, cols = found.cells()
        assert (np.diff(rows * shape[1] + cols) > 0).all(), name


def looks_multi_hot(rows: list[list[int]], size: int) -> bool:
    return size > 1 and all(len(row) == size and max(row) <= 1 for row in rows)


def test_sparse_labels_stay_as_they_were() -> None:
    matrix = scipy.sparse.csr_matrix(
        (np.ones(3), np.array([2, 0, 1], dtype=np.int32), np.array([0, 2, 3, 3])), shape=SHAPE
    )
    as_labels(matrix, SHAPE)
    assert matrix.indices.tolist() == [2, 0, 1]


def test_cells_of_some_rows_are_counted_from_the_first() -> None:
    found = as_labels([[0], [1, 2], [], [2]], (4, 3))
    assert [part.tolist() for part in found.cells(1, 3)] == [[0, 0], [1, 2]]
    assert [part.tolist() for part in found.cells(2)] == [[1], [2]]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "there are none"),
        ([0, 1, 2], "row 0 is 0. Give a list for each row"),
        (np.array([0, 1, 2]), "row 0 is 0. Give a list for each row"),
        ([[0], np.array(2), []], "row 1 is 2. Give a list for each row"),
        ([[0], None, []], "row 1 is None. Leave out rows that nobody has annotated"),
        ([[0], float("nan"), []], "row 1 is nan. Leave out rows that nobody has annotated"),
        ([[0], [], ["cat"]], r"row 2 has 'cat' \(str\).*instead of names"),
        (["a,b", "", "c"], "row 0 is 'a,b'"),
        (["", "", ""], "row 0 is ''"),
        ([{0: 0.9}, {}, {}], "row 0 is {0: 0.9}"),
        ([[True], [], []], r"row 0 has True \(bool\)"),
        ([[0], [1.0], []], r"row 1 has 1.0 \(float\)"),
        ([[0], [None], []], r"row 1 has None \(NoneType\)"),
        ([[[0]], [], []], r"row 0 has \[0\] \(list\)"),
        ([np.array([0.0]), np.array([1]), []], r"row 0 has 0.0 \(float64\)"),
        ([[0], [3], []], "row 1 has the class index 3, but there are 3 classes"),
        ([[0], [1, -1], []], "row 1 has the class index -1"),
        ([[0], [10**30], []], "too large"),
        ([[0, 1, 0], [1, 1, 0], [0, 0, 1]], r"multi-hot rows, no class indices.*np.array\(labels\)"),
        ([[0], [1]], "has 2 rows, the probabilities have 3"),
        (np.zeros((2, 3)), "has 2 rows, the probabilities have 3"),
        (np.zeros((3, 2)), "has 2 columns, the probabilities have 3 classes"),
        (np.eye(3) * 2, "row 0, column 0: found 2.0, which is neither 0 nor 1"),
        (np.full(SHAPE, np.nan), "row 0, column 0: found nan"),
        (np.full(SHAPE, "a"), "its type is <U1"),
        (np.zeros((3, 3, 1)), r"its shape is \(3, 3, 1\)"),
        (scipy.sparse.csr_matrix((2, 3)), "has 2 rows"),
        (scipy.sparse.csr_matrix((3, 4)), "has 4 columns"),
        (scipy.sparse.csr_matrix(np.eye(3) * 0.5), "row 0, column 0: found 0.5"),
        (scipy.sparse.coo_matrix(([1, 1], ([1, 1], [2, 2])), shape=SHAPE), "row 1, column 2: found 2"),
        ("abc", "found str"),
        (7, "found int"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_labels_that_cannot_be_used(labels: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        as_labels(labels, SHAPE)
    assert refused.value.key == "labels"
    assert refused.value.fix


def test_messages_call_the_arguments_as_their_function_does() -> None:
    with pytest.raises(InputError, match=r"^tags: row 0"):
        as_labels([[9]], (1, 3), name="tags")
    with pytest.raises(InputError, match=r"^probs: row 0, class 0: found 50.0.*give probs / 100"):
        as_pred_probs([[50.0]], name="probs")


def test_probabilities_that_are_fine_are_not_copied() -> None:
    for dtype in (np.float32, np.float64):
        probs = np.random.default_rng(0).random((5, 3)).astype(dtype)
        assert as_pred_probs(probs) is probs
        strided = probs[::2, ::2]
        assert np.shares_memory(as_pred_probs(strided), probs)


@pytest.mark.parametrize(
    ("form", "dtype"),
    [
        (lambda p: p.astype(np.float16), np.float32),
        (lambda p: p.astype(np.longdouble), np.float64),
        (lambda p: p.astype(">f4"), np.float32),
        (lambda p: p.astype(">f8"), np.float64),
        (lambda p: p.tolist(), np.float64),
        (lambda p: tuple(map(tuple, p.tolist())), np.float64),
        (list, np.float64),
        (lambda p: pd.DataFrame(p, columns=["a", "b"]), np.float64),
        (lambda p: pd.Series(list(p)), np.float64),
        (lambda p: pd.Series([list(row) for row in p]), np.float64),
        (np.ma.masked_array, np.float64),
        (lambda p: [np.stack([1 - column, column], axis=1) for column in p.T], np.float64),
        (lambda p: np.stack([1 - p.T, p.T], axis=2), np.float64),
        (lambda p: tuple(pd.DataFrame(np.stack([1 - c, c], axis=1)) for c in p.T), np.float64),
    ],
)
def test_every_form_of_probabilities_says_the_same(form: Any, dtype: Any) -> None:
    probs = np.array([[0.25, 1.0], [0.5, 0.0], [0.125, 0.75]])
    found = as_pred_probs(form(probs))
    assert type(found) is np.ndarray
    assert found.dtype == dtype
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, probs)


def test_whole_numbers_are_probabilities_too() -> None:
    assert as_pred_probs(np.eye(2, dtype=np.int32)).dtype == np.float64


def test_negative_zero_becomes_zero() -> None:
    for dtype in (np.float32, np.float64):
        given = np.array([[-0.0, 1.0], [0.5, -0.0]], dtype=dtype)
        found = as_pred_probs(given)
        assert found.dtype == dtype
        assert not np.signbit(found).any()
        assert np.signbit(given).any()


def test_a_forest_of_scikit_learn_goes_in_as_it_comes_out() -> None:
    rng = np.random.default_rng(0)
    features = rng.random((60, 4))
    labels = features[:, :3] > 0.5
    forest = RandomForestClassifier(20, random_state=0).fit(features, labels)
    predicted = forest.predict_proba(features)
    assert isinstance(predicted, list)
    wanted = np.stack([pair[:, 1] for pair in predicted], axis=1)
    np.testing.assert_array_equal(as_pred_probs(predicted), wanted)
    np.testing.assert_array_equal(find_label_issues(labels, predicted), find_label_issues(labels, wanted))

    labels[:, 1] = True  # a class that the forest knows on every row
    predicted = RandomForestClassifier(5, random_state=0).fit(features, labels).predict_proba(features)
    with pytest.raises(InputError, match=r"class 1 has one column.*`classes_\[1\]`"):
        as_pred_probs(predicted)


EDGE = np.array([[0.5, 1.0 + 1e-7]])


@pytest.mark.parametrize(
    ("pred_probs", "message"),
    [
        (None, "there are none"),
        ([], r"its shape is \(0,\)"),
        (0.5, r"its shape is \(\)"),
        ([0.5, 0.2], r"its shape is \(2,\)"),
        ([[], []], "there is no class"),
        ([[0.1], [0.2, 0.3]], "different lengths"),
        (pd.Series([[0.1], [0.2, 0.3]]), "different lengths"),
        ([["0.5"]], "its type is <U3"),
        (np.array([[None, 0.5]]), "its type is object"),
        (np.array([[True]]), "its type is bool"),
        (np.array([[1j]]), "its type is complex128"),
        (scipy.sparse.csr_matrix(np.eye(2)), r"sparse matrix.*pred_probs.toarray\(\)"),
        (np.ma.masked_array([[0.1, 0.2]], [[True, False]]), "masked"),
        (np.array([[0.5, np.nan]]), "row 0, class 1: found nan.*not finite"),
        (np.array([[0.5, -np.inf]]), "found -inf.*not finite"),
        (np.array([[0.5], [98.5]]), "row 1, class 0: found 98.5.*percentages"),
        (np.array([[-3.5, 2.0]], dtype=np.float32), "found -3.5.*logits"),
        (np.array([[0.5, 1e6]]), "Give values from 0 to 1"),
        (EDGE, r"found 1.0000001.*np.clip\(pred_probs, 0, 1\)"),
        (1 - EDGE[:, 1:], "found -1.0.*np.clip"),
        ([np.full((3, 2), 0.5), np.full((2, 2), 0.5)], r"class 1 has an array of shape \(2, 2\)"),
        ([np.full((3, 3), 0.5)] * 2, r"class 0 has an array of shape \(3, 3\)"),
        ([np.full((3, 2), 0.6)] * 2, "columns of class 0 do not add up to 1"),
        ([np.full((3, 2), "a")] * 2, "its type is <U1"),
    ],
    ids=lambda value: str(value)[:40].replace("\n", " "),
)
def test_probabilities_that_cannot_be_used(pred_probs: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        as_pred_probs(pred_probs)
    assert refused.value.key == "pred_probs"
    assert refused.value.fix


def test_a_wrong_value_is_found_in_any_block(monkeypatch: pytest.MonkeyPatch) -> None:
    from spark_ml_audit.arrays import row_blocks

    monkeypatch.setattr(row_blocks, "BLOCK_CELLS", 4)
    probs = np.full((9, 2), 0.5)
    probs[7, 1] = 1.5
    with pytest.raises(InputError, match=r"row 7, class 1: found 1\.5"):
        as_pred_probs(probs)
    hot = np.zeros((9, 2), dtype=int)
    hot[6, 1] = 3
    with pytest.raises(InputError, match="row 6, column 1: found 3"):
        as_labels(hot, (9, 2))
