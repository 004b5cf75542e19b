"""Arrays as people hold them become columns: every form alike, without a copy, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse as sp
from sklearn.preprocessing import MultiLabelBinarizer

from spark_ml_audit.auditing.arrays_given import class_names, is_array, with_arrays
from spark_ml_audit.engines.in_hand import Held, hold
from spark_ml_audit.errors import InputError

NAMES = ("a", "b", "c")
LISTS = [[0], [1, 2], [], [0]]
P = np.array([[0.9, 0.1, 0.2], [0.2, 0.8, 0.7], [0.1, 0.2, 0.3], [0.6, 0.4, 0.1]])
HOT = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0], [1, 0, 0]])
TAGS = [["a"], ["c", "b"], [], ["a"]]


def held_of(labels: object, pred_probs: object = P, classes: object = NAMES, how: str = "auto") -> Held:
    return with_arrays(None, labels, pred_probs, classes, how).held


FORMS = {
    "lists of indices": LISTS,
    "unordered and repeated": [[0, 0], [2, 1], [], [0]],
    "tuples": tuple(map(tuple, LISTS)),
    "sets": [set(row) for row in LISTS],
    "arrays": [np.array(row, dtype=np.int64) for row in LISTS],
    "lists of names": TAGS,
    "sets of names": [set(row) for row in TAGS],
    "series": pd.Series(LISTS),
    "series of names": pd.Series(TAGS, index=[3, 2, 1, 0]),
    "arrow": pa.array(LISTS),
    "chunked arrow of names": pa.chunked_array([TAGS[:2], TAGS[2:]]),
    "multi-hot": HOT,
    "multi-hot of floats": HOT.astype(float),
    "multi-hot of booleans": HOT.astype(bool),
    "DataFrame": pd.DataFrame(HOT, columns=list(NAMES)),
    "csr": sp.csr_matrix(HOT),
    "csc array": sp.csc_array(HOT),
    "coo": sp.coo_matrix(HOT),
    "binarizer": MultiLabelBinarizer(classes=list(NAMES)).fit_transform(TAGS),
    "sparse binarizer": MultiLabelBinarizer(classes=list(NAMES), sparse_output=True).fit_transform(TAGS),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_labels_is_the_same_column(form: str) -> None:
    assert held_of(FORMS[form]).table.column("labels").to_pylist() == LISTS


PROBS = {
    "array": P,
    "float32": P.astype(np.float32),
    "Fortran order": np.asfortranarray(P),
    "every second row": np.repeat(P, 2, axis=0)[::2],
    "lists": P.tolist(),
    "list of rows": list(P),
    "series of rows": pd.Series(list(P)),
    "DataFrame": pd.DataFrame(P, columns=list(NAMES)),
    "arrow": pa.array(P.tolist()),
    "one pair per class": [np.stack([1 - P[:, k], P[:, k]], axis=1) for k in range(3)],
}


@pytest.mark.parametrize("form", PROBS)
def test_every_form_of_probabilities_is_the_same_column(form: str) -> None:
    column = held_of(LISTS, PROBS[form]).table.column("pred_probs")
    is_short = form == "float32"
    assert column.type == pa.list_(pa.float32() if is_short else pa.float64())
    np.testing.assert_allclose(column.to_pylist(), P, rtol=1e-6 if is_short else 0)


def test_probabilities_are_not_copied() -> None:
    column = held_of(LISTS).table.column("pred_probs").chunk(0)
    assert np.shares_memory(column.values.to_numpy(zero_copy_only=True), P)


def test_rows_that_nobody_annotated_are_null() -> None:
    for labels in ([[0], None, [], [0]], pd.Series([["a"], np.nan, [], ["a"]])):
        assert held_of(labels).table.column("labels").to_pylist() == [[0], None, [], [0]]


def test_arrays_stand_beside_the_columns_of_a_table_in_the_place_of_such_that_it_has() -> None:
    table = hold(pa.table({"id": list("wxyz"), "labels": [["old"]] * 4, "text": list("abcd")}))
    found = with_arrays(table, LISTS, P, NAMES)
    assert found.held.table.column_names == ["id", "text", "pred_probs", "labels"]
    assert found.held.table.column("labels").to_pylist() == LISTS
    assert found.labels_format == "indices"
    kept = with_arrays(table, None, P, NAMES)
    assert kept.labels_format is None
    assert kept.held.table.column("labels").to_pylist() == [["old"]] * 4


class TestClasses:
    def test_without_any_they_are_numbers(self) -> None:
        assert with_arrays(None, LISTS, P, None).classes == ("0", "1", "2")

    def test_numbers_are_taken_as_texts_and_columns_of_tables_are_names(self) -> None:
        assert class_names(np.array([2023, 2024])) == ["2023", "2024"]
        assert class_names(pd.Index(["a", "b"])) == ["a", "b"]
        hot, probs = pd.DataFrame(HOT, columns=["a", "b", "c"]), pd.DataFrame(P, columns=["p1", "p2", "p3"])
        assert class_names(None, hot, probs) == ["a", "b", "c"]
        assert class_names(None, LISTS, probs) == ["p1", "p2", "p3"]
        assert class_names(None, pd.DataFrame(HOT), pd.DataFrame(P)) is None
        assert class_names(["x"], hot, probs) == ["x"]

    def test_whole_numbers_in_lists_are_names_where_they_cannot_be_indices(self) -> None:
        years, labels = ("2023", "2024", "2025"), [[2023], [2024, 2025], [], [2023]]
        assert held_of(labels, classes=years).table.column("labels").to_pylist() == LISTS
        assert held_of(LISTS, classes=years).table.column("labels").to_pylist() == LISTS
        assert held_of(LISTS, classes=("0", "1", "2")).table.column("labels").to_pylist() == LISTS

    def test_and_refused_where_they_could_be_both(self) -> None:
        labels, classes = [[1], [2], [], [1]], ("1", "2", "3")
        with pytest.raises(InputError, match="labels_format='indices' or labels_format='names'"):
            held_of(labels, classes=classes)
        found = {how: held_of(labels, classes=classes, how=how) for how in ("indices", "names")}
        assert found["indices"].table.column("labels").to_pylist() == labels
        assert found["names"].table.column("labels").to_pylist() == [[0], [1], [], [0]]

    def test_multi_hot_rows_in_lists_are_read_as_such_where_it_is_said(self) -> None:
        assert held_of(HOT.tolist(), how="multi_hot").table.column("labels").to_pylist() == LISTS


@pytest.mark.parametrize(
    ("labels", "pred_probs", "classes", "key", "said"),
    [
        (LISTS[:3], P, NAMES, "labels", "3 rows, the probabilities have 4"),
        ([[0], [7], [], [0]], P, NAMES, "labels", "row 1 has the class index 7, but there are 3"),
        ([[0], [-1], [], [0]], P, NAMES, "labels", "class index -1"),
        (["a", "b", "", "a"], P, NAMES, "labels", "row 0 is 'a', a text and no list"),
        ([0, 1, 2, 0], P, NAMES, "labels", "row 0 is 0"),
        ([["a"], [1], [], []], P, NAMES, "labels", "row 0 has 'a'"),
        ([["a"], ["B"], [], []], P, NAMES, "labels", "row 1 has the tag 'B', .* Did you mean b?"),
        (TAGS, P, None, "classes", "not given, but labels are names"),
        (HOT[:, :2], P, NAMES, "labels", "has 2 columns, the probabilities have 3 classes"),
        (HOT * 2, P, NAMES, "labels", "found 2, which is neither 0 nor 1"),
        (LISTS, P, ("a", "b"), "classes", "2 names, but pred_probs has 3 columns"),
        (LISTS, P[:, 0], NAMES, "pred_probs", r"shape is \(4,\)"),
        (LISTS, np.zeros((2, 3, 4)), NAMES, "pred_probs", "shape"),
        (LISTS, np.where(P == 0.9, np.nan, P), NAMES, "pred_probs", "row 0, class 0: found nan"),
        (LISTS, P * 100, NAMES, "pred_probs", "pred_probs / 100"),
        (LISTS, np.log(P / (1 - P)), NAMES, "pred_probs", "logits"),
        (LISTS, P.astype(str), NAMES, "pred_probs", "type"),
        (LISTS, sp.csr_matrix(P), NAMES, "pred_probs", "sparse"),
        (
            pd.DataFrame(HOT, columns=list("abc")),
            pd.DataFrame(P, columns=list("acb")),
            NAMES,
            "pred_probs",
            "columns are those of labels in another order",
        ),
        (
            pd.DataFrame(HOT),
            pd.DataFrame(P, index=[3, 2, 1, 0]),
            NAMES,
            "pred_probs",
            "index is not that of labels",
        ),
    ],
)
def test_what_would_be_misread_is_refused_by_its_argument(
    labels: object, pred_probs: object, classes: object, key: str, said: str
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        held_of(labels, pred_probs, classes)
    assert caught.value.key == key
    assert caught.value.fix


def test_arrays_of_other_length_than_the_table_are_refused() -> None:
    with pytest.raises(InputError, match="has 4 rows, the table has 2"):
        with_arrays(hold(pa.table({"id": [1, 2]})), None, P, NAMES)


def test_an_array_is_told_from_names_of_columns() -> None:
    assert not any(map(is_array, ("labels", ["a", "b"], ("a",), None)))
    assert all(map(is_array, (P, [[0]], [], pd.Series([1]), sp.csr_matrix(HOT), pd.DataFrame(P), [1, "a"])))
